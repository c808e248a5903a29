//! The rows of the database, their references and their rules.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::datum::{Atom, Datum};
use super::parse;
use super::schema::{AtomKind, TABLES, Table};
use crate::store::Transaction;

const KEY: &str = "ovs";
/// The table with one row, which everything hangs on.
pub(super) const ROOT: &str = "Open_vSwitch";

/// The columns of a row that were set; the others hold their defaults.
type Row = BTreeMap<String, Datum>;

/// The database: rows by table and id.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Database {
    rows: BTreeMap<&'static str, BTreeMap<String, Row>>,
    /// How many rows were ever made: each gets an id of its own, and two nodes with the same history the same ones.
    made: u64,
}

impl Database {
    /// What the store has of it; a new one when there is none.
    pub(super) fn load(transaction: &Transaction<'_>) -> Self {
        match transaction.value(KEY) {
            Some(value) => Self::of(value),
            None => Self::new(),
        }
    }

    /// Puts it into the store, if it differs from what is there.
    pub(super) fn save(&self, transaction: &mut Transaction<'_>) {
        let value = self.value();
        if transaction.value(KEY).is_none_or(|before| **before != value) {
            transaction.put(KEY, value);
        }
    }

    /// Forgets all of it, as when its file is deleted.
    pub(super) fn delete(transaction: &mut Transaction<'_>) {
        transaction.remove(KEY);
    }

    fn new() -> Self {
        let mut database = Self::default();
        database.insert(ROOT, Row::new());
        database
    }

    /// The ids of a table's rows, in order.
    pub(super) fn ids(&self, table: &str) -> Vec<String> {
        self.rows.get(table).map(|rows| rows.keys().cloned().collect()).unwrap_or_default()
    }

    /// The id of the only row of the root table.
    pub(super) fn root(&self) -> String {
        self.ids(ROOT).pop().unwrap_or_default()
    }

    /// Whether there is such a row.
    pub(super) fn has(&self, table: &str, id: &str) -> bool {
        self.rows.get(table).is_some_and(|rows| rows.contains_key(id))
    }

    /// What a column of a row holds.
    pub(super) fn get(&self, table: &str, id: &str, column: &str) -> Datum {
        let row = self.rows.get(table).and_then(|rows| rows.get(id));
        if let Some(datum) = row.and_then(|row| row.get(column)) {
            return datum.clone();
        }
        let column = Table::named(table).and_then(|table| table.column(column));
        column.map(Datum::default_of).unwrap_or_default()
    }

    /// A row's name; empty when it has none.
    pub(super) fn name(&self, table: &str, id: &str) -> String {
        self.get(table, id, "name").text().to_owned()
    }

    /// The id of the row with a name.
    pub(super) fn named(&self, table: &str, name: &str) -> Option<String> {
        self.ids(table).into_iter().find(|id| self.name(table, id) == name)
    }

    /// The ids of the rows that a column refers to.
    pub(super) fn references(&self, table: &str, id: &str, column: &str) -> Vec<String> {
        self.get(table, id, column).atoms().map(|atom| atom.text().to_owned()).collect()
    }

    /// Changes a column of a row that is there.
    pub(super) fn set(&mut self, table: &str, id: &str, column: &str, datum: Datum) {
        if let Some(row) = self.rows.get_mut(table).and_then(|rows| rows.get_mut(id)) {
            row.insert(column.to_owned(), datum);
        }
    }

    /// Makes a row and returns its id.
    pub(super) fn insert(&mut self, table: &'static str, row: Row) -> String {
        self.made += 1;
        let digest: [u8; 32] = Sha256::digest(format!("row {}", self.made)).into();
        let hex = digest.iter().take(16).fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let id =
            format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
        self.rows.entry(table).or_default().insert(id.clone(), row);
        id
    }

    /// Makes a row with a name, and lets a column of another row refer to it.
    pub(super) fn insert_named(
        &mut self,
        table: &'static str,
        name: &str,
        above: (&str, &str, &str),
    ) -> String {
        let id = self.insert(table, Row::from([("name".to_owned(), name.into())]));
        self.refer(above, &id);
        id
    }

    /// Lets a column of a row refer to another row.
    pub(super) fn refer(&mut self, (table, id, column): (&str, &str, &str), to: &str) {
        let mut datum = self.get(table, id, column);
        datum.insert(Atom::Row(to.to_owned()), None);
        self.set(table, id, column, datum);
    }

    /// Lets a column of a row no longer refer to another row.
    pub(super) fn release(&mut self, (table, id, column): (&str, &str, &str), to: &str) {
        let mut datum = self.get(table, id, column);
        datum.remove(&Atom::Row(to.to_owned()), None);
        self.set(table, id, column, datum);
    }

    /// Notes that there is something new for the switch to do.
    pub(super) fn count_change(&mut self) {
        let root = self.root();
        let count = self.get(ROOT, &root, "next_cfg").integer().unwrap_or_default();
        self.set(ROOT, &root, "next_cfg", count.saturating_add(1).into());
    }

    /// Removes the rows that nothing refers to.
    pub(super) fn collect(&mut self) {
        for (table, column, below) in
            [(ROOT, "bridges", "Bridge"), ("Bridge", "ports", "Port"), ("Port", "interfaces", "Interface")]
        {
            let used: BTreeSet<String> =
                self.ids(table).iter().flat_map(|id| self.references(table, id, column)).collect();
            if let Some(rows) = self.rows.get_mut(below) {
                rows.retain(|id, _| used.contains(id));
            }
        }
    }

    /// Ends a transaction: rows that nothing refers to go, and the rules are looked at.
    ///
    /// # Errors
    /// The broken rule, as the database server tells it.
    pub(super) fn commit(&mut self) -> Result<(), Value> {
        self.collect();
        for table in &TABLES {
            self.check(table)?;
        }
        Ok(())
    }

    fn check(&self, table: &Table) -> Result<(), Value> {
        let mut names = BTreeSet::new();
        for id in self.ids(table.name) {
            for column in table.columns {
                let datum = self.get(table.name, &id, column.name);
                let count = datum.len();
                if let Some(details) = datum.atoms().find_map(|atom| parse::refusal(atom, column.key)) {
                    return Err(json!({"details": details, "error": "constraint violation"}));
                }
                if count > column.max || count < column.min {
                    return Err(wrong_count(count, column));
                }
                self.check_references(table, &id, column)?;
            }
            let name = self.name(table.name, &id);
            if table.name != ROOT && !names.insert(name.clone()) {
                let details = format!(
                    "Transaction causes multiple rows in \"{}\" table to have identical values ({name}) for index on \
                     column \"name\".",
                    table.name
                );
                return Err(json!({"details": details, "error": "constraint violation"}));
            }
        }
        Ok(())
    }

    fn check_references(&self, table: &Table, id: &str, column: &super::schema::Column) -> Result<(), Value> {
        let AtomKind::Row(below) = column.key else { return Ok(()) };
        for to in self.references(table.name, id, column.name) {
            if !self.has(below, &to) {
                let details = format!(
                    "Table {} column {} row {id} references nonexistent row {to} in table {below}.",
                    table.name, column.name
                );
                return Err(json!({"details": details, "error": "referential integrity violation"}));
            }
        }
        Ok(())
    }

    fn value(&self) -> Value {
        let row = |table: &str, row: &Row| -> Value {
            let table = Table::named(table);
            let is_map = |name: &str| {
                table.and_then(|table| table.column(name)).is_some_and(|column| column.value.is_some())
            };
            let column = |(name, datum): (&String, &Datum)| (name.clone(), datum.json(is_map(name)));
            Value::Object(row.iter().map(column).collect())
        };
        let table = |(name, rows): (&&'static str, &BTreeMap<String, Row>)| {
            let rows: Map<String, Value> =
                rows.iter().map(|(id, columns)| (id.clone(), row(name, columns))).collect();
            ((*name).to_owned(), Value::Object(rows))
        };
        json!({"made": self.made, "tables": self.rows.iter().map(table).collect::<Map<_, _>>()})
    }

    fn of(value: &Value) -> Self {
        let row = |columns: &Value| -> Row {
            let columns = columns.as_object().into_iter().flatten();
            columns.filter_map(|(name, datum)| Some((name.clone(), Datum::of(datum)?))).collect()
        };
        let rows = TABLES.iter().map(|table| {
            let rows = value["tables"][table.name].as_object().into_iter().flatten();
            (table.name, rows.map(|(id, columns)| (id.clone(), row(columns))).collect())
        });
        Self { rows: rows.collect(), made: value["made"].as_u64().unwrap_or_default() }
    }
}

fn wrong_count(count: usize, column: &super::schema::Column) -> Value {
    let what = column.describe();
    let kind = if column.value.is_some() { "map" } else { "set" };
    let of = what.split_once(" of ").map_or(format!("up to 1 {what}s"), |(_, of)| of.to_owned());
    let details = format!("Attempted to store {count} elements in {kind} of {of}.");
    json!({"details": details, "error": "constraint violation"})
}
