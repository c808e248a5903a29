//! Which path of the API serves a kind: a table for the kinds that kvnet uses, discovery for all others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::expected::Expected;
use super::request::{ApiAnswer, ApiCall};
use super::{Cluster, ObjectKey, key::segment};
use crate::error::{Error, Result, code};

/// How a kind is addressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// The lower-case plural of the path.
    pub plural: String,
    /// Whether its objects are namespaced.
    pub namespaced: bool,
}

/// The results of discovery, by group and version.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    discovered: Mutex<HashMap<String, HashMap<String, Resource>>>,
}

/// Group, kind, plural, namespaced. Valid for every version of the group, so that a request for a version that is gone
/// ends in a plain 404.
const KNOWN: &[(&str, &str, &str, bool)] = &[
    ("", "ConfigMap", "configmaps", true),
    ("", "Endpoints", "endpoints", true),
    ("", "Event", "events", true),
    ("", "LimitRange", "limitranges", true),
    ("", "Namespace", "namespaces", false),
    ("", "Node", "nodes", false),
    ("", "PersistentVolume", "persistentvolumes", false),
    ("", "PersistentVolumeClaim", "persistentvolumeclaims", true),
    ("", "Pod", "pods", true),
    ("", "ReplicationController", "replicationcontrollers", true),
    ("", "ResourceQuota", "resourcequotas", true),
    ("", "Secret", "secrets", true),
    ("", "Service", "services", true),
    ("", "ServiceAccount", "serviceaccounts", true),
    ("admissionregistration.k8s.io", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", false),
    ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", false),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        false,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        false,
    ),
    ("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false),
    ("apiregistration.k8s.io", "APIService", "apiservices", false),
    ("apps", "ControllerRevision", "controllerrevisions", true),
    ("apps", "DaemonSet", "daemonsets", true),
    ("apps", "Deployment", "deployments", true),
    ("apps", "ReplicaSet", "replicasets", true),
    ("apps", "StatefulSet", "statefulsets", true),
    ("batch", "CronJob", "cronjobs", true),
    ("batch", "Job", "jobs", true),
    ("coordination.k8s.io", "Lease", "leases", true),
    ("extensions", "DaemonSet", "daemonsets", true),
    ("extensions", "Deployment", "deployments", true),
    ("k8s.cni.cncf.io", "NetworkAttachmentDefinition", "network-attachment-definitions", true),
    ("kubevirt.io", "KubeVirt", "kubevirts", true),
    ("kubevirt.io", "VirtualMachine", "virtualmachines", true),
    ("kubevirt.io", "VirtualMachineInstance", "virtualmachineinstances", true),
    ("kubevirt.io", "VirtualMachineInstanceMigration", "virtualmachineinstancemigrations", true),
    ("kubevirt.io", "VirtualMachineInstancePreset", "virtualmachineinstancepresets", true),
    ("kubevirt.io", "VirtualMachineInstanceReplicaSet", "virtualmachineinstancereplicasets", true),
    ("networking.k8s.io", "Ingress", "ingresses", true),
    ("networking.k8s.io", "IngressClass", "ingressclasses", false),
    ("networking.k8s.io", "NetworkPolicy", "networkpolicies", true),
    ("node.k8s.io", "RuntimeClass", "runtimeclasses", false),
    ("policy", "PodDisruptionBudget", "poddisruptionbudgets", true),
    ("policy", "PodSecurityPolicy", "podsecuritypolicies", false),
    ("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "RoleBinding", "rolebindings", true),
    ("scheduling.k8s.io", "PriorityClass", "priorityclasses", false),
    ("storage.k8s.io", "CSIDriver", "csidrivers", false),
    ("storage.k8s.io", "StorageClass", "storageclasses", false),
];

impl Cluster {
    /// Whether the API server serves a kind in that version now.
    ///
    /// # Errors
    /// Only when the API server does not answer or refuses the request.
    pub async fn server_supports(&self, api_version: &str, kind: &str) -> Result<bool> {
        Ok(self.discover(api_version).await?.is_some_and(|kinds| kinds.contains_key(kind)))
    }

    /// The path of an object; of a namespaced kind without a namespace, in `default`.
    pub(super) async fn object_path(&self, key: &ObjectKey) -> Result<String> {
        let collection = self.collection_path(&key.api_version, &key.kind, key.namespace.as_deref()).await?;
        Ok(format!("{collection}/{}", segment(&key.kind, &key.name)?))
    }

    async fn collection_path(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<String> {
        self.list_path(api_version, kind, Some(namespace.unwrap_or("default"))).await
    }

    /// The path of a collection; without a namespace, of all namespaces.
    pub(super) async fn list_path(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<String> {
        let resource = self.resource(api_version, kind).await?;
        let (root, plural) = (group_path(api_version)?, segment(kind, &resource.plural)?);
        Ok(match namespace.filter(|_| resource.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{}/{plural}", segment("namespace", namespace)?),
            None => format!("{root}/{plural}"),
        })
    }

    async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource> {
        if let Some(resource) = known(api_version, kind).or_else(|| self.kinds.cached(api_version, kind)) {
            return Ok(resource);
        }
        let served = self.discover(api_version).await?;
        served.and_then(|kinds| kinds.get(kind).cloned()).ok_or_else(|| not_served(api_version, kind))
    }

    /// The kinds of a group and version; none when it is not served.
    async fn discover(&self, api_version: &str) -> Result<Option<HashMap<String, Resource>>> {
        let call = ApiCall::get(group_path(api_version)?).expects(Expected::Resources);
        match self.call(&call).await? {
            ApiAnswer::Done(list) => {
                let kinds = resources_of(&list);
                self.kinds.remember(api_version, &kinds);
                Ok(Some(kinds))
            }
            ApiAnswer::Refused(refusal) if refusal.code == 404 => Ok(None),
            ApiAnswer::Refused(refusal) => Err(refusal.into_error(api_version)),
        }
    }
}

impl Kinds {
    /// Remembers what a list of resources tells about a version.
    pub(super) fn learn(&self, api_version: &str, list: &Value) {
        self.remember(api_version, &resources_of(list));
    }

    fn cached(&self, api_version: &str, kind: &str) -> Option<Resource> {
        let groups = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(api_version)?.get(kind).cloned()
    }

    fn remember(&self, api_version: &str, kinds: &HashMap<String, Resource>) {
        let mut groups = self.discovered.lock().unwrap_or_else(PoisonError::into_inner);
        groups.insert(api_version.to_owned(), kinds.clone());
    }
}

/// The error for a kind that no path serves.
pub(super) fn not_served(api_version: &str, kind: &str) -> Error {
    Error::new(&code::CLUSTER_KIND, format!("the API server does not serve {kind} in {api_version}"))
}

fn known(api_version: &str, kind: &str) -> Option<Resource> {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    KNOWN
        .iter()
        .find(|row| row.0 == group && row.1 == kind)
        .map(|row| Resource { plural: row.2.to_owned(), namespaced: row.3 })
}

fn group_path(api_version: &str) -> Result<String> {
    let part = |part: &str| segment("group of the API", part);
    match api_version.split_once('/') {
        Some((group, version)) => Ok(format!("/apis/{}/{}", part(group)?, part(version)?)),
        None => Ok(format!("/api/{}", part(api_version)?)),
    }
}

fn resources_of(list: &Value) -> HashMap<String, Resource> {
    let rows = list.get("resources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    rows.iter().filter_map(resource_of).collect()
}

/// A row of a discovery document; subresources have a slash in their name and are left out.
fn resource_of(row: &Value) -> Option<(String, Resource)> {
    let plural = row.get("name")?.as_str()?;
    let kind = row.get("kind")?.as_str()?;
    let namespaced = row.get("namespaced")?.as_bool()?;
    (!plural.contains('/')).then(|| (kind.to_owned(), Resource { plural: plural.to_owned(), namespaced }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_serves_every_version_of_a_group() {
        assert_eq!(known("apps/v1", "DaemonSet"), known("apps/v1beta2", "DaemonSet"));
        assert!(known("extensions/v1beta1", "DaemonSet").is_some_and(|resource| resource.namespaced));
        assert_eq!(known("v1", "DaemonSet"), None);
        assert_eq!(known("apps/v1", "Pod"), None);
    }

    #[test]
    fn the_table_has_no_kind_twice() {
        for (index, row) in KNOWN.iter().enumerate() {
            assert!(
                !KNOWN[index + 1..].iter().any(|other| other.0 == row.0 && other.1 == row.1),
                "{}",
                row.1
            );
        }
    }

    #[test]
    fn subresources_are_not_kinds() {
        let list = json!({"resources": [
            {"name": "widgets", "kind": "Widget", "namespaced": true},
            {"name": "widgets/status", "kind": "Widget", "namespaced": false},
        ]});
        let kinds = resources_of(&list);
        assert_eq!(kinds["Widget"], Resource { plural: "widgets".into(), namespaced: true });
    }
}
