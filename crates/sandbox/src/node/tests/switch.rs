//! Open vSwitch, from its commands and from the doors of the world.

use std::collections::BTreeMap;

use super::{failure, printed, run, switch};
use crate::facts::ovs::OvsState;
use crate::node::{NetworkLink, SandboxHost, SwitchPort};

fn port(name: &str, tag: Option<u16>) -> SwitchPort {
    SwitchPort {
        name: name.into(),
        bridge: "blue".into(),
        tag,
        trunks: vec![7, 9],
        external_ids: BTreeMap::from([
            ("contIface".into(), "net1".into()),
            ("contPodUid".into(), "u".into()),
        ]),
    }
}

fn link(node: &SandboxHost, name: &str) {
    let link = NetworkLink { name: name.into(), kind: "veth".into(), ..NetworkLink::default() };
    node.put_network_link(&link).unwrap();
}

/// The command lines of the steps.
async fn blue() -> SandboxHost {
    let node = switch().await;
    for line in [
        "-- --may-exist add-br blue -- br-set-external-id blue kvnet true",
        "-- --may-exist add-br blue100 blue 100 -- br-set-external-id blue100 kvnet true",
    ] {
        assert_eq!(printed(&node, &format!("ovs-vsctl --timeout=30 {line}")).await, "");
    }
    node
}

#[tokio::test]
async fn the_state_that_the_steps_read_is_the_one_that_is_there() {
    let node = blue().await;
    link(&node, "veth1");
    assert!(node.add_switch_port(&port("veth1", Some(100))).unwrap());
    let read = OvsState::read(&node).await.unwrap();
    assert_eq!(read, node.open_vswitch().unwrap().unwrap());
    let (bridge, found) = read.port("veth1").unwrap();
    assert_eq!((bridge.name.as_str(), found.tag, &found.trunks[..]), ("blue", Some(100), &[7, 9][..]));
    assert_eq!(read.port_of_pod("u", "net1").unwrap().0, "blue");
    assert_eq!(read.vlan_bridge("blue100").unwrap().1.tag, Some(100));
    assert_eq!(read.bridge("blue").unwrap().external_ids["kvnet"], "true");
    assert_eq!(printed(&node, "ovs-vsctl list-ports blue100").await, "veth1\n");
    assert_eq!(
        printed(&node, "ovs-vsctl --bare --columns=name find Bridge external_ids:kvnet=true").await,
        "blue\n"
    );
}

#[tokio::test]
async fn doors_refuse_what_the_database_would() {
    let node = blue().await;
    link(&node, "veth1");
    assert!(node.add_switch_port(&port("veth1", None)).unwrap());
    assert!(!node.add_switch_port(&port("veth1", None)).unwrap(), "the name is taken");
    assert!(!node.add_switch_port(&port("blue100", None)).unwrap(), "that of a bridge too");
    assert!(!node.add_switch_port(&port("v", Some(4096))).is_ok_and(|done| done), "no such VLAN");
    assert!(!node.add_switch_port(&SwitchPort { bridge: "red".into(), ..port("v", None) }).unwrap());
    assert!(node.remove_switch_port("veth1").unwrap());
    assert!(!node.remove_switch_port("veth1").unwrap());
    assert_eq!(printed(&node, "ovs-vsctl --columns=name --bare find Interface name=veth1").await, "");
    run(&node, "systemctl stop openvswitch-switch").await;
    assert_eq!(node.open_vswitch().unwrap(), None);
    assert!(!node.add_switch_port(&port("veth1", None)).unwrap());
}

#[tokio::test]
async fn a_bridge_has_a_link_while_it_exists() {
    let node = blue().await;
    let names = || node.links().unwrap().into_iter().map(|link| link.name).collect::<Vec<_>>();
    assert_eq!(names(), ["blue", "blue100", "eth0", "eth1", "lo", "ovs-system"]);
    printed(&node, "ovs-vsctl --timeout=30 --if-exists del-br blue").await;
    assert_eq!(names(), ["eth0", "eth1", "lo"]);
}

#[tokio::test]
async fn all_commands_of_a_line_count_or_none() {
    let node = blue().await;
    let (status, said) = failure(&node, "ovs-vsctl add-br red -- set port red tag=7 -- del-br absent").await;
    assert_eq!((status, said.as_str()), (1, "ovs-vsctl: no bridge named absent"));
    assert_eq!(run(&node, "ovs-vsctl br-exists red").await.status, 2);
    let (status, said) =
        failure(&node, "ovs-vsctl add-br red -- add port red tag 7 -- add port red tag 8").await;
    assert_eq!(status, 1);
    assert!(
        said.contains(
            "transaction error: {\"details\":\"Attempted to store 2 elements in set of up to 1 integers.\""
        ),
        "{said}"
    );
    assert_eq!(printed(&node, "ovs-vsctl --real list-br").await, "blue\n");
}

#[tokio::test]
async fn what_exists_may_exist_only_as_it_is() {
    let node = blue().await;
    for (line, said) in [
        ("add-br blue", "cannot create a bridge named blue because a bridge named blue already exists"),
        ("add-br a blue 100", "bridge blue already has a child VLAN bridge blue100 on VLAN 100"),
        ("add-br a blue100 5", "cannot create bridge with fake bridge as parent"),
        ("add-br a absent 5", "parent bridge absent does not exist"),
        (
            "--may-exist add-br blue100",
            "\"--may-exist add-br blue100\" but blue100 is a VLAN bridge for VLAN 100",
        ),
        (
            "--may-exist add-br blue blue 5",
            "\"--may-exist add-br blue blue 5\" but blue is not a VLAN bridge",
        ),
        (
            "--may-exist add-br blue100 blue 101",
            "\"--may-exist add-br blue100 blue 101\" but blue100 is a VLAN bridge for the wrong VLAN 100",
        ),
        (
            "--may-exist add-br blue100 red 100",
            "\"--may-exist add-br blue100 red 100\" but blue100 has the wrong parent blue",
        ),
    ] {
        let found = failure(&node, &format!("ovs-vsctl {line}")).await;
        assert_eq!(found, (1, format!("ovs-vsctl: {said}")), "{line}");
    }
    assert_eq!(printed(&node, "ovs-vsctl br-to-parent blue100").await, "blue\n");
    assert_eq!(printed(&node, "ovs-vsctl br-to-vlan blue100").await, "100\n");
}

#[tokio::test]
async fn a_vlan_bridge_takes_the_ports_of_its_vlan_along() {
    let node = blue().await;
    for (name, tag) in [("veth1", Some(100)), ("veth2", None)] {
        link(&node, name);
        assert!(node.add_switch_port(&port(name, tag)).unwrap());
    }
    printed(&node, "ovs-vsctl del-br blue100").await;
    assert_eq!(printed(&node, "ovs-vsctl list-ports blue").await, "veth2\n");
}

#[tokio::test]
async fn a_card_is_connected_and_one_that_is_missing_is_told() {
    let node = blue().await;
    let line =
        "ovs-vsctl --timeout=30 -- --may-exist add-port blue eth1 -- set port eth1 external_ids:kvnet=true";
    printed(&node, line).await;
    let state = node.open_vswitch().unwrap().unwrap();
    assert_eq!(state.port("eth1").unwrap().1.external_ids["kvnet"], "true");
    let (status, said) = failure(&node, "ovs-vsctl add-port blue eth9").await;
    let expected = "ovs-vsctl: Error detected while setting up 'eth9': could not open network device eth9 (No such device).  \
                    See ovs-vswitchd log for details.";
    assert_eq!((status, said.as_str()), (0, expected));
}

#[tokio::test]
async fn nothing_answers_while_the_service_does_not_run() {
    let node = blue().await;
    run(&node, "systemctl stop openvswitch-switch").await;
    let (status, said) = failure(&node, "ovs-vsctl list-br").await;
    let expected = "ovs-vsctl: unix:/var/run/openvswitch/db.sock: database connection failed (No such file or directory)";
    assert_eq!((status, said.as_str()), (1, expected));
    // With only the switch stopped the command times out, but its change takes effect after the restart.
    run(&node, "systemctl start openvswitch-switch").await;
    run(&node, "systemctl stop ovs-vswitchd").await;
    assert_eq!(run(&node, "ovs-vsctl --timeout=5 add-br red").await.status, 142);
    run(&node, "systemctl start ovs-vswitchd").await;
    assert_eq!(printed(&node, "ovs-vsctl --real list-br").await, "blue\nred\n");
    assert!(node.links().unwrap().iter().any(|link| link.name == "red"));
}
