//! The API server's refusals, as errors for people.

use std::error::Error as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gate::{MOST_OF_MANY, MOST_OF_ONE};
use super::request::excerpt;
use crate::error::{Error, Kind, Result, code};
use crate::terminal::cut;

/// The API server's prefix when an applied object does not fit its kind.
const UNTYPED: &str = "failed to create typed patch object";
/// Its prefixes when the operations of a JSON patch do not fit the object, which servers of 2018 answer with 500.
const UNPATCHABLE: [&str; 4] =
    ["Testing value ", "Unable to remove ", "Unable to access invalid index", "jsonpatch "];

/// What follows the object in a schema's refusal.
const FAILURES: &str = "validation failure list:";

/// How many characters of the server's message are shown.
const MOST_MESSAGE: usize = 1000;
/// How many of its causes are shown.
const MOST_CAUSES: usize = 16;

/// A `Status` with a code of the 400s, or of the 500s.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Refusal {
    pub code: u16,
    pub reason: String,
    pub message: String,
    pub causes: Vec<Cause>,
    /// Whether the answer is no `Status`.
    pub foreign: bool,
}

/// One field that the refusal is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cause {
    pub reason: String,
    pub field: String,
    pub message: String,
}

impl Refusal {
    /// The server's text is bounded: it ends up on a terminal, and in reports.
    pub fn parse(code: u16, value: Option<&Value>, body: &[u8]) -> Self {
        let Some(status) = value.filter(|value| text(value, "kind") == "Status") else {
            return Self { code, message: excerpt(body), foreign: true, ..Self::default() };
        };
        let causes = status.pointer("/details/causes").and_then(Value::as_array);
        Self {
            code,
            reason: text(status, "reason"),
            message: bounded(&text(status, "message")),
            causes: causes.into_iter().flatten().take(MOST_CAUSES).map(Cause::parse).collect(),
            foreign: false,
        }
    }

    /// Whether the request may work later. An apply of an unknown field, or with a value of another type, is answered
    /// with 500 too, and always will be.
    pub fn passes(&self) -> bool {
        let begins = |with: &&str| self.message.starts_with(*with);
        let is_ours = std::iter::once(&UNTYPED).chain(&UNPATCHABLE).any(begins);
        self.code == 429 || (self.code >= 500 && !is_ours)
    }

    /// Whether it is a field manager conflict.
    pub fn field_conflict(&self) -> bool {
        self.code == 409 && self.causes.iter().any(|cause| cause.reason == "FieldManagerConflict")
    }

    /// Whether the object changed between reading and writing.
    pub fn stale(&self) -> bool {
        self.code == 409 && self.reason == "Conflict" && !self.field_conflict()
    }

    /// The error for `subject`, an object or a path.
    pub fn into_error(self, subject: &str) -> Error {
        match self.code {
            401 => Error::new(
                &code::CLUSTER_DENIED,
                format!("{subject}: the API server does not accept the credentials"),
            )
            .because(self.message)
            .hint(
                "the client certificate or token may have expired: `kubeadm certs check-expiration` shows it",
            ),
            403 => Error::new(&code::CLUSTER_DENIED, format!("{subject}: not allowed")).because(self.message),
            404 if self.foreign || self.reason.is_empty() => Error::new(
                &code::CLUSTER_KIND,
                format!("{subject}: the API server does not serve that kind of object"),
            ),
            409 if self.field_conflict() => self.conflict(subject),
            _ => self.rejected(subject),
        }
    }

    fn conflict(self, subject: &str) -> Error {
        let fields: Vec<String> = self.causes.iter().map(Cause::owned_field).collect();
        Error::new(&code::CLUSTER_CONFLICT, format!("{subject}: {}", fields.join(", ")))
    }

    fn rejected(self, subject: &str) -> Error {
        let causes: Vec<String> = self.causes.iter().map(ToString::to_string).collect();
        let cause = if causes.is_empty() { self.message } else { causes.join("; ") };
        Error::new(&code::CLUSTER_REJECTED, format!("{subject}: rejected by the API server")).because(cause)
    }
}

impl Cause {
    fn parse(cause: &Value) -> Self {
        let text = |key: &str| bounded(&text(cause, key));
        Self { reason: text("reason"), field: text("field"), message: text("message") }
    }

    /// `spec.replicas is owned by kubectl`, from `conflict with "kubectl" using apps/v1`.
    fn owned_field(&self) -> String {
        let manager = self.message.split('"').nth(1).unwrap_or(&self.message);
        format!("{} is owned by {manager}", self.field.trim_start_matches('.'))
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.field.is_empty() || self.field == "<nil>" {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// As much of a message as a person reads. A schema's refusal begins with the whole object before Kubernetes 1.16.
pub(super) fn bounded(message: &str) -> String {
    let list = message.split_once(FAILURES).map(|(_, list)| list.trim().replace('\n', "; "));
    cut(list.as_deref().unwrap_or(message), MOST_MESSAGE)
}

/// What went wrong below HTTP, and whether another attempt can help.
pub(super) fn connection_error(server: &str, error: &kube::Error) -> (Error, bool) {
    let chain = chain_of(error);
    let unreachable = |message: String| Error::new(&code::CLUSTER_UNREACHABLE, message);
    let has = |words: &[&str]| words.iter().any(|word| chain.contains(word));
    if has(&["length limit exceeded"]) {
        let message = format!("an answer of {server} is too long");
        let cause = format!(
            "it is cut at {} MiB, and at {} MiB where it is no list",
            MOST_OF_MANY >> 20,
            MOST_OF_ONE >> 20
        );
        return (Error::new(&code::CLUSTER_ANSWER, message).because(cause), false);
    }
    if has(&["proxy authorization required", "tunnel error: unsuccessful"]) {
        let error = Error::new(&code::CLUSTER_DENIED, format!("{server}: the proxy refuses to connect"));
        let hint = "set the proxy's user and password in `proxy-url` or HTTPS_PROXY, allow it to reach the API server, or bypass it with NO_PROXY";
        return (error.because(chain).hint(hint), false);
    }
    if has(&[
        "UnknownIssuer",
        "BadSignature",
        "invalid peer certificate: Other",
        "certificate signed by unknown",
    ]) {
        let error = unreachable(format!(
            "the certificate of {server} is not signed by the kubeconfig's CA"
        ))
        .because(chain)
        .hint(
            "the kubeconfig may belong to an earlier cluster: compare it with `/etc/kubernetes/admin.conf`",
        );
        return (error.of_kind(Kind::Environment), false);
    }
    // The words of rustls with a context, and those without.
    if has(&["certificate expired", "certificate not valid yet", "Expired", "NotValidYet"]) {
        let error = unreachable(format!("the certificate of {server} is not valid now"))
            .because(chain)
            .hint("compare the clocks of both machines; `kubeadm certs check-expiration` on the control plane shows the dates, `kubeadm certs renew all` makes new certificates");
        return (error.of_kind(Kind::Environment), false);
    }
    if has(&["NotValidForName", "not valid for name"]) {
        let error =
            unreachable(format!("the certificate of {server} is not valid for that name")).because(chain);
        return (error.of_kind(Kind::Environment), false);
    }
    if has(&[
        "InvalidContentType",
        "InvalidMessage",
        "corrupt message",
        "invalid HTTP",
        "HttpTooLarge",
        "Parse(",
    ]) {
        let message = format!("{server} does not speak the protocol of a Kubernetes API server");
        return (Error::new(&code::CLUSTER_ANSWER, message).because(chain), false);
    }
    if has(&["received fatal alert", "AlertReceived"]) {
        let message = format!("{server} does not accept the client certificate");
        return (Error::new(&code::CLUSTER_DENIED, message).because(chain), false);
    }
    if has(&["dns error", "failed to lookup address"]) {
        return (unreachable(format!("the host name in {server} cannot be resolved")).because(chain), false);
    }
    if matches!(error, kube::Error::Auth(_)) {
        return (
            Error::new(&code::CLUSTER_DENIED, "no credentials for the API server").because(chain),
            false,
        );
    }
    (unreachable(format!("the API server {server} cannot be reached")).because(chain), true)
}

/// The chain of an error's causes, outermost first, without repetitions.
fn chain_of(error: &kube::Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        let text = inner.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        source = inner.source();
    }
    let chain = bounded(&parts.join(": "));
    // The names of the layers say nothing to a user.
    chain.trim_start_matches("ServiceError: ").trim_start_matches("client error (Connect): ").to_owned()
}

/// A refusal as `Err`, unless it only says "not found".
pub(super) fn absent(refusal: Refusal, subject: &str) -> Result<()> {
    if refusal.code == 404 { Ok(()) } else { Err(refusal.into_error(subject)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a real server of 2018 answered to patches.
    const RECORDED: &str =
        include_str!("../../../../tests/fixtures/parity/kubernetes-1.11.3/in-place-of-apply.jsonl");

    #[test]
    fn operations_that_do_not_fit_never_will() {
        let answers = RECORDED.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let refusals: Vec<Refusal> = answers
            .filter(|step| step["answer"]["status"] == 500)
            .map(|step| Refusal::parse(500, Some(&step["answer"]["body"]), b""))
            .collect();
        assert!(refusals.len() >= 8, "{refusals:?}");
        for refusal in refusals {
            assert!(!refusal.passes(), "{refusal:?}");
        }
    }

    #[test]
    fn a_server_that_fails_may_recover() {
        let refusal =
            |message: &str| Refusal { code: 500, message: message.to_owned(), ..Refusal::default() };
        assert!(refusal("etcdserver: request timed out").passes());
        assert!(refusal("the object provided is unrecognized: jsonpatch").passes());
    }
}
