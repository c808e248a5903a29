//! Names, addresses and characters in what users write.

use std::net::IpAddr;

use serde_json::Value;

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

pub(super) fn is_address(text: &str, prefixed: bool) -> bool {
    text.parse::<IpAddr>().is_ok() || prefixed && crate::formats::net::cidr(text).is_some()
}

/// Why it is not a name.
pub(super) fn fault(name: &str) -> String {
    name.chars()
        .find(|letter| is_unseen(*letter))
        .map_or_else(|| "is not a valid name".into(), |letter| format!("has {}", named(letter)))
}

/// Whether a character is invisible in output.
pub(super) fn is_unseen(letter: char) -> bool {
    let without_width = matches!(letter, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}');
    letter.is_control() || without_width
}

pub(super) fn named(letter: char) -> String {
    let what = if letter.is_control() { "a control character" } else { "an invisible character" };
    format!("{what} ({})", coded(letter))
}

/// `U+001B`.
pub(super) fn coded(letter: char) -> String {
    format!("U+{:04X}", u32::from(letter))
}

/// A part of a user's text, short and in one line; invisible characters are left out.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let seen: String = text.chars().filter(|it| it.is_whitespace() || !is_unseen(*it)).collect();
    let line: String = seen.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST {
        return line;
    }
    line.chars().take(MOST).chain(['…']).collect()
}
