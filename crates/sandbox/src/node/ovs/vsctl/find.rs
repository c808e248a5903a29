//! `find`: the rows that fulfil conditions.

use super::line::Subcommand;
use super::print::Printed;
use super::records::{fields, rows};
use super::{Done, names, parse};
use crate::node::ovs::database::Database;
use crate::node::ovs::datum::Datum;
use crate::node::ovs::schema::{Column, Table};

const OPERATORS: [&str; 14] =
    ["=", "!=", "<", ">", "<=", ">=", "{=}", "{!=}", "{<}", "{>}", "{<=}", "{>=}", "{in}", "{not-in}"];

/// The rows for which all conditions hold.
pub(super) fn find(database: &Database, call: &Subcommand) -> Done<Printed> {
    let table = names::table(call.argument(1))?;
    let fields = fields(table, call)?;
    let mut found = Vec::new();
    for id in database.ids(table.name) {
        let mut fits = true;
        for argument in call.arguments(2) {
            fits = fits && holds(database, table, &id, argument)?;
        }
        if fits {
            found.push(id);
        }
    }
    Ok(Printed::Rows(rows(database, table, &fields, &found)))
}

fn holds(database: &Database, table: &'static Table, id: &str, argument: &str) -> Done<bool> {
    let condition = names::assignment(table, argument, &OPERATORS)?;
    let column = condition.column;
    let held = database.get(table.name, id, column.name);
    let Some(word) = condition.key else {
        let wanted = parse::datum(condition.value, column)?;
        return Ok(compare(&held, &wanted, condition.operator));
    };
    let Some(kind) = column.value else {
        return Err(format!("cannot specify key to check for non-map column {}", column.name).into());
    };
    let values = Column { name: column.name, key: kind, value: None, min: 0, max: usize::MAX };
    let wanted = parse::datum(condition.value, &values)?;
    let value = held.value(&parse::atom(&word, column.key)?).cloned();
    let is_set_operator = condition.operator.starts_with('{');
    match value {
        None if !is_set_operator => Ok(false),
        value => Ok(compare(&value.map(Datum::from).unwrap_or_default(), &wanted, condition.operator)),
    }
}

fn compare(held: &Datum, wanted: &Datum, operator: &str) -> bool {
    match operator {
        "=" | "{=}" => held == wanted,
        "!=" | "{!=}" => held != wanted,
        "<" => held < wanted,
        ">" => held > wanted,
        "<=" => held <= wanted,
        ">=" => held >= wanted,
        "{<}" => wanted.len() > held.len() && wanted.includes(held),
        "{>}" => held.len() > wanted.len() && held.includes(wanted),
        "{<=}" | "{in}" => wanted.includes(held),
        "{>=}" => held.includes(wanted),
        _ => held.excludes(wanted),
    }
}
