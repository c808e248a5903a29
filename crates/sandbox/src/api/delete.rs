//! Deletion: finalizers, owners and what they own, namespaces and definitions with what is in them.

use serde_json::{Value, json};

use super::kinds::Kind;
use super::objects::{Answer, finalizers, shown};
use super::status::{Status, deleted};
use super::{crd, fields};
use crate::store::Transaction;

/// The finalizer of an owner that waits for its dependents.
const FOREGROUND: &str = "foregroundDeletion";

/// The finalizer of a definition whose objects are being removed.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

/// `DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
    /// `Foreground`, `Background`, `Orphan`.
    pub propagation: Option<String>,
    pub grace: Option<i64>,
}

impl Options {
    pub fn parse(body: &Value) -> Self {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        Self {
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            propagation: text("/propagationPolicy"),
            grace: body["gracePeriodSeconds"].as_i64(),
        }
    }

    fn check(&self, kind: &Kind, name: &str, object: &Value) -> Answer<()> {
        let metadata = &object["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        let differ = |what: &str, wanted: &Option<String>, is: String, perhaps: &str| match wanted {
            Some(wanted) if *wanted != is => {
                let why = format!(
                    "the {what} in the precondition ({wanted}) does not match the {what} in record ({is}). The object might have been {perhaps}"
                );
                // The real server, too, calls the resource by its kind here.
                Err(Status::conflict(&Kind { plural: kind.kind.clone(), ..kind.clone() }, name, &why))
            }
            _ => Ok(()),
        };
        differ("UID", &self.uid, text("uid"), "deleted and then recreated")?;
        // A server that cannot apply does not know this one.
        if !kind.tracks {
            return Ok(());
        }
        differ("ResourceVersion", &self.resource_version, text("resourceVersion"), "modified")
    }
}

/// Deletes an object, or sets its `deletionTimestamp` while it has finalizers. Returns the server's answer.
pub(super) fn delete(
    store: &mut Transaction<'_>,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    options: &Options,
    now: &str,
) -> Answer<Value> {
    let is_namespace = kind.kind == "Namespace" && kind.group.is_empty();
    if is_namespace && IMMORTAL.contains(&name) {
        return Err(Status::immortal(kind, name));
    }
    let key = kind.key(namespace, name);
    let Some(object) = store.value(&key).cloned() else { return Err(Status::not_found(kind, name)) };
    options.check(kind, name, &object)?;
    let marked = mark(store, &key, kind, &object, options, now);
    if is_namespace {
        empty_namespace(store, name, now);
    } else if kind.kind == "CustomResourceDefinition" {
        for kind in crd::kinds_of(&object) {
            empty(store, &kind.prefix(), now);
        }
    }
    let answer = if let Some(last) = last_sight(kind, &object, options, now).filter(|_| !marked) {
        let version = (store.revision() + 1).to_string();
        remove(store, &key, options.propagation.as_deref() == Some("Orphan"), now);
        with_version(last, &version)
    } else if marked {
        if options.propagation.as_deref() == Some("Foreground") {
            delete_owned(store, &object["metadata"]["uid"], now);
        }
        store.value(&key).map_or_else(|| shown(&object, kind), |marked| shown(marked, kind))
    } else {
        remove(store, &key, options.propagation.as_deref() == Some("Orphan"), now);
        deleted(kind, name, &object["metadata"]["uid"])
    };
    settle(store, now);
    Ok(answer)
}

fn with_version(mut object: Value, version: &str) -> Value {
    object["metadata"]["resourceVersion"] = version.into();
    object
}

/// What the server answers about an object that would be marked, if only for a moment: a pod for the kubelet, a definition
/// for the controller that removes its objects. None for what just goes.
fn last_sight(kind: &Kind, object: &Value, options: &Options, now: &str) -> Option<Value> {
    let mut last = shown(object, kind);
    let metadata = &mut last["metadata"];
    let is_marked = !metadata["deletionTimestamp"].is_null();
    let count = |metadata: &mut Value| {
        if let Some(generation) = metadata["generation"].as_u64().filter(|_| !is_marked) {
            metadata["generation"] = (generation + 1).into();
        }
    };
    match kind.kind.as_str() {
        "Pod" => {
            count(metadata);
            metadata["deletionGracePeriodSeconds"] = grace_of(kind, object, options).into();
        }
        "CustomResourceDefinition" => {
            metadata["finalizers"] = json!([CLEANUP]);
            let condition = json!({
                "type": "Terminating", "status": "True", "lastTransitionTime": now, "reason": "InstanceDeletionPending",
                "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            });
            if let Some(conditions) = last.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
                conditions.push(condition);
            }
        }
        _ if options.propagation.as_deref() == Some("Orphan") => {
            count(metadata);
            metadata["finalizers"] = json!(["orphan"]);
            metadata["deletionGracePeriodSeconds"] = 0.into();
        }
        _ => return None,
    }
    let metadata = &mut last["metadata"];
    if !is_marked {
        metadata["deletionTimestamp"] = now.into();
    }
    Some(last)
}

/// Sets the `deletionTimestamp` of an object that cannot be removed at once; returns whether that was needed.
fn mark(
    store: &mut Transaction<'_>,
    key: &str,
    kind: &Kind,
    object: &Value,
    options: &Options,
    now: &str,
) -> bool {
    let foreground = options.propagation.as_deref() == Some("Foreground");
    let grace = grace_of(kind, object, options);
    let is_namespace = kind.kind == "Namespace" && kind.group.is_empty();
    if !foreground && finalizers(object) == 0 && grace == 0 && !is_namespace {
        return false;
    }
    let mut marked = object.clone();
    let metadata = &mut marked["metadata"];
    if metadata["deletionGracePeriodSeconds"].as_i64().is_some_and(|given| grace < given) {
        metadata["deletionGracePeriodSeconds"] = grace.into();
    }
    if metadata["deletionTimestamp"].is_null() {
        metadata["deletionTimestamp"] = now.into();
        if !is_namespace {
            metadata["deletionGracePeriodSeconds"] = grace.into();
        }
        if kind.counts
            && let Some(generation) = metadata["generation"].as_u64()
        {
            metadata["generation"] = (generation + 1).into();
        }
    }
    if foreground && !has_finalizer(object, FOREGROUND) {
        let mut all = metadata["finalizers"].as_array().cloned().unwrap_or_default();
        all.push(FOREGROUND.into());
        metadata["finalizers"] = all.into();
    }
    if is_namespace {
        marked["status"]["phase"] = "Terminating".into();
    }
    if marked != *object {
        put(store, key, marked);
    }
    true
}

/// A pod on a node gets a grace period.
fn grace_of(kind: &Kind, object: &Value, options: &Options) -> i64 {
    let is_placed = kind.kind == "Pod" && object["spec"]["nodeName"].is_string();
    let ended = ["Succeeded", "Failed"].contains(&object["status"]["phase"].as_str().unwrap_or_default());
    if !is_placed || ended {
        return 0;
    }
    options.grace.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30)
}

fn has_finalizer(object: &Value, name: &str) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
}

fn put(store: &mut Transaction<'_>, key: &str, mut object: Value) {
    object["metadata"]["resourceVersion"] = (store.revision() + 1).to_string().into();
    store.put(key, object);
}

/// Removes an object whose last finalizer is gone.
pub(super) fn finish(
    store: &mut Transaction<'_>,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
    now: &str,
) {
    remove(store, &kind.key(namespace, name), false, now);
    settle(store, now);
}

/// Removes an object, and dependents without another owner.
fn remove(store: &mut Transaction<'_>, key: &str, orphan: bool, now: &str) {
    let Some(object) = store.value(key).cloned() else { return };
    store.remove(key);
    let uid = &object["metadata"]["uid"];
    if orphan {
        for (key, mut owned) in owned_by(store, uid) {
            owners_without(&mut owned, uid);
            put(store, &key, owned);
        }
    } else {
        delete_owned(store, uid, now);
    }
}

fn owners_without(object: &mut Value, uid: &Value) {
    let mut is_empty = false;
    if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
        owners.retain(|owner| owner["uid"] != *uid);
        is_empty = owners.is_empty();
    }
    let (list, item) = (["f:metadata", "f:ownerReferences"], format!("k:{}", json!({"uid": uid})));
    let mut managers = fields::managers(object);
    for manager in &mut managers {
        manager.fields.retain(|path| {
            let in_list = path.iter().zip(list).filter(|(one, other)| one == other).count() == 2;
            !in_list || (path.get(2) != Some(&item) && (path.len() > 2 || !is_empty))
        });
    }
    fields::set_managers(object, managers);
    if let Some(metadata) = object["metadata"].as_object_mut().filter(|_| is_empty) {
        metadata.shift_remove("ownerReferences");
    }
}

fn owned_by(store: &Transaction<'_>, uid: &Value) -> Vec<(String, Value)> {
    let owns = |object: &Value| {
        object["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["uid"] == *uid))
    };
    let all = store.range("api/").filter(|(_, object)| owns(object));
    all.map(|(key, object)| (key.to_owned(), object.as_ref().clone())).collect()
}

/// Deletes an owner's dependents, unless they have another owner.
fn delete_owned(store: &mut Transaction<'_>, uid: &Value, now: &str) {
    for (key, mut object) in owned_by(store, uid) {
        let owners = object["metadata"]["ownerReferences"].as_array().map_or(0, Vec::len);
        if owners > 1 {
            owners_without(&mut object, uid);
            put(store, &key, object);
        } else {
            delete_key(store, &key, now);
        }
    }
}

/// Deletes by key, as a controller would.
fn delete_key(store: &mut Transaction<'_>, key: &str, now: &str) {
    let Some(object) = store.value(key).cloned() else { return };
    let kind = Kind {
        kind: object["kind"].as_str().unwrap_or_default().to_owned(),
        counts: !object["metadata"]["generation"].is_null(),
        tracks: true,
        ..Kind::default()
    };
    if !mark(store, key, &kind, &object, &Options::default(), now) {
        remove(store, key, false, now);
    }
}

fn empty(store: &mut Transaction<'_>, prefix: &str, now: &str) {
    let keys: Vec<String> = store.range(prefix).map(|(key, _)| key.to_owned()).collect();
    for key in &keys {
        delete_key(store, key, now);
    }
}

fn empty_namespace(store: &mut Transaction<'_>, namespace: &str, now: &str) {
    let keys: Vec<String> = contents(store, namespace);
    for key in &keys {
        delete_key(store, key, now);
    }
}

/// The keys of a namespace's content.
fn contents(store: &Transaction<'_>, namespace: &str) -> Vec<String> {
    let inside = |key: &&str| key.split('/').nth(3) == Some(namespace);
    store.range("api/").map(|(key, _)| key).filter(inside).map(str::to_owned).collect()
}

/// Removes objects that only waited for something that is gone by now.
pub(super) fn settle(store: &mut Transaction<'_>, now: &str) {
    loop {
        let leaving =
            store.range("api/").filter(|(_, object)| !object["metadata"]["deletionTimestamp"].is_null());
        let leaving: Vec<(String, Value)> =
            leaving.map(|(key, object)| (key.to_owned(), object.as_ref().clone())).collect();
        let ready = leaving.into_iter().find(|(key, object)| may_go(store, key, object));
        let Some((key, mut object)) = ready else { return };
        if let Some(finalizers) = object["metadata"]["finalizers"].as_array_mut() {
            finalizers.retain(|one| one != FOREGROUND);
        }
        if finalizers(&object) == 0 {
            remove(store, &key, false, now);
        } else {
            put(store, &key, object);
        }
    }
}

fn may_go(store: &Transaction<'_>, key: &str, object: &Value) -> bool {
    if key.starts_with("api/core/namespaces/") {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        return finalizers(object) == 0 && contents(store, name).is_empty();
    }
    has_finalizer(object, FOREGROUND) && owned_by(store, &object["metadata"]["uid"]).is_empty()
}

/// Default `DeleteOptions`.
pub(super) fn now_options() -> Options {
    Options { grace: Some(0), ..Options::parse(&json!({})) }
}
