//! Values as they are written on a command line.

use super::datum::{Atom, Datum, is_uuid};
use super::schema::{AtomKind, Column};

/// What is wrong with an argument, in the words of Open vSwitch.
pub(super) type Parsed<T> = Result<T, String>;

const DELIMITERS: &str = ":=, []{}!<>";

/// Reads what a column is to hold.
pub(super) fn datum(text: &str, column: &Column) -> Parsed<Datum> {
    if text.is_empty() {
        let empty = if column.value.is_some() {
            "\"{}\" to specify the empty map"
        } else {
            "\"[]\" to specify the empty set"
        };
        return Err(format!("use {empty}"));
    }
    let mut reader = Reader { all: text, rest: text };
    let elements = reader.elements(column)?;
    let (count, unit) = (elements.len(), if column.value.is_some() { "pair(s)" } else { "value(s)" });
    if count < column.min {
        return Err(format!("{text}: {count} {unit} specified but the minimum number is {}", column.min));
    }
    if count > column.max {
        return Err(format!("{text}: {count} {unit} specified but the maximum number is {}", column.max));
    }
    let datum: Datum = elements.into_iter().collect();
    if datum.elements().windows(2).any(|pair| pair[0].0 == pair[1].0) {
        let what = if column.value.is_some() {
            "map contains duplicate key"
        } else {
            "set contains duplicate value"
        };
        return Err(format!("{text}: {what}"));
    }
    Ok(datum)
}

/// Reads one element from all of a text.
pub(super) fn atom(text: &str, kind: AtomKind) -> Parsed<Atom> {
    let atom = match kind {
        AtomKind::Integer(..) => {
            Atom::Integer(integer(text).ok_or_else(|| format!("\"{text}\" is not a valid integer"))?)
        }
        AtomKind::Boolean => Atom::Boolean(boolean(text)?),
        AtomKind::Text(_) => Atom::Text(string(text)?),
        AtomKind::Row(_) => Atom::Row(row(text)?),
    };
    allowed(atom, kind)
}

/// A word at the beginning of a text, up to a delimiter, and what is left. Quotes stay; outside of them, a backslash
/// takes the meaning of the character after it.
pub(super) fn word(text: &str) -> Parsed<(String, &str)> {
    let (mut word, mut quoted) = (String::new(), false);
    let mut characters = text.char_indices();
    while let Some((place, c)) = characters.next() {
        match c {
            '\\' => {
                let Some((_, escaped)) = characters.next() else {
                    return Err(format!("{text}: backslash at end of argument"));
                };
                word.extend(quoted.then_some('\\'));
                word.push(escaped);
            }
            c if !quoted && DELIMITERS.contains(c) => return Ok((word, &text[place..])),
            c => {
                quoted = quoted != (c == '"');
                word.push(c);
            }
        }
    }
    if quoted { Err(format!("{text}: quoted string extends past end of argument")) } else { Ok((word, "")) }
}

/// The reader of a set or map.
struct Reader<'a> {
    all: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn elements(&mut self, column: &Column) -> Parsed<Vec<(Atom, Option<Atom>)>> {
        let (open, close) = if column.value.is_some() { ('{', '}') } else { ('[', ']') };
        let end = self.take(open).then_some(close);
        let mut elements = Vec::new();
        loop {
            match self.rest.chars().next() {
                None => break,
                Some(c) if Some(c) == end => break,
                Some(c) if DELIMITERS.contains(c) => {
                    return Err(format!("{}: unexpected \"{c}\" parsing {}", self.all, column.describe()));
                }
                Some(_) => self.element(column, &mut elements)?,
            }
        }
        if let Some(close) = end {
            if !self.take(close) {
                return Err(format!("{}: missing \"{close}\" at end of data", self.all));
            }
            if !self.rest.is_empty() {
                return Err(format!("{}: trailing garbage after \"{close}\"", self.all));
            }
        }
        Ok(elements)
    }

    fn element(&mut self, column: &Column, elements: &mut Vec<(Atom, Option<Atom>)>) -> Parsed<()> {
        if let Some(kind) = column.value {
            let key = allowed(self.atom(column.key)?, column.key)?;
            self.skip_blanks();
            if !self.take('=') {
                // The real one prints the end of the text as it is in memory: nothing comes after it.
                let expected = self.rest.chars().next().map(|next| format!("{next}\" expecting \"=\""));
                return Err(format!("{}: syntax error at \"{}", self.all, expected.unwrap_or_default()));
            }
            let value = allowed(self.atom(kind)?, kind)?;
            elements.push((key, Some(value)));
        } else if let AtomKind::Integer(..) = column.key {
            let (word, rest) = word(self.rest)?;
            self.rest = rest;
            elements.extend(range(&word, column.key)?.map(|number| (Atom::Integer(number), None)));
        } else {
            let atom = allowed(self.atom(column.key)?, column.key)?;
            elements.push((atom, None));
        }
        self.skip_blanks();
        self.take(',');
        Ok(())
    }

    fn atom(&mut self, kind: AtomKind) -> Parsed<Atom> {
        let (word, rest) = word(self.rest)?;
        self.rest = rest;
        atom(&word, kind)
    }

    /// Steps over a character and the blanks after it, when it is the next.
    fn take(&mut self, wanted: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(wanted) else { return false };
        self.rest = rest;
        self.skip_blanks();
        true
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }
}

/// A number or a range of numbers.
fn range(word: &str, kind: AtomKind) -> Parsed<std::ops::RangeInclusive<i64>> {
    let wrong = || format!("\"{word}\" is not a valid integer or range");
    let dash = word.char_indices().skip(1).find(|(_, c)| *c == '-').map(|(place, _)| place);
    let (first, last) = match dash {
        Some(place) => (integer(&word[..place]), integer(&word[place + 1..])),
        None => (integer(word), integer(word)),
    };
    let (first, last) = (first.ok_or_else(wrong)?, last.ok_or_else(wrong)?);
    if last < first {
        return Err(format!("\"{word}\" is not a valid range. Range end cannot be before start."));
    }
    for number in [first, last] {
        allowed(Atom::Integer(number), kind)?;
    }
    if last.saturating_sub(first) > 4096 {
        return Err(format!("\"{word}\" is not a valid range. Range can not be bigger than 4096."));
    }
    Ok(first..=last)
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("\"{text}\" is not a valid boolean (use \"true\" or \"false\")")),
    }
}

fn string(text: &str) -> Parsed<String> {
    if text.is_empty() {
        return Err(
            "An empty string is not valid as input; use \"\" to represent the empty string".to_owned()
        );
    }
    if !text.starts_with('"') {
        return Ok(text.to_owned());
    }
    if text.len() < 2 || !text.ends_with('"') {
        return Err(format!("{text}: missing quote at end of quoted string"));
    }
    unquoted(text)
}

fn unquoted(quoted: &str) -> Parsed<String> {
    let text: String = serde_json::from_str(quoted).map_err(|_| wrong_escape(quoted))?;
    if text.contains('\0') {
        return Err(format!("{quoted}: null bytes not supported in quoted strings"));
    }
    Ok(text)
}

fn wrong_escape(quoted: &str) -> String {
    let mut characters = quoted.chars();
    while let Some(c) = characters.next() {
        if c == '\\'
            && let Some(escaped) = characters.next().filter(|escaped| !"\"\\/bfnrtu".contains(*escaped))
        {
            return format!("{quoted}: bad escape \\{escaped}");
        }
    }
    format!("{quoted}: malformed escape")
}

fn row(text: &str) -> Parsed<String> {
    if text.starts_with('@') {
        return Err(format!(
            "row id \"{text}\" is referenced but never created (e.g. with \"-- --id={text} create ...\")"
        ));
    }
    if is_uuid(text) { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is not a valid UUID")) }
}

/// Why an element cannot be one of a kind; none when it can.
pub(super) fn refusal(atom: &Atom, kind: AtomKind) -> Option<String> {
    match (atom, kind) {
        (Atom::Integer(number), AtomKind::Integer(least, most)) if *number < least || *number > most => {
            Some(format!("{number} is not in the valid range {least} to {most} (inclusive)"))
        }
        (Atom::Text(text), AtomKind::Text(choices))
            if !choices.is_empty() && !choices.contains(&text.as_str()) =>
        {
            let choices = choices.iter().map(|choice| Atom::Text((*choice).to_owned()).shown());
            let choices = choices.collect::<Vec<_>>().join(", ");
            Some(format!("{} is not one of the allowed values ([{choices}])", atom.shown()))
        }
        _ => None,
    }
}

fn allowed(atom: Atom, kind: AtomKind) -> Parsed<Atom> {
    match refusal(&atom, kind) {
        Some(reason) => Err(format!("constraint violation: {reason}")),
        None => Ok(atom),
    }
}
