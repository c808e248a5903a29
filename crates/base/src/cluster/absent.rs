//! Unreachable nodes: no kubelet confirms that a pod has ended, so what is deleted would be stuck in Terminating.

use std::time::Duration;

use serde_json::Value;

use super::conditions::condition_of;
use super::{Cluster, ObjectKey};
use crate::error::Result;
use crate::formats::object::text;

/// How often such pods are looked for; a live kubelet is faster.
const PAUSE: Duration = Duration::from_secs(5);

/// Whether the kubelet of a node has stopped reporting its status.
pub fn is_absent(node: &Value) -> bool {
    condition_of(node, "Ready").is_some_and(|ready| text(ready, "/status") == "Unknown")
}

impl Cluster {
    /// While an object is being deleted: force-deletes its pods on unreachable nodes, as `kubectl delete --force` does.
    /// A kubelet that comes back finds that they are gone. Never returns.
    pub async fn end_on_absent_nodes(&self, key: &ObjectKey) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(PAUSE).await;
            // Whatever goes wrong here, the deletion's own wait reports.
            let _ = Box::pin(self.end_once(key)).await;
        }
    }

    async fn end_once(&self, key: &ObjectKey) -> Result<()> {
        let nodes = self.list("v1", "Node", None, None).await?;
        if !nodes.iter().any(is_absent) {
            return Ok(());
        }
        let namespace = if key.kind == "Namespace" { Some(&key.name) } else { key.namespace.as_ref() };
        let pods = self.list("v1", "Pod", namespace.map(String::as_str), None).await?;
        for pod in pods.iter().filter(|pod| goes_with(pod, key) && is_on_absent(pod, &nodes)) {
            let pod = ObjectKey { api_version: "v1".into(), kind: "Pod".into(), ..ObjectKey::of(pod) };
            self.delete(&pod, Some(0)).await?;
        }
        Ok(())
    }
}

/// Whether a pod is terminating because of an object: it is that object, is in it, or comes from it.
fn goes_with(pod: &Value, key: &ObjectKey) -> bool {
    if text(pod, "/metadata/deletionTimestamp").is_empty() {
        return false;
    }
    let owner = text(pod, "/metadata/ownerReferences/0/name");
    match key.kind.as_str() {
        "Pod" => text(pod, "/metadata/name") == key.name,
        // An operator's pods go with the object that it manages.
        "Namespace" | "KubeVirt" => true,
        // A ReplicaSet has the name of its Deployment, and more.
        _ => owner == key.name || owner.strip_prefix(&key.name).is_some_and(|rest| rest.starts_with('-')),
    }
}

fn is_on_absent(pod: &Value, nodes: &[Value]) -> bool {
    let on = text(pod, "/spec/nodeName");
    nodes.iter().any(|node| text(node, "/metadata/name") == on && is_absent(node))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_pods_of_what_is_deleted_end_by_force() {
        let pod = |name: &str, owner: &str, leaves: bool| {
            let ends = if leaves { json!("2026-01-01T00:00:00Z") } else { Value::Null };
            json!({"metadata": {"name": name, "deletionTimestamp": ends, "ownerReferences": [{"name": owner}]}})
        };
        let key = |kind: &str, name: &str| ObjectKey::new("apps/v1", kind, Some("n"), name);
        for (pod, key, goes) in [
            (pod("a-1", "a", true), key("DaemonSet", "a"), true),
            (pod("a-1", "a", false), key("DaemonSet", "a"), false),
            (pod("a-1", "a-7c9", true), key("Deployment", "a"), true),
            (pod("ab-1", "ab", true), key("DaemonSet", "a"), false),
            (pod("db-0", "db", true), key("DaemonSet", "a"), false),
            (pod("db-0", "db", true), key("Pod", "db-0"), true),
            (pod("db-0", "db", true), key("Namespace", "n"), true),
        ] {
            assert_eq!(goes_with(&pod, &key), goes, "{pod} with {key}");
        }
    }

    #[test]
    fn a_node_that_says_that_it_is_not_ready_is_there() {
        let node = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert_eq!(["True", "False", "Unknown"].map(|status| is_absent(&node(status))), [false, false, true]);
    }
}
