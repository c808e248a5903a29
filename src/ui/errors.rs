//! Errors: for people on standard error, for programs on standard output.

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use super::{data, print};
use crate::error::{Error, MOST_LISTED, Problem};
use crate::log;
use crate::terminal::{clean, say};
use crate::ui::Format;

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

/// Prints an error to standard error, whatever the format.
pub fn say_error(error: &Error) {
    log::error(error);
    say(&told(error));
}

/// Names the log after a report with failures, which is no error of the command itself.
pub fn name_log() {
    if let Some(path) = log::path() {
        say(&format!("log: {}", clean(path.as_str())));
    }
}

/// Adds the path of the log to a report.
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
    let head = |message: &str| {
        let code = format!("[{}]:", error.code().id);
        format!("{}{} {}", "error".red().bold(), code.bold(), clean(message))
    };
    let mut text = match error.problems() {
        [] | [_] => head(error.message()),
        problems => {
            let mut text = head(&format!("{} ({} problems)", error.code().title, counted(problems.len())));
            several(problems, &mut text);
            return with_log_line(text);
        }
    };
    if let Some(place) = error.place().filter(|place| !place.is_empty()) {
        text.push_str(&format!("\n  at: {}", clean(place)));
    }
    if let Some(cause) = error.cause() {
        text.push_str(&format!("\n  cause: {}", clean(cause).replace('\n', "\n         ")));
    }
    for hint in error.hints() {
        text.push_str(&format!("\n  {} {}", "hint:".cyan(), clean(hint)));
    }
    with_log_line(text)
}

/// The most problems in text: a file that is not a profile has thousands.
const MOST: usize = 10;

/// Appends each problem with its own place and hint.
fn several(problems: &[Problem], text: &mut String) {
    for problem in problems.iter().take(MOST) {
        let place = problem.place.as_deref().map(|place| format!("{}: ", clean(place))).unwrap_or_default();
        text.push_str(&format!("\n  {place}{}", clean(&problem.message)));
        if let Some(hint) = &problem.hint {
            text.push_str(&format!("\n    {} {}", "hint:".cyan(), clean(hint)));
        }
    }
    if problems.len() > MOST {
        text.push_str(&format!("\n  and {} more; `-o json` lists them", problems.len() - MOST));
    }
}

/// The number of problems; a full list may have been cut.
fn counted(listed: usize) -> String {
    if listed < MOST_LISTED { listed.to_string() } else { format!("{listed} or more") }
}

fn with_log_line(mut text: String) -> String {
    if let Some(path) = log::path() {
        text.push_str(&format!("\n  log: {}", clean(path.as_str())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::code;

    fn problem(number: usize) -> Problem {
        Problem {
            code: "KVN104",
            message: format!("wrong {number}"),
            place: Some(format!("p.yaml:{number}:1")),
            hint: Some(format!("fix {number}")),
        }
    }

    #[test]
    fn each_problem_stands_with_its_own_place_and_hint() {
        let error =
            Error::new(&code::PROFILE_VALUE, "wrong 1").at("p.yaml:1:1").listing((1..=12).map(problem));
        let told = told(&error);
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[0].ends_with("a value in the profile is invalid (12 problems)"), "{told}");
        assert_eq!(lines[1], "  p.yaml:1:1: wrong 1");
        assert!(lines[2].starts_with("    ") && lines[2].ends_with(" fix 1"), "{told}");
        assert_eq!(lines[3], "  p.yaml:2:1: wrong 2");
        assert!(told.contains("and 2 more"), "{told}");
    }

    #[test]
    fn one_problem_is_shown_like_any_error() {
        let error = Error::new(&code::PROFILE_VALUE, "wrong 1").at("p.yaml:1:1").listing([problem(1)]);
        let told = told(&error.hint("fix 1"));
        assert!(told.contains(" wrong 1\n  at: p.yaml:1:1\n"), "{told}");
    }
}
