//! JSON merge patch and JSON patch.

use serde_json::{Map, Value};

use super::fields::step_of;
use super::schema::{ListKind, Shape};
use super::status::Status;

/// Puts a merge patch (RFC 7386) over an object: null removes.
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

/// Puts a strategic merge patch over an object: items of lists are found by their keys, and `$patch: delete` removes one.
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

/// Applies a JSON patch (RFC 6902), all of it or nothing.
pub(super) fn json(object: &Value, patch: &Value) -> Result<Value, Box<Status>> {
    let Value::Array(operations) = patch else {
        return Err(Status::bad_request("error decoding patch: it is no list of operations"));
    };
    let refused = || Status::unprocessable("the server rejected our request due to an error in our request");
    let mut patched = object.clone();
    for operation in operations {
        let mut operation = operation.clone();
        // The real server makes a field that is to be replaced and is not there.
        let pointer = operation["path"].as_str().unwrap_or_default();
        if operation["op"] == "replace" && patched.pointer(pointer).is_none() {
            operation["op"] = "add".into();
        }
        let operation: json_patch::Patch =
            serde_json::from_value(Value::Array(vec![operation])).map_err(|_| refused())?;
        json_patch::patch(&mut patched, &operation).map_err(|_| refused())?;
    }
    Ok(patched)
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
        assert_eq!(super::json(&object, &patch).unwrap_err().code, 422);
    }
}
