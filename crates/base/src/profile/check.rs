//! Checks a tree against the schema: unknown and missing fields, wrong types, unknown choices. All of them are
//! reported, each at its own place; a deserialiser would stop at the first.

use serde_json::Value as Json;

use super::nearest::suggestion;
use super::node::{Node, Value};
use super::place::{Place, Problem, report};
use super::shape::{self, Fields, Shape};
use crate::error::{Result, code};

/// Checks the tree of a whole profile.
///
/// # Errors
/// `PROFILE_FIELD` with every violation.
pub(super) fn check(root: &Node) -> Result<()> {
    let mut checker = Checker { problems: Vec::new() };
    checker.value(root, shape::root(), "");
    report(&code::PROFILE_FIELD, checker.problems)
}

struct Checker {
    problems: Vec<Problem>,
}

impl Checker {
    fn value(&mut self, node: &Node, schema: &Json, name: &str) {
        let allowed = shape::allowed(schema);
        match (&node.value, &allowed.shape) {
            (Value::Null, _) if allowed.null => {}
            (_, Shape::Anything) | (Value::Text(_), Shape::Text) | (Value::Bool(_), Shape::Flag) => {}
            (Value::Number(number), Shape::Number(from, to)) => match number.as_u64() {
                Some(number) if (*from..=*to).contains(&number) => {}
                _ => self.out_of_range(node, name, &number.to_string(), *from, *to),
            },
            (Value::Text(text), Shape::Choice(choices)) if choices.contains(&text.as_str()) => {}
            (Value::Text(text), Shape::Choice(choices)) => self.choice(node, name, text, choices),
            (Value::List(items), Shape::List(schema)) => {
                for item in items {
                    self.value(item, schema, name);
                }
            }
            (Value::Map(entries), Shape::Map(schema)) => {
                for entry in entries {
                    self.value(&entry.node, schema, &entry.key);
                }
            }
            (Value::Map(_), Shape::Fields(fields)) => self.fields(node, fields, name, ""),
            (Value::Map(_), Shape::Kinds(kinds)) => self.kinds(node, kinds, name),
            (_, shape) => self.wrong_type(node, shape, name),
        }
    }

    fn fields(&mut self, node: &Node, fields: &Fields, name: &str, of: &str) {
        for entry in node.entries() {
            match fields.properties.get(&entry.key) {
                Some(schema) => self.value(&entry.node, schema, &entry.key),
                None => self.unknown(&entry.key, &entry.place, fields, name, of),
            }
        }
        for required in &fields.required {
            let misspelt =
                |key: &str| suggestion(key, fields.names()) == format!("did you mean `{required}`?");
            let unknown = |key: &str| !fields.properties.contains_key(key);
            let is_misspelt = node.entries().iter().any(|e| unknown(&e.key) && misspelt(&e.key));
            if node.child(required).is_none() && !is_misspelt {
                let message = format!("the field `{required}` is missing{of}");
                self.add(&node.place, message, format!("add `{required}: …`"));
            }
        }
    }

    fn kinds(&mut self, node: &Node, kinds: &[Fields], name: &str) {
        let known = || kinds.iter().filter_map(Fields::kind);
        let Some(kind) = node.child("kind") else {
            let hint = format!("add `kind:` with one of {}", known().collect::<Vec<_>>().join(", "));
            return self.add(&node.place, "the field `kind` is missing".into(), hint);
        };
        let chosen = kinds.iter().find(|fields| fields.kind() == kind.text());
        match (chosen.filter(|_| kind.text().is_some()), kind.text()) {
            (Some(fields), Some(text)) => {
                self.fields(node, fields, name, &format!(" in a network of kind `{text}`"));
            }
            (_, Some(text)) => self.choice(kind, "kind", text, &known().collect::<Vec<_>>()),
            (_, None) => self.wrong_type(kind, &Shape::Text, "kind"),
        }
    }

    fn unknown(&mut self, key: &str, place: &Place, fields: &Fields, name: &str, of: &str) {
        let under =
            if name.is_empty() || !of.is_empty() { of.to_string() } else { format!(" under `{name}`") };
        let hint = match key {
            "<<" => "merge keys are not supported; build on another profile with `extends`".into(),
            _ => suggestion(key, fields.names()),
        };
        self.add(place, format!("unknown field{}{under}", quoted(key)), hint);
    }

    fn choice(&mut self, node: &Node, name: &str, text: &str, choices: &[&str]) {
        let message = format!("`{name}` cannot be `{}`", shortened(text));
        self.add(&node.place, message, suggestion(text, choices.iter().copied()));
    }

    fn out_of_range(&mut self, node: &Node, name: &str, number: &str, from: u64, to: u64) {
        let upper = if to == u64::MAX { "or more".into() } else { format!("to {to}") };
        let message = format!("`{name}` cannot be {number}");
        self.add(&node.place, message, format!("write a whole number, {from} {upper}"));
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape, name: &str) {
        let name = if name.is_empty() { "the profile" } else { &format!("`{name}`") };
        let message = format!("{name} must be {}, not {}", expected(shape), found(node, shape));
        self.add(&node.place, message, type_hint(node, shape));
    }

    fn add(&mut self, place: &Place, message: String, hint: String) {
        self.problems.push(Problem { place: place.clone(), message, hint: Some(hint) });
    }
}

fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Text => "a string".into(),
        Shape::Flag => "true or false".into(),
        Shape::Number(..) => "a whole number".into(),
        Shape::Choice(choices) => format!("one of {}", choices.join(", ")),
        Shape::List(_) => "a list".into(),
        Shape::Map(_) | Shape::Fields(_) | Shape::Kinds(_) => "a map".into(),
        Shape::Anything => "a value".into(),
    }
}

/// The value found. A string is quoted only where the model wants something short: a wrong field may hold a password.
fn found(node: &Node, shape: &Shape) -> String {
    match &node.value {
        Value::Null => "empty".into(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(_) => "a number".into(),
        Value::Text(text) if matches!(shape, Shape::Flag | Shape::Number(..)) => {
            format!("the string `{}`", shortened(text))
        }
        Value::Text(_) => "a string".into(),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a map".into(),
    }
}

fn type_hint(node: &Node, shape: &Shape) -> String {
    match (shape, &node.value) {
        (Shape::Flag, Value::Text(text)) => match text.to_lowercase().as_str() {
            "yes" | "on" | "y" | "true" => "write `true`, without quotes".into(),
            "no" | "off" | "n" | "false" => "write `false`, without quotes".into(),
            _ => "write `true` or `false`".into(),
        },
        (Shape::Text, Value::Bool(_) | Value::Number(_)) => "put it in quotes".into(),
        (Shape::Number(..), Value::Text(_)) => {
            "write the number without quotes, leading zeros and units".into()
        }
        (Shape::List(_), Value::Null) => "write `[]` for an empty list, or remove the field".into(),
        (_, Value::Null) => "give it a value, or remove the field".into(),
        (Shape::List(_), _) => "begin each element with `- `".into(),
        (Shape::Choice(choices), Value::Bool(flag)) => {
            let word = if *flag { "on" } else { "off" };
            let word = choices
                .iter()
                .find(|choice| **choice == word)
                .or(choices.first())
                .copied()
                .unwrap_or_default();
            format!("write `{word}`")
        }
        _ => "`kvnet profile schema` describes every field".into(),
    }
}

/// A key as messages quote it, with a blank before. What does not look like a key is omitted: naming `/etc/shadow` as a
/// profile must not print it in a log.
pub(super) fn quoted(key: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let is_key = key == "<<" || ((1..=40).contains(&key.len()) && key.chars().all(fits));
    if is_key { format!(" `{key}`") } else { String::new() }
}

/// Enough of a string to recognise it.
pub(super) fn shortened(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= 40 { text } else { text.chars().take(39).chain(['…']).collect() }
}
