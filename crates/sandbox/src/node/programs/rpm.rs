//! `dnf`, `zypper` and `rpm`.

use super::{Invocation, fails, joined, prints};
use crate::host::Output;
use crate::node::catalogue;
use crate::node::installation::{self, dependents, fetch_lists, has_lists, missing, offer, uninstall};

/// `dnf install --assumeyes PACKAGE`, `dnf install --assumeno PACKAGE`; `yum` is the same program.
pub(super) fn dnf(call: &mut Invocation<'_, '_>) -> Option<Output> {
    const OPTIONS: [&str; 2] = ["--setopt=install_weak_deps=False", "--cacheonly"];
    let words: Vec<&str> = call.words.iter().copied().filter(|word| !OPTIONS.contains(word)).collect();
    let ["install", answer @ ("--assumeyes" | "--assumeno"), name] = words[..] else { return None };
    if call.user != 0 {
        return fails(
            1,
            "Error: This command has to be run with superuser privileges (under the root user on most systems).",
        );
    }
    if answer == "--assumeno" {
        return dnf_table(call, name);
    }
    match installed_now(call, name) {
        Some(text) => prints(format!("{text}Complete!\n")),
        None => Some(no_match(name)),
    }
}

/// The simulation, and its error without confirmation.
fn dnf_table(call: &mut Invocation<'_, '_>, name: &str) -> Option<Output> {
    let Some(offer) = offer(call.seed, name) else { return Some(no_match(name)) };
    let missing = missing(call.transaction, call.seed, offer);
    if missing.is_empty() {
        return prints("Dependencies resolved.\nNothing to do.\nComplete!\n");
    }
    let rows = |named: bool| {
        let rows = missing.iter().filter(|one| (one.name == offer.name) == named);
        joined(rows.map(|one| format!(" {} x86_64 {} fedora 1 M\n", one.name, one.version)))
    };
    let stdout = format!(
        "Dependencies resolved.\nInstalling:\n{}Installing dependencies:\n{}\nTransaction Summary\nInstall  {} Packages\n\n",
        rows(true),
        rows(false),
        missing.len()
    );
    Some(Output { status: 1, stdout, stderr: "Operation aborted.\n".into() })
}

fn no_match(name: &str) -> Output {
    let stdout = format!("No match for argument: {name}\n");
    Output { status: 1, stdout, stderr: format!("Error: Unable to find a match: {name}\n") }
}

/// `zypper --non-interactive refresh`, `zypper --non-interactive install --no-recommends PACKAGE`, and the latter with
/// `--xmlout` and `--dry-run`.
pub(super) fn zypper(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let ["--non-interactive", words @ ..] = &call.words[..] else { return None };
    let words: Vec<&str> = words.iter().copied().filter(|word| *word != "--no-refresh").collect();
    if let ["--xmlout", "install", "--no-recommends", "--dry-run", name] = words[..] {
        return zypper_xml(call, name);
    }
    if call.user != 0 && matches!(words.first(), Some(&"refresh" | &"install")) {
        return fails(5, "Root privileges are required for installing or uninstalling packages.");
    }
    match words[..] {
        ["refresh"] => {
            fetch_lists(call.transaction);
            prints("All repositories have been refreshed.\n")
        }
        ["install", "--no-recommends", name] => {
            let loading = "Loading repository data...\nReading installed packages...\n";
            let found = has_lists(call.transaction, call.seed).then(|| installed_now(call, name)).flatten();
            if let Some(text) = found {
                return prints(format!("{loading}{text}"));
            }
            let stdout = format!(
                "{loading}'{name}' not found in package names. Trying capabilities.\nNo provider of '{name}' found.\n"
            );
            Some(Output { status: 104, stdout, ..Output::default() })
        }
        _ => None,
    }
}

fn zypper_xml(call: &mut Invocation<'_, '_>, name: &str) -> Option<Output> {
    let message = |text: &str| format!("<message type=\"error\">{text}</message>\n");
    let document = |inner: String| format!("<?xml version='1.0'?>\n<stream>\n{inner}</stream>\n");
    let refused = |status: i32, text: &str| {
        Some(Output { status, stdout: document(message(text)), ..Output::default() })
    };
    if call.user != 0 {
        return refused(5, "Root privileges are required to run this command.");
    }
    let known = offer(call.seed, name).filter(|_| has_lists(call.transaction, call.seed));
    let Some(offer) = known else {
        return refused(104, &format!("No provider of &apos;{name}&apos; found."));
    };
    let missing = missing(call.transaction, call.seed, offer);
    let line = |one: &&catalogue::Offer| {
        let (name, version) = (one.name, one.version);
        format!(
            "<solvable type=\"package\" name=\"{name}\" edition=\"{version}\" arch=\"x86_64\">\n</solvable>\n"
        )
    };
    let list = joined(missing.iter().map(line));
    let list = if list.is_empty() { list } else { format!("<to-install>\n{list}</to-install>\n") };
    prints(document(format!("<install-summary>\n{list}</install-summary>\n")))
}

/// Installs a package with what it needs; none when there is no such package.
fn installed_now(call: &mut Invocation<'_, '_>, name: &str) -> Option<String> {
    let offer = offer(call.seed, name)?;
    let missing = missing(call.transaction, call.seed, offer);
    if missing.is_empty() {
        return Some(format!("Package \"{name}\" is already installed.\n"));
    }
    for offer in &missing {
        installation::install(call.transaction, call.seed, offer);
    }
    Some(joined(missing.iter().map(|offer| format!("Installing: {}-{}\n", offer.name, offer.version))))
}

/// `rpm -qa --qf '%{NAME}\n'`, `rpm --erase PACKAGES`.
pub(super) fn rpm(call: &mut Invocation<'_, '_>) -> Option<Output> {
    if call.words == ["-qa", "--qf", "%{NAME}\n"] {
        let names = catalogue::installed(call.transaction);
        return prints(joined(names.into_iter().map(|name| name + "\n")));
    }
    let ["--erase", names @ ..] = &call.words[..] else { return None };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let absent = names.iter().filter(|name| !catalogue::is_installed(call.transaction, name));
    let absent = joined(absent.map(|name| {
        format!(
            "error: package {name} is not installed
"
        )
    }));
    if !absent.is_empty() {
        return fails(1, absent.trim_end());
    }
    if call.user != 0 {
        return fails(
            1,
            "error: can't create transaction lock on /usr/lib/sysimage/rpm/.rpm.lock (Permission denied)",
        );
    }
    let held = dependents(call.transaction, &names);
    if !held.is_empty() {
        let lines = held.iter().map(|(by, name)| format!("\n\t{name} is needed by (installed) {by}"));
        return fails(1, format!("error: Failed dependencies:{}", lines.collect::<String>()));
    }
    for name in &names {
        uninstall(call.transaction, call.seed, name);
    }
    prints("")
}
