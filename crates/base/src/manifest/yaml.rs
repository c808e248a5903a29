//! Manifests as kubectl reads them: YAML 1.1 scalars, many documents, lists split into objects, and limits against
//! bombs.

use std::collections::{HashMap, HashSet};

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, Tag};
use serde_json::{Map, Value};

use super::objects;
use super::scalar;
use crate::error::{Error, Result, code};

/// The most bytes that a manifest may have.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
const MAX_DEPTH: usize = 100;
/// The biggest known manifest has about 30 000; aliases multiply quickly.
const MAX_NODES: usize = 500_000;

/// Reads the Kubernetes objects of a manifest; `place` is what messages call the text.
///
/// # Errors
/// `KVN403` with `place:line:column` when the text is not YAML that kubectl would accept, repeats a key, exceeds the
/// limits, or has a document that is not a Kubernetes object.
pub fn parse_manifests(text: &str, place: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for (value, line) in documents(text, place)? {
        let at = || format!("{place}:{line}");
        objects::flatten(value, &mut found)
            .map_err(|reason| Error::new(&code::SOURCE_YAML, reason).at(at()))?;
    }
    Ok(found)
}

/// Reads every document that is not empty, with the line that it starts on.
fn documents(text: &str, place: &str) -> Result<Vec<(Value, usize)>> {
    if text.len() > MAX_BYTES {
        let message = format!("the manifest has {} bytes, more than {MAX_BYTES}", text.len());
        return Err(Error::new(&code::SOURCE_TOO_BIG, message).at(place));
    }
    let mut reader = Reader { place, ..Reader::default() };
    // The parser's own limits are above kvnet's, whose message is better.
    let options =
        granit_parser::options! { flow_nesting_limit: 2 * MAX_DEPTH, block_nesting_limit: 2 * MAX_DEPTH };
    let mut parser = Parser::new_from_str_with_options(text, options);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| reader.scan_error(&error))?;
        reader.take(event, span)?;
    }
    Ok(reader.documents)
}

#[derive(Default)]
struct Reader<'a> {
    place: &'a str,
    documents: Vec<(Value, usize)>,
    line: usize,
    stack: Vec<Frame>,
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
}

/// An open collection.
struct Frame {
    kind: Collection,
    anchor: usize,
    /// The number of nodes before it, to compute its size at its end.
    nodes_before: usize,
}

enum Collection {
    List(Vec<Value>),
    Mapping { entries: Map<String, Value>, own: HashSet<String>, key: Option<Key> },
}

enum Key {
    Name(String),
    Merge,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<()> {
        let mark = span.start;
        match event {
            Event::DocumentStart(..) => {
                self.line = mark.line();
                self.anchors.clear();
                self.nodes = 0;
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.scalar(&text, style, anchor, tag.as_deref(), mark)
            }
            Event::Alias(anchor) => self.alias(anchor, mark),
            Event::SequenceStart(_, anchor, _) => self.open(Collection::List(Vec::new()), anchor, mark),
            Event::MappingStart(_, anchor, _) => {
                let mapping = Collection::Mapping { entries: Map::new(), own: HashSet::new(), key: None };
                self.open(mapping, anchor, mark)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(mark),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        mark: Marker,
    ) -> Result<()> {
        self.count(1, mark)?;
        if self.starts_merge(text, style, tag) {
            self.set_key(Key::Merge);
            return Ok(());
        }
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Ok(text.into()),
            Some(tag) => scalar::tagged(core_tag(tag), text),
        };
        let value = value.map_err(|reason| self.error(reason, mark))?;
        self.remember(anchor, &value, 1);
        self.put(value, mark)
    }

    fn alias(&mut self, anchor: usize, mark: Marker) -> Result<()> {
        let Some((value, size)) = self.anchors.get(&anchor) else {
            return Err(self.error("an alias is inside what it refers to", mark));
        };
        // Counted before it is copied: that is what stops a bomb.
        let size = *size;
        if self.nodes + size > MAX_NODES {
            return self.count(size, mark);
        }
        let value = value.clone();
        self.count(size, mark)?;
        self.put(value, mark)
    }

    fn open(&mut self, kind: Collection, anchor: usize, mark: Marker) -> Result<()> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(self.error(format!("nested more than {MAX_DEPTH} deep"), mark));
        }
        let nodes_before = self.nodes;
        self.count(1, mark)?;
        self.stack.push(Frame { kind, anchor, nodes_before });
        Ok(())
    }

    fn close(&mut self, mark: Marker) -> Result<()> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.kind {
            Collection::List(items) => Value::Array(items),
            Collection::Mapping { entries, .. } => Value::Object(entries),
        };
        self.remember(frame.anchor, &value, self.nodes - frame.nodes_before);
        self.put(value, mark)
    }

    /// Adds a finished node to its parent collection, or ends the document with it.
    fn put(&mut self, value: Value, mark: Marker) -> Result<()> {
        let outcome = match self.stack.last_mut().map(|frame| &mut frame.kind) {
            None if value.is_null() => Ok(()),
            None => {
                self.documents.push((value, self.line));
                Ok(())
            }
            Some(Collection::List(items)) => {
                items.push(value);
                Ok(())
            }
            Some(Collection::Mapping { entries, own, key }) => put_in_mapping(entries, own, key, value),
        };
        outcome.map_err(|reason| self.error(reason, mark))
    }

    fn starts_merge(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> bool {
        let wanted = match tag {
            None => style == ScalarStyle::Plain,
            Some(tag) => core_tag(tag) == "merge",
        };
        let expects_key =
            matches!(self.stack.last().map(|frame| &frame.kind), Some(Collection::Mapping { key: None, .. }));
        text == "<<" && wanted && expects_key
    }

    fn set_key(&mut self, new: Key) {
        if let Some(Frame { kind: Collection::Mapping { key, .. }, .. }) = self.stack.last_mut() {
            *key = Some(new);
        }
    }

    fn remember(&mut self, anchor: usize, value: &Value, size: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), size));
        }
    }

    fn count(&mut self, more: usize, mark: Marker) -> Result<()> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(self.error(format!("more than {MAX_NODES} values in one document"), mark));
        }
        Ok(())
    }

    fn error(&self, reason: impl Into<String>, mark: Marker) -> Error {
        Error::new(&code::SOURCE_YAML, reason).at(format!(
            "{}:{}:{}",
            self.place,
            mark.line(),
            mark.col() + 1
        ))
    }

    fn scan_error(&self, error: &ScanError) -> Error {
        self.error(error.info(), *error.marker())
    }
}

/// The name after `!!`, however it is written; empty for custom tags.
fn core_tag(tag: &Tag) -> &str {
    const CORE: &str = "tag:yaml.org,2002:";
    match tag.handle() {
        CORE => tag.suffix(),
        "" => tag.suffix().strip_prefix(CORE).unwrap_or_default(),
        _ => "",
    }
}

fn put_in_mapping(
    entries: &mut Map<String, Value>,
    own: &mut HashSet<String>,
    key: &mut Option<Key>,
    value: Value,
) -> Result<(), String> {
    match key.take() {
        None => *key = Some(Key::Name(scalar::key(value)?)),
        Some(Key::Merge) => merge(entries, value)?,
        Some(Key::Name(name)) => {
            if !own.insert(name.clone()) {
                return Err(format!("the key `{name}` is given twice"));
            }
            entries.insert(name, value);
        }
    }
    Ok(())
}

/// `<<` overrides what precedes it, as in kubectl; earlier mappings of a list win.
fn merge(entries: &mut Map<String, Value>, value: Value) -> Result<(), String> {
    let parts = match value {
        Value::Array(parts) => parts,
        other => vec![other],
    };
    for part in parts.into_iter().rev() {
        let Value::Object(part) = part else {
            return Err("`<<` needs a mapping or a list of mappings".into());
        };
        entries.extend(part);
    }
    Ok(())
}

#[cfg(test)]
#[path = "yaml_tests.rs"]
mod tests;
