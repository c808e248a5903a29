//! Label and field selectors.

use serde_json::Value;

use super::kinds::Kind;
use super::metadata::{LABEL_VALUE, is_label_value, wrong_with_qualified};
use super::status::Status;

#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

#[derive(Clone, Debug)]
enum Requirement {
    /// The label has one of these values.
    In(String, Vec<String>),
    /// The label has none of these values, or does not exist.
    NotIn(String, Vec<String>),
    /// The label exists.
    Exists(String),
    /// The label does not exist.
    Absent(String),
}

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    pub fn parse(kind: &Kind, labels: Option<&str>, fields: Option<&str>) -> Result<Self, Box<Status>> {
        let labels = split(labels.unwrap_or_default()).into_iter().map(checked).collect::<Result<_, _>>()?;
        let fields = split(fields.unwrap_or_default()).into_iter().map(|text| field(kind, text));
        let fields = fields.collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn fits(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.fits(object))
            && self.fields.iter().all(|(path, value, equal)| (value_of(object, path) == value) == *equal)
    }
}

impl Requirement {
    fn fits(&self, object: &Value) -> bool {
        let label = |key: &String| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        match self {
            Self::In(key, values) => {
                label(key).is_some_and(|value| values.iter().any(|other| other == value))
            }
            Self::NotIn(key, values) => {
                label(key).is_none_or(|value| values.iter().all(|other| other != value))
            }
            Self::Exists(key) => label(key).is_some(),
            Self::Absent(key) => label(key).is_none(),
        }
    }
}

/// The parts between commas, except those inside parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// A requirement whose words can be labels.
fn checked(text: &str) -> Result<Requirement, Box<Status>> {
    let refused = |why: String| Status::bad_request(format!("unable to parse requirement: {why}"));
    for operator in [" in ", " notin "] {
        if let Some((_, list)) = text.split_once(operator)
            && !list.trim_start().starts_with('(')
        {
            return Err(refused(format!("found '{}' expected: '('", list.trim())));
        }
    }
    let requirement = requirement(text);
    let (key, values) = match &requirement {
        Requirement::In(key, values) | Requirement::NotIn(key, values) => (key, values.as_slice()),
        Requirement::Exists(key) | Requirement::Absent(key) => (key, [].as_slice()),
    };
    if let Some(why) = wrong_with_qualified(key).first() {
        return Err(refused(format!("<nil>: Invalid value: \"{key}\": {why}")));
    }
    for value in values {
        if let Some(second) = value.split_whitespace().nth(1) {
            return Err(Status::bad_request(format!("found '{second}', expected: ',' or 'end of string'")));
        }
        if !is_label_value(value) {
            return Err(refused(format!("values[0][{key}]: Invalid value: \"{value}\": {LABEL_VALUE}")));
        }
    }
    Ok(requirement)
}

fn requirement(text: &str) -> Requirement {
    let values = |list: &str| {
        let inside = list.trim().trim_start_matches('(').trim_end_matches(')');
        inside.split(',').map(|value| value.trim().to_owned()).collect::<Vec<_>>()
    };
    let key = |text: &str| text.trim().to_owned();
    if let Some((name, list)) = text.split_once(" notin ") {
        return Requirement::NotIn(key(name), values(list));
    }
    if let Some((name, list)) = text.split_once(" in ") {
        return Requirement::In(key(name), values(list));
    }
    if let Some((name, value)) = text.split_once("!=") {
        return Requirement::NotIn(key(name), vec![key(value)]);
    }
    if let Some((name, value)) = text.split_once('=') {
        return Requirement::In(key(name), vec![key(value.trim_start_matches('='))]);
    }
    match text.strip_prefix('!') {
        Some(name) => Requirement::Absent(key(name)),
        None => Requirement::Exists(key(text)),
    }
}

/// Fields that a kind can be selected by, beside the name and the namespace.
fn fields_of(kind: &Kind) -> &'static [&'static str] {
    match kind.kind.as_str() {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "Node" => &["spec.unschedulable"],
        "Namespace" => &["status.phase"],
        "Secret" => &["type"],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.name",
            "involvedObject.namespace",
            "involvedObject.uid",
            "reason",
            "type",
        ],
        _ => &[],
    }
}

fn field(kind: &Kind, text: &str) -> Result<(String, String, bool), Box<Status>> {
    let (name, value, equal) = match (text.split_once("!="), text.split_once('=')) {
        (Some((name, value)), _) => (name, value, false),
        (None, Some((name, value))) => (name, value.trim_start_matches('='), true),
        (None, None) => {
            return Err(Status::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{text}'"
            )));
        }
    };
    let everywhere = name == "metadata.name" || (kind.namespaced && name == "metadata.namespace");
    if !everywhere && !fields_of(kind).contains(&name) {
        return Err(Status::bad_request(if kind.schema.is_some() || !fields_of(kind).is_empty() {
            format!("field label not supported: {name}")
        } else {
            format!(
                "\"{name}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )
        }));
    }
    Ok((name.to_owned(), value.to_owned(), equal))
}

fn value_of<'a>(object: &'a Value, path: &str) -> &'a str {
    let pointer = format!("/{}", path.replace('.', "/"));
    object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kinds::{self, KubernetesVersion};
    use super::*;

    fn pods() -> Kind {
        kinds::built_in(KubernetesVersion::V1_34, "", "v1").find(|kind| kind.kind == "Pod").unwrap()
    }

    #[test]
    fn labels_and_fields_select() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "1"}}, "status": {"phase": "Running"}});
        for (labels, fields, fits) in [
            ("a=1", "", true),
            ("a==2", "", false),
            ("a in (1,2),!b", "", true),
            ("a notin (1)", "", false),
            ("b", "", false),
            ("a!=1", "metadata.name=x", false),
            ("", "metadata.name=x,status.phase!=Pending", true),
        ] {
            let selector = Selector::parse(&pods(), Some(labels), Some(fields)).unwrap();
            assert_eq!(selector.fits(&object), fits, "{labels} {fields}");
        }
        assert_eq!(Selector::parse(&pods(), None, Some("spec.x=1")).unwrap_err().code, 400);
    }
}
