//! Bridges, VLAN bridges and ports as `ovs-vsctl` sees them in the database.

use super::database::{Database, ROOT};
use super::datum::{Atom, Datum};

/// A bridge, real or for a VLAN of a real one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    pub(super) name: String,
    /// The id of the real bridge's row.
    pub(super) row: String,
    /// The real bridge that it is on and its VLAN; none of a real bridge.
    pub(super) parent: Option<(String, i64)>,
}

/// A port that is no bridge's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) name: String,
    /// The id of its row.
    pub(super) row: String,
    /// The bridge that it belongs to: a VLAN bridge when there is one for its VLAN.
    pub(super) bridge: String,
    /// The names of its interfaces.
    pub(super) interfaces: Vec<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Switch {
    /// The bridges, by name.
    pub(super) bridges: Vec<Bridge>,
    /// The ports, by name; also those of bridges themselves.
    pub(super) ports: Vec<Port>,
}

impl Switch {
    pub(super) fn of(database: &Database) -> Self {
        let mut switch = Self::default();
        let root = database.root();
        for row in database.references(ROOT, &root, "bridges") {
            let name = database.name("Bridge", &row);
            switch.add_vlan_bridges(database, &name, &row);
            switch.bridges.push(Bridge { name, row, parent: None });
        }
        for row in database.references(ROOT, &root, "bridges") {
            switch.add_ports(database, &row);
        }
        switch.bridges.sort_by(|one, other| one.name.cmp(&other.name));
        switch.ports.sort_by(|one, other| one.name.cmp(&other.name));
        switch
    }

    fn add_vlan_bridges(&mut self, database: &Database, parent: &str, row: &str) {
        for port in database.references("Bridge", row, "ports") {
            if let Some(vlan) = vlan_of_bridge(database, &port) {
                let name = database.name("Port", &port);
                self.bridges.push(Bridge {
                    name,
                    row: row.to_owned(),
                    parent: Some((parent.to_owned(), vlan)),
                });
            }
        }
    }

    fn add_ports(&mut self, database: &Database, bridge: &str) {
        let on = database.name("Bridge", bridge);
        for row in database.references("Bridge", bridge, "ports") {
            if vlan_of_bridge(database, &row).is_some() {
                continue;
            }
            let tag = database.get("Port", &row, "tag").integer();
            let vlan_bridge =
                tag.and_then(|tag| self.vlan_bridge(&on, tag)).map(|bridge| bridge.name.clone());
            let interfaces = database.references("Port", &row, "interfaces");
            self.ports.push(Port {
                name: database.name("Port", &row),
                bridge: vlan_bridge.unwrap_or_else(|| on.clone()),
                interfaces: interfaces.iter().map(|id| database.name("Interface", id)).collect(),
                row,
            });
        }
    }

    pub(super) fn bridge(&self, name: &str) -> Option<&Bridge> {
        self.bridges.iter().find(|bridge| bridge.name == name)
    }

    /// The bridge for a VLAN of a real bridge.
    pub(super) fn vlan_bridge(&self, parent: &str, vlan: i64) -> Option<&Bridge> {
        let is =
            |bridge: &&Bridge| bridge.parent.as_ref().is_some_and(|(on, of)| on == parent && *of == vlan);
        self.bridges.iter().find(is)
    }

    /// A port, also a bridge's own.
    pub(super) fn port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.name == name)
    }

    pub(super) fn port_of_interface(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|port| port.interfaces.iter().any(|interface| interface == name))
    }

    /// The ports of a bridge without its own.
    pub(super) fn ports_of<'a>(&'a self, bridge: &'a str) -> impl Iterator<Item = &'a Port> {
        self.ports.iter().filter(move |port| port.bridge == bridge && port.name != bridge)
    }
}

/// The VLAN of a port that stands for a VLAN bridge.
fn vlan_of_bridge(database: &Database, port: &str) -> Option<i64> {
    let is_bridge = database.get("Port", port, "fake_bridge").is_true();
    database.get("Port", port, "tag").integer().filter(|_| is_bridge)
}

/// Makes a real bridge with its own port.
pub(super) fn add_bridge(database: &mut Database, name: &str) {
    let root = database.root();
    let bridge = database.insert_named("Bridge", name, (ROOT, &root, "bridges"));
    let interface = add_port(database, &bridge, name).1;
    database.set("Interface", &interface, "type", "internal".into());
}

/// Makes a VLAN bridge on a real one.
pub(super) fn add_vlan_bridge(database: &mut Database, parent: &Bridge, name: &str, vlan: i64) {
    let (port, interface) = add_port(database, &parent.row, name);
    database.set("Interface", &interface, "type", "internal".into());
    database.set("Port", &port, "fake_bridge", true.into());
    database.set("Port", &port, "tag", vlan.into());
}

/// Makes a port with one interface of its name; returns the ids of both.
pub(super) fn add_port(database: &mut Database, bridge: &str, name: &str) -> (String, String) {
    let port = database.insert_named("Port", name, ("Bridge", bridge, "ports"));
    let interface = database.insert_named("Interface", name, ("Port", &port, "interfaces"));
    (port, interface)
}

/// Removes a bridge; a VLAN bridge with all ports of its VLAN.
pub(super) fn remove_bridge(database: &mut Database, switch: &Switch, bridge: &Bridge) {
    if bridge.parent.is_none() {
        let root = database.root();
        database.release((ROOT, &root, "bridges"), &bridge.row);
        return;
    }
    for port in switch.ports.iter().filter(|port| port.bridge == bridge.name) {
        database.release(("Bridge", &bridge.row, "ports"), &port.row);
    }
    for row in database.references("Bridge", &bridge.row, "ports") {
        if database.name("Port", &row) == bridge.name {
            database.release(("Bridge", &bridge.row, "ports"), &row);
        }
    }
}

/// A map with one more key, or without it.
pub(super) fn with_key(map: &Datum, key: &str, value: Option<&str>) -> Datum {
    let mut map = map.clone();
    let key = Atom::Text(key.to_owned());
    match value {
        Some(value) => map.insert(key, Some(Atom::Text(value.to_owned()))),
        None => map.remove(&key, None),
    }
    map
}
