//! A request, what it carries, and whether that fits its path.

use std::collections::HashMap;

use ::http::Method;
use serde_json::Value;

use super::kinds::Kind;
use super::objects::Answer;
use super::status::{Cause, Status};

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
/// What a body may be.
const READABLE: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";

/// How much of a body is shown.
const SHOWN: usize = 30;

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub method: Method,
    pub path: String,
    pub query: HashMap<String, Vec<String>>,
    pub content_type: String,
    pub user_agent: String,
    pub body: Vec<u8>,
}

impl Asked {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name)?.first().map(String::as_str)
    }

    /// All values of a parameter.
    pub(super) fn parameters(&self, name: &str) -> Vec<&str> {
        self.query
            .get(name)
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|value| !value.is_empty())
            .collect()
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.parameter(name).is_some_and(|value| ["true", "1", ""].contains(&value))
    }

    /// The field manager: the given one, else the first word of the user agent.
    pub(super) fn manager(&self) -> &str {
        let agent = || self.user_agent.split('/').next().filter(|name| !name.is_empty()).unwrap_or("unknown");
        self.parameter("fieldManager").filter(|name| !name.is_empty()).unwrap_or_else(agent)
    }

    /// Whether it is a dry run.
    pub(super) fn is_rehearsal(&self) -> bool {
        let options = || serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        !self.parameters("dryRun").is_empty()
            || (self.method == Method::DELETE && options()["dryRun"][0] == "All")
    }

    /// The type of the body without its parameters.
    pub(super) fn media_type(&self) -> &str {
        self.content_type.split(';').next().unwrap_or_default().trim()
    }

    /// The object of a body in JSON or YAML; `what` is its kind.
    pub(super) fn object(&self, what: &str) -> Answer<Value> {
        let unreadable = |error: &dyn std::fmt::Display| {
            Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {what}): couldn't get version/kind; json parse error: {error} ({})",
                self.summary()
            ))
        };
        let object: Value = match self.media_type() {
            "" | JSON => serde_json::from_slice(&self.body).map_err(|error| unreadable(&error))?,
            YAML => serde_yaml::from_slice(&self.body).map_err(|error| unreadable(&error))?,
            _ => return Err(Status::media_type(READABLE)),
        };
        if object.is_object() { Ok(object) } else { Err(unreadable(&"it is no object")) }
    }

    /// The beginning of the body, as text when it looks like JSON.
    fn summary(&self) -> String {
        let begin = &self.body[..self.body.len().min(SHOWN)];
        let more = if self.body.len() > SHOWN { " ..." } else { "" };
        match begin.first() {
            None => "<empty>".to_owned(),
            Some(b'{') => format!("{}{more}", String::from_utf8_lossy(begin)),
            Some(_) => begin.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")) + more,
        }
    }

    /// Refuses an object of another kind or version than the path's.
    pub(super) fn check_kind(&self, object: &Value, kind: &Kind) -> Answer<()> {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let (given, wanted) = (text("apiVersion"), kind.api_version());
        let is_custom = kind.schema.is_some();
        if is_custom && text("kind").is_empty() {
            let body = String::from_utf8_lossy(&self.body);
            return Err(Status::bad_request(format!(
                "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing in '{body}' ({})",
                kind.kind,
                self.summary()
            )));
        }
        if is_custom && !given.is_empty() && given != wanted {
            return Err(Status::bad_request(format!(
                "the API version in the data ({given}) does not match the expected API version ({wanted})"
            )));
        }
        if is_custom && text("kind") != kind.kind {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let cause = Cause::value("kind", &object["kind"], &format!("must be {}", kind.kind));
            return Err(Status::invalid_of(&kind.group, text("kind"), name, &[cause]));
        }
        let fits = |given: &str, wanted: &str| given.is_empty() || given == wanted;
        if fits(text("kind"), &kind.kind) && fits(given, &wanted) {
            return Ok(());
        }
        let version = given.rsplit('/').next().unwrap_or_default();
        let home =
            if kind.group.is_empty() { "core" } else { kind.group.split('.').next().unwrap_or_default() };
        Err(Status::bad_request(format!(
            "{} in version \"{version}\" cannot be handled as a {}: converting ({version}.{}) to ({home}.{}): unknown conversion",
            text("kind"),
            kind.kind,
            text("kind"),
            kind.kind
        )))
    }

    pub(super) fn json(&self) -> Answer<Value> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))
    }
}

pub(super) fn yaml(body: &[u8]) -> Answer<Value> {
    serde_yaml::from_slice(body).map_err(|error| Status::bad_request(format!("error decoding YAML: {error}")))
}

pub(super) fn check_name(object: &Value, namespace: Option<&str>, name: &str) -> Answer<()> {
    let given = object["metadata"]["name"].as_str().unwrap_or_default();
    if !given.is_empty() && given != name {
        return Err(Status::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({name})"
        )));
    }
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    match namespace {
        Some(namespace) if !given.is_empty() && given != namespace => Err(Status::bad_request(format!(
            "the namespace of the object ({given}) does not match the namespace on the request ({namespace})"
        ))),
        _ => Ok(()),
    }
}

#[allow(clippy::unnecessary_box_returns, reason = "all refusals are boxed, because they are large and rare")]
pub(super) fn nameless(name: &str) -> Box<Status> {
    Status::bad_request(format!(
        "the name of the object ({name} based on URL) was undeterminable: name must be provided"
    ))
}

pub(super) fn check_namespace(object: &Value, namespace: Option<&str>) -> Answer<()> {
    let given = object["metadata"]["namespace"].as_str().unwrap_or_default();
    if given.is_empty() || namespace.is_none_or(|namespace| namespace == given) {
        return Ok(());
    }
    Err(Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

/// Refuses a configuration of another kind or version than the path's.
pub(super) fn check_applied_kind(object: &Value, kind: &Kind) -> Answer<()> {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    if text("kind") == kind.kind && text("apiVersion") == kind.api_version() {
        return Ok(());
    }
    let version = text("apiVersion");
    let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
    Err(Status::bad_request(format!("invalid object type: {version}, Kind={}", text("kind"))))
}
