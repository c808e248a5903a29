//! A change in detail: before and after.

use owo_colors::OwoColorize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::clean;
use crate::cluster::FieldDiff;
use crate::engine::change::Change;

/// The lines below a change; none when its summary says it all. Checks are only listed with `verbose`.
pub fn lines(change: &Change, verbose: bool) -> Vec<String> {
    match change {
        Change::WriteFile { secret: true, .. } => vec!["(content not shown: it holds keys)".into()],
        Change::WriteFile { before, after, .. } => file(before.as_deref().unwrap_or_default(), after),
        Change::Apply { before: Some(fields), .. } => fields.iter().flat_map(field).collect(),
        Change::Run { before, command, .. } => {
            let mut lines = vec![format!("$ {}", clean(&command.display()))];
            lines.extend(before.as_ref().map(|before| format!("now: {}", clean(before))));
            lines
        }
        Change::InstallPackage { package, with, .. } => {
            let others: Vec<&str> = with.iter().map(String::as_str).filter(|name| name != package).collect();
            if others.is_empty() { Vec::new() } else { vec![clean(&format!("with {}", others.join(", ")))] }
        }
        Change::Verify { checks } if verbose => checks.iter().map(|check| clean(check)).collect(),
        _ => Vec::new(),
    }
}

fn file(before: &str, after: &str) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let changed = diff.iter_all_changes().filter(|line| line.tag() != ChangeTag::Equal);
    changed
        .map(|line| {
            let text = clean(line.to_string().trim_end());
            if line.tag() == ChangeTag::Delete {
                format!("- {text}").red().to_string()
            } else {
                format!("+ {text}").green().to_string()
            }
        })
        .collect()
}

fn field(field: &FieldDiff) -> Vec<String> {
    let owners = match field.owners.as_slice() {
        [] => String::new(),
        owners => format!("  (owned by {})", clean(&owners.join(", "))),
    };
    let mut lines = vec![format!("{}{owners}", clean(&field.path))];
    lines.extend(field.before.as_ref().map(|value| format!("- {}", short(value)).red().to_string()));
    lines.extend(field.after.as_ref().map(|value| format!("+ {}", short(value)).green().to_string()));
    lines
}

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    crate::terminal::cut(&clean(&text).replace('\n', "⏎"), 400)
}
