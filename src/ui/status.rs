//! The state of each step.

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use super::{clean, print, structured};
use crate::cli::args::Format;
use crate::engine::plan::{Plan, Planned, State};
use crate::error::Result;

/// Shows the state of each step.
pub fn show(plan: &Plan<'_>, format: Format) -> Result<()> {
    if format != Format::Text {
        return structured(&json!({"steps": plan.steps.iter().map(data).collect::<Vec<_>>()}), format);
    }
    let mut text = String::new();
    for planned in &plan.steps {
        let version = planned.findings.as_ref().ok().and_then(|f| f.version.as_deref()).unwrap_or_default();
        text.push_str(&format!(
            "{:10} {:28} {}\n",
            word(planned.state()),
            planned.step.title(),
            clean(version)
        ));
        for line in details(planned) {
            text.push_str(&format!("           {line}\n"));
        }
    }
    print(&text);
    Ok(())
}

fn word(state: State) -> String {
    // Padded before it is coloured: escape sequences have no width.
    let padded = |word: &str| format!("{word:10}");
    match state {
        State::InPlace => padded("in place").green().to_string(),
        State::Missing => padded("missing").yellow().to_string(),
        State::Drifted => padded("drifted").red().to_string(),
        State::Waiting => padded("not ready").yellow().to_string(),
        State::Unknown => padded("unknown").red().to_string(),
    }
}

fn details(planned: &Planned<'_>) -> Vec<String> {
    match &planned.findings {
        Ok(findings) => {
            let changes = findings.changes.iter().map(|change| clean(&change.to_string()));
            changes.chain(findings.notes.iter().map(|note| clean(&note.text))).collect()
        }
        Err(error) => vec![format!("[{}] {}", error.code().id, clean(&error.to_string()))],
    }
}

fn data(planned: &Planned<'_>) -> Value {
    let (version, changes, error) = match &planned.findings {
        Ok(findings) => {
            let changes: Vec<String> = findings.changes.iter().map(ToString::to_string).collect();
            (findings.version.clone(), changes, None)
        }
        Err(error) => {
            (None, Vec::new(), Some(json!({"code": error.code().id, "message": error.to_string()})))
        }
    };
    let notes = planned.findings.as_ref().map(|findings| findings.notes.clone()).unwrap_or_default();
    json!({
        "step": planned.step.id(),
        "title": planned.step.title(),
        "state": planned.state(),
        "version": version,
        "pending": changes,
        "notes": notes,
        "error": error,
    })
}
