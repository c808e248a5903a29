//! What a user names: kinds as in kubectl, and why the object is not found.

use crate::cluster::{Cluster, ObjectKey};
use crate::error::{Error, Result, code};
use crate::formats::names::{is_label, is_subdomain};
use crate::trace::Target;

/// What a user names: a target, or a bare name of a pod or a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Whether it is a virtual machine instance; none when to be looked up.
    machine: Option<bool>,
    namespace: String,
    name: String,
    /// The kind as written, where it could also be a namespace.
    word: Option<String>,
}

impl Wanted {
    /// Parses `NAME`, `vmi/NAME` or `pod/NAME`, with or without a namespace before the name; kinds as in kubectl.
    /// Fails with `KVN100` for anything else.
    pub fn parse(text: &str, namespace: &str) -> Result<Self> {
        let kind = text.split_once('/').and_then(|(kind, rest)| Some((kind_of(kind)?, rest)));
        let (machine, rest) = kind.map_or((None, text), |(machine, rest)| (Some(machine), rest));
        let (own, name) = match rest.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, rest),
        };
        let wrong = |message: String| {
            Err(Error::new(&code::USAGE, message)
                .hint("write `NAME`, `vmi/NAME` or `pod/NAME`, or `NAMESPACE/NAME` for NAME"))
        };
        if own.is_none() && !is_label(namespace) {
            return Err(Error::new(&code::USAGE, format!("`{namespace}` is not a valid namespace name"))
                .hint("`--namespace` takes just the name: `kubectl get namespaces` lists them"));
        }
        let namespace = own.unwrap_or(namespace);
        if !is_label(namespace) {
            return wrong(format!("`{text}` has an invalid namespace: `{namespace}`"));
        }
        if !is_subdomain(name) {
            return wrong(format!("`{text}` has no valid VM or pod name"));
        }
        let before = kind.and_then(|_| text.split_once('/')).map(|(kind, _)| kind.to_owned());
        let word = before.filter(|_| own.is_none());
        Ok(Self { machine, namespace: namespace.to_owned(), name: name.to_owned(), word })
    }

    /// The target; a name without a kind is looked up. The version is that of KubeVirt's API.
    /// Fails with `KVN628` when a name is that of both a pod and a VM, or of neither.
    pub async fn find(self, cluster: &Cluster, version: &str) -> Result<Target> {
        let Self { machine, namespace, name, .. } = &self;
        let of_kind = |machine| Target { machine, namespace: namespace.clone(), name: name.clone() };
        if let Some(machine) = *machine {
            let target = of_kind(machine);
            if cluster.get(&target.key(version)).await?.is_some() {
                return Ok(target);
            }
            let message = format!("{target} not found");
            return Err(self.missing(cluster, version, message).await?);
        }
        let (pod, instance) = (of_kind(false), of_kind(true));
        let keys = (pod.key(version), instance.key(version));
        let found = futures::try_join!(cluster.get(&keys.0), cluster.get(&keys.1))?;
        let spellings = format!("`pod/{namespace}/{name}` or `vmi/{namespace}/{name}`");
        match (found.0.is_some(), found.1.is_some()) {
            (true, false) => Ok(pod),
            (false, true) => Ok(instance),
            (true, true) => {
                let message = format!("both a pod and a VM in {namespace} are named {name}");
                Err(Error::new(&code::TRACE_TARGET, message).hint(format!("write {spellings}")))
            }
            (false, false) => {
                let message = format!("no pod or VM {name} in {namespace}");
                Err(self.missing(cluster, version, message).await?)
            }
        }
    }

    /// Why a target is not found: no such namespace, a stopped VM, or another kind.
    async fn missing(&self, cluster: &Cluster, version: &str, message: String) -> Result<Error> {
        let Self { machine, namespace, name, word } = self;
        let error = |message: String| Error::new(&code::TRACE_TARGET, message);
        // A namespace named like a kind.
        if let Some(word) = word {
            let kind = if *machine == Some(true) { "vmi" } else { "pod" };
            let there =
                Target { machine: *machine == Some(true), namespace: word.clone(), name: name.clone() };
            if is_subdomain(word) && cluster.get(&there.key(version)).await?.is_some() {
                return Ok(
                    error(message).hint(format!("in the namespace {word} it is `{kind}/{word}/{name}`"))
                );
            }
        }
        let space = ObjectKey::new("v1", "Namespace", None, namespace);
        // Without permission to read namespaces, only the name is reported.
        if matches!(cluster.get(&space).await, Ok(None)) {
            let what = format!("{message}: namespace {namespace} does not exist");
            return Ok(error(what).hint(match other_kind(namespace) {
                Some(kind) => {
                    format!("only pods and VMs can be traced: name a pod of the {kind}, `pod/NAME`")
                }
                None => "write `NAMESPACE/NAME`, or pass `--namespace`: `kubectl get namespaces` lists them"
                    .into(),
            }));
        }
        let stopped = ObjectKey::new(version, "VirtualMachine", Some(namespace), name);
        if *machine != Some(false) && matches!(cluster.get(&stopped).await, Ok(Some(_))) {
            return Ok(error(format!("{message}: the VM is not running"))
                .hint(format!("start it: `virtctl start {name} --namespace {namespace}`")));
        }
        Ok(error(message).hint(match kind_of(name) {
            Some(_) => format!("`{name}` is a kind: write `{name}/NAME`"),
            None if *machine == Some(false) => {
                "write `pod/NAMESPACE/NAME`, or pass `--namespace`: `kubectl get pods --all-namespaces`"
                    .into()
            }
            None => "write `NAMESPACE/NAME`, or pass `--namespace`; a VM must be running".into(),
        }))
    }
}

/// Whether a kind means VMs or pods, as in kubectl, with or without a group; none for other kinds.
fn kind_of(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    let (kind, group) = word.split_once('.').unwrap_or((word.as_str(), ""));
    let is_of = |groups: &[&str]| {
        group.is_empty() || groups.iter().any(|it| group.trim_end_matches('.').ends_with(it))
    };
    match kind {
        "vmi"
        | "vmis"
        | "vm"
        | "vms"
        | "virtualmachineinstance"
        | "virtualmachineinstances"
        | "virtualmachine"
        | "virtualmachines" => is_of(&["kubevirt.io"]).then_some(true),
        "pod" | "pods" | "po" => is_of(&["v1"]).then_some(false),
        _ => None,
    }
}

/// Another kubectl kind, whose pods may be meant.
fn other_kind(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "deploy" | "deployment" | "deployments" => "Deployment",
        "ds" | "daemonset" | "daemonsets" => "DaemonSet",
        "sts" | "statefulset" | "statefulsets" => "StatefulSet",
        "rs" | "replicaset" | "replicasets" => "ReplicaSet",
        "job" | "jobs" | "cronjob" | "cronjobs" | "cj" => "Job",
        "svc" | "service" | "services" => "Service",
        "no" | "node" | "nodes" => "node",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::steps::testing::cluster;

    async fn found(text: &str, objects: &[(&str, Value)]) -> Result<String> {
        let wanted = Wanted::parse(text, "n")?;
        Ok(wanted.find(&cluster(objects), "kubevirt.io/v1").await?.to_string())
    }

    #[tokio::test]
    async fn targets_are_machines_or_pods() {
        let vmi = || {
            (
                "/apis/kubevirt.io/v1/namespaces/n/virtualmachineinstances/a",
                json!({"metadata": {"name": "a"}}),
            )
        };
        let pod = || ("/api/v1/namespaces/n/pods/a", json!({"kind": "Pod", "metadata": {"name": "a"}}));
        let both = || [pod(), vmi()];
        for kind in [
            "vmi",
            "vmis",
            "VM",
            "vms",
            "virtualmachines",
            "virtualmachineinstances.kubevirt.io",
            "vmi.v1.kubevirt.io",
        ] {
            assert_eq!(found(&format!("{kind}/a"), &both()).await.unwrap(), "vmi/a in n", "{kind}");
        }
        for kind in ["pod", "pods", "po", "Pods", "pods.v1."] {
            assert_eq!(found(&format!("{kind}/a"), &both()).await.unwrap(), "pod/a in n", "{kind}");
        }
        let other = ("/api/v1/namespaces/other/pods/a", json!({"kind": "Pod", "metadata": {"name": "a"}}));
        assert_eq!(found("pod/other/a", &[other]).await.unwrap(), "pod/a in other");
        for text in ["/", "pod/", "pod/a/b/c", "pod/A", "pod/a?x", "a/b/c", "A", ""] {
            assert_eq!(found(text, &[]).await.unwrap_err().code().id, "KVN100", "{text}");
        }
        let old = Target { machine: true, namespace: "n".into(), name: "a".into() };
        assert_eq!(old.key("kubevirt.io/v1alpha2").api_version, "kubevirt.io/v1alpha2");
    }

    #[tokio::test]
    async fn a_name_alone_is_looked_up() {
        let pod = || ("/api/v1/namespaces/n/pods/a", json!({"kind": "Pod", "metadata": {"name": "a"}}));
        let instance = || {
            let path = "/apis/kubevirt.io/v1/namespaces/n/virtualmachineinstances/a";
            (path, json!({"kind": "VirtualMachineInstance", "metadata": {"name": "a"}}))
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
    fn a_wrong_namespace_is_not_the_names_fault() {
        let told = |text: &str, namespace: &str| Wanted::parse(text, namespace).unwrap_err().to_string();
        assert_eq!(told("pod/x", "../kube-system"), "`../kube-system` is not a valid namespace name");
        assert_eq!(told("pod/Q_/x", "n"), "`pod/Q_/x` has an invalid namespace: `Q_`");
        assert_eq!(told("pod/X", "n"), "`pod/X` has no valid VM or pod name");
        // The target's own namespace overrides the option.
        assert!(Wanted::parse("pod/n/x", "../kube-system").is_ok());
    }

    #[tokio::test]
    async fn what_is_missing_is_told_with_its_reason() {
        let space = || ("/api/v1/namespaces/n", json!({"kind": "Namespace", "metadata": {"name": "n"}}));
        let told = async |text: &str, objects: &[(&str, Value)]| {
            let error = found(text, objects).await.unwrap_err();
            assert_eq!(error.code().id, "KVN628");
            (error.to_string(), error.hints().join("; "))
        };
        let (what, _) = told("pod/a", &[]).await;
        assert_eq!(what, "pod/a in n not found: namespace n does not exist");
        let (what, hint) = told("deploy/a", &[]).await;
        assert!(
            what.ends_with("namespace deploy does not exist")
                && hint.contains("name a pod of the Deployment"),
            "{hint}"
        );
        let (_, hint) = told("pods", &[space()]).await;
        assert_eq!(hint, "`pods` is a kind: write `pods/NAME`");
        let vm = (
            "/apis/kubevirt.io/v1/namespaces/n/virtualmachines/a",
            json!({"kind": "VirtualMachine", "metadata": {"name": "a"}}),
        );
        let (what, hint) = told("vm/a", &[space(), vm]).await;
        assert!(
            what.ends_with("the VM is not running") && hint.contains("virtctl start a"),
            "{what}: {hint}"
        );
        // A namespace named like a kind.
        let there = (
            "/apis/kubevirt.io/v1/namespaces/vms/virtualmachineinstances/a",
            json!({"metadata": {"name": "a"}}),
        );
        let (_, hint) = told("vms/a", &[there, space()]).await;
        assert_eq!(hint, "in the namespace vms it is `vmi/vms/a`");
    }
}
