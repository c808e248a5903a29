//! Takes out of answers what differs each time: times, ids, versions, made up names and addresses.
//!
//! An id becomes the name of its object, and how many objects of that name there were before; a version becomes how many
//! there were of the object. So what stayed the same stays the same, and one difference does not bring others along.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What was met in a chapter so far.
#[derive(Default)]
pub struct Plain {
    /// What stands for each id.
    ids: BTreeMap<String, String>,
    /// How many objects there were of a name.
    named: BTreeMap<String, usize>,
    /// The versions of each object, by its id.
    versions: BTreeMap<String, Vec<String>>,
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
const VERSION_WORDS: [&str; 3] =
    ["ResourceVersion in record (", "too old resource version: 1 (", "resourceVersion\\\":\\\""];

impl Plain {
    pub fn answer(&mut self, answer: &Value) -> Value {
        self.value(answer, "")
    }

    fn value(&mut self, value: &Value, name: &str) -> Value {
        match value {
            Value::Object(map) => self.map(map, name),
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item, name)).collect();
                // The real server takes conflicts out of a map.
                if name == "causes" {
                    items.sort_by_key(Value::to_string);
                }
                // Sorted by time, whose seconds fall as they like.
                if name == "managedFields" {
                    items.sort_by_key(|item| {
                        ["operation", "manager", "subresource", "apiVersion"]
                            .map(|name| item[name].to_string())
                    });
                }
                items.into()
            }
            Value::String(text) => self.field(name, text).into(),
            other => other.clone(),
        }
    }

    fn map(&mut self, map: &Map<String, Value>, around: &str) -> Value {
        let id = map.get("uid").and_then(Value::as_str).filter(|_| around == "metadata").map(str::to_owned);
        if let Some(id) = &id {
            let name = map.get("generateName").or_else(|| map.get("name"));
            self.meet(id, name.and_then(Value::as_str).unwrap_or_default());
        }
        let start = map.get("generateName").and_then(Value::as_str);
        let mut plain = Map::new();
        for (name, value) in map {
            let made = match (name.as_str(), value.as_str(), start) {
                ("resourceVersion", Some(version), _) if around == "metadata" => match &id {
                    Some(id) => self.version(id, version).into(),
                    None => "<version>".into(),
                },
                ("name", Some(given), Some(start)) if given.len() == start.len() + MADE_UP => {
                    format!("{start}<made up>").into()
                }
                _ => self.value(value, name),
            };
            plain.insert(self.text(name), made);
        }
        Value::Object(plain)
    }

    /// Takes note of an object.
    fn meet(&mut self, id: &str, name: &str) {
        if !self.ids.contains_key(id) {
            let number = self.named.entry(name.to_owned()).or_default();
            *number += 1;
            self.ids.insert(id.to_owned(), format!("<id of {name} {number}>"));
        }
    }

    fn field(&mut self, name: &str, text: &str) -> String {
        match name {
            "continue" if !text.is_empty() => "<token>".into(),
            "clusterIP" | "clusterIPs" if text != "None" && !text.is_empty() => "<address>".into(),
            "serverAddress" => "<address>".into(),
            _ => self.text(text),
        }
    }

    fn version(&mut self, id: &str, version: &str) -> String {
        let met = self.versions.entry(id.to_owned()).or_default();
        if !met.iter().any(|one| one == version) {
            met.push(version.to_owned());
        }
        format!("<version {}>", met.iter().position(|one| one == version).unwrap_or_default() + 1)
    }

    fn text(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(id) = rest.get(..ID).filter(|id| is_id(id)) {
                out.push_str(self.ids.get(id).map_or("<id>", String::as_str));
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
