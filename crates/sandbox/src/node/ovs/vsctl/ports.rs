//! The commands that connect and disconnect ports.

use super::bridges::{bridge, refuse_taken};
use super::line::Subcommand;
use super::print::Printed;
use super::records::assign;
use super::{Done, VsctlError};
use crate::node::ovs::database::Database;
use crate::node::ovs::schema::Table;
use crate::node::ovs::switch::{self, Bridge, Port, Switch};

/// `add-port`; `connected` gets the name of a new interface.
pub(super) fn add(
    database: &mut Database,
    switch: &Switch,
    call: &Subcommand,
    connected: &mut Vec<String>,
) -> Done<Printed> {
    let (on, name) = (call.argument(1), call.argument(2));
    let settings = call.arguments(3);
    if name.is_empty() {
        return Err("port name must not be empty string".to_owned().into());
    }
    if let Some(found) =
        switch.port(name).filter(|_| call.has("--may-exist") && switch.bridge(name).is_none())
    {
        if found.bridge != on {
            let at = &found.bridge;
            return Err(format!(
                "\"--may-exist add-port {on} {name}\" but {name} is actually attached to bridge {at}"
            )
            .into());
        }
        return Ok(Printed::nothing());
    }
    refuse_taken(switch, name, &format!("cannot create a port named {name}"))?;
    let bridge = bridge(switch, on)?;
    let (port, _) = switch::add_port(database, &bridge.row, name);
    if let Some((_, vlan)) = &bridge.parent {
        database.set("Port", &port, "tag", (*vlan).into());
    }
    let table = Table::named("Port").ok_or(VsctlError::Unknown)?;
    for setting in settings {
        assign(database, table, Some(&port), setting)?;
    }
    connected.push(name.to_owned());
    Ok(Printed::nothing())
}

/// `del-port`.
pub(super) fn delete(database: &mut Database, switch: &Switch, call: &Subcommand) -> Done<Printed> {
    let name = call.argument(call.count());
    let with_interface = call.has("--with-iface");
    let by_interface = || switch.port_of_interface(name).filter(|_| with_interface);
    let found = switch.port(name).or_else(by_interface).filter(|port| switch.bridge(&port.name).is_none());
    let Some(found) = found else {
        if call.has("--if-exists") {
            return Ok(Printed::nothing());
        }
        return Err(absent(switch, name, with_interface).into());
    };
    if call.count() == 2 {
        refuse_elsewhere(bridge(switch, call.argument(1))?, switch, found)?;
    }
    if let Some(bridge) = switch.bridge(&found.bridge) {
        database.release(("Bridge", &bridge.row, "ports"), &found.row);
    }
    Ok(Printed::nothing())
}

fn absent(switch: &Switch, name: &str, with_interface: bool) -> String {
    if switch.bridge(name).is_some() {
        return format!(
            "cannot delete port {name} because it is the local port for bridge {name} (deleting this port requires \
             deleting the entire bridge)"
        );
    }
    let what = if with_interface { "port or interface" } else { "port" };
    format!("no {what} named {name}")
}

fn refuse_elsewhere(on: &Bridge, switch: &Switch, port: &Port) -> Done {
    if port.bridge == on.name {
        return Ok(());
    }
    let (on, name, at) = (&on.name, &port.name, &port.bridge);
    let parent = switch.bridge(at).and_then(|bridge| bridge.parent.as_ref()).map(|(parent, _)| parent);
    let child =
        if parent == Some(on) { format!(" (although its child bridge {at} does)") } else { String::new() };
    Err(format!("bridge {on} does not have a port {name}{child}").into())
}
