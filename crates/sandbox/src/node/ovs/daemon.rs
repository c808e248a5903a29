//! The daemons of Open vSwitch: what they make of the database, and the files that they have while they run.

use camino::Utf8Path;
use sha2::{Digest, Sha256};

use super::database::{Database, ROOT};
use super::datum::{Atom, Datum};
use crate::node::files::Files;
use crate::node::seed::{self, Seed};
use crate::node::{NetworkLink, edit, kernel, links};
use crate::store::Transaction;

/// The version that the sandbox behaves as.
pub(super) const VERSION: &str = "3.1.0";
/// Where the database listens.
pub(super) const SOCKET: &str = "/var/run/openvswitch/db.sock";
const RUN: &str = "/run/openvswitch";
/// The daemons with their process ids.
const DATABASE: (&str, u32) = ("ovsdb-server", 1201);
const SWITCH: (&str, u32) = ("ovs-vswitchd", 1217);
/// The kinds of interface that it knows.
const INTERFACE_TYPES: &str = "\
    afxdp afxdp-nonpmd bareudp erspan geneve gre gtpu internal ip6erspan ip6gre lisp patch stt system tap \
    vxlan";
/// The number of a bridge's own port.
const LOCAL: i64 = 65534;

/// Whether the database is served.
pub(in crate::node) fn is_reachable(transaction: &Transaction<'_>) -> bool {
    is_there(transaction, SOCKET)
}

/// Whether ovs-vswitchd runs.
pub(super) fn is_switching(transaction: &Transaction<'_>) -> bool {
    is_there(transaction, &format!("{RUN}/{}.pid", SWITCH.0))
}

fn is_there(transaction: &Transaction<'_>, path: &str) -> bool {
    let files = Files { transaction, user: 0 };
    matches!(files.stat(Utf8Path::new(path)), Ok(Some(_)))
}

/// Starts the server of the database.
pub(in crate::node) fn start_database(transaction: &mut Transaction<'_>, seed: &Seed) {
    seed::special(transaction, &format!("{RUN}/db.sock"), 0o750);
    begin(transaction, DATABASE);
    let mut database = Database::load(transaction);
    introduce(&mut database, seed);
    database.save(transaction);
}

/// Starts the switch.
pub(in crate::node) fn start_daemon(transaction: &mut Transaction<'_>) {
    begin(transaction, SWITCH);
    let mut database = Database::load(transaction);
    reconfigure(transaction, &mut database);
    database.save(transaction);
}

/// Ends the server of the database.
pub(in crate::node) fn stop_database(transaction: &mut Transaction<'_>) {
    edit::drop(transaction, Utf8Path::new(SOCKET));
    end(transaction, DATABASE);
}

/// Ends the switch; the kernel goes on with the bridges that it has.
pub(in crate::node) fn stop_daemon(transaction: &mut Transaction<'_>) {
    end(transaction, SWITCH);
}

fn begin(transaction: &mut Transaction<'_>, (name, id): (&str, u32)) {
    seed::file(transaction, &format!("{RUN}/{name}.pid"), 0o644, &format!("{id}\n"));
    seed::file(transaction, &format!("/proc/{id}/comm"), 0o444, &format!("{name}\n"));
}

fn end(transaction: &mut Transaction<'_>, (name, id): (&str, u32)) {
    for path in [format!("{RUN}/{name}.pid"), format!("/proc/{id}/comm")] {
        edit::drop(transaction, Utf8Path::new(&path));
    }
}

/// Deletes the database, as the removal of the package with its configuration does, and the links of its bridges.
pub(in crate::node) fn purge(transaction: &mut Transaction<'_>) {
    for link in links::all(transaction).iter().filter(|link| link.kind == "openvswitch") {
        links::remove(transaction, &link.name);
    }
    Database::delete(transaction);
}

/// What the start script tells the database about the system.
fn introduce(database: &mut Database, seed: &Seed) {
    let root = database.root();
    let text = |text: &str| Some(Atom::Text(text.to_owned()));
    let ids = [
        ("hostname", seed.hostname.as_str()),
        ("rundir", "/var/run/openvswitch"),
        ("system-id", "5a9db0c1-5a9d-4b0c-a1d2-5a9db0c15a9d"),
    ];
    for (key, value) in ids {
        let mut map = database.get(ROOT, &root, "external_ids");
        map.insert(Atom::Text(key.to_owned()), text(value));
        database.set(ROOT, &root, "external_ids", map);
    }
    let set =
        |items: &[&str]| items.iter().map(|item| (Atom::Text((*item).to_owned()), None)).collect::<Datum>();
    for (column, datum) in [
        ("ovs_version", VERSION.into()),
        ("db_version", "8.3.1".into()),
        ("datapath_types", set(&["netdev", "system"])),
        ("iface_types", set(&INTERFACE_TYPES.split(' ').collect::<Vec<_>>())),
        ("dpdk_version", "none".into()),
    ] {
        database.set(ROOT, &root, column, datum);
    }
}

/// Applies the database: sets up bridges and ports, and records the result there.
pub(super) fn reconfigure(transaction: &mut Transaction<'_>, database: &mut Database) {
    let root = database.root();
    let next = database.get(ROOT, &root, "next_cfg");
    database.set(ROOT, &root, "cur_cfg", next);
    let mut wanted = Vec::new();
    for bridge in database.references(ROOT, &root, "bridges") {
        // Its name could not be a file's, so that the switch does not look at it.
        if database.name("Bridge", &bridge).contains('/') {
            continue;
        }
        wanted.extend(set_up(transaction, database, &bridge));
    }
    remove_links(transaction, &wanted);
}

/// Sets a bridge up; returns its links. The switch does not report a bridge whose datapath is unavailable: its ports never
/// get a number, and no error.
fn set_up(transaction: &mut Transaction<'_>, database: &mut Database, bridge: &str) -> Vec<String> {
    let Some((datapath, version)) = datapath(transaction, database, bridge) else { return Vec::new() };
    let bridge_name = database.name("Bridge", bridge);
    database.set("Bridge", bridge, "datapath_version", version.into());
    let id = format!("0000{}", mac(&bridge_name).replace(':', ""));
    database.set("Bridge", bridge, "datapath_id", id.as_str().into());
    let mut wanted = vec![datapath.to_owned()];
    for port in database.references("Bridge", bridge, "ports") {
        for interface in database.references("Port", &port, "interfaces") {
            let name = database.name("Interface", &interface);
            let internal = database.get("Interface", &interface, "type").text() == "internal";
            let error = refusal(transaction, &name, internal);
            tell(database, &interface, &bridge_name, error.as_deref());
            if internal && error.is_none() {
                wanted.push(name);
            }
        }
    }
    for name in &wanted {
        make_link(transaction, name);
    }
    wanted
}

/// The link and the version of a bridge's datapath; none when the node does not have it.
fn datapath(
    transaction: &Transaction<'_>,
    database: &Database,
    bridge: &str,
) -> Option<(&'static str, &'static str)> {
    match database.get("Bridge", bridge, "datapath_type").text() {
        "netdev" if is_there(transaction, "/dev/net/tun") => Some(("ovs-netdev", "<built-in>")),
        "" | "system" if kernel::is_loaded(transaction, "openvswitch") => Some(("ovs-system", "<unknown>")),
        _ => None,
    }
}

/// Why an interface cannot be opened; none when it can.
fn refusal(transaction: &Transaction<'_>, name: &str, internal: bool) -> Option<String> {
    if name.contains(char::is_whitespace) {
        return Some(format!("could not open network device {name} (Invalid argument)"));
    }
    let missing = !internal && links::find(transaction, name).is_none();
    missing.then(|| format!("could not open network device {name} (No such device)"))
}

/// Writes how it went with an interface.
fn tell(database: &mut Database, interface: &str, bridge: &str, error: Option<&str>) {
    let name = database.name("Interface", interface);
    let number = match error {
        Some(_) => -1,
        None if name == bridge => LOCAL,
        None => match database.get("Interface", interface, "ofport").integer() {
            Some(number @ 1..) => number,
            _ => free_number(database),
        },
    };
    database.set("Interface", interface, "ofport", number.into());
    let error = error.map(Datum::from).unwrap_or_default();
    if error.len() == 0 {
        database.set("Interface", interface, "mac_in_use", mac(&name).as_str().into());
        for column in ["admin_state", "link_state"] {
            database.set("Interface", interface, column, "up".into());
        }
        database.set("Interface", interface, "mtu", 1500.into());
    }
    database.set("Interface", interface, "error", error);
}

/// A free port number: the real switch numbers ports per bridge, which nothing relies on.
fn free_number(database: &Database) -> i64 {
    let ids = database.ids("Interface");
    let numbers = ids.iter().filter_map(|id| database.get("Interface", id, "ofport").integer());
    numbers.filter(|number| *number < LOCAL).max().unwrap_or_default().max(0) + 1
}

fn make_link(transaction: &mut Transaction<'_>, name: &str) {
    if links::find(transaction, name).is_none() {
        let link = NetworkLink {
            name: name.to_owned(),
            kind: "openvswitch".into(),
            mtu: 1500,
            mac: mac(name),
            ..NetworkLink::default()
        };
        links::put(transaction, &link);
    }
}

fn remove_links(transaction: &mut Transaction<'_>, wanted: &[String]) {
    for link in links::all(transaction) {
        if link.kind == "openvswitch" && !wanted.contains(&link.name) {
            links::remove(transaction, &link.name);
        }
    }
}

/// A hardware address that depends on the name only.
fn mac(name: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(name).into();
    let [a, b, c, d, ..] = digest;
    format!("5a:{a:02x}:{b:02x}:{c:02x}:{d:02x}:00")
}
