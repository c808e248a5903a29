//! From the state of the switch to the commands that change it. Pure.

use std::time::Duration;

use super::bonds;
use crate::engine::change::Change;
use crate::engine::step::Findings;
use crate::error::{Error, Result, code};
use crate::facts::ovs::{OvsBridge, OvsPort, OvsState};
use crate::formats::net::{self, Link};
use crate::host::Command;
use crate::profile::{Bridge, Datapath, VlanBridge};

/// The external id of everything that kvnet creates in the switch.
const OURS: &str = "kvnet";

/// The node's NICs, and which have a default route.
pub struct Cards {
    pub links: Vec<Link>,
    pub routed: Vec<String>,
}

/// A bridge of the profile with its datapath decided.
pub struct WantedBridge {
    name: String,
    /// The datapath that a new or broken bridge gets.
    datapath: &'static str,
    /// Whether the profile insists on it, also for a bridge that works.
    fixed: bool,
    uplink: Option<String>,
    vlans: Vec<VlanBridge>,
}

impl WantedBridge {
    /// `auto` takes the kernel datapath where it is available, and leaves a working bridge its own.
    pub fn new(bridge: &Bridge, default: Datapath, kernel_datapath: bool) -> Self {
        let setting = bridge.datapath.unwrap_or(default);
        let datapath = match setting {
            Datapath::Auto if !kernel_datapath => "netdev",
            Datapath::Netdev => "netdev",
            Datapath::System | Datapath::Auto => "system",
        };
        Self {
            name: bridge.name.clone(),
            datapath,
            fixed: setting != Datapath::Auto,
            uplink: bridge.uplink.clone(),
            vlans: bridge.vlans.clone(),
        }
    }
}

/// The changes for one bridge with all that is on it.
pub fn bridge(
    wanted: &WantedBridge,
    state: &OvsState,
    cards: Option<&Cards>,
    findings: &mut Findings,
) -> Result<()> {
    match state.bridge(&wanted.name) {
        Some(found) => {
            if !found.external_ids.contains_key(OURS) {
                findings.note(format!("bridge {} is pre-existing and stays", wanted.name));
            }
            findings.changes.extend(datapath(wanted, found)?);
        }
        None => findings.changes.push(new_bridge(wanted, state)?),
    }
    for vlan in &wanted.vlans {
        findings.changes.extend(vlan_bridge(vlan, &wanted.name, state)?);
    }
    if let Some(uplink) = &wanted.uplink {
        findings.changes.extend(connect(uplink, &wanted.name, state, cards)?);
    }
    Ok(())
}

fn new_bridge(wanted: &WantedBridge, state: &OvsState) -> Result<Change> {
    let name = &wanted.name;
    if let Some((parent, port)) = state.port(name) {
        let what = if port.fake_bridge { "VLAN bridge" } else { "port" };
        return Err(refused(format!("{name} is already a {what} on bridge {}", parent.name)));
    }
    // `system` is the default of Open vSwitch.
    let datapath = match wanted.datapath {
        "netdev" => format!("-- set bridge {name} datapath_type=netdev "),
        _ => String::new(),
    };
    Ok(Change::Run {
        purpose: format!("add Open vSwitch bridge {name} with datapath {}", wanted.datapath),
        before: None,
        command: vsctl(&format!(
            "-- --may-exist add-br {name} {datapath}-- br-set-external-id {name} {OURS} true"
        )),
        undo: Some(vsctl(&format!("--if-exists del-br {name}"))),
    })
}

/// A working bridge keeps its datapath unless the profile insists; one with ports is never moved, because that would
/// cut them off.
fn datapath(wanted: &WantedBridge, found: &OvsBridge) -> Result<Option<Change>> {
    let (name, now) = (&found.name, found.datapath());
    if now == wanted.datapath || !(wanted.fixed || found.error().is_some()) {
        return Ok(None);
    }
    if found.ports.iter().any(|port| port.name != *name) && found.error().is_none() {
        let message =
            format!("bridge {name} has datapath {now}, not {}, and has other ports", wanted.datapath);
        return Err(refused(message));
    }
    let set = |datapath: &str| vsctl(&format!("set bridge {name} datapath_type={datapath}"));
    Ok(Some(Change::Run {
        purpose: format!("change bridge {name} to datapath {}", wanted.datapath),
        before: Some(format!("datapath {now}")),
        command: set(wanted.datapath),
        undo: Some(set(now)),
    }))
}

fn vlan_bridge(wanted: &VlanBridge, parent: &str, state: &OvsState) -> Result<Option<Change>> {
    let VlanBridge { name, vlan } = wanted;
    if state.bridge(name).is_some() {
        return Err(refused(format!("{name} is a real bridge, not a VLAN bridge on {parent}")));
    }
    if let Some(other) = occupant(*vlan, parent, state).filter(|other| other.name != *name) {
        return Err(refused(format!(
            "bridge {parent} already has VLAN bridge {} on VLAN {vlan}",
            other.name
        )));
    }
    match state.port(name) {
        None => Ok(Some(new_vlan_bridge(name, parent, *vlan))),
        Some((on, port)) if !port.fake_bridge => {
            Err(refused(format!("{name} is already a port on bridge {}", on.name)))
        }
        Some((on, _)) if on.name != parent => {
            Err(refused(format!("VLAN bridge {name} is on bridge {}, not on {parent}", on.name)))
        }
        Some((_, port)) if port.tag == Some(*vlan) => Ok(None),
        Some((_, port)) => Ok(Some(other_vlan(name, parent, port.tag.unwrap_or_default(), *vlan))),
    }
}

/// Open vSwitch allows one VLAN bridge for each VLAN of a bridge.
fn occupant<'a>(vlan: u16, parent: &str, state: &'a OvsState) -> Option<&'a OvsPort> {
    let mut ports = state.bridge(parent)?.ports.iter();
    ports.find(|port| port.fake_bridge && port.tag == Some(vlan))
}

fn new_vlan_bridge(name: &str, parent: &str, vlan: u16) -> Change {
    let words =
        format!("-- --may-exist add-br {name} {parent} {vlan} -- br-set-external-id {name} {OURS} true");
    Change::Run {
        purpose: format!("add VLAN bridge {name} for VLAN {vlan} on {parent}"),
        before: None,
        command: vsctl(&words),
        undo: Some(vsctl(&format!("--if-exists del-br {name}"))),
    }
}

/// In place: to delete a VLAN bridge would delete all ports of its VLAN with it, those of pods and VMs too.
fn other_vlan(name: &str, parent: &str, now: u16, vlan: u16) -> Change {
    let set = |vlan: u16| vsctl(&format!("set port {name} tag={vlan}"));
    Change::Run {
        purpose: format!("change VLAN bridge {name} to VLAN {vlan} on {parent}"),
        before: Some(format!("VLAN {now} on {parent}")),
        command: set(vlan),
        undo: Some(set(now)),
    }
}

fn connect(uplink: &str, bridge: &str, state: &OvsState, cards: Option<&Cards>) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let card = cards.and_then(|cards| cards.links.iter().find(|link| link.name == uplink));
    match state.port(uplink) {
        Some((on, _)) if on.name == bridge => {}
        Some((on, _)) => return Err(refused(format!("uplink {uplink} is already on bridge {}", on.name))),
        None => {
            bonds::refuse_beside(uplink, bridge, state)?;
            refuse_busy(uplink, card, cards)?;
            changes.push(add_port(uplink, bridge));
        }
    }
    // Open vSwitch does not set a NIC up.
    if card.is_some_and(|card| !card.up) {
        changes.push(switch_on(uplink));
    }
    Ok(changes)
}

fn refuse_busy(uplink: &str, card: Option<&Link>, cards: Option<&Cards>) -> Result<()> {
    let Some(card) = card else {
        let error = Error::new(&code::OVS_UPLINK, format!("uplink {uplink} does not exist"));
        return Err(error.hint("`ip link` lists the node's NICs"));
    };
    let routed = cards.map(|cards| cards.routed.as_slice()).unwrap_or_default();
    let Some(reason) = net::busy(card, routed) else { return Ok(()) };
    let error = Error::new(&code::OVS_UPLINK, format!("uplink {uplink} {reason}"));
    // A bond can be an uplink, its NICs cannot.
    let master = card.master.as_ref().filter(|_| reason.starts_with("belongs"));
    Err(match master {
        Some(master) => {
            error.hint(format!("if {master} is a bond, write `uplink: {master}`; else name another NIC"))
        }
        None => error,
    })
}

fn add_port(uplink: &str, bridge: &str) -> Change {
    let words =
        format!("-- --may-exist add-port {bridge} {uplink} -- set port {uplink} external_ids:{OURS}=true");
    Change::Run {
        purpose: format!("add uplink {uplink} to bridge {bridge}"),
        before: None,
        command: vsctl(&words),
        undo: Some(vsctl(&format!("--if-exists del-port {bridge} {uplink}"))),
    }
}

fn switch_on(uplink: &str) -> Change {
    let set = |state: &str| Command::new(["ip", "link", "set", uplink, state]);
    Change::Run {
        purpose: format!("set {uplink} up"),
        before: Some("off".into()),
        command: set("up"),
        undo: Some(set("down")),
    }
}

/// A command of words without blanks: names of bridges and NICs have none.
fn vsctl(words: &str) -> Command {
    let words = ["ovs-vsctl", "--timeout=30"].into_iter().chain(words.split_whitespace());
    Command::new(words).timeout(Duration::from_secs(40))
}

fn refused(message: String) -> Error {
    Error::new(&code::OVS_BRIDGE, message)
}

/// The bridge that a command deletes; none when it deletes none.
pub(super) fn deleted_bridge(command: &Command) -> Option<&str> {
    let words = &command.argv;
    let at = words.iter().position(|word| word == "del-br")?;
    words.get(at + 1).map(String::as_str)
}

/// The ports of a bridge, or of the VLAN of a VLAN bridge, that neither kvnet nor a CNI plugin made.
pub(super) fn foreign_ports(state: &OvsState, name: &str) -> Vec<String> {
    let (bridge, vlan) = match (state.bridge(name), state.port(name)) {
        (Some(bridge), _) => (bridge, None),
        (None, Some((on, port))) if port.fake_bridge => (on, port.tag),
        _ => return Vec::new(),
    };
    let on_it = |port: &&OvsPort| port.name != name && (vlan.is_none() || port.tag == vlan);
    bridge
        .ports
        .iter()
        .filter(on_it)
        .filter(|port| port.name != bridge.name && is_foreign(port))
        .map(|port| port.name.clone())
        .collect()
}

fn is_foreign(port: &OvsPort) -> bool {
    let has = |key: &str| port.external_ids.contains_key(key);
    // What a pod's CNI plugin made goes with the pod.
    let of_pod = ["contPodUid", "contNetns", "contIface"].iter().any(|key| has(key));
    !(of_pod || has(OURS) || has(&format!("fake-bridge-{OURS}")))
}
