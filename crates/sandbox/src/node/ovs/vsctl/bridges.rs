//! The commands for bridges, and those that only ask.

use super::line::Subcommand;
use super::print::Printed;
use super::{Done, VsctlError, ports};
use crate::node::ovs::database::Database;
use crate::node::ovs::datum::{Atom, Datum};
use crate::node::ovs::switch::{self, Bridge, Port, Switch, with_key};

/// How the external ids of a VLAN bridge begin, which are kept with its port.
const FAKE: &str = "fake-bridge-";

/// Runs one of them; `connected` gets the names of new interfaces.
pub(super) fn run(database: &mut Database, call: &Subcommand, connected: &mut Vec<String>) -> Done<Printed> {
    let switch = Switch::of(database);
    let (first, second) = (call.argument(1), call.argument(2));
    match call.name() {
        "add-br" => return add_bridge(database, &switch, call, connected),
        "del-br" => return del_bridge(database, &switch, call),
        "add-port" => return ports::add(database, &switch, call, connected),
        "del-port" => return ports::delete(database, &switch, call),
        "br-set-external-id" => return Ok(set_external_id(database, bridge(&switch, first)?, call)),
        "br-get-external-id" => return Ok(external_ids(database, bridge(&switch, first)?, call)),
        "set-fail-mode" | "get-fail-mode" | "del-fail-mode" => {
            return fail_mode(database, bridge(&switch, first)?, call.name(), second);
        }
        "br-exists" if switch.bridge(first).is_none() => return Err(VsctlError::Exit(2)),
        "br-exists" => return Ok(Printed::nothing()),
        _ => {}
    }
    question(&switch, call)
}

/// The commands that only tell.
fn question(switch: &Switch, call: &Subcommand) -> Done<Printed> {
    let name = call.argument(1);
    Ok(match call.name() {
        "list-br" => {
            let (real, fake) = (call.has("--real"), call.has("--fake"));
            let shown = |bridge: &&Bridge| real == fake || bridge.parent.is_none() == real;
            Printed::lines(switch.bridges.iter().filter(shown).map(|bridge| &bridge.name))
        }
        "br-to-vlan" => {
            let vlan = bridge(switch, name)?.parent.as_ref().map_or(0, |(_, vlan)| *vlan);
            Printed::lines([vlan.to_string()])
        }
        "br-to-parent" => {
            let found = bridge(switch, name)?;
            Printed::lines([found.parent.as_ref().map_or(&found.name, |(parent, _)| parent)])
        }
        "list-ports" => {
            bridge(switch, name)?;
            Printed::lines(switch.ports_of(name).map(|port| &port.name))
        }
        "list-ifaces" => {
            bridge(switch, name)?;
            let mut names: Vec<&String> = switch.ports_of(name).flat_map(|port| &port.interfaces).collect();
            names.sort_unstable();
            Printed::lines(names)
        }
        "port-to-br" => Printed::lines([&port(switch, name)?.bridge]),
        "iface-to-br" => {
            let found = switch.port_of_interface(name).filter(|port| port.name != port.bridge);
            let found = found.ok_or_else(|| format!("no interface named {name}"))?;
            Printed::lines([&found.bridge])
        }
        _ => return Err(VsctlError::Unknown),
    })
}

pub(super) fn bridge<'a>(switch: &'a Switch, name: &str) -> Done<&'a Bridge> {
    switch.bridge(name).ok_or_else(|| format!("no bridge named {name}").into())
}

/// A port that is no bridge's own.
fn port<'a>(switch: &'a Switch, name: &str) -> Done<&'a Port> {
    let found = switch.port(name).filter(|port| switch.bridge(&port.name).is_none());
    found.ok_or_else(|| format!("no port named {name}").into())
}

fn add_bridge(
    database: &mut Database,
    switch: &Switch,
    call: &Subcommand,
    connected: &mut Vec<String>,
) -> Done<Printed> {
    let name = call.argument(1);
    if name.is_empty() {
        return Err("bridge name must not be empty string".to_owned().into());
    }
    let wanted = match call.count() {
        1 => None,
        3 => Some((call.argument(2), vlan(call.argument(3))?)),
        _ => return Err("'add-br' command takes exactly 1 or 3 arguments".to_owned().into()),
    };
    if let Some(found) = switch.bridge(name).filter(|_| call.has("--may-exist")) {
        refuse_other(found, wanted)?;
        return Ok(Printed::nothing());
    }
    refuse_taken(switch, name, &format!("cannot create a bridge named {name}"))?;
    match wanted {
        None => switch::add_bridge(database, name),
        Some((parent, vlan)) => {
            let parent = parent_of(switch, parent, vlan)?;
            switch::add_vlan_bridge(database, parent, name, vlan);
        }
    }
    connected.push(name.to_owned());
    Ok(Printed::nothing())
}

/// As C reads a number: what cannot be read is 0.
fn vlan(word: &str) -> Done<i64> {
    let word = word.trim_start();
    let (sign, digits) = match word.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, word.strip_prefix('+').unwrap_or(word)),
    };
    let digits = digits.bytes().take_while(u8::is_ascii_digit);
    let number =
        digits.fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    let vlan = sign * number;
    if (0..=4095).contains(&vlan) {
        Ok(vlan)
    } else {
        Err("add-br: vlan must be between 0 and 4095".to_owned().into())
    }
}

/// What `--may-exist` does not allow: a bridge of that name that is another one.
fn refuse_other(found: &Bridge, wanted: Option<(&str, i64)>) -> Done {
    let name = &found.name;
    let Some((parent, vlan)) = wanted else {
        return match &found.parent {
            Some((_, own)) => {
                Err(format!("\"--may-exist add-br {name}\" but {name} is a VLAN bridge for VLAN {own}")
                    .into())
            }
            None => Ok(()),
        };
    };
    let reason = match &found.parent {
        None => "is not a VLAN bridge".to_owned(),
        Some((own, _)) if parent != own => format!("has the wrong parent {own}"),
        Some((_, own)) if vlan != *own => format!("is a VLAN bridge for the wrong VLAN {own}"),
        Some(_) => return Ok(()),
    };
    Err(format!("\"--may-exist add-br {name} {parent} {vlan}\" but {name} {reason}").into())
}

/// Refuses a name that something has.
pub(super) fn refuse_taken(switch: &Switch, name: &str, message: &str) -> Done {
    if switch.bridge(name).is_some() {
        return Err(format!("{message} because a bridge named {name} already exists").into());
    }
    if let Some(port) = switch.port(name) {
        let on = &port.bridge;
        return Err(format!("{message} because a port named {name} already exists on bridge {on}").into());
    }
    if let Some(port) = switch.port_of_interface(name) {
        let on = &port.bridge;
        return Err(
            format!("{message} because an interface named {name} already exists on bridge {on}").into()
        );
    }
    Ok(())
}

fn parent_of<'a>(switch: &'a Switch, name: &str, vlan: i64) -> Done<&'a Bridge> {
    let Some(parent) = switch.bridge(name) else {
        return Err(format!("parent bridge {name} does not exist").into());
    };
    if parent.parent.is_some() {
        return Err("cannot create bridge with fake bridge as parent".to_owned().into());
    }
    if let Some(other) = switch.vlan_bridge(name, vlan) {
        let other = &other.name;
        return Err(format!("bridge {name} already has a child VLAN bridge {other} on VLAN {vlan}").into());
    }
    Ok(parent)
}

fn del_bridge(database: &mut Database, switch: &Switch, call: &Subcommand) -> Done<Printed> {
    match bridge(switch, call.argument(1)) {
        Ok(found) => switch::remove_bridge(database, switch, found),
        Err(_) if call.has("--if-exists") => {}
        Err(failure) => return Err(failure),
    }
    Ok(Printed::nothing())
}

/// The row that keeps a bridge's external ids, and how they begin there.
fn keeper(database: &Database, bridge: &Bridge) -> (&'static str, String, &'static str) {
    match bridge.parent {
        Some(_) => ("Port", database.named("Port", &bridge.name).unwrap_or_default(), FAKE),
        None => ("Bridge", bridge.row.clone(), ""),
    }
}

fn set_external_id(database: &mut Database, bridge: &Bridge, call: &Subcommand) -> Printed {
    let (table, row, start) = keeper(database, bridge);
    let key = format!("{start}{}", call.argument(2));
    let value = (call.count() == 3).then(|| call.argument(3));
    let ids = with_key(&database.get(table, &row, "external_ids"), &key, value);
    database.set(table, &row, "external_ids", ids);
    Printed::nothing()
}

fn external_ids(database: &Database, bridge: &Bridge, call: &Subcommand) -> Printed {
    let (table, row, start) = keeper(database, bridge);
    let ids = database.get(table, &row, "external_ids");
    let ids = ids.texts().filter_map(|(key, value)| Some((key.strip_prefix(start)?, value)));
    if call.count() == 1 {
        return Printed::lines(ids.map(|(key, value)| format!("{key}={value}")));
    }
    Printed::lines(ids.filter(|(key, _)| *key == call.argument(2)).map(|(_, value)| value))
}

fn fail_mode(database: &mut Database, bridge: &Bridge, command: &str, mode: &str) -> Done<Printed> {
    let column = "fail_mode";
    match command {
        "get-fail-mode" => {
            return Ok(Printed::lines(database.get("Bridge", &bridge.row, column).first().map(Atom::text)));
        }
        "del-fail-mode" => database.set("Bridge", &bridge.row, column, Datum::default()),
        _ if matches!(mode, "standalone" | "secure") => {
            database.set("Bridge", &bridge.row, column, mode.into());
        }
        _ => return Err("fail-mode must be \"standalone\" or \"secure\"".to_owned().into()),
    }
    Ok(Printed::nothing())
}
