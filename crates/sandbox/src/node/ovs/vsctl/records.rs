//! The commands for any table: `list`, `get`, `set`, `add`, `remove`, `clear`.

use serde_json::json;

use super::line::Subcommand;
use super::names::{self, Field};
use super::print::{Printed, Rows};
use super::{Done, VsctlError, parse};
use crate::node::ovs::database::Database;
use crate::node::ovs::datum::Datum;
use crate::node::ovs::schema::{Column, Table};

/// Which row a command is about.
struct Place {
    table: &'static Table,
    /// None when it may be missing and is.
    id: Option<String>,
}

fn place(database: &Database, call: &Subcommand) -> Done<Place> {
    let table = names::table(call.argument(1))?;
    let id = names::row(database, table, call.argument(2), call.has("--if-exists"))?;
    Ok(Place { table, id })
}

/// Looks at the tables and columns that a command names, which the program does before it looks at the database.
pub(super) fn prepare(call: &Subcommand) -> Done {
    let name = call.name();
    if !["list", "find", "get", "set", "add", "remove", "clear"].contains(&name) {
        return Ok(());
    }
    let table = names::table(call.argument(1))?;
    fields(table, call)?;
    let named = match name {
        "list" => &[],
        "find" => call.arguments(2),
        "add" | "remove" => call.arguments(3).get(..1).unwrap_or_default(),
        _ => call.arguments(3),
    };
    for argument in named.iter().filter(|argument| name != "get" || *argument != names::ID) {
        match name {
            "add" | "remove" | "clear" => _ = names::column(table, argument)?,
            _ => _ = names::place(table, argument)?,
        }
    }
    Ok(())
}

/// The rows that are named, or all.
pub(super) fn list(database: &Database, call: &Subcommand) -> Done<Printed> {
    let table = names::table(call.argument(1))?;
    let fields = fields(table, call)?;
    let mut ids = Vec::new();
    for word in call.arguments(2) {
        ids.extend(names::row(database, table, word, call.has("--if-exists"))?);
    }
    if call.count() == 1 {
        ids = database.ids(table.name);
    }
    Ok(Printed::Rows(rows(database, table, &fields, &ids)))
}

/// The columns that are to be shown.
pub(super) fn fields(table: &'static Table, call: &Subcommand) -> Done<Vec<Field>> {
    let Some(columns) = call.option("--columns") else { return Ok(Field::all(table)) };
    let words = columns.split([',', ' ']).filter(|word| !word.is_empty());
    let fields = words.map(|word| names::field_or_id(table, word)).collect::<Done<Vec<_>>>()?;
    if fields.is_empty() {
        return Err("must specify at least one column name".to_owned().into());
    }
    Ok(fields)
}

/// Rows with the columns that are to be shown.
pub(super) fn rows(database: &Database, table: &Table, fields: &[Field], ids: &[String]) -> Rows {
    let row = |id: &String| fields.iter().map(|field| field.of(database, table, id)).collect();
    Rows { columns: fields.iter().map(|field| field.column()).collect(), rows: ids.iter().map(row).collect() }
}

/// Columns of a row, or keys of them.
pub(super) fn get(database: &Database, call: &Subcommand) -> Done<Printed> {
    let Place { table, id } = place(database, call)?;
    // A name for the row, which other commands of the line could use for a column of rows; kvnet has none.
    if call.option("--id").is_some_and(|name| !name.starts_with('@')) {
        return Err(VsctlError::Unknown);
    }
    let mut text = String::new();
    for argument in call.arguments(3) {
        if argument == names::ID {
            text.extend(id.iter().map(|id| format!("{id}\n")));
            continue;
        }
        let (column, key, rest) = names::place(table, argument)?;
        if !rest.is_empty() {
            return Err(format!("{argument}: trailing garbage \"{rest}\" in argument").into());
        }
        if key.is_some() && column.value.is_none() {
            return Err(format!("cannot specify key to get for non-map column {}", column.name).into());
        }
        let Some(id) = &id else { continue };
        let datum = database.get(table.name, id, column.name);
        let line = match key {
            None => datum.shown(column),
            Some(word) => {
                let key = parse::atom(&word, column.key)?;
                match datum.value(&key) {
                    Some(value) => value.shown(),
                    None if call.has("--if-exists") => String::new(),
                    None => {
                        let (table, record) = (table.name, call.argument(2));
                        let message = format!(
                            "no key \"{word}\" in {table} record \"{record}\" column {}",
                            column.name
                        );
                        return Err(message.into());
                    }
                }
            }
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok(Printed::Text(text))
}

/// Gives columns, or keys of them, other values.
pub(super) fn set(database: &mut Database, call: &Subcommand) -> Done<Printed> {
    let Place { table, id } = place(database, call)?;
    for argument in call.arguments(3) {
        names::writable(table, names::place(table, argument)?.0.name)?;
        assign(database, table, id.as_deref(), argument)?;
    }
    Ok(Printed::nothing())
}

/// Gives a column, or a key of it, another value: `COLUMN=VALUE`, `COLUMN:KEY=VALUE`. That of a new row may be read-only.
pub(super) fn assign(
    database: &mut Database,
    table: &'static Table,
    id: Option<&str>,
    argument: &str,
) -> Done {
    let assignment = names::assignment(table, argument, &["="])?;
    let column = assignment.column;
    let Some(id) = id else { return Ok(()) };
    let datum = match (assignment.key, column.value) {
        (Some(_), None) => {
            return Err(format!("cannot specify key to set for non-map column {}", column.name).into());
        }
        (Some(key), Some(kind)) => {
            let mut datum = database.get(table.name, id, column.name);
            datum.insert(parse::atom(&key, column.key)?, Some(parse::atom(assignment.value, kind)?));
            datum
        }
        (None, _) => parse::datum(assignment.value, column)?,
    };
    database.set(table.name, id, column.name, datum);
    Ok(())
}

/// Adds elements to a set or map.
pub(super) fn add(database: &mut Database, call: &Subcommand) -> Done<Printed> {
    let Place { table, id } = place(database, call)?;
    let column = names::writable(table, call.argument(3))?;
    let mut added = Datum::default();
    for argument in call.arguments(4) {
        added.extend(parse::datum(argument, &any_number(column))?);
    }
    if let Some(id) = id {
        if column.max == 1 && column.min == 1 {
            return Err(not_a_set(column, &added));
        }
        let mut datum = database.get(table.name, &id, column.name);
        datum.extend(added);
        database.set(table.name, &id, column.name, datum);
    }
    Ok(Printed::nothing())
}

/// The server's answer to an element for a column that is no set.
fn not_a_set(column: &Column, added: &Datum) -> VsctlError {
    let elements = match added.json(false) {
        one if added.len() == 1 => json!(["set", [one]]),
        many => many,
    };
    let (name, kind) = (column.name, column.describe());
    let details =
        format!("Type mismatch: \"insert\" operator may not be applied to column {name} of type {kind}.");
    let syntax = json!([name, "insert", elements]).to_string();
    VsctlError::Refused(json!({"details": details, "error": "syntax error", "syntax": syntax}).to_string())
}

/// Takes elements out of a set or map; of a map by key, or by key and value.
pub(super) fn remove(database: &mut Database, call: &Subcommand) -> Done<Printed> {
    let Place { table, id } = place(database, call)?;
    let column = names::writable(table, call.argument(3))?;
    let mut datum = id.as_ref().map(|id| database.get(table.name, id, column.name)).unwrap_or_default();
    for argument in call.arguments(4) {
        let removed = match parse::datum(argument, &any_number(column)) {
            Err(_) if column.value.is_some() => parse::datum(argument, &keys_of(column))?,
            parsed => parsed?,
        };
        for (key, value) in removed.elements() {
            datum.remove(key, value.as_ref());
        }
    }
    if datum.len() < column.min {
        let least = column.min;
        let message = format!(
            "\"remove\" operation would put {} value(s) in column {} of table {} but the minimum number is {least}",
            datum.len(),
            column.name,
            table.name
        );
        return Err(message.into());
    }
    if let Some(id) = id {
        database.set(table.name, &id, column.name, datum);
    }
    Ok(Printed::nothing())
}

/// Empties columns that may be empty.
pub(super) fn clear(database: &mut Database, call: &Subcommand) -> Done<Printed> {
    let Place { table, id } = place(database, call)?;
    for word in call.arguments(3) {
        let column = names::writable(table, word)?;
        if column.min > 0 {
            let message = format!(
                "\"clear\" operation cannot be applied to column {} of table {}, which is not allowed to be empty",
                column.name, table.name
            );
            return Err(message.into());
        }
        if let Some(id) = &id {
            database.set(table.name, id, column.name, Datum::default());
        }
    }
    Ok(Printed::nothing())
}

/// The column as what an argument of `add` may hold.
fn any_number(column: &Column) -> Column {
    Column { name: column.name, key: column.key, value: column.value, min: 1, max: usize::MAX }
}

/// The keys of a map as a set.
fn keys_of(column: &Column) -> Column {
    Column { value: None, ..any_number(column) }
}
