//! A small YAML map of strings, for files other than profiles that are read as strictly.

use super::node::{Node, Value};
use super::parse;
use crate::error::Result;

/// A text with the keys that lead to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flat {
    /// One key, or two.
    pub keys: Vec<String>,
    /// The text; the parts of a list separated by commas. None for something deeper.
    pub text: Option<String>,
    /// Its place, for messages.
    pub place: String,
}

/// Reads a map of strings, and of maps of texts.
///
/// # Errors
/// As those of a profile, with the place.
pub fn flat(bytes: &[u8], file: &str) -> Result<Vec<Flat>> {
    let root = parse::parse_file(bytes, file)?;
    // What `kvnet init -o json` prints has them under this key.
    let root = root.child("answers").filter(|inner| !inner.entries().is_empty()).unwrap_or(&root);
    let mut found = Vec::new();
    for entry in root.entries() {
        match &entry.node.value {
            Value::Map(inner) => found.extend(inner.iter().map(|inner| {
                let keys = vec![entry.key.clone(), inner.key.clone()];
                Flat { keys, text: text(&inner.node), place: inner.place.to_string() }
            })),
            _ => found.push(Flat {
                keys: vec![entry.key.clone()],
                text: text(&entry.node),
                place: entry.place.to_string(),
            }),
        }
    }
    Ok(found)
}

fn text(node: &Node) -> Option<String> {
    Some(match &node.value {
        Value::Null => "none".into(),
        Value::Bool(flag) => if *flag { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(items) if items.is_empty() => "none".into(),
        Value::List(items) => items.iter().map(text).collect::<Option<Vec<_>>>()?.join(","),
        Value::Map(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_with_their_keys_and_places() {
        let yaml = b"bridges: [red, blue]\nvlans:\n  red: [100, 200]\n  blue: []\nvm: true\ndeep: [{a: 1}]\n";
        let found = flat(yaml, "a.yaml").unwrap();
        let lines: Vec<String> = found
            .iter()
            .map(|flat| format!("{} {} = {:?}", flat.place, flat.keys.join("."), flat.text.as_deref()))
            .collect();
        assert_eq!(
            lines,
            [
                "a.yaml:1:1 bridges = Some(\"red,blue\")",
                "a.yaml:3:3 vlans.red = Some(\"100,200\")",
                "a.yaml:4:3 vlans.blue = Some(\"none\")",
                "a.yaml:5:1 vm = Some(\"yes\")",
                "a.yaml:6:1 deep = None",
            ]
        );
    }
}
