//! The API server of a sandbox on a port of this machine: a cluster of which this machine is no node.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use kvnet_base::profile;
use kvnet_sandbox::{Options, Sandbox};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// A sandbox that answers on loopback for as long as this lives.
pub struct Served {
    pub address: String,
    pub sandbox: Sandbox,
    _runtime: Runtime,
}

/// Starts it.
pub fn served(options: &Options) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (sandbox, address) = runtime.block_on(async {
        let sandbox = Sandbox::open(options, &profile::load("default", &[]).unwrap().profile).unwrap();
        sandbox.settle().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let client = sandbox.api().client();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connection(stream, client.clone()));
            }
        });
        (sandbox, address)
    });
    Served { address, sandbox, _runtime: runtime }
}

async fn connection(stream: TcpStream, client: kube::Client) {
    let service = hyper::service::service_fn(move |request| pass_on(client.clone(), request));
    // A client that goes away ends it.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn pass_on(
    client: kube::Client,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    // The pipe behind the client has a length of its own.
    parts.headers.remove(http::header::CONTENT_LENGTH);
    let answer = client.send(Request::from_parts(parts, kube::client::Body::from(body))).await;
    let Ok(answer) = answer else {
        return Ok(Response::builder().status(502).body(Full::default()).unwrap());
    };
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(http::header::TRANSFER_ENCODING);
    let body = body.collect_bytes().await.unwrap_or_default();
    Ok(Response::from_parts(parts, Full::new(body)))
}
