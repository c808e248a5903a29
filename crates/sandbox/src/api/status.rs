//! Error responses, with the messages of the real server.

#![allow(clippy::unnecessary_box_returns, reason = "a refusal is large and rare, so results hold it boxed")]

use serde_json::{Value, json};

use super::fields::Manager;
use super::kinds::Kind;

/// A `Status`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Status {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    pub details: Value,
    /// With it a list can go on.
    pub token: String,
}

impl Status {
    pub fn json(&self) -> Value {
        let mut value = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            value["reason"] = self.reason.into();
        }
        if !self.token.is_empty() {
            value["metadata"]["continue"] = self.token.as_str().into();
        }
        if !self.details.is_null() {
            value["details"] = self.details.clone();
        }
        value["code"] = self.code.into();
        value
    }

    fn about(code: u16, reason: &'static str, kind: &Kind, name: &str, message: String) -> Box<Self> {
        Box::new(Self { code, reason, message, details: details(kind, name), ..Self::default() })
    }

    pub fn not_found(kind: &Kind, name: &str) -> Box<Self> {
        let message = format!("{} \"{name}\" not found", kind.resource());
        Self::about(404, "NotFound", kind, name, message)
    }

    /// The name is in use until the object is gone.
    pub fn still_there(kind: &Kind, name: &str) -> Box<Self> {
        let message = format!("object is being deleted: {} \"{name}\" already exists", kind.resource());
        Self::about(409, "AlreadyExists", kind, name, message)
    }

    pub fn already_exists(kind: &Kind, name: &str) -> Box<Self> {
        let message = format!("{} \"{name}\" already exists", kind.resource());
        Self::about(409, "AlreadyExists", kind, name, message)
    }

    /// A concurrent write, or a failed precondition.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Box<Self> {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.resource());
        Self::about(409, "Conflict", kind, name, message)
    }

    pub fn stale(kind: &Kind, name: &str) -> Box<Self> {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(kind, name, why)
    }

    pub fn immortal(kind: &Kind, name: &str) -> Box<Self> {
        let message =
            format!("{} \"{name}\" is forbidden: this namespace may not be deleted", kind.resource());
        Self::about(403, "Forbidden", kind, name, message)
    }

    /// Nothing can be created in a terminating namespace.
    pub fn terminating(kind: &Kind, name: &str, namespace: &str) -> Box<Self> {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let message = format!("{} \"{name}\" is forbidden: {why}", kind.resource());
        let mut status = Self::about(403, "Forbidden", kind, name, message);
        // The server that cannot apply names no cause.
        if kind.tracks {
            status.details["causes"] = json!([{
                "reason": "NamespaceTerminating",
                "message": format!("namespace {namespace} is being terminated"),
                "field": "metadata.namespace",
            }]);
        }
        status
    }

    pub fn bad_request(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { code: 400, reason: "BadRequest", message: message.into(), ..Self::default() })
    }

    pub fn media_type(accepted: &str) -> Box<Self> {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Box::new(Self { code: 415, reason: "UnsupportedMediaType", message, ..Self::default() })
    }

    /// A patch of a type that no object takes.
    pub fn patch_type() -> Box<Self> {
        let (reason, message) = ("UnsupportedMediaType", "415: Unsupported Media Type".into());
        Box::new(Self { code: 415, reason, message, details: json!({}), ..Self::default() })
    }

    /// What the real server answers with 500.
    pub fn internal(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { code: 500, message: message.into(), ..Self::default() })
    }

    /// A path below something that is served.
    pub fn no_resource() -> Box<Self> {
        let message = "the server could not find the requested resource".into();
        Box::new(Self { code: 404, reason: "NotFound", message, details: json!({}), ..Self::default() })
    }

    /// A replacement of a kind that must say which version it replaces.
    pub fn versionless(kind: &Kind, name: &str) -> Box<Self> {
        let why = "must be specified for an update";
        let cause = Cause::value("metadata.resourceVersion", &0.into(), why);
        let mut status = Self::invalid_of(&kind.group, &kind.plural, name, &[cause]);
        status.message =
            status.message.replacen(&format!("{}.{}", kind.plural, kind.group), &kind.resource(), 1);
        status
    }

    pub fn not_allowed() -> Box<Self> {
        let message = "the server does not allow this method on the requested resource".into();
        Box::new(Self {
            code: 405,
            reason: "MethodNotAllowed",
            message,
            details: json!({}),
            ..Self::default()
        })
    }

    pub fn expired(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { code: 410, reason: "Expired", message: message.into(), ..Self::default() })
    }

    /// A JSON patch that cannot be applied.
    pub fn unprocessable(message: impl Into<String>) -> Box<Self> {
        Box::new(Self {
            code: 422,
            reason: "Invalid",
            message: message.into(),
            details: json!({}),
            ..Self::default()
        })
    }

    /// Values that cannot be.
    pub fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Box<Self> {
        Self::invalid_of(&kind.group, &kind.kind, name, causes)
    }

    /// As [`Status::invalid`], for what is no kind of object.
    pub fn invalid_of(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Box<Self> {
        let mut lines: Vec<String> = Vec::new();
        for line in causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        let all = if lines.len() == 1 { lines[0].clone() } else { format!("[{}]", lines.join(", ")) };
        let shown = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut details = json!({});
        if !name.is_empty() {
            details["name"] = name.into();
        }
        if !group.is_empty() {
            details["group"] = group.into();
        }
        if !kind.is_empty() {
            details["kind"] = kind.into();
        }
        details["causes"] = causes.iter().map(Cause::json).collect();
        let message = format!("{shown} \"{name}\" is invalid: {all}");
        Box::new(Self { code: 422, reason: "Invalid", message, details, ..Self::default() })
    }

    pub fn apply_conflict(conflicts: &[(Manager, Vec<String>)]) -> Self {
        let with = |manager: &Manager| {
            let sub = &manager.subresource;
            let through = if sub.is_empty() { String::new() } else { format!(" with subresource \"{sub}\"") };
            let version = if manager.operation == "Update" {
                format!(" using {}", manager.api_version)
            } else {
                String::new()
            };
            format!("conflict with \"{}\"{through}{version}", manager.name)
        };
        let count: usize = conflicts.iter().map(|(_, fields)| fields.len()).sum();
        let message = match conflicts {
            [(manager, fields)] if fields.len() == 1 => {
                format!("Apply failed with 1 conflict: {}: {}", with(manager), fields[0])
            }
            _ => {
                let lists = conflicts.iter().map(|(manager, fields)| {
                    let head = with(manager).replacen("conflict", "conflicts", 1);
                    format!("{head}:\n- {}", fields.join("\n- "))
                });
                let lists: Vec<String> = lists.collect();
                format!("Apply failed with {count} conflicts: {}", lists.join("\n"))
            }
        };
        let causes = conflicts.iter().flat_map(|(manager, fields)| {
            let message = with(manager);
            fields.iter().map(
                move |field| json!({"reason": "FieldManagerConflict", "message": message, "field": field}),
            )
        });
        Self {
            code: 409,
            reason: "Conflict",
            message,
            details: json!({"causes": causes.collect::<Vec<_>>()}),
            token: String::new(),
        }
    }
}

/// A field whose value cannot be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cause {
    pub reason: &'static str,
    pub field: String,
    pub message: String,
}

impl Cause {
    pub fn value(field: impl Into<String>, value: &Value, why: &str) -> Self {
        let message = format!("Invalid value: {}: {why}", shown(value));
        Self { reason: "FieldValueInvalid", field: field.into(), message }
    }

    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        Self { reason: "FieldValueRequired", field: field.into(), message: format!("Required value{why}") }
    }

    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Duplicate value: {value}");
        Self { reason: "FieldValueDuplicate", field: field.into(), message }
    }

    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        let message = format!("Not found: {value}");
        Self { reason: "FieldValueNotFound", field: field.into(), message }
    }

    pub fn too_long(field: impl Into<String>, most: usize) -> Self {
        let message = format!("Too long: may not be more than {most} bytes");
        Self { reason: "FieldValueTooLong", field: field.into(), message }
    }

    pub fn too_many(field: impl Into<String>, number: usize, most: usize) -> Self {
        let items = if most == 1 { "item" } else { "items" };
        let message = format!("Too many: {number}: must have at most {most} {items}");
        Self { reason: "FieldValueTooMany", field: field.into(), message }
    }

    pub fn not_supported(field: impl Into<String>, value: &Value, all: &[&str]) -> Self {
        let all: Vec<String> = all.iter().map(|one| format!("{one:?}")).collect();
        let message = format!("Unsupported value: {value}: supported values: {}", all.join(", "));
        Self { reason: "FieldValueNotSupported", field: field.into(), message }
    }

    fn json(&self) -> Value {
        json!({"reason": self.reason, "message": self.message, "field": self.field})
    }
}

fn shown(value: &Value) -> String {
    value.to_string()
}

/// `details` of a `Status` about an object.
pub(super) fn details(kind: &Kind, name: &str) -> Value {
    let mut details = json!({});
    if !name.is_empty() {
        details["name"] = name.into();
    }
    if !kind.group.is_empty() {
        details["group"] = kind.group.as_str().into();
    }
    details["kind"] = kind.plural.as_str().into();
    details
}

/// The answer to a deletion that happened.
pub(super) fn deleted(kind: &Kind, name: &str, uid: &Value) -> Value {
    let mut details = details(kind, name);
    details["uid"] = uid.clone();
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}
