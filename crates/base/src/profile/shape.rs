//! What the schema allows at a place, in a form that is easy to check.

use serde_json::{Map, Value as Json};

use super::node::Node;
use super::path::Step;
use super::schema::SCHEMA;

/// What is allowed at a place.
pub(super) struct Allowed<'a> {
    /// Whether `null` can.
    pub null: bool,
    /// What else can.
    pub shape: Shape<'a>,
}

/// The shape of a value.
pub(super) enum Shape<'a> {
    Text,
    Flag,
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// One of these texts.
    Choice(Vec<&'a str>),
    /// A list of that.
    List(&'a Json),
    /// A map from any key to that.
    Map(&'a Json),
    /// A map of these fields.
    Fields(Fields<'a>),
    /// A map whose fields depend on the field `kind`.
    Kinds(Vec<Fields<'a>>),
    Anything,
}

/// The fields of a map.
#[derive(Clone)]
pub(super) struct Fields<'a> {
    pub properties: &'a Map<String, Json>,
    pub required: Vec<&'a str>,
}

impl<'a> Fields<'a> {
    /// The names of all fields.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.properties.keys().map(String::as_str)
    }

    /// The value of `kind` that these fields belong to.
    pub fn kind(&self) -> Option<&'a str> {
        self.properties.get("kind")?["const"].as_str()
    }

    fn of(schema: &'a Json) -> Option<Self> {
        let properties = schema["properties"].as_object()?;
        let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
        Some(Self { properties, required: required.iter().filter_map(Json::as_str).collect() })
    }
}

/// The schema of a whole profile.
pub(super) fn root() -> &'static Json {
    &SCHEMA
}

/// What a schema allows.
pub(super) fn allowed(schema: &Json) -> Allowed<'_> {
    let all = |name: &str| schema[name].as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(target) = reference(schema).or_else(|| all("allOf").first()) {
        return allowed(target);
    }
    if let Some(inner) = all("anyOf").iter().find(|option| option["type"] != "null") {
        return Allowed { null: true, ..allowed(inner) };
    }
    let null = all("type").iter().any(|name| name == "null");
    Allowed { null, shape: shape(schema) }
}

/// The schema one step further; `node` is the value there, since the fields of a network depend on its kind.
pub(super) fn step<'a>(schema: &'a Json, node: Option<&Node>, step: &Step) -> Option<&'a Json> {
    let field = |fields: &Fields<'a>| match step {
        Step::Key(key) => fields.properties.get(key),
        Step::Index(_) => None,
    };
    match allowed(schema).shape {
        Shape::Fields(fields) => field(&fields),
        Shape::Kinds(kinds) => {
            let kind = node.and_then(|node| node.child("kind")).and_then(Node::text);
            let chosen = kinds.iter().find(|fields| kind.is_some() && fields.kind() == kind);
            chosen.map_or_else(|| kinds.iter().find_map(field), field)
        }
        Shape::List(items) => step.index().map(|_| items),
        Shape::Map(values) => matches!(step, Step::Key(_)).then_some(values),
        Shape::Anything => Some(schema),
        _ => None,
    }
}

/// The names that are allowed at a place.
pub(super) fn names<'a>(schema: &'a Json) -> Vec<&'a str> {
    match allowed(schema).shape {
        Shape::Fields(fields) => fields.names().collect(),
        Shape::Kinds(kinds) => {
            let mut names: Vec<&'a str> = kinds.iter().flat_map(Fields::names).collect();
            names.sort_unstable();
            names.dedup();
            names
        }
        _ => Vec::new(),
    }
}

fn reference(schema: &Json) -> Option<&'static Json> {
    root().pointer(schema["$ref"].as_str()?.strip_prefix('#')?)
}

fn shape(schema: &Json) -> Shape<'_> {
    if let Some(options) = schema["oneOf"].as_array() {
        return options_shape(options);
    }
    if let Some(texts) = schema["enum"].as_array() {
        return Shape::Choice(texts.iter().filter_map(Json::as_str).collect());
    }
    if let Some(text) = schema["const"].as_str() {
        return Shape::Choice(vec![text]);
    }
    match schema["type"].as_str().or_else(|| schema["type"][0].as_str()) {
        Some("string") => Shape::Text,
        Some("boolean") => Shape::Flag,
        Some("integer") => {
            let limit = |name: &str| schema[name].as_f64();
            // JSON schema numbers are floats; the model's limits are small and whole.
            Shape::Number(schema["minimum"].as_u64().unwrap_or(0), limit("maximum").map_or(u64::MAX, whole))
        }
        Some("array") => Shape::List(&schema["items"]),
        Some("object") => object_shape(schema),
        _ => Shape::Anything,
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped by `as`, and whole in the schema"
)]
fn whole(limit: f64) -> u64 {
    limit as u64
}

fn object_shape(schema: &Json) -> Shape<'_> {
    match (Fields::of(schema), &schema["additionalProperties"]) {
        (Some(fields), _) => Shape::Fields(fields),
        (None, Json::Null | Json::Bool(_)) => Shape::Map(&Json::Bool(true)),
        (None, values) => Shape::Map(values),
    }
}

fn options_shape(options: &[Json]) -> Shape<'_> {
    let kinds: Vec<Fields> = options.iter().filter_map(Fields::of).collect();
    if kinds.is_empty() {
        return Shape::Choice(options.iter().flat_map(texts).collect());
    }
    Shape::Kinds(kinds)
}

/// schemars puts variants with a comment into `const`, and those without into one `enum`.
fn texts(option: &Json) -> Vec<&str> {
    let list = option["enum"].as_array().map(Vec::as_slice).unwrap_or_default();
    option["const"].as_str().into_iter().chain(list.iter().filter_map(Json::as_str)).collect()
}
