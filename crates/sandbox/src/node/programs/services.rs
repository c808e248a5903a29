//! `systemctl`, and `rc-service` with `rc-update`.

use super::{Invocation, fails, prints};
use crate::host::Output;
use crate::node::units;

/// `systemctl is-enabled|is-active|enable|disable|start|stop UNIT`.
pub(super) fn systemctl(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let [verb, unit] = call.words[..] else { return None };
    let unit = unit.strip_suffix(".service").unwrap_or(unit);
    let state = units::state(call.transaction, unit);
    match (verb, state) {
        ("is-enabled", None) => {
            fails(1, format!("Failed to get unit file state for {unit}.service: No such file or directory"))
        }
        ("is-enabled", Some(state)) if state.enabled => prints("enabled\n"),
        ("is-enabled", Some(_)) if units::is_static(call.transaction, unit) => prints("static\n"),
        ("is-enabled", Some(_)) => {
            Some(Output { status: 1, stdout: "disabled\n".into(), ..Output::default() })
        }
        ("is-active", Some(state)) if state.running => prints("active\n"),
        ("is-active", _) => Some(Output { status: 3, stdout: "inactive\n".into(), ..Output::default() }),
        ("start" | "stop" | "enable" | "disable", state) => change(call, verb, unit, state.is_some()),
        _ => None,
    }
}

fn change(call: &mut Invocation<'_, '_>, verb: &str, unit: &str, there: bool) -> Option<Output> {
    match (verb, there) {
        ("start" | "stop", false) => {
            let message = if verb == "start" { "not found" } else { "not loaded" };
            return fails(5, format!("Failed to {verb} {unit}.service: Unit {unit}.service {message}."));
        }
        (_, false) => {
            return fails(1, format!("Failed to {verb} unit: Unit file {unit}.service does not exist."));
        }
        _ => {}
    }
    if call.user != 0 {
        return fails(1, format!("Failed to {verb} {unit}.service: Interactive authentication required."));
    }
    match verb {
        "start" => units::start(call.transaction, call.seed, unit),
        "stop" => units::stop(call.transaction, unit),
        "enable" if units::is_static(call.transaction, unit) => {
            let stderr = "The unit files have no installation config (WantedBy=, RequiredBy=, Also=,\nAlias= settings in \
                the [Install] section, and DefaultInstance= for template\nunits). This means they are not meant to be \
                enabled or disabled using systemctl.\n";
            return Some(Output { stderr: stderr.into(), ..Output::default() });
        }
        "enable" => units::enable(call.transaction, call.seed, unit),
        _ => units::disable(call.transaction, call.seed, unit),
    }
    prints("")
}

/// `rc-service NAME start|stop|status`.
pub(super) fn rc_service(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let [name, verb] = call.words[..] else { return None };
    let Some(state) = units::state(call.transaction, name) else {
        return fails(1, format!(" * rc-service: service `{name}' does not exist"));
    };
    match verb {
        "status" if state.running => prints(" * status: started\n"),
        "status" => Some(Output { status: 3, stdout: " * status: stopped\n".into(), ..Output::default() }),
        "start" | "stop" if call.user != 0 => fails(1, format!(" * {name}: superuser access required")),
        "start" => {
            units::start(call.transaction, call.seed, name);
            prints(format!(" * Starting {name} ... [ ok ]\n"))
        }
        "stop" => {
            units::stop(call.transaction, name);
            prints(format!(" * Stopping {name} ... [ ok ]\n"))
        }
        _ => None,
    }
}

/// `rc-update add|del NAME default`.
pub(super) fn rc_update(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let [verb @ ("add" | "del"), name, "default"] = call.words[..] else { return None };
    let Some(state) = units::state(call.transaction, name) else {
        return fails(1, format!(" * rc-update: service `{name}' does not exist"));
    };
    if call.user != 0 {
        return fails(1, format!(" * rc-update: {name}: Permission denied"));
    }
    match (verb, state.enabled) {
        ("add", true) => {
            prints(format!(" * rc-update: {name} already installed in runlevel `default'; skipping\n"))
        }
        ("add", false) => {
            units::enable(call.transaction, call.seed, name);
            prints(format!(" * service {name} added to runlevel default\n"))
        }
        (_, true) => {
            units::disable(call.transaction, call.seed, name);
            prints(format!(" * service {name} removed from runlevel default\n"))
        }
        (_, false) => fails(1, format!(" * rc-update: service `{name}' is not in the runlevel `default'")),
    }
}
