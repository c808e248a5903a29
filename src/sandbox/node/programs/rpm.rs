//! `dnf`, `zypper` and `rpm`.

use super::{Call, fails, joined, prints};
use crate::host::Output;
use crate::sandbox::node::catalogue;
use crate::sandbox::node::installation::{
    self, dependents, fetch_lists, has_lists, missing, offer, uninstall,
};

/// `dnf install --assumeyes PACKAGE`; `yum` is the same program.
pub(super) fn dnf(call: &mut Call<'_, '_>) -> Option<Output> {
    let ["install", "--assumeyes", name] = call.words[..] else { return None };
    if call.user != 0 {
        return fails(
            1,
            "The requested operation requires superuser privileges. Please log in as a user with elevated \
            rights, or use the \"--assumeno\" or \"--downloadonly\" options to run the command without modifying the \
            system state.",
        );
    }
    match installed_now(call, name) {
        Some(text) => prints(format!("{text}Complete!\n")),
        None => fails(
            1,
            format!(
                "Failed to resolve the transaction:\nNo match for argument: {name}\nYou can try to add \
            to command line:\n  --skip-unavailable to skip unavailable packages"
            ),
        ),
    }
}

/// `zypper --non-interactive refresh`, `zypper --non-interactive install --no-recommends PACKAGE`.
pub(super) fn zypper(call: &mut Call<'_, '_>) -> Option<Output> {
    let ["--non-interactive", words @ ..] = &call.words[..] else { return None };
    let words = words.to_vec();
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

/// Installs a package with what it needs; none when there is no such package.
fn installed_now(call: &mut Call<'_, '_>, name: &str) -> Option<String> {
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
pub(super) fn rpm(call: &mut Call<'_, '_>) -> Option<Output> {
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
