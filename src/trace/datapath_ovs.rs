//! Open vSwitch bridges: fail mode, ports, and followed frames.

use super::datapath::{Datapath, Judged, MOST, Nic};
use super::pod_links::correction;
use crate::error::code;
use crate::facts::openflow::Switch;
use crate::formats::cni::Port;
use crate::terminal::counted;

/// A NIC with its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    nic: Nic,
    pub bridge: String,
    pub port: String,
    tag: Option<u16>,
    number: u32,
}

impl End {
    pub fn shown(&self) -> String {
        format!("{} of {} ({})", self.nic.name, self.nic.pod, self.port)
    }
}

/// The NICs that have a port.
pub fn ends(seen: &Datapath) -> Vec<End> {
    let Some(state) = &seen.state else { return Vec::new() };
    let end = |nic: &Nic| {
        let (bridge, port) = state.port_of_pod(&nic.uid, &nic.name)?;
        let switch = seen.switches.iter().find(|switch| switch.name == bridge)?;
        let number = switch.ports.get(&port.name)?.number?;
        (!nic.mac.is_empty()).then(|| End {
            nic: nic.clone(),
            bridge: bridge.to_owned(),
            port: port.name.clone(),
            tag: port.tag,
            number,
        })
    };
    seen.nics.iter().filter_map(end).collect()
}

/// The next NIC in the same VLAN, wrapping around.
pub fn next<'a>(ends: &'a [End], end: &End) -> Option<&'a End> {
    let place = ends.iter().position(|one| one == end)?;
    let others = ends[place + 1..].iter().chain(&ends[..place]);
    others.into_iter().find(|other| other.bridge == end.bridge && other.tag == end.tag)
}

/// An ARP request.
pub fn broadcast(end: &End) -> String {
    let source = end.nic.ip.map(|ip| format!(",arp_spa={ip}")).unwrap_or_default();
    format!(
        "in_port={},dl_src={mac},dl_dst=ff:ff:ff:ff:ff:ff,dl_type=0x0806,arp_op=1,arp_sha={mac}{source}",
        end.number,
        mac = end.nic.mac
    )
}

/// An echo request from one NIC to another.
pub fn packet(from: &End, to: &End) -> String {
    let plain = format!("in_port={},dl_src={},dl_dst={}", from.number, from.nic.mac, to.nic.mac);
    match (from.nic.ip, to.nic.ip) {
        (Some(source), Some(target)) if source.is_ipv4() && target.is_ipv4() => format!(
            "{plain},dl_type=0x0800,nw_src={source},nw_dst={target},nw_proto=1,nw_ttl=64,icmp_type=8,icmp_code=0"
        ),
        _ => plain,
    }
}

/// Any other port in a NIC's VLAN.
pub fn other(seen: &Datapath, end: &End) -> Option<(String, u32)> {
    let (bridge, switch) = (
        seen.state.as_ref()?.bridge(&end.bridge)?,
        seen.switches.iter().find(|switch| switch.name == end.bridge)?,
    );
    let port = bridge.guest_ports().find(|port| port.name != end.port && port.tag == end.tag)?;
    Some((port.name.clone(), switch.ports.get(&port.name)?.number?))
}

/// A packet to a NIC from an unknown sender behind another port, and the packet back.
pub fn with_stranger(end: &End, from: u32) -> [String; 2] {
    const STRANGER: &str = "02:4b:56:4e:00:01";
    let mac = &end.nic.mac;
    let answer = end.nic.ip.filter(std::net::IpAddr::is_ipv4);
    let packet = |port: u32, from: &str, to: &str, side: &str| {
        let ip = answer.map(|ip| format!(",{side}={ip}")).unwrap_or_default();
        format!(
            "in_port={port},dl_src={from},dl_dst={to},dl_type=0x0800{ip},nw_proto=1,nw_ttl=64,icmp_type=8,icmp_code=0"
        )
    };
    [packet(from, STRANGER, mac, "nw_dst"), packet(end.number, mac, STRANGER, "nw_src")]
}

/// A bridge in fail mode secure forwards nothing without flows and controller.
pub fn fail_mode(seen: &Datapath) -> Judged {
    let mut judged = started(seen);
    for switch in
        seen.switches.iter().filter(|switch| switch.silent.is_none() && switch.fail_mode == "secure")
    {
        let name = &switch.name;
        let away = if switch.controller_away { " and its controller is not connected" } else { "" };
        if switch.flows.is_empty() {
            judged.breaks(
                &code::OVS_FAIL_MODE,
                format!("bridge {name} is in fail mode secure and has no flows{away}: it forwards nothing"),
                format!("`ovs-vsctl del-fail-mode {name}`, or connect its controller"),
            );
        } else if switch.controller_away {
            judged.warns.push(format!(
                "bridge {name} is in fail mode secure{away}: it forwards by its existing flows only"
            ));
        }
    }
    judged
}

/// Ports that are down or misconfigured, and frames that do not arrive.
pub fn flows(seen: &Datapath) -> Judged {
    let mut judged = started(seen);
    let ends = ends(seen);
    vlans(seen, &ends, &mut judged);
    let own: Vec<String> = ends.into_iter().map(|end| end.port).collect();
    for switch in &seen.switches {
        let name = &switch.name;
        let protected = switch.ports.values().filter(|port| port.protected).count();
        for port_name in switch.ports.keys() {
            if seen.only && !own.contains(port_name)
                || seen.is_left(port_name)
                || seen.is_vlan_bridge(port_name)
            {
                continue;
            }
            port_of(seen, switch, port_name, protected, &mut judged);
        }
        if switch.fail_mode == "secure" && switch.flows.is_empty() {
            continue;
        }
        follow(seen, name, &mut judged);
    }
    if judged.broken.is_empty() {
        let drops =
            seen.switches.iter().flat_map(|switch| switch.drops().map(move |flow| (&switch.name, flow)));
        judged.warns.extend(drops.map(|(bridge, flow)| format!("bridge {bridge} has a drop flow: {flow}")));
    }
    if seen.left > 0 {
        let all = seen.left + MOST;
        judged.unknown.push(format!("{MOST} of {} on bridges checked", counted(all, "NIC")));
    }
    judged
}

/// Settings of a port that stop its frames.
fn port_of(seen: &Datapath, switch: &Switch, port_name: &str, protected: usize, judged: &mut Judged) {
    let (name, Some(port)) = (&switch.name, switch.ports.get(port_name)) else { return };
    let mut breaks = |what: String, hint: String| {
        judged.breaks(&code::OVS_FLOWS, format!("port {port_name} of {name} {what}"), hint);
    };
    for off in &port.off {
        let word = match off.as_str() {
            "PORT_DOWN" => "up",
            "NO_RECV" => "receive",
            "NO_FWD" => "forward",
            _ => "flood",
        };
        breaks(format!("is set to {off}"), format!("`ovs-ofctl mod-port {name} {port_name} {word}`"));
    }
    if port.mirrored_to {
        breaks(
            "is the output of a mirror: it receives nothing else".into(),
            format!("`ovs-vsctl clear Bridge {name} mirrors`"),
        );
    }
    if port.protected && protected > 1 {
        breaks(
            "is protected: it reaches no other protected port".into(),
            format!("`ovs-vsctl set Port {port_name} protected=false`"),
        );
    }
    let tag = seen.state.as_ref().and_then(|state| state.port(port_name)?.1.tag);
    if let Some(what) = mistaken(&port.vlan_mode, tag) {
        let mode = if tag.is_some() { "access" } else { "trunk" };
        breaks(
            format!("has vlan_mode {}: {what}", port.vlan_mode),
            format!("`ovs-vsctl set Port {port_name} vlan_mode={mode}`"),
        );
    }
    if let Some((rate, by)) = port.slowed.filter(|(rate, _)| *rate < SLOWEST) {
        let fix = match by {
            "qos" => format!("clear Port {port_name} qos"),
            _ => format!("set Interface {port_name} {by}=0"),
        };
        breaks(
            format!("is rate-limited to {rate} kbit/s by {by}: most frames are dropped"),
            format!("`ovs-vsctl {fix}`"),
        );
    }
    if let Some(state) = &port.blocked {
        breaks(
            format!("is {state} in STP"),
            format!("find the loop, or `ovs-vsctl set Bridge {name} stp_enable=false rstp_enable=false`"),
        );
    }
}

/// Each port's VLAN and trunk match its network.
fn vlans(seen: &Datapath, ends: &[End], judged: &mut Judged) {
    let Some(state) = &seen.state else { return };
    for end in ends {
        let Some(((_, port), wanted)) = state.port(&end.port).zip(end.nic.carried.as_ref()) else { continue };
        // A network may name a VLAN bridge, which is a tagged port of its parent.
        let tag = state.vlan_bridge(&wanted.bridge).and_then(|(_, port)| port.tag);
        let vlan = if wanted.trunks.is_empty() { wanted.vlan.or(tag) } else { None };
        let wanted = Port { bridge: end.bridge.clone(), vlan, trunks: wanted.trunks.clone() };
        let is = port.on(&end.bridge);
        if is != wanted {
            judged.breaks(
                &code::OVS_PORT,
                format!("{} is {is} on {}, but its network says {wanted}", end.shown(), end.bridge),
                correction(&port.name, &is, &wanted),
            );
        }
    }
}

/// In kbit/s: below this, a network is unusable.
const SLOWEST: u64 = 64;

/// What a `vlan_mode` other than the one that ovs-cni expects does to a port.
fn mistaken(mode: &str, tag: Option<u16>) -> Option<&'static str> {
    match (mode, tag) {
        ("trunk", Some(_)) => Some("its VLAN tag is ignored, and its frames are untagged"),
        ("native-tagged", Some(_)) => Some("it receives tagged frames, which a NIC drops"),
        ("dot1q-tunnel", _) => Some("its frames get a second VLAN tag"),
        _ => None,
    }
}

fn follow(seen: &Datapath, bridge: &str, judged: &mut Judged) {
    for frame in seen.followed.iter().filter(|frame| frame.bridge == bridge) {
        let what = match &frame.to {
            None => format!("a broadcast from {}", frame.from),
            Some((to, _)) => format!("a packet from {} to {to}", frame.from),
        };
        let hint = || {
            format!(
                "`ovs-ofctl dump-flows {bridge}` lists the flows, `ovs-ofctl --strict del-flows {bridge} MATCH` deletes one"
            )
        };
        match (&frame.end, &frame.to) {
            (Err(why), _) => judged.unknown.push(format!("{what}: {why}")),
            (Ok(end), _) if end.rule.ends_with(": drop") || end.rule.starts_with("No match") => {
                judged.breaks(
                    &code::OVS_FLOWS,
                    format!("bridge {bridge} drops {what}: {}", end.rule),
                    hint(),
                );
            }
            (Ok(end), Some((_, Some(number)))) if !end.outputs.contains(number) => {
                judged.breaks(
                    &code::OVS_FLOWS,
                    format!("bridge {bridge} does not deliver {what}: {}", end.rule),
                    hint(),
                );
            }
            // A broadcast on a bridge without another port rightly goes nowhere.
            _ => (),
        }
    }
}

fn started(seen: &Datapath) -> Judged {
    let mut judged = Judged::default();
    judged.unknown.extend(seen.switch_unseen.clone());
    for switch in &seen.switches {
        if let Some(why) = &switch.silent {
            if why.ends_with("is not installed") {
                judged.unknown.push(why.clone());
            } else {
                judged.breaks(
                    &code::OVS_UNAVAILABLE,
                    format!(
                        "no answer from ovs-vswitchd about {}, though the database answers: {why}",
                        switch.name
                    ),
                    "start it: `systemctl restart openvswitch-switch`",
                );
            }
        }
    }
    if !seen.switches.is_empty() {
        let names: Vec<&str> = seen.switches.iter().map(|switch| switch.name.as_str()).collect();
        judged.holds = format!("{}, {} followed", names.join(", "), counted(seen.followed.len(), "frame"));
    }
    judged
}
