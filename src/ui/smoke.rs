//! Smoke tests on the screen: what runs now while they run, and the report at the end.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;
use serde_json::json;

use super::errors::with_log;
use super::{duration, page, structured};
use crate::context::events::Verdict;
use crate::error::{Error, Result, code};
use crate::smoke::{CASES, CaseResult, Listener, News, Report, Status};
use crate::terminal::{self, clean, say};
use crate::ui::Format;

/// The listener for people: a line for each running case on a terminal, a line for each finished one in a pipe.
pub fn listener(format: Format, verbose: u8) -> Arc<dyn Listener> {
    if std::io::stderr().is_terminal() && verbose == 0 && format == Format::Text {
        return Arc::new(Live { progress: MultiProgress::new(), bars: Mutex::default() });
    }
    Arc::new(Lines)
}

/// Spinners that disappear: the report has the results.
struct Live {
    progress: MultiProgress,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

impl Listener for Live {
    fn hear(&self, news: News<'_>) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Begins { case } => {
                let bar = self.progress.add(ProgressBar::new_spinner());
                let style = ProgressStyle::with_template("{spinner} {prefix:18} {elapsed:>4} {wide_msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                bar.set_prefix(case.to_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                bars.insert(case.to_owned(), bar);
            }
            News::Waits { case, reason } => {
                if let Some(bar) = bars.get(case) {
                    bar.set_message(terminal::cut(&clean(&reason).replace('\n', " "), 200));
                }
            }
            News::Ended(result) => {
                if let Some(bar) = bars.remove(&result.case) {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// A line for each finished case, for logs.
struct Lines;

impl Listener for Lines {
    fn hear(&self, news: News<'_>) {
        match news {
            News::Begins { .. } => {}
            News::Waits { case, reason } => {
                say(&clean(&format!("{case}: waiting: {reason}")).replace('\n', " "));
            }
            News::Ended(result) => {
                say(&format!("{} {}{}", word(result.status), result.case, clean(&tail(result))));
            }
        }
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Passed => "passed",
        Status::Failed => "FAILED",
        Status::NotChecked => "partly",
        Status::Skipped => "skipped",
        Status::Stopped => "stopped",
        Status::Pending => "pending",
    }
}

fn tail(result: &CaseResult) -> String {
    match (&result.failure, &result.reason) {
        (Some(failure), _) => format!(" [{}]: {}", failure.code, failure.line()),
        (None, Some(reason)) => format!(": {reason}"),
        (None, None) => format!(" in {}", duration(result.seconds)),
    }
}

/// Shows the report.
/// Fails when the report cannot be written.
pub fn show(report: &Report, format: Format) -> Result<()> {
    if format != Format::Text {
        let report = serde_json::to_value(report)
            .map_err(|error| Error::new(&code::INTERNAL, "the output cannot be written").because(error))?;
        return structured(&with_log(report), format);
    }
    let width = terminal::width();
    let mut text: String = report.cases.iter().map(|result| lines(result, width)).collect();
    let mut parts = vec![(report.passed, "passed"), (report.failed, "failed"), (report.skipped, "skipped")];
    if report.not_checked > 0 {
        parts.insert(2, (report.not_checked, "partly checked"));
    }
    let parts: Vec<String> = parts.iter().map(|(count, word)| format!("{count} {word}")).collect();
    text.push_str(&format!("{} in {}\n", parts.join(", "), duration(report.seconds)));
    page(&text);
    Ok(())
}

fn lines(result: &CaseResult, width: Option<usize>) -> String {
    // Padded before it is coloured: escape sequences have no width.
    let padded = format!("{:8}", word(result.status));
    let state = match result.status {
        Status::Passed => padded.green().to_string(),
        Status::Failed => padded.red().to_string(),
        _ => padded.yellow().to_string(),
    };
    let time = if result.status == Status::Skipped { String::new() } else { duration(result.seconds) };
    let mark = format!("{state} {:18} {time:>8}  ", result.case);
    let mut text = terminal::wrapped(&mark, &clean(&result.title), width);
    let more = |text: &mut String, lines: &str| {
        for (index, line) in clean(lines).split('\n').enumerate() {
            let indent = if index == 0 { 9 } else { 11 };
            text.push_str(&terminal::wrapped(&" ".repeat(indent), line, width));
        }
    };
    if let Some(reason) = &result.reason {
        more(&mut text, reason);
    }
    if let Some(failure) = &result.failure {
        more(&mut text, &format!("[{}] {}", failure.code, failure.message));
        failure.cause.iter().for_each(|cause| more(&mut text, &format!("cause: {cause}")));
        failure.hints.iter().for_each(|hint| more(&mut text, &format!("hint: {hint}")));
        for check in result.checks.iter().filter(|check| check.verdict == Verdict::Failed) {
            more(&mut text, &format!("FAILED: {} ({})", check.check, check.detail));
        }
    }
    result.notes.iter().for_each(|note| more(&mut text, &format!("note: {note}")));
    if let Some(path) = &result.collected {
        more(&mut text, &format!("collected in {path}"));
    }
    text
}

/// Lists the cases.
/// Fails when the list cannot be written.
pub fn list(format: Format) -> Result<()> {
    if format != Format::Text {
        let case =
            |case: &crate::smoke::Case| json!({"case": case.name, "title": case.title, "tags": case.tags});
        return structured(&json!({"cases": CASES.iter().map(case).collect::<Vec<_>>()}), format);
    }
    let width = terminal::width();
    let line = |case: &crate::smoke::Case| {
        let title = terminal::wrapped(&format!("{:18} ", case.name), case.title, width);
        title + &terminal::wrapped(&format!("{:18} tags: ", ""), &case.tags.join(", "), width)
    };
    page(&CASES.iter().map(line).collect::<String>());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoke::report::tests::result;

    #[test]
    fn a_result_keeps_within_the_terminal() {
        let result = CaseResult {
            title: "pods on the default network have addresses and reach each other".into(),
            reason: Some("not checked: the pod of another node, which kvnet does not reach".into()),
            notes: vec!["2 of 6 pods: no more fit on the node\nand a line of its own".into()],
            ..result("default-network", Status::NotChecked)
        };
        assert_eq!(lines(&result, None).lines().count(), 4);
        for width in [40, 80] {
            let shown = lines(&result, Some(width));
            let columns = shown.lines().map(textwrap::core::display_width).max();
            assert!(columns <= Some(width), "{columns:?} of {width}:\n{shown}");
        }
    }
}
