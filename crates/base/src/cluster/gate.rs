//! What every request and every answer passes: credentials are added, and answers are bounded.

use std::task::{Context, Poll};
use std::time::Instant;

use futures::future::BoxFuture;
use http::{Method, Request, Response, header};
use http_body_util::Limited;
use kube::client::Body;
use tower::{Layer, Service};

use super::login::Login;

/// How many bytes an answer with many objects may have: a page of a list, or the events of a watch.
pub(super) const MOST_OF_MANY: usize = 32 << 20;
/// How many bytes every other answer may have; the API server's own limit for an object is smaller.
pub(super) const MOST_OF_ONE: usize = 8 << 20;

/// Puts the gate around a client.
pub(super) struct GateLayer(pub Login);

/// A client of a fake server: its requests are logged and bounded as for a real one.
pub fn client_of<S, B>(service: S) -> kube::Client
where
    S: Service<Request<Body>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<tower::BoxError>,
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<tower::BoxError>,
{
    kube::Client::new(GateLayer(Login::default()).layer(service), "default")
}

pub(super) struct Gate<S> {
    inner: S,
    login: Login,
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, login: self.0.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Limited<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if let Some(header) = self.login.header() {
            request.headers_mut().insert(header::AUTHORIZATION, header);
        }
        let most = most(request.uri().query().unwrap_or_default());
        let seen = Logged::of(&request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            seen.tell(answer.as_ref().ok().map(|answer| answer.status().as_u16()));
            Ok(answer?.map(|body| Limited::new(body, most)))
        })
    }
}

/// What is logged about a request: never a body, a header, or a query's values.
struct Logged {
    method: Method,
    path: String,
    query: String,
    attempt: u32,
    begin: Instant,
}

impl Logged {
    fn of(request: &Request<Body>) -> Self {
        let uri = request.uri();
        Self {
            method: request.method().clone(),
            path: uri.path().to_owned(),
            query: told(uri.query().unwrap_or_default()),
            attempt: request.extensions().get::<Attempt>().map_or(1, |attempt| attempt.0),
            begin: Instant::now(),
        }
    }

    /// None: there was no answer.
    fn tell(&self, status: Option<u16>) {
        let Self { method, path, query, attempt, begin } = self;
        let ms = u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        tracing::trace!(target: "kvnet::api", %method, path, query, %status, ms, attempt, "request");
    }
}

/// Which attempt a request is.
#[derive(Clone, Copy)]
pub(super) struct Attempt(pub u32);

/// Query parameters whose values are not secret; of the others only the names are logged.
fn told(query: &str) -> String {
    const OPEN: &str = "allowWatchBookmarks container fieldManager fieldSelector force labelSelector limit \
        resourceVersion tailLines watch";
    let parts = query.split('&').filter(|part| !part.is_empty());
    let parts = parts.map(|part| match part.split_once('=') {
        Some((name, _)) if !OPEN.split(' ').any(|open| open == name) => format!("{name}=…"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

fn most(query: &str) -> usize {
    let many = query.split('&').any(|part| part.starts_with("limit=") || part == "watch=true");
    if many { MOST_OF_MANY } else { MOST_OF_ONE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tells_no_values_that_may_be_secret() {
        assert_eq!(told("limit=500&labelSelector=a%3Db"), "limit=500&labelSelector=a%3Db");
        assert_eq!(told("command=sh&command=s3cret&continue=eyJ"), "command=…&command=…&continue=…");
        assert_eq!(told(""), "");
    }

    #[test]
    fn a_list_may_be_longer_than_an_object() {
        assert_eq!(most("limit=500"), MOST_OF_MANY);
        assert_eq!(most("a=b&watch=true"), MOST_OF_MANY);
        assert_eq!(most("fieldManager=kvnet"), MOST_OF_ONE);
    }
}
