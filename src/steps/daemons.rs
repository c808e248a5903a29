//! `DaemonSets` whose controller does not replace pods when the template changes (`OnDelete`, what `extensions/v1beta1`
//! defaults to): kvnet deletes the old pods of its own, and their controller makes new ones.

use serde_json::Value;

use super::objects::Live;
use crate::cluster::{Cluster, ObjectKey, replaces_pods};
use crate::engine::change::Change;
use crate::error::Result;

/// The label with the template generation of a pod.
const GENERATION: &str = "pod-template-generation";
/// The annotation with the template generation, in the API groups after `extensions`.
const KEPT: &str = "deprecated.daemonset.template.generation";

/// The pods of a set that are not terminating.
pub async fn pods(cluster: &Cluster, set: &Value) -> Result<Vec<Value>> {
    let namespace = set["metadata"]["namespace"].as_str();
    let pods = cluster.list("v1", "Pod", namespace, None).await?;
    Ok(pods
        .into_iter()
        .filter(|pod| is_of(pod, set) && pod["metadata"]["deletionTimestamp"].is_null())
        .collect())
}

/// Deletions of the pods whose template is not the set's, once `change` is made.
pub fn old(set: &Value, change: Option<&Change>, live: &Live) -> Vec<Change> {
    if !replaces_pods(set) {
        return Vec::new();
    }
    let now = generation(set);
    let all = changes_template(change);
    let is_old = |pod: &&Value| {
        let made = &pod["metadata"]["labels"][GENERATION];
        is_of(pod, set)
            && (all || made.as_str().is_some_and(|made| now.as_deref().is_some_and(|now| made != now)))
    };
    let mut keys: Vec<ObjectKey> = live.values().filter(is_old).map(ObjectKey::of).collect();
    keys.sort();
    keys.into_iter().map(|object| Change::Delete { object }).collect()
}

fn is_of(pod: &Value, set: &Value) -> bool {
    let owner = &pod["metadata"]["ownerReferences"][0];
    pod["kind"] == "Pod" && owner["kind"] == "DaemonSet" && owner["uid"] == set["metadata"]["uid"]
}

/// The generation of the set's template.
fn generation(set: &Value) -> Option<String> {
    let kept = set["metadata"]["annotations"][KEPT].as_str().map(str::to_owned);
    set["spec"]["templateGeneration"].as_i64().map(|number| number.to_string()).or(kept)
}

fn changes_template(change: Option<&Change>) -> bool {
    let Some(Change::Apply { before: Some(fields), .. }) = change else { return false };
    fields.iter().any(|field| field.path.starts_with("spec.template"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::objects::diff;
    use super::*;
    use crate::steps::testing::lines;

    fn set(image: &str, strategy: &str) -> Value {
        json!({
            "apiVersion": "extensions/v1beta1", "kind": "DaemonSet",
            "metadata": {"name": "d", "namespace": "n", "uid": "u", "generation": 2,
                "labels": {"app.kubernetes.io/managed-by": "kvnet", "kvnet.dev/step": "multus"}},
            "spec": {"templateGeneration": 2, "updateStrategy": {"type": strategy},
                "template": {"spec": {"containers": [{"name": "c", "image": image}]}}},
            "status": {"observedGeneration": 2, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberReady": 1},
        })
    }

    fn pod(generation: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "d-1", "namespace": "n",
            "labels": {GENERATION: generation}, "ownerReferences": [{"kind": "DaemonSet", "uid": "u"}]}})
    }

    fn found(wanted: &Value, live: &[Value]) -> Vec<String> {
        let live = live.iter().map(|object| (ObjectKey::of(object), object.clone())).collect();
        lines(&diff("multus", std::slice::from_ref(wanted), &live, 60).unwrap())
    }

    #[test]
    fn pods_of_an_older_template_are_replaced() {
        let live = set("i:1", "OnDelete");
        assert_eq!(found(&live, &[live.clone(), pod("2")]), [""; 0]);
        assert_eq!(found(&live, &[live.clone(), pod("1")]), ["delete Pod n/d-1"]);
        let changed = found(&set("i:2", "OnDelete"), &[live, pod("2")]);
        assert_eq!(changed[..2], ["change DaemonSet n/d", "delete Pod n/d-1"]);
        assert!(changed[2].starts_with("wait for DaemonSet n/d"), "{changed:?}");
    }

    #[test]
    fn a_set_that_replaces_its_pods_itself_is_left_alone() {
        let live = set("i:1", "RollingUpdate");
        assert_eq!(found(&live, &[live.clone(), pod("1")]), [""; 0]);
    }
}
