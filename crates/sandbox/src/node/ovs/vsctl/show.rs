//! `show`: the whole switch at a glance.

use crate::node::ovs::database::{Database, ROOT};
use crate::node::ovs::datum::{Atom, Datum};
use crate::node::ovs::schema::Table;

/// The levels: a table, the columns that are shown when they hold something, and the column with what is below.
const LEVELS: [(&str, &[&str], &str); 3] = [
    ("Bridge", &["fail_mode", "datapath_type"], "ports"),
    ("Port", &["tag", "trunks"], "interfaces"),
    ("Interface", &["type", "options", "error"], ""),
];

/// What it prints.
pub(super) fn all(database: &Database) -> String {
    let root = database.root();
    let mut text = format!("{root}\n");
    level(database, &database.references(ROOT, &root, "bridges"), 0, &mut text);
    let version = database.get(ROOT, &root, "ovs_version");
    if let Some(version) = version.first() {
        text.push_str(&format!("    ovs_version: {}\n", version.shown()));
    }
    text
}

fn level(database: &Database, ids: &[String], depth: usize, text: &mut String) {
    let Some((table, columns, below)) = LEVELS.get(depth) else { return };
    let indent = "    ".repeat(depth + 1);
    for id in ids {
        let name = database.get(table, id, "name");
        let name = name.first().map(Atom::shown).unwrap_or_default();
        text.push_str(&format!("{indent}{table} {name}\n"));
        for column in
            columns.iter().filter_map(|name| Table::named(table).and_then(|table| table.column(name)))
        {
            let datum = database.get(table, id, column.name);
            if datum.len() > 0 && datum != Datum::default_of(column) {
                text.push_str(&format!("{indent}    {}: {}\n", column.name, datum.shown(column)));
            }
        }
        level(database, &database.references(table, id, below), depth + 1, text);
    }
}
