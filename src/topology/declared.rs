//! What a profile will create.

use super::{Bridge, BridgeKind, Guest, GuestKind, Network, Nic, Node, POD_NETWORK, Topology, addresses};
use crate::profile::{self, Profile};

/// The topology that a profile describes, on one node.
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
    let conf = network.netconf();
    // A VLAN bridge is a VLAN of its parent.
    let (bridge, vlan) = match profile.port_of(network) {
        Some(port) => (Some(port.bridge), port.vlan),
        None => (conf.bridge().map(str::to_owned), conf.maker().and_then(|plugin| plugin.vlan)),
    };
    let subnet = addresses(&conf, profile);
    Network { name, kind: conf.kind().into(), bridge, vlan, subnet }
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
    let linux = profile.networks.iter().filter_map(|network| {
        let conf = network.netconf();
        let name = conf.bridge().filter(|_| conf.kind() == "bridge")?.to_owned();
        Some(Bridge { name, kind: BridgeKind::Linux, ..Bridge::default() })
    });
    let mut all: Vec<Bridge> = ovs.collect();
    for bridge in linux {
        if !all.contains(&bridge) {
            all.push(bridge);
        }
    }
    all
}

/// The VLANs that attachments name on a bridge.
fn vlans_of(name: &str, profile: &Profile) -> Vec<u16> {
    let ports = profile.networks.iter().filter_map(|network| network.netconf().port());
    let on_it = ports.filter(|port| port.bridge == name);
    on_it.flat_map(|port| port.trunks.into_iter().chain(port.vlan)).collect()
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
    use crate::formats::cni::NetConf;

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
    fn a_network_whose_addresses_others_give_is_not_without_addresses() {
        let profile = profile::load("default", &[]).unwrap().profile;
        let from = |conf: serde_json::Value| addresses(&NetConf::read(conf.as_object().unwrap()), &profile);
        for (conf, expected) in [
            (serde_json::json!({"type": "flannel", "delegate": {}}), Some("10.244.0.0/16")),
            (serde_json::json!({"type": "macvlan", "ipam": {"type": "dhcp"}}), Some("dhcp")),
            (serde_json::json!({"type": "ovs", "bridge": "blue", "ipam": {}}), None),
            (serde_json::json!({"type": "ovs", "bridge": "blue"}), None),
        ] {
            assert_eq!(from(conf.clone()).as_deref(), expected, "{conf}");
        }
    }

    #[test]
    fn a_raw_network_is_drawn_as_what_it_says() {
        let mut profile = profile::load("default", &[]).unwrap().profile;
        let config = serde_json::json!({"plugins": [{"type": "tuning"}, {"type": "ovs", "bridge": "blue",
            "vlan": 30, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.20.30.0/24"}]]}}]});
        let kind = profile::NetworkKind::Raw { config: config.as_object().unwrap().clone() };
        profile.networks = vec![profile::Network::new("lan", kind)];
        let topology = declared(&profile, "");
        let lan = topology.networks.iter().find(|network| network.name == "default/lan").unwrap();
        let seen = (lan.kind.as_str(), lan.bridge.as_deref(), lan.vlan, lan.subnet.as_deref());
        assert_eq!(seen, ("ovs", Some("blue"), Some(30), Some("10.20.30.0/24")));
        assert_eq!(topology.nodes[0].bridges[0].vlans, [30]);
    }

    #[test]
    fn a_vlan_bridge_is_a_vlan_of_its_parent() {
        let profile = profile::load("walkthrough-2018", &[]).unwrap().profile;
        let topology = declared(&profile, "n0");
        let blue100 = topology.networks.iter().find(|network| network.name == "default/ovs-blue100").unwrap();
        assert_eq!((blue100.bridge.as_deref(), blue100.vlan), (Some("blue"), Some(100)));
    }
}
