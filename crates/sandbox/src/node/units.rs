//! The services of a node: whether they run, whether they start at boot, and what they make of it.

use serde_json::json;

use super::files::Files;
use super::seed::{self, Seed};
use super::{edit, kernel, ovs};
use crate::host::UnitState;
use crate::store::Transaction;

const KEYS: &str = "unit/";
/// The services that stand for all of Open vSwitch.
const WHOLE: [&str; 2] = ["openvswitch-switch", "openvswitch"];
/// The services of its daemons.
const DATABASE: &str = "ovsdb-server";
const DAEMON: &str = "ovs-vswitchd";

/// The state of a service; none when there is no such service.
pub(super) fn state(transaction: &Transaction<'_>, name: &str) -> Option<UnitState> {
    let value = transaction.value(&key(name))?;
    Some(UnitState { running: value["running"] == true, enabled: value["enabled"] == true })
}

/// Makes a service that neither runs nor starts at boot.
pub(super) fn add(transaction: &mut Transaction<'_>, name: &str) {
    put(transaction, name, UnitState { running: false, enabled: false });
}

/// Stops a service and forgets it.
pub(super) fn remove(transaction: &mut Transaction<'_>, seed: &Seed, name: &str) {
    stop(transaction, name);
    disable(transaction, seed, name);
    transaction.remove(&key(name));
}

/// Starts a service with those that it needs.
pub(super) fn start(transaction: &mut Transaction<'_>, seed: &Seed, name: &str) {
    for needed in needs(name) {
        start(transaction, seed, needed);
    }
    match name {
        DATABASE => ovs::start_database(transaction, seed),
        DAEMON => {
            kernel::load(transaction, seed, "openvswitch");
            ovs::start_daemon(transaction);
        }
        _ => {}
    }
    change(transaction, name, |state| state.running = true);
}

/// Stops a service with those that are a part of it.
pub(super) fn stop(transaction: &mut Transaction<'_>, name: &str) {
    match name {
        name if WHOLE.contains(&name) => [DAEMON, DATABASE].iter().for_each(|part| stop(transaction, part)),
        DATABASE => ovs::stop_database(transaction),
        DAEMON => ovs::stop_daemon(transaction),
        _ => {}
    }
    change(transaction, name, |state| state.running = false);
}

/// Lets a service start at boot: a link says so.
pub(super) fn enable(transaction: &mut Transaction<'_>, seed: &Seed, name: &str) {
    if let Some((link, target)) = link_of(seed, name) {
        seed::link(transaction, &link, &target);
    }
    change(transaction, name, |state| state.enabled = true);
}

/// Lets a service no longer start at boot.
pub(super) fn disable(transaction: &mut Transaction<'_>, seed: &Seed, name: &str) {
    if let Some((link, _)) = link_of(seed, name) {
        edit::drop(transaction, link.as_str().into());
    }
    change(transaction, name, |state| state.enabled = false);
}

/// Whether a service cannot be enabled, because only others start it.
pub(super) fn is_static(transaction: &Transaction<'_>, name: &str) -> bool {
    let files = Files { transaction, user: 0 };
    let path = format!("/usr/lib/systemd/system/{name}.service");
    let text = files.read(path.as_str().into()).ok().flatten().unwrap_or_default();
    !String::from_utf8_lossy(&text).contains("[Install]")
}

/// The link that enabling makes, and where it leads.
fn link_of(seed: &Seed, name: &str) -> Option<(String, String)> {
    if name.is_empty() || name.contains('/') {
        return None;
    }
    Some(if seed.distribution.has_systemd() {
        let link = format!("/etc/systemd/system/multi-user.target.wants/{name}.service");
        (link, format!("/usr/lib/systemd/system/{name}.service"))
    } else {
        (format!("/etc/runlevels/default/{name}"), format!("/etc/init.d/{name}"))
    })
}

fn needs(name: &str) -> &'static [&'static str] {
    match name {
        name if WHOLE.contains(&name) => &[DATABASE, DAEMON],
        DAEMON => &[DATABASE],
        _ => &[],
    }
}

fn change(transaction: &mut Transaction<'_>, name: &str, change: impl FnOnce(&mut UnitState)) {
    if let Some(before) = state(transaction, name) {
        let mut after = before;
        change(&mut after);
        if after != before {
            put(transaction, name, after);
        }
    }
}

fn put(transaction: &mut Transaction<'_>, name: &str, state: UnitState) {
    transaction.put(&key(name), json!({"running": state.running, "enabled": state.enabled}));
}

fn key(name: &str) -> String {
    format!("{KEYS}{name}")
}
