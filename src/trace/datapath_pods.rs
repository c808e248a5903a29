//! Links and forwarding of the node, for the pod network and for Linux bridges.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::datapath::{Datapath, Judged, MOST, Nic};
use super::datapath_inside::{default_routes, reverse_paths};
use crate::error::code;
use crate::facts::openflow::Switch;
use crate::facts::ovs::{OvsBridge, OvsInterface};
use crate::facts::routes::{Neighbour, Wire};
use crate::terminal::counted;

pub(super) const POD_BRIDGE: &str = "cni0";
pub(super) const TUNNEL: &str = "flannel.1";

/// Every link on the path is up, and no MTU is too small.
pub fn links(seen: &Datapath) -> Judged {
    let mut judged = Judged::default();
    judged.unknown.extend(seen.roads.unseen.clone());
    let used = used(seen);
    for wire in &used {
        link(seen, wire, &mut judged);
    }
    let pods = seen.nics.iter().any(|nic| nic.network.is_none());
    let vlan_bridges = |switch: &Switch| -> Vec<String> {
        switch.ports.keys().filter(|port| seen.is_vlan_bridge(port)).cloned().collect()
    };
    let bridges =
        seen.switches.iter().flat_map(|switch| [vec![switch.name.clone()], vlan_bridges(switch)].concat());
    for bridge in bridges {
        // Only a bridge with an address sends traffic of its own.
        let local = seen
            .roads
            .wire(&bridge)
            .filter(|wire| !wire.on && wire.known_addresses().iter().any(IpAddr::is_ipv4));
        if let Some(local) = local.filter(|_| !seen.between) {
            judged.breaks(
                &code::PATH_LINK,
                format!(
                    "{} is down, but the node's address {} is on it",
                    local.name,
                    local.known_addresses()[0]
                ),
                format!("`ip link set {} up`", local.name),
            );
        }
    }
    if seen.flannel && !seen.between && seen.roads.wire(TUNNEL).is_none() && !seen.roads.wires.is_empty() {
        judged.breaks(
            &code::PATH_LINK,
            format!("{TUNNEL} is missing: pods cannot reach other nodes"),
            "delete flannel's pod on the node: the new one recreates it",
        );
    }
    if seen.flannel && pods && seen.roads.wire(POD_BRIDGE).is_none() && !seen.roads.wires.is_empty() {
        judged.breaks(
            &code::PATH_LINK,
            format!("{POD_BRIDGE} is missing: pods are disconnected"),
            "delete the pods that were on it: the next one recreates it",
        );
    }
    inside(seen, &mut judged);
    if !seen.between {
        uplinks(seen, &mut judged);
    }
    tunnels(seen, &mut judged);
    if seen.closed > 0 {
        let all = seen.closed + MOST;
        judged.unknown.push(format!("{MOST} of {} inspected", counted(all, "pod")));
    }
    if !used.is_empty() {
        judged.holds = format!("{} up", counted(used.len(), "link"));
    }
    judged
}

/// The links that carry pod traffic: bridges with members, their members, Open vSwitch ports, the tunnel and its NIC.
fn used(seen: &Datapath) -> Vec<&Wire> {
    let roads = &seen.roads;
    let masters: Vec<&str> = roads.wires.iter().filter_map(|wire| wire.master.as_deref()).collect();
    let ports: Vec<&str> =
        seen.switches.iter().flat_map(|switch| switch.ports.keys().map(String::as_str)).collect();
    let pods = seen.nics.iter().any(|nic| nic.network.is_none());
    let own: Vec<&str> =
        seen.nics.iter().filter_map(|nic| Some(bridge_of(seen, nic)?.name.as_str())).collect();
    let is_used = |wire: &&Wire| {
        let name = wire.name.as_str();
        // One pod's path does not include other pods' bridges and veths, nor the tunnel within the node.
        let other = match wire.kind.as_str() {
            "bridge" => !own.contains(&name) && (name != POD_BRIDGE || !pods),
            _ if name == TUNNEL => seen.between || !pods,
            _ => whose(seen, wire).is_none(),
        };
        if seen.only && other {
            return false;
        }
        // An orphaned port carries nothing; `doctor` reports it. Nor does the node's own end of a VLAN bridge.
        if seen.is_left(name) || seen.is_vlan_bridge(name) {
            return false;
        }
        let bridge = wire.kind == "bridge" && (masters.contains(&name) || name == POD_BRIDGE);
        bridge || wire.kind == "veth" && wire.master.is_some() || ports.contains(&name) || name == TUNNEL
    };
    roads.wires.iter().filter(is_used).collect()
}

fn link(seen: &Datapath, wire: &Wire, judged: &mut Judged) {
    let name = &wire.name;
    let of = wire
        .master
        .as_ref()
        .filter(|master| *master != "ovs-system")
        .map(|master| format!(" of {master}"))
        .unwrap_or_default();
    let whose = whose(seen, wire).map(|nic| format!(", the node's end of {nic}")).unwrap_or_default();
    let shown = format!("{name}{of}{whose}");
    if !wire.on {
        judged.breaks(&code::PATH_LINK, format!("{shown} is down"), format!("`ip link set {name} up`"));
    } else if !wire.carrier && wire.kind == "veth" {
        judged.breaks(
            &code::PATH_LINK,
            format!("{shown} is down at its other end"),
            "set the NIC up in the pod, or recreate the pod",
        );
    }
    if let Some(state) =
        wire.port_state.as_deref().filter(|state| *state != "forwarding" && wire.on && wire.carrier)
    {
        judged.breaks(
            &code::PATH_LINK,
            format!("{shown} is {state} in its bridge"),
            format!("`bridge link set dev {name} state 3`; find the loop if the bridge runs STP"),
        );
    }
    if wire.isolated {
        judged.breaks(
            &code::PATH_LINK,
            format!("{shown} is isolated in its bridge"),
            format!("`bridge link set dev {name} isolated off`"),
        );
    }
    for what in &wire.lacks {
        let flags = format!(" {} on", what.replace(" and ", " on "));
        judged.breaks(
            &code::PATH_LINK,
            format!("{shown} has {what} off: it does not receive its frames"),
            format!("`bridge link set dev {name}{flags}`"),
        );
    }
    if wire.sorts_vlans {
        judged.unknown.push(format!("{name} filters VLANs; its ports' VLANs were not checked"));
    }
    if wire.program {
        judged.unknown.push(format!("a BPF program filters what {shown} receives"));
    }
    for (_, what) in seen.roads.dropping.iter().filter(|(device, _)| device == name) {
        let hint = if what.contains("netem") || what.contains("tbf") {
            format!("`tc qdisc del dev {name} root`")
        } else {
            format!("`tc filter show dev {name} ingress`, then `tc qdisc del dev {name} ingress` or `clsact`")
        };
        judged.breaks(&code::PATH_LINK, format!("{shown}: {what}"), hint);
    }
    if let Some(master) = wire.master.as_deref().and_then(|master| seen.roads.wire(master))
        && master.kind == "bridge"
        && master.mtu > wire.mtu
    {
        judged.breaks(
            &code::PATH_LINK,
            format!(
                "{shown} has MTU {}, but {} has {}: larger packets are lost",
                wire.mtu, master.name, master.mtu
            ),
            format!("`ip link set {name} mtu {}`", master.mtu),
        );
    }
}

/// The NIC that a link is the peer of.
fn whose(seen: &Datapath, wire: &Wire) -> Option<String> {
    if let Some(state) = &seen.state
        && let Some((_, port)) = state.port(&wire.name)
    {
        let own = seen.nics.iter().find(|nic| port.is_of(&nic.uid, &nic.name));
        return own.map(|nic| format!("{} of {}", nic.name, nic.pod));
    }
    seen.nics.iter().find_map(|nic| {
        let own = seen.inner(nic)?;
        (own.peer == Some(wire.index)).then(|| format!("{} of {}", nic.name, nic.pod))
    })
}

/// Both ends of a veth pair have the same MTU, and the node's end is in the right bridge.
fn inside(seen: &Datapath, judged: &mut Judged) {
    for nic in &seen.nics {
        let Some(own) = seen.inner(nic) else { continue };
        let is_machine = seen.inside.get(&nic.uid).is_some_and(|all| all.iter().any(|one| one.kind == "tun"));
        // `trace` reports it as `pod-nic`.
        if !seen.only && !is_machine && own.master.is_none() {
            altered(nic, own, judged);
        }
        let other = seen.roads.wires.iter().find(|wire| own.kind == "veth" && own.peer == Some(wire.index));
        if let (Some(other), Some(bridge)) = (other, &nic.bridge)
            && other.master.as_ref() != Some(bridge)
        {
            let is =
                other.master.as_ref().map_or_else(|| "in no bridge".into(), |master| format!("in {master}"));
            judged.breaks(
                &code::PATH_LINK,
                format!(
                    "{}, the node's end of {} of {}, is {is}, not in {bridge}",
                    other.name, nic.name, nic.pod
                ),
                format!("`ip link set {} master {bridge}`, or recreate the pod", other.name),
            );
        }
        if let Some(other) = other
            && other.mtu != own.mtu
        {
            judged.breaks(
                &code::PATH_LINK,
                format!(
                    "{} of {} has MTU {}, but its peer {} has {}",
                    nic.name, nic.pod, own.mtu, other.name, other.mtu
                ),
                format!("`ip link set {} mtu {}`, or recreate the pod", other.name, own.mtu),
            );
        }
    }
    if let (Some(bridge), Some(tunnel)) = (seen.roads.wire(POD_BRIDGE), seen.roads.wire(TUNNEL))
        && bridge.mtu > tunnel.mtu
        && !seen.other_ranges.is_empty()
    {
        judged.breaks(
            &code::PATH_LINK,
            format!(
                "{TUNNEL} has MTU {}, but {POD_BRIDGE} has {}: larger packets do not reach other nodes",
                tunnel.mtu, bridge.mtu
            ),
            format!("`ip link set {TUNNEL} mtu {}`, or delete flannel's pod on the node", bridge.mtu),
        );
    }
}

/// The uplinks of Open vSwitch bridges take frames as large as their NICs send.
fn uplinks(seen: &Datapath, judged: &mut Judged) {
    let Some(state) = &seen.state else { return };
    let mut told = BTreeSet::new();
    for nic in &seen.nics {
        let Some((bridge, own)) = state.port_of_pod(&nic.uid, &nic.name).zip(seen.inner(nic)) else {
            continue;
        };
        let ports = state.bridge(bridge.0).into_iter().flat_map(OvsBridge::guest_ports);
        let foreign = ports.filter(|port| !port.external_ids.contains_key("contIface"));
        let system = |it: &&OvsInterface| matches!(it.kind.as_str(), "" | "system");
        let uplinks = foreign.flat_map(|port| port.interfaces.iter().filter(system));
        for uplink in uplinks.filter_map(|it| seen.roads.wire(&it.name)).filter(|it| it.mtu < own.mtu) {
            if !told.insert(uplink.name.clone()) {
                continue;
            }
            judged.breaks(
                &code::PATH_LINK,
                format!(
                    "uplink {} of {} has MTU {}, but {} of {} has {}: larger packets do not leave the node",
                    uplink.name, bridge.0, uplink.mtu, nic.name, nic.pod, own.mtu
                ),
                format!("`ip link set {} mtu {}`, or set the network's `mtu`", uplink.name, own.mtu),
            );
        }
    }
}

/// How a NIC differs from what Multus reported.
fn altered(nic: &Nic, own: &Wire, judged: &mut Judged) {
    let shown = format!("{} of {}", nic.name, nic.pod);
    let mut breaks = |what: String, hint: String| {
        judged.breaks(
            &code::POD_NIC,
            format!("{shown} {what}"),
            format!("in the pod: {hint}, or recreate the pod"),
        );
    };
    let name = &nic.name;
    if own.silent && own.kind == "veth" {
        breaks("does not answer ARP requests: ARP is off".into(), format!("`ip link set {name} arp on`"));
    }
    if !nic.mac.is_empty() && !own.mac.is_empty() && own.mac != nic.mac {
        let what = format!("has the MAC address {}, but Multus reported {}", own.mac, nic.mac);
        breaks(what, format!("`ip link set {name} address {}`", nic.mac));
    }
    if let Some(ip) =
        nic.ip.filter(|ip| !own.known_addresses().is_empty() && !own.known_addresses().contains(ip))
    {
        breaks(format!("lost the address {ip}"), format!("`ip address add {ip}/PREFIX dev {name}`"));
    }
}

/// The kernel's tunnel entries match what the other nodes publish.
fn tunnels(seen: &Datapath, judged: &mut Judged) {
    let Some(wire) = seen.roads.wire(TUNNEL) else { return };
    let below = wire.through.as_deref().and_then(|name| seen.roads.wire(name));
    // The size of VXLAN's headers.
    if let Some(below) = below.filter(|below| below.mtu < wire.mtu + 50 && !seen.other_ranges.is_empty()) {
        judged.breaks(
            &code::PATH_LINK,
            format!("{} has MTU {}, but {TUNNEL}, which it carries, has {}", below.name, below.mtu, wire.mtu),
            format!(
                "`ip link set {} mtu {}`, or delete flannel's pod on the node",
                below.name,
                wire.mtu + 50
            ),
        );
    }
    let hint = "delete flannel's pod on this node: the new one sets it";
    for tunnel in &seen.tunnels {
        let base = tunnel.range.map(|range| range.network().to_string()).unwrap_or_default();
        let known = |list: &[Neighbour], of: &str, at: &str, what: &str| {
            let mut found = list.iter().filter(|one| one.of == of);
            if found.clone().any(|one| one.at == at) {
                return None;
            }
            let is = found.next().map_or_else(|| "is missing".into(), |one| format!("is {}", one.at));
            Some(format!("{what} of {} behind {TUNNEL} {is}, should be {at}", tunnel.node))
        };
        let roads = &seen.roads;
        if roads.unseen.iter().any(|why| why.contains("behind")) {
            return;
        }
        let wrong =
            known(&roads.tunnel_neighbours, &base, &tunnel.mac, &format!("the MAC address of {base}"))
                .or_else(|| known(&roads.tunnel_forwards, &tunnel.mac, &tunnel.at, "the address"));
        if let Some(wrong) = wrong {
            judged.breaks(&code::PATH_LINK, wrong, hint);
        }
    }
}

/// The node forwards, and its routes lead to the pods.
pub fn forwarding(seen: &Datapath) -> Judged {
    let mut judged = Judged::default();
    reverse_paths(seen, &mut judged);
    // NICs on one node, or on one switch, need no forwarding.
    if seen.between || seen.only && seen.nics.iter().all(|nic| nic.network.is_some()) {
        return judged;
    }
    let roads = &seen.roads;
    match roads.forward.as_deref() {
        Some("0") => judged.breaks(
            &code::FORWARDING,
            "net.ipv4.ip_forward is off",
            "`sysctl -w net.ipv4.ip_forward=1`",
        ),
        Some(_) => (),
        None => judged.unknown.push("net.ipv4.ip_forward is not readable".into()),
    }
    let out = roads.routes.iter().find(|route| route.to.is_none()).and_then(|route| route.by.as_deref());
    for name in [Some(POD_BRIDGE), Some(TUNNEL), out].into_iter().flatten() {
        if roads.forwarding.get(name).map(String::as_str) == Some("0")
            && roads.forward.as_deref() != Some("0")
        {
            judged.breaks(
                &code::FORWARDING,
                format!("net.ipv4.conf.{name}.forwarding is off"),
                format!("`sysctl -w net.ipv4.conf.{name}.forwarding=1`"),
            );
        }
    }
    for refusal in &roads.refusals {
        judged.breaks(
            &code::FORWARDING,
            format!("a routing rule rejects packets: {refusal}"),
            "`ip rule` lists it, `ip rule del` deletes it",
        );
    }
    if roads.routes.is_empty() {
        judged.unknown.push("no routes found".into());
    } else if seen.flannel {
        routes(seen, &mut judged);
    }
    default_routes(seen, &mut judged);
    judged.holds = "forwarding is on, routes lead to the pods".into();
    judged
}

fn routes(seen: &Datapath, judged: &mut Judged) {
    let mut wrong = |to: IpAddr, what: &str, wanted: &str, hint: String| {
        let found = match seen.roads.route(to) {
            Some(route) if route.kind == "unicast" && route.by.as_deref() == Some(wanted) => return,
            Some(route) => format!("is via {}", route.by.as_deref().unwrap_or(&route.kind)),
            None => "is missing".into(),
        };
        judged.breaks(
            &code::FORWARDING,
            format!("the route to {what} {found}, should be via {wanted}"),
            hint,
        );
    };
    if let Some(range) = seen.own_range.filter(|_| seen.nics.iter().any(|nic| nic.network.is_none())) {
        let gateway = range.hosts().next().unwrap_or_else(|| range.addr());
        for nic in seen.nics.iter().filter(|nic| nic.network.is_none()) {
            let Some(ip) = nic.ip.filter(|ip| range.contains(ip)) else { continue };
            let hint = format!(
                "`ip route replace {range} dev {POD_BRIDGE} src {gateway}`; `ip route get {ip}` shows the conflicting route"
            );
            wrong(ip, &format!("{} of {} ({ip})", nic.name, nic.pod), POD_BRIDGE, hint);
        }
    }
    for (node, range) in &seen.other_ranges {
        let hint = "delete flannel's pod on this node: the new one sets it".to_owned();
        wrong(range.addr(), &format!("the pods of {node} ({range})"), TUNNEL, hint);
    }
}

/// The Linux bridge that a NIC's peer is in.
pub(super) fn bridge_of<'a>(seen: &'a Datapath, nic: &Nic) -> Option<&'a Wire> {
    let own = seen.inner(nic)?;
    let other = seen.roads.wires.iter().find(|wire| wire.kind == "veth" && own.peer == Some(wire.index))?;
    seen.roads.wire(other.master.as_deref()?).filter(|master| master.kind == "bridge")
}
