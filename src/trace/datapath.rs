//! The datapath of NICs on this node: `trace` checks it for one pod, `doctor` for all.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;

use super::datapath_inside::{self, Inside};
use super::datapath_ovs as ovs;
use super::datapath_pods as pods;
use super::evidence::linux_bridge;
use crate::error::{Code, Result};
use crate::facts::attachments::{Reported, Wish, asked, pairs, reported};
use crate::facts::firewall::Firewall;
use crate::facts::openflow::{self, Settings, Switch, Traced};
use crate::facts::ovs::{OvsBridge, OvsPort, OvsState};
use crate::facts::routes::{Roads, Wire};
use crate::formats::cni::{NetConf, Port};
use crate::host::Host;

/// The most NICs of a bridge to follow through it.
pub(super) const MOST: usize = 32;

/// A pod's NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// `namespace/name` of the pod.
    pub pod: String,
    /// The pod's id.
    pub uid: String,
    /// The interface's name in the pod.
    pub name: String,
    /// The network, `namespace/name`; none for the pod network.
    pub network: Option<String>,
    /// Its MAC address.
    pub mac: String,
    /// Its address.
    pub ip: Option<IpAddr>,
    /// The Linux bridge that its peer belongs to; none when unknown or not applicable.
    pub bridge: Option<String>,
    /// What its Open vSwitch port should carry; none when unknown, or checked elsewhere.
    pub carried: Option<Port>,
}

/// A frame followed through a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    pub bridge: String,
    /// `net1 of default/a (veth1)`.
    pub from: String,
    /// Where it should arrive; none for a broadcast.
    pub to: Option<(String, Option<u32>)>,
    /// The ports at both ends.
    pub ports: Vec<String>,
    /// What the bridge does to the frame, or why that is unknown.
    pub end: std::result::Result<Traced, String>,
}

/// The gathered state.
#[derive(Clone, Debug, Default)]
pub struct Datapath {
    /// The NICs concerned.
    pub nics: Vec<Nic>,
    /// The bridges with ports of pods.
    pub switches: Vec<Switch>,
    /// Why Open vSwitch could not be read.
    pub switch_unseen: Option<String>,
    /// Open vSwitch's ports; none when not installed.
    pub state: Option<OvsState>,
    /// The followed frames.
    pub followed: Vec<Followed>,
    /// How many NICs were not followed.
    pub left: usize,
    /// How many pods were not inspected.
    pub closed: usize,
    /// The other nodes' ends of flannel's tunnel, as they publish them.
    pub tunnels: Vec<Tunnel>,
    /// Links, routes and forwarding.
    pub roads: Roads,
    /// The packet filters.
    pub firewall: Firewall,
    /// Each inspected pod's links, by its id.
    pub inside: BTreeMap<String, Vec<Wire>>,
    /// Each pod's own routes and filters, by its id.
    pub decides: BTreeMap<String, Inside>,
    /// The node's podCIDR.
    pub own_range: Option<ipnet::IpNet>,
    /// The podCIDRs of other nodes.
    pub other_ranges: Vec<(String, ipnet::IpNet)>,
    /// Whether flannel provides the pod network.
    pub flannel: bool,
    /// Whether to check only these NICs, and not the whole node.
    pub only: bool,
    /// Whether to check only what two NICs on this node send each other.
    pub between: bool,
}

/// Another node's end of flannel's tunnel, from its annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    pub node: String,
    /// The MAC address of the tunnel's end.
    pub mac: String,
    /// The node's own address.
    pub at: String,
    /// The node's podCIDR.
    pub range: Option<ipnet::IpNet>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bridges that wait for a controller.
    FailMode,
    /// Flows and ports of Open vSwitch.
    Flows,
    /// Links, MTUs and Linux bridges.
    Links,
    /// Forwarding and routes.
    Forwarding,
    /// Packet filters.
    Firewall,
}

/// The result for a part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What does not work: code, what, and what to do.
    pub broken: Vec<(&'static str, String, String)>,
    /// What could not be checked, and why.
    pub unknown: Vec<String>,
    /// What drops traffic, though not these NICs'.
    pub warns: Vec<String>,
    /// What was checked and holds; empty when there is nothing to check.
    pub holds: String,
}

impl Judged {
    /// Adds what is broken.
    pub fn breaks(&mut self, code: &'static Code, what: impl Into<String>, hint: impl Into<String>) {
        self.broken.push((code.id, what.into(), hint.into()));
    }
}

impl Datapath {
    /// Whether a port is orphaned: its pod is gone.
    pub(super) fn is_left(&self, port: &str) -> bool {
        let port = self.state.as_ref().and_then(|state| state.port(port));
        let owner = port.and_then(|(_, port)| port.external_ids.get("contPodUid"));
        owner.is_some_and(|owner| !self.nics.iter().any(|nic| nic.uid == *owner))
    }

    /// Whether a port is a VLAN bridge: its link is the node's own end, and down until the node itself uses it.
    pub(super) fn is_vlan_bridge(&self, port: &str) -> bool {
        self.state.as_ref().is_some_and(|state| state.vlan_bridge(port).is_some())
    }

    /// Gathers what the NICs' traffic goes through; with `only`, nothing else.
    pub async fn gather(
        host: &dyn Host,
        nics: Vec<Nic>,
        nodes: &[Value],
        own: Option<&str>,
        only: bool,
    ) -> Result<Self> {
        let mut seen = Self { nics, only, roads: Roads::read(host).await?, ..Self::default() };
        seen.firewall = Firewall::read(host).await?;
        seen.flannel = seen.roads.wire("flannel.1").is_some();
        for node in nodes {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let Some(range) = node["spec"]["podCIDR"].as_str().and_then(|range| range.parse().ok()) else {
                continue;
            };
            seen.flannel |=
                node["metadata"]["annotations"]["flannel.alpha.coreos.com/backend-type"] == "vxlan";
            if Some(name) == own {
                seen.own_range = Some(range);
            } else {
                seen.tunnels.extend(tunnel(node, range));
                seen.other_ranges.push((name.to_owned(), range));
            }
        }
        if seen.flannel {
            for nic in seen.nics.iter_mut().filter(|nic| nic.network.is_none()) {
                nic.bridge = Some("cni0".into());
            }
        }
        if !seen.tunnels.is_empty() && seen.roads.wire("flannel.1").is_some() {
            seen.roads.look_at_tunnel(host, "flannel.1").await?;
        }
        seen.look_at_switches(host).await?;
        seen.look_inside(host).await?;
        Ok(seen)
    }

    async fn look_at_switches(&mut self, host: &dyn Host) -> Result<()> {
        if host.find("ovs-vsctl").await?.is_none() {
            return Ok(());
        }
        let Ok(state) = OvsState::read(host).await else {
            self.switch_unseen = Some("no answer from Open vSwitch".into());
            return Ok(());
        };
        let settings = match Settings::read(host).await? {
            Ok(settings) => settings,
            Err(why) => {
                self.switch_unseen = Some(why);
                return Ok(());
            }
        };
        let mut switches = Vec::new();
        let has_own = |bridge: &&OvsBridge| {
            let is_own = |port: &OvsPort| self.nics.iter().any(|nic| port.is_of(&nic.uid, &nic.name));
            !self.only || bridge.ports.iter().any(is_own)
        };
        for bridge in state.bridges.iter().filter(has_own) {
            switches.push(Switch::read(host, &settings, &bridge.name).await?);
        }
        self.switches = switches;
        self.state = Some(state);
        let numbers = openflow::numbers(host).await?;
        self.follow_all(host, &numbers).await
    }

    /// Follows a broadcast of each NIC, and a packet to the next NIC in its VLAN: each sends and receives once.
    async fn follow_all(&mut self, host: &dyn Host, numbers: &BTreeMap<String, u32>) -> Result<()> {
        let ends = ovs::ends(self);
        self.left = ends.len().saturating_sub(MOST);
        for end in ends.iter().take(MOST) {
            let Some(switch) = self.switches.iter().find(|switch| switch.name == end.bridge) else {
                continue;
            };
            if switch.silent.is_some() {
                continue;
            }
            let bridge = end.bridge.clone();
            let at = numbers.get(&end.port).copied();
            let mut frames = vec![(ovs::broadcast(end), end.shown(), None, vec![end.port.clone()])];
            if let Some(next) = ovs::next(&ends, end) {
                let to = Some((next.shown(), numbers.get(&next.port).copied()));
                let ports = vec![end.port.clone(), next.port.clone()];
                frames.push((ovs::packet(end, next), end.shown(), to, ports));
            } else if let Some((port, number)) = ovs::other(self, end) {
                let [to_it, from_it] = ovs::with_stranger(end, number);
                let ports = vec![end.port.clone(), port];
                frames.push((to_it, "another port".into(), Some((end.shown(), at)), ports.clone()));
                frames.push((from_it, end.shown(), None, ports));
            }
            for (frame, from, to, ports) in frames {
                let end = openflow::follow(host, &bridge, &frame).await?;
                self.followed.push(Followed { bridge: bridge.clone(), from, to, ports, end });
            }
        }
        // The port of a terminating pod may be gone by now.
        if let Ok(now) = OvsState::read(host).await {
            self.followed.retain(|frame| frame.ports.iter().all(|port| now.port(port).is_some()));
        }
        Ok(())
    }

    async fn look_inside(&mut self, host: &dyn Host) -> Result<()> {
        let mut uids: Vec<String> = self.nics.iter().map(|nic| nic.uid.clone()).collect();
        uids.dedup();
        self.closed = uids.len().saturating_sub(MOST);
        uids.truncate(MOST);
        for uid in uids {
            let Some(process) = super::process_of(host, &uid).await? else { continue };
            let (links, decides) = datapath_inside::look(host, process).await?;
            self.decides.insert(uid.clone(), decides);
            if let Some(links) = links {
                self.inside.insert(uid, links);
            }
        }
        Ok(())
    }

    /// Drops what two NICs on one network do not need of the node, depending on whether `both` are here.
    pub fn narrow(&mut self, both: bool, pods: bool) {
        self.between = both;
        if both || !pods {
            self.other_ranges.clear();
            self.tunnels.clear();
        }
        self.flannel &= pods;
    }

    /// The interface in the pod that carries a NIC's frames: KubeVirt renames a NIC that it bridges.
    pub fn inner(&self, nic: &Nic) -> Option<&Wire> {
        let all = self.inside.get(&nic.uid)?;
        let by_name = |name: &str| all.iter().find(|wire| wire.name == name);
        by_name(&super::pod_links::renamed(&nic.name)).or_else(|| by_name(&nic.name))
    }

    /// The result for a part.
    pub fn judge(&self, part: Part) -> Judged {
        match part {
            Part::FailMode => ovs::fail_mode(self),
            Part::Flows => ovs::flows(self),
            Part::Links => pods::links(self),
            Part::Forwarding => pods::forwarding(self),
            Part::Firewall => super::datapath_firewall::firewall(self),
        }
    }
}

fn tunnel(node: &Value, range: ipnet::IpNet) -> Option<Tunnel> {
    let annotation =
        |name: &str| node["metadata"]["annotations"][format!("flannel.alpha.coreos.com/{name}")].as_str();
    let data: Value = serde_json::from_str(annotation("backend-data")?).ok()?;
    Some(Tunnel {
        node: node["metadata"]["name"].as_str()?.to_owned(),
        mac: data["VtepMAC"].as_str()?.to_ascii_lowercase(),
        at: annotation("public-ip")?.to_owned(),
        range: Some(range),
    })
}

/// Adds to each NIC what its network's definition says.
pub fn define(nics: &mut [Nic], networks: &[Value]) {
    for nic in nics.iter_mut() {
        let Some(network) = nic.network.as_deref() else { continue };
        let own = networks.iter().find(|one| {
            let metadata = &one["metadata"];
            let full = (metadata["namespace"].as_str(), metadata["name"].as_str());
            network.split_once('/').is_some_and(|(namespace, name)| full == (Some(namespace), Some(name)))
        });
        let config = own.and_then(|one| NetConf::parse(one["spec"]["config"].as_str()?));
        let Some(config) = config else { continue };
        nic.bridge = linux_bridge(&config);
        nic.carried = config.port();
    }
}

/// A pod's NICs as reported by Multus; without Multus, the one on the pod network.
pub fn nics_of(pod: &Value) -> Vec<Nic> {
    let metadata = &pod["metadata"];
    if pod["spec"]["hostNetwork"] == true {
        return Vec::new();
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pod_name = format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
    let told = reported(pod);
    // An older Multus reports a network by another name than its attachment's.
    let wishes = asked(pod).wishes;
    let paired = pairs(&wishes, &told, &|_| None);
    let network = |index: usize| {
        let wish = paired.iter().position(|place| *place == Some(index)).and_then(|place| wishes.get(place));
        wish.map_or_else(|| told[index].network.clone(), Wish::network)
    };
    let nic = |(index, entry): (usize, &Reported)| Nic {
        pod: pod_name.clone(),
        uid: text(&metadata["uid"]),
        name: entry.interface.clone(),
        network: (!entry.default).then(|| network(index)),
        mac: entry.mac.clone().unwrap_or_default(),
        ip: entry.ips.first().copied(),
        bridge: None,
        carried: None,
    };
    let all = told.iter().enumerate().filter(|(_, entry)| !entry.interface.is_empty());
    let mut nics: Vec<Nic> = all.map(nic).collect();
    if !nics.iter().any(|nic| nic.network.is_none()) {
        let ip = pod["status"]["podIP"].as_str().and_then(|ip| ip.parse().ok());
        nics.extend(ip.map(|ip| Nic {
            pod: pod_name.clone(),
            uid: text(&metadata["uid"]),
            name: "eth0".into(),
            ip: Some(ip),
            ..Nic::default()
        }));
    }
    nics
}

#[cfg(test)]
#[path = "datapath_tests.rs"]
pub(crate) mod tests;
