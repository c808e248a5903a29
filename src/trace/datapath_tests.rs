//! A node that carries packets, and each way in which it does not.

use serde_json::json;

use super::*;
use crate::facts::openflow::SwitchPort;
use crate::facts::routes::Route;

fn wire(name: &str, kind: &str, master: Option<&str>, index: u64) -> Wire {
    Wire {
        name: name.into(),
        index,
        kind: kind.into(),
        mtu: 1450,
        on: true,
        carrier: true,
        master: master.map(str::to_owned),
        port_state: master.map(|_| "forwarding".into()),
        ..Wire::default()
    }
}

#[allow(clippy::unnecessary_wraps, reason = "it stands for an answer")]
fn traced(rule: &str, outputs: &[u32]) -> std::result::Result<Traced, String> {
    Ok(Traced { rule: rule.into(), outputs: outputs.to_vec() })
}

pub(crate) fn healthy() -> Datapath {
    let status = r#"[{"name":"cbr0","interface":"eth0","ips":["10.244.0.7"],"mac":"02:00:00:00:00:01","default":true},
        {"name":"default/blue","interface":"net1","ips":["10.20.0.4"],"mac":"02:00:00:00:00:02"}]"#;
    let pod = json!({"metadata": {"namespace": "default", "name": "a", "uid": "u", "annotations": {NETWORK_STATUS: status}}});
    let ids = [("contPodUid".to_owned(), "u".to_owned()), ("contIface".to_owned(), "net1".to_owned())];
    let port = OvsPort { name: "veth2".into(), external_ids: ids.into(), ..OvsPort::default() };
    let state = OvsState {
        bridges: vec![OvsBridge { name: "blue".into(), ports: vec![port], ..OvsBridge::default() }],
    };
    let frame = |to: Option<(String, Option<u32>)>| Followed {
        bridge: "blue".into(),
        from: "net1 of default/a (veth2)".into(),
        to,
        ports: Vec::new(),
        end: traced("priority 0: NORMAL", &[1, 3]),
    };
    let route = |to: Option<&str>, by: &str| Route {
        to: to.map(|to| to.parse().unwrap()),
        kind: "unicast".into(),
        by: Some(by.into()),
    };
    Datapath {
        nics: nics_of(&pod),
        switches: vec![Switch {
            name: "blue".into(),
            ports: [("veth2".to_owned(), SwitchPort { number: Some(6), ..SwitchPort::default() })].into(),
            flows: vec!["priority=0 actions=NORMAL".into()],
            ..Switch::default()
        }],
        state: Some(state),
        followed: vec![frame(None), frame(Some(("net1 of default/b (veth3)".into(), Some(3))))],
        roads: Roads {
            wires: vec![
                wire("cni0", "bridge", None, 5),
                wire("flannel.1", "vxlan", None, 6),
                wire("veth1", "veth", Some("cni0"), 7),
                wire("veth2", "veth", Some("ovs-system"), 8),
            ],
            routes: vec![route(None, "eth0"), route(Some("10.244.0.0/24"), "cni0")],
            forward: Some("1".into()),
            bridge_filter: Some("1".into()),
            ..Roads::default()
        },
        inside: [("u".to_owned(), vec![Wire { peer: Some(7), ..wire("eth0", "veth", None, 2) }])].into(),
        own_range: "10.244.0.0/24".parse().ok(),
        flannel: true,
        ..Datapath::default()
    }
}

const PARTS: [Part; 5] = [Part::FailMode, Part::Flows, Part::Links, Part::Forwarding, Part::Firewall];

#[test]
fn nothing_is_broken_or_open_where_packets_pass() {
    let seen = healthy();
    for part in PARTS {
        let judged = seen.judge(part);
        assert_eq!((judged.broken, judged.unknown, judged.warns), (vec![], vec![], vec![]), "{part:?}");
        assert!(!judged.holds.is_empty(), "{part:?}");
    }
}

pub(crate) type Break = (fn(&mut Datapath), &'static str, &'static str);

pub(crate) const BREAKS: &[Break] = &[
    (
        |seen| {
            seen.switches[0].fail_mode = "secure".into();
            seen.switches[0].flows.clear();
            seen.followed[0].end = traced("No match.: drop", &[]);
        },
        "KVN646",
        "bridge blue is in fail mode secure and has no flows",
    ),
    (
        |seen| seen.followed[0].end = traced("in_port=6, priority 100: drop", &[]),
        "KVN645",
        "bridge blue drops a broadcast from net1 of default/a (veth2): in_port=6, priority 100: drop",
    ),
    (
        |seen| seen.followed[1].end = traced("priority 0: NORMAL", &[1]),
        "KVN645",
        "does not bring a packet from net1 of default/a (veth2) to net1 of default/b (veth3) there",
    ),
    (
        |seen| seen.switches[0].ports.get_mut("veth2").unwrap().off = vec!["NO_FWD".into()],
        "KVN645",
        "veth2 of blue is set to NO_FWD",
    ),
    (
        |seen| seen.switches[0].ports.get_mut("veth2").unwrap().mirrored_to = true,
        "KVN645",
        "output of a mirror",
    ),
    (
        |seen| seen.switches[0].ports.get_mut("veth2").unwrap().blocked = Some("blocking".into()),
        "KVN645",
        "is blocking",
    ),
    (
        |seen| seen.switches[0].silent = Some("cannot connect".into()),
        "KVN604",
        "ovs-vswitchd says nothing about blue",
    ),
    (|seen| seen.roads.wires[0].on = false, "KVN647", "cni0 is down"),
    (|seen| seen.roads.wires[3].on = false, "KVN647", "veth2, the node's end of net1 of default/a is down"),
    (
        |seen| seen.roads.wires[2].port_state = Some("blocking".into()),
        "KVN647",
        "veth1 of cni0, the node's end of eth0 of default/a is blocking",
    ),
    (|seen| seen.roads.wires[2].isolated = true, "KVN647", "is isolated"),
    (|seen| seen.roads.wires[2].mtu = 1000, "KVN647", "has MTU 1000, and cni0 has 1450"),
    (|seen| _ = seen.roads.wires.remove(1), "KVN647", "flannel.1 is missing"),
    (
        |seen| {
            seen.roads
                .dropping
                .push(("veth1".into(), "a matchall filter of `tc` on its ingress drops everything".into()));
        },
        "KVN647",
        "drops everything",
    ),
    (|seen| seen.roads.forward = Some("0".into()), "KVN648", "net.ipv4.ip_forward is off"),
    (
        |seen| _ = seen.roads.forwarding.insert("cni0".into(), "0".into()),
        "KVN648",
        "net.ipv4.conf.cni0.forwarding is off",
    ),
    (
        |seen| _ = seen.roads.routes.pop(),
        "KVN648",
        "the route to eth0 of default/a (10.244.0.7) goes to eth0, and not to cni0",
    ),
    (|seen| seen.roads.refusals.push("blackhole from 10.244.0.0".into()), "KVN648", "blackhole from"),
];

/// The port of a pod that is gone is down for good reason, and nobody's way leads over it.
#[test]
fn what_a_pod_left_breaks_no_link() {
    let mut seen = healthy();
    let gone = [("contPodUid".to_owned(), "gone".to_owned()), ("contIface".to_owned(), "net1".to_owned())];
    let port = OvsPort { name: "left".into(), external_ids: gone.into(), ..OvsPort::default() };
    seen.state.as_mut().unwrap().bridges[0].ports.push(port);
    let off = SwitchPort { number: Some(9), off: vec!["PORT_DOWN".into()], ..SwitchPort::default() };
    seen.switches[0].ports.insert("left".into(), off);
    seen.roads.wires.push(Wire { on: false, ..wire("left", "openvswitch", Some("ovs-system"), 9) });
    for part in PARTS {
        assert_eq!(seen.judge(part).broken, Vec::new());
    }
    seen.state.as_mut().unwrap().bridges[0].ports[1].external_ids.clear();
    assert_eq!(seen.judge(Part::Links).broken[0].1, "left is down");
}

#[test]
fn each_break_is_named() {
    for (number, (make, code, found)) in BREAKS.iter().enumerate() {
        let mut seen = healthy();
        make(&mut seen);
        let first = PARTS.iter().find_map(|part| seen.judge(*part).broken.into_iter().next());
        let (named, what, hint) = first.unwrap_or_else(|| panic!("nothing is broken: {found}"));
        assert_eq!(named, *code, "{number}: {what}");
        assert!(what.contains(found) && hint.len() > 10, "{number}: {what}; {hint}");
    }
}

#[test]
fn what_cannot_be_judged_never_holds() {
    let mut seen = healthy();
    seen.roads.forward = None;
    seen.roads.unseen.push("filters of traffic control: `tc` is not installed".into());
    seen.firewall.unseen.push("neither `iptables-save` nor `nft` is installed".into());
    seen.switches[0].silent = Some("`ovs-ofctl` is not installed".into());
    for part in PARTS {
        assert!(!seen.judge(part).unknown.is_empty(), "{part:?}");
    }
}
