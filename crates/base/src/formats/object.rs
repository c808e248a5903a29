//! Kubernetes objects as JSON: what is read of them most, and which taints keep pods off a node.

use serde_json::Value;

/// The text at a JSON pointer; empty when there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer.
pub fn number(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

/// The items of the list at a JSON pointer; none when there is no list.
pub fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `metadata.name`.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// `metadata.namespace`.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// `namespace/name`.
pub fn full_name(object: &Value) -> String {
    format!("{}/{}", namespace(object), name(object))
}

/// The taints that keep pods with these tolerations off a node.
pub fn untolerated<'a>(node: &'a Value, tolerations: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    let tolerated = |taint: &Value| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    let hard = |taint: &&Value| text(taint, "/effect") != "PreferNoSchedule";
    items(node, "/spec/taints").iter().filter(hard).filter(move |taint| !tolerated(taint))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let same = |pointer: &str| text(toleration, pointer) == text(taint, pointer);
    let any = |pointer: &str| text(toleration, pointer).is_empty();
    let exists = text(toleration, "/operator") == "Exists";
    (any("/effect") || same("/effect"))
        && (same("/key") || (exists && any("/key")))
        && (exists || same("/value"))
}

/// `KEY:EFFECT` of a taint.
pub fn shown_taint(taint: &Value) -> String {
    format!("{}:{}", text(taint, "/key"), text(taint, "/effect"))
}
