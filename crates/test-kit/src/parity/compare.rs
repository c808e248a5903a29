//! Where two answers differ, field by field, and whether that is known.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// A field that is not the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `CHAPTER: STEP`.
    pub step: String,
    /// Where in the answer: `/body/metadata/labels`. Items that have a name are named by it.
    pub place: String,
    pub real: Option<Value>,
    pub sandbox: Option<Value>,
}

/// A difference that is there, with the reason why it stays.
pub struct Known {
    /// What the sandbox does, in one line.
    pub what: &'static str,
    pub why: &'static str,
    /// Steps and places, in which `*` stands for anything.
    pub at: &'static [(&'static str, &'static str)],
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<Value>| value.as_ref().map_or("nothing".into(), Value::to_string);
        writeln!(f, "`{}` {}", self.step, self.place)?;
        writeln!(f, "    real:    {}", shown(&self.real))?;
        write!(f, "    sandbox: {}", shown(&self.sandbox))
    }
}

/// The differences of one answer.
pub fn differences(step: &str, real: &Value, sandbox: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    walk(step, String::new(), Some(real), Some(sandbox), &mut found);
    found
}

fn walk(
    step: &str,
    place: String,
    real: Option<&Value>,
    sandbox: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    match (real, sandbox) {
        (Some(one), Some(other)) if one == other => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for name in names {
                walk(step, format!("{place}/{name}"), one.get(name), other.get(name), found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => items(step, &place, one, other, found),
        (real, sandbox) => {
            found.push(Difference {
                step: step.to_owned(),
                place,
                real: real.cloned(),
                sandbox: sandbox.cloned(),
            });
        }
    }
}

fn items(step: &str, place: &str, one: &[Value], other: &[Value], found: &mut Vec<Difference>) {
    if let (Some(here), Some(there)) = (names(one), names(other)) {
        let all: BTreeSet<&str> = here.iter().chain(&there).copied().collect();
        for name in all {
            let at = |names: &[&str]| names.iter().position(|other| *other == name);
            let (a, b) = (at(&here).map(|at| &one[at]), at(&there).map(|at| &other[at]));
            walk(step, format!("{place}/{name}"), a, b, found);
        }
        let common = |names: &[&str], others: &[&str]| -> Vec<String> {
            names.iter().filter(|name| others.contains(name)).map(ToString::to_string).collect()
        };
        let (real, sandbox) = (common(&here, &there), common(&there, &here));
        if real != sandbox {
            let place = format!("{place} (order)");
            found.push(Difference {
                step: step.to_owned(),
                place,
                real: Some(real.into()),
                sandbox: Some(sandbox.into()),
            });
        }
        return;
    }
    for at in 0..one.len().max(other.len()) {
        walk(step, format!("{place}/{at}"), one.get(at), other.get(at), found);
    }
}

/// The names of items, when all have one and none has another's.
fn names(items: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> = items.iter().map(|item| item["name"].as_str()).collect::<Option<_>>()?;
    let different: BTreeSet<&str> = names.iter().copied().collect();
    (different.len() == names.len()).then_some(names)
}

impl Known {
    pub fn covers(&self, difference: &Difference) -> bool {
        self.at.iter().any(|(step, place)| fits(step, &difference.step) && fits(place, &difference.place))
    }
}

/// Whether a text is what a pattern describes; `*` stands for anything.
pub fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            let Some(text) = text.strip_prefix(start) else { return false };
            (0..=text.len()).any(|at| text.get(at..).is_some_and(|text| fits(rest, text)))
        }
    }
}

/// Tells all differences that are not known, and all known ones that are gone.
pub fn judge(found: &[Difference], known: &[Known]) -> Result<(), String> {
    let new: Vec<String> = found
        .iter()
        .filter(|difference| !known.iter().any(|known| known.covers(difference)))
        .map(ToString::to_string)
        .collect();
    let mut gone = Vec::new();
    for known in known {
        for at in known.at {
            let one = Known { what: known.what, why: known.why, at: std::slice::from_ref(at) };
            if !found.iter().any(|difference| one.covers(difference)) {
                gone.push(format!("`{}` is gone at `{}` {}", known.what, at.0, at.1));
            }
        }
    }
    if new.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let (new_ones, gone_ones) = (new.join("\n"), gone.join("\n"));
    let (new, gone) = (new.len(), gone.len());
    Err(format!("{new} new differences, {gone} known ones that are gone\n{new_ones}\n{gone_ones}"))
}
