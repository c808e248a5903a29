//! What the lines of a written profile mean, in a few words.

use serde_json::Value;

use crate::components;

/// By path; `[]` is each item of a list.
const LINES: [(&str, &str); 30] = [
    ("cluster", "the cluster and its node"),
    ("cluster.init", "`kubeadm init`"),
    ("cluster.init.enabled", "creates the cluster when the node has none"),
    ("cluster.podSubnet", "the cluster's pod CIDR; must match it"),
    ("flannel.enabled", "false: there is another pod network"),
    ("multus.enabled", "false: one NIC is enough"),
    ("multus.masterCni", "the file that makes the first NIC"),
    ("ovs", "Open vSwitch"),
    ("ovs.enabled", "false: no bridges"),
    ("ovs.bridges", "replaces the base's list"),
    ("ovs.bridges[].name", "the bridge"),
    ("ovs.bridges[].datapath", "kernel or user space"),
    ("ovs.bridges[].uplink", "a NIC without an address"),
    ("ovs.bridges[].vlans", "VLAN bridges of the host"),
    ("ovs.bridges[].vlans[].name", "the VLAN bridge"),
    ("ovs.bridges[].vlans[].vlan", "its VLAN"),
    ("ovsCni.enabled", "false: no bridges to connect to"),
    ("networks", "replaces the base's list"),
    ("networks[].name", "what pods ask for"),
    ("networks[].kind", "what makes the NIC"),
    ("networks[].bridge", "where the NIC is connected"),
    ("networks[].vlan", "its VLAN, isolated from others"),
    ("networks[].ipam", "pods get an address"),
    ("networks[].ipam.subnet", "of this range"),
    ("networks[].ipam.dataDir", "where leases are kept"),
    ("networks[].isGateway", "the bridge has an address too"),
    ("networks[].cniVersion", "of the configuration"),
    ("kubevirt.enabled", "false: no virtual machines"),
    ("kubevirt.emulation", "software emulation: auto, on or off"),
    ("vm", "the sample virtual machine"),
];
/// More of them.
const VM_LINES: [(&str, &str); 6] = [
    ("vm.enabled", "false: none is made"),
    ("vm.interfaces", "its NICs, in their order"),
    ("vm.interfaces[].name", "the NIC within the VM"),
    ("vm.interfaces[].network", "`pod`, or one of the networks"),
    ("vm.interfaces[].binding", "how it is connected"),
    ("vm.interfaces[].macAddress", "its hardware address"),
];

/// What a line means; empty for a path that the wizard never writes.
pub fn explain(path: &str) -> String {
    let of_component = components::releases().find_map(|(component, release)| match path {
        path if path == component.section => Some(release.purpose.to_owned()),
        path if path == release.field => Some(format!("the release of {}", release.part.name())),
        _ => None,
    });
    let line = LINES.iter().chain(&VM_LINES).find(|(known, _)| *known == path);
    of_component.or_else(|| line.map(|(_, text)| (*text).to_owned())).unwrap_or_default()
}

/// A sentence above an item of a list.
pub fn introduce(path: &str, item: &Value) -> Option<String> {
    let text = |key: &str| item[key].as_str();
    match path {
        "ovs.bridges[]" => Some(match text("uplink") {
            Some(card) => format!("Reaches the physical network through {card}."),
            None => "Connects what runs on this node.".into(),
        }),
        "networks[]" if text("kind") == Some("ovs") => {
            let bridge = text("bridge")?;
            let traffic = item["vlan"].as_u64().map(|vlan| format!("VLAN {vlan} of {bridge}"));
            let traffic = traffic.unwrap_or_else(|| format!("Untagged traffic of {bridge}"));
            let has_addresses = item["ipam"].is_object();
            Some(format!("{traffic}{}.", if has_addresses { "" } else { ", layer 2 only" }))
        }
        "networks[]" => Some("A Linux bridge, made when a pod first uses it.".into()),
        "vm.interfaces[]" => Some(match text("network")? {
            "pod" => "On the pod network.".into(),
            network => format!("Directly on {network}, next to the pods on it."),
        }),
        _ => None,
    }
}
