//! What the server says about itself and its kinds.

use serde_json::{Value, json};

use super::crd;
use super::kinds::{self, Kind, KubernetesVersion};
use crate::sandbox::store::Transaction;

/// `/version`.
pub(super) fn version(release: KubernetesVersion) -> Value {
    json!({
        "major": "1",
        "minor": release.minor(),
        "gitVersion": release.git(),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "none",
        "platform": "linux/amd64",
    })
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
            Some(json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}))
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
    let rows: Vec<Value> =
        kinds::built_in(release, group, version).chain(custom).flat_map(|kind| rows(&kind)).collect();
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let mut list = json!({"kind": "APIResourceList", "groupVersion": api_version, "resources": rows});
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    (!list["resources"].as_array().is_some_and(Vec::is_empty)).then_some(list)
}

fn rows(kind: &Kind) -> Vec<Value> {
    let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let singular = kind.kind.to_lowercase();
    let mut rows = vec![json!({
        "name": kind.plural, "singularName": singular, "namespaced": kind.namespaced, "kind": kind.kind, "verbs": verbs,
    })];
    if kind.has_status {
        rows.push(json!({
            "name": format!("{}/status", kind.plural), "singularName": "", "namespaced": kind.namespaced,
            "kind": kind.kind, "verbs": ["get", "patch", "update"],
        }));
    }
    rows
}
