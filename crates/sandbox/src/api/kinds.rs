//! The served kinds and their paths.

use std::sync::Arc;

use serde_json::Value;

use super::crd;
use crate::store::Transaction;

/// A release of Kubernetes that the server can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubernetesVersion {
    /// v1.11.3, of September 2018.
    V1_11,
    /// v1.34.4.
    V1_34,
}

impl KubernetesVersion {
    /// `v1.34.4`.
    pub fn git(self) -> &'static str {
        match self {
            Self::V1_11 => "v1.11.3",
            Self::V1_34 => "v1.34.4",
        }
    }

    /// `34`.
    pub fn minor(self) -> &'static str {
        match self {
            Self::V1_11 => "11",
            Self::V1_34 => "34",
        }
    }

    /// Whether the server can apply.
    pub fn applies(self) -> bool {
        self == Self::V1_34
    }
}

/// A kind of object with the group and the version under which it was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the API calls it so")]
#[allow(clippy::struct_excessive_bools, reason = "each says another thing")]
pub(super) struct Kind {
    pub group: String,
    pub version: String,
    /// The group that its objects are stored under: some kinds are served by two.
    pub home: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    /// Whether the status is written through a path of its own.
    pub has_status: bool,
    /// Whether it has `metadata.generation`.
    pub counts: bool,
    /// The schema of a custom resource.
    pub schema: Option<Arc<Value>>,
    /// The names that a definition gives.
    pub names: Value,
    /// Whether the server tracks field managers, which apply needs.
    pub tracks: bool,
}

impl Kind {
    /// `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `daemonsets.apps`, or `pods`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The store's keys of its objects begin so.
    pub fn prefix(&self) -> String {
        let home = if self.home.is_empty() { "core" } else { &self.home };
        format!("api/{home}/{}/", self.plural)
    }

    /// A server that cannot apply tracks no fields, and does not count what is desired of a pod.
    fn served_by(self, release: KubernetesVersion) -> Self {
        let is_pod = self.kind == "Pod" && self.group.is_empty();
        Self { tracks: release.applies(), counts: self.counts && (release.applies() || !is_pod), ..self }
    }

    /// Whether a change of what is desired makes another generation: of custom resources, a server that cannot apply counts
    /// only those whose status has a path of its own.
    pub fn counts_changes(&self) -> bool {
        self.counts && (self.tracks || self.has_status || self.schema.is_none())
    }

    /// Whether what an object owns stays when it is deleted and nothing else is said: so in the groups before `apps/v1`.
    pub fn orphans(&self) -> bool {
        let workload = ["DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"].contains(&self.kind.as_str());
        let old =
            ["extensions/v1beta1", "apps/v1beta1", "apps/v1beta2"].contains(&self.api_version().as_str());
        workload && old
    }

    pub fn key(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}{}/{name}", self.prefix(), namespace.filter(|_| self.namespaced).unwrap_or("-"))
    }
}

/// Versions, kind, plural, and marks: `n` namespaced, `s` with a status path, `g` with a generation.
type Row = (&'static str, &'static str, &'static str);

const CORE: &[Row] = &[
    ("ConfigMap", "configmaps", "n"),
    ("Endpoints", "endpoints", "n"),
    ("Event", "events", "n"),
    ("LimitRange", "limitranges", "n"),
    ("Namespace", "namespaces", "s"),
    ("Node", "nodes", "s"),
    ("PersistentVolume", "persistentvolumes", "s"),
    ("PersistentVolumeClaim", "persistentvolumeclaims", "ns"),
    ("Pod", "pods", "nsg"),
    ("ReplicationController", "replicationcontrollers", "nsg"),
    ("ResourceQuota", "resourcequotas", "ns"),
    ("Secret", "secrets", "n"),
    ("Service", "services", "ns"),
    ("ServiceAccount", "serviceaccounts", "n"),
];
const APPS: &[Row] = &[
    ("ControllerRevision", "controllerrevisions", "n"),
    ("DaemonSet", "daemonsets", "nsg"),
    ("Deployment", "deployments", "nsg"),
    ("ReplicaSet", "replicasets", "nsg"),
    ("StatefulSet", "statefulsets", "nsg"),
];
const RBAC: &[Row] = &[
    ("ClusterRole", "clusterroles", ""),
    ("ClusterRoleBinding", "clusterrolebindings", ""),
    ("Role", "roles", "n"),
    ("RoleBinding", "rolebindings", "n"),
];
const ADMISSION: &[Row] = &[
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "g"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "sg"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "g"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "g"),
];
const CRDS: &[Row] = &[("CustomResourceDefinition", "customresourcedefinitions", "sg")];
const API_SERVICES: &[Row] = &[("APIService", "apiservices", "s")];
const BATCH: &[Row] = &[("CronJob", "cronjobs", "nsg"), ("Job", "jobs", "nsg")];
const LEASES: &[Row] = &[("Lease", "leases", "n")];
const NETWORKING: &[Row] = &[("NetworkPolicy", "networkpolicies", "ng")];
const POLICY: &[Row] = &[("PodDisruptionBudget", "poddisruptionbudgets", "nsg")];
const OLD_POLICY: &[Row] = &[
    ("PodDisruptionBudget", "poddisruptionbudgets", "nsg"),
    ("PodSecurityPolicy", "podsecuritypolicies", ""),
];
const SCHEDULING: &[Row] = &[("PriorityClass", "priorityclasses", "g")];

/// Group, versions with the preferred one first, the group that stores them, and the kinds.
pub(super) type Group = (&'static str, &'static [&'static str], &'static str, &'static [Row]);

const TODAY: &[Group] = &[
    ("", &["v1"], "", CORE),
    ("apiregistration.k8s.io", &["v1"], "apiregistration.k8s.io", API_SERVICES),
    ("apps", &["v1"], "apps", APPS),
    ("batch", &["v1"], "batch", BATCH),
    ("networking.k8s.io", &["v1"], "networking.k8s.io", NETWORKING),
    ("policy", &["v1"], "policy", POLICY),
    ("rbac.authorization.k8s.io", &["v1"], "rbac.authorization.k8s.io", RBAC),
    ("admissionregistration.k8s.io", &["v1"], "admissionregistration.k8s.io", ADMISSION),
    ("apiextensions.k8s.io", &["v1"], "apiextensions.k8s.io", CRDS),
    ("scheduling.k8s.io", &["v1"], "scheduling.k8s.io", SCHEDULING),
    ("coordination.k8s.io", &["v1"], "coordination.k8s.io", LEASES),
];

const IN_2018: &[Group] = &[
    ("", &["v1"], "", CORE),
    ("apiregistration.k8s.io", &["v1", "v1beta1"], "apiregistration.k8s.io", API_SERVICES),
    ("extensions", &["v1beta1"], "apps", APPS),
    ("apps", &["v1", "v1beta2", "v1beta1"], "apps", APPS),
    ("batch", &["v1", "v1beta1"], "batch", BATCH),
    ("networking.k8s.io", &["v1"], "networking.k8s.io", NETWORKING),
    ("policy", &["v1beta1"], "policy", OLD_POLICY),
    ("rbac.authorization.k8s.io", &["v1", "v1beta1"], "rbac.authorization.k8s.io", RBAC),
    ("admissionregistration.k8s.io", &["v1beta1"], "admissionregistration.k8s.io", ADMISSION),
    ("apiextensions.k8s.io", &["v1beta1"], "apiextensions.k8s.io", CRDS),
    ("scheduling.k8s.io", &["v1beta1"], "scheduling.k8s.io", SCHEDULING),
    ("coordination.k8s.io", &["v1beta1"], "coordination.k8s.io", LEASES),
];

/// The groups that a release brings along.
pub(super) fn groups(version: KubernetesVersion) -> &'static [Group] {
    match version {
        KubernetesVersion::V1_11 => IN_2018,
        KubernetesVersion::V1_34 => TODAY,
    }
}

/// The kind that a path means; none when it is not served.
pub(super) fn by_path(
    release: KubernetesVersion,
    store: &Transaction<'_>,
    group: &str,
    version: &str,
    plural: &str,
) -> Option<Kind> {
    let built_in = built_in(release, group, version).find(|kind| kind.plural == plural);
    let found = built_in.or_else(|| {
        crd::kinds(store).into_iter().find(|kind| {
            (kind.group.as_str(), kind.version.as_str(), kind.plural.as_str()) == (group, version, plural)
        })
    });
    found.map(|kind| kind.served_by(release))
}

/// The kind that an object says it is.
pub(super) fn by_name(
    release: KubernetesVersion,
    store: &Transaction<'_>,
    api_version: &str,
    kind: &str,
) -> Option<Kind> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let built_in = built_in(release, group, version).find(|candidate| candidate.kind == kind);
    let found = built_in.or_else(|| {
        crd::kinds(store)
            .into_iter()
            .find(|candidate| candidate.api_version() == api_version && candidate.kind == kind)
    });
    found.map(|kind| kind.served_by(release))
}

/// All kinds of a group and version that the release brings along.
pub(super) fn built_in(release: KubernetesVersion, group: &str, version: &str) -> impl Iterator<Item = Kind> {
    let fits = |(name, versions, ..): &&Group| *name == group && versions.contains(&version);
    let found = groups(release).iter().find(fits);
    let rows = found.map_or(&[] as &[Row], |(_, _, _, rows)| rows);
    let home = found.map_or("", |(_, _, home, _)| home);
    let (group, version) = (group.to_owned(), version.to_owned());
    rows.iter().map(move |row| kind_of(&group, &version, home, row))
}

fn kind_of(group: &str, version: &str, home: &str, (kind, plural, marks): &Row) -> Kind {
    Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        home: home.to_owned(),
        kind: (*kind).to_owned(),
        plural: (*plural).to_owned(),
        namespaced: marks.contains('n'),
        has_status: marks.contains('s'),
        counts: marks.contains('g'),
        schema: None,
        names: Value::Null,
        tracks: true,
    }
}
