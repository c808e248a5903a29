//! Text that is no document, without its secrets: logs, messages, and files that no parser takes.

use super::document::Walk;
use super::keys::{is_secret, is_void, last_word};
use super::{HIDDEN, words};

/// Redacts line by line; the lines of a value that goes over several are known by their indentation.
pub(super) fn plain(text: &str, walk: Walk<'_>) -> String {
    let text = words::without_private_keys(text);
    let mut lines = Lines { walk, under: None, names_secret: false };
    text.split_inclusive('\n').map(|line| lines.redact(line)).collect()
}

/// What the previous lines say about this one.
struct Lines<'a> {
    walk: Walk<'a>,
    /// The column of a telling name whose value may go on, and whether its place is already marked.
    under: Option<(usize, bool)>,
    /// The last `name` was telling, so the `value` that follows is a secret.
    names_secret: bool,
}

impl Lines<'_> {
    fn redact(&mut self, line: &str) -> String {
        let body = line.trim_end_matches(['\n', '\r']);
        let end = &line[body.len()..];
        let bare = body.trim_start();
        if let Some((column, marked)) = self.under.filter(|_| !bare.is_empty()) {
            let indent = body.len() - bare.len();
            if indent > column || (indent == column && !marked && bare.starts_with("- ")) {
                self.under = Some((column, true));
                return if marked { String::new() } else { format!("{}{HIDDEN}{end}", &body[..indent]) };
            }
            self.under = None;
        }
        let redacted = self.walk.json(body).unwrap_or_else(|| self.pairs(&words::redact(body)));
        redacted + end
    }

    /// Hides the value of each `name: value` and `name=value` whose name is telling; a line may have many.
    fn pairs(&mut self, line: &str) -> String {
        let (mut from, mut redacted) = (0, String::with_capacity(line.len()));
        while let Some(at) = line[from..].find([':', '=']).map(|at| from + at) {
            let name = last_word(&line[from..at]);
            // Some write `=>`.
            let sign = if line[at..].starts_with("=>") { 2 } else { 1 };
            let value = line[at + sign..].trim_start();
            let start = line.len() - value.len();
            redacted.push_str(&line[from..start]);
            from = start;
            if !self.is_telling(name, value) {
                continue;
            }
            let pair = Pair::new(line, at, name, value);
            let (open, end) = pair.extent();
            let inner = &value[open..end];
            if pair.first && !value.starts_with('{') {
                self.under = Some((pair.column, !value.is_empty()));
            }
            let flow_cookie = name.ends_with("cookie") && inner.starts_with("0x");
            if value.starts_with('{') || is_void(inner) || flow_cookie {
                continue;
            }
            redacted.push_str(&value[..open]);
            redacted.push_str(HIDDEN);
            from = start + end;
        }
        redacted + &line[from..]
    }

    fn is_telling(&mut self, name: &str, value: &str) -> bool {
        if ["name", "key"].contains(&name) {
            let first = value.split([',', ' ', '}']).next().unwrap_or_default();
            self.names_secret = is_secret(first);
        }
        is_secret(name) || (name == "value" && std::mem::take(&mut self.names_secret))
    }
}

/// A telling name with what follows it.
struct Pair<'a> {
    before: &'a str,
    value: &'a str,
    column: usize,
    /// The name is the first of its line.
    first: bool,
    /// It is not quoted either, so the rest of the line is its value.
    leads: bool,
    assigned: bool,
}

impl<'a> Pair<'a> {
    fn new(line: &'a str, at: usize, name: &str, value: &'a str) -> Self {
        let column = line[..at].rfind(name).unwrap_or(at);
        let quoted = line[column..at].contains(['"', '\'']);
        let before = &line[..column];
        let before = if quoted { before.trim_end_matches(['"', '\'', '\\']) } else { before };
        let first = ["", "-", "export", "set"].contains(&before.trim()) && !name.starts_with('-');
        let assigned = line[at..].starts_with('=');
        Self { before, value, column, first, leads: first && !quoted, assigned }
    }

    /// Where the secret begins and ends in the value.
    fn extent(&self) -> (usize, usize) {
        let escapes = self.value.len() - self.value.trim_start_matches('\\').len();
        let quote = self.value[escapes..].chars().next().filter(|c| ['"', '\''].contains(c));
        let in_flow = self.before.matches('{').count() > self.before.matches('}').count();
        match quote {
            Some(quote) if !self.leads => {
                let open = escapes + 1;
                (open, open + end_of_quoted(&self.value[open..], quote, escapes))
            }
            _ if self.value.starts_with('[') => {
                (0, self.value.find(']').map_or(self.value.len(), |at| at + 1))
            }
            _ => (0, self.end_of_bare(in_flow)),
        }
    }

    /// Without quotes a value may be of several words, as in `Authorization: Basic x`.
    fn end_of_bare(&self, in_flow: bool) -> usize {
        let quote = enclosing(self.before);
        let ends = |c: char| {
            quote == Some(c)
                || (in_flow && [',', '}', ']'].contains(&c))
                || (self.assigned && !self.leads && (c.is_whitespace() || "&,;\"')]}<>".contains(c)))
        };
        let end = self.value.find(ends).unwrap_or(self.value.len());
        // An escape before the quote belongs to the quote.
        if end == self.value.len() { end } else { self.value[..end].trim_end_matches('\\').len() }
    }
}

/// The quote in which a text ends, when it is open. An apostrophe in a word opens nothing.
fn enclosing(before: &str) -> Option<char> {
    let (mut open, mut last) = (None, ' ');
    for c in before.chars() {
        match open {
            Some(quote) if quote == c => open = None,
            None if c == '"' || (c == '\'' && !last.is_alphanumeric()) => open = Some(c),
            _ => {}
        }
        last = c;
    }
    open
}

/// Where a quoted text ends: at the first quote with as many escapes as the one that opened it.
fn end_of_quoted(inner: &str, quote: char, escapes: usize) -> usize {
    let (mut run, mut skip) = (0, false);
    for (at, c) in inner.char_indices() {
        let doubled = quote == '\'' && inner[at + c.len_utf8()..].starts_with('\'');
        if std::mem::take(&mut skip) {
            continue;
        }
        if c == quote && escapes == 0 && doubled {
            skip = true;
        } else if c == quote && (if escapes == 0 { run % 2 == 0 } else { run == escapes }) {
            return at - escapes;
        }
        run = if c == '\\' { run + 1 } else { 0 };
    }
    inner.len()
}
