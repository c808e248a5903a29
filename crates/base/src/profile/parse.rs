//! Reads YAML into a tree that knows its places.
//!
//! The parser's events are used directly, because a tree of plain values has lost the lines, and because the limits
//! below must hold before anything is built. Scalars follow YAML 1.2: `yes` and `on` are strings. A number with a
//! leading zero stays a string, since YAML 1.1 and 1.2 disagree about its value.

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use super::check::quoted;
use super::node::{Entry, Node, Value};
use super::place::{Place, Problem};
use super::scalar::plain;
use crate::error::{Error, Result, code};

/// The most bytes that a profile can have; a real one has a few thousand.
pub(super) const MAX_BYTES: usize = 1 << 20;
/// The most values that a profile can have, counted after aliases are followed: some aliases of aliases are enough to
/// fill the memory otherwise. Each KiB of a string counts as one more.
const MAX_NODES: usize = 20_000;
/// The deepest nesting; the model needs less than ten.
const MAX_DEPTH: usize = 64;

/// Reads the one document of a file.
///
/// # Errors
/// `PROFILE_SYNTAX` and `PROFILE_FIELD` (duplicate keys), both with the place.
pub(super) fn parse_file(bytes: &[u8], file: &str) -> Result<Node> {
    let file: Arc<str> = file.into();
    if bytes.len() > MAX_BYTES {
        let message = format!("the file has more than {} KiB, too large for a profile", MAX_BYTES / 1024);
        return Err(Error::new(&code::PROFILE_SYNTAX, message).at(&*file).hint("give the path of a profile"));
    }
    let text = decode(bytes, &file)?;
    let node = Builder::new(text, Origin::File(file.clone())).document()?;
    match node.value {
        Value::Map(_) => Ok(node),
        Value::Null => Err(empty(&file)),
        _ => Err(Problem {
            place: node.place,
            message: "a profile is a map of fields".into(),
            hint: Some("begin with a field such as `extends: default`".into()),
        }
        .into_error(&code::PROFILE_FIELD)),
    }
}

/// Reads the value of a `--set`.
///
/// # Errors
/// `PROFILE_SYNTAX` at `--set PATH=…`.
pub(super) fn parse_set(text: &str, path: &str) -> Result<Node> {
    Builder::new(text, Origin::Set(path.into())).document()
}

fn empty(file: &str) -> Error {
    Error::new(&code::PROFILE_SYNTAX, "the profile is empty")
        .at(file)
        .hint("write at least `extends: default`")
}

fn decode<'a>(bytes: &'a [u8], file: &Arc<str>) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned();
        let line = valid.matches('\n').count() + 1;
        let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Problem {
            place: Place::File { file: file.clone(), line, column },
            message: "the file is not UTF-8 text".into(),
            hint: Some("save it as UTF-8".into()),
        }
        .into_error(&code::PROFILE_SYNTAX)
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

enum Origin {
    File(Arc<str>),
    Set(Arc<str>),
}

/// Builds the tree from the parser's events.
struct Builder<'a> {
    text: &'a str,
    events: Parser<'a, StrInput<'a>>,
    origin: Origin,
    anchors: HashMap<usize, Option<(Node, usize)>>,
    nodes: usize,
    depth: usize,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, origin: Origin) -> Self {
        let options = granit_parser::options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        let events = Parser::new_from_str_with_options(text, options);
        Self { text, events, origin, anchors: HashMap::new(), nodes: 0, depth: 0 }
    }

    /// The only document; an empty one is null.
    fn document(mut self) -> Result<Node> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    let hint = "keep one document in a file; `extends` builds on another one";
                    return Err(self.refuse(span, "a second YAML document begins here", hint));
                }
                Event::DocumentStart(..) => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, span)?);
                }
                _ => return Err(self.refuse(span, "this is not part of the document", "remove it")),
            }
        }
        let place = self.place(&Span::empty(Marker::new(0, 1, 0)));
        Ok(root.unwrap_or(Node { place, value: Value::Null }))
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node> {
        self.count(1, span)?;
        let first = self.nodes;
        let place = self.place(&span);
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(text.len() / 1024, span)?;
                (self.scalar(&text, style, tag.as_deref(), span)?, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                (self.nested(span, anchor, tag.as_deref(), Self::list)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                (self.nested(span, anchor, tag.as_deref(), Self::map)?, anchor)
            }
            Event::Alias(anchor) => (self.alias(anchor, span)?, 0),
            _ => return Err(self.refuse(span, "a value is missing", "write one")),
        };
        let node = Node { place, value };
        if anchor != 0 {
            self.anchors.insert(anchor, Some((node.clone(), self.nodes - first + 1)));
        }
        Ok(node)
    }

    fn nested(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        build: fn(&mut Self) -> Result<Value>,
    ) -> Result<Value> {
        if tag.is_some() {
            return Err(self.tag_refused(span));
        }
        if self.depth >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels of nesting");
            return Err(self.refuse(span, &message, "no profile field needs that"));
        }
        self.depth += 1;
        self.anchors.insert(anchor, None);
        let value = build(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Result<Value> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: HashMap<String, Place> = HashMap::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(entries));
            }
            let (key, place) = (self.key(event, span)?, self.place(&span));
            if let Some(earlier) = places.insert(key.clone(), place.clone()) {
                return Err(duplicate(&key, place, &earlier));
            }
            let (event, span) = self.next()?;
            let node = self.node(event, span)?;
            entries.push(Entry { key, place, node });
        }
    }

    fn key(&mut self, event: Event<'a>, span: Span) -> Result<String> {
        match event {
            Event::Scalar(text, ..) => Ok(text.into_owned()),
            _ => Err(self.refuse(
                span,
                "a key must be plain text",
                "put strings with `{`, `[` or `*` in quotes",
            )),
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value> {
        match self.anchors.get(&anchor).cloned() {
            Some(Some((node, size))) => {
                self.count(size, span)?;
                Ok(node.value)
            }
            _ => Err(self.refuse(span, "the alias is inside what it refers to", "write the value out")),
        }
    }

    fn scalar(&self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Value> {
        match tag {
            Some(tag) if tag.to_string() != "!!str" && !tag.to_string().ends_with("2002:str") => {
                Err(self.tag_refused(span))
            }
            None if style == ScalarStyle::Plain => plain(text)
                .ok_or_else(|| self.refuse(span, "the number is not finite", "write an ordinary number")),
            _ => Ok(Value::Text(text.to_string())),
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span)> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values, aliases followed");
            return Err(self.refuse(span, &message, "a profile needs a few hundred; check the aliases"));
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Error {
        let line = self.text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default();
        let indent = &line[..line.len() - line.trim_start().len()];
        let hint = if indent.contains('\t') {
            "indent with spaces: YAML allows no tabs there"
        } else {
            "check the indentation, the colons and the quotes of this line and the one above"
        };
        self.refuse(Span::empty(*error.marker()), &error.info(), hint)
    }

    fn tag_refused(&self, span: Span) -> Error {
        self.refuse(span, "YAML tags are not used in profiles", "remove the word that begins with `!`")
    }

    fn refuse(&self, span: Span, message: &str, hint: &str) -> Error {
        let place = self.place(&span);
        Problem { place, message: message.into(), hint: Some(hint.into()) }.into_error(&code::PROFILE_SYNTAX)
    }

    fn place(&self, span: &Span) -> Place {
        match &self.origin {
            Origin::Set(path) => Place::Set(path.clone()),
            Origin::File(file) => {
                let (line, column) = (span.start.line().max(1), span.start.col() + 1);
                Place::File { file: file.clone(), line, column }
            }
        }
    }
}

fn duplicate(key: &str, place: Place, earlier: &Place) -> Error {
    Problem {
        place,
        message: format!("the field{} is defined twice", quoted(key)),
        hint: Some(format!("keep this one or the one at {earlier}")),
    }
    .into_error(&code::PROFILE_FIELD)
}
