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

/// Keys behind which there is a secret, in files and logs; compared without `-`, `_` and case.
const SECRET_KEYS: [&str; 11] = [
    "token",
    "password",
    "passwd",
    "secret",
    "clientkeydata",
    "clientcertificatedata",
    "certificateauthoritydata",
    "apikey",
    "privatekey",
    "authorization",
    "userdata",
];

/// A text from elsewhere without what looks like a secret: values behind telling keys, bearer and service account tokens,
/// private keys, passwords in addresses, and these values themselves.
pub fn redact_text(text: &str, known: &[&str]) -> String {
    let mut in_key = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.contains("-----BEGIN") && line.contains("PRIVATE KEY") {
            in_key = true;
            lines.push(HIDDEN.to_owned());
        }
        if !in_key {
            lines.push(redact_line(line));
        }
        in_key &= !line.contains("-----END");
    }
    let mut text = lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" };
    for secret in known.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, HIDDEN);
    }
    text
}

fn redact_line(line: &str) -> String {
    let line = redact_pairs(line);
    let is_end = |c: char| c.is_whitespace() || "\"',;)}]".contains(c);
    let mut redacted = String::with_capacity(line.len());
    for word in line.split_inclusive(is_end) {
        let (bare, end) = word.split_at(word.trim_end_matches(is_end).len());
        // A service account's token is three parts of base64; an address may have a password.
        if bare.starts_with("eyJ") && bare.matches('.').count() == 2 {
            redacted.push_str(HIDDEN);
        } else {
            redacted.push_str(&without_userinfo(bare));
        }
        redacted.push_str(end);
    }
    redacted
}

/// Hides the value of each `key: value` and `key=value` whose key is telling; in JSON one line may have many.
fn redact_pairs(line: &str) -> String {
    let (mut rest, mut redacted) = (line, String::with_capacity(line.len()));
    while let Some(at) = rest.find([':', '=']) {
        let (before, after) = rest.split_at(at + 1);
        redacted.push_str(before);
        rest = after;
        let key = before[..at].trim_end_matches(['"', '\'', ' ']);
        let key = key
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
            .next()
            .unwrap_or_default();
        let key: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        let value = after.trim_start();
        if value.is_empty() || !SECRET_KEYS.iter().any(|secret| key.ends_with(secret)) {
            continue;
        }
        redacted.push_str(&after[..after.len() - value.len()]);
        let (quote, inner) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => (Some(quote), &value[1..]),
            _ => (None, value),
        };
        let end = match quote {
            Some(quote) => end_of_quoted(inner, quote),
            // Without quotes a value may be of several words, as in `Authorization: Bearer x`.
            None => inner.find([',', ';', '}', ']']).unwrap_or(inner.len()),
        };
        redacted.extend(quote);
        redacted.push_str(HIDDEN);
        rest = &inner[end..];
    }
    redacted + rest
}

/// Where a quoted text ends: at the first quote that is not escaped.
fn end_of_quoted(inner: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        if c == quote && !escaped {
            return at;
        }
        escaped = c == '\\' && !escaped;
    }
    inner.len()
}

fn without_userinfo(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{HIDDEN}@{host}{}", &rest[authority.len()..]),
        None => word.to_owned(),
    }
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
