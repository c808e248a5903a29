//! The values of the database: sets and maps of numbers, texts and references.

use serde_json::{Value, json};

use super::schema::{AtomKind, Column};

/// An element of a set, or a key or value of a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Atom {
    /// A whole number.
    Integer(i64),
    /// A truth value.
    Boolean(bool),
    /// A text.
    Text(String),
    /// The id of a row.
    Row(String),
}

/// What a column of a row holds: its elements in order, each with a value when the column is a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Datum(Vec<(Atom, Option<Atom>)>);

impl Atom {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Row(text) => text,
            Self::Integer(_) | Self::Boolean(_) => "",
        }
    }

    /// As Open vSwitch prints it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Text(text) if needs_quotes(text) => Value::from(text.as_str()).to_string(),
            other => other.bare(),
        }
    }

    /// As Open vSwitch prints it without quotes.
    pub(super) fn bare(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Text(text) | Self::Row(text) => text.clone(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Integer(number) => json!(number),
            Self::Boolean(value) => json!(value),
            Self::Text(text) => json!(text),
            Self::Row(id) => json!(["uuid", id]),
        }
    }

    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Number(number) => Self::Integer(number.as_i64()?),
            Value::Bool(value) => Self::Boolean(*value),
            Value::String(text) => Self::Text(text.clone()),
            other => Self::Row(other.get(1)?.as_str()?.to_owned()),
        })
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Atom::Text(text.to_owned()).into()
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Atom::Integer(number).into()
    }
}

impl From<bool> for Datum {
    fn from(value: bool) -> Self {
        Atom::Boolean(value).into()
    }
}

impl From<Atom> for Datum {
    fn from(atom: Atom) -> Self {
        Self(vec![(atom, None)])
    }
}

impl FromIterator<(Atom, Option<Atom>)> for Datum {
    fn from_iter<I: IntoIterator<Item = (Atom, Option<Atom>)>>(elements: I) -> Self {
        let mut elements: Vec<_> = elements.into_iter().collect();
        elements.sort();
        Self(elements)
    }
}

impl Datum {
    pub(super) fn default_of(column: &Column) -> Self {
        if column.min == 0 || column.value.is_some() {
            return Self::default();
        }
        match column.key {
            AtomKind::Integer(..) => 0.into(),
            AtomKind::Boolean => false.into(),
            AtomKind::Text(_) => "".into(),
            AtomKind::Row(_) => Self::default(),
        }
    }

    /// How many elements it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The elements, or the keys of a map.
    pub(super) fn atoms(&self) -> impl Iterator<Item = &Atom> {
        self.0.iter().map(|(atom, _)| atom)
    }

    /// The keys and values of a map of texts.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.text(), value.as_ref().map_or("", Atom::text)))
    }

    /// The first element.
    pub(super) fn first(&self) -> Option<&Atom> {
        self.atoms().next()
    }

    /// The first element as a text; empty when there is none.
    pub(super) fn text(&self) -> &str {
        self.first().map_or("", Atom::text)
    }

    /// The first element as a number.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.first() {
            Some(Atom::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Whether it is `true`.
    pub(super) fn is_true(&self) -> bool {
        self.first() == Some(&Atom::Boolean(true))
    }

    /// The value of a map's key.
    pub(super) fn value(&self, key: &Atom) -> Option<&Atom> {
        self.0.iter().find(|(atom, _)| atom == key).and_then(|(_, value)| value.as_ref())
    }

    /// Adds an element, or gives a map's key another value.
    pub(super) fn insert(&mut self, key: Atom, value: Option<Atom>) {
        match self.0.binary_search_by(|(atom, _)| atom.cmp(&key)) {
            Ok(place) => self.0[place].1 = value,
            Err(place) => self.0.insert(place, (key, value)),
        }
    }

    /// Adds the elements of another one.
    pub(super) fn extend(&mut self, other: Self) {
        for (key, value) in other.0 {
            self.insert(key, value);
        }
    }

    /// Takes an element away; of a map only when the value is the same, if one is given.
    pub(super) fn remove(&mut self, key: &Atom, value: Option<&Atom>) {
        self.0.retain(|(atom, own)| atom != key || (value.is_some() && own.as_ref() != value));
    }

    /// The elements with their values.
    pub(super) fn elements(&self) -> &[(Atom, Option<Atom>)] {
        &self.0
    }

    /// Whether every element of `other` is one of these.
    pub(super) fn includes(&self, other: &Self) -> bool {
        other.0.iter().all(|element| self.0.contains(element))
    }

    /// Whether no element of `other` is one of these.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        !other.0.iter().any(|element| self.0.contains(element))
    }

    /// As Open vSwitch prints it.
    pub(super) fn shown(&self, column: &Column) -> String {
        let element = |(key, value): &(Atom, Option<Atom>)| match value {
            Some(value) => format!("{}={}", key.shown(), value.shown()),
            None => key.shown(),
        };
        let text = self.0.iter().map(element).collect::<Vec<_>>().join(", ");
        match column.value {
            Some(_) => format!("{{{text}}}"),
            None if column.is_scalar() && self.len() == 1 => text,
            None => format!("[{text}]"),
        }
    }

    /// As Open vSwitch prints it without quotes and brackets.
    pub(super) fn bare(&self) -> String {
        let element = |(key, value): &(Atom, Option<Atom>)| match value {
            Some(value) => format!("{}={}", key.bare(), value.bare()),
            None => key.bare(),
        };
        self.0.iter().map(element).collect::<Vec<_>>().join(" ")
    }

    /// As the database's protocol writes it: a set of one as the element itself.
    pub(super) fn json(&self, is_map: bool) -> Value {
        if is_map {
            let pair =
                |(key, value): &(Atom, Option<Atom>)| json!([key.json(), value.as_ref().map(Atom::json)]);
            return json!(["map", self.0.iter().map(pair).collect::<Vec<_>>()]);
        }
        match self.0.as_slice() {
            [(only, _)] => only.json(),
            all => json!(["set", all.iter().map(|(atom, _)| atom.json()).collect::<Vec<_>>()]),
        }
    }

    /// Reads what [`json`](Self::json) wrote.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let items = |value: &Value| value.get(1).and_then(Value::as_array).cloned();
        match value.get(0).and_then(Value::as_str) {
            Some("map") => {
                let pair = |pair: Value| Some((Atom::of(pair.get(0)?)?, Some(Atom::of(pair.get(1)?)?)));
                items(value)?.into_iter().map(pair).collect()
            }
            Some("set") => items(value)?.iter().map(|item| Some((Atom::of(item)?, None))).collect(),
            _ => Some(Atom::of(value)?.into()),
        }
    }
}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Datum {
    /// The one with fewer elements first, then by the elements, then by the values.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let values = |datum: &Self| datum.0.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
        (self.len().cmp(&other.len()))
            .then_with(|| self.atoms().cmp(other.atoms()))
            .then_with(|| values(self).cmp(&values(other)))
    }
}

/// Whether a text could be taken for something else.
fn needs_quotes(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    !starts_well || !is_plain || text == "true" || text == "false" || is_uuid(text)
}

/// Whether a text has the form of a row's id.
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(place, c)| match place {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}
