//! Changes without their secrets, for the journal and the screen.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::change::Change;

/// The annotation `kubectl.kubernetes.io/last-applied-configuration`.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";
const CLOUD_INIT: [&str; 4] = ["userData", "userDataBase64", "networkData", "networkDataBase64"];

/// What stands for a secret on the screen.
pub const HIDDEN: &str = "(hidden)";

impl Change {
    /// The change with secret contents replaced by their digests.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut change = self.clone();
        match &mut change {
            Self::WriteFile { secret: true, before, after, .. } => {
                *after = digest(after);
                *before = before.take().map(|text| digest(&text));
            }
            Self::Apply { object, .. } | Self::Restore { object } => redact_object(object),
            Self::Run { command, .. } if !command.stdin.is_empty() => command.stdin.clear(),
            _ => {}
        }
        change
    }
}

/// The SHA-256 digest of a text as `sha256:HEX`.
pub fn digest(text: &str) -> String {
    format!("sha256:{:x}", Sha256::digest(text.as_bytes()))
}

/// Replaces the values of a Secret, and cloud-init data that stands in an object itself.
pub fn redact_object(object: &mut Value) {
    if object["kind"] == "Secret" {
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
    redact_cloud_init(object);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_every_kind_are_gone() {
        let file = Change::WriteFile {
            path: "/root/.kube/config".into(),
            mode: 0o600,
            before: Some("old-canary".into()),
            after: "new-canary".into(),
            secret: true,
        };
        let applied = json!({"kubectl.kubernetes.io/last-applied-configuration": "canary"});
        let secret = json!({"kind": "Secret", "stringData": {"userdata": "canary"}, "data": {"x": "canary"},
            "metadata": {"annotations": applied}});
        let cloud_init = json!({"userData": "canary", "networkDataBase64": "canary"});
        let vmi = json!({"spec": {"volumes": [{"cloudInitNoCloud": cloud_init}]}});
        let changes = [
            file,
            Change::Apply { object: Box::new(secret), before: None },
            Change::Apply { object: Box::new(vmi), before: None },
        ];
        for change in changes {
            let text = serde_json::to_string(&change.redacted()).unwrap();
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
