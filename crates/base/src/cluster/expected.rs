//! What an answer has to be: whatever listens at the address of an API server may answer 200 to everything.

use serde_json::Value;

use super::ObjectKey;
use crate::formats::object::text;
use crate::terminal::{clean, cut};

/// What was requested.
#[derive(Clone, Debug, Default)]
pub(super) enum Expected {
    /// The caller checks it.
    #[default]
    Anything,
    /// That object.
    Object(ObjectKey),
    /// That object while it is deleted, or a `Status` about it.
    Deletion(ObjectKey),
    /// A list of objects of that version and kind.
    List(String, String),
    /// The groups of the API.
    Groups,
    /// The kinds of a version.
    Resources,
    /// What the API looks like (`OpenAPI`).
    Description,
}

impl Expected {
    /// Why a value is not what was requested; none when it is. A missing kind is fine.
    pub fn contradiction(&self, answer: &Value) -> Option<String> {
        match self {
            Self::Anything => None,
            Self::Deletion(_) if text(answer, "/kind") == "Status" => None,
            Self::Object(key) | Self::Deletion(key) => {
                let is_it = says(answer, "/kind", &key.kind)
                    && says(answer, "/apiVersion", &key.api_version)
                    && text(answer, "/metadata/name") == key.name;
                (!is_it).then(|| instead(&key.to_string(), answer))
            }
            Self::List(version, kind) => {
                let list = format!("{kind}List");
                let said = text(answer, "/kind");
                // A custom kind may call its lists as it likes.
                let is_custom = version.contains('.') && said.ends_with("List") && said != "List";
                let is_it = (is_custom || says(answer, "/kind", &list))
                    && says(answer, "/apiVersion", version)
                    && answer.get("items").is_some_and(|items| items.is_array() || items.is_null());
                (!is_it).then(|| instead(&list, answer))
            }
            Self::Groups => without("groups", "the list of API groups", answer),
            Self::Resources => without("resources", "a list of kinds", answer),
            Self::Description => (answer.get("paths").or_else(|| answer.get("Paths")).is_none())
                .then(|| instead("a description of the API", answer)),
        }
    }
}

fn says(answer: &Value, pointer: &str, wanted: &str) -> bool {
    answer.pointer(pointer).is_none_or(|said| said == wanted)
}

fn without(field: &str, what: &str, answer: &Value) -> Option<String> {
    let is_list = answer.get(field).is_some_and(|list| list.is_array() || list.is_null());
    (!is_list).then(|| instead(what, answer))
}

fn instead(wanted: &str, answer: &Value) -> String {
    let (kind, name) = (text(answer, "/kind"), text(answer, "/metadata/name"));
    let said = [kind, name].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let said = if said.is_empty() { "nothing of Kubernetes".to_owned() } else { cut(&clean(&said), 60) };
    format!("it was asked for {wanted} and returned {said}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_asked_for_is_an_answer() {
        let key = ObjectKey::new("apps/v1", "DaemonSet", Some("n"), "d");
        let object = Expected::Object(key.clone());
        let good = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d"}});
        assert_eq!(object.contradiction(&good), None);
        for (pointer, other) in [("/apiVersion", "v1"), ("/kind", "Deployment"), ("/metadata/name", "e")] {
            let mut answer = good.clone();
            *answer.pointer_mut(pointer).unwrap() = other.into();
            assert!(object.contradiction(&answer).is_some(), "{answer}");
        }
        for answer in [
            json!({}),
            json!([]),
            json!("ok"),
            json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []}),
            json!({"kind": "Status", "status": "Success"}),
        ] {
            assert!(object.contradiction(&answer).is_some(), "{answer}");
            for asked in [Expected::Groups, Expected::Resources, Expected::Description] {
                assert!(asked.contradiction(&answer).is_some(), "{answer}");
            }
            let list = Expected::List("v1".into(), "Pod".into());
            assert!(list.contradiction(&answer).is_some(), "{answer}");
        }
        assert_eq!(Expected::Deletion(key).contradiction(&json!({"kind": "Status"})), None);
    }

    #[test]
    fn a_list_is_of_what_was_asked_for() {
        let pods = Expected::List("v1".into(), "Pod".into());
        let of = |kind: &str, version: &str| json!({"kind": kind, "apiVersion": version, "items": []});
        assert_eq!(pods.contradiction(&of("PodList", "v1")), None);
        assert_eq!(pods.contradiction(&json!({"kind": "PodList", "items": null})), None);
        for answer in [of("NodeList", "v1"), of("PodList", "v2"), json!({"kind": "PodList"})] {
            assert!(pods.contradiction(&answer).unwrap().contains("asked for PodList"), "{answer}");
        }
    }
}
