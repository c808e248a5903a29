//! A request of the suite.

use serde_json::Value;

pub const JSON: &str = "application/json";
pub const APPLY: &str = "application/apply-patch+yaml";
pub const MERGE: &str = "application/merge-patch+json";
pub const OPERATIONS: &str = "application/json-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A request, or what is done to the server between two requests.
#[derive(Clone, Debug)]
pub struct Step {
    /// Says what it is about; unique in its chapter.
    pub name: &'static str,
    /// `GET`; or `COMPACT`, after which the server has forgotten what was before.
    pub method: &'static str,
    /// With the query. `$name$` stands for what an earlier answer held.
    pub path: String,
    /// Empty for none.
    pub content_type: &'static str,
    pub body: String,
    /// What is kept of the answer: the name, and where it is.
    pub keeps: Vec<(&'static str, &'static str)>,
    /// Asked again and again until the answer is so; only the last answer counts.
    pub until: Option<Until>,
}

/// What controllers of the server bring about by themselves.
#[derive(Clone, Debug)]
pub enum Until {
    /// The status of HTTP.
    Status(u16),
    /// A text in the body.
    Is(&'static str, &'static str),
}

impl Step {
    pub fn keeps(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.keeps.push((name, pointer));
        self
    }

    pub fn until(mut self, until: Until) -> Self {
        self.until = Some(until);
        self
    }

    /// Of another type than JSON, or of none.
    pub fn typed(mut self, content_type: &'static str) -> Self {
        self.content_type = content_type;
        self
    }

    /// With a body that need not be JSON.
    pub fn says(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }
}

pub fn step(name: &'static str, method: &'static str, path: impl Into<String>) -> Step {
    let (content_type, body) = ("", String::new());
    Step { name, method, path: path.into(), content_type, body, keeps: Vec::new(), until: None }
}

pub fn get(name: &'static str, path: impl Into<String>) -> Step {
    step(name, "GET", path)
}

pub fn delete(name: &'static str, path: impl Into<String>) -> Step {
    step(name, "DELETE", path)
}

#[allow(clippy::needless_pass_by_value, reason = "so that literals can be given")]
pub fn delete_with(name: &'static str, path: impl Into<String>, options: Value) -> Step {
    delete(name, path).typed(JSON).says(&options.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "so that literals can be given")]
pub fn post(name: &'static str, path: impl Into<String>, body: Value) -> Step {
    step(name, "POST", path).typed(JSON).says(&body.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "so that literals can be given")]
pub fn put(name: &'static str, path: impl Into<String>, body: Value) -> Step {
    step(name, "PUT", path).typed(JSON).says(&body.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "so that literals can be given")]
pub fn patch(name: &'static str, path: impl Into<String>, content_type: &'static str, body: Value) -> Step {
    step(name, "PATCH", path).typed(content_type).says(&body.to_string())
}

/// An apply by a manager of that name.
pub fn apply(name: &'static str, path: &str, manager: &str, body: Value) -> Step {
    let sign = if path.contains('?') { '&' } else { '?' };
    patch(name, format!("{path}{sign}fieldManager={manager}"), APPLY, body)
}

/// The server forgets what was before.
pub fn compact() -> Step {
    step("the server forgets", "COMPACT", "")
}
