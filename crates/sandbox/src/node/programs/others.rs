//! `pacman` of Arch and `apk` of Alpine.

use super::{Invocation, fails, joined, prints};
use crate::host::Output;
use crate::node::catalogue;
use crate::node::installation::{self, dependents, fetch_lists, has_lists, missing, offer, uninstall};

/// `pacman --query --quiet`, `--sync --refresh`, `--sync --noconfirm --needed PACKAGE`, `--sync --print --print-format %n
/// PACKAGE`, `--remove --noconfirm PACKAGES`.
pub(super) fn pacman(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let words = call.words.clone();
    if words == ["--query", "--quiet"] {
        return prints(listed(call));
    }
    if let ["--sync", "--print", "--print-format", "%n", name] = words[..] {
        return printed(call, name);
    }
    if call.user != 0 {
        return fails(1, "error: you cannot perform this operation unless you are root.");
    }
    match words[..] {
        ["--sync", "--refresh"] => {
            fetch_lists(call.transaction);
            prints(":: Synchronizing package databases...\n")
        }
        ["--sync", "--noconfirm", "--needed", name] => {
            if !has_lists(call.transaction, call.seed) {
                return fails(1, "warning: database file for 'core' does not exist (use '-Sy' to download)\n\
                    warning: database file for 'extra' does not exist (use '-Sy' to download)\nerror: target not found: "
                    .to_owned() + name);
            }
            match install(call, name) {
                Some(text) => prints(text),
                None => fails(1, format!("error: target not found: {name}")),
            }
        }
        ["--remove", "--noconfirm", ref names @ ..] => remove(call, names),
        _ => None,
    }
}

/// The package itself also when it is installed.
fn printed(call: &mut Invocation<'_, '_>, name: &str) -> Option<Output> {
    let known = offer(call.seed, name).filter(|_| has_lists(call.transaction, call.seed));
    let Some(offer) = known else { return fails(1, format!("error: target not found: {name}")) };
    let missing = missing(call.transaction, call.seed, offer);
    let others = missing.iter().map(|one| one.name).filter(|one| *one != offer.name);
    prints(joined(others.chain([offer.name]).map(|name| format!("{name}\n"))))
}

fn remove(call: &mut Invocation<'_, '_>, names: &[&str]) -> Option<Output> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    if let Some(absent) = names.iter().find(|name| !catalogue::is_installed(call.transaction, name)) {
        return fails(1, format!("error: target not found: {absent}"));
    }
    let held = dependents(call.transaction, &names);
    if !held.is_empty() {
        let line = |(by, name): &(String, String)| {
            format!("\n:: removing {name} breaks dependency '{name}' required by {by}")
        };
        let lines: String = held.iter().map(line).collect();
        return fails(
            1,
            format!("error: failed to prepare transaction (could not satisfy dependencies){lines}"),
        );
    }
    for name in &names {
        uninstall(call.transaction, call.seed, name);
    }
    prints("checking dependencies...\n:: Processing package changes...\n")
}

/// `apk info --quiet`, `apk update`, `apk add PACKAGE`, `apk del PACKAGES`, the last three with `--wait SECONDS`.
pub(super) fn apk(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let words = call.words.clone();
    if words == ["info", "--quiet"] {
        return prints(listed(call));
    }
    if call.user != 0 {
        return fails(
            99,
            "ERROR: Unable to lock database: Permission denied\nERROR: Failed to open apk database: \
            Permission denied",
        );
    }
    match words[..] {
        ["update", "--wait", _] => {
            fetch_lists(call.transaction);
            prints("OK: 25397 distinct packages available\n")
        }
        ["add", "--wait", _, name] => {
            let found = if has_lists(call.transaction, call.seed) { install(call, name) } else { None };
            match found {
                Some(text) => prints(format!("{text}OK\n")),
                None => fails(
                    1,
                    format!(
                        "ERROR: unable to select packages:\n  {name} (no such package):\n    required by: \
                    world[{name}]"
                    ),
                ),
            }
        }
        ["del", "--wait", _, ref names @ ..] => delete(call, names),
        _ => None,
    }
}

/// What another package needs stays, which is no error.
fn delete(call: &mut Invocation<'_, '_>, names: &[&str]) -> Option<Output> {
    let mut going: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    going.retain(|name| catalogue::is_installed(call.transaction, name));
    let mut text = String::new();
    while let Some((by, name)) = dependents(call.transaction, &going).into_iter().next() {
        going.retain(|other| *other != name);
        text.push_str(&format!(
            "World updated, but the following packages are not removed due to:\n  {name}: {by}\n\n"
        ));
    }
    for name in &going {
        uninstall(call.transaction, call.seed, name);
        text.push_str(&format!("Purging {name}\n"));
    }
    prints(text + "OK\n")
}

/// Installs a package with what it needs; none when there is no such package.
fn install(call: &mut Invocation<'_, '_>, name: &str) -> Option<String> {
    let missing = missing(call.transaction, call.seed, offer(call.seed, name)?);
    for offer in &missing {
        installation::install(call.transaction, call.seed, offer);
    }
    Some(joined(missing.iter().map(|offer| format!("Installing {} ({})\n", offer.name, offer.version))))
}

fn listed(call: &Invocation<'_, '_>) -> String {
    joined(catalogue::installed(call.transaction).into_iter().map(|name| name + "\n"))
}
