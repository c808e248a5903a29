//! Tables, columns and rows as a command names them, shortened where that is unambiguous.

use super::{Done, VsctlError, parse};
use crate::node::ovs::database::{Database, ROOT};
use crate::node::ovs::datum::{Atom, Datum, is_uuid};
use crate::node::ovs::schema::{AtomKind, Column, NAMES, Table};

/// The fewest characters that may stand for a row's id.
const SHORTEST_ID: usize = 4;
/// The name of the column that holds a row's id, which the tables do not list.
pub(super) const ID: &str = "_uuid";

/// A column, or the id.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    /// The row's id.
    Id,
    /// A column.
    Column(&'static Column),
}

/// The id as if it were a column.
static ID_COLUMN: Column = Column { name: ID, key: AtomKind::Row("self"), value: None, min: 1, max: 1 };

impl Field {
    pub(super) fn all(table: &'static Table) -> Vec<Self> {
        std::iter::once(Self::Id).chain(table.columns.iter().map(Self::Column)).collect()
    }

    /// Its description.
    pub(super) fn column(self) -> &'static Column {
        match self {
            Self::Id => &ID_COLUMN,
            Self::Column(column) => column,
        }
    }

    /// What it holds in a row.
    pub(super) fn of(self, database: &Database, table: &Table, id: &str) -> Datum {
        match self {
            Self::Id => Atom::Row(id.to_owned()).into(),
            Self::Column(column) => database.get(table.name, id, column.name),
        }
    }
}

/// The table that a word means.
pub(super) fn table(word: &str) -> Done<&'static Table> {
    match best(word, NAMES.split(' ')).as_slice() {
        [] => Err(format!("unknown table \"{word}\"").into()),
        [name] => Table::named(name).ok_or(VsctlError::Unknown),
        several => Err(format!("\"{word}\" matches multiple table names: {}", several.join(", ")).into()),
    }
}

/// The column that a word means; the id by its whole name only.
pub(super) fn field_or_id(table: &'static Table, word: &str) -> Done<Field> {
    if word == ID { Ok(Field::Id) } else { column(table, word).map(Field::Column) }
}

/// The column that a word means.
pub(super) fn column(table: &'static Table, word: &str) -> Done<&'static Column> {
    let names = best(word, table.columns.iter().map(|column| column.name));
    match names.as_slice() {
        [] => Err(format!("{} does not contain a column whose name matches \"{word}\"", table.name).into()),
        [name] => table.column(name).ok_or(VsctlError::Unknown),
        several => {
            let several = several.join(", ");
            Err(format!(
                "{} contains more than one column whose name matches \"{word}\": {several}",
                table.name
            )
            .into())
        }
    }
}

/// The column that a word means, when it can be changed.
pub(super) fn writable(table: &'static Table, word: &str) -> Done<&'static Column> {
    let column = column(table, word)?;
    if column.is_read_only() {
        return Err(format!("cannot modify read-only column {} in table {}", column.name, table.name).into());
    }
    Ok(column)
}

/// The names that fit a word best: the same, the same but for capitals and dashes, or those that begin with it.
fn best(word: &str, names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let wanted = plain(word);
    let mut found: Vec<&'static str> = Vec::new();
    let mut rank = 0;
    for name in names {
        let this = match plain(name) {
            _ if name == word => 3,
            name if name == wanted => 2,
            name if !wanted.is_empty() && name.starts_with(&wanted) => 1,
            _ => continue,
        };
        if this > rank {
            found.clear();
            rank = this;
        }
        if this == rank {
            found.push(name);
        }
    }
    found.sort_unstable();
    found
}

/// The id of the row that a word means; none when there is none and that is fine.
pub(super) fn row(database: &Database, table: &Table, word: &str, may_miss: bool) -> Done<Option<String>> {
    match found(database, table, word) {
        Some(id) => Ok(Some(id)),
        None if may_miss => Ok(None),
        None => Err(format!("no row \"{word}\" in table {}", table.name).into()),
    }
}

fn found(database: &Database, table: &Table, word: &str) -> Option<String> {
    if is_uuid(word) && database.has(table.name, word) {
        return Some(word.to_owned());
    }
    if table.name == ROOT {
        return (word == ".").then(|| database.root());
    }
    let shortened = || {
        let ids = database.ids(table.name).into_iter();
        let fits = |id: &String| word.len() >= SHORTEST_ID && id.starts_with(word);
        let mut ids = ids.filter(fits);
        ids.next().filter(|_| ids.next().is_none())
    };
    database.named(table.name, word).or_else(shortened)
}

/// A column with a key of its map, an operator and a value: `COLUMN:KEY=VALUE`.
pub(super) struct Assignment<'a> {
    pub(super) column: &'static Column,
    /// The key, as it was written.
    pub(super) key: Option<String>,
    /// One of the operators that were allowed.
    pub(super) operator: &'static str,
    /// The value, as it was written.
    pub(super) value: &'a str,
}

/// Takes an assignment or condition apart; `operators` has longer ones before those that they begin with.
pub(super) fn assignment<'a>(
    table: &'static Table,
    argument: &'a str,
    operators: &[&'static str],
) -> Done<Assignment<'a>> {
    let (column, key, rest) = place(table, argument)?;
    let operator =
        operators.iter().filter(|operator| rest.len() > operator.len() && rest.starts_with(**operator));
    let Some(operator) = operator.max_by_key(|operator| operator.len()) else {
        let message =
            format!("{argument}: argument does not end in {} followed by a value.", listed(operators));
        return Err(message.into());
    };
    Ok(Assignment { column, key, operator, value: &rest[operator.len()..] })
}

/// A column, perhaps with a key of its map, and what comes after them.
pub(super) fn place<'a>(
    table: &'static Table,
    argument: &'a str,
) -> Done<(&'static Column, Option<String>, &'a str)> {
    let (name, rest) = parse::word(argument)?;
    if name.is_empty() {
        return Err(format!("{argument}: missing column name").into());
    }
    let column = column(table, &name)?;
    match rest.strip_prefix(':') {
        Some(rest) => {
            let (key, rest) = parse::word(rest)?;
            Ok((column, Some(key), rest))
        }
        None => Ok((column, None, rest)),
    }
}

/// `"="`, or `"=", "!=", or "<"`.
fn listed(operators: &[&str]) -> String {
    let quoted: Vec<String> = operators.iter().map(|operator| format!("\"{operator}\"")).collect();
    match quoted.as_slice() {
        [all @ .., last] if !all.is_empty() => format!("{}, or {last}", all.join(", ")),
        _ => quoted.join(""),
    }
}
