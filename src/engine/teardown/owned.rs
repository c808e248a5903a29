//! The objects that kvnet made: all that carry its label, of every kind that the API server can list and delete, and those
//! that the journal names.

use std::collections::BTreeMap;

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::super::change::{Change, Outcome};
use super::super::execute::is_ours;
use super::super::journal::History;
use crate::cluster::{
    Cluster, FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey, STEP_LABEL, is_recorded,
};
use crate::components::ALL;
use crate::error::Result;
use crate::formats::cni::all_types;

/// How many kinds are listed at the same time.
const AT_ONCE: usize = 8;

/// The kinds whose place in the order of deletion matters: what uses something goes before it. A webhook goes before its
/// server, or nothing else could.
const ORDER: &[&str] = &[
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "VirtualMachine",
    "VirtualMachineInstance",
    "Pod",
    "KubeVirt",
    "NetworkAttachmentDefinition",
    OTHER,
    "CronJob",
    "Job",
    "StatefulSet",
    "Deployment",
    "ReplicaSet",
    "ReplicationController",
    "DaemonSet",
    "Service",
    "PersistentVolumeClaim",
    "PersistentVolume",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "RoleBinding",
    "Role",
    "ClusterRoleBinding",
    "ClusterRole",
    "PriorityClass",
    "CustomResourceDefinition",
    "Namespace",
];
/// The place of all other kinds: before the workloads, because a custom object may need its operator to go.
const OTHER: &str = "";

/// What kvnet created in the cluster.
#[derive(Debug, Default)]
pub struct Owned {
    /// The objects by the step that made them, in the order to delete them.
    pub objects: BTreeMap<String, Vec<ObjectKey>>,
    /// API versions that are currently unavailable: whether they have objects left cannot be seen.
    pub silent: Vec<String>,
    /// The objects among them that the journal names.
    pub unseen: Vec<ObjectKey>,
}

impl Owned {
    /// Lists every kind by label, and asks for what the journal names.
    ///
    /// # Errors
    /// Errors of the API server; an unavailable group is none.
    pub async fn find(cluster: &Cluster, history: &History) -> Result<Self> {
        let listing = cluster.deletable_kinds().await?;
        let selector = format!("{MANAGED_BY_LABEL}={MANAGED_BY}");
        let lists = listing.kinds.iter().map(|(version, kind)| {
            let selector = selector.as_str();
            async move { cluster.list(version, kind, None, Some(selector)).await }
        });
        let lists: Vec<Vec<Value>> =
            stream::iter(lists.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
        let mut owned = Self { silent: listing.silent, ..Self::default() };
        for object in lists.iter().flatten().filter(|object| is_own(object)) {
            let step = object["metadata"]["labels"][STEP_LABEL].as_str().unwrap_or_default();
            owned.add(step, ObjectKey::of(object));
        }
        for (step, key) in journaled(history) {
            if owned.silent.contains(&key.api_version) {
                owned.unseen.push(key);
                continue;
            }
            if !owned.has(&key) && cluster.get(&key).await?.is_some_and(|live| was_applied(&live)) {
                owned.add(step, key);
            }
        }
        for keys in owned.objects.values_mut() {
            keys.sort_by_key(|key| place(&key.kind));
        }
        Ok(owned)
    }

    /// Every object, whichever step made it.
    pub fn all(&self) -> impl Iterator<Item = &ObjectKey> {
        self.objects.values().flatten()
    }

    /// What cannot be listed, a line for each API version.
    pub fn gaps(&self) -> Vec<String> {
        let line = |version: &String| {
            let named = self.unseen.iter().filter(|key| key.api_version == *version);
            let named: Vec<String> = named.map(ToString::to_string).collect();
            let named =
                if named.is_empty() { String::new() } else { format!("; `up` created {}", named.join(", ")) };
            format!(
                "API {version} is currently unavailable: what is left of it cannot be listed{named}; the journal stays until then"
            )
        };
        self.silent.iter().map(line).collect()
    }

    fn has(&self, key: &ObjectKey) -> bool {
        self.all().any(|other| is_same(other, key))
    }

    /// The same object may be served in two versions.
    fn add(&mut self, step: &str, key: ObjectKey) {
        if !self.has(&key) {
            self.objects.entry(step.to_owned()).or_default().push(key);
        }
    }
}

/// The same object, in whatever version of its group.
pub(super) fn is_same(one: &ObjectKey, other: &ObjectKey) -> bool {
    let group = |key: &ObjectKey| key.api_version.rsplit_once('/').map(|(group, _)| group.to_owned());
    // DaemonSets were served by `extensions` too.
    let moved = |key: &ObjectKey| group(key).is_some_and(|group| group == "extensions");
    one.kind == other.kind
        && one.name == other.name
        && one.namespace == other.namespace
        && (group(one) == group(other) || moved(one) || moved(other))
}

/// What has an owner goes with it; the endpoints of a Service carry its labels and go with it as well.
fn is_own(object: &Value) -> bool {
    object.pointer("/metadata/ownerReferences/0").is_none() && object["kind"] != "Endpoints"
}

/// The objects that `up` created, with their steps.
fn journaled(history: &History) -> Vec<(&str, ObjectKey)> {
    let created = history.made().filter_map(|entry| match (&entry.change, &entry.outcome) {
        (Change::Apply { object, .. }, None | Some(Outcome::Created)) if entry.replaces.is_none() => {
            Some((entry.step.as_str(), ObjectKey::of(object)))
        }
        _ => None,
    });
    created.collect()
}

/// Whether kvnet wrote an object, even when its label was removed since.
fn was_applied(live: &Value) -> bool {
    let managers = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    is_ours(live) || is_recorded(live) || managers.into_iter().any(|entry| entry["manager"] == FIELD_MANAGER)
}

fn place(kind: &str) -> usize {
    let find = |wanted: &str| ORDER.iter().position(|kind| *kind == wanted);
    find(kind).or_else(|| find(OTHER)).unwrap_or_default()
}

/// Why an object cannot go: foreign objects are of its kind or in it.
pub(super) async fn foreign_users(cluster: Option<&Cluster>, key: &ObjectKey) -> Result<Option<String>> {
    let Some(cluster) = cluster else { return Ok(None) };
    match key.kind.as_str() {
        "CustomResourceDefinition" => {
            let group = key.name.split_once('.').map_or("", |(_, group)| group);
            let of_group: Vec<_> = ALL.iter().filter(|it| it.workloads.group == group).collect();
            if of_group.is_empty() {
                return Ok(None);
            }
            let all = cluster.list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", None, None).await?;
            let needs =
                |object: &&Value| of_group.iter().any(|it| (it.workloads.is_needed_by)(&called(object)));
            let foreign: Vec<String> =
                all.iter().filter(|object| !is_ours(object)).filter(needs).map(name_of).collect();
            Ok((!foreign.is_empty()).then(|| format!("in use by {}", foreign.join(", "))))
        }
        "Namespace" => {
            let pods = cluster.list("v1", "Pod", Some(&key.name), None).await?;
            let foreign = pods
                .iter()
                .filter(|pod| pod.pointer("/metadata/ownerReferences/0").is_none() && !is_ours(pod));
            let foreign: Vec<String> = foreign.map(name_of).collect();
            Ok((!foreign.is_empty()).then(|| format!("in use by pods {}", foreign.join(", "))))
        }
        _ => Ok(None),
    }
}

/// The plugins that an attachment calls.
fn called(attachment: &Value) -> Vec<String> {
    let config = attachment["spec"]["config"].as_str().unwrap_or_default();
    serde_json::from_str(config).map(|config| all_types(&config)).unwrap_or_default()
}

fn name_of(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    if text("namespace").is_empty() {
        text("name")
    } else {
        format!("{}/{}", text("namespace"), text("name"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::steps::testing::{cluster, list};

    /// An attachment as the API server lists it.
    fn attachment(name: &str, labels: &Value, config: &Value) -> Value {
        json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": "shop", "labels": labels}, "spec": {"config": config.to_string()}})
    }

    #[tokio::test]
    async fn a_definition_stays_for_attachments_of_others_that_need_it() {
        let ours = json!({"app.kubernetes.io/managed-by": "kvnet"});
        let (of_pool, plain) = (
            json!({"plugins": [{"type": "macvlan", "ipam": {"type": "whereabouts", "range": "10.0.0.0/24"}}]}),
            json!({"type": "macvlan", "ipam": {"type": "static"}}),
        );
        let definition =
            |name: &str| ObjectKey::new("apiextensions.k8s.io/v1", "CustomResourceDefinition", None, name);
        let (pools, networks) =
            ("ippools.whereabouts.cni.cncf.io", "network-attachment-definitions.k8s.cni.cncf.io");
        for (labels, config, name, stays) in [
            (&json!({}), &of_pool, pools, true),
            (&json!({}), &plain, pools, false),
            (&ours, &of_pool, pools, false),
            (&json!({}), &plain, networks, true),
            (&ours, &plain, networks, false),
            (&json!({}), &of_pool, "kubevirts.kubevirt.io", false),
            (&json!({}), &of_pool, "widgets.example.org", false),
        ] {
            let found = list(&[attachment("web", labels, config)]);
            let answers = [("/apis/k8s.cni.cncf.io/v1/network-attachment-definitions", found)];
            let users = foreign_users(Some(&cluster(&answers)), &definition(name)).await.unwrap();
            assert_eq!(users.as_deref(), stays.then_some("in use by shop/web"), "{name} {labels} {config}");
        }
    }

    #[test]
    fn what_uses_something_goes_before_it() {
        let mut kinds = vec![
            "Namespace",
            "CustomResourceDefinition",
            "Deployment",
            "Widget",
            "PersistentVolumeClaim",
            "StatefulSet",
            "ValidatingWebhookConfiguration",
        ];
        kinds.sort_by_key(|kind| place(kind));
        assert_eq!(
            kinds,
            [
                "ValidatingWebhookConfiguration",
                "Widget",
                "StatefulSet",
                "Deployment",
                "PersistentVolumeClaim",
                "CustomResourceDefinition",
                "Namespace"
            ]
        );
    }

    #[test]
    fn an_object_is_one_in_every_version_of_its_group_and_not_in_another_group() {
        let key = |version: &str| ObjectKey::new(version, "DaemonSet", Some("kube-system"), "x");
        assert!(is_same(&key("apps/v1"), &key("apps/v1beta2")));
        assert!(is_same(&key("apps/v1"), &key("extensions/v1beta1")));
        assert!(!is_same(&key("apps/v1"), &key("example.org/v1")));
    }
}
