//! A command line: options of the program, then commands with their own options, joined by `--`.

use super::known::check;
use super::options::Options;
use super::print::Style;
use super::{Done, VsctlError};

/// What a command line asks for.
pub(super) enum Line {
    /// The program's version.
    Version,
    /// Commands.
    Calls {
        /// The commands, in order.
        calls: Vec<Subcommand>,
        /// How their results are printed.
        style: Style,
        /// Whether the program waits until the switch has done it.
        waits: bool,
        /// Whether it is a dry run.
        rehearses: bool,
        /// Where the database is.
        remote: String,
    },
}

/// A command with its options and arguments.
#[derive(Debug)]
pub(super) struct Subcommand {
    words: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

impl Subcommand {
    /// The command's name.
    pub(super) fn name(&self) -> &str {
        self.argument(0)
    }

    /// An argument, counted from 1; empty when there is none.
    pub(super) fn argument(&self, place: usize) -> &str {
        self.words.get(place).map_or("", String::as_str)
    }

    /// The arguments from a place on.
    pub(super) fn arguments(&self, from: usize) -> &[String] {
        self.words.get(from..).unwrap_or_default()
    }

    /// How many arguments there are.
    pub(super) fn count(&self) -> usize {
        self.words.len() - 1
    }

    /// Whether an option was given.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| name == option)
    }

    /// The value of an option.
    pub(super) fn option(&self, option: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == option).and_then(|(_, value)| value.as_deref())
    }
}

/// Takes a command line apart.
pub(super) fn parse(words: &[&str]) -> Done<Line> {
    let mut reader = Options::of(words);
    if reader.read()? {
        return Ok(Line::Version);
    }
    let rest = &words[reader.place..];
    let mut calls = Vec::new();
    for part in rest.split(|word| *word == "--") {
        let local = if calls.is_empty() { std::mem::take(&mut reader.local) } else { Vec::new() };
        if !part.is_empty() {
            calls.push(call(part, local)?);
        } else if !local.is_empty() {
            return Err(no_command());
        }
    }
    if calls.is_empty() {
        return Err(no_command());
    }
    let Options { style, waits, rehearses, remote, .. } = reader;
    Ok(Line::Calls { calls, style, waits, rehearses, remote })
}

fn no_command() -> VsctlError {
    VsctlError::Fatal("missing command name (use --help for help)".into())
}

/// A command, with the options that came before all commands.
fn call(words: &[&str], mut options: Vec<(String, Option<String>)>) -> Done<Subcommand> {
    let count = words.iter().take_while(|word| word.starts_with('-')).count();
    for word in &words[..count] {
        let (name, value) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
        if options.iter().any(|(option, _)| option == name) {
            return Err(format!("'{name}' option specified multiple times").into());
        }
        options.push((name.to_owned(), value.map(str::to_owned)));
    }
    let words: Vec<String> = words[count..].iter().map(|word| (*word).to_owned()).collect();
    let Some(name) = words.first() else { return Err(no_command()) };
    check(name, words.len() - 1, &options)?;
    Ok(Subcommand { words, options })
}
