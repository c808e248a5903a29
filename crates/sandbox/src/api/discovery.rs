//! Discovery: the server's version, groups and kinds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::crd;
use super::kinds::{self, Kind, KubernetesVersion};
use crate::store::Transaction;

/// The server's advertised address.
const SERVER_ADDRESS: &str = "192.0.2.10:6443";
/// kubectl's short names.
const SHORT_NAMES: &[(&str, &[&str])] = &[
    ("configmaps", &["cm"]),
    ("cronjobs", &["cj"]),
    ("customresourcedefinitions", &["crd", "crds"]),
    ("daemonsets", &["ds"]),
    ("deployments", &["deploy"]),
    ("endpoints", &["ep"]),
    ("events", &["ev"]),
    ("limitranges", &["limits"]),
    ("namespaces", &["ns"]),
    ("networkpolicies", &["netpol"]),
    ("nodes", &["no"]),
    ("persistentvolumeclaims", &["pvc"]),
    ("persistentvolumes", &["pv"]),
    ("poddisruptionbudgets", &["pdb"]),
    ("pods", &["po"]),
    ("priorityclasses", &["pc"]),
    ("replicasets", &["rs"]),
    ("replicationcontrollers", &["rc"]),
    ("resourcequotas", &["quota"]),
    ("serviceaccounts", &["sa"]),
    ("services", &["svc"]),
    ("statefulsets", &["sts"]),
];
/// The categories of kinds, such as `all`.
const CATEGORIES: &[(&str, &[&str])] = &[
    (
        "all",
        &[
            "cronjobs",
            "daemonsets",
            "deployments",
            "jobs",
            "pods",
            "replicasets",
            "replicationcontrollers",
            "services",
            "statefulsets",
        ],
    ),
    (
        "api-extensions",
        &[
            "apiservices",
            "customresourcedefinitions",
            "mutatingwebhookconfigurations",
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
        ],
    ),
];

/// `/version`.
pub(super) fn version(release: KubernetesVersion) -> Value {
    let mut version = json!({
        "major": "1",
        "minor": release.minor(),
        "gitVersion": release.git(),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "gc",
        "platform": "linux/amd64",
    });
    if release == KubernetesVersion::V1_34 {
        for (name, value) in [("Major", "1"), ("Minor", "34")] {
            version[format!("emulation{name}")] = value.into();
        }
        for (name, value) in [("Major", "1"), ("Minor", "33")] {
            version[format!("minCompatibility{name}")] = value.into();
        }
    }
    version
}

/// The description of the API, without anything that kvnet does not ask for; none of a version that the release does not
/// have.
pub(super) fn description(release: KubernetesVersion, third: bool) -> Option<Value> {
    if third {
        return release.applies().then(|| json!({"paths": {}}));
    }
    let mut types = vec![
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ];
    types.extend(release.applies().then_some("application/apply-patch+yaml"));
    let info = json!({"title": "Kubernetes", "version": release.git()});
    let paths = json!({"/api/v1/namespaces/{name}": {"patch": {"consumes": types}}});
    Some(json!({"swagger": "2.0", "info": info, "paths": paths}))
}

/// Groups or resources, as far as the path goes; none when they are not served.
pub(super) fn answer(
    release: KubernetesVersion,
    store: &Transaction<'_>,
    group: Option<&str>,
    version: Option<&str>,
    legacy: bool,
) -> Option<Value> {
    match (group, version) {
        (Some(group), Some(version)) => resources(release, store, group, version),
        (_, None) if legacy => {
            let address = json!({"clientCIDR": "0.0.0.0/0", "serverAddress": SERVER_ADDRESS});
            Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]}))
        }
        (Some(group), None) => {
            groups(release, store).into_iter().find(|found| found["name"] == group).map(|mut found| {
                found["kind"] = "APIGroup".into();
                found["apiVersion"] = "v1".into();
                found
            })
        }
        (None, _) => {
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(release, store)}))
        }
    }
}

fn groups(release: KubernetesVersion, store: &Transaction<'_>) -> Vec<Value> {
    let built_in = kinds::groups(release).iter().filter(|(name, ..)| !name.is_empty());
    let mut groups: Vec<(String, Vec<String>)> = built_in
        .map(|(name, versions, ..)| ((*name).to_owned(), versions.iter().map(ToString::to_string).collect()))
        .collect();
    for kind in crd::kinds(store) {
        match groups.iter_mut().find(|(name, _)| *name == kind.group) {
            Some((_, versions)) if versions.contains(&kind.version) => {}
            Some((_, versions)) => versions.push(kind.version),
            None => groups.push((kind.group, vec![kind.version])),
        }
    }
    groups.iter().map(|(name, versions)| group(name, versions)).collect()
}

fn group(name: &str, versions: &[String]) -> Value {
    let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let all: Vec<Value> = versions.iter().map(version).collect();
    json!({"name": name, "versions": all, "preferredVersion": all.first()})
}

fn resources(
    release: KubernetesVersion,
    store: &Transaction<'_>,
    group: &str,
    version: &str,
) -> Option<Value> {
    let custom = crd::kinds(store).into_iter().filter(|kind| kind.group == group && kind.version == version);
    let mut kinds: Vec<Kind> = kinds::built_in(release, group, version).chain(custom).collect();
    kinds.sort_by(|one, other| one.plural.cmp(&other.plural));
    let rows: Vec<Value> = kinds.iter().flat_map(rows).collect();
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version, "resources": rows});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    (!list["resources"].as_array().is_some_and(Vec::is_empty)).then_some(list)
}

fn rows(kind: &Kind) -> Vec<Value> {
    let verbs = if kind.schema.is_some() {
        ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
    } else {
        ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    };
    let is_namespace = kind.group.is_empty() && kind.kind == "Namespace";
    let verbs: Vec<&str> =
        verbs.into_iter().filter(|verb| !is_namespace || *verb != "deletecollection").collect();
    let singular = kind.names["singular"].as_str().map_or_else(|| kind.kind.to_lowercase(), str::to_owned);
    let mut row = json!({
        "name": kind.plural, "singularName": singular, "namespaced": kind.namespaced, "kind": kind.kind, "verbs": verbs,
    });
    let short = match SHORT_NAMES.iter().find(|(plural, _)| kind.names.is_null() && *plural == kind.plural) {
        Some((_, short)) => json!(short),
        None => kind.names["shortNames"].clone(),
    };
    if !short.is_null() {
        row["shortNames"] = short;
    }
    let category = CATEGORIES.iter().find(|(_, plurals)| plurals.contains(&kind.plural.as_str()));
    if let Some((category, _)) = category.filter(|_| kind.names.is_null()) {
        row["categories"] = json!([category]);
    }
    row["storageVersionHash"] = hash(kind).into();
    let mut rows = vec![row];
    if kind.has_status {
        rows.push(json!({
            "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": ["get", "patch", "update"],
        }));
    }
    rows
}

/// The storage version hash.
fn hash(kind: &Kind) -> String {
    let digest = Sha256::digest(format!("{}/{}/{}", kind.group, kind.version, kind.kind));
    STANDARD.encode(&digest[..8])
}
