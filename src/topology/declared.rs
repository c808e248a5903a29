//! What a profile makes, before it is there.

use super::{Bridge, BridgeKind, Guest, GuestKind, Network, Nic, Node, POD_NETWORK, Topology};
use crate::profile::{self, NetworkKind, Profile};

/// The topology that a profile describes, on one node.
#[must_use]
pub fn declared(profile: &Profile, node: &str) -> Topology {
    let pod = Network {
        name: POD_NETWORK.into(),
        kind: "flannel".into(),
        subnet: Some(profile.cluster.pod_subnet.clone()),
        ..Network::default()
    };
    let networks: Vec<Network> = std::iter::once(pod)
        .chain(profile.networks.iter().map(|network| attachment(network, profile)))
        .collect();
    let node = Node {
        name: if node.is_empty() { "the node".into() } else { node.to_owned() },
        bridges: bridges(profile),
        guests: guest(profile).into_iter().collect(),
        ..Node::default()
    };
    Topology { source: format!("profile {}", profile.name), nodes: vec![node], networks }.sorted()
}

fn attachment(network: &profile::Network, profile: &Profile) -> Network {
    let name = format!("{}/{}", network.namespace, network.name);
    let (kind, bridge, vlan, subnet) = match &network.kind {
        NetworkKind::Ovs { bridge, vlan, ipam, .. } => {
            ("ovs", Some(bridge.clone()), *vlan, ipam.as_ref().map(|ipam| ipam.subnet.clone()))
        }
        NetworkKind::Bridge { bridge, ipam, .. } => {
            ("bridge", Some(bridge.clone()), None, ipam.as_ref().map(|ipam| ipam.subnet.clone()))
        }
        NetworkKind::Flannel { .. } => ("flannel", None, None, Some(profile.cluster.pod_subnet.clone())),
        NetworkKind::Raw { config } => {
            (config.get("type").and_then(serde_json::Value::as_str).unwrap_or("other"), None, None, None)
        }
    };
    let (bridge, vlan) = on_parent(bridge, vlan, profile);
    Network { name, kind: kind.into(), bridge, vlan, subnet }
}

/// A VLAN bridge is a VLAN of its parent.
fn on_parent(bridge: Option<String>, vlan: Option<u16>, profile: &Profile) -> (Option<String>, Option<u16>) {
    for parent in &profile.ovs.bridges {
        if let Some(child) = parent.vlans.iter().find(|child| Some(&child.name) == bridge.as_ref()) {
            return (Some(parent.name.clone()), Some(child.vlan));
        }
    }
    (bridge, vlan)
}

fn bridges(profile: &Profile) -> Vec<Bridge> {
    let ovs = profile.ovs.bridges.iter().map(|bridge| {
        let mut vlans: Vec<u16> =
            bridge.vlans.iter().map(|child| child.vlan).chain(vlans_of(&bridge.name, profile)).collect();
        vlans.sort_unstable();
        vlans.dedup();
        let uplinks = bridge.uplink.iter().cloned().collect();
        Bridge { name: bridge.name.clone(), kind: BridgeKind::OpenVswitch, vlans, uplinks }
    });
    let linux = profile.networks.iter().filter_map(|network| match &network.kind {
        NetworkKind::Bridge { bridge, .. } => {
            Some(Bridge { name: bridge.clone(), kind: BridgeKind::Linux, ..Bridge::default() })
        }
        _ => None,
    });
    let mut all: Vec<Bridge> = ovs.chain(linux).collect();
    all.dedup();
    all
}

/// The VLANs that attachments name on a bridge.
fn vlans_of(name: &str, profile: &Profile) -> Vec<u16> {
    let vlan = |network: &profile::Network| match &network.kind {
        NetworkKind::Ovs { bridge, vlan, .. } if bridge == name => *vlan,
        _ => None,
    };
    profile.networks.iter().filter_map(vlan).collect()
}

fn guest(profile: &Profile) -> Option<Guest> {
    let vm = &profile.vm;
    if !vm.enabled || !profile.kubevirt.enabled {
        return None;
    }
    let nics = vm.interfaces.iter().map(|interface| Nic {
        name: interface.name.clone(),
        network: match interface.network.as_str() {
            "pod" => POD_NETWORK.into(),
            name if name.contains('/') => name.into(),
            name => format!("{}/{name}", vm.namespace),
        },
        ..Nic::default()
    });
    Some(Guest {
        kind: GuestKind::Vm,
        namespace: vm.namespace.clone(),
        name: vm.name.clone(),
        phase: "declared".into(),
        owner: None,
        nics: nics.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_one_node_with_its_bridge_and_a_vm() {
        let profile = profile::load("default", &[]).unwrap().profile;
        let topology = declared(&profile, "");
        let names: Vec<&str> = topology.networks.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(
            names,
            [
                POD_NETWORK,
                "default/ovs-blue",
                "default/ovs-blue-l2",
                "default/ovs-blue100",
                "default/a-bridge-network",
                "default/flannel-network"
            ]
        );
        let blue = &topology.nodes[0].bridges[0];
        assert_eq!((blue.name.as_str(), blue.vlans.as_slice()), ("blue", &[100][..]));
        let vm: Vec<&str> = topology.nodes[0].guests[0].nics.iter().map(|nic| nic.network.as_str()).collect();
        assert_eq!(vm, [POD_NETWORK, "default/ovs-blue-l2"]);
    }

    #[test]
    fn a_vlan_bridge_is_a_vlan_of_its_parent() {
        let profile = profile::load("walkthrough-2018", &[]).unwrap().profile;
        let topology = declared(&profile, "n0");
        let blue100 = topology.networks.iter().find(|network| network.name == "default/ovs-blue100").unwrap();
        assert_eq!((blue100.bridge.as_deref(), blue100.vlan), (Some("blue"), Some(100)));
    }
}
