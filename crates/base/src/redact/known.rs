//! Secrets that this process has read: they are hidden by value, wherever they turn up.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::HIDDEN;
use super::keys::{is_secret, is_void};

/// Shorter ones would hide half of the text, and are no secrets.
const SHORTEST: usize = 5;
/// Too common to hide.
const PUBLIC: [&str; 5] = ["default", "kubernetes", "kubevirt", "localhost", "kube-system"];
/// Lines of a text that are shorter than this reveal little.
const SHORTEST_LINE: usize = 12;

static KNOWN: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Remembers a secret, also in the forms in which it is written into other texts.
pub fn know(secret: &str) {
    let secret = secret.trim();
    if secret.len() < SHORTEST || is_void(secret) || PUBLIC.contains(&secret) {
        return;
    }
    let escaped = Value::from(secret).to_string();
    let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let coded = STANDARD.encode(secret);
    let forms = [secret, escaped.trim_matches('"'), &encoded, coded.trim_end_matches('=')];
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    known.extend(forms.map(str::to_owned));
    if secret.contains('\n') {
        known.extend(
            secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST_LINE).map(str::to_owned),
        );
    }
}

/// Remembers the secrets of an object: the values of telling names, such as `token`.
pub fn know_in(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if is_secret(name) => know(text),
                    _ => know_in(field),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(know_in),
        _ => {}
    }
}

/// Remembers what is secret in an address: the login before `@`, and the values of the query.
pub fn know_address(address: &str) {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = rest.split('/').next().unwrap_or_default();
    if let Some((login, _)) = authority.rsplit_once('@') {
        let password = login.split_once(':').map_or(login, |(_, password)| password);
        know(password);
        // Its decoded form is what is sent.
        form_urlencoded::parse(format!("x={password}").as_bytes()).for_each(|(_, password)| know(&password));
    }
    form_urlencoded::parse(query.as_bytes()).for_each(|(_, value)| know(&value));
}

/// A text without the secrets that are known.
pub fn without_known(text: &str) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<&String> = known.iter().filter(|secret| text.contains(secret.as_str())).collect();
    // The longest first: a part of it may be a secret too.
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.into_iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), HIDDEN))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_hidden_in_every_form() {
        know("canary \"one\"/1");
        know_address("https://me:canary%2Ftwo@h/p?sig=canary-three");
        know_in(&json!([{"token": "canary-four", "exec": {"password": "canary-five", "name": "kept-name"}}]));
        know("#cloud-config\nchpasswd: {list: 'a:canary-six'}\n");
        know("true");
        for text in [
            "said canary \"one\"/1 aloud",
            "in JSON: canary \\\"one\\\"/1",
            "in an address: ?x=canary+%22one%22%2F1",
            "Y2FuYXJ5ICJvbmUiLzE=",
            "me:canary%2Ftwo canary/two canary-three",
            "canary-four, canary-five",
            "  chpasswd: {list: 'a:canary-six'}",
        ] {
            let shown = without_known(text);
            assert!(!shown.contains("canary") && !shown.contains("Y2FuY"), "{shown}");
        }
        assert_eq!(without_known("kept-name is true"), "kept-name is true");
    }
}
