//! JSON and YAML without their secrets: parsed, walked, and written again.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::HIDDEN;
use super::keys::{is_secret, is_void};
use super::text::plain;

/// How deep documents in strings of documents are looked into; deeper ones are text.
const DEPTH: u8 = 8;
/// Fields that only name or locate something, even among secrets.
const NAMING: [&str; 4] = ["name", "namespace", "kind", "apiVersion"];

/// One walk through a text: the values to hide wherever they stand, and how deep to look.
#[derive(Clone, Copy)]
pub(super) struct Walk<'a> {
    known: &'a [&'a str],
    depth: u8,
}

impl<'a> Walk<'a> {
    pub(super) fn new(known: &'a [&'a str]) -> Self {
        Self { known, depth: DEPTH }
    }

    /// A document stays one of its kind; without secrets a text stays as it is.
    pub(super) fn text(self, text: &str) -> String {
        let deeper = self.depth.checked_sub(1).map(|depth| Self { depth, ..self });
        deeper
            .and_then(|walk| walk.json(text).or_else(|| walk.yaml(text)))
            .unwrap_or_else(|| self.without_known(plain(text, self)))
    }

    /// Text that is one JSON object or array.
    pub(super) fn json(self, text: &str) -> Option<String> {
        let body = text.trim();
        if self.depth == 0 || !body.starts_with(['{', '[']) {
            return None;
        }
        let value: Value = serde_json::from_str(body).ok()?;
        let written = |value: &Value| {
            let written = if body.contains('\n') {
                serde_json::to_string_pretty(value)
            } else {
                serde_json::to_string(value)
            };
            written.ok().map(|written| text.replacen(body, &written, 1))
        };
        self.again(text, vec![value], |values| written(values.first()?))
    }

    /// Text that is YAML of several lines, in one document or more.
    fn yaml(self, text: &str) -> Option<String> {
        if !text.trim_end().contains('\n') {
            return None;
        }
        let documents: Vec<Value> = serde_yaml::Deserializer::from_str(text)
            .map(Value::deserialize)
            .collect::<Result<_, _>>()
            .ok()?;
        let structured = |value: &Value| value.is_object() || value.is_array() || value.is_null();
        if documents.is_empty() || !documents.iter().all(structured) {
            return None;
        }
        let marked = documents.len() > 1 || text.starts_with("---");
        self.again(text, documents, |documents| {
            let mut all = String::new();
            for document in documents {
                all.push_str(if marked { "---\n" } else { "" });
                all.push_str(&serde_yaml::to_string(document).ok()?);
            }
            Some(all)
        })
    }

    /// The documents of a text, walked. What the parser does not give, such as comments and fields given twice, must not
    /// carry a secret past the walk: then they go too.
    fn again(
        self,
        text: &str,
        mut values: Vec<Value>,
        write: impl Fn(&[Value]) -> Option<String>,
    ) -> Option<String> {
        let before = values.clone();
        for value in &mut values {
            self.value(value, false);
        }
        let lines = Self { depth: 0, ..self };
        if values == before && self.without_known(plain(text, lines)) == text {
            return Some(text.to_owned());
        }
        write(&values)
    }

    /// Redacts a value in place; `hide` when it follows a telling name.
    pub(super) fn value(self, value: &mut Value, hide: bool) {
        match value {
            Value::String(text) if hide && !is_void(text) => HIDDEN.clone_into(text),
            Value::String(text) => *text = self.text(text),
            Value::Number(_) if hide => *value = HIDDEN.into(),
            Value::Array(items) => self.items(items, hide),
            Value::Object(fields) => self.fields(fields, hide),
            _ => {}
        }
    }

    /// In a list of arguments the one after `--token` is the token.
    fn items(self, items: &mut [Value], hide: bool) {
        let mut after_flag = false;
        for item in items {
            let text = item.as_str().unwrap_or_default();
            let is_flag = text.starts_with('-') && !text.contains(['=', ' ']);
            let flags_next = is_flag && is_secret(text);
            self.value(item, hide || (after_flag && !is_flag));
            after_flag = flags_next;
        }
    }

    fn fields(self, fields: &mut Map<String, Value>, hide: bool) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let names_secret = ["name", "key", "header"].iter().any(|name| is_secret(text(name)));
        let is_secret_object = text("kind") == "Secret";
        let has = |name: &str| fields.contains_key(name);
        // A volume's `secret` only says which one.
        let refers = has("secretName") || has("expirationSeconds") || (has("name") && has("items"));
        let hide = hide && !refers;
        for (name, field) in fields {
            let named = names_secret && name == "value";
            let data = is_secret_object && (name == "data" || name == "stringData");
            let behind = (hide && !NAMING.contains(&name.as_str())) || is_secret(name);
            self.value(field, behind || named || data);
        }
    }

    fn without_known(self, mut text: String) -> String {
        for secret in self.known.iter().filter(|secret| !secret.is_empty()) {
            if text.contains(secret) {
                text = text.replace(secret, HIDDEN);
            }
        }
        text
    }
}
