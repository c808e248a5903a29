//! Errors: for people on standard error, for programs on standard output.

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use super::{clean, data, print, say};
use crate::cli::args::Format;
use crate::error::Error;
use crate::log;

/// Shows an error: what, where, why, and what to do.
pub fn error(error: &Error, format: Format) {
    match format {
        Format::Json | Format::Yaml => {
            log::error(error);
            print(&data(&event(error), format));
        }
        _ => say_error(error),
    }
}

/// Says an error on standard error, whatever the format is.
pub fn say_error(error: &Error) {
    log::error(error);
    say(&told(error));
}

/// Names the log where the end of a command is no error of its own, but a report that has some.
pub fn name_log() {
    if let Some(path) = log::path() {
        say(&format!("log: {}", clean(path.as_str())));
    }
}

/// A report, with the file that has everything that happened.
pub(super) fn with_log(mut report: Value) -> Value {
    if let (Some(path), Some(fields)) = (log::path(), report.as_object_mut()) {
        fields.insert("log".into(), path.as_str().into());
    }
    report
}

/// An error as the last event of a run.
fn event(error: &Error) -> Value {
    let mut event = json!({
        "event": "error",
        "code": error.code().id,
        "message": error.message(),
        "place": error.place(),
        "cause": error.cause(),
        "hints": error.hints(),
    });
    if !error.problems().is_empty() {
        event["problems"] = json!(error.problems());
    }
    with_log(event)
}

fn told(error: &Error) -> String {
    let mut text = format!(
        "{}{} {}",
        "error".red().bold(),
        format_args!("[{}]:", error.code().id).bold(),
        clean(error.message())
    );
    if let Some(place) = error.place().filter(|place| !place.is_empty()) {
        text.push_str(&format!("\n  at: {}", clean(place)));
    }
    if let Some(cause) = error.cause() {
        text.push_str(&format!("\n  cause: {}", clean(cause).replace('\n', "\n         ")));
    }
    for hint in error.hints() {
        text.push_str(&format!("\n  {} {}", "hint:".cyan(), clean(hint)));
    }
    if let Some(path) = log::path() {
        text.push_str(&format!("\n  log: {}", clean(path.as_str())));
    }
    text
}
