//! Removed versions of Kubernetes' own API, from its deprecation guide
//! (<https://kubernetes.io/docs/reference/using-api/deprecation-guide/>, read 2026-11-27).

use serde_json::Value;

use super::Minor;
use crate::profile::Release;

/// An API version with its kinds (none: all of them) and the first release without them.
const REMOVED: &[(&str, &[&str], Minor)] = &[
    (
        "extensions/v1beta1",
        &["DaemonSet", "Deployment", "ReplicaSet", "NetworkPolicy", "PodSecurityPolicy"],
        (1, 16),
    ),
    ("apps/v1beta1", &[], (1, 16)),
    ("apps/v1beta2", &[], (1, 16)),
    ("extensions/v1beta1", &["Ingress"], (1, 22)),
    ("networking.k8s.io/v1beta1", &["Ingress", "IngressClass"], (1, 22)),
    ("admissionregistration.k8s.io/v1beta1", &[], (1, 22)),
    ("apiextensions.k8s.io/v1beta1", &[], (1, 22)),
    ("apiregistration.k8s.io/v1beta1", &[], (1, 22)),
    ("certificates.k8s.io/v1beta1", &["CertificateSigningRequest"], (1, 22)),
    ("coordination.k8s.io/v1beta1", &["Lease"], (1, 22)),
    ("rbac.authorization.k8s.io/v1alpha1", &[], (1, 22)),
    ("rbac.authorization.k8s.io/v1beta1", &[], (1, 22)),
    ("scheduling.k8s.io/v1beta1", &["PriorityClass"], (1, 22)),
    ("storage.k8s.io/v1beta1", &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"], (1, 22)),
    ("autoscaling/v2beta1", &[], (1, 25)),
    ("batch/v1beta1", &["CronJob"], (1, 25)),
    ("discovery.k8s.io/v1beta1", &[], (1, 25)),
    ("events.k8s.io/v1beta1", &[], (1, 25)),
    ("node.k8s.io/v1beta1", &["RuntimeClass"], (1, 25)),
    ("policy/v1beta1", &["PodDisruptionBudget", "PodSecurityPolicy"], (1, 25)),
    ("autoscaling/v2beta2", &[], (1, 26)),
    ("flowcontrol.apiserver.k8s.io/v1beta1", &[], (1, 26)),
    ("storage.k8s.io/v1beta1", &["CSIStorageCapacity"], (1, 27)),
    ("flowcontrol.apiserver.k8s.io/v1beta2", &[], (1, 29)),
    ("flowcontrol.apiserver.k8s.io/v1beta3", &[], (1, 32)),
];

/// An object whose API was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its kind and API version, for people: `DaemonSet of extensions/v1beta1`.
    pub what: String,
    /// The first release without it.
    pub since: Minor,
}

impl Gone {
    /// Whether a version of Kubernetes is without it; false when the version cannot be parsed.
    pub fn is_gone_in(&self, kubernetes: &str) -> bool {
        Release::parse(kubernetes).is_some_and(|release| (release.major, release.minor) >= self.since)
    }
}

/// The removed API of an object; none for what all current releases serve, and for custom kinds.
pub fn gone(object: &Value) -> Option<Gone> {
    let (api_version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
    let is_it =
        |row: &&(&str, &[&str], Minor)| row.0 == api_version && (row.1.is_empty() || row.1.contains(&kind));
    let (_, _, since) = REMOVED.iter().find(is_it)?;
    Some(Gone { what: format!("{kind} of {api_version}"), since: *since })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_longer_served_is_known_by_version_and_kind() {
        for (api_version, kind, last, first) in [
            ("extensions/v1beta1", "DaemonSet", "v1.15.12", "v1.16.0"),
            ("extensions/v1beta1", "Ingress", "v1.21.14", "v1.22.0"),
            ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition", "v1.21.14", "v1.34.4+k3s1"),
            ("policy/v1beta1", "PodSecurityPolicy", "v1.24.17", "v1.25.0"),
            ("rbac.authorization.k8s.io/v1beta1", "ClusterRole", "v1.11.3", "v1.37.2"),
        ] {
            let gone = gone(&json!({"apiVersion": api_version, "kind": kind})).unwrap();
            assert_eq!(gone.what, format!("{kind} of {api_version}"));
            assert_eq!((gone.is_gone_in(last), gone.is_gone_in(first)), (false, true), "{kind}");
            assert!(!gone.is_gone_in("unknown"));
        }
        for (api_version, kind) in [
            ("apps/v1", "DaemonSet"),
            ("v1", "Pod"),
            ("kubevirt.io/v1alpha2", "VirtualMachineInstance"),
            ("storage.k8s.io/v1beta1", "VolumeAttributesClass"),
        ] {
            assert_eq!(gone(&json!({"apiVersion": api_version, "kind": kind})), None, "{kind}");
        }
    }
}
