//! `apt-get`, `dpkg` and `dpkg-query` of Debian and Ubuntu.

use super::{Invocation, fails, joined, prints};
use crate::host::Output;
use crate::node::Distribution;
use crate::node::catalogue::{self, Offer};
use crate::node::installation::{self, dependents, fetch_lists, has_lists, missing, offer, plain, uninstall};

const READING: &str = "Reading package lists...\nBuilding dependency tree...\nReading state information...\n";
const LOCKED: &str = "E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\n\
    E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?";
const LISTS_LOCKED: &str = "E: Could not open lock file /var/lib/apt/lists/lock - open (13: Permission denied)\n\
    E: Unable to lock directory /var/lib/apt/lists/";

/// What an `apt-get install` was told besides the packages.
#[derive(Default)]
struct Options {
    simulate: bool,
    yes: bool,
}

/// `apt-get update`, `apt-get install`.
pub(super) fn apt_get(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let mut options = Options::default();
    let mut words = Vec::new();
    let mut given = call.words.iter().copied();
    while let Some(word) = given.next() {
        match word {
            "--simulate" => options.simulate = true,
            "--yes" => options.yes = true,
            "--no-install-recommends" | "--no-remove" => {}
            "-o" if given
                .next()
                .is_some_and(|setting| setting.to_ascii_lowercase().starts_with("dpkg::")) => {}
            word if word.starts_with('-') => return None,
            word => words.push(word),
        }
    }
    match words.split_first()? {
        (&"update", []) => update(call),
        (&"install", names) if !names.is_empty() => install(call, &options, names),
        _ => None,
    }
}

fn update(call: &mut Invocation<'_, '_>) -> Option<Output> {
    if call.user != 0 {
        return fails(100, LISTS_LOCKED);
    }
    fetch_lists(call.transaction);
    prints("Hit:1 the distribution's packages\nReading package lists...\n")
}

fn install(call: &mut Invocation<'_, '_>, options: &Options, names: &[&str]) -> Option<Output> {
    if call.user != 0 && !options.simulate {
        return fails(100, LOCKED);
    }
    let mut wanted: Vec<&'static Offer> = Vec::new();
    let mut text = READING.to_owned();
    for name in names {
        let known = offer(call.seed, name).filter(|_| has_lists(call.transaction, call.seed));
        match known {
            Some(found) if catalogue::is_installed(call.transaction, found.name) => {
                text.push_str(&format!("{name} is already the newest version ({}).\n", found.version));
            }
            Some(found) => {
                let missing = missing(call.transaction, call.seed, found);
                wanted.extend(
                    missing.into_iter().filter(|one| !names.contains(&one.name) || one.name == found.name),
                );
            }
            None => {
                let stderr = format!("E: Unable to locate package {name}\n");
                return Some(Output { status: 100, stdout: text, stderr });
            }
        }
    }
    text.push_str(&summary(&wanted, names));
    if options.simulate {
        text.push_str(&simulated(&wanted, call.seed.distribution));
        return prints(text);
    }
    // apt prompts when it would install more than was named; there is no input.
    if !options.yes && wanted.len() > names.len() {
        let stdout = text + "Do you want to continue? [Y/n] Abort.\n";
        return Some(Output { status: 1, stdout, ..Output::default() });
    }
    for offer in wanted {
        installation::install(call.transaction, call.seed, offer);
        text.push_str(&format!("Setting up {} ({}) ...\n", offer.name, offer.version));
    }
    prints(text)
}

fn summary(wanted: &[&Offer], names: &[&str]) -> String {
    let listed = |offers: Vec<&str>| format!("  {}\n", offers.join(" "));
    let mut new: Vec<&str> = wanted.iter().map(|offer| plain(offer.name)).collect();
    new.sort_unstable();
    let more: Vec<&str> = new.iter().copied().filter(|name| !names.contains(name)).collect();
    let mut text = String::new();
    if !more.is_empty() {
        text.push_str("The following additional packages will be installed:\n");
        text.push_str(&listed(more));
    }
    let count = new.len();
    if count > 0 {
        text.push_str("The following NEW packages will be installed:\n");
        text.push_str(&listed(new));
    }
    text + &format!("0 upgraded, {count} newly installed, 0 to remove and 0 not upgraded.\n")
}

fn simulated(wanted: &[&Offer], distribution: Distribution) -> String {
    let source = match distribution {
        Distribution::Ubuntu => "Ubuntu:24.04/noble",
        _ => "Debian:12.12/oldstable",
    };
    let line = |verb: &str, offer: &&Offer| {
        format!("{verb} {} ({} {source} [amd64])\n", plain(offer.name), offer.version)
    };
    let lines = |verb: &str| wanted.iter().map(|offer| line(verb, offer)).collect::<String>();
    lines("Inst") + &lines("Conf")
}

/// `dpkg --purge PACKAGES`.
pub(super) fn dpkg(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let ["--purge", names @ ..] = &call.words[..] else { return None };
    if call.user != 0 {
        return fails(2, "dpkg: error: requested operation requires superuser privilege");
    }
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let mut going: Vec<String> = Vec::new();
    for name in names {
        let installed = catalogue::installed(call.transaction);
        if let Some(own) = installed.into_iter().find(|own| own == name || plain(own) == *name) {
            going.push(own);
        } else {
            stderr.push_str(&format!(
                "dpkg: warning: ignoring request to remove {name} which isn't installed\n"
            ));
        }
    }
    let staying = held(call, &going);
    for (name, by) in &staying {
        let (name, by) = (plain(name), plain(by));
        stderr.push_str(&format!(
            "dpkg: dependency problems prevent removal of {name}:\n {by} depends on {name}.\n\ndpkg: error processing \
             package {name} (--purge):\n dependency problems - not removing\n"
        ));
    }
    for name in going.iter().filter(|name| !staying.iter().any(|(held, _)| held == *name)) {
        uninstall(call.transaction, call.seed, name);
        stdout.push_str(&format!(
            "Removing {} ...\nPurging configuration files for {} ...\n",
            plain(name),
            plain(name)
        ));
    }
    if !staying.is_empty() {
        let names = joined(staying.iter().map(|(name, _)| format!(" {}\n", plain(name))));
        stderr.push_str(&format!("Errors were encountered while processing:\n{names}"));
    }
    Some(Output { status: i32::from(!staying.is_empty()), stdout, stderr })
}

/// The packages that have to stay because of others that stay, each with one of those.
fn held(call: &Invocation<'_, '_>, names: &[String]) -> Vec<(String, String)> {
    let mut going = names.to_vec();
    let mut held = Vec::new();
    loop {
        let found = dependents(call.transaction, &going);
        let Some((by, name)) = found.into_iter().next() else { return held };
        going.retain(|other| *other != name);
        held.push((name, by));
    }
}

/// `dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n'`.
pub(super) fn dpkg_query(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let format = "${db:Status-Abbrev} ${binary:Package}\n";
    (call.words == ["-W", "-f", format]).then(|| {
        let names = catalogue::installed(call.transaction);
        prints(joined(names.iter().map(|name| format!("ii  {name}\n"))))
    })?
}
