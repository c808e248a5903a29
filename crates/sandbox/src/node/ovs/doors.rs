//! The switch for clients of the database other than `ovs-vsctl`.

use std::collections::BTreeMap;

use super::daemon;
use super::database::{Database, ROOT};
use super::datum::{Atom, Datum};
use super::switch::{self, Switch};
use crate::facts::ovs::{OvsBridge, OvsInterface, OvsPort, OvsState};
use crate::store::Transaction;

/// A port that a client such as ovs-cni connects to a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchPort {
    /// Its name, which is that of its only interface and of the network link.
    pub name: String,
    /// The real bridge that it is on.
    pub bridge: String,
    /// Its VLAN.
    pub tag: Option<u16>,
    /// The VLANs that it carries tagged.
    pub trunks: Vec<u16>,
    /// External ids of the port and of its interface.
    pub external_ids: BTreeMap<String, String>,
}

/// What is in the database; none while it does not run.
pub(in crate::node) fn state(transaction: &Transaction<'_>) -> Option<OvsState> {
    if !daemon::is_reachable(transaction) {
        return None;
    }
    let database = Database::load(transaction);
    let root = database.root();
    let rows = database.references(ROOT, &root, "bridges");
    let mut bridges: Vec<OvsBridge> = rows.iter().map(|id| bridge(&database, id)).collect();
    bridges.sort_by(|one, other| one.name.cmp(&other.name));
    Some(OvsState { bridges })
}

/// Connects a port; false when that is not possible.
pub(in crate::node) fn add_port(transaction: &mut Transaction<'_>, port: &SwitchPort) -> bool {
    change(transaction, |database| {
        let Some(bridge) = database.named("Bridge", &port.bridge) else { return false };
        let switch = Switch::of(database);
        if switch.port(&port.name).is_some() || switch.bridge(&port.name).is_some() {
            return false;
        }
        let (row, interface) = switch::add_port(database, &bridge, &port.name);
        if let Some(tag) = port.tag {
            database.set("Port", &row, "tag", i64::from(tag).into());
        }
        let trunks = port.trunks.iter().map(|vlan| (Atom::Integer(i64::from(*vlan)), None));
        database.set("Port", &row, "trunks", trunks.collect());
        let text = |text: &String| Atom::Text(text.clone());
        let ids: Datum =
            port.external_ids.iter().map(|(key, value)| (text(key), Some(text(value)))).collect();
        database.set("Port", &row, "external_ids", ids.clone());
        database.set("Interface", &interface, "external_ids", ids);
        true
    })
}

/// Removes a port from its bridge; false when that is not possible.
pub(in crate::node) fn remove_port(transaction: &mut Transaction<'_>, name: &str) -> bool {
    change(transaction, |database| {
        let Some(port) = database.named("Port", name) else { return false };
        for bridge in database.ids("Bridge") {
            database.release(("Bridge", &bridge, "ports"), &port);
        }
        true
    })
}

fn change(transaction: &mut Transaction<'_>, change: impl FnOnce(&mut Database) -> bool) -> bool {
    if !daemon::is_reachable(transaction) {
        return false;
    }
    let mut database = Database::load(transaction);
    let done = change(&mut database) && database.commit().is_ok();
    if done {
        if daemon::is_switching(transaction) {
            daemon::reconfigure(transaction, &mut database);
        }
        database.save(transaction);
    }
    done
}

fn bridge(database: &Database, id: &str) -> OvsBridge {
    let rows = database.references("Bridge", id, "ports");
    let mut ports: Vec<OvsPort> = rows.iter().map(|id| port(database, id)).collect();
    ports.sort_by(|one, other| one.name.cmp(&other.name));
    OvsBridge {
        name: database.name("Bridge", id),
        datapath_type: database.get("Bridge", id, "datapath_type").text().to_owned(),
        external_ids: texts(&database.get("Bridge", id, "external_ids")),
        ports,
    }
}

fn port(database: &Database, id: &str) -> OvsPort {
    let vlan = |atom: &Atom| match atom {
        Atom::Integer(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    let get = |column: &str| database.get("Port", id, column);
    OvsPort {
        name: database.name("Port", id),
        tag: get("tag").atoms().find_map(vlan),
        trunks: get("trunks").atoms().filter_map(vlan).collect(),
        fake_bridge: get("fake_bridge").is_true(),
        interfaces: database
            .references("Port", id, "interfaces")
            .iter()
            .map(|id| interface(database, id))
            .collect(),
        external_ids: texts(&get("external_ids")),
    }
}

fn interface(database: &Database, id: &str) -> OvsInterface {
    let get = |column: &str| database.get("Interface", id, column);
    OvsInterface {
        name: database.name("Interface", id),
        kind: get("type").text().to_owned(),
        error: get("error").first().map(|error| error.text().to_owned()),
    }
}

fn texts(map: &Datum) -> BTreeMap<String, String> {
    map.texts().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
