//! The traced object, and the networks that it asks for.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::ObjectKey;
use crate::facts::attachments::{asked, reported};

/// A pod or a virtual machine instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is a virtual machine instance.
    pub machine: bool,
    pub namespace: String,
    pub name: String,
}

/// One network of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The `NetworkAttachmentDefinition` as `namespace/name`; none for the pod network.
    pub network: Option<String>,
    /// The name of the VM's NIC; none for a pod.
    pub nic: Option<String>,
    /// The MAC address that the guest's NIC has.
    pub mac: Option<String>,
    /// Whether the guest is NATed behind the pod's address.
    pub masquerade: bool,
    /// The binding of a VM's NIC: `bridge`, `masquerade`, `sriov`; none for a pod, or when unknown.
    pub binding: Option<String>,
    /// The NIC in the pod; none when the pod leaves its name to Multus.
    pub interface: Option<String>,
    /// Whether its definition exists.
    pub defined: bool,
    /// The CNI configuration; none when the definition is missing or invalid.
    pub config: Option<Value>,
    /// The Open vSwitch bridge, when it is one.
    pub bridge: Option<String>,
    /// The file on the node that configures it, or why there is none; none when the definition has a configuration.
    pub file: Option<std::result::Result<String, String>>,
}

impl Target {
    /// The object's key; the version is that of KubeVirt's API.
    pub fn key(&self, version: &str) -> ObjectKey {
        let (version, kind) = if self.machine { (version, "VirtualMachineInstance") } else { ("v1", "Pod") };
        ObjectKey::new(version, kind, Some(&self.namespace), &self.name)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.machine { "vmi" } else { "pod" };
        write!(f, "{kind}/{} in {}", self.name, self.namespace)
    }
}

/// The networks of a virtual machine instance, in its own order.
pub fn of_machine(instance: &Value, namespace: &str) -> Vec<Attachment> {
    let list =
        |pointer: &str| instance.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let (interfaces, status) = (list("/spec/domain/devices/interfaces"), list("/status/interfaces"));
    let attachment = |network: &Value| {
        let named = |all: &[Value]| all.iter().find(|one| one["name"] == network["name"]).cloned();
        let (wanted, seen) = (named(&interfaces).unwrap_or_default(), named(&status).unwrap_or_default());
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let name = text(&network["name"])?;
        let definition = text(&network["multus"]["networkName"]);
        let interface =
            text(&seen["podInterfaceName"]).or_else(|| Some(pod_interface(&name, definition.is_some())));
        Some(Attachment {
            network: definition.map(|definition| qualified(&definition, namespace)),
            mac: text(&seen["mac"])
                .or_else(|| text(&wanted["macAddress"]))
                .map(|mac| mac.to_ascii_lowercase()),
            masquerade: wanted.get("masquerade").is_some(),
            binding: binding_of(&wanted),
            interface,
            nic: Some(name),
            ..Attachment::default()
        })
    };
    list("/spec/networks").iter().filter_map(attachment).collect()
}

/// How the guest's NIC is connected to the pod's.
fn binding_of(interface: &Value) -> Option<String> {
    const BINDINGS: [&str; 7] =
        ["bridge", "masquerade", "sriov", "macvtap", "passt", "passtBinding", "slirp"];
    let named = interface["binding"]["name"].as_str();
    let own = BINDINGS.into_iter().find(|binding| interface.get(*binding).is_some());
    own.or(named).map(str::to_owned)
}

/// KubeVirt's name for the NIC of a network in the virt-launcher pod.
fn pod_interface(network: &str, secondary: bool) -> String {
    if !secondary {
        return "eth0".into();
    }
    let digest = format!("{:x}", Sha256::digest(network));
    format!("pod{}", &digest[..11])
}

/// A pod's networks: the pod network, and those with a valid name in its annotation, or those that it has.
pub fn of_pod(pod: &Value) -> Vec<Attachment> {
    let primary = Attachment { interface: Some("eth0".into()), ..Attachment::default() };
    let asked = asked(pod);
    let has = reported(pod).into_iter().filter(|nic| !nic.default && nic.network.contains('/'));
    let has: Vec<Attachment> = has
        .map(|nic| Attachment {
            network: Some(nic.network),
            interface: Some(nic.interface).filter(|name| !name.is_empty()),
            ..Attachment::default()
        })
        .collect();
    // An annotation that was broken after the start does not tell what the pod has.
    if asked.refusal().is_some() && !has.is_empty() {
        return std::iter::once(primary).chain(has).collect();
    }
    let secondary = asked.wishes.into_iter().map(|wish| Attachment {
        network: Some(wish.network()),
        interface: wish.interface,
        ..Attachment::default()
    });
    std::iter::once(primary).chain(secondary).collect()
}

fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::formats::cni::NETWORKS;

    #[test]
    fn a_pod_asks_in_words_or_in_json() {
        let networks = |text: &str| {
            let pod = json!({"metadata": {"namespace": "n", "annotations": {NETWORKS: text}}});
            let found = of_pod(&pod).into_iter().skip(1);
            found.map(|a| (a.network.unwrap_or_default(), a.interface)).collect::<Vec<_>>()
        };
        assert_eq!(
            networks("a, other/b@net7"),
            [("n/a".into(), None), ("other/b".into(), Some("net7".into()))]
        );
        assert_eq!(
            networks(r#"[{"name":"a","interface":"podx"},{"name":"b","namespace":"other"}]"#),
            [("n/a".into(), Some("podx".into())), ("other/b".into(), None)]
        );
        assert_eq!(networks(""), []);
    }

    #[test]
    fn a_machine_that_does_not_run_yet_has_the_names_that_it_will_have() {
        let mut instance = json!({"spec": {
            "networks": [{"name": "default", "pod": {}}, {"name": "blue", "multus": {"networkName": "ovs-blue"}}],
            "domain": {"devices": {"interfaces": [
                {"name": "default", "masquerade": {}, "macAddress": "02:00:00:00:00:0A"}, {"name": "blue", "bridge": {}}]}}}});
        let found = of_machine(&instance, "n");
        assert_eq!(found[0].mac.as_deref(), Some("02:00:00:00:00:0a"));
        assert!(found[0].masquerade && found[0].network.is_none());
        // The name that the notes of a first bring-up on a real node have for a network `blue`.
        assert_eq!(found[1].interface.as_deref(), Some("pod16477688c0e"));
        assert_eq!(found[1].network.as_deref(), Some("n/ovs-blue"));
        instance["status"]["interfaces"] =
            json!([{"name": "blue", "mac": "02:00:00:00:00:0b", "podInterfaceName": "net1"}]);
        let found = of_machine(&instance, "n");
        assert_eq!(
            (found[1].interface.as_deref(), found[1].mac.as_deref()),
            (Some("net1"), Some("02:00:00:00:00:0b"))
        );
    }
}
