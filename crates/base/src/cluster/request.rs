//! One request and its retries: everything that speaks HTTP goes through [`Cluster::call`].

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use http::{HeaderMap, Method, Request, header};
use kube::client::Body;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::expected::Expected;
use super::gate::Attempt;
use super::refusal::Refusal;
use super::{Cluster, ObjectKey};
use crate::error::{Error, Result, code};
use crate::formats::retry_after;

/// How often a request is sent before the API server counts as unreachable.
pub(super) const ATTEMPTS: u32 = 6;
/// How long all attempts of a request may take together.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// How long the API server may take for one attempt; its own limit for webhooks is 30 s.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(20);
/// The backoff after the first failure; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// A request that can be retried.
#[derive(Clone, Debug)]
pub(super) struct ApiCall {
    pub method: Method,
    pub path: String,
    pub content_type: &'static str,
    pub body: Vec<u8>,
    /// How often it may be sent.
    pub attempts: u32,
    /// The expected answer.
    expected: Expected,
}

/// An answer of the API server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ApiAnswer {
    /// It succeeded.
    Done(Value),
    /// It refused.
    Refused(Refusal),
}

/// Why an attempt had no outcome.
#[derive(Debug)]
pub(super) struct FailedAttempt {
    pub error: Error,
    /// Whether the same request may work later.
    retry: bool,
    /// How long the server asks to wait.
    pause: Option<Duration>,
}

impl ApiCall {
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            content_type: "application/json",
            body: Vec::new(),
            attempts: ATTEMPTS,
            expected: Expected::Anything,
        }
    }

    /// A small request like all others.
    pub fn of_system() -> Self {
        let namespace = ObjectKey::new("v1", "Namespace", None, "kube-system");
        Self::get("/api/v1/namespaces/kube-system").expects(Expected::Object(namespace))
    }

    pub fn send(method: Method, path: String, content_type: &'static str, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self { method, path, content_type, body, attempts: ATTEMPTS, expected: Expected::Anything }
    }

    /// The same call, sent only once.
    pub fn once(mut self) -> Self {
        self.attempts = 1;
        self
    }

    /// The same call; any other answer is not from an API server.
    pub fn expects(mut self, expected: Expected) -> Self {
        self.expected = expected;
        self
    }

    fn request(&self) -> Result<Request<Body>> {
        Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, self.content_type)
            .body(Body::from(self.body.clone()))
            .map_err(|error| {
                Error::new(&code::INTERNAL, format!("the request for {} is not valid", bare(&self.path)))
                    .because(error)
            })
    }
}

impl ApiAnswer {
    /// The value, or the refusal as an error about `subject`.
    pub fn done(self, subject: &str) -> Result<Value> {
        match self {
            Self::Done(value) => Ok(value),
            Self::Refused(refusal) => Err(refusal.into_error(subject)),
        }
    }
}

impl Cluster {
    /// Sends a call until the API server has answered it. Every call of kvnet can be sent twice: it reads, applies, or
    /// deletes by uid.
    pub(super) async fn call(&self, call: &ApiCall) -> Result<ApiAnswer> {
        // Boxed: whatever a command does holds such a future, often several.
        let persists = Box::pin(self.persist(call));
        let answer = if call.method == Method::GET {
            let question = || format!("GET {}", call.path);
            Box::pin(self.taped(question, self.unless_gone(persists))).await?
        } else {
            persists.await?
        };
        if let ApiAnswer::Done(value) = &answer {
            self.offers.learn(value);
        }
        Ok(answer)
    }

    async fn persist(&self, call: &ApiCall) -> Result<ApiAnswer> {
        let begin = Instant::now();
        let mut retry = self.retry_policy(call.attempts);
        loop {
            let (sent, until) = (Instant::now(), self.attempt_ends(retry.deadline));
            let mut failure = match self.attempt(call, retry.failures + 1, until).await {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => failure,
            };
            let unanswered =
                [&code::CLUSTER_UNREACHABLE, &code::CLUSTER_ANSWER].contains(&failure.error.code());
            if unanswered {
                self.health.has_failed(sent);
            }
            // With a shorter timeout than usual, the server's Retry-After does not extend it.
            failure.retry &= !(self.hurries() && failure.pause.is_some_and(|pause| pause > self.answer_time));
            let result = retry.wait_after(bare(&call.path), failure).await;
            let Err(error) = result else { continue };
            // A single attempt says nothing about a server that is just coming back.
            if unanswered && (call.attempts > 1 || retry.is_over()) {
                self.give_up(begin, &error).await;
            }
            return Err(error);
        }
    }

    /// How often a request is tried, and for how long.
    pub(super) fn retry_policy(&self, attempts: u32) -> RetryPolicy {
        RetryPolicy { deadline: self.retries_end(), attempts, failures: 0 }
    }

    /// Sends a call once. Its result updates the server's health.
    pub(super) async fn attempt(
        &self,
        call: &ApiCall,
        number: u32,
        until: Instant,
    ) -> Result<ApiAnswer, FailedAttempt> {
        self.login.refresh().await.map_err(FailedAttempt::last)?;
        let mut request = call.request().map_err(FailedAttempt::last)?;
        request.extensions_mut().insert(Attempt(number));
        let exchange = async {
            let response = self.client.send(request).await?;
            let (parts, body) = response.into_parts();
            Ok::<_, kube::Error>((parts, body.collect_bytes().await?))
        };
        let begin = Instant::now();
        let answer = tokio::time::timeout_at(until, exchange).await;
        let answer = answer.map_err(|_| {
            self.health.is_troubled();
            FailedAttempt::again(self.silent_for(begin.elapsed()), None)
        })?;
        let (parts, body) = answer.map_err(|error| self.broken(&error))?;
        for warning in parts.headers.get_all(header::WARNING) {
            tracing::debug!(path = call.path, warning = ?warning, "the API server warns");
        }
        let outcome = self.outcome(call, parts.status.as_u16(), &parts.headers, &body)?;
        self.health.has_answered();
        Ok(outcome)
    }

    fn outcome(
        &self,
        call: &ApiCall,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<ApiAnswer, FailedAttempt> {
        let value = serde_json::from_slice::<Value>(body).ok();
        if (200..300).contains(&status) {
            let value = value.ok_or_else(|| FailedAttempt::last(self.garbage(status, excerpt(body))))?;
            if let Some(why) = call.expected.contradiction(&value) {
                return Err(FailedAttempt::last(self.garbage(status, why)));
            }
            return Ok(ApiAnswer::Done(value));
        }
        let mut refusal = Refusal::parse(status, value.as_ref(), body);
        if let Some(over) = self.login.over().filter(|_| status == 401) {
            refusal.message = format!("{over}; {}", refusal.message);
        }
        if let Some(error) = self.premature(status, &refusal.message) {
            return Err(FailedAttempt::again(error, None));
        }
        if refusal.passes() {
            if status >= 500 {
                self.health.is_troubled();
            }
            let error = self.unavailable(&refusal);
            return Err(FailedAttempt::again(error, retry_after(headers)));
        }
        // A path that is not served is answered with plain text; everything else that is no Status is not Kubernetes.
        if refusal.foreign && status != 404 {
            return Err(FailedAttempt::last(self.garbage(status, excerpt(body))));
        }
        Ok(ApiAnswer::Refused(refusal))
    }

    pub(super) fn broken(&self, error: &kube::Error) -> FailedAttempt {
        self.health.is_troubled();
        let (error, retry) = super::refusal::connection_error(&self.route, error);
        FailedAttempt { error, retry, pause: None }
    }

    pub(super) fn silent(&self) -> Error {
        self.silent_for(self.answer_time)
    }

    fn silent_for(&self, time: Duration) -> Error {
        let seconds = time.as_secs_f64().round().max(1.0);
        Error::new(
            &code::CLUSTER_UNREACHABLE,
            format!("the API server {} did not answer within {seconds} s", self.server),
        )
    }

    pub(super) fn unavailable(&self, refusal: &Refusal) -> Error {
        let message =
            format!("the API server {} cannot serve the request (HTTP {})", self.server, refusal.code);
        Error::new(&code::CLUSTER_UNREACHABLE, message).because(&refusal.message)
    }

    pub(super) fn garbage(&self, status: u16, why: String) -> Error {
        let message = format!("{} does not answer like a Kubernetes API server (HTTP {status})", self.server);
        Error::new(&code::CLUSTER_ANSWER, message).because(why)
    }
}

impl FailedAttempt {
    pub fn last(error: Error) -> Self {
        Self { error, retry: false, pause: None }
    }

    pub fn again(error: Error, pause: Option<Duration>) -> Self {
        Self { error, retry: true, pause }
    }
}

/// How often something is retried, and until when.
pub(super) struct RetryPolicy {
    pub deadline: Instant,
    attempts: u32,
    failures: u32,
}

impl RetryPolicy {
    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    /// Returns when the next attempt may be made; an error when none can help, or there were enough. `subject` is for the
    /// log.
    pub async fn wait_after(&mut self, subject: &str, failure: FailedAttempt) -> Result<()> {
        self.failures += 1;
        let pause = failure.pause.unwrap_or_else(|| back_off(self.failures));
        let left = self.deadline.saturating_duration_since(Instant::now());
        if !failure.retry || self.failures >= self.attempts || pause > left {
            return Err(failure.error);
        }
        tracing::debug!(path = subject, attempt = self.failures, error = %failure.error, "retrying");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// The backoff after `attempt` failures, with jitter between half and all of it.
pub(super) fn back_off(attempt: u32) -> Duration {
    let step = FIRST_PAUSE.saturating_mul(1 << attempt.min(6).saturating_sub(1));
    let random = u32::from(std::hash::RandomState::new().build_hasher().finish().to_le_bytes()[0]);
    step / 2 + step * random / 512
}

/// A path without its query, which may hold more than people are to see.
pub(super) fn bare(path: &str) -> &str {
    path.split('?').next().unwrap_or(path)
}

/// The beginning of a body in one line, enough to recognise what answered.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let line: Vec<&str> = text.split_whitespace().collect();
    let line: String = line.join(" ").chars().filter(|c| !c.is_control()).take(120).collect();
    if line.is_empty() { "the answer is empty".to_owned() } else { format!("`{line}`") }
}
