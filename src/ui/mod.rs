//! What people and scripts see: data on standard output, everything else on standard error.

mod diff;
pub mod doctor;
mod errors;
mod format;
mod lines;
pub mod plan;
pub mod smoke;
pub mod status;
pub mod trace;
mod tree;
mod yaml_text;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use owo_colors::OwoColorize;
use serde::Serialize;
use serde_json::Value;

use crate::context::events::{Event, Events, Grade, Reporter};
use crate::error::{Error, Result, code};
use crate::terminal::{self, clean, counted};
pub use errors::{error, name_log, say_error};
pub use format::Format;

/// Turns colours off for the whole program on request; `NO_COLOR` and pipes do so by themselves.
pub fn colours(off: bool) {
    if off {
        anstream::ColorChoice::Never.write_global();
    }
}

/// The first error of writing to standard output.
static LOST: OnceLock<String> = OnceLock::new();

/// Prints data. A closed pipe is not an error; any other failure makes the program exit with [`lost_output`].
pub fn print(text: &str) {
    let mut out = anstream::stdout().lock();
    printed(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// Prints text for people, wrapped at the width of the terminal.
pub fn page(text: &str) {
    match terminal::width() {
        Some(width) => print(&terminal::fitted(text, width)),
        None => print(text),
    }
}

/// Records the result of a write to standard output, for the few callers that do not use [`print`].
pub fn printed(result: std::io::Result<()>) {
    if let Err(error) = result
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        // The first reason counts.
        let _ = LOST.set(error.to_string());
    }
}

/// The error of a program whose output is incomplete.
pub fn lost_output() -> Option<Error> {
    let cause = LOST.get()?;
    Some(Error::new(&code::OUTPUT, "the output is incomplete").at("standard output").because(cause))
}

/// Prints JSON for people and programs.
pub fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Error::new(&code::INTERNAL, "the output cannot be written").because(error))?;
    print(&format!("{}\n", terminal::clean_json(&text)));
    Ok(())
}

/// Prints JSON or YAML.
pub fn structured(value: &impl Serialize, format: Format) -> Result<()> {
    if format == Format::Yaml {
        print(&yaml(value)?);
        return Ok(());
    }
    json(value)
}

/// Prints objects as YAML documents.
pub fn yaml_documents(objects: &[Value]) -> Result<()> {
    for object in objects {
        print(&format!("---\n{}", yaml(object)?));
    }
    Ok(())
}

/// The value as YAML. The writer escapes what moves the cursor, but not what changes the direction of text.
fn yaml(value: &impl Serialize) -> Result<String> {
    let text = yaml_text::write(value)
        .map_err(|error| Error::new(&code::INTERNAL, "the output cannot be written").because(error))?;
    Ok(clean(&text))
}

/// The reporter of a run's events: a live tree on a terminal, a line each in a pipe, JSON on request.
pub fn events(format: Format, no_color: bool, verbose: u8) -> Events {
    match format {
        Format::Json | Format::Yaml => Arc::new(Data(format)),
        _ if std::io::stderr().is_terminal() && verbose == 0 => Arc::new(tree::Tree::new(!no_color)),
        _ => Arc::new(lines::Lines),
    }
}

/// One JSON object per event and line, or one YAML document per event, on standard output.
struct Data(Format);

impl Reporter for Data {
    fn report(&self, event: Event) {
        print(&data(&event, self.0));
    }
}

/// One of a sequence of values: a line of JSON, or a YAML document.
fn data(value: &impl Serialize, format: Format) -> String {
    if format == Format::Yaml {
        return yaml(value).map(|text| format!("---\n{text}")).unwrap_or_default();
    }
    serde_json::to_string(value).map(|line| format!("{}\n", terminal::clean_json(&line))).unwrap_or_default()
}

/// A grade as a word of seven columns, padded before it is coloured: escape sequences have no width.
fn graded(grade: Grade) -> String {
    match grade {
        Grade::Holds => "holds  ".green().to_string(),
        Grade::Broken => "BROKEN ".red().to_string(),
        Grade::Warns => "warns  ".yellow().to_string(),
        Grade::Unknown => "unknown".yellow().to_string(),
        Grade::Absent => "absent ".dimmed().to_string(),
    }
}

/// A duration in text: `0.4 s`, `1 min 05 s`.
fn duration(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    // Whole seconds are positive and small: the cast loses only the fraction.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds as u64;
    format!("{} min {:02} s", whole / 60, whole % 60)
}

/// The last line of a run. It says `verified` only if everything was checked that the profile promises.
fn summary(
    result: &str,
    changes: usize,
    seconds: f64,
    verified: Option<bool>,
    not_checked: &[String],
    left_out: &[String],
) -> String {
    let took = duration(seconds);
    let but = match left_out {
        [] => String::new(),
        [first] => format!(" (excluded by the profile: {first})"),
        [first, rest @ ..] => format!(" (excluded by the profile: {first} and {} more)", rest.len()),
    };
    let changes = counted(changes, "change");
    match result {
        "nothing-to-do" if not_checked.is_empty() => format!("nothing to do ({took}){but}"),
        "nothing-to-do" => {
            format!("nothing to do ({took}), but not everything was checked: {}", gaps(not_checked))
        }
        "done" if !not_checked.is_empty() => {
            format!("done, but not everything was checked: {}; {changes} in {took}", gaps(not_checked))
        }
        "done" => match verified {
            Some(true) => format!("done: {changes} in {took}, verified{but}"),
            Some(false) => format!("done: {changes} in {took}, not verified"),
            None => format!("done: {changes} in {took}"),
        },
        _ => format!("stopped after {changes} in {took}"),
    }
}

/// The first check that was not made, and how many there are.
fn gaps(not_checked: &[String]) -> String {
    let first = not_checked.first().map(|first| terminal::cut(first, 300)).unwrap_or_default();
    match not_checked.len() {
        0 | 1 => first,
        count => format!("{count} checks, the first: {first}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_read_like_sentences() {
        let summary =
            |result, changes, seconds, verified| summary(result, changes, seconds, verified, &[], &[]);
        assert_eq!(summary("nothing-to-do", 0, 0.06, Some(true)), "nothing to do (0.1 s)");
        assert_eq!(summary("done", 1, 3.0, None), "done: 1 change in 3.0 s");
        assert_eq!(summary("done", 2, 3.0, Some(true)), "done: 2 changes in 3.0 s, verified");
        assert_eq!(summary("done", 2, 3.0, Some(false)), "done: 2 changes in 3.0 s, not verified");
        assert_eq!(summary("failed", 12, 65.2, None), "stopped after 12 changes in 1 min 05 s");
    }

    #[test]
    fn a_run_with_a_gap_does_not_claim_to_be_verified() {
        let gaps = ["blue-1: a port (the pod runs on n2)".to_owned(), "b (c)".to_owned()];
        assert_eq!(
            summary("done", 1, 3.0, Some(false), &gaps, &[]),
            "done, but not everything was checked: 2 checks, the first: blue-1: a port (the pod runs on n2); 1 change in 3.0 s"
        );
        let again = summary("nothing-to-do", 0, 3.0, Some(false), &gaps[1..], &[]);
        assert_eq!(again, "nothing to do (3.0 s), but not everything was checked: b (c)");
        let left_out = ["network lan".to_owned(), "network wan".to_owned()];
        let done = summary("done", 1, 3.0, Some(true), &[], &left_out);
        assert_eq!(
            done,
            "done: 1 change in 3.0 s, verified (excluded by the profile: network lan and 1 more)"
        );
    }
}
