//! Objects and events as text, without secrets.

use std::fmt::Write as _;

use serde_json::Value;

use crate::facts::attachments::OLD_STATUS;
use crate::formats::cni::NETWORK_STATUS;
use crate::formats::object::name;
use crate::redact::{redact_object, redact_text, redact_value};

/// The containers of a pod by name, those that initialise it first.
pub fn containers(pod: &Value) -> impl Iterator<Item = &str> {
    let of = |field: &str| pod["spec"][field].as_array().map(Vec::as_slice).unwrap_or_default();
    of("initContainers").iter().chain(of("containers")).filter_map(|one| one["name"].as_str())
}

/// Multus' status of each pod, by `namespace/name`, as JSON.
pub fn nics(pods: &[Value]) -> String {
    let status = |pod: &Value| {
        let annotations = &pod["metadata"]["annotations"];
        let text = annotations[NETWORK_STATUS].as_str().or(annotations[OLD_STATUS].as_str());
        let list: Vec<Value> = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        (format!("{namespace}/{}", name(pod)), list.into())
    };
    let all: serde_json::Map<String, Value> = pods.iter().map(status).collect();
    serde_json::to_string_pretty(&all).unwrap_or_default()
}

/// Objects as YAML documents, without secrets and managed fields.
pub fn documents(objects: Vec<Value>) -> String {
    let mut text = String::new();
    for mut object in objects {
        redact_object(&mut object);
        redact_value(&mut object);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        let _ = write!(text, "---\n{}", serde_yaml::to_string(&object).unwrap_or_default());
    }
    text
}

/// Events by their time, one a line.
pub fn timeline(events: &[Value]) -> String {
    let text = |event: &Value, pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
    };
    let time = |event: &Value| {
        let last = text(event, "/lastTimestamp");
        if last.is_empty() { text(event, "/eventTime") } else { last }
    };
    let line = |event: &Value| {
        let about =
            format!("{} {}", text(event, "/involvedObject/kind"), text(event, "/involvedObject/name"));
        let (kind, reason) = (text(event, "/type"), text(event, "/reason"));
        let message = event.pointer("/message").and_then(Value::as_str).unwrap_or_default();
        let message = redact_text(message, &[]).replace('\n', " ");
        format!("{} {kind:7} {reason:24} {about}: {message}\n", time(event))
    };
    let mut lines: Vec<String> = events.iter().map(line).collect();
    lines.sort();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_lines_in_the_order_of_time() {
        let event = |time: &str, message: &str| {
            json!({"lastTimestamp": time, "type": "Warning", "reason": "R", "message": message,
                "involvedObject": {"kind": "Pod", "name": "p"}})
        };
        let text =
            timeline(&[event("2026-01-02T00:00:00Z", "later"), event("2026-01-01T00:00:00Z", "so\nmuch")]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].ends_with("Pod p: so much") && lines[1].ends_with("Pod p: later"), "{text}");
    }

    #[test]
    fn objects_have_no_secrets() {
        let text = documents(vec![
            json!({"kind": "Secret", "data": {"x": "canary"}, "metadata": {"managedFields": []}}),
        ]);
        assert_eq!(text, "---\nkind: Secret\ndata:\n  x: (hidden)\nmetadata: {}\n");
    }
}
