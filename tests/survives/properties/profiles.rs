//! Profiles that are valid, as people would write them.

use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::{Value, json};

/// Names of bridges. Two names are one bridge's only once.
const BRIDGES: [&str; 4] = ["blue", "red", "br-lab", "ovs0"];
const VLANS: [(&str, u16); 3] = [("v10", 10), ("v100", 100), ("v4094", 4094)];
/// Namespaces that every cluster has.
const NAMESPACES: [&str; 2] = ["default", "kube-public"];

/// A profile as its text.
pub fn any_profile() -> impl Strategy<Value = String> {
    (switch(), parts(), prop::collection::vec(network(), 0..5)).prop_map(|(bridges, parts, networks)| {
        let has_switch = parts.ovs && parts.flannel;
        let bridges = if has_switch { bridges } else { Vec::new() };
        let names: Vec<&str> = bridges.iter().map(|bridge| bridge["name"].as_str().unwrap()).collect();
        let usable = |network: &Network| parts.flannel && (network.kind != "ovs" || !names.is_empty());
        let networks: Vec<Value> = networks
            .iter()
            .filter(|network| usable(network))
            .enumerate()
            .map(|(index, network)| network.written(index, &names))
            .collect();
        parts.written(has_switch, &bridges, &networks).to_string()
    })
}

/// What is on, and how.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent, and named where they are set")]
struct Parts {
    flannel: bool,
    ovs: bool,
    kubevirt: bool,
    kernel: bool,
    copy: bool,
    verified: bool,
    flavour: &'static str,
    backend: &'static str,
    pull: &'static str,
    datapath: &'static str,
    namespace: &'static str,
}

fn parts() -> impl Strategy<Value = Parts> {
    let on = (
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.8),
        // It takes half of a run's time.
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop::bool::weighted(0.8),
    );
    let how = (
        select(vec!["thick", "thin"]),
        select(vec!["vxlan", "host-gw"]),
        select(vec!["IfNotPresent", "Always", "Never"]),
        select(vec!["auto", "system", "netdev"]),
        select(vec!["kube-flannel", "pod-network"]),
    );
    (on, how).prop_map(|((flannel, ovs, kubevirt, kernel, copy, verified), how)| {
        let (flavour, backend, pull, datapath, namespace) = how;
        let (kubevirt, verified) = (kubevirt && flannel, verified && flannel);
        Parts { flannel, ovs, kubevirt, kernel, copy, verified, flavour, backend, pull, datapath, namespace }
    })
}

impl Parts {
    fn written(&self, has_switch: bool, bridges: &[Value], networks: &[Value]) -> Value {
        json!({
            "name": "random",
            "cluster": {"kernel": self.kernel || self.flannel, "kubeconfig": {"copy": self.copy}},
            "flannel": {"enabled": self.flannel, "backend": self.backend, "namespace": self.namespace},
            // Without a pod network there is nothing that it could hand pods on to.
            "multus": {"enabled": self.flannel, "flavour": self.flavour},
            "ovs": {"enabled": has_switch, "datapath": self.datapath, "bridges": bridges},
            "ovsCni": {"enabled": has_switch},
            "networks": networks,
            "kubevirt": {"enabled": self.kubevirt},
            "vm": {"enabled": self.kubevirt, "interfaces": []},
            "verification": {"enabled": self.verified},
            "images": {"pullPolicy": self.pull},
        })
    }
}

/// Bridges with VLANs, and a card of the node for one of them.
fn switch() -> impl Strategy<Value = Vec<Value>> {
    let bridges = subsequence(BRIDGES.to_vec(), 0..=BRIDGES.len());
    let vlans = prop::collection::vec(subsequence(VLANS.to_vec(), 0..=VLANS.len()), BRIDGES.len());
    (bridges, vlans, any::<bool>()).prop_map(|(names, vlans, has_uplink)| {
        let bridge = |(index, name): (usize, &&str)| {
            let vlans = vlans[index].iter();
            // The name of a VLAN bridge is one of the node's, so it carries its number.
            let vlans =
                vlans.map(|(vlan, number)| json!({"name": format!("{vlan}-{index}"), "vlan": number}));
            let mut bridge = json!({"name": name, "vlans": vlans.collect::<Vec<_>>()});
            if has_uplink && index == 0 {
                bridge["uplink"] = "eth1".into();
            }
            bridge
        };
        names.iter().enumerate().map(bridge).collect()
    })
}

#[derive(Clone, Debug)]
struct Network {
    kind: &'static str,
    namespace: &'static str,
    version: &'static str,
    bridge: Index,
    vlan: Option<u16>,
    mtu: Option<u16>,
    has_addresses: bool,
}

fn network() -> impl Strategy<Value = Network> {
    let of = (
        select(vec!["ovs", "ovs", "bridge", "flannel", "raw"]),
        select(NAMESPACES.to_vec()),
        select(vec!["0.3.1", "0.4.0", "1.0.0"]),
        any::<Index>(),
        prop::option::of(1u16..=4094),
        prop::option::of(select(vec![1400u16, 9000])),
        any::<bool>(),
    );
    of.prop_map(|(kind, namespace, version, bridge, vlan, mtu, has_addresses)| Network {
        kind,
        namespace,
        version,
        bridge,
        vlan,
        mtu,
        has_addresses,
    })
}

impl Network {
    fn written(&self, index: usize, bridges: &[&str]) -> Value {
        let mut network =
            json!({"name": format!("net-{index}"), "namespace": self.namespace, "kind": self.kind});
        let addresses = json!({"subnet": format!("10.50.{index}.0/24")});
        match self.kind {
            "ovs" => {
                network["bridge"] = (*self.bridge.get(bridges)).into();
                network["cniVersion"] = self.version.into();
                if let Some(vlan) = self.vlan {
                    network["vlan"] = vlan.into();
                }
                if let Some(mtu) = self.mtu {
                    network["mtu"] = mtu.into();
                }
            }
            "bridge" => {
                network["bridge"] = format!("lin{index}").into();
                network["isGateway"] = self.has_addresses.into();
            }
            "flannel" => network["delegate"] = json!({"isDefaultGateway": false}),
            _ => {
                network["config"] =
                    json!({"cniVersion": self.version, "type": "bridge", "bridge": format!("raw{index}")});
            }
        }
        if self.has_addresses && ["ovs", "bridge"].contains(&self.kind) {
            network["ipam"] = addresses;
        }
        network
    }
}
