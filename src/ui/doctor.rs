//! A diagnosis on the screen and as data.

use owo_colors::OwoColorize;
use serde_json::json;

use super::{clean, print, structured, text};
use crate::cli::args::Format;
use crate::doctor::{Diagnosis, Finding, State};
use crate::error::Result;

/// Shows every check, and how many ended how.
pub fn show(diagnosis: &Diagnosis, format: Format) -> Result<()> {
    if format != Format::Text {
        return structured(&json!({"checks": diagnosis.checks, "broken": diagnosis.broken()}), format);
    }
    let terminal = console::Term::stdout();
    let width = terminal.is_term().then(|| usize::from(terminal.size().1));
    let mut text: String = diagnosis.checks.iter().map(|finding| line(finding, width)).collect();
    text.push_str(&format!("\n{}\n", summary(diagnosis)));
    print(&text);
    Ok(())
}

/// A check, in lines of at most `width` columns, with what to do about it.
fn line(finding: &Finding, width: Option<usize>) -> String {
    let verdict = &finding.verdict;
    // Padded before it is coloured: escape sequences have no width.
    let state = match verdict.state {
        State::Holds => "holds  ".green().to_string(),
        State::Broken => "BROKEN ".red().to_string(),
        State::Warns => "warns  ".yellow().to_string(),
        State::Unknown => "unknown".yellow().to_string(),
        State::Absent => "absent ".dimmed().to_string(),
    };
    let code = verdict.code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let mut text = wrapped(
        &format!("{state} {:14} ", finding.check),
        &format!("{}{code}", clean(&verdict.found)),
        width,
    );
    if let Some(hint) = &verdict.hint {
        text.push_str(&wrapped(&format!("{:23}{} ", "", "hint:".cyan()), &clean(hint), width));
    }
    text
}

/// How many checks ended how; only the number of those that hold is always told.
fn summary(diagnosis: &Diagnosis) -> String {
    let count = |state| diagnosis.with(state).count();
    let all = [
        (count(State::Holds), "hold"),
        (count(State::Broken), "broken"),
        (count(State::Warns), "with a warning"),
        (count(State::Unknown), "not looked at"),
    ];
    let told = all.iter().filter(|(count, what)| *count > 0 || *what == "hold");
    let told: Vec<String> = told.map(|(count, what)| format!("{count} {what}")).collect();
    let end = match diagnosis.broken() {
        None => "nothing is broken as far as can be seen; `kvnet smoke` tries it with pods".to_owned(),
        Some(first) if count(State::Broken) == 1 => format!("mend {}", first.check.bold()),
        Some(first) => format!("begin with {}, others may follow from it", first.check.bold()),
    };
    format!("{}: {end}", told.join(", "))
}

fn wrapped(mark: &str, text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) => format!("{}\n", text::paragraph(mark, text, width)),
        None => format!("{mark}{text}\n"),
    }
}
