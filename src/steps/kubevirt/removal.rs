//! What `down` has to know before it removes KubeVirt, and what KubeVirt leaves on the nodes.

use camino::Utf8Path;
use serde_json::Value;

use crate::cluster::{Cluster, ObjectKey};
use crate::engine::change::Change;
use crate::engine::execute::is_ours;
use crate::error::{Error, Result, code};
use crate::host::Host;

/// The domain that KubeVirt's labels and annotations share.
const DOMAIN: &str = "kubevirt.io";

/// virt-handler's one label outside of that domain.
const CPU_MANAGER: &str = "cpumanager";

/// Refuses a removal that cannot succeed: VMs that are not kvnet's would be deleted, or the operator that has to clean
/// up is gone.
pub async fn refuse_blocked(cluster: &Cluster, resource: &ObjectKey) -> Result<()> {
    let Some(live) = cluster.get(resource).await?.filter(is_ours) else { return Ok(()) };
    let foreign = foreign_machines(cluster, &resource.api_version).await?;
    if !foreign.is_empty() {
        let message =
            format!("KubeVirt runs virtual machines that kvnet did not create: {}", foreign.join(", "));
        return Err(Error::new(&code::DOWN_BLOCKED, message).hint(
            "delete them first, or keep KubeVirt: `kvnet down --skip kubevirt,flannel,multus,cni-order`",
        ));
    }
    let operator = ObjectKey::new("apps/v1", "Deployment", resource.namespace.as_deref(), "virt-operator");
    let has_finalizers = live["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty());
    if has_finalizers && cluster.get(&operator).await?.is_none() {
        let message = format!("{resource} can only be removed by its operator, and {operator} is gone");
        return Err(Error::new(&code::DOWN_BLOCKED, message)
            .hint("reinstall it with `kvnet up --only kubevirt`, then run `kvnet down` again"));
    }
    Ok(())
}

async fn foreign_machines(cluster: &Cluster, api_version: &str) -> Result<Vec<String>> {
    let (machines, instances) = futures::try_join!(
        cluster.list(api_version, "VirtualMachine", None, None),
        cluster.list(api_version, "VirtualMachineInstance", None, None)
    )?;
    let owned = |object: &&Value| object.pointer("/metadata/ownerReferences/0").is_some();
    let foreign = machines.iter().chain(&instances).filter(|object| !is_ours(object) && !owned(object));
    Ok(foreign.map(|object| ObjectKey::of(object).to_string()).collect())
}

/// Removes what KubeVirt wrote about a node and leaves there. Not its devices in the node's capacity: kubelet remembers them
/// for some minutes, writes them again, and then says 0.
pub fn clean(node: &Value) -> Option<Change> {
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_object().into_iter().flat_map(|map| map.keys());
        names.filter(|name| is_kubevirts(name)).cloned().collect()
    };
    let labels = names(&node["metadata"]["labels"]);
    let annotations = names(&node["metadata"]["annotations"]);
    let empty = labels.is_empty() && annotations.is_empty();
    let node = node["metadata"]["name"].as_str()?.to_owned();
    (!empty).then_some(Change::CleanNode {
        node,
        labels,
        annotations,
        resources: Vec::new(),
        conditions: Vec::new(),
    })
}

/// Removes the sockets of device plugins that only some releases and settings have: SEV, IOMMU, the profile's own devices.
/// The known ones are removed as traces.
pub async fn sockets(host: &dyn Host, directory: &Utf8Path, known: &[&str]) -> Result<Vec<Change>> {
    let names = host.list(directory).await?.unwrap_or_default();
    let is_kubevirts = |name: &&String| {
        name.strip_prefix("kubevirt-").is_some_and(|rest| rest.strip_suffix(".sock").is_some())
            && !known.contains(&name.as_str())
    };
    let removal = |name: &String| Change::RemoveFile { path: directory.join(name), before: None };
    Ok(names.iter().filter(is_kubevirts).map(removal).collect())
}

/// What ovs-cni writes is in the same domain and belongs to another step.
fn is_kubevirts(name: &str) -> bool {
    let domain = name.split('/').next().unwrap_or_default();
    name == CPU_MANAGER
        || (domain == DOMAIN || domain.ends_with(&format!(".{DOMAIN}")))
            && !domain.ends_with("network.kubevirt.io")
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use serde_json::json;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::steps::testing::{cluster, list};

    const RESOURCE: &str = "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt";
    const OPERATOR: &str = "/apis/apps/v1/namespaces/kubevirt/deployments/virt-operator";

    async fn refusal(machines: &[Value], instances: &[Value], operator: bool) -> Option<Error> {
        let ours = json!({"app.kubernetes.io/managed-by": "kvnet"});
        let resource = json!({"metadata": {"name": "kubevirt", "labels": ours, "finalizers": ["foregroundDeleteKubeVirt"]}});
        let mut answers = vec![
            (RESOURCE, resource),
            ("/apis/kubevirt.io/v1/virtualmachines", list(machines)),
            ("/apis/kubevirt.io/v1/virtualmachineinstances", list(instances)),
        ];
        if operator {
            answers.push((OPERATOR, json!({"metadata": {"name": "virt-operator"}})));
        }
        let key = ObjectKey::new("kubevirt.io/v1", "KubeVirt", Some("kubevirt"), "kubevirt");
        refuse_blocked(&cluster(&answers), &key).await.err()
    }

    #[tokio::test]
    async fn others_machines_and_a_missing_operator_stop_the_removal() {
        let machine = |metadata: Value| json!({ "metadata": metadata });
        let ours = machine(json!({"name": "a", "labels": {"app.kubernetes.io/managed-by": "kvnet"}}));
        let theirs = machine(json!({"name": "web", "namespace": "shop"}));
        let owned = machine(
            json!({"name": "web", "namespace": "shop", "ownerReferences": [{"kind": "VirtualMachine"}]}),
        );
        assert!(refusal(from_ref(&ours), from_ref(&ours), true).await.is_none());
        let error = refusal(&[theirs], &[owned, ours.clone()], true).await.unwrap();
        assert_eq!(error.code().id, "KVN613");
        assert!(error.message().ends_with("kvnet did not create: VirtualMachine shop/web"), "{error}");
        let error = refusal(&[], &[ours], false).await.unwrap();
        assert!(error.hints()[0].contains("--only kubevirt"), "{error}");
    }

    #[test]
    fn only_kubevirts_own_marks_go() {
        let node = json!({
            "metadata": {
                "name": "n0",
                "labels": {"kubevirt.io/schedulable": "true", "cpu-model.node.kubevirt.io/Penryn": "true", "a": "b",
                    "cpumanager": "false"},
                "annotations": {"kubevirt.io/heartbeat": "now", "flannel.alpha.coreos.com/public-ip": "1"},
            },
            "status": {"capacity": {"cpu": "2", "devices.kubevirt.io/kvm": "0"}},
        });
        let Some(Change::CleanNode { labels, annotations, resources, .. }) = clean(&node) else {
            panic!("{node}")
        };
        assert_eq!(labels, ["kubevirt.io/schedulable", "cpu-model.node.kubevirt.io/Penryn", "cpumanager"]);
        assert_eq!(annotations, ["kubevirt.io/heartbeat"]);
        assert_eq!(resources, [""; 0]);
        assert_eq!(clean(&json!({"metadata": {"name": "n0"}})), None);
    }

    #[tokio::test]
    async fn sockets_of_devices_that_only_some_have_go_and_those_of_others_stay() {
        let names = [
            "kubelet.sock",
            "kubevirt-kvm.sock",
            "kubevirt-sev.sock",
            "kubevirt-example.org-gpu.sock",
            "other.sock",
        ];
        let host = names.iter().fold(FakeHost::new(), |host, name| host.file(&format!("/d/{name}"), ""));
        let changes = sockets(&host, Utf8Path::new("/d"), &["kubevirt-kvm.sock"]).await.unwrap();
        let paths: Vec<&str> = changes
            .iter()
            .filter_map(|change| match change {
                Change::RemoveFile { path, .. } => Some(path.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(paths, ["/d/kubevirt-example.org-gpu.sock", "/d/kubevirt-sev.sock"]);
        assert_eq!(sockets(&host, Utf8Path::new("/none"), &[]).await.unwrap(), []);
    }
}
