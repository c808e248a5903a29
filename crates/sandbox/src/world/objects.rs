//! What the parts of the world read from objects and write into them.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(super) use crate::formats::object::{items, name, namespace, number, text};

/// The characters of generated names, as Kubernetes chooses them: no vowels, so that no words come out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `metadata.uid`.
pub(super) fn uid(object: &Value) -> &str {
    text(object, "/metadata/uid")
}

/// Whether it is terminating.
pub(super) fn is_leaving(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// Whether the object is controlled by `owner`.
pub(super) fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    let owners = items(object, "/metadata/ownerReferences");
    owners
        .iter()
        .any(|reference| reference["controller"] == true && reference["uid"] == owner["metadata"]["uid"])
}

/// The reference to a controller that owns an object.
pub(super) fn owner_reference(owner: &Value, api_version: &str, kind: &str) -> Value {
    json!([{
        "apiVersion": api_version,
        "kind": kind,
        "name": name(owner),
        "uid": uid(owner),
        "controller": true,
        "blockOwnerDeletion": true,
    }])
}

/// Whether one requirement of a selector holds.
pub(super) fn holds(expression: &Value, labels: &Value) -> bool {
    let value = labels.get(text(expression, "/key"));
    let listed = || items(expression, "/values").iter().any(|wanted| Some(wanted) == value);
    match text(expression, "/operator") {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Sets a condition in a list of them; the time of the last transition stays while the status stays.
pub(super) fn set_condition(conditions: &mut Vec<Value>, mut condition: Value, now: &str) {
    let place = conditions.iter().position(|other| other["type"] == condition["type"]);
    let before = place.map(|place| &conditions[place]);
    let same = before.is_some_and(|before| before["status"] == condition["status"]);
    condition["lastTransitionTime"] = match before.filter(|_| same) {
        Some(before) => before["lastTransitionTime"].clone(),
        None => now.into(),
    };
    match place {
        Some(place) => conditions[place] = condition,
        None => conditions.push(condition),
    }
}

/// Whether a condition of the status is True.
pub(super) fn is_true(object: &Value, kind: &str) -> bool {
    let conditions = items(object, "/status/conditions");
    conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == "True")
}

/// A short name part that follows from what is hashed.
pub(super) fn suffix(hashed: &str, length: usize) -> String {
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    Sha256::digest(hashed).iter().take(length).map(letter).collect()
}

/// The first `length` hexadecimal digits of a digest, 64 at most.
pub(super) fn hex(hashed: &str, length: usize) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    let digits = Sha256::digest(hashed).into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_as_kubernetes_has_them() {
        let labels = json!({"app": "a", "tier": "node"});
        for (requirement, fits) in [
            (json!({"key": "tier", "operator": "In", "values": ["node"]}), true),
            (json!({"key": "tier", "operator": "In", "values": ["pod"]}), false),
            (json!({"key": "tier", "operator": "NotIn", "values": ["node"]}), false),
            (json!({"key": "x", "operator": "Exists"}), false),
            (json!({"key": "x", "operator": "DoesNotExist"}), true),
        ] {
            assert_eq!(holds(&requirement, &labels), fits, "{requirement}");
        }
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_transition() {
        let mut conditions = Vec::new();
        set_condition(&mut conditions, json!({"type": "Ready", "status": "False"}), "one");
        set_condition(&mut conditions, json!({"type": "Ready", "status": "False", "reason": "r"}), "two");
        assert_eq!(
            (&conditions[0]["lastTransitionTime"], &conditions[0]["reason"]),
            (&json!("one"), &json!("r"))
        );
        set_condition(&mut conditions, json!({"type": "Ready", "status": "True"}), "three");
        assert_eq!(conditions, [json!({"type": "Ready", "status": "True", "lastTransitionTime": "three"})]);
    }

    #[test]
    fn generated_names_follow_from_what_they_are_made_of() {
        assert_eq!(suffix("a", 5), suffix("a", 5));
        assert_ne!(suffix("a", 5), suffix("b", 5));
        assert_eq!((suffix("a", 10).len(), hex("a", 64).len()), (10, 64));
    }
}
