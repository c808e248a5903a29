//! Frames sent from a NIC: the links that see them follow from the current bridges, ports and VLANs.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use super::reach::segment;
use crate::error::{Error, Result, code};
use crate::host::{Shot, Sighting};
use crate::world::cni::nics::{Nic, Sandbox};
use crate::world::scene::Scene;

const ARP: [u8; 2] = [8, 6];
const VLAN: [u8; 2] = [0x81, 0];
/// Destination, source and kind.
const HEADER: usize = 14;

/// The pods whose processes are seen on the node: those of VMs are not, because their taps are not modelled.
fn pods(scene: &Scene) -> Result<Vec<Sandbox>> {
    let is_shown = |sandbox: &Sandbox| {
        sandbox.ready && !sandbox.is_on_host() && !sandbox.pod.starts_with("virt-launcher-")
    };
    Ok(Sandbox::all(scene)?.into_iter().filter(is_shown).collect())
}

/// The number of a pod's process: it follows from its id.
fn process(sandbox: &Sandbox) -> u32 {
    let digits = sandbox.id.get(..6).unwrap_or_default();
    1000 + u32::from_str_radix(digits, 16).unwrap_or_default()
}

/// The processes of pods.
pub(in crate::world) fn processes(scene: &Scene) -> Result<Vec<u32>> {
    Ok(pods(scene)?.iter().map(process).collect())
}

/// `/proc/PROCESS/cgroup`; none when there is no such process.
pub(in crate::world) fn cgroup(scene: &Scene, number: &str) -> Result<Option<String>> {
    let own = pods(scene)?.into_iter().find(|sandbox| process(sandbox).to_string() == number);
    let line = |sandbox: Sandbox| {
        let uid = sandbox.uid.replace('-', "_");
        format!("0::/kubepods.slice/kubepods-pod{uid}.slice/cri-containerd-{}.scope\n", sandbox.id)
    };
    Ok(own.map(line))
}

/// What `ip -json -details address show` prints in a pod's network; none when there is no such process.
pub(in crate::world) fn links(scene: &Scene, number: &str) -> Result<Option<String>> {
    let own = pods(scene)?.into_iter().find(|sandbox| process(sandbox).to_string() == number);
    let node = scene.node.links()?;
    let link = |(place, nic): (usize, &Nic)| -> Value {
        let carries = node.iter().any(|link| link.name == nic.host_link && link.up);
        let flags: &[&str] = if carries {
            &["BROADCAST", "MULTICAST", "UP", "LOWER_UP"]
        } else {
            &["NO-CARRIER", "BROADCAST", "UP"]
        };
        let addresses: Vec<Value> = nic
            .addresses
            .iter()
            .map(|net| json!({"family": "inet", "local": net.addr().to_string(), "prefixlen": net.prefix_len()}))
            .collect();
        json!({
            "ifindex": place + 2, "ifname": nic.name, "flags": flags, "mtu": nic.mtu, "address": nic.mac,
            "linkinfo": {"info_kind": "veth"}, "addr_info": addresses,
        })
    };
    Ok(own
        .map(|own| Value::from(own.nics.iter().enumerate().map(link).collect::<Vec<_>>()).to_string() + "\n"))
}

/// Sends a frame.
/// Fails with `KVN204` when the pod has no such link.
pub(in crate::world) fn send(scene: &Scene, shot: &Shot) -> Result<Vec<Sighting>> {
    let gone = || Error::new(&code::HOST_FILE, format!("there is no link {}", shot.link));
    let all = pods(scene)?;
    let place = |sandbox: &Sandbox| shot.places.iter().position(|place| *place == Some(process(sandbox)));
    let from = all.iter().find(|sandbox| place(sandbox) == Some(shot.from)).ok_or_else(gone)?;
    let nic = from.nics.iter().find(|nic| nic.name == shot.link).ok_or_else(gone)?;
    let mut heard = Heard { shot, seen: Vec::new() };
    heard.add(place(from), &nic.name, true, &shot.frame);
    let (switch, links) = (scene.node.open_vswitch()?.unwrap_or_default(), scene.node.links()?);
    let is_up = |name: &str| links.iter().any(|link| link.name == name && link.up);
    if !is_up(&nic.host_link) {
        return Ok(heard.seen);
    }
    let node = shot.places.iter().position(Option::is_none);
    heard.add(node, &nic.host_link, false, &shot.frame);
    let here = segment(nic, &switch);
    // Tagged frames are not modelled.
    if here.is_none() || shot.frame.get(12..14) == Some(&VLAN) {
        return Ok(heard.seen);
    }
    for other in &all {
        let reached = |there: &&Nic| {
            there.host_link != nic.host_link && is_up(&there.host_link) && segment(there, &switch) == here
        };
        for there in other.nics.iter().filter(reached).filter(|there| is_for(&shot.frame, there)) {
            heard.add(node, &there.host_link, true, &shot.frame);
            if shot.frame.len() > HEADER + there.mtu as usize {
                continue;
            }
            heard.add(place(other), &there.name, false, &shot.frame);
            if let Some(answer) = answer(&shot.frame, there) {
                heard.add(place(other), &there.name, true, &answer);
                heard.add(node, &there.host_link, false, &answer);
                heard.add(node, &nic.host_link, true, &answer);
                heard.add(place(from), &nic.name, false, &answer);
            }
        }
    }
    Ok(heard.seen)
}

struct Heard<'a> {
    shot: &'a Shot,
    seen: Vec<Sighting>,
}

impl Heard<'_> {
    /// Only captured frames, on links with a listener.
    fn add(&mut self, place: Option<usize>, link: &str, leaves: bool, frame: &[u8]) {
        if let Some(place) = place.filter(|_| self.shot.knows(frame)) {
            self.seen.push(Sighting { place, link: link.to_owned(), leaves, frame: frame.to_vec() });
        }
    }
}

/// Whether a frame is for a NIC: by its address, or for everybody.
fn is_for(frame: &[u8], nic: &Nic) -> bool {
    frame.get(..6).is_some_and(|to| to == [0xff; 6] || shown(to) == nic.mac.to_ascii_lowercase())
}

fn shown(mac: &[u8]) -> String {
    mac.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":")
}

/// A NIC's answer to an ARP request for its address or to an echo request; none to anything else.
fn answer(frame: &[u8], nic: &Nic) -> Option<Vec<u8>> {
    let has = |ip: &[u8]| {
        let ip: [u8; 4] = ip.try_into().ok()?;
        let ip = IpAddr::V4(Ipv4Addr::from(ip));
        nic.addresses.iter().any(|address| address.addr() == ip).then_some(())
    };
    let octets: Vec<u8> = nic.mac.split(':').filter_map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    let sender = frame.get(6..12)?;
    if frame.get(12..14)? == ARP {
        let (target, own) = (frame.get(38..42)?, frame.get(28..32)?);
        has(target)?;
        let head = [sender, &octets, &ARP, &[0, 1, 8, 0, 6, 4, 0, 2]].concat();
        return Some([&head[..], &octets, target, sender, own].concat());
    }
    // IPv4 with an echo request.
    if frame.get(12..14)? != [8, 0] || frame.get(23)? != &1 || frame.get(34)? != &8 {
        return None;
    }
    has(frame.get(30..34)?)?;
    let mut answer = frame.to_vec();
    answer[..6].copy_from_slice(sender);
    answer.get_mut(6..12)?.copy_from_slice(octets.get(..6)?);
    answer[26..30].copy_from_slice(&frame[30..34]);
    answer[30..34].copy_from_slice(&frame[26..30]);
    answer[34] = 0;
    Some(answer)
}
