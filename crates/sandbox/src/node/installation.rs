//! Installing and removing packages: files, services, daemons.

use super::catalogue::{self, Offer, offers};
use super::seed::{self, Seed};
use super::{Distribution, edit, ovs, units};
use crate::store::Transaction;

/// Set when the package manager has its lists.
const LISTS: &str = "node/package-lists";
/// The packages whose removal deletes the switch's database.
const SWITCH: [&str; 2] = ["openvswitch-switch", "openvswitch"];

/// Whether the package manager knows what there is.
pub(super) fn has_lists(transaction: &Transaction<'_>, seed: &Seed) -> bool {
    seed.package_lists || transaction.value(LISTS).is_some()
}

pub(super) fn fetch_lists(transaction: &mut Transaction<'_>) {
    transaction.put(LISTS, true.into());
}

/// The name of a package without the architecture that Debian adds to some.
pub(super) fn plain(name: &str) -> &str {
    name.split(':').next().unwrap_or_default()
}

/// The package of that name.
pub(super) fn offer(seed: &Seed, name: &str) -> Option<&'static Offer> {
    offers(seed.distribution).iter().find(|offer| offer.name == name || plain(offer.name) == name)
}

/// What is missing for a package, what others need first.
pub(super) fn missing(
    transaction: &Transaction<'_>,
    seed: &Seed,
    offer: &'static Offer,
) -> Vec<&'static Offer> {
    let mut found = Vec::new();
    collect(transaction, seed, offer, &mut found);
    found
}

fn collect(
    transaction: &Transaction<'_>,
    seed: &Seed,
    offer: &'static Offer,
    found: &mut Vec<&'static Offer>,
) {
    let is_found = found.iter().any(|other| other.name == offer.name);
    if is_found || catalogue::is_installed(transaction, offer.name) {
        return;
    }
    for needed in offer.needs.iter().filter_map(|name| self::offer(seed, name)) {
        collect(transaction, seed, needed, found);
    }
    found.push(offer);
}

/// Puts a package on the node. Debian starts a service when it installs it.
pub(super) fn install(transaction: &mut Transaction<'_>, seed: &Seed, offer: &Offer) {
    let paths = offer.paths();
    let has_whole = paths.iter().any(|path| path.contains("/openvswitch") && path.ends_with(".service"));
    for path in &paths {
        match service_of(path) {
            Some(name) if path.ends_with(".service") => {
                let installs = !has_whole || name.starts_with("openvswitch");
                seed::file(transaction, path, 0o644, &unit_file(installs));
                units::add(transaction, name);
            }
            Some(name) if !seed.distribution.has_systemd() => {
                seed::program(transaction, path);
                units::add(transaction, name);
            }
            None if !is_program(path) => seed::file(transaction, path, 0o644, ""),
            _ => seed::program(transaction, path),
        }
    }
    catalogue::note(transaction, offer);
    let starts = matches!(seed.distribution, Distribution::Debian | Distribution::Ubuntu);
    if starts && SWITCH.contains(&offer.name) {
        units::enable(transaction, seed, offer.name);
        units::start(transaction, seed, offer.name);
    }
}

/// Removes a package, its services first.
pub(super) fn uninstall(transaction: &mut Transaction<'_>, seed: &Seed, name: &str) {
    for path in catalogue::listed(transaction, name, "files") {
        if let Some(unit) = service_of(&path) {
            units::remove(transaction, seed, unit);
        }
        edit::drop(transaction, path.as_str().into());
    }
    catalogue::forget(transaction, name);
    // The others keep the database for the next installation.
    let purges = matches!(seed.distribution, Distribution::Debian | Distribution::Ubuntu);
    if purges && SWITCH.contains(&name) {
        ovs::purge(transaction);
    }
}

/// The installed packages outside `names` that need one of them, each with what it needs.
pub(super) fn dependents(transaction: &Transaction<'_>, names: &[String]) -> Vec<(String, String)> {
    let others = catalogue::installed(transaction).into_iter().filter(|name| !names.contains(name));
    let needs = others.flat_map(|name| {
        let needs = catalogue::listed(transaction, &name, "needs");
        needs.into_iter().map(move |needed| (name.clone(), needed))
    });
    needs.filter(|(_, needed)| names.contains(needed)).collect()
}

fn service_of(path: &str) -> Option<&str> {
    let (directory, name) = path.rsplit_once('/')?;
    match directory {
        "/usr/lib/systemd/system" => name.strip_suffix(".service"),
        "/etc/init.d" => Some(name),
        _ => None,
    }
}

fn is_program(path: &str) -> bool {
    ["/bin/", "/sbin/", "/cni/", "/init.d/", "/openvswitch-switch/ovs-"]
        .iter()
        .any(|part| path.contains(part))
}

fn unit_file(installs: bool) -> String {
    let install = if installs { "\n[Install]\nWantedBy=multi-user.target\n" } else { "" };
    format!("[Unit]\nDescription=Open vSwitch\n{install}")
}
