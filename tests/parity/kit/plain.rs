//! Takes out of answers what differs each time: times, ids, versions, made up names and addresses.
//!
//! Ids and versions of objects become numbers in the order in which they come, so that two that are the same stay the same.

use serde_json::{Map, Value};

/// What was met in a chapter so far.
#[derive(Default)]
pub struct Plain {
    ids: Vec<String>,
    versions: Vec<String>,
}

/// The length of an id such as `5a9db0c1-5a9d-4b0c-a1d2-5a9db0c15a9d`.
const ID: usize = 36;
/// The length of a time such as `2026-01-31T12:00:00Z`.
const TIME: usize = 20;
/// How the volume begins that every pod gets.
const TOKEN_VOLUME: &str = "kube-api-access-";
/// How many letters are made up.
const MADE_UP: usize = 5;
/// A number comes after them that is a version.
const VERSION_WORDS: [&str; 4] =
    ["ResourceVersion in object meta: ", "too old resource version: 1 (", "current: ", "(revision "];

impl Plain {
    pub fn answer(&mut self, answer: &Value) -> Value {
        self.value(answer, "")
    }

    fn value(&mut self, value: &Value, name: &str) -> Value {
        match value {
            Value::Object(map) => self.map(map, name),
            Value::Array(items) => items.iter().map(|item| self.value(item, name)).collect(),
            Value::String(text) => self.field(name, text).into(),
            other => other.clone(),
        }
    }

    fn map(&mut self, map: &Map<String, Value>, around: &str) -> Value {
        let is_object = map.contains_key("uid");
        let start = map.get("generateName").and_then(Value::as_str);
        let mut plain = Map::new();
        for (name, value) in map {
            let made = match (name.as_str(), value.as_str(), start) {
                ("resourceVersion", Some(version), _) if around == "metadata" => {
                    if is_object { self.version(version) } else { "<version>".into() }.into()
                }
                ("name", Some(given), Some(start)) if given.len() == start.len() + MADE_UP => {
                    format!("{start}<made up>").into()
                }
                _ => self.value(value, name),
            };
            plain.insert(name.clone(), made);
        }
        Value::Object(plain)
    }

    fn field(&mut self, name: &str, text: &str) -> String {
        match name {
            "continue" if !text.is_empty() => "<token>".into(),
            "clusterIP" | "clusterIPs" if text != "None" && !text.is_empty() => "<address>".into(),
            "serverAddress" => "<address>".into(),
            _ => self.text(text),
        }
    }

    fn version(&mut self, version: &str) -> String {
        format!("<version {}>", place(&mut self.versions, version))
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(id) = rest.get(..ID).filter(|id| is_id(id)) {
                out.push_str(&format!("<id {}>", place(&mut self.ids, id)));
                rest = &rest[ID..];
            } else if rest.get(..TIME).is_some_and(is_time) {
                out.push_str("<time>");
                rest = &rest[TIME..];
            } else if let Some(after) = rest.strip_prefix(TOKEN_VOLUME) {
                out.push_str(&format!("{TOKEN_VOLUME}<made up>"));
                rest = after.get(MADE_UP..).unwrap_or_default();
            } else if let Some(word) = VERSION_WORDS.into_iter().find(|word| rest.starts_with(word)) {
                out.push_str(&format!("{word}<version>"));
                rest = rest[word.len()..].trim_start_matches(|c: char| c.is_ascii_digit());
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        out
    }
}

/// Its place among those that were met, from 1.
fn place(met: &mut Vec<String>, this: &str) -> usize {
    if let Some(place) = met.iter().position(|one| one == this) {
        return place + 1;
    }
    met.push(this.to_owned());
    met.len()
}

pub fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

fn is_time(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    })
}
