//! Whether applying an object would change the live one, decided without a request.
//!
//! The live object's `managedFields` say which fields kvnet applied before (so that a field that is no longer desired is
//! seen as a removal), which lists are merged by which keys, and who else owns a field. Objects that kvnet has not applied
//! yet are compared with built-in knowledge of the common lists. Where the API server does not track fields at all, an
//! annotation of kvnet's own tells what it applied.

mod lists;
mod merge;
mod owners;
mod record;
mod values;
mod walk;

use serde_json::{Map, Value};

pub use self::merge::merge_patch;
use self::owners::Owners;
pub use self::record::{is_recorded, recorded};
use self::walk::Walk;
use super::{FIELD_MANAGER, MANAGED_BY, MANAGED_BY_LABEL};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Replaces the value of a secret.
const HIDDEN: &str = "(hidden)";
/// The owner of a field that is not as kvnet set it, where field managers are not tracked.
const SOMEBODY: &str = "another client";
/// The only parts of the metadata that an apply can change.
const METADATA: &[&str] = &["labels", "annotations", "finalizers", "ownerReferences"];

/// One field that differs between the live and the desired object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldDiff {
    /// Where: `spec.template.spec.containers[name=kube-multus].image`.
    pub path: String,
    /// The live value; none when absent.
    pub before: Option<Value>,
    /// The desired value; none when it is removed.
    pub after: Option<Value>,
    /// The field managers other than kvnet that own the field.
    pub owners: Vec<String>,
}

/// The fields that applying `desired` as kvnet would change in `live`; empty when it would change nothing.
///
/// Both have the same apiVersion. Values of a Secret are shown as `(hidden)`.
pub fn differences(desired: &Value, live: &Value) -> Vec<FieldDiff> {
    let desired = comparable(desired);
    let record = record::of(live);
    let tree = record.as_ref().map(|record| record::tree(record, live));
    let owners = Owners::of(live).or_applied(tree.as_ref());
    let mut found = compared(&desired, live, &owners);
    if !is_tracked(live) {
        let changed = record.map(|record| compared(&record, live, &Owners::default()));
        found.iter_mut().filter(|field| is_taken(field, live, changed.as_deref())).for_each(|field| {
            field.owners = vec![SOMEBODY.into()];
        });
    }
    if live.get("kind").and_then(Value::as_str) == Some("Secret") {
        found.iter_mut().for_each(hide);
    }
    found
}

/// Whether the API server tracks the field managers of an object.
fn is_tracked(live: &Value) -> bool {
    live.pointer("/metadata/managedFields").is_some()
}

/// Whether an untracked field is another client's, as far as that can be known: it has another value than the one that
/// kvnet set, or the object is not kvnet's at all.
fn is_taken(field: &FieldDiff, live: &Value, changed: Option<&[FieldDiff]>) -> bool {
    if field.before.is_none() || field.after.is_none() {
        return false;
    }
    match changed {
        Some(changed) => {
            changed.iter().any(|other| other.before.is_some() && overlap(&field.path, &other.path))
        }
        None => live["metadata"]["labels"][MANAGED_BY_LABEL] != MANAGED_BY,
    }
}

/// Whether one of two paths is the other, or within it.
fn overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    within(one, other) || within(other, one)
}

fn compared(desired: &Map<String, Value>, live: &Value, owners: &Owners) -> Vec<FieldDiff> {
    let mut walk = Walk::default();
    let fields = desired.keys().cloned().chain(owners.applied_keys()).filter(|key| is_compared(key));
    let mut seen = Vec::new();
    for field in fields {
        if seen.contains(&field) {
            continue;
        }
        walk.field(&field, desired.get(&field), live.get(&field), owners);
        seen.push(field);
    }
    walk.into_found()
}

fn is_compared(field: &str) -> bool {
    !matches!(field, "apiVersion" | "kind" | "status")
}

/// What of the desired object is compared, as the server stores it: only the metadata that an apply can change, and a Secret's text as data.
fn comparable(desired: &Value) -> Map<String, Value> {
    let is_secret = desired.get("kind").and_then(Value::as_str) == Some("Secret");
    let mut desired = desired.as_object().cloned().unwrap_or_default();
    desired.retain(|field, _| is_compared(field));
    if let Some(Value::Object(metadata)) = desired.get_mut("metadata") {
        metadata.retain(|field, _| METADATA.contains(&field.as_str()));
    }
    if is_secret {
        encode_text(&mut desired);
    }
    desired
}

/// Moves `stringData`, which is write-only, to `data`.
fn encode_text(secret: &mut Map<String, Value>) {
    let Some(Value::Object(text)) = secret.shift_remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| Value::Object(Map::new()));
    let Some(data) = data.as_object_mut() else { return };
    for (key, value) in text {
        let encoded = value.as_str().map(|value| STANDARD.encode(value).into());
        data.insert(key, encoded.unwrap_or(value));
    }
}

fn hide(difference: &mut FieldDiff) {
    if !difference.path.starts_with("data") {
        return;
    }
    for value in [&mut difference.before, &mut difference.after].into_iter().flatten() {
        *value = HIDDEN.into();
    }
}

#[cfg(test)]
mod tests;
