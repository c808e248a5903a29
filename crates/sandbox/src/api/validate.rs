//! Validation: names, custom resources against their schema, and those fields of built-in kinds that kvnet and its tests use.

use serde_json::{Map, Value};

use super::kinds::Kind;
use super::schema::{ListKind, Shape};
use super::status::{Cause, Status};
use super::{crd, metadata};

const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Validates an object that is about to be stored.
pub(super) fn check(kind: &Kind, object: &Value, before: Option<&Value>) -> Result<(), Box<Status>> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let mut causes = Vec::new();
    metadata::check(kind, object, before, &mut causes);
    match (&kind.schema, kind.kind.as_str()) {
        (Some(schema), _) => {
            let names = causes.len();
            fields(object, schema, "", &mut causes);
            causes[names..].sort_by(|one, other| one.field.cmp(&other.field));
            doubles(object, Shape::root(Some(schema)), "", &mut causes);
        }
        (None, "CustomResourceDefinition") => return crd::check(kind, object, before),
        (None, "Service") => ports(object, &mut causes),
        (None, "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet") => {
            workload(object, before, &mut causes);
        }
        (None, "Role" | "ClusterRole" | "RoleBinding" | "ClusterRoleBinding") => {
            roles(object, before, &mut causes);
        }
        (None, "ConfigMap") => keys(object, &mut causes),
        (None, "Pod") => containers(&object["spec"], "spec", &mut causes),
        _ => {}
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name, &causes)) }
}

fn keys(map: &Value, causes: &mut Vec<Cause>) {
    let names = |field: &str| map[field].as_object().into_iter().flatten().map(|(name, _)| name.clone());
    for name in names("data").chain(names("binaryData")) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            causes.push(Cause::value(format!("data[{name}]"), &name.as_str().into(), CONFIG_KEY));
        }
    }
}

/// Roles allow something, and bindings stay with their role.
fn roles(object: &Value, before: Option<&Value>, causes: &mut Vec<Cause>) {
    for (index, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        if rule["verbs"].as_array().is_none_or(Vec::is_empty) {
            let why = "verbs must contain at least one value";
            causes.push(Cause::required(format!("rules[{index}].verbs"), why));
        }
    }
    let role = &object["roleRef"];
    if before.is_some_and(|before| before["roleRef"] != *role) {
        let shown =
            serde_json::json!({"APIGroup": role["apiGroup"], "Kind": role["kind"], "Name": role["name"]});
        causes.push(Cause::value("roleRef", &shown, "cannot change roleRef"));
    }
}

fn ports(service: &Value, causes: &mut Vec<Cause>) {
    let spec = &service["spec"];
    let needs_none = spec["clusterIP"] == "None" || spec["type"] == "ExternalName";
    if !needs_none && spec["ports"].as_array().is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.ports", ""));
    }
    for (index, port) in service["spec"]["ports"].as_array().into_iter().flatten().enumerate() {
        for field in ["port", "targetPort"] {
            let number = port[field].as_i64();
            if number.is_some_and(|number| !(1..=65_535).contains(&number)) {
                let why = "must be between 1 and 65535, inclusive";
                causes.push(Cause::value(format!("spec.ports[{index}].{field}"), &port[field], why));
            }
        }
    }
}

fn workload(object: &Value, before: Option<&Value>, causes: &mut Vec<Cause>) {
    let selector = &object["spec"]["selector"];
    let labels = &object["spec"]["template"]["metadata"]["labels"];
    let wanted = selector["matchLabels"].as_object();
    if let Some(replicas) = object["spec"]["replicas"].as_i64().filter(|replicas| *replicas < 0) {
        let why = "must be greater than or equal to 0";
        causes.push(Cause::value("spec.replicas", &replicas.into(), why));
    }
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::value("spec.template.metadata.labels", labels, why));
    } else if wanted.is_none_or(Map::is_empty) && selector["matchExpressions"].is_null() {
        let why = format!(
            "empty selector is invalid for {}",
            object["kind"].as_str().unwrap_or_default().to_lowercase()
        );
        causes.push(Cause::value("spec.selector", selector, &why));
    } else if wanted.is_some_and(|wanted| wanted.iter().any(|(name, value)| labels[name] != *value)) {
        let why = "`selector` does not match template `labels`";
        causes.push(Cause::value("spec.template.metadata.labels", labels, why));
    }
    if before.is_some_and(|before| before["spec"]["selector"] != *selector) {
        causes.push(Cause::value("spec.selector", selector, "field is immutable"));
    }
    containers(&object["spec"]["template"]["spec"], "spec.template.spec", causes);
}

fn containers(spec: &Value, place: &str, causes: &mut Vec<Cause>) {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(Cause::required(format!("{place}.containers"), ""));
    }
    let restarts = ["Always", "OnFailure", "Never"];
    if let Some(policy) = spec["restartPolicy"].as_str().filter(|policy| !restarts.contains(policy)) {
        let field = format!("{place}.restartPolicy");
        causes.push(Cause::not_supported(field, &policy.into(), &restarts));
    }
    for (index, container) in containers.iter().enumerate() {
        let place = format!("{place}.containers[{index}]");
        if containers[..index].iter().any(|other| other["name"] == container["name"]) {
            causes.push(Cause::duplicate(format!("{place}.name"), &container["name"]));
        }
        mounts(spec, container, &place, causes);
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::required(format!("{place}.{field}"), ""));
            }
        }
    }
}

/// What is mounted has to be one of the volumes.
fn mounts(spec: &Value, container: &Value, place: &str, causes: &mut Vec<Cause>) {
    let volumes = spec["volumes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (index, mount) in container["volumeMounts"].as_array().into_iter().flatten().enumerate() {
        if !volumes.iter().any(|volume| volume["name"] == mount["name"]) {
            let field = format!("{place}.volumeMounts[{index}].name");
            causes.push(Cause::not_found(field, &mount["name"]));
        }
    }
}

/// Checks a value of a custom resource against its schema.
fn fields(value: &Value, schema: &Value, place: &str, causes: &mut Vec<Cause>) {
    if value.is_null() {
        return;
    }
    let is_either = schema["x-kubernetes-int-or-string"] == true;
    let wanted = if is_either { "integer,string" } else { schema["type"].as_str().unwrap_or_default() };
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => is_whole(value),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "integer,string" => is_whole(value) || value.is_string(),
        _ => true,
    };
    if !fits {
        causes.push(wrong_type(value, wanted, place));
        return;
    }
    choices(value, schema, place, causes);
    let at = |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.get(name).is_none() {
            causes.push(Cause::required(at(name), ""));
        }
    }
    for (name, below) in value.as_object().into_iter().flatten() {
        let schema = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        if let Some(schema) = schema.filter(|_| !is_header(place, name)) {
            fields(below, schema, &at(name), causes);
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        fields(item, &schema["items"], &format!("{place}[{index}]"), causes);
    }
}

/// The server checks these itself.
fn is_header(place: &str, name: &str) -> bool {
    place.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name)
}

fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn wrong_type(value: &Value, wanted: &str, place: &str) -> Cause {
    let is = match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Null => "null",
    };
    let why = format!("{place} in body must be of type {wanted}: \"{is}\"");
    Cause {
        reason: "FieldValueTypeInvalid",
        field: place.to_owned(),
        message: format!("Invalid value: \"{is}\": {why}"),
    }
}

fn choices(value: &Value, schema: &Value, place: &str, causes: &mut Vec<Cause>) {
    if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(value)) {
        let shown: Vec<String> = choices.iter().map(Value::to_string).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", shown.join(", "));
        causes.push(Cause { reason: "FieldValueNotSupported", field: place.to_owned(), message });
    }
    sizes(value, schema, place, causes);
    let number = value.as_f64();
    if let (Some(number), Some(least)) = (number, schema["minimum"].as_f64())
        && number < least
    {
        let why = format!("{place} in body should be greater than or equal to {least}");
        causes.push(Cause::value(place, value, &why));
    }
    if let (Some(number), Some(most)) = (number, schema["maximum"].as_f64())
        && number > most
    {
        let why = format!("{place} in body should be less than or equal to {most}");
        causes.push(Cause::value(place, value, &why));
    }
}

/// How long a text and a list may be.
fn sizes(value: &Value, schema: &Value, place: &str, causes: &mut Vec<Cause>) {
    let limit = |name: &str| schema[name].as_u64().map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
    if let Some(text) = value.as_str() {
        let length = text.chars().count();
        if let Some(most) = limit("maxLength").filter(|most| length > *most) {
            causes.push(Cause::too_long(place, most));
        }
        if let Some(least) = limit("minLength").filter(|least| length < *least) {
            let why = format!("{place} in body should be at least {least} chars long");
            causes.push(Cause::value(place, value, &why));
        }
    }
    if let Some(items) = value.as_array()
        && let Some(most) = limit("maxItems").filter(|most| items.len() > *most)
    {
        causes.push(Cause::too_many(place, items.len(), most));
    }
}

/// Items of a list that may occur only once.
fn doubles(value: &Value, shape: Shape<'_>, place: &str, causes: &mut Vec<Cause>) {
    match value {
        Value::Object(map) => {
            for (name, below) in map.iter().filter(|(name, _)| !is_header(place, name)) {
                let place = if place.is_empty() { name.clone() } else { format!("{place}.{name}") };
                doubles(below, shape.field(name), &place, causes);
            }
        }
        Value::Array(items) => {
            let kind = shape.list();
            let key = |item: &Value| match &kind {
                ListKind::Atomic => Value::Null,
                ListKind::Set => item.clone(),
                ListKind::Keyed(keys) => Value::Object(shape.key(keys, item)),
            };
            for (index, item) in items.iter().enumerate() {
                let place = format!("{place}[{index}]");
                let own = key(item);
                if kind != ListKind::Atomic && items[..index].iter().any(|other| key(other) == own) {
                    causes.push(Cause::duplicate(&place, &own));
                }
                doubles(item, shape.item(), &place, causes);
            }
        }
        _ => {}
    }
}

/// Removes what the schema of a custom resource does not know, and fills in its defaults.
pub(super) fn prune(object: &mut Value, schema: &Value) {
    let Value::Object(map) = object else { return };
    let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let known =
        |name: &str| schema["properties"].get(name).is_some() || schema.get("additionalProperties").is_some();
    if !free {
        map.retain(|name, _| known(name));
    }
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let is_silent = map.get(name).is_none_or(|value| value.is_null() && below["nullable"] != true);
        if let Some(default) = below.get("default").filter(|_| is_silent) {
            map.insert(name.clone(), default.clone());
        }
    }
    for (name, value) in map.iter_mut() {
        let below = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        if let Some(below) = below {
            match value {
                Value::Array(items) => items.iter_mut().for_each(|item| prune(item, &below["items"])),
                value => prune(value, below),
            }
        }
    }
}

/// As [`prune`] for a whole object, whose header every schema allows.
pub(super) fn prune_object(object: &mut Value, schema: &Value) {
    let header: Vec<(&str, Value)> =
        ["apiVersion", "kind", "metadata"].map(|name| (name, object[name].take())).to_vec();
    prune(object, schema);
    let Value::Object(map) = object else { return };
    let rest = std::mem::take(map);
    map.extend(header.into_iter().map(|(name, value)| (name.to_owned(), value)));
    map.extend(
        rest.into_iter().filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str())),
    );
}
