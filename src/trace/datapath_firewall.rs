//! The node's packet filters, evaluated for the packets that pods send and receive.

use std::net::IpAddr;

use super::datapath::{Datapath, Judged, Nic};
use super::datapath_pods::{POD_BRIDGE, TUNNEL, bridge_of};
use crate::error::code;
use crate::facts::firewall::{Fate, Packet};
use crate::facts::routes::Wire;

/// No packet filter drops pod traffic.
pub fn firewall(seen: &Datapath) -> Judged {
    let mut judged = Judged::default();
    judged.unknown.extend(seen.firewall.unseen.clone());
    if let Some((count, max)) = seen.roads.connections.filter(|(count, max)| count >= max && *max > 0) {
        judged.breaks(
            &code::FIREWALL,
            format!("the conntrack table is full, {count} of {max}: new connections are dropped"),
            "raise net.netfilter.nf_conntrack_max (`sysctl -w`)",
        );
    }
    let mut asked = 0;
    for (packet, what, hooks) in packets(seen) {
        asked += 1;
        let nf = packet.bridged && packet.filtered;
        match seen.firewall.fate(&packet, hooks) {
            Fate::Passes => (),
            Fate::Dropped(why) if nf && seen.roads.bridge_filter.is_none() && !filtered(seen, &packet) => {
                push(
                    &mut judged.unknown,
                    format!("{what}: bridge-nf-call-iptables is not readable; if it is on, {why} drops them"),
                );
            }
            Fate::Dropped(why) => {
                let told = format!("{what} are dropped by {why}");
                if !judged.broken.iter().any(|(_, found, _)| found.ends_with(&why)) {
                    judged.breaks(&code::FIREWALL, told, hint(&why));
                }
            }
            Fate::Open(why) => push(&mut judged.unknown, format!("{what}: it depends on {why}")),
        }
    }
    if asked > 0 {
        judged.holds = format!("{asked} kinds of packets pass");
    }
    judged
}

/// Adds a line unless the same rule is listed.
fn push(list: &mut Vec<String>, line: String) {
    let end = |line: &str| line.rsplit_once(": ").map(|(_, end)| end.to_owned());
    if !list.iter().any(|known| end(known) == end(&line)) {
        list.push(line);
    }
}

fn hint(why: &str) -> String {
    match why.strip_prefix("`-A ").and_then(|rest| rest.rsplit_once("` in iptables ")) {
        Some((rule, place)) => {
            let table = place.split(' ').next().unwrap_or("filter");
            format!("`iptables -t {table} -D {rule}`")
        }
        None if why.starts_with("the policy of iptables") => {
            let name = why.rsplit(' ').next().unwrap_or("FORWARD");
            format!(
                "`iptables -P {name} ACCEPT`, or delete the pods of flannel and kube-proxy on the node: new ones restore their rules"
            )
        }
        None => "`nft -a list ruleset` shows it, `nft delete rule` with its handle removes it".into(),
    }
}

/// An address outside the cluster.
const FAR: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)));
const FORWARDED: &[&str] = &["ingress", "prerouting", "forward", "postrouting"];
const RECEIVED: &[&str] = &["ingress", "prerouting", "input"];
const SENT: &[&str] = &["output", "postrouting"];
const BRIDGED: &[&str] = &["ingress", "prerouting", "forward", "postrouting"];

fn packets(seen: &Datapath) -> Vec<(Packet, String, &'static [&'static str])> {
    let out = seen.roads.routes.iter().find(|route| route.to.is_none()).and_then(|route| route.by.clone());
    let gateway = seen.own_range.and_then(|range| range.hosts().next());
    let other = seen.other_ranges.first().and_then(|(_, range)| range.hosts().nth(1));
    if seen.between {
        return within(seen);
    }
    let mut all: Vec<(Packet, String, &'static [&'static str])> = Vec::new();
    for nic in seen.nics.iter().filter(|nic| nic.network.is_none() && nic.ip.is_some_and(|ip| ip.is_ipv4())) {
        let cni0 = Some(POD_BRIDGE.to_owned());
        for protocol in ["icmp", "tcp", "udp"] {
            let packet = |input: Option<String>, output: Option<String>, from: bool, elsewhere| Packet {
                input,
                output,
                source: if from { nic.ip } else { elsewhere },
                destination: if from { elsewhere } else { nic.ip },
                protocol,
                bridged: false,
                filtered: false,
            };
            let whose = format!("{protocol} packets");
            all.push((
                packet(cni0.clone(), out.clone(), true, FAR),
                format!("{whose} from {}", nic.pod),
                FORWARDED,
            ));
            all.push((
                packet(out.clone(), cni0.clone(), false, FAR),
                format!("{whose} to {}", nic.pod),
                FORWARDED,
            ));
            all.push((
                packet(None, cni0.clone(), false, gateway),
                format!("{whose} from the node to {}", nic.pod),
                SENT,
            ));
            all.push((
                packet(cni0.clone(), None, true, gateway),
                format!("{whose} from {} to the node", nic.pod),
                RECEIVED,
            ));
            let tunnel = Some(TUNNEL.to_owned()).filter(|_| !seen.other_ranges.is_empty());
            if tunnel.is_some() {
                all.push((
                    packet(cni0.clone(), tunnel, true, other),
                    format!("{whose} from {} to other nodes", nic.pod),
                    FORWARDED,
                ));
            }
        }
    }
    for nic in &seen.nics {
        let Some(bridge) = bridge_of(seen, nic) else { continue };
        // Its neighbours are on the same network.
        let what = format!("frames of {} within {}", nic.pod, bridge.name);
        all.extend(bridged(seen, bridge, "icmp", (nic, nic), &what));
    }
    all
}

/// What two NICs on one Linux bridge send each other.
fn within(seen: &Datapath) -> Vec<(Packet, String, &'static [&'static str])> {
    let [one, other] = seen.nics.as_slice() else { return Vec::new() };
    let mut all: Vec<(Packet, String, &'static [&'static str])> = Vec::new();
    for (from, to) in [(one, other), (other, one)] {
        let Some(bridge) = bridge_of(seen, from) else { continue };
        for protocol in ["icmp", "tcp", "udp"] {
            let what = format!("{protocol} packets from {} to {}", from.pod, to.pod);
            all.extend(bridged(seen, bridge, protocol, (from, to), &what));
        }
    }
    all
}

/// Traffic through a Linux bridge: it passes the IP filters too, unless bridge filtering is off.
fn bridged(
    seen: &Datapath,
    bridge: &Wire,
    protocol: &'static str,
    (from, to): (&Nic, &Nic),
    what: &str,
) -> Vec<(Packet, String, &'static [&'static str])> {
    let packet = Packet {
        input: Some(bridge.name.clone()),
        output: Some(bridge.name.clone()),
        source: from.ip.filter(IpAddr::is_ipv4),
        destination: to.ip.filter(IpAddr::is_ipv4),
        protocol,
        bridged: true,
        filtered: false,
    };
    let is_filtered = seen.roads.bridge_filter.as_deref() != Some("0") || filtered(seen, &packet);
    let by_ip = is_filtered.then(|| Packet { filtered: true, ..packet.clone() });
    by_ip.into_iter().chain([packet]).map(|packet| (packet, what.to_owned(), BRIDGED)).collect()
}

fn filtered(seen: &Datapath, packet: &Packet) -> bool {
    let bridge = packet.input.as_deref().and_then(|name| seen.roads.wire(name));
    seen.roads.bridge_filter.as_deref() == Some("1") || bridge.is_some_and(|bridge| bridge.filtered)
}
