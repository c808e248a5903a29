//! What kvnet set, on an API server that does not track field managers: from an annotation of kvnet's own.

use serde_json::{Map, Value, json};

use super::lists::{Merge, key_values, merge_of};
use super::owners::Owners;
use super::values::same_scalar;
use super::walk::same;
use super::{FIELD_MANAGER, comparable};

/// The annotation that holds what kvnet applied last; named in the warning about such an API server.
const APPLIED: &str = "kvnet.dev/applied";
/// The maximum length: all annotations of an object may have 256 KiB together.
const LONGEST: usize = 128 << 10;
/// Kinds without it. A Secret's values do not belong in annotations, and a pod is not changed but recreated.
const WITHOUT: &[&str] = &["Pod", "Secret"];

/// The object with the annotation.
pub fn recorded(desired: &Value) -> Value {
    let mut object = desired.clone();
    if WITHOUT.iter().any(|kind| desired["kind"] == *kind) {
        return object;
    }
    let text = Value::Object(comparable(desired)).to_string();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut().filter(|_| text.len() <= LONGEST) {
        annotations.insert(APPLIED.into(), text.into());
    }
    object
}

/// The annotation's content on a live object; none where the API server itself tracks what kvnet applied.
pub(super) fn of(live: &Value) -> Option<Map<String, Value>> {
    let managers = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let tracked = managers.into_iter().any(|entry| {
        entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
    });
    let text = live["metadata"]["annotations"][APPLIED].as_str().filter(|_| !tracked)?;
    serde_json::from_str(text).ok()
}

/// Whether kvnet wrote an object, by its annotation.
pub fn is_recorded(live: &Value) -> bool {
    live["metadata"]["annotations"][APPLIED].is_string()
}

/// The record as a tree of fields like those of `managedFields`: what kvnet set and is unchanged since.
pub(super) fn tree(record: &Map<String, Value>, live: &Value) -> Value {
    let fields = record.iter().filter_map(|(name, value)| {
        let node = node(&mut vec![name.clone()], value, live.get(name)?)?;
        Some((format!("f:{name}"), node))
    });
    Value::Object(fields.collect())
}

/// Without what is not as kvnet set it.
fn node(path: &mut Vec<String>, set: &Value, live: &Value) -> Option<Value> {
    match (set, live) {
        (Value::Object(set), Value::Object(live)) => map(path, set, live),
        (Value::Array(set), Value::Array(live)) => list(path, set, live),
        (Value::Object(_) | Value::Array(_) | Value::Null, _) => None,
        (set, live) => same_scalar(path, set, live).then(|| json!({})),
    }
}

fn map(path: &mut Vec<String>, set: &Map<String, Value>, live: &Map<String, Value>) -> Option<Value> {
    let mut fields = Map::new();
    for (name, value) in set {
        path.push(name.clone());
        let node = live.get(name).and_then(|live| node(path, value, live));
        path.pop();
        fields.extend(node.map(|node| (format!("f:{name}"), node)));
    }
    // A node without children would stand for the whole value.
    (set.is_empty() || !fields.is_empty()).then_some(Value::Object(fields))
}

fn list(path: &mut Vec<String>, set: &[Value], live: &[Value]) -> Option<Value> {
    let name = path.last().cloned().unwrap_or_default();
    let members: Vec<&Value> = set.iter().chain(live).collect();
    let nodes: Map<String, Value> = match merge_of(&name, &Owners::default(), &members) {
        Merge::ByKeys(keys) => {
            let named = set.iter().filter_map(|member| {
                let values = key_values(member, &keys)?;
                let there = live.iter().find(|live| key_values(live, &keys).as_ref() == Some(&values))?;
                Some((format!("k:{}", Value::Object(values)), node(path, member, there)?))
            });
            named.collect()
        }
        Merge::Set => {
            let there = set.iter().filter(|value| live.contains(value));
            there.map(|value| (format!("v:{value}"), json!({}))).collect()
        }
        Merge::Whole => return same(path, set, live).then(|| json!({})),
    };
    (!nodes.is_empty()).then_some(Value::Object(nodes))
}
