//! Whether applying an object would change the live one, decided without a request.
//!
//! The live object's `managedFields` say which fields kvnet applied before (so that a field that is no longer desired is
//! seen as a removal), which lists are merged by which keys, and who else owns a field. Objects that kvnet has not applied
//! yet are compared with built-in knowledge of the common lists.

mod lists;
mod owners;
mod values;
mod walk;

use serde_json::{Map, Value};

use self::owners::Owners;
use self::walk::Walk;
use crate::engine::change::FieldDiff;

/// What stands for the value of a secret.
const HIDDEN: &str = "(hidden)";
/// The only parts of the metadata that an apply can change.
const METADATA: &[&str] = &["labels", "annotations", "finalizers", "ownerReferences"];

/// The fields that applying `desired` as kvnet would change in `live`; empty when it would change nothing.
///
/// Both have the same apiVersion. Values of a Secret are shown as `(hidden)`.
pub fn differences(desired: &Value, live: &Value) -> Vec<FieldDiff> {
    let desired = comparable(desired);
    let owners = Owners::of(live);
    let mut walk = Walk::default();
    let fields = desired.keys().cloned().chain(owners.applied_keys()).filter(|key| is_compared(key));
    let mut seen = Vec::new();
    for field in fields {
        if seen.contains(&field) {
            continue;
        }
        walk.field(&field, desired.get(&field), live.get(&field), &owners);
        seen.push(field);
    }
    let mut found = walk.into_found();
    if live.get("kind").and_then(Value::as_str) == Some("Secret") {
        found.iter_mut().for_each(hide);
    }
    found
}

fn is_compared(field: &str) -> bool {
    !matches!(field, "apiVersion" | "kind" | "status")
}

/// The desired object as the server stores it: only the comparable metadata, and a Secret's text as data.
fn comparable(desired: &Value) -> Map<String, Value> {
    let mut desired = desired.as_object().cloned().unwrap_or_default();
    if let Some(Value::Object(metadata)) = desired.get_mut("metadata") {
        metadata.retain(|field, _| METADATA.contains(&field.as_str()));
    }
    if desired.get("kind").and_then(Value::as_str) == Some("Secret") {
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
        let encoded = value.as_str().map(|value| values::base64(value.as_bytes()).into());
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
