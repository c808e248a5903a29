//! Readable YAML, with a comment for each line.

use serde_json::{Map, Value};

use super::explain::{explain, introduce};

/// The longest line, for a narrow terminal; a longer value is not broken.
const WIDTH: usize = 58;
/// Words that some YAML parser takes for something other than a string.
const WORDS: [&str; 12] = ["true", "false", "yes", "no", "on", "off", "y", "n", "null", "inf", "nan", "none"];

/// A map, top-level sections separated by empty lines.
pub fn sections(map: &Map<String, Value>) -> String {
    let mut text = String::new();
    for (key, value) in map {
        text.push('\n');
        entry(&mut text, "", "", key, value, key);
    }
    text
}

/// A comment in lines of at most the width.
pub fn comment(indent: &str, text: &str) -> String {
    let lines =
        crate::terminal::wrap(&crate::terminal::clean(text).replace('\n', " "), WIDTH - indent.len() - 2);
    lines.iter().fold(String::new(), |text, line| text + &format!("{indent}# {line}\n"))
}

/// A scalar that every YAML parser takes for the same string. Quotes are JSON's, which YAML understands.
pub fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn is_plain(text: &str) -> bool {
    let is_range = text.contains('/') && text.parse::<ipnet::IpNet>().is_ok() && !text.contains(':');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    is_range || is_word
}

fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ if u32::from(c) > 0xffff => format!("\\U{:08x}", u32::from(c)),
        _ => format!("\\u{:04x}", u32::from(c)),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

/// `first` is what precedes the key: the indentation, or the dash of a list's item.
fn entry(text: &mut String, first: &str, indent: &str, key: &str, value: &Value, path: &str) {
    let reason = explain(path);
    match value {
        Value::Object(map) => {
            line(text, first, indent, &format!("{}:", scalar(&key.into())), &reason);
            let indent = format!("{indent}  ");
            for (key, value) in map {
                entry(text, &indent, &indent, key, value, &format!("{path}.{key}"));
            }
        }
        Value::Array(items) if !items.is_empty() => {
            line(text, first, indent, &format!("{}:", scalar(&key.into())), &reason);
            for item in items {
                list_item(text, &format!("{indent}  "), item, &format!("{path}[]"));
            }
        }
        value => line(text, first, indent, &format!("{}: {}", scalar(&key.into()), scalar(value)), &reason),
    }
}

fn list_item(text: &mut String, indent: &str, item: &Value, path: &str) {
    if let Some(about) = introduce(path, item) {
        text.push_str(&comment(indent, &about));
    }
    let (mut first, inner) = (format!("{indent}- "), format!("{indent}  "));
    let Value::Object(map) = item else {
        line(text, &first, indent, &scalar(item), &explain(path));
        return;
    };
    for (key, value) in map {
        entry(text, &first, &inner, key, value, &format!("{path}.{key}"));
        first.clone_from(&inner);
    }
}

/// The comment follows the value, or precedes it when there is no room. Above the first line of a list item it would
/// seem to belong to the previous item.
fn line(text: &mut String, first: &str, indent: &str, content: &str, reason: &str) {
    let whole = format!("{first}{content}  # {reason}");
    if reason.is_empty() {
        text.push_str(&format!("{first}{content}\n"));
    } else if whole.chars().count() <= WIDTH || first != indent {
        text.push_str(&format!("{whole}\n"));
    } else {
        text.push_str(&comment(indent, reason));
        text.push_str(&format!("{first}{content}\n"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::load_text;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for text in [
            "red",
            "10.20.0.0/24",
            "v1.9.0",
            "true",
            "No",
            "0x1f",
            "1e3",
            "10.20",
            "~",
            "a: b",
            "a #b",
            "{{ x }}",
            "- a",
            "a\nb",
            "\u{1b}[31m",
            "é\u{1f600}\u{2028}",
            "\"quoted\\\"",
            "",
            " a ",
            "&a",
            "*a",
            "!x",
            "%",
            "@",
            "null",
            "fd00::/64",
        ] {
            let yaml = format!("description: {}\n", scalar(&text.into()));
            assert!(yaml.is_ascii() && yaml.lines().count() == 1, "{yaml}");
            let value: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(value["description"], text, "{yaml}");
            // kvnet's own reader refuses control characters in a profile, and reads the rest as the same.
            if let Ok(loaded) = load_text(&yaml, "x.yaml", &[]) {
                assert_eq!(loaded.profile.description, text, "{yaml}");
            } else {
                assert!(text.chars().any(char::is_control), "{yaml}");
            }
        }
    }

    #[test]
    fn each_line_is_explained_and_short() {
        let value = json!({"ovs": {"bridges": [{"name": "red", "uplink": "eth1"}, {"name": "blue"}]}, "networks": [
            {"name": "ovs-red100", "kind": "ovs", "bridge": "red", "vlan": 100, "ipam": {"subnet": "10.20.100.0/24"}}]});
        let text = sections(value.as_object().unwrap());
        insta::assert_snapshot!(text);
        for line in text.lines().filter(|line| !line.is_empty()) {
            assert!(line.contains("# ") && line.chars().count() <= 60, "{line}");
        }
    }

    #[test]
    fn a_comment_cannot_end_before_its_text() {
        let text = comment(
            "",
            "node \"x\"\nname: evil \u{1b}[2J and a long text that needs more than one line for itself",
        );
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.starts_with("# ")), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
