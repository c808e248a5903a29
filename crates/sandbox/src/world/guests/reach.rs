//! Reachability: NICs on the same bridge, or on ports of the same Open vSwitch bridge and VLAN.

use std::net::IpAddr;

use super::failed;
use crate::api::Ran;
use crate::error::Result;
use crate::facts::ovs::OvsState;
use crate::world::cni::nics::{Nic, Sandbox, Wire};
use crate::world::scene::Scene;

/// A network on layer 2.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Segment {
    Bridge(String),
    /// A link of the node with NICs of `macvlan`.
    Link(String),
    /// An Open vSwitch bridge with a VLAN; 0 is untagged.
    Vlan(String, u16),
}

/// What a command line of `ping` or `arping` asks for.
pub(super) struct Asked<'a> {
    nic: Option<&'a Nic>,
    target: IpAddr,
    count: u32,
    /// The whole packet in bytes.
    packet: u32,
}

impl Asked<'_> {
    /// A small packet to an address, over whatever NIC leads there.
    pub(super) fn of(target: IpAddr) -> Self {
        Self { nic: None, target, count: 1, packet: 0 }
    }
}

/// The owner of an address.
pub(super) struct Neighbour {
    mac: String,
    mtu: u32,
    /// The pod's uid; none for the node.
    pub(super) pod: Option<String>,
}

/// The headers of an echo request before its content.
const HEADERS: [u32; 2] = [28, 48];

/// `arping`: whether another NIC on the segment has the address.
pub(super) fn arping(scene: &Scene, sandbox: &Sandbox, words: &[&str]) -> Result<Ran> {
    let asked = match asked(sandbox, words) {
        Ok(asked) => asked,
        Err(ran) => return Ok(ran),
    };
    let Some(nic) = asked.nic else { return Ok(failed(1, "arping: no interface".into())) };
    let found = neighbour(scene, sandbox, nic, asked.target)?;
    let first_only = words.contains(&"-f");
    let (sent, received) = match &found {
        Some(_) if first_only => (1, 1),
        Some(_) => (asked.count, asked.count),
        None => (asked.count, 0),
    };
    let source = nic.addresses.first().map_or("0.0.0.0".to_owned(), |address| address.addr().to_string());
    let answer = found
        .map(|one| format!("Unicast reply from {} [{}] 0.020ms\n", asked.target, one.mac))
        .unwrap_or_default();
    let stdout = format!(
        "ARPING {} from {source} {}\n{answer}Sent {sent} probe(s) (0 broadcast(s))\nReceived {received} response(s) (0 request(s), 0 broadcast(s))\n",
        asked.target, nic.name
    );
    Ok(Ran { code: i32::from(received == 0), stdout, stderr: String::new() })
}

/// `ping`: over the segment of the NIC when the address is in its subnet, else over the pod network.
pub(super) fn ping(scene: &Scene, sandbox: &Sandbox, words: &[&str]) -> Result<Ran> {
    let asked = match asked(sandbox, words) {
        Ok(asked) => asked,
        Err(ran) => return Ok(ran),
    };
    let answers = reached(scene, sandbox, &asked)?.is_some();
    let (received, lost) = if answers { (asked.count, 0) } else { (0, 100) };
    let content = asked.packet - header(asked.target);
    let line = format!("{} bytes from {}: seq=0 ttl=64 time=0.048 ms\n", content + 8, asked.target);
    let stdout = format!(
        "PING {0} ({0}): {content} data bytes\n{1}\n--- {0} ping statistics ---\n{2} packets transmitted, {received} packets received, {lost}% packet loss\n",
        asked.target,
        if answers { line.as_str() } else { "" },
        asked.count
    );
    Ok(Ran { code: i32::from(!answers), stdout, stderr: String::new() })
}

/// The owner of the address, if the packet arrives.
pub(super) fn reached(scene: &Scene, sandbox: &Sandbox, asked: &Asked<'_>) -> Result<Option<Neighbour>> {
    let own = sandbox.nics.iter().find(|nic| has(nic, asked.target));
    if let Some(own) = own {
        return Ok(Some(Neighbour { mac: own.mac.clone(), mtu: own.mtu, pod: Some(sandbox.uid.clone()) }));
    }
    let is_near = |nic: &&Nic| nic.addresses.iter().any(|address| address.contains(&asked.target));
    let nic = asked.nic.or_else(|| sandbox.nics.iter().find(is_near));
    if let Some(nic) = nic.filter(is_near) {
        let found = neighbour(scene, sandbox, nic, asked.target)?;
        // Larger than the sender's MTU, it is fragmented; larger than the receiver's, it is dropped.
        let arrives = |there: &Neighbour| asked.packet > nic.mtu || asked.packet <= there.mtu;
        return Ok(found.filter(arrives));
    }
    // Routed: from the first NIC, through the node, to whatever the node itself is connected to.
    let routed = asked.nic.is_none_or(|nic| nic.name == "eth0") && !sandbox.nics.is_empty();
    if routed { on_node(scene, asked.target) } else { Ok(None) }
}

/// The node itself, or the owner of the address on one of the node's bridges.
fn on_node(scene: &Scene, target: IpAddr) -> Result<Option<Neighbour>> {
    let prefix = format!("{target}/");
    let is_own = |address: &String| address.starts_with(&prefix);
    let links = scene.node.links()?;
    if let Some(link) = links.into_iter().find(|link| link.addresses.iter().any(is_own)) {
        return Ok(Some(Neighbour { mac: link.mac, mtu: link.mtu, pod: None }));
    }
    for sandbox in Sandbox::all(scene)? {
        let on_bridge = |nic: &&Nic| matches!(nic.wire, Wire::Bridge(_)) && has(nic, target);
        if let Some(nic) = sandbox.nics.iter().find(on_bridge) {
            return Ok(Some(Neighbour {
                mac: nic.mac.clone(),
                mtu: nic.mtu,
                pod: Some(sandbox.uid.clone()),
            }));
        }
    }
    Ok(None)
}

fn has(nic: &Nic, target: IpAddr) -> bool {
    nic.found_at().iter().any(|address| address.addr() == target)
}

fn header(target: IpAddr) -> u32 {
    HEADERS[usize::from(target.is_ipv6())]
}

/// The other owner of an address on a NIC's segment.
fn neighbour(scene: &Scene, sandbox: &Sandbox, nic: &Nic, target: IpAddr) -> Result<Option<Neighbour>> {
    let switch = scene.node.open_vswitch()?.unwrap_or_default();
    let links = scene.node.links()?;
    let is_up = |name: &str| links.iter().any(|link| link.name == name && link.up);
    let Some(here) = segment(nic, &switch).filter(|_| is_up(carrier(nic))) else { return Ok(None) };
    if let Segment::Bridge(bridge) = &here {
        let prefix = format!("{target}/");
        let own = links.iter().find(|link| link.name == *bridge);
        if let Some(own) =
            own.filter(|own| own.up && own.addresses.iter().any(|address| address.starts_with(&prefix)))
        {
            return Ok(Some(Neighbour { mac: own.mac.clone(), mtu: own.mtu, pod: None }));
        }
    }
    for other in Sandbox::all(scene)?.iter().filter(|other| other.uid != sandbox.uid) {
        let reached = other.nics.iter().find(|nic| {
            has(nic, target) && is_up(carrier(nic)) && segment(nic, &switch).as_ref() == Some(&here)
        });
        if let Some(nic) = reached {
            return Ok(Some(Neighbour { mac: nic.mac.clone(), mtu: nic.mtu, pod: Some(other.uid.clone()) }));
        }
    }
    Ok(None)
}

/// The link of the node that has to be up.
fn carrier(nic: &Nic) -> &str {
    match &nic.wire {
        Wire::Macvlan(master) => master,
        _ => &nic.host_link,
    }
}

/// The current segment of a NIC: the switch's state counts, not the original request.
pub(super) fn segment(nic: &Nic, switch: &OvsState) -> Option<Segment> {
    match &nic.wire {
        Wire::Bridge(bridge) => Some(Segment::Bridge(bridge.clone())),
        Wire::Switch => {
            let (bridge, port) = switch.port(&nic.host_link)?;
            let works =
                bridge.error().is_none() && port.interfaces.iter().all(|interface| interface.error.is_none());
            works.then(|| Segment::Vlan(bridge.name.clone(), port.tag.unwrap_or(0)))
        }
        Wire::Macvlan(master) => Some(Segment::Link(master.clone())),
        Wire::Nothing => None,
    }
}

/// Reads a command line; the answer for one that is wrong.
fn asked<'a>(sandbox: &'a Sandbox, words: &[&str]) -> Result<Asked<'a>, Ran> {
    let option = |name: &str| {
        words.iter().position(|word| *word == name).and_then(|place| words.get(place + 1).copied())
    };
    let target: IpAddr =
        words.last().and_then(|word| word.parse().ok()).ok_or_else(|| failed(1, "bad address".into()))?;
    let content: u32 = option("-s").and_then(|size| size.parse().ok()).unwrap_or(56);
    let nic = match option("-I") {
        None => None,
        Some(name) => match sandbox.nics.iter().find(|nic| nic.name == name) {
            Some(nic) => Some(nic),
            None => return Err(failed(2, format!("arping: interface {name} not found: No such device"))),
        },
    };
    let count = option("-c").and_then(|count| count.parse().ok()).unwrap_or(1);
    Ok(Asked { nic, target, count, packet: content + header(target) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ovs::{OvsBridge, OvsPort};

    #[test]
    fn the_switch_decides_the_segment() {
        let port = |name: &str, tag| OvsPort { name: name.into(), tag, ..OvsPort::default() };
        let bridge = OvsBridge {
            name: "blue".into(),
            ports: vec![port("a", None), port("b", Some(100))],
            ..OvsBridge::default()
        };
        let switch = OvsState { bridges: vec![bridge] };
        let nic = |link: &str| Nic { host_link: link.into(), wire: Wire::Switch, ..Nic::default() };
        let on = |vlan| Some(Segment::Vlan("blue".into(), vlan));
        assert_eq!((segment(&nic("a"), &switch), segment(&nic("b"), &switch)), (on(0), on(100)));
        assert_eq!(segment(&nic("gone"), &switch), None);
    }
}
