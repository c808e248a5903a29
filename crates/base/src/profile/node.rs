//! A profile as it was written: a tree of values with their places, so that every error can name one, even after
//! profiles were merged.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value as Json};

use super::path::{self, Step};
use super::place::Place;
use super::shipped::is_shipped;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// The value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    /// The tree of a default.
    pub fn of_default(json: Json) -> Self {
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(flag),
            Json::Number(number) => Value::Number(number),
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::List(items.into_iter().map(Self::of_default).collect()),
            Json::Object(map) => Value::Map(map.into_iter().map(Entry::of_default).collect()),
        };
        Self { place: Place::Default, value }
    }

    /// The value without its places.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::Bool(*flag),
            Value::Number(number) => Json::Number(number.clone()),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect::<Map<_, _>>())
            }
        }
    }

    /// The value of a key, when this is a map that has it.
    pub fn child(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value of a key, to change it.
    pub fn child_mut(&mut self, key: &str) -> Option<&mut Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Takes a key out of the map.
    pub fn remove(&mut self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &mut self.value else {
            return None;
        };
        let index = entries.iter().position(|entry| entry.key == key)?;
        Some(entries.remove(index).node)
    }

    /// The keys of a map; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The text, when it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Puts `over` on top: maps merge key by key, everything else (lists too) is replaced. A list that merged by index
    /// or by name would make it impossible to see from one file what a list holds.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.value, over.value) {
            (Value::Map(under), Value::Map(entries)) => {
                for entry in entries {
                    merge_entry(under, entry);
                }
                self.place = over.place;
            }
            (_, value) => *self = Self { place: over.place, value },
        }
    }

    /// The value at a path.
    pub fn at(&self, path: &str) -> Option<&Self> {
        path::parse(path).ok()?.iter().try_fold(self, |node, step| node.step(step))
    }

    /// The place of a path, or of its nearest parent that a user wrote.
    pub fn place_of(&self, path: &str) -> Place {
        let mut place = self.place.clone();
        let mut node = self;
        for step in path::parse(path).unwrap_or_default() {
            let Some(next) = node.step(&step) else { break };
            node = next;
            if node.place != Place::Default {
                place = node.place.clone();
            }
        }
        place
    }

    /// The places of all values that a user wrote, by path.
    pub fn written(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        self.collect_written("", &mut found);
        found
    }

    fn collect_written(&self, path: &str, found: &mut BTreeMap<String, String>) {
        match &self.place {
            Place::Default => {}
            Place::File { file, .. } if is_shipped(file) => {}
            place => _ = found.insert(path.to_owned(), place.to_string()),
        }
        match &self.value {
            Value::List(items) => items
                .iter()
                .enumerate()
                .for_each(|(index, item)| item.collect_written(&format!("{path}[{index}]"), found)),
            Value::Map(entries) => entries
                .iter()
                .for_each(|entry| entry.node.collect_written(&path::join(path, &entry.key), found)),
            _ => {}
        }
    }

    /// The value one step further.
    pub fn step(&self, step: &Step) -> Option<&Self> {
        match (&self.value, step) {
            (Value::List(items), step) => items.get(step.index()?),
            (_, Step::Key(key)) => self.child(key),
            _ => None,
        }
    }
}

impl Entry {
    fn of_default((key, json): (String, Json)) -> Self {
        Self { key, place: Place::Default, node: Node::of_default(json) }
    }
}

fn merge_entry(under: &mut Vec<Entry>, entry: Entry) {
    match under.iter_mut().find(|known| known.key == entry.key) {
        Some(known) => {
            known.place = entry.place;
            known.node.merge(entry.node);
        }
        None => under.push(entry),
    }
}
