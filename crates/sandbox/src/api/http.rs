//! The transport for kube's client: HTTP over a pipe inside the process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderMap, Method, Request, Response, header};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::DuplexStream;

use super::asked::Asked;
use super::door::Answered;
use super::status::Status;
use super::{ApiServer, streams, watch};

/// As much as a pipe holds before its writer waits.
const PIPE: usize = 64 * 1024;

/// A request that reached the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// `GET`, `PATCH`.
    pub method: String,
    /// The path with the query.
    pub path: String,
    /// The user agent.
    pub user_agent: String,
}

/// Injects faults into requests.
pub trait Interference: Send + Sync {
    /// The fault for a request, if any.
    fn fault(&self, request: &ReceivedRequest) -> Option<Fault>;
}

/// A fault of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server rejects it with a `Status`.
    Status {
        /// The HTTP status.
        code: u16,
        /// `TooManyRequests`.
        reason: &'static str,
        /// For people.
        message: String,
        /// Seconds, for the header `Retry-After`.
        retry_after: Option<u32>,
    },
    /// The connection breaks before the request is served.
    Reset,
    /// The request is served, but the connection breaks before the answer.
    ResetAfter,
    /// No answer; a watch is opened, but never sends an event.
    Silence,
    /// The request is served, but the answer is truncated.
    Truncated,
    /// Something other than Kubernetes answers.
    Garbage(String),
}

/// What a response carries.
type Body = UnsyncBoxBody<Bytes, io::Error>;

impl ApiServer {
    /// A client that talks to this server and to nothing else.
    pub fn client(&self) -> kube::Client {
        let server = self.clone();
        let service =
            tower::service_fn(move |request: Request<kube::client::Body>| server.clone().exchange(request));
        crate::cluster::client_of(service)
    }

    async fn exchange(self, request: Request<kube::client::Body>) -> hyper::Result<Response<Incoming>> {
        let (near, far) = tokio::io::duplex(PIPE);
        tokio::spawn(self.serve(far));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await
    }

    async fn serve(self, pipe: DuplexStream) {
        let service = hyper::service::service_fn(move |request| self.clone().respond(request));
        let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(pipe), service);
        // A client may disconnect at any time.
        let _ = served.with_upgrades().await;
    }

    async fn respond(self, request: Request<Incoming>) -> io::Result<Response<Body>> {
        let seen = seen(&request);
        self.saw(seen.clone());
        let fault = self.interference().and_then(|interference| interference.fault(&seen));
        match fault {
            None => self.serve_request(request).await,
            Some(Fault::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
            Some(Fault::ResetAfter) => {
                self.serve_request(request).await?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Some(Fault::Silence) if seen.path.contains("watch=true") => Ok(streamed(stream::pending())),
            Some(Fault::Silence) => std::future::pending().await,
            Some(Fault::Truncated) => Ok(truncated(self.serve_request(request).await?).await),
            Some(Fault::Garbage(text)) => Ok(plain(200, text)),
            Some(Fault::Status { code, reason, message, retry_after }) => {
                let status = Status { code, reason, message, ..Status::default() };
                let mut response = json(code, &status.json());
                if let Some(seconds) = retry_after {
                    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
                }
                Ok(response)
            }
        }
    }

    async fn serve_request(&self, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
        let upgrade = streams::wants_upgrade(request.headers()).then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let asked = Asked {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: super::route::query(parts.uri.query().unwrap_or_default()),
            content_type: text_of(&parts.headers, header::CONTENT_TYPE),
            user_agent: text_of(&parts.headers, header::USER_AGENT),
            body: body.to_vec(),
        };
        let answered = self.answer(&asked);
        Ok(match answered {
            Ok(Answered::Json(code, value)) => json(code, &value),
            Ok(Answered::Text(code, text)) => plain(code, text),
            Ok(Answered::Watch(start)) => streamed(watch::events(self.clone(), *start)),
            Ok(Answered::Log(log)) => {
                streams::log(self, log).await.map_or_else(|status| refused(&status), |text| plain(200, text))
            }
            Ok(Answered::Session(session)) => match upgrade {
                Some(upgrade) => streams::open(self, session, upgrade, &parts.headers)
                    .map_or_else(|status| refused(&status), |response| response.map(|()| empty())),
                None => refused(&Status::bad_request("Upgrade request required")),
            },
            Err(status) => refused(&status),
        })
    }
}

fn seen(request: &Request<Incoming>) -> ReceivedRequest {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    ReceivedRequest {
        method: if request.method() == Method::GET { "GET".into() } else { request.method().to_string() },
        path: path.to_owned(),
        user_agent: text_of(request.headers(), header::USER_AGENT),
    }
}

fn text_of(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn refused(status: &Status) -> Response<Body> {
    json(status.code, &status.json())
}

fn json(code: u16, value: &Value) -> Response<Body> {
    respond(code, "application/json", format!("{value}\n"))
}

fn plain(code: u16, text: String) -> Response<Body> {
    respond(code, "text/plain; charset=utf-8", text)
}

fn respond(code: u16, content_type: &'static str, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = ::http::StatusCode::from_u16(code).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

fn empty() -> Body {
    Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync()
}

fn streamed(lines: impl Stream<Item = Value> + Send + 'static) -> Response<Body> {
    let frames = lines.map(|line| Ok(Frame::data(Bytes::from(format!("{line}\n")))));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// The first half of a response, and then the end of the connection.
async fn truncated(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    // A watch has no end to wait for: it breaks off at once.
    let whole = tokio::time::timeout(Duration::from_millis(1), body.collect()).await;
    let whole = whole.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    parts.headers.remove(header::CONTENT_LENGTH);
    let half = whole.slice(..whole.len() / 2);
    let frames = stream::iter([Ok(Frame::data(half)), Err(io::ErrorKind::UnexpectedEof.into())]);
    Response::from_parts(parts, StreamBody::new(frames).boxed_unsync())
}

/// Nothing goes wrong.
impl Interference for () {
    fn fault(&self, _: &ReceivedRequest) -> Option<Fault> {
        None
    }
}

/// Tries several; the first fault counts.
impl Interference for Vec<Arc<dyn Interference>> {
    fn fault(&self, request: &ReceivedRequest) -> Option<Fault> {
        self.iter().find_map(|one| one.fault(request))
    }
}
