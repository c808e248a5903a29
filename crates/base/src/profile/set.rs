//! `--set PATH=VALUE`.

use serde_json::Value as Json;

use super::nearest::suggestion;
use super::node::{Entry, Node, Value};
use super::parse;
use super::path::{self, Step};
use super::place::{Place, Problem};
use super::shape::{self, Shape};
use crate::error::{Error, Result, code};

/// Applies one `--set`. A value for a string is taken as it is, so that `flannel.version=1.10` and a script need no
/// quotes; every other value is YAML. An index can be the length of a list, which appends.
///
/// # Errors
/// `USAGE` without `=` or with a path that is none, `PROFILE_FIELD` for an unknown field, `PROFILE_SYNTAX` for a value
/// that is not YAML.
pub(super) fn apply(root: &mut Node, argument: &str) -> Result<()> {
    let (path, text) = split(argument)?;
    let steps = path::parse(path).map_err(|reason| {
        Error::new(&code::USAGE, format!("`{path}` is not the path of a field: {reason}"))
            .at(format!("--set {path}=…"))
            .hint("write paths as in `ovs.bridges[0].name`")
    })?;
    let schema = follow(root, path, &steps)?;
    let value = value(schema, path, text)?;
    put(root, &steps, value, path)
}

fn split(argument: &str) -> Result<(&str, &str)> {
    // A quoted name in the path may hold `=`, and so may the value.
    let quoted =
        argument.find("[\"").filter(|start| argument.find('=').is_some_and(|equals| equals > *start));
    let from = quoted.and_then(|start| argument[start..].find("\"]").map(|end| start + end)).unwrap_or(0);
    let equals = argument[from..].find('=').map(|at| from + at);
    equals.map(|at| (&argument[..at], &argument[at + 1..])).ok_or_else(|| {
        Error::new(&code::USAGE, "`--set` needs `PATH=VALUE`")
            .hint("for example `--set kubevirt.emulation=on`")
    })
}

/// The schema at the end of the path.
fn follow(root: &Node, path: &str, steps: &[Step]) -> Result<&'static Json> {
    let mut schema = shape::root();
    let mut node = Some(root);
    for (number, step) in steps.iter().enumerate() {
        let extends = number == 0 && *step == Step::Key("extends".into());
        let next = shape::step(schema, node, step).filter(|_| !extends);
        schema = next.ok_or_else(|| unknown(schema, path, step, extends))?;
        node = node.and_then(|node| node.step(step));
    }
    Ok(schema)
}

fn unknown(schema: &Json, path: &str, step: &Step, extends: bool) -> Error {
    let (message, hint) = match (step, shape::allowed(schema).shape) {
        _ if extends => ("`extends` cannot be set".into(), "give the other profile instead".into()),
        (Step::Key(key), Shape::List(_)) => {
            (format!("`{key}` is not a list index"), "write a number, as in `networks[0]`".into())
        }
        (Step::Key(key), _) => (format!("unknown field `{key}`"), suggestion(key, shape::names(schema))),
        (Step::Index(index), _) => {
            (format!("`[{index}]` follows something that is not a list"), "remove it".into())
        }
    };
    Problem { place: Place::Set(path.into()), message, hint: Some(hint) }.into_error(&code::PROFILE_FIELD)
}

fn value(schema: &Json, path: &str, text: &str) -> Result<Node> {
    let allowed = shape::allowed(schema);
    let literal = matches!(allowed.shape, Shape::Text | Shape::Choice(_))
        && !text.starts_with(['"', '\''])
        && !(allowed.null && matches!(text, "null" | "~" | ""));
    if literal {
        return Ok(Node { place: Place::Set(path.into()), value: Value::Text(text.to_string()) });
    }
    parse::parse_set(text, path)
}

fn put(node: &mut Node, steps: &[Step], value: Node, path: &str) -> Result<()> {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    let place = Place::Set(path.into());
    if step.index().is_some() && matches!(node.value, Value::Null) {
        node.value = Value::List(Vec::new());
    }
    if let (Value::List(items), Some(index)) = (&mut node.value, step.index()) {
        if index == items.len() {
            items.push(Node { place, value: Value::Null });
        }
        let length = items.len();
        let item = items.get_mut(index).ok_or_else(|| beyond(path, index, length))?;
        return put(item, rest, value, path);
    }
    let Step::Key(key) = step else {
        return Err(beyond(path, step.index().unwrap_or_default(), 0));
    };
    if !matches!(node.value, Value::Map(_)) {
        *node = Node { place: place.clone(), value: Value::Map(Vec::new()) };
    }
    match &mut node.value {
        Value::Map(entries) => put(child(entries, key, &place), rest, value, path),
        _ => Ok(()),
    }
}

fn child<'a>(entries: &'a mut Vec<Entry>, key: &str, place: &Place) -> &'a mut Node {
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        let node = Node { place: place.clone(), value: Value::Null };
        entries.push(Entry { key: key.to_string(), place: place.clone(), node });
        entries.len() - 1
    });
    &mut entries[index].node
}

fn beyond(path: &str, index: usize, length: usize) -> Error {
    let message = format!("the list has no element {index}");
    let hint = match length {
        0 => "the list is empty: index 0 adds the first element".to_string(),
        _ => format!("the last element is {}; {length} adds one", length - 1),
    };
    Problem { place: Place::Set(path.into()), message, hint: Some(hint) }.into_error(&code::PROFILE_FIELD)
}
