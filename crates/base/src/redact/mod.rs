//! Changes without their secrets, for the journal and the screen.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use document::Walk;
pub use known::{know, know_address, know_in, without_known};

#[cfg(test)]
mod canaries;
mod document;
mod keys;
mod known;
mod text;
mod words;

/// The annotation that `kubectl apply` writes.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
const CLOUD_INIT: [&str; 4] = ["userData", "userDataBase64", "networkData", "networkDataBase64"];

/// The replacement for a secret on the screen.
pub const HIDDEN: &str = "(hidden)";

/// The SHA-256 digest of bytes as `sha256:HEX`.
pub fn digest(bytes: impl AsRef<[u8]>) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes.as_ref()))
}

/// Replaces the values of a Secret or of a list of them, and cloud-init data that is in an object itself.
pub fn redact_object(object: &mut Value) {
    let (is_secret, is_list) = (object["kind"] == "Secret", object["kind"] == "SecretList");
    if is_secret {
        redact_secret(object);
    }
    for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        // In a list of one kind, an object need not have a kind of its own.
        if is_list || item["kind"] == "Secret" {
            redact_secret(item);
        }
    }
    redact_cloud_init(object);
}

fn redact_secret(object: &mut Value) {
    for field in ["data", "stringData"] {
        if let Some(values) = object.get_mut(field).and_then(Value::as_object_mut) {
            values.values_mut().for_each(|value| *value = json!(HIDDEN));
        }
    }
    // `kubectl apply` keeps the whole object there.
    if let Some(value) = object.pointer_mut(LAST_APPLIED) {
        *value = json!(HIDDEN);
    }
}

fn redact_cloud_init(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let secret = CLOUD_INIT.contains(&name.as_str());
                if secret && field.is_string() {
                    *field = json!(HIDDEN);
                } else {
                    redact_cloud_init(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact_cloud_init),
        _ => {}
    }
}

/// A foreign text without what looks like a secret, and without these values. JSON stays JSON and YAML stays YAML,
/// also inside of their strings; a text without secrets is not changed.
pub fn redact_text(text: &str, known: &[&str]) -> String {
    Walk::new(known).text(text)
}

/// A foreign value without what looks like a secret.
pub fn redact_value(value: &mut Value) {
    Walk::new(&[]).value(value, false);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_files_and_logs_are_gone() {
        let text = r#"users: [{name: u, user: {token: canary-1, x: y}}]
    token: "canary-2"
{"password":"canary-\"3","kept":"value"} client-key-data: canary4
Authorization: Bearer canary-5
got eyJcanary.6.x, fetched https://me:canary7@mirror.test/path
-----BEGIN RSA PRIVATE KEY-----
canary8
-----END RSA PRIVATE KEY-----
said canary-9 aloud
"#;
        let redacted = redact_text(text, &["canary-9", ""]);
        assert!(!redacted.contains("canary"), "{redacted}");
        for kept in ["name: u", "x: y", "\"kept\":\"value\"", "@mirror.test/path", "said (hidden) aloud\n"] {
            assert!(redacted.contains(kept), "`{kept}` is not in\n{redacted}");
        }
    }

    #[test]
    fn text_without_secrets_is_left_alone() {
        let text = "{\"type\": \"ovs\", \"bridge\": \"blue\"}\n\n2026-01-01T00:00:00Z [verbose] Add: default:x:net1\n";
        assert_eq!(redact_text(text, &[]), text);
    }
}
