//! Usage errors of clap, shown like any other error: in the requested format, with tips that are right.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, ValueEnum};

use crate::error::{Error, code};
use crate::ui::Format;
use crate::{terminal, ui};

/// Prints help and version to standard output and succeeds; everything else is a usage error.
pub(super) fn tell(error: clap::Error, typed: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        ui::print(&error.render().ansi().to_string());
        return ExitCode::from(super::with_output(0));
    }
    let error = right(harmless(error), typed);
    let format = format(typed);
    if matches!(format, Format::Json | Format::Yaml) {
        ui::error(&of_clap(&error), format);
    } else {
        let code = format!("error[{}]:", code::USAGE.id);
        terminal::say(error.render().ansi().to_string().replacen("error:", &code, 1).trim_end());
    }
    ExitCode::from(super::with_output(2))
}

/// The requested format, as far as a line that clap cannot parse shows it.
fn format(typed: &[OsString]) -> Format {
    let mut words = typed.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut format = Format::Text;
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("--") {
            Some("output") => words.next(),
            Some(long) => long.strip_prefix("output="),
            None => short(word).and_then(|rest| if rest.is_empty() { words.next() } else { Some(rest) }),
        };
        format = value.and_then(|value| Format::from_str(value, false).ok()).unwrap_or(format);
    }
    format
}

/// The value of `-o` in a word of short options: `-ojson`, `-o=json`, `-vvo`.
fn short(word: &str) -> Option<&str> {
    let (before, after) = word.strip_prefix('-')?.split_once('o')?;
    // These take no value; others would take the rest of the word.
    let is_flags = before.chars().all(|letter| "vy".contains(letter));
    is_flags.then(|| after.strip_prefix('=').unwrap_or(after))
}

/// clap's error as one of kvnet's.
fn of_clap(error: &clap::Error) -> Error {
    let text = error.render().to_string();
    let mut paragraphs = text.trim_end().split("\n\n");
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let message = flat(paragraphs.next().unwrap_or_default().trim_start_matches("error: "));
    let mut told = Error::new(&code::USAGE, message);
    for paragraph in paragraphs {
        if paragraph.starts_with("Usage: ") {
            told = told.hint(flat(&paragraph.replacen("Usage", "usage", 1)));
        } else if paragraph.trim_start().starts_with("tip: ") {
            let tips = paragraph.lines().map(|line| line.trim().trim_start_matches("tip: "));
            told = tips.fold(told, Error::hint);
        }
    }
    told.hint_also("see `kvnet --help` and `kvnet COMMAND --help`")
}

/// Replaces clap's guess that a value was meant by a useful tip: hardly any value begins with a `-`.
fn right(mut error: clap::Error, typed: &[OsString]) -> clap::Error {
    let (command, words) = reached(typed);
    let about = [ContextKind::InvalidArg, ContextKind::InvalidSubcommand];
    let Some(ContextValue::String(wrong)) = about.into_iter().find_map(|kind| error.get(kind)) else {
        return error;
    };
    let is_file = words.first().is_some_and(|word| word == "profile") && !wrong.starts_with("--");
    if let Some(tip) = tip(&command, &words, wrong) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    } else if !is_file && error.get(ContextKind::SuggestedArg).is_none() {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// The command that a word most likely means.
fn tip(command: &Command, words: &[String], wrong: &str) -> Option<String> {
    let name = wrong.trim_start_matches('-');
    let line = |more: &str| {
        let words = ["kvnet"].into_iter().chain(words.iter().map(String::as_str)).chain([more]);
        words.collect::<Vec<_>>().join(" ")
    };
    if wrong.starts_with('-') && command.find_subcommand(name).is_some() {
        return Some(format!("did you mean `{}`?", line(name)));
    }
    match (words.first().map(String::as_str), name) {
        (Some("up"), "dry-run" | "plan" | "check") => Some("`kvnet plan` shows what `up` would do".into()),
        (_, "help") => Some(format!("write `{}`", line("--help"))),
        _ => None,
    }
}

/// The command that the words name.
fn reached(typed: &[OsString]) -> (Command, Vec<String>) {
    let (mut command, mut words) = (super::command(), Vec::new());
    for word in typed.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(next) = command.find_subcommand(word).cloned() {
            words.push(next.get_name().to_owned());
            command = next;
        }
    }
    (command, words)
}

/// Keeps the terminal from interpreting what was typed.
fn harmless(mut error: clap::Error) -> clap::Error {
    let typed = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(text) => Some((kind, ContextValue::String(terminal::clean(text)))),
        ContextValue::Strings(texts) => {
            Some((kind, ContextValue::Strings(texts.iter().map(|text| terminal::clean(text)).collect())))
        }
        _ => None,
    });
    for (kind, value) in typed.collect::<Vec<_>>() {
        error.insert(kind, value);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Vec<OsString> {
        std::iter::once("kvnet").chain(line.split_whitespace()).map(OsString::from).collect()
    }

    #[test]
    fn the_format_is_found_in_a_line_that_is_none() {
        for line in
            ["nonsense -o json", "-ojson x", "x -o=json", "--output json", "--output=json x", "x -vvo json"]
        {
            assert_eq!(format(&typed(line)), Format::Json, "{line}");
        }
        for line in ["nonsense", "-o", "-o xml", "-p -o", "-- -o json", "-pojson"] {
            assert_eq!(format(&typed(line)), Format::Text, "{line}");
        }
        assert_eq!(format(&typed("x -o json -o yaml")), Format::Yaml);
    }

    #[test]
    fn tips_lead_somewhere() {
        let told = |line: &str| {
            let error = super::super::parse(&typed(line)).unwrap_err();
            right(harmless(error), &typed(line)).render().to_string()
        };
        for (line, tip) in [
            ("profile --list", Some("tip: did you mean `kvnet profile list`?")),
            ("up --dry-run", Some("tip: `kvnet plan` shows what `up` would do")),
            ("profile help", Some("tip: write `kvnet profile --help`")),
            ("smoke --tags x", Some("tip: a similar argument exists: '--tag'")),
            ("statsu", Some("tip: a similar subcommand exists: 'status'")),
            ("profile validate -x", Some("tip: to pass '-x' as a value, use '-- -x'")),
            ("explain --list", None),
            ("trace --pod x", None),
        ] {
            let told = told(line);
            assert!(tip.map_or(!told.contains("tip:"), |tip| told.contains(tip)), "{line}: {told}");
        }
    }
}
