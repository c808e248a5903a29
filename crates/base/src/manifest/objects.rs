//! What every Kubernetes object has, lists split into objects, and the order of applying.

use serde_json::{Map, Value};

/// Adds the objects of one document to `found`, splitting lists.
pub(super) fn flatten(document: Value, found: &mut Vec<Value>) -> Result<(), String> {
    let Value::Object(mut object) = document else {
        return Err("a document is not a Kubernetes object".into());
    };
    let kind = text(&object, "kind")?.to_owned();
    let version = text(&object, "apiVersion")?.to_owned();
    if let (Some(of), Some(Value::Array(_))) = (kind.strip_suffix("List"), object.get("items")) {
        let Some(Value::Array(items)) = object.remove("items") else { return Ok(()) };
        return items.into_iter().try_for_each(|item| flatten(with_kind(item, of, &version), found));
    }
    let name = |field: &str| object.get("metadata")?.get(field)?.as_str().filter(|name| !name.is_empty());
    if name("name").or_else(|| name("generateName")).is_none() {
        return Err(format!("the {kind} has no `metadata.name`"));
    }
    for field in ["labels", "annotations"] {
        let value = object.get("metadata").and_then(|metadata| metadata.get(field));
        if value.is_some_and(|value| !value.is_object() && !value.is_null()) {
            return Err(format!("`metadata.{field}` of the {kind} is not a map"));
        }
    }
    found.push(Value::Object(object));
    Ok(())
}

/// Sorts objects so that each comes after what it needs; equal kinds keep their order.
pub fn sort(objects: &mut [Value]) {
    objects.sort_by_key(rank);
}

fn text<'a>(object: &'a Map<String, Value>, field: &str) -> Result<&'a str, String> {
    object
        .get(field)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| format!("a document has no `{field}`, so it is not a Kubernetes object"))
}

/// The items of a typed list may leave out what the list already says.
fn with_kind(item: Value, kind: &str, version: &str) -> Value {
    let Value::Object(mut item) = item else { return item };
    if !kind.is_empty() {
        item.entry("kind").or_insert_with(|| kind.into());
        item.entry("apiVersion").or_insert_with(|| version.into());
    }
    Value::Object(item)
}

fn rank(object: &Value) -> u8 {
    match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Namespace" => 0,
        "CustomResourceDefinition" | "PriorityClass" => 1,
        "ClusterRole" | "Role" => 2,
        "ClusterRoleBinding" | "RoleBinding" => 3,
        "ServiceAccount" => 4,
        "ConfigMap" | "Secret" => 5,
        _ => 6,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_are_taken_apart_at_every_level() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        let inner = json!({"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "b"}}]});
        let mut found = Vec::new();
        flatten(json!({"apiVersion": "v1", "kind": "List", "items": [pod, inner]}), &mut found).unwrap();
        let names: Vec<_> =
            found.iter().map(|object| (&object["kind"], &object["metadata"]["name"])).collect();
        assert_eq!(names, [(&json!("Pod"), &json!("a")), (&json!("Pod"), &json!("b"))]);
    }

    #[test]
    fn a_document_that_is_no_object_is_refused() {
        for document in [
            json!([1]),
            json!("text"),
            json!({"kind": "Pod", "metadata": {"name": "a"}}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": ""}}),
            json!({"apiVersion": "v1", "kind": "List", "items": [1]}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": "x"}}),
        ] {
            assert!(flatten(document.clone(), &mut Vec::new()).is_err(), "{document}");
        }
    }

    #[test]
    fn what_others_need_comes_first() {
        let mut objects: Vec<_> = ["DaemonSet", "ConfigMap", "ClusterRole", "Namespace", "Deployment"]
            .map(|kind| json!({ "kind": kind }))
            .into();
        sort(&mut objects);
        let kinds: Vec<_> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
        assert_eq!(kinds, ["Namespace", "ClusterRole", "ConfigMap", "DaemonSet", "Deployment"]);
    }
}
