//! What is followed, and the networks that it asks for.

use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::{Cluster, ObjectKey};
use crate::error::{Error, Result, code};
use crate::facts::attachments::{asked, is_name};

/// A pod or a virtual machine instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is a virtual machine instance.
    pub machine: bool,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
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
    /// Whether the guest is behind the pod's address.
    pub masquerade: bool,
    /// The NIC in the pod; none when the pod leaves its name to Multus.
    pub interface: Option<String>,
    /// Whether its definition is there.
    pub defined: bool,
    /// The CNI configuration; none when the definition is missing or cannot be read.
    pub config: Option<Value>,
    /// The Open vSwitch bridge, when it is one.
    pub bridge: Option<String>,
}

/// What a user names: a target, or a name that may be that of a pod or of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether it is a virtual machine instance; none when that is to be looked up.
    machine: Option<bool>,
    namespace: String,
    name: String,
}

impl Wanted {
    /// Reads `NAME`, `vmi/NAME` or `pod/NAME`, with a namespace before the name or not.
    ///
    /// # Errors
    /// `KVN100` for anything else.
    pub fn parse(text: &str, namespace: &str) -> Result<Self> {
        let kind = text.split_once('/').and_then(|(kind, rest)| Some((kind_of(kind)?, rest)));
        let (machine, rest) = kind.map_or((None, text), |(machine, rest)| (Some(machine), rest));
        let (namespace, name) = rest.split_once('/').unwrap_or((namespace, rest));
        if !is_name(name) || !is_name(namespace) {
            let message = format!("`{text}` has no valid name of a VM or a pod");
            return Err(Error::new(&code::USAGE, message)
                .hint("write `NAME`, `vmi/NAME` or `pod/NAME`, or `NAMESPACE/NAME` for NAME"));
        }
        Ok(Self { machine, namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The target; a name without a kind is looked up. The version is that of KubeVirt's API.
    ///
    /// # Errors
    /// `KVN628` when a name is that of both a pod and a VM, or of none; those of the cluster.
    pub async fn find(self, cluster: &Cluster, version: &str) -> Result<Target> {
        let Self { machine, namespace, name } = self;
        let of_kind = |machine| Target { machine, namespace: namespace.clone(), name: name.clone() };
        if let Some(machine) = machine {
            return Ok(of_kind(machine));
        }
        let (pod, instance) = (of_kind(false), of_kind(true));
        let keys = (pod.key(version), instance.key(version));
        let found = futures::try_join!(cluster.get(&keys.0), cluster.get(&keys.1))?;
        let spellings = format!("`pod/{namespace}/{name}` or `vmi/{namespace}/{name}`");
        match (found.0.is_some(), found.1.is_some()) {
            (true, false) => Ok(pod),
            (false, true) => Ok(instance),
            (true, true) => {
                let message = format!("both a pod and a VM in {namespace} have the name {name}");
                Err(Error::new(&code::TRACE_TARGET, message).hint(format!("write {spellings}")))
            }
            (false, false) => {
                let message = format!("there is neither a pod nor a VM {name} in {namespace}");
                let hint = "name it as `NAMESPACE/NAME`, or give `--namespace`; a VM must have been started";
                Err(Error::new(&code::TRACE_TARGET, message).hint(hint))
            }
        }
    }
}

/// Whether a kind is that of VMs; none when it is neither theirs nor that of pods.
fn kind_of(word: &str) -> Option<bool> {
    match word {
        "vmi" | "vm" | "virtualmachineinstance" | "virtualmachine" => Some(true),
        "pod" | "po" => Some(false),
        _ => None,
    }
}

impl Target {
    /// The object behind it; the version is that of KubeVirt's API.
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
            interface,
            nic: Some(name),
            ..Attachment::default()
        })
    };
    list("/spec/networks").iter().filter_map(attachment).collect()
}

/// KubeVirt's name for the NIC of a network in the launcher's pod.
fn pod_interface(network: &str, secondary: bool) -> String {
    if !secondary {
        return "eth0".into();
    }
    let digest = format!("{:x}", Sha256::digest(network));
    format!("pod{}", &digest[..11])
}

/// The networks of a pod: the pod network, and those of its annotation that have a valid name.
pub fn of_pod(pod: &Value) -> Vec<Attachment> {
    let primary = Attachment { interface: Some("eth0".into()), ..Attachment::default() };
    let secondary = asked(pod).wishes.into_iter().map(|wish| Attachment {
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
    use crate::facts::cni::NETWORKS;
    use crate::steps::testing::cluster;

    async fn found(text: &str, objects: &[(&str, Value)]) -> Result<String> {
        let wanted = Wanted::parse(text, "n")?;
        Ok(wanted.find(&cluster(objects), "kubevirt.io/v1").await?.to_string())
    }

    #[tokio::test]
    async fn targets_are_machines_or_pods() {
        assert_eq!(found("vmi/a", &[]).await.unwrap(), "vmi/a in n");
        assert_eq!(found("pod/other/a", &[]).await.unwrap(), "pod/a in other");
        for text in ["/", "pod/", "pod/a/b/c", "pod/A", "pod/a?x", "a/b/c", "A", ""] {
            assert_eq!(found(text, &[]).await.unwrap_err().code().id, "KVN100", "{text}");
        }
        let old = Target { machine: true, namespace: "n".into(), name: "a".into() };
        assert_eq!(old.key("kubevirt.io/v1alpha2").api_version, "kubevirt.io/v1alpha2");
    }

    #[tokio::test]
    async fn a_name_alone_is_looked_up() {
        let pod = || ("/api/v1/namespaces/n/pods/a", json!({"kind": "Pod"}));
        let instance = || {
            let path = "/apis/kubevirt.io/v1/namespaces/n/virtualmachineinstances/a";
            (path, json!({"kind": "VirtualMachineInstance"}))
        };
        for name in ["a", "n/a"] {
            assert_eq!(found(name, &[pod()]).await.unwrap(), "pod/a in n");
            assert_eq!(found(name, &[instance()]).await.unwrap(), "vmi/a in n");
            let both = found(name, &[pod(), instance()]).await.unwrap_err();
            assert_eq!((both.code().id, both.hints()), ("KVN628", vec!["write `pod/n/a` or `vmi/n/a`"]));
            let none = found(name, &[]).await.unwrap_err();
            assert_eq!(none.code().id, "KVN628");
        }
    }

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
