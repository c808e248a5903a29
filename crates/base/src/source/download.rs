//! One download: limits, redirects, and retries where a retry can help.

use std::error::Error as _;
use std::hash::{BuildHasher, Hasher};
use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Response, StatusCode, Url};

use crate::error::{Error, Result, code};
use crate::formats::retry_after;
use crate::manifest::MAX_BYTES;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_REDIRECTS: usize = 5;
/// A server that asks for a longer wait counts as down.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The retries and their backoff.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) attempts: u32,
    /// The pause before the second attempt; it doubles from there.
    pub(crate) first: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { attempts: 4, first: Duration::from_millis(500) }
    }
}

impl Backoff {
    /// Jitter between half and all of the doubled pause, so that many nodes do not retry at once.
    pub(crate) fn pause(self, attempt: u32) -> Duration {
        let whole = self.first.saturating_mul(1 << attempt.min(10)).min(LONGEST_WAIT);
        let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let part = u32::try_from(random % 1000).unwrap_or_default();
        whole / 2 + whole / 2 * part / 1000
    }
}

/// A client for `url`: total and connect time limits, few redirects, never from https to http.
///
/// The proxy variables hold, except for this machine itself.
///
/// Bytes whose digest is not `known` come over plain http only from this machine, even after a redirect.
pub(crate) fn client(url: &Url, timeout: Duration, known: bool) -> Result<Client> {
    // A no-op where main has installed it; without any, reqwest would panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .user_agent(concat!("kvnet/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .redirect(Policy::custom(move |attempt| redirect(attempt, known)));
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| {
        Error::new(&code::SOURCE_DOWNLOAD, "the HTTP client cannot be set up").because(error)
    })
}

/// Downloads `url`, retrying transient failures; no pause is longer than `most`.
pub(super) async fn fetch(client: &Client, url: &Url, backoff: Backoff, most: Duration) -> Result<Vec<u8>> {
    let mut attempt = 0;
    loop {
        let failure = match fetch_once(client, url).await {
            Ok(bytes) => return Ok(bytes),
            Err(failure) => failure,
        };
        let pause = match failure.retry {
            Retry::Later if attempt + 1 < backoff.attempts => backoff.pause(attempt),
            Retry::After(pause) if attempt + 1 < backoff.attempts => pause,
            _ => return Err(failure.error),
        };
        tracing::debug!(target: "kvnet::download", error = %failure.error, ?pause, "the download is tried again");
        tokio::time::sleep(pause.min(most)).await;
        attempt += 1;
    }
}

/// A URL without its secrets.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.into()
}

struct Failure {
    error: Error,
    retry: Retry,
}

/// Whether another attempt can help.
#[derive(Clone, Copy)]
enum Retry {
    Never,
    Later,
    /// After the server's Retry-After.
    After(Duration),
}

impl Failure {
    fn lasting(error: Error) -> Self {
        Self { error, retry: Retry::Never }
    }
}

async fn fetch_once(client: &Client, url: &Url) -> Result<Vec<u8>, Failure> {
    let started = Instant::now();
    let response = client.get(url.clone()).send().await;
    let (ms, url_shown) = (started.elapsed().as_millis(), shown(url));
    let status = response.as_ref().map_or_else(|_| "none".to_owned(), |it| it.status().as_u16().to_string());
    tracing::debug!(target: "kvnet::download", url = url_shown, %status, ms, "downloading");
    let response = response.map_err(|error| transport(url, error))?;
    check_status(url, &response)?;
    let is_html = content_type(&response).contains("text/html");
    let bytes = body(url, response).await?;
    if is_html || looks_like_html(&bytes) {
        let error =
            Error::new(&code::SOURCE_REFUSED, "the answer is a web page, not a manifest").at(shown(url));
        return Err(Failure::lasting(
            error.hint("use the URL of the file itself, and check what a proxy answers"),
        ));
    }
    Ok(bytes)
}

fn check_status(url: &Url, response: &Response) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let message = format!("the server answered {status}");
    if is_transient(status) {
        let error = Error::new(&code::SOURCE_DOWNLOAD, message).at(shown(url));
        let asked = retry_after(response.headers());
        let retry = asked.map_or(Retry::Later, |pause| Retry::After(pause.min(LONGEST_WAIT)));
        return Err(Failure { error, retry });
    }
    let mut error = Error::new(&code::SOURCE_REFUSED, message).at(shown(url));
    if let Some(target) = status.is_redirection().then(|| response.headers().get(LOCATION)).flatten() {
        error = error.because(format!("a redirect to {target:?} is not followed"));
    }
    Err(Failure::lasting(error))
}

pub(crate) fn is_transient(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_ascii_lowercase()
}

async fn body(url: &Url, response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| transport(url, error))?;
        if bytes.len() + part.len() > MAX_BYTES {
            let message = format!("the download is bigger than {MAX_BYTES} bytes");
            return Err(Failure::lasting(Error::new(&code::SOURCE_TOO_BIG, message).at(shown(url))));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn looks_like_html(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]).trim_start().to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

fn transport(url: &Url, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let cause = innermost(&error);
    // Neither changes with a retry.
    let lasting = error.is_redirect() || error.is_builder() || cause.contains("certificate");
    let code = if error.is_redirect() { &code::SOURCE_REFUSED } else { &code::SOURCE_DOWNLOAD };
    let message = if error.is_timeout() { "the download took too long" } else { "the download failed" };
    let error = Error::new(code, message).at(shown(url)).because(cause);
    Failure { error, retry: if lasting { Retry::Never } else { Retry::Later } }
}

/// The last cause in the chain is the actionable one.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

fn redirect(attempt: Attempt<'_>, known: bool) -> reqwest::redirect::Action {
    match redirect_problem(attempt.previous(), attempt.url(), known) {
        Some(problem) => attempt.error(problem),
        None => attempt.follow(),
    }
}

fn redirect_problem(previous: &[Url], next: &Url, known: bool) -> Option<String> {
    if previous.len() > MAX_REDIRECTS {
        return Some(format!("more than {MAX_REDIRECTS} redirects"));
    }
    let from_https = previous.last().is_some_and(|url| url.scheme() == "https");
    let plain = next.scheme() == "http" && !from_https && (known || is_loopback(next));
    let safe = next.scheme() == "https" || plain;
    (!safe).then(|| format!("a redirect to {} is not safe", shown(next)))
}

/// Whether an address is of this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[path = "download_tests.rs"]
mod tests;
