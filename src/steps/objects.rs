//! What the steps that apply objects share: read each object once, compare, apply in order, wait.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{daemons, kubeadm_init};
use crate::cluster::STEP_LABEL;
use crate::cluster::{
    Condition, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey, differences, replaces_pods, rolled_out,
};
use crate::components::{Component, installed_version};
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::execute::is_ours;
use crate::engine::step::Findings;
use crate::error::{Error, Result, code};
use crate::profile::SourceKind;
use crate::support::{self, Part};

const FITTING: &str = "choose a release that fits: `kvnet version --matrix` lists what needs what; the profile `default` is up to date";

/// The live objects of a step by key, with the pods of sets that kvnet itself replaces; absent ones are missing.
pub type Live = HashMap<ObjectKey, Value>;

/// Reads the live state of `desired`; empty when there is no cluster yet.
/// Fails with `KVN306` for an object whose API was removed from this version of Kubernetes, before anything is changed.
pub async fn observe(cx: &Context, desired: &[Value]) -> Result<Live> {
    refuse_gone(cx, desired).await?;
    let Some(cluster) = cx.cluster().await else { return Ok(Live::new()) };
    let keys: Vec<ObjectKey> = desired.iter().map(ObjectKey::of).collect();
    let live = cluster.get_many(&keys).await?;
    let mut live: Live =
        keys.into_iter().zip(live).filter_map(|(key, object)| Some((key, object?))).collect();
    let sets: Vec<Value> = live.values().filter(|object| replaces_pods(object)).cloned().collect();
    for set in &sets {
        live.extend(daemons::pods(&cluster, set).await?.into_iter().map(|pod| (ObjectKey::of(&pod), pod)));
    }
    Ok(live)
}

/// The version is only requested when some version does not serve one of the objects.
async fn refuse_gone(cx: &Context, desired: &[Value]) -> Result<()> {
    let aged: Vec<_> =
        desired.iter().filter_map(|object| Some((ObjectKey::of(object), support::gone(object)?))).collect();
    if aged.is_empty() {
        return Ok(());
    }
    let kubernetes = match cx.cluster().await {
        Some(cluster) => cluster.version().await?.git_version,
        None => kubeadm_init::version_to_be(cx).await?,
    };
    let Some((key, gone)) = aged.into_iter().find(|(_, gone)| gone.is_gone_in(&kubernetes)) else {
        return Ok(());
    };
    let (what, (major, minor)) = (gone.what, gone.since);
    let message = format!("Kubernetes {kubernetes} does not serve {what}: it was removed in {major}.{minor}");
    Err(Error::new(&code::CLUSTER_KIND, message).at(key.to_string()).hint(FITTING))
}

/// Refuses a release that cannot work on a node's version of Kubernetes. The version of a custom manifest says nothing.
/// Fails with `KVN306` with what it needs.
pub async fn refuse_unfit(cx: &Context, component: &Component) -> Result<()> {
    let Some(release) = &component.release else { return Ok(()) };
    if component.source(&cx.profile).is_some_and(|source| source.kind == SourceKind::File) {
        return Ok(());
    }
    let (part, version) = (release.part, (release.version)(&cx.profile));
    for node in cx.nodes().await?.iter() {
        let kubelet = node["status"]["nodeInfo"]["kubeletVersion"].as_str().unwrap_or_default();
        let Some(row) = support::unmet(part, version, Part::Kubernetes, kubelet) else { continue };
        let name = node["metadata"]["name"].as_str().unwrap_or_default();
        let message =
            format!("{} {version} needs Kubernetes {}, node {name} has {kubelet}", part.name(), row.versions);
        return Err(Error::new(&code::CLUSTER_KIND, message).hint(FITTING));
    }
    Ok(())
}

/// The version that the objects of a component are of: their image's, else the profile's.
pub fn version(cx: &Context, component: &Component, objects: &[Value]) -> Option<String> {
    let release = component.release.as_ref()?;
    let installed = installed_version(objects, release.image);
    Some(installed.unwrap_or_else(|| (release.version)(&cx.profile).to_owned()))
}

/// The changes that make the live objects like `desired`, in its order, and the waits for what they start.
///
/// # Errors
/// `KVN303` for a pre-existing Secret that would change.
pub fn diff(step: &str, desired: &[Value], live: &Live, timeout: u64) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut waits = Vec::new();
    for object in desired {
        let key = ObjectKey::of(object);
        let found = live.get(&key);
        let object = marked(object, step, found);
        let change = apply(&object, found);
        change.iter().try_for_each(refuse_foreign_secret)?;
        waits.extend(wait(&object, &key, found, change.is_some(), timeout));
        let old = found.map(|set| daemons::old(set, change.as_ref(), live)).unwrap_or_default();
        let is_definition = change.is_some() && key.kind == "CustomResourceDefinition";
        findings.changes.extend(change.into_iter().chain(old));
        if is_definition {
            // Objects of a new kind can only be applied once the API server serves it.
            findings.changes.append(&mut waits);
        }
        if found.is_some_and(|live| !is_ours(live)) {
            findings.note(format!("{key} is pre-existing; `down` will leave it"));
        }
    }
    findings.changes.extend(waits);
    Ok(findings)
}

/// The values of a Secret are never journaled, so `down` could not restore a pre-existing one.
fn refuse_foreign_secret(change: &Change) -> Result<()> {
    match change {
        Change::Apply { object, before: Some(_) } if object["kind"] == "Secret" && !is_ours(object) => {
            let key = ObjectKey::of(object);
            let message = format!("{key} is pre-existing and holds other values");
            let error = Error::new(&code::CLUSTER_CONFLICT, message);
            Err(error.hint(format!("delete {key}, or give kvnet's object another name in the profile")))
        }
        _ => Ok(()),
    }
}

/// The object with kvnet's labels, unless it is pre-existing.
pub(super) fn marked(object: &Value, step: &str, live: Option<&Value>) -> Value {
    let mut object = object.clone();
    if live.is_none_or(is_ours) {
        object["metadata"]["labels"][MANAGED_BY_LABEL] = json!(MANAGED_BY);
        object["metadata"]["labels"][STEP_LABEL] = json!(step);
    }
    object
}

fn apply(object: &Value, live: Option<&Value>) -> Option<Change> {
    let before = match live {
        None => None,
        Some(live) => {
            let differences = differences(object, live);
            if differences.is_empty() {
                return None;
            }
            Some(differences)
        }
    };
    Some(Change::Apply { object: Box::new(object.clone()), before })
}

fn wait(
    object: &Value,
    key: &ObjectKey,
    live: Option<&Value>,
    changes: bool,
    timeout: u64,
) -> Option<Change> {
    let (condition, (holds, now)) = match key.kind.as_str() {
        "CustomResourceDefinition" => {
            let condition = Condition::Established { crd: key.name.clone() };
            (condition, live.map_or((false, absent()), established))
        }
        "DaemonSet" | "Deployment" => {
            let condition = Condition::RolledOut { object: ObjectKey::of(object) };
            (condition, live.map_or((false, absent()), rolled_out))
        }
        _ => return None,
    };
    (changes || !holds).then_some(Change::Wait { condition, timeout, now })
}

fn absent() -> String {
    "absent".into()
}

fn established(crd: &Value) -> (bool, String) {
    let conditions = crd["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let holds = conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True");
    (holds, if holds { "established" } else { "not established" }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(data: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"k": data}})
    }

    fn lines(findings: &Findings) -> Vec<String> {
        findings.changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_absent_object_is_created_with_labels_that_say_who_made_it() {
        let findings = diff("flannel", &[config_map("v")], &Live::new(), 60).unwrap();
        assert_eq!(lines(&findings), ["create ConfigMap n/c"]);
        let object = findings.changes[0].object().unwrap();
        assert_eq!(object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "kvnet");
        assert_eq!(object["metadata"]["labels"]["kvnet.dev/step"], "flannel");
    }

    #[test]
    fn a_pre_existing_object_is_left_without_a_label() {
        let live = Live::from([(ObjectKey::of(&config_map("v")), config_map("old"))]);
        let findings = diff("flannel", &[config_map("v")], &live, 60).unwrap();
        assert_eq!(lines(&findings), ["change ConfigMap n/c"]);
        assert!(findings.changes[0].object().unwrap()["metadata"].get("labels").is_none());
        assert!(findings.notes[0].text.contains("is pre-existing"));
    }

    #[test]
    fn a_custom_resource_comes_after_its_definition_is_established() {
        let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "things.example.org"}});
        let thing = json!({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "t"}});
        let findings = diff("x", &[crd, thing], &Live::new(), 60).unwrap();
        assert_eq!(
            lines(&findings),
            [
                "create CustomResourceDefinition things.example.org",
                "wait for CustomResourceDefinition things.example.org to be established (now: absent)",
                "create Thing t",
            ]
        );
    }

    #[test]
    fn only_a_pre_existing_secret_that_would_change_is_refused() {
        let ours = json!({"app.kubernetes.io/managed-by": "kvnet"});
        for (kind, labels, before, refused) in [
            ("Secret", json!({}), Some(Vec::new()), true),
            ("Secret", json!({}), None, false),
            ("Secret", ours, Some(Vec::new()), false),
            ("ConfigMap", json!({}), Some(Vec::new()), false),
        ] {
            let object =
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "s", "labels": labels}});
            let change = Change::Apply { object: Box::new(object), before };
            assert_eq!(refuse_foreign_secret(&change).is_err(), refused, "{change}");
        }
    }
}
