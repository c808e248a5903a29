//! The state of each step.

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use super::errors::with_log;
use super::{clean, page, structured};
use crate::engine::plan::{Plan, Planned, State};
use crate::error::Result;
use crate::terminal::{self, wrapped};
use crate::ui::Format;

/// Shows the state of each step.
pub fn show(plan: &Plan<'_>, format: Format) -> Result<()> {
    if format != Format::Text {
        let report = json!({"steps": plan.steps.iter().map(data).collect::<Vec<_>>()});
        return structured(&with_log(report), format);
    }
    page(&text(plan, terminal::width()));
    Ok(())
}

/// The state of each step, in lines of at most `width` columns.
pub fn text(plan: &Plan<'_>, width: Option<usize>) -> String {
    plan.steps.iter().map(|planned| lines(planned, width)).collect()
}

/// The width from which the version goes beside the step.
const WIDE: usize = 60;

/// A step, in lines of at most `width` columns.
fn lines(planned: &Planned<'_>, width: Option<usize>) -> String {
    let version = planned.findings.as_ref().ok().and_then(|f| f.version.as_deref()).unwrap_or_default();
    let (state, title, version) = (word(planned.state()), planned.step.title(), clean(version));
    let mut text = if width.is_some_and(|width| width < WIDE) {
        wrapped(&format!("{state} "), format!("{title} {version}").trim_end(), width)
    } else {
        wrapped(&format!("{state} {title:28} "), &version, width)
    };
    for line in details(planned) {
        text.push_str(&wrapped("           ", &line, width));
    }
    text
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
            let changes = findings.lines().into_iter().map(|line| clean(&line));
            changes.chain(findings.notes.iter().map(|note| clean(&note.text))).collect()
        }
        Err(error) => vec![format!("[{}] {}", error.code().id, clean(&error.to_string()))],
    }
}

fn data(planned: &Planned<'_>) -> Value {
    let (version, changes, error) = match &planned.findings {
        Ok(findings) => (findings.version.clone(), findings.lines(), None),
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
