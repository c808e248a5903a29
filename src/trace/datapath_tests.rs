//! A healthy datapath, and each way to break it.

use serde_json::json;

use super::*;
use crate::facts::openflow::SwitchPort;
use crate::facts::ovs::OvsInterface;
use crate::facts::routes::{Neighbour, Route};
use crate::formats::cni::{NETWORK_STATUS, Port};

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
    let mut nics = nics_of(&pod);
    nics[0].bridge = Some("cni0".into());
    Datapath {
        nics,
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
            tunnel_neighbours: vec![neighbour("10.244.1.0", "0a:00:00:00:00:01")],
            tunnel_forwards: vec![neighbour("0a:00:00:00:00:01", "192.0.2.1")],
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

fn neighbour(of: &str, at: &str) -> Neighbour {
    Neighbour { of: of.into(), at: at.into() }
}

/// Another node, as it publishes itself.
fn others() -> (Vec<Tunnel>, Vec<(String, ipnet::IpNet)>) {
    let range: ipnet::IpNet = "10.244.1.0/24".parse().unwrap();
    let (mac, at) = ("0a:00:00:00:00:01".to_owned(), "192.0.2.1".to_owned());
    (vec![Tunnel { node: "n1".into(), mac, at, range: Some(range) }], vec![("n1".into(), range)])
}

#[test]
fn another_node_is_found_through_the_tunnel() {
    let mut seen = healthy();
    (seen.tunnels, seen.other_ranges) = others();
    seen.roads.routes.push(Route {
        to: "10.244.1.0/24".parse().ok(),
        kind: "unicast".into(),
        by: Some("flannel.1".into()),
    });
    for part in PARTS {
        assert_eq!(seen.judge(part).broken, [], "{part:?}");
    }
}

#[test]
fn what_was_left_out_is_counted() {
    let seen = Datapath { left: 8, closed: 3, ..healthy() };
    assert_eq!(seen.judge(Part::Flows).unknown, ["32 of 40 NICs on bridges checked"]);
    assert_eq!(seen.judge(Part::Links).unknown, ["32 of 35 pods inspected"]);
}

#[test]
fn two_nics_of_one_node_need_neither_tunnel_nor_forwarding() {
    let mut seen = Datapath { only: true, ..healthy() };
    seen.narrow(true, true);
    seen.roads.forward = Some("0".into());
    seen.roads.wires.remove(1);
    for part in PARTS {
        assert_eq!(seen.judge(part).broken, [], "{part:?}");
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
        "does not deliver a packet from net1 of default/a (veth2) to net1 of default/b (veth3)",
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
        "no answer from ovs-vswitchd about blue",
    ),
    (
        |seen| seen.nics[1].carried = Some(Port { vlan: Some(100), ..Port::default() }),
        "KVN623",
        "net1 of default/a (veth2) is untagged on blue, but its network says VLAN 100",
    ),
    (
        |seen| seen.switches[0].ports.get_mut("veth2").unwrap().vlan_mode = "dot1q-tunnel".into(),
        "KVN645",
        "get a second VLAN tag",
    ),
    (
        |seen| seen.switches[0].ports.get_mut("veth2").unwrap().slowed = Some((1, "ingress_policing_rate")),
        "KVN645",
        "rate-limited to 1 kbit/s by ingress_policing_rate",
    ),
    (|seen| seen.inside.get_mut("u").unwrap()[0].silent = true, "KVN622", "ARP is off"),
    (
        |seen| seen.inside.get_mut("u").unwrap()[0].mac = "02:00:00:00:00:77".into(),
        "KVN622",
        "has the MAC address 02:00:00:00:00:77, but Multus reported 02:00:00:00:00:01",
    ),
    (
        |seen| seen.inside.get_mut("u").unwrap()[0].addresses = Some(vec!["10.244.0.9".parse().unwrap()]),
        "KVN622",
        "lost the address 10.244.0.7",
    ),
    (|seen| seen.roads.wires[2].master = Some("brx".into()), "KVN647", "is in brx, not in cni0"),
    (|seen| seen.roads.wires[2].lacks = vec!["learning and flood"], "KVN647", "has learning and flood off"),
    (
        |seen| {
            let address = "10.9.0.1".parse().unwrap();
            seen.roads.wires.push(Wire {
                on: false,
                addresses: Some(vec![address]),
                ..wire("blue", "tun", None, 9)
            });
        },
        "KVN647",
        "blue is down, but the node's address 10.9.0.1 is on it",
    ),
    (
        |seen| {
            (seen.tunnels, seen.other_ranges) = others();
            seen.roads.tunnel_neighbours.clear();
        },
        "KVN647",
        "the MAC address of 10.244.1.0 of n1 behind flannel.1 is missing, should be 0a:00:00:00:00:01",
    ),
    (
        |seen| {
            (seen.tunnels, seen.other_ranges) = others();
            seen.roads.tunnel_forwards = vec![neighbour("0a:00:00:00:00:01", "192.0.2.9")];
        },
        "KVN647",
        "the address of n1 behind flannel.1 is 192.0.2.9, should be 192.0.2.1",
    ),
    (
        |seen| {
            (_, seen.other_ranges) = others();
            seen.roads.wires[1].through = Some("eth0".into());
            seen.roads.wires.push(Wire { mtu: 1450, ..wire("eth0", "", None, 10) });
        },
        "KVN647",
        "eth0 has MTU 1450, but flannel.1, which it carries, has 1450",
    ),
    (|seen| seen.roads.connections = Some((1000, 1000)), "KVN649", "the conntrack table is full"),
    (|seen| seen.roads.wires[0].on = false, "KVN647", "cni0 is down"),
    (|seen| seen.roads.wires[3].on = false, "KVN647", "veth2, the node's end of net1 of default/a is down"),
    (
        |seen| seen.roads.wires[2].port_state = Some("blocking".into()),
        "KVN647",
        "veth1 of cni0, the node's end of eth0 of default/a is blocking",
    ),
    (|seen| seen.roads.wires[2].isolated = true, "KVN647", "is isolated"),
    (|seen| seen.roads.wires[2].mtu = 1000, "KVN647", "has MTU 1000, but cni0 has 1450"),
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
        "the route to eth0 of default/a (10.244.0.7) is via eth0, should be via cni0",
    ),
    (
        |seen| decide(seen, &[("10.244.0.0/24", "eth0")], &[]),
        "KVN648",
        "default/a has no default route: it only reaches its own networks",
    ),
    (
        |seen| {
            decide(
                seen,
                &[
                    ("", "eth0"),
                    ("10.244.0.0/24", "eth0"),
                    ("10.20.0.0/24", "net1"),
                    ("10.20.0.0/25", "eth0"),
                ],
                &["net1"],
            );
        },
        "KVN648",
        "net1 of default/a drops packets from 10.20.0.0/25: its rp_filter is strict, and the route to 10.20.0.0/25 is via eth0",
    ),
    // Two NICs on one network: the kernel takes the first route.
    (
        |seen| decide(seen, &[("", "eth0"), ("10.20.0.0/24", "net2"), ("10.20.0.0/24", "net1")], &["net1"]),
        "KVN648",
        "net1 of default/a drops packets from 10.20.0.0/24",
    ),
    (
        |seen| {
            (seen.tunnels, _) = others();
            seen.roads.wires[1].through = Some("eth1".into());
            seen.roads.strict = vec!["eth1".into()];
        },
        "KVN648",
        "eth1 drops tunnel traffic from n1 (192.0.2.1): its rp_filter is strict, and the route there is via eth0",
    ),
    (
        |seen| {
            let card = OvsInterface { name: "eth1".into(), ..OvsInterface::default() };
            let port = OvsPort { name: "eth1".into(), interfaces: vec![card], ..OvsPort::default() };
            seen.state.as_mut().unwrap().bridges[0].ports.push(port);
            seen.roads.wires.push(Wire { mtu: 1400, ..wire("eth1", "", Some("ovs-system"), 9) });
            seen.inside.get_mut("u").unwrap().push(Wire { peer: Some(8), ..wire("net1", "veth", None, 3) });
        },
        "KVN647",
        "uplink eth1 of blue has MTU 1400, but net1 of default/a has 1450: larger packets do not leave the node",
    ),
    (|seen| seen.roads.refusals.push("blackhole from 10.244.0.0".into()), "KVN648", "blackhole from"),
];

/// Sets a pod's routes (an empty one is the default route) and strict interfaces.
fn decide(seen: &mut Datapath, routes: &[(&str, &str)], strict: &[&str]) {
    let route = |(to, by): &(&str, &str)| Route {
        to: to.parse().ok(),
        kind: "unicast".into(),
        by: Some((*by).into()),
    };
    let strict = strict.iter().map(ToString::to_string).collect();
    let routes = Some(routes.iter().map(route).collect());
    seen.decides.insert("u".into(), Inside { routes, strict, by_rules: false });
}

/// A strict filter drops nothing where answers leave by the interface that the requests came in on.
#[test]
fn a_strict_filter_alone_breaks_nothing() {
    let mut seen = healthy();
    let routes = [("", "eth0"), ("10.244.0.0/24", "eth0"), ("10.20.0.0/24", "net1")];
    decide(&mut seen, &routes, &["eth0", "net1"]);
    seen.roads.strict = vec!["cni0".into(), "eth0".into(), "flannel.1".into()];
    (seen.tunnels, _) = others();
    seen.roads.wires[1].through = Some("eth0".into());
    assert_eq!(seen.judge(Part::Forwarding).broken, []);
    // The pod uses policy routing.
    decide(&mut seen, &[("", "eth0"), ("10.20.0.0/24", "net1"), ("10.20.0.0/25", "eth0")], &["net1"]);
    seen.decides.get_mut("u").unwrap().by_rules = true;
    assert_eq!(seen.judge(Part::Forwarding).broken, []);
    // A VM's routes are in its guest.
    decide(&mut seen, &[("10.244.0.0/24", "eth0")], &[]);
    seen.inside.get_mut("u").unwrap().push(wire("tap0", "tun", None, 4));
    assert_eq!(seen.judge(Part::Forwarding).broken, []);
}

#[test]
fn nics_are_those_of_an_older_multus_too_and_of_no_pod_of_the_host() {
    let status = r#"[{"name":"cbr0","interface":"eth0","ips":["10.244.0.7"],"default":true},
        {"name":"blue","interface":"net1","ips":["10.20.0.4/24"]},{"name":"blue","interface":"net2","ips":["10.20.0.5"]}]"#;
    let mut pod = json!({"metadata": {"namespace": "n", "name": "a", "annotations": {
        crate::formats::cni::NETWORKS: "blue,blue", crate::facts::attachments::OLD_STATUS: status}}});
    let shown = |pod: &Value| {
        let nics = nics_of(pod).into_iter();
        nics.map(|nic| format!("{} {} {:?}", nic.name, nic.network.unwrap_or_default(), nic.ip))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        shown(&pod),
        ["eth0  Some(10.244.0.7)", "net1 n/blue Some(10.20.0.4)", "net2 n/blue Some(10.20.0.5)"]
    );
    pod["spec"] = json!({"hostNetwork": true});
    assert_eq!(shown(&pod), [""; 0]);
}

/// The port of a deleted pod is down for good reason, and on no path.
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

/// The node's own end of a VLAN bridge is down until the node uses it; pods on that VLAN do not go through it.
#[test]
fn a_vlan_bridge_is_no_link_of_pods() {
    let mut seen = healthy();
    let port = OvsPort { name: "blue100".into(), tag: Some(100), fake_bridge: true, ..OvsPort::default() };
    seen.state.as_mut().unwrap().bridges[0].ports.push(port);
    let off = SwitchPort { number: Some(9), off: vec!["PORT_DOWN".into()], ..SwitchPort::default() };
    seen.switches[0].ports.insert("blue100".into(), off);
    seen.roads.wires.push(Wire { on: false, ..wire("blue100", "openvswitch", None, 9) });
    for part in PARTS {
        assert_eq!(seen.judge(part).broken, Vec::new());
    }
    seen.roads.wires.last_mut().unwrap().addresses = Some(vec!["10.9.0.1".parse().unwrap()]);
    let found = seen.judge(Part::Links).broken[0].1.clone();
    assert_eq!(found, "blue100 is down, but the node's address 10.9.0.1 is on it");
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
