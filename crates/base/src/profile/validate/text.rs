//! Characters that no string of a profile may hold.

use serde_json::Value as Json;

use super::Found;
use crate::profile::{Profile, path};

/// Lines make sense here only.
const MULTI_LINE: &[&str] = &["vm.cloudInit.userData", "vm.cloudInit.networkData"];

/// Refuses control characters, and marks that disguise text: strings reach terminals, commands and configuration files.
pub(super) fn check(profile: &Profile, found: &mut Found) {
    // A model that cannot be written as JSON has no strings to check, and loading would have failed before.
    walk(&serde_json::to_value(profile).unwrap_or_default(), "", found);
}

fn walk(json: &Json, at: &str, found: &mut Found) {
    match json {
        Json::String(text) => text_at(text, at, found),
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| walk(item, &format!("{at}[{index}]"), found));
        }
        Json::Object(map) => {
            for (key, value) in map {
                if key.chars().any(|c| is_strange(c, false)) {
                    found.add(at, "contains a key with a control character", "remove it");
                } else {
                    walk(value, &path::join(at, key), found);
                }
            }
        }
        _ => {}
    }
}

fn text_at(text: &str, at: &str, found: &mut Found) {
    if let Some(strange) = text.chars().find(|c| is_strange(*c, MULTI_LINE.contains(&at))) {
        let message = format!("contains the control character U+{:04X}", u32::from(strange));
        found.add(at, message, "remove it; only `vm.cloudInit` may have several lines");
    }
}

fn is_strange(c: char, multi_line: bool) -> bool {
    let turns_text_around = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && !(multi_line && matches!(c, '\n' | '\t' | '\r'))) || turns_text_around
}
