//! JSON merge patch and JSON patch.

use serde_json::{Map, Value};

use super::fields::step_of;
use super::schema::{ListKind, Shape};
use super::status::Status;

/// Applies a merge patch (RFC 7386) to an object: null removes.
pub(super) fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        object.clone_from(patch);
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(object) = object else { return };
    for (name, value) in patch {
        if value.is_null() {
            object.shift_remove(name);
        } else {
            merge(object.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Applies a strategic merge patch to an object: list items are matched by key, and `$patch: delete` removes one.
pub(super) fn strategic(object: &mut Value, patch: &Value, shape: Shape<'_>) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (name, value) in patch.iter().filter(|(name, _)| !name.starts_with('$')) {
                match object.get_mut(name) {
                    _ if value.is_null() => _ = object.shift_remove(name),
                    Some(there) => strategic(there, value, shape.field(name)),
                    None => _ = object.insert(name.clone(), value.clone()),
                }
            }
        }
        (Value::Array(object), Value::Array(patch)) => match shape.list() {
            kind @ ListKind::Keyed(_) => strategic_items(object, patch, &kind, shape),
            ListKind::Set => {
                let new: Vec<Value> = patch.iter().filter(|item| !object.contains(item)).cloned().collect();
                object.extend(new);
            }
            ListKind::Atomic => object.clone_from(patch),
        },
        (object, patch) => object.clone_from(patch),
    }
}

/// Items of the patch come first, in its order, as the real server has them.
fn strategic_items(object: &mut Vec<Value>, patch: &[Value], kind: &ListKind, shape: Shape<'_>) {
    let step = |item: &Value| step_of(item, kind, shape);
    let mut merged = Vec::new();
    for item in patch {
        let place = object.iter().position(|other| step(other) == step(item));
        let there = place.map(|place| object.remove(place));
        if item["$patch"] == "delete" {
            continue;
        }
        merged.push(match there {
            Some(mut there) => {
                strategic(&mut there, item, shape.item());
                there
            }
            None => item.clone(),
        });
    }
    merged.append(object);
    *object = merged;
}

/// Applies a JSON patch (RFC 6902), all or nothing. A server of 2018 names the failing operation in a 500.
pub(super) fn json(object: &Value, patch: &Value, of_2018: bool) -> Result<Value, Box<Status>> {
    let Value::Array(operations) = patch else {
        return Err(Status::bad_request("error decoding patch: it is no list of operations"));
    };
    let mut patched = object.clone();
    for operation in operations {
        let put = put(&mut patched, operation, of_2018);
        put.ok_or_else(|| {
            if of_2018 {
                return Box::new(Status {
                    code: 500,
                    message: misfit(&patched, operation),
                    ..Status::default()
                });
            }
            Status::unprocessable("the server rejected our request due to an error in our request")
        })?;
    }
    Ok(patched)
}

/// Applies one operation, if valid. Current servers create a missing field on `replace`.
fn put(object: &mut Value, operation: &Value, of_2018: bool) -> Option<()> {
    let mut operation = operation.clone();
    let pointer = operation["path"].as_str().unwrap_or_default();
    if !of_2018 && operation["op"] == "replace" && object.pointer(pointer).is_none() {
        operation["op"] = "add".into();
    }
    let operation: json_patch::Patch = serde_json::from_value(Value::Array(vec![operation])).ok()?;
    json_patch::patch(object, &operation).ok()
}

/// Why an operation fails, with the message of the real server of 2018.
fn misfit(object: &Value, operation: &Value) -> String {
    let path = operation["path"].as_str().unwrap_or_default();
    let name = operation["op"].as_str().unwrap_or_default();
    let (above, key) = path.rsplit_once('/').unwrap_or_default();
    match (name, object.pointer(above)) {
        ("test", None) => format!("jsonpatch test operation does not apply: is missing path: {path}"),
        (_, None) => format!("jsonpatch {name} operation does not apply: doc is missing path: {path}"),
        ("replace", _) => format!("jsonpatch replace operation does not apply: doc is missing key: {path}"),
        ("remove", Some(Value::Array(_))) => format!("Unable to remove invalid index: {key}"),
        ("remove", _) => format!("Unable to remove nonexistent key: {key}"),
        (_, Some(Value::Array(_))) if object.pointer(path).is_none() => {
            format!("Unable to access invalid index: {key}")
        }
        _ => format!("Testing value {path} failed"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn null_removes_and_maps_are_made() {
        let mut object = json!({"a": {"b": 1, "c": 2}, "l": [1]});
        merge(&mut object, &json!({"a": {"b": null}, "l": [2], "n": {"x": 1}}));
        assert_eq!(object, json!({"a": {"c": 2}, "l": [2], "n": {"x": 1}}));
    }

    #[test]
    fn a_test_that_fails_changes_nothing() {
        let object = json!({"a": 1});
        let patch =
            json!([{"op": "replace", "path": "/a", "value": 2}, {"op": "test", "path": "/a", "value": 3}]);
        assert_eq!(super::json(&object, &patch, false).unwrap_err().code, 422);
    }
}
