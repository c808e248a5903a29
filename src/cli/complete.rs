//! Shell completion. The script that a shell loads asks kvnet for every word, because only kvnet knows its profiles and
//! steps, and the contexts of the kubeconfig.

use std::ffi::OsStr;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use clap_complete::env::{CompleteEnv, Shells};

use super::args::Shell;
use super::command;
use crate::cluster::{ConnectOptions, contexts as known_contexts};
use crate::error::CODES;
use crate::terminal::clean;
use crate::{profile, smoke, steps};

/// The variable that the script sets when it asks.
const VARIABLE: &str = "KVNET_COMPLETE";

/// Answers a shell that asks, and exits; otherwise does nothing.
pub fn answer() {
    CompleteEnv::with_factory(command).var(VARIABLE).complete();
}

/// The script that a shell loads.
/// Fails when the script cannot be written to memory.
pub fn script(shell: Shell) -> std::io::Result<String> {
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(name) {
        completer.write_registration(VARIABLE, "kvnet", "kvnet", "kvnet", &mut script)?;
    }
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// The shipped profiles by name, and files.
pub fn profiles(current: &OsStr) -> Vec<CompletionCandidate> {
    let typed = current.to_string_lossy();
    let shipped = profile::shipped().iter().filter(|known| known.name.starts_with(typed.as_ref()));
    let shipped = shipped.map(|known| candidate(known.name, known.description));
    let files = PathCompleter::file().complete(current).into_iter();
    shipped.chain(files.filter(|file| is_harmless(&file.get_value().to_string_lossy()))).collect()
}

/// The steps.
pub fn steps() -> Vec<CompletionCandidate> {
    steps::registry().iter().map(|step| candidate(step.id(), step.title())).collect()
}

/// The contexts of the kubeconfig that kvnet would use.
pub fn contexts() -> Vec<CompletionCandidate> {
    let options = ConnectOptions::default();
    let contexts = known_contexts(&options).into_iter().filter(|name| is_harmless(name));
    contexts.map(CompletionCandidate::new).collect()
}

/// Whether a shell can show the text: it prints candidates as they are, one a line.
fn is_harmless(text: &str) -> bool {
    !text.contains('\n') && clean(text) == text
}

/// The smoke tests.
pub fn cases() -> Vec<CompletionCandidate> {
    smoke::CASES.iter().map(|case| candidate(case.name, case.title)).collect()
}

/// The tags of smoke tests.
pub fn tags() -> Vec<CompletionCandidate> {
    smoke::tags().into_iter().map(CompletionCandidate::new).collect()
}

/// The error codes.
pub fn codes() -> Vec<CompletionCandidate> {
    CODES.iter().map(|code| candidate(code.id, code.title)).collect()
}

fn candidate(value: &'static str, help: &'static str) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(help.into()))
}
