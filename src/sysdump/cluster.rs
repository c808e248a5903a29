//! What the cluster says: objects, events, Multus' status of pods, logs.

use serde_json::Value;

use super::text::{containers, documents, nics, timeline};
use super::{Dump, all};
use crate::cluster::{Cluster, STEP_LABEL, is_ready};
use crate::context::Context;

/// The lines of a log that are kept.
const LINES: u32 = 2000;
/// The objects of all namespaces; kinds that the server does not know are left out. Secrets are never asked for.
const KINDS: [(&str, &str); 18] = [
    ("v1", "Node"),
    ("v1", "Namespace"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apiregistration.k8s.io/v1", "APIService"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
    ("kubevirt.io/v1", "KubeVirt"),
    ("kubevirt.io/v1", "VirtualMachine"),
    ("kubevirt.io/v1", "VirtualMachineInstance"),
    ("kubevirt.io/v1", "VirtualMachineInstanceMigration"),
    ("coordination.k8s.io/v1", "Lease"),
    ("storage.k8s.io/v1", "StorageClass"),
];
/// Namespaces whose pods make the cluster work.
const OF_SYSTEM: [&str; 4] = ["kube-system", "kube-flannel", "kubevirt", "default"];

/// Adds everything of the cluster.
pub async fn collect(cx: &Context, dump: &Dump) {
    let cluster = match cx.need_cluster().await {
        Ok(cluster) => cluster,
        Err(error) => return dump.lacks("cluster", &format!("[{}] {error}", error.code().id)),
    };
    let (pods, ()) = tokio::join!(pods(&cluster, dump), objects(&cluster, dump));
    let pods: Vec<&Value> = pods.iter().filter(|pod| has_story(pod)).collect();
    all(pods.iter().flat_map(|pod| containers(pod).map(|name| logs(&cluster, dump, pod, name)))).await;
}

async fn objects(cluster: &Cluster, dump: &Dump) {
    let of = async |(version, kind): (&str, &str)| {
        let name = format!("cluster/{kind}.yaml");
        if let Some(objects) = dump.part(&name, cluster.list(version, kind, None, None)).await {
            dump.put_redacted(&name, &documents(objects));
        }
    };
    all(KINDS.into_iter().map(of)).await;
    if let Some(events) = dump.part("cluster/events.txt", cluster.list("v1", "Event", None, None)).await {
        dump.put("cluster/events.txt", &timeline(&events));
    }
    dump.file("cluster/version.txt", async { cluster.version().await.map(|it| it.git_version + "\n") }).await;
}

async fn pods(cluster: &Cluster, dump: &Dump) -> Vec<Value> {
    let pods = dump.part("cluster/Pod.yaml", cluster.list("v1", "Pod", None, None)).await.unwrap_or_default();
    if !pods.is_empty() {
        dump.put("cluster/network-status.json", &nics(&pods));
    }
    dump.put_redacted("cluster/Pod.yaml", &documents(pods.clone()));
    pods
}

/// Whether a pod's log helps: a component's, a VM's, or that of one that does not work.
fn has_story(pod: &Value) -> bool {
    let labels = &pod["metadata"]["labels"];
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let is_known = !labels[STEP_LABEL].is_null() || !labels["kubevirt.io"].is_null();
    is_known || OF_SYSTEM.contains(&namespace) || !is_ready(pod)
}

/// The log of a container; of one that restarted, the log before that as well.
pub(super) async fn logs(cluster: &Cluster, dump: &Dump, pod: &Value, container: &str) {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    let (namespace, pod_name) = (text("namespace"), text("name"));
    let name = format!("logs/{namespace}/{pod_name}/{container}.log");
    dump.file(&name, cluster.logs(namespace, pod_name, Some(container), LINES)).await;
    if restarted(pod, container) {
        let name = format!("logs/{namespace}/{pod_name}/{container}.previous.log");
        dump.file(&name, cluster.logs_before(namespace, pod_name, container, LINES)).await;
    }
}

fn restarted(pod: &Value, container: &str) -> bool {
    let of = |field: &str| pod["status"][field].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut all = of("initContainerStatuses").iter().chain(of("containerStatuses"));
    all.any(|status| status["name"] == container && status["restartCount"].as_u64() > Some(0))
}
