//! What a command line prints: text, and rows in one of several forms.

use serde_json::{Value, json};

use super::{Done, VsctlError};
use crate::node::ovs::datum::Datum;
use crate::node::ovs::schema::Column;

/// The result of a command.
pub(super) enum Printed {
    /// Text with its line ends.
    Text(String),
    /// Rows.
    Rows(Rows),
}

/// Rows of a table.
pub(super) struct Rows {
    /// The columns that are shown.
    pub(super) columns: Vec<&'static Column>,
    /// What each row holds in them.
    pub(super) rows: Vec<Vec<Datum>>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// The form of rows.
    pub(super) format: Format,
    /// The form of a cell.
    pub(super) cells: Cells,
    /// Whether the columns' names are printed.
    pub(super) headings: bool,
    /// Whether each command's text is printed as one line.
    pub(super) one_line: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { format: Format::List, cells: Cells::Text, headings: true, one_line: false }
    }
}

/// The form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A line for each cell.
    List,
    /// A line for each row.
    Table,
    /// A line for each row, the cells between commas.
    Csv,
    /// One object.
    Json,
}

/// The form of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cells {
    /// With quotes and brackets.
    Text,
    /// Without.
    Bare,
    /// As in the database's protocol.
    Json,
}

impl Format {
    pub(super) fn named(name: &str) -> Done<Self> {
        match name {
            "list" => Ok(Self::List),
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            "html" => Err(VsctlError::Unknown),
            _ => Err(format!("unknown output format \"{name}\"").into()),
        }
    }
}

impl Cells {
    pub(super) fn named(name: &str) -> Done<Self> {
        match name {
            "string" => Ok(Self::Text),
            "bare" => Ok(Self::Bare),
            "json" => Ok(Self::Json),
            _ => Err(format!("unknown data format \"{name}\"").into()),
        }
    }

    fn shown(self, datum: &Datum, column: &Column) -> String {
        match self {
            Self::Text => datum.shown(column),
            Self::Bare => datum.bare(),
            Self::Json => datum.json(column.value.is_some()).to_string(),
        }
    }
}

impl Printed {
    /// The result of a command that prints nothing.
    pub(super) fn nothing() -> Self {
        Self::Text(String::new())
    }

    pub(super) fn lines<S: AsRef<str>>(lines: impl IntoIterator<Item = S>) -> Self {
        Self::Text(lines.into_iter().fold(String::new(), |text, line| text + line.as_ref() + "\n"))
    }
}

/// Everything that a command line prints.
pub(super) fn all(results: &[Printed], style: Style) -> String {
    let mut text = String::new();
    let mut tables = 0;
    for result in results {
        match result {
            Printed::Text(own) if style.one_line => text.push_str(&one_line(own)),
            Printed::Text(own) => text.push_str(own),
            Printed::Rows(rows) => table(rows, style, &mut tables, &mut text),
        }
    }
    text
}

fn one_line(text: &str) -> String {
    let text = text.strip_suffix('\n').unwrap_or(text);
    format!("{}\n", text.replace('\\', "\\\\").replace('\n', "\\n"))
}

/// `before` counts what blank lines are put between: rows of lists, and other tables.
fn table(rows: &Rows, style: Style, before: &mut usize, text: &mut String) {
    match style.format {
        Format::List => list(rows, style, before, text),
        Format::Json => text.push_str(&format!("{}\n", object(rows))),
        Format::Table | Format::Csv => {
            if *before > 0 {
                text.push('\n');
            }
            *before += 1;
            let lines = cells(rows, style);
            text.push_str(&if style.format == Format::Csv {
                csv(&lines)
            } else {
                aligned(&lines, style.headings)
            });
        }
    }
}

fn list(rows: &Rows, style: Style, before: &mut usize, text: &mut String) {
    for row in &rows.rows {
        if *before > 0 {
            text.push('\n');
        }
        *before += 1;
        for (column, datum) in rows.columns.iter().zip(row) {
            if style.headings {
                text.push_str(&format!("{:<20}: ", column.name));
            }
            text.push_str(&style.cells.shown(datum, column));
            text.push('\n');
        }
    }
}

fn object(rows: &Rows) -> Value {
    let row = |row: &Vec<Datum>| -> Vec<Value> {
        rows.columns.iter().zip(row).map(|(column, datum)| datum.json(column.value.is_some())).collect()
    };
    let headings: Vec<&str> = rows.columns.iter().map(|column| column.name).collect();
    json!({"data": rows.rows.iter().map(row).collect::<Vec<_>>(), "headings": headings})
}

fn cells(rows: &Rows, style: Style) -> Vec<Vec<String>> {
    let headings = style.headings.then(|| rows.columns.iter().map(|column| column.name.to_owned()).collect());
    let row = |row: &Vec<Datum>| {
        rows.columns.iter().zip(row).map(|(column, datum)| style.cells.shown(datum, column)).collect()
    };
    headings.into_iter().chain(rows.rows.iter().map(row)).collect()
}

/// Cells with a comma, a quote or a line end are quoted.
fn csv(lines: &[Vec<String>]) -> String {
    let cell = |cell: &String| {
        let quotes = cell.contains([',', '"', '\n']);
        if quotes { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.clone() }
    };
    let line = |line: &Vec<String>| line.iter().map(cell).collect::<Vec<_>>().join(",") + "\n";
    lines.iter().map(line).collect()
}

/// Each column is as wide as its widest cell; nothing pads the last one.
fn aligned(lines: &[Vec<String>], headings: bool) -> String {
    let count = lines.first().map_or(0, Vec::len);
    let width = |place: usize| lines.iter().map(|line| line[place].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join(" ").trim_end_matches(' '))
    };
    let mut text: Vec<String> = lines.iter().map(|cells| line(cells.clone())).collect();
    if headings {
        text.insert(1, line(widths.iter().map(|width| "-".repeat(*width)).collect()));
    }
    text.concat()
}
