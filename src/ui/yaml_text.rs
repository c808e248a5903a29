//! YAML that all parsers read alike: also those of YAML 1.1, where `no` is false and `12:30` is 750.

use serde::Serialize;
use serde_json::Value;

use crate::manifest::reads_as_text;

/// Placeholders for the quotes around a string until it is written. They are private-use characters, which no manifest
/// contains.
const QUOTES: [char; 2] = ['\u{f8e0}', '\u{f8e1}'];

/// The value as YAML.
/// Fails when the value cannot be written.
pub fn write(value: &impl Serialize) -> Result<String, Box<dyn std::error::Error>> {
    let json = serde_json::to_value(value)?;
    let plain = serde_yaml::to_string(&json)?;
    if plain.contains(QUOTES) {
        return Ok(plain);
    }
    Ok(serde_yaml::to_string(&marked(json))?.replace(QUOTES, "'"))
}

fn marked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mark(text)),
        Value::Array(items) => Value::Array(items.into_iter().map(marked).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(key, value)| (mark(key), marked(value))).collect())
        }
        other => other,
    }
}

/// Marks a string that some parser does not read as one; such strings contain no quotes.
fn mark(text: String) -> String {
    let [open, close] = QUOTES;
    if reads_as_text(&text) { text } else { format!("{open}{text}{close}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ambiguous_strings_are_quoted() {
        for text in [
            "no",
            "y",
            "Y",
            "on",
            "off",
            "yes",
            "~",
            "null",
            "true",
            "1e999",
            "0x10",
            "0b1",
            "0o17",
            "017",
            "1_000",
            "12:30",
            "1:30:00.5",
            "-12:30",
            "2001-12-14",
            "2001-12-14t21:59:43.10-05:00",
            ".inf",
            "+1",
            "1.5",
            "",
            "=",
            "<<",
        ] {
            let yaml = write(&json!({"a": text, text: ["x", text]})).unwrap();
            let quoted = format!("'{text}'");
            assert_eq!(yaml.matches(&quoted).count(), 3, "{text}: {yaml}");
            let read: Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(read, json!({"a": text, text: ["x", text]}), "{yaml}");
        }
        for text in [
            "10.244.0.0/16",
            "v1.2.3",
            "none",
            "yesterday",
            "10.20.0.5",
            "a:b",
            "12:30 Uhr",
            "300Mi",
            "1-2",
            "07:xx",
        ] {
            assert_eq!(write(&json!({"a": text})).unwrap(), format!("a: {text}\n"));
        }
    }

    #[test]
    fn long_texts_and_strange_ones_come_back() {
        let value = json!({"a": "x\ny: no\n", "b": "\u{f8e0}no", "c": [1, null, true, {"d": "it's"}]});
        let read: Value = serde_yaml::from_str(&write(&value).unwrap()).unwrap();
        assert_eq!(read, value);
    }
}
