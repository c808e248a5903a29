//! Whether a condition holds, and the current state otherwise: pure over the objects that decide it.

use serde_json::Value;

use super::{Condition, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey};
use crate::formats::object::text;

/// Which objects decide a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scope {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub selector: Option<String>,
    /// The version of a server that does not serve the other yet.
    pub older: Option<String>,
}

impl Scope {
    pub fn object(key: &ObjectKey) -> Self {
        Self {
            api_version: key.api_version.clone(),
            kind: key.kind.clone(),
            namespace: key.namespace.clone(),
            name: Some(key.name.clone()),
            selector: None,
            older: None,
        }
    }

    pub fn nodes() -> Self {
        let (api_version, kind) = ("v1".to_owned(), "Node".to_owned());
        Self { api_version, kind, namespace: None, name: None, selector: None, older: None }
    }

    pub fn pods(namespace: &str, selector: &str) -> Self {
        Self {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: Some(namespace.to_owned()),
            name: None,
            selector: Some(selector.to_owned()),
            older: None,
        }
    }

    pub fn all_pods(namespace: &str) -> Self {
        Self { selector: None, ..Self::pods(namespace, "") }
    }

    /// The scope of a condition; none when the API does not decide it.
    pub fn of(condition: &Condition) -> Option<Self> {
        Some(match condition {
            Condition::Established { crd } => {
                let key = ObjectKey::new("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, crd);
                // Kubernetes before 1.16.
                Self { older: Some("apiextensions.k8s.io/v1beta1".into()), ..Self::object(&key) }
            }
            Condition::RolledOut { object }
            | Condition::True { object, .. }
            | Condition::Field { object, .. }
            | Condition::Gone { object } => Self::object(object),
            Condition::NodesReady | Condition::NodesAddressed | Condition::NodeResource { .. } => {
                Self::nodes()
            }
            Condition::File { .. } => return None,
        })
    }
}

/// Whether a condition holds, given the object or the nodes that it is about, and the current state.
pub fn holds_in(condition: &Condition, objects: &[Value]) -> (bool, String) {
    match condition {
        Condition::Gone { .. } => gone(objects.first()),
        Condition::NodesReady => nodes_ready(objects),
        Condition::NodesAddressed => nodes_addressed(objects),
        Condition::NodeResource { resource } => node_resource(resource, objects),
        Condition::File { path } => (false, format!("{path} is not known to the API")),
        _ => objects.first().map_or((false, "it does not exist".into()), |object| one(condition, object)),
    }
}

fn one(condition: &Condition, object: &Value) -> (bool, String) {
    match condition {
        Condition::Established { .. } => is_true(object, "Established"),
        Condition::RolledOut { .. } => rolled_out(object),
        Condition::True { kind, .. } => is_true(object, kind),
        Condition::Field { pointer, value, .. } => field(object, pointer, value),
        _ => (false, String::new()),
    }
}

fn gone(object: Option<&Value>) -> (bool, String) {
    let Some(object) = object else { return (true, "it is gone".into()) };
    let finalizers: Vec<&str> = strings(object, "/metadata/finalizers");
    let now = match (text(object, "/metadata/deletionTimestamp").is_empty(), finalizers.is_empty()) {
        (true, _) => "it still exists and is not being deleted".into(),
        (false, true) => "it is being deleted".into(),
        (false, false) => format!("it is being deleted and waits for {}", finalizers.join(", ")),
    };
    (false, now)
}

fn is_true(object: &Value, kind: &str) -> (bool, String) {
    let Some(condition) = condition_of(object, kind) else {
        return (false, format!("it has no condition {kind} yet"));
    };
    if text(condition, "/status") == "True" {
        return (true, format!("it is {kind}"));
    }
    (false, format!("not {kind}{}", explanation(condition)))
}

fn field(object: &Value, pointer: &str, wanted: &str) -> (bool, String) {
    let name = pointer.rsplit('/').next().unwrap_or(pointer);
    let Some(value) = object.pointer(pointer) else { return (false, format!("{name} is not set yet")) };
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (value == wanted, format!("{name} is {value}"))
}

fn nodes_ready(nodes: &[Value]) -> (bool, String) {
    let waiting: Vec<String> = nodes.iter().filter_map(why_not_ready).collect();
    match (nodes.len(), waiting.is_empty()) {
        (0, _) => (false, "there are no nodes".into()),
        (count, true) => (true, format!("{count} of {count} nodes are Ready")),
        _ => (false, waiting.join("; ")),
    }
}

fn nodes_addressed(nodes: &[Value]) -> (bool, String) {
    let without = nodes.iter().filter(|node| text(node, "/spec/podCIDR").is_empty());
    let without: Vec<&str> = without.map(|node| text(node, "/metadata/name")).collect();
    match (nodes.len(), without.is_empty()) {
        (0, _) => (false, "there are no nodes".into()),
        (_, true) => (true, "all nodes have a podCIDR".into()),
        _ => (false, format!("no podCIDR yet: {}", without.join(", "))),
    }
}

fn why_not_ready(node: &Value) -> Option<String> {
    let (ready, now) = is_true(node, "Ready");
    (!ready).then(|| format!("node {}: {now}", text(node, "/metadata/name")))
}

fn node_resource(resource: &str, nodes: &[Value]) -> (bool, String) {
    let capacity = |node: &Value| node.pointer("/status/capacity").and_then(Value::as_object).cloned();
    let all: Vec<(String, Value)> = nodes.iter().filter_map(capacity).flatten().collect();
    if all.iter().any(|(name, amount)| name == resource && amount.as_str() != Some("0")) {
        return (true, format!("{resource} is offered"));
    }
    let domain = resource.split_once('/').map_or(resource, |(domain, _)| domain);
    let mut related: Vec<&str> =
        all.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with(domain)).collect();
    related.sort_unstable();
    related.dedup();
    let others = if related.is_empty() { String::new() } else { format!(", only {}", related.join(", ")) };
    (false, format!("no node offers {resource}{others}"))
}

/// Whether a DaemonSet, Deployment or StatefulSet has rolled out its newest generation with at least one pod, and the
/// current state.
pub fn rolled_out(object: &Value) -> (bool, String) {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    if number("/status/observedGeneration") < number("/metadata/generation") || object.get("status").is_none()
    {
        return (false, "its controller has not observed the change yet".into());
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (wanted, updated, ready, old) = match text(object, "/kind") {
        "DaemonSet" => (
            number("/status/desiredNumberScheduled"),
            number("/status/updatedNumberScheduled"),
            number("/status/numberReady"),
            0,
        ),
        "StatefulSet" => (wanted, number("/status/updatedReplicas"), number("/status/readyReplicas"), 0),
        _ => {
            let updated = number("/status/updatedReplicas");
            (wanted, updated, number("/status/readyReplicas"), number("/status/replicas") - updated)
        }
    };
    // Pods of that strategy are replaced manually, so the old ones count. Those of kvnet's own sets are replaced by
    // kvnet.
    let by_hand = text(object, "/spec/updateStrategy/type") == "OnDelete" && !replaces_pods(object);
    let current = by_hand || (updated >= wanted && old <= 0);
    let now = match (wanted, current) {
        (0, _) => "no pods desired".to_owned(),
        (_, false) => format!("{updated} of {wanted} updated, {ready} ready"),
        (_, true) => format!("{ready} of {wanted} ready"),
    };
    (wanted >= 1 && current && ready >= wanted, now)
}

/// Whether kvnet itself replaces the pods of a set, because its controller does not.
pub fn replaces_pods(object: &Value) -> bool {
    text(object, "/kind") == "DaemonSet"
        && text(object, "/spec/updateStrategy/type") == "OnDelete"
        && object["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY
}

/// The condition of a type in `status.conditions`.
pub fn condition_of<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| text(condition, "/type") == kind)
}

/// `: message`, or `: reason`, or nothing.
pub(super) fn explanation(condition: &Value) -> String {
    let message = text(condition, "/message");
    let reason = text(condition, "/reason");
    match (message.is_empty(), reason.is_empty()) {
        (false, _) => format!(": {}", message.trim_end_matches('.')),
        (true, false) => format!(": {reason}"),
        (true, true) => String::new(),
    }
}

fn strings<'a>(object: &'a Value, pointer: &str) -> Vec<&'a str> {
    let list = object.pointer(pointer).and_then(Value::as_array);
    list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn daemon_set(generation: i64, desired: i64, updated: i64, ready: i64) -> Value {
        json!({"kind": "DaemonSet", "metadata": {"generation": generation}, "status": {"observedGeneration": 2,
            "desiredNumberScheduled": desired, "updatedNumberScheduled": updated, "numberReady": ready}})
    }

    #[test]
    fn a_roll_out_needs_the_newest_generation_and_a_pod() {
        let table = [
            (daemon_set(2, 1, 1, 1), true, "1 of 1 ready"),
            (daemon_set(3, 1, 1, 1), false, "its controller has not observed the change yet"),
            (daemon_set(2, 0, 0, 0), false, "no pods desired"),
            (daemon_set(2, 2, 1, 2), false, "1 of 2 updated, 2 ready"),
            (daemon_set(2, 2, 2, 1), false, "1 of 2 ready"),
            (
                json!({"kind": "DaemonSet", "metadata": {"generation": 1}}),
                false,
                "its controller has not observed the change yet",
            ),
            (
                json!({"kind": "Deployment", "metadata": {"generation": 1}, "spec": {"replicas": 2}, "status":
                    {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 2, "readyReplicas": 3}}),
                false,
                "2 of 2 updated, 3 ready",
            ),
        ];
        for (object, holds, now) in table {
            assert_eq!(rolled_out(&object), (holds, now.to_owned()));
        }
    }

    #[test]
    fn a_node_says_why_it_is_not_ready() {
        let node = json!({"metadata": {"name": "n0"}, "status": {"conditions": [{"type": "Ready", "status": "False",
            "reason": "KubeletNotReady", "message": "container runtime network not ready: cni plugin not initialized"}]}});
        let (holds, now) = holds_in(&Condition::NodesReady, &[node]);
        assert!(!holds);
        assert_eq!(
            now,
            "node n0: not Ready: container runtime network not ready: cni plugin not initialized"
        );
    }

    #[test]
    fn a_missing_resource_names_its_neighbours() {
        let node = json!({"status": {"capacity": {"cpu": "2", "ovs-cni.network.kubevirt.io/red": "1k"}}});
        let condition = |resource: &str| Condition::NodeResource { resource: resource.into() };
        assert!(holds_in(&condition("ovs-cni.network.kubevirt.io/red"), std::slice::from_ref(&node)).0);
        assert_eq!(
            holds_in(&condition("ovs-cni.network.kubevirt.io/blue"), &[node]).1,
            "no node offers ovs-cni.network.kubevirt.io/blue, only ovs-cni.network.kubevirt.io/red"
        );
    }

    #[test]
    fn something_being_deleted_names_its_finalizers() {
        let object = ObjectKey::new("v1", "Namespace", None, "x");
        let live = json!({"metadata": {"deletionTimestamp": "now", "finalizers": ["foregroundDeletion"]}});
        let condition = Condition::Gone { object };
        assert_eq!(holds_in(&condition, &[live]).1, "it is being deleted and waits for foregroundDeletion");
        assert!(holds_in(&condition, &[]).0);
    }
}
