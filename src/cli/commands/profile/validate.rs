//! `kvnet profile validate`: all problems of one or more profiles.

use serde_json::{Value, json};

use super::reference;
use crate::cli::args::Global;
use crate::components;
use crate::error::{Error, Problem, Result, code};
use crate::profile::{self, Loaded};
use crate::ui::Format;
use crate::{terminal, ui};

/// Validates each named profile, and reports every problem.
pub(super) fn run(global: &Global, names: &[String]) -> Result<u8> {
    let references = references(global, names)?;
    let (mut valid, mut errors) = (Vec::new(), Vec::new());
    for reference in &references {
        match profile::load(reference, &global.set) {
            Ok(loaded) => valid.push(loaded),
            Err(error) => errors.push(as_listed(error)),
        }
    }
    if global.output == Format::Text {
        valid.iter().for_each(say_valid);
        let last = errors.pop();
        errors.iter().for_each(ui::say_error);
        return last.map_or(Ok(0), Err);
    }
    if let Some(error) = together(errors, references.len()) {
        return Err(error);
    }
    let profiles: Vec<Value> = valid.iter().map(data).collect();
    ui::structured(&json!({"valid": true, "profiles": profiles}), global.output)?;
    Ok(0)
}

/// The profiles to validate; standard input can only be read once.
fn references<'a>(global: &'a Global, names: &'a [String]) -> Result<Vec<&'a str>> {
    if let [] | [_] = names {
        return Ok(vec![reference(global, names.first().map(String::as_str))?]);
    }
    if global.profile_typed {
        let error = Error::new(&code::USAGE, "profiles are named both here and by `--profile`");
        return Err(error.hint("omit `--profile`"));
    }
    if names.iter().filter(|name| *name == "-").count() > 1 {
        let error = Error::new(&code::USAGE, "`-` is given twice, but standard input can only be read once");
        return Err(error.hint("omit one of the two"));
    }
    Ok(names.iter().map(String::as_str).collect())
}

/// The error with its problems as a list, even a single one.
fn as_listed(error: Error) -> Error {
    let itself = error.problems().is_empty().then(|| error.as_problem());
    error.listing(itself)
}

/// The errors of several profiles as one.
fn together(mut errors: Vec<Error>, of: usize) -> Option<Error> {
    if of == 1 || errors.is_empty() {
        return errors.pop();
    }
    let message = format!("{} of {of} profiles cannot be used", errors.len());
    let problems: Vec<Problem> = errors.iter().flat_map(|error| error.problems().to_vec()).collect();
    let error = Error::new(errors[0].code(), message).listing(problems);
    Some(error.hint("`problems` lists each one with its place"))
}

fn say_valid(loaded: &Loaded) {
    ui::page(&terminal::clean(&format!("{} is valid\n", loaded.origin)));
    let profile = &loaded.profile;
    profile.warnings().iter().for_each(|text| terminal::say(&terminal::clean(&format!("warning: {text}"))));
    for sentence in components::not_looked_into(profile) {
        terminal::say(&terminal::clean(&sentence));
    }
}

fn data(loaded: &Loaded) -> Value {
    let (warnings, notes) = (loaded.profile.warnings(), components::not_looked_into(&loaded.profile));
    json!({"profile": loaded.origin, "valid": true, "warnings": warnings, "notes": notes})
}
