//! Requests to a registry: its address, logins, retries, and which failure means what.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use super::RegistryOptions;
use super::auth::{Challenge, basic};
use super::document::{accepted, damaged};
use crate::error::{Error, Result, code};
use crate::formats::retry_after;
use crate::manifest::{HUB, Reference};
use crate::redact::{self, know};
use crate::source::download::{self, Backoff, innermost, is_loopback, is_transient, shown};

/// What a registry has to accept as the size of a manifest, and enough for a configuration.
const MOST: usize = 4 << 20;
/// Of an answer that is an error.
const MOST_OF_ERROR: usize = 16 << 10;
/// A registry that asks for a longer wait is not waited for.
const LONGEST: Duration = Duration::from_secs(30);
const DIGEST: &str = "docker-content-digest";

pub(super) struct Client {
    options: RegistryOptions,
    pub(super) backoff: Backoff,
    known: Mutex<Known>,
}

/// What was found out about registries.
#[derive(Default)]
struct Known {
    /// How each is reached.
    bases: BTreeMap<String, Base>,
    /// The header that a registry wants, by registry and repository: tokens are for one.
    headers: BTreeMap<(String, String), String>,
}

#[derive(Clone)]
struct Base {
    http: reqwest::Client,
    url: String,
}

/// A manifest as it was sent.
pub(super) struct Found {
    pub(super) bytes: Vec<u8>,
    pub(super) digest: String,
    pub(super) media_type: String,
}

struct Failure {
    error: Error,
    retry: Retry,
}

/// Whether another attempt can help.
enum Retry {
    Never,
    Later,
    After(Duration),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, retry: Retry::Never }
    }
}

impl Client {
    pub(super) fn new(options: RegistryOptions) -> Self {
        Self { options, backoff: Backoff::default(), known: Mutex::default() }
    }

    /// The manifest or index of an image, whose bytes have the digest.
    pub(super) async fn manifest(&self, image: &Reference) -> Result<Found> {
        let path = format!("manifests/{}", image.wanted());
        self.patiently(async || {
            let response = self.ask(image, Method::GET, &path).await?;
            let header = |name: &str| {
                response
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default()
                    .to_owned()
            };
            let (stated, media_type) = (header(DIGEST), header(CONTENT_TYPE.as_str()));
            let bytes = body(image, response, MOST).await?;
            let digest = redact::digest(&bytes);
            let wanted = image.digest().unwrap_or(&stated);
            if digest != wanted && wanted.starts_with("sha256:") {
                let message = format!("the registry sent bytes with the digest {digest} for {wanted}");
                return Err(damaged(image, &message).into());
            }
            let media_type = media_type.split(';').next().unwrap_or_default().trim().to_owned();
            Ok(Found { bytes, digest, media_type })
        })
        .await
    }

    /// The digest that the registry states for an image; none when it states none.
    pub(super) async fn head(&self, image: &Reference) -> Result<Option<String>> {
        let path = format!("manifests/{}", image.wanted());
        self.patiently(async || {
            let response = match self.ask(image, Method::HEAD, &path).await {
                Err(failure) if failure.error.code() == &code::REGISTRY_DAMAGED => return Ok(None),
                response => response?,
            };
            let stated = response.headers().get(DIGEST).and_then(|value| value.to_str().ok());
            Ok(stated.filter(|digest| digest.starts_with("sha256:")).map(str::to_owned))
        })
        .await
    }

    /// A small blob by its digest.
    pub(super) async fn blob(&self, image: &Reference, digest: &str) -> Result<Vec<u8>> {
        let path = format!("blobs/{digest}");
        self.patiently(async || {
            let response = self.ask(image, Method::GET, &path).await?;
            let bytes = body(image, response, MOST).await?;
            let found = redact::digest(&bytes);
            if found != digest {
                let message = format!("the registry sent bytes with the digest {found} for {digest}");
                return Err(damaged(image, &message).into());
            }
            Ok(bytes)
        })
        .await
    }

    /// Tries again what may pass.
    async fn patiently<T>(&self, attempt: impl AsyncFn() -> Result<T, Failure>) -> Result<T> {
        let mut tried = 0;
        loop {
            let failure = match attempt().await {
                Ok(found) => return Ok(found),
                Err(failure) => failure,
            };
            let pause = match failure.retry {
                Retry::Later if tried + 1 < self.backoff.attempts => self.backoff.pause(tried),
                Retry::After(pause) if tried + 1 < self.backoff.attempts => pause,
                _ => return Err(failure.error),
            };
            tracing::debug!(target: "kvnet::download", error = %failure.error, ?pause, "a registry is asked again");
            tokio::time::sleep(pause).await;
            tried += 1;
        }
    }

    /// The answer to one request, after a login if the registry wants one.
    async fn ask(&self, image: &Reference, method: Method, path: &str) -> Result<Response, Failure> {
        let base = self.base(image).await?;
        let url = format!("{}/v2/{}/{path}", base.url, image.repository());
        let request = |header: Option<&String>| {
            let request = base.http.request(method.clone(), &url).header(ACCEPT, accepted());
            match header {
                Some(header) => request.header(AUTHORIZATION, header),
                None => request,
            }
        };
        let key = (image.registry().to_owned(), image.repository().to_owned());
        let header = self.known().headers.get(&key).cloned();
        let mut response = send(image, request(header.as_ref())).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            let header = self.login(image, &response).await?;
            response = send(image, request(Some(&header))).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                self.known().headers.insert(key, header);
            }
        }
        if response.status().is_success() { Ok(response) } else { Err(self.failure(image, response).await) }
    }

    /// The header `Authorization` that a refusal asks for.
    async fn login(&self, image: &Reference, refusal: &Response) -> Result<String, Failure> {
        let mut challenges =
            refusal.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let login = self.options.credentials.of(image.registry());
        match challenges.find_map(Challenge::parse) {
            Some(Challenge::Basic) => match login {
                Some(login) => Ok(basic(login)),
                None => Err(self.denied(image, "the registry wants a login").into()),
            },
            Some(Challenge::Bearer { realm, service, .. }) => {
                self.token(image, &realm, service.as_deref()).await
            }
            None => Err(self
                .denied(image, "the registry wants a login of a kind that kvnet does not know")
                .into()),
        }
    }

    /// A token that allows to pull from one repository, and nothing else.
    async fn token(&self, image: &Reference, realm: &str, service: Option<&str>) -> Result<String, Failure> {
        let mut url = Url::parse(realm)
            .ok()
            .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
            .ok_or_else(|| self.denied(image, "the registry names an address for logins that is not safe"))?;
        let scope = format!("repository:{}:pull", image.repository());
        url.query_pairs_mut()
            .extend_pairs(service.map(|service| ("service", service)))
            .append_pair("scope", &scope);
        let http = download::client(&url, self.options.timeout, false)?;
        let mut request = http.get(url);
        if let Some(login) = self.options.credentials.of(image.registry()) {
            request = request.header(AUTHORIZATION, basic(login));
        }
        let response = send(image, request).await?;
        if !response.status().is_success() {
            return Err(self.failure(image, response).await);
        }
        let bytes = body(image, response, MOST).await?;
        let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = ["token", "access_token"].iter().find_map(|name| json[*name].as_str());
        match token.filter(|token| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())) {
            Some(token) => {
                know(token);
                Ok(format!("Bearer {token}"))
            }
            None => Err(damaged(image, "the registry's login service sent no token").into()),
        }
    }

    /// How a registry is reached. Only one on this machine may do without TLS.
    async fn base(&self, image: &Reference) -> Result<Base, Failure> {
        let registry = image.registry();
        if let Some(base) = self.known().bases.get(registry) {
            return Ok(base.clone());
        }
        let host = if registry == HUB { format!("registry-1.{HUB}") } else { registry.to_owned() };
        let secure = format!("https://{host}");
        let url = Url::parse(&secure)
            .map_err(|error| unreachable(image, "its address is invalid").because(error))?;
        let http = download::client(&url, self.options.timeout, false)?;
        let mut base = Base { http, url: secure };
        if is_loopback(&url)
            && let Err(error) = base.http.get(format!("{}/v2/", base.url)).send().await
            && error.is_connect()
            && !innermost(&error).contains("certificate")
        {
            base.url = format!("http://{host}");
        }
        self.known().bases.insert(registry.to_owned(), base.clone());
        Ok(base)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn failure(&self, image: &Reference, response: Response) -> Failure {
        let (status, after) = (response.status(), retry_after(response.headers()));
        let said = said(response).await;
        let with = |error: Error| match &said {
            Some(said) => error.because(said),
            None => error,
        };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                with(self.denied(image, &format!("the registry answered {status}"))).into()
            }
            StatusCode::NOT_FOUND => {
                let message = format!("the registry does not have `{}`", image.wanted());
                with(Error::new(&code::REGISTRY_MISSING, message).at(image.to_string())).into()
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let error =
                    with(Error::new(&code::REGISTRY_LIMIT, format!("the registry answered {status}")))
                        .at(image.to_string());
                let retry = match after {
                    Some(pause) if pause > LONGEST => Retry::Never,
                    Some(pause) => Retry::After(pause),
                    None => Retry::Later,
                };
                Failure { error, retry }
            }
            status if is_transient(status) => {
                let error = with(unreachable(image, &format!("the registry answered {status}")));
                Failure { error, retry: Retry::Later }
            }
            status => with(damaged(image, &format!("the registry answered {status}"))).into(),
        }
    }

    fn denied(&self, image: &Reference, message: &str) -> Error {
        let error = Error::new(&code::REGISTRY_DENIED, message).at(image.to_string());
        error.hint(self.options.credentials.hint(image.registry()))
    }
}

async fn send(image: &Reference, request: RequestBuilder) -> Result<Response, Failure> {
    let started = Instant::now();
    let (http, request) = request.build_split();
    let request =
        request.map_err(|error| unreachable(image, "its address is invalid").because(error.without_url()))?;
    let (method, url) = (request.method().clone(), shown(request.url()));
    let response = http.execute(request).await;
    let status = response.as_ref().map_or_else(|_| "none".to_owned(), |it| it.status().as_u16().to_string());
    let ms = started.elapsed().as_millis();
    tracing::debug!(target: "kvnet::download", %method, url, %status, ms, "asking a registry");
    response.map_err(|error| transport(image, &url, error))
}

fn transport(image: &Reference, url: &str, error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let cause = innermost(&error);
    let is_distrusted = cause.contains("certificate");
    let message =
        if error.is_timeout() { format!("{url} takes too long") } else { format!("{url} cannot be reached") };
    let mut told = unreachable(image, &message).because(cause);
    if is_distrusted {
        told = told.hint("add the registry's CA to those of this machine, or name its file in SSL_CERT_FILE");
    }
    // Neither changes with a retry.
    let lasting = error.is_redirect() || error.is_builder() || is_distrusted;
    Failure { error: told, retry: if lasting { Retry::Never } else { Retry::Later } }
}

async fn body(image: &Reference, response: Response, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| Failure {
            error: damaged(image, "the registry's answer ended early")
                .because(innermost(&error.without_url())),
            retry: Retry::Later,
        })?;
        if bytes.len() + part.len() > most {
            return Err(damaged(image, &format!("the registry's answer is bigger than {most} bytes")).into());
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

/// The registry's own words about an error.
async fn said(response: Response) -> Option<String> {
    let mut bytes = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(Ok(part)) = stream.next().await {
        bytes.extend_from_slice(&part);
        if bytes.len() > MOST_OF_ERROR {
            return None;
        }
    }
    let json: Value = serde_json::from_slice(&bytes).ok()?;
    let first = &json["errors"][0];
    let text =
        first["message"].as_str().or_else(|| json["details"].as_str()).filter(|text| !text.is_empty())?;
    Some(text.chars().take(300).collect())
}

fn unreachable(image: &Reference, message: &str) -> Error {
    Error::new(&code::REGISTRY_UNREACHABLE, message).at(image.to_string())
}
