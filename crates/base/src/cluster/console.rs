//! The serial console of a virtual machine: bytes both ways over a WebSocket of KubeVirt's API.

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::Value;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Message, protocol::Role};

use super::Cluster;
use super::key::segment;
use super::refusal::Refusal;
use super::request::{ATTEMPTS, FailedAttempt};
use crate::error::{Error, Result, code};

/// KubeVirt's protocol for a stream of plain bytes. kube's own connections insist on the protocols of `kubectl exec`.
const PROTOCOL: &str = "plain.kubevirt.io";

/// The versions in which KubeVirt has served consoles, the newest first.
const VERSIONS: [&str; 3] = ["v1", "v1alpha3", "v1alpha2"];

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// An open serial console. KubeVirt allows one for each machine: a new one disconnects the previous one.
pub struct Console {
    /// What the guest reads.
    pub input: ConsoleInput,
    /// What the guest writes.
    pub output: ConsoleOutput,
}

/// The guest's keyboard.
pub struct ConsoleInput(SplitSink<Socket, Message>);

/// The guest's screen.
pub struct ConsoleOutput(SplitStream<Socket>);

impl Cluster {
    /// Opens the serial console of a running virtual machine instance.
    /// Fails with `KVN626` when there is no such machine, it does not run or has no console; `KVN301`, `KVN302`.
    pub async fn console(&self, namespace: &str, name: &str) -> Result<Console> {
        let subject = format!("the console of {namespace}/{name}");
        let mut retry = self.retry_policy(ATTEMPTS);
        loop {
            // A credential plugin has its own timeout.
            self.login.refresh().await?;
            let until = self.attempt_ends(retry.deadline);
            let opened = tokio::time::timeout_at(until, self.open_console(namespace, name, &subject)).await;
            match opened.unwrap_or_else(|_| Err(FailedAttempt::again(self.silent(), None))) {
                Ok(console) => return Ok(console),
                Err(failure) => retry.wait_after(&subject, failure).await?,
            }
        }
    }

    async fn open_console(
        &self,
        namespace: &str,
        name: &str,
        subject: &str,
    ) -> Result<Console, FailedAttempt> {
        let mut refused = FailedAttempt::last(unusable(subject));
        for version in VERSIONS {
            let response = self.ask_for_console(version, namespace, name, subject).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                let socket = upgraded(response, subject).await.map_err(FailedAttempt::last)?;
                let (input, output) = socket.split();
                return Ok(Console { input: ConsoleInput(input), output: ConsoleOutput(output) });
            }
            let (is_served, failure) = self.refused_console(response, subject).await;
            refused = failure;
            if is_served {
                break;
            }
        }
        Err(refused)
    }

    async fn ask_for_console(
        &self,
        version: &str,
        namespace: &str,
        name: &str,
        subject: &str,
    ) -> Result<Response<Body>, FailedAttempt> {
        let namespace = segment("namespace", namespace).map_err(FailedAttempt::last)?;
        let name = segment("VirtualMachineInstance", name).map_err(FailedAttempt::last)?;
        let path = format!(
            "/apis/subresources.kubevirt.io/{version}/namespaces/{namespace}/virtualmachineinstances/{name}/console"
        );
        let request = Request::get(path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL)
            .body(Body::empty())
            .map_err(|error| {
                let error = Error::new(&code::INTERNAL, format!("{subject}: not a request")).because(error);
                FailedAttempt::last(error)
            })?;
        self.client.send(request).await.map_err(|error| self.broken(&error))
    }

    /// Whether that version is served at all, and the server's reason: KubeVirt answers with a `Status` like the API
    /// server, which answers unknown paths with plain text.
    async fn refused_console(&self, response: Response<Body>, subject: &str) -> (bool, FailedAttempt) {
        let status = response.status().as_u16();
        let bytes = match response.into_body().collect_bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return (true, self.broken(&error)),
        };
        let value = serde_json::from_slice::<Value>(&bytes).ok();
        let refusal = Refusal::parse(status, value.as_ref(), &bytes);
        let is_served = status != 404 || value.is_some();
        let failure = match status {
            401 | 403 => FailedAttempt::last(refusal.into_error(subject)),
            200..300 => FailedAttempt::last(self.garbage(status, refusal.message)),
            _ if refusal.passes() => FailedAttempt::again(self.unavailable(&refusal), None),
            _ => FailedAttempt::last(unusable(subject).because(refusal.message)),
        };
        (is_served, failure)
    }
}

impl ConsoleInput {
    /// Types bytes.
    /// Fails with `KVN626` when the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let sent = self.0.send(Message::binary(bytes.to_vec())).await;
        sent.map_err(|error| lost().because(error))
    }

    /// Closes the connection; fine when it is closed already.
    pub async fn close(&mut self) {
        let _ = self.0.close().await;
    }
}

impl ConsoleOutput {
    /// The next bytes; none when the other side has closed the connection.
    /// Fails with `KVN626` when it broke.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        while let Some(message) = self.0.next().await {
            match message.map_err(|error| lost().because(error))? {
                Message::Binary(bytes) => return Ok(Some(bytes.to_vec())),
                Message::Text(text) => return Ok(Some(text.as_bytes().to_vec())),
                Message::Close(_) => return Ok(None),
                // The library answers pings itself.
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(None)
    }
}

async fn upgraded(response: Response<Body>, subject: &str) -> Result<Socket> {
    let protocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    if protocol.is_some_and(|protocol| protocol != HeaderValue::from_static(PROTOCOL)) {
        return Err(unusable(subject).because(format!("the server speaks {protocol:?}")));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(|error| unusable(subject).because(error))?;
    Ok(WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await)
}

fn unusable(subject: &str) -> Error {
    Error::new(&code::CONSOLE, format!("{subject} cannot be opened"))
}

fn lost() -> Error {
    Error::new(&code::CONSOLE, "the connection to the console was lost")
        .hint("a console that another user opens disconnects the previous one")
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::accept_hdr_async;
    use tokio_tungstenite::tungstenite::handshake::server;

    use super::*;

    /// A guest that answers each message with itself in brackets, behind an API server that accepts one connection.
    async fn server(answer: Option<(u16, &'static str)>) -> Cluster {
        serving("v1", answer).await
    }

    /// One that knows a single version of KubeVirt.
    async fn serving(version: &'static str, answer: Option<(u16, &'static str)>) -> Cluster {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(guest(stream, version, answer));
            }
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new(format!("http://{address}").parse().unwrap());
        Cluster::from_client(kube::Client::try_from(config).unwrap())
    }

    async fn guest(stream: TcpStream, version: &'static str, answer: Option<(u16, &'static str)>) {
        #[allow(clippy::result_large_err, reason = "the type is the library's")]
        let check = |request: &server::Request, mut response: server::Response| {
            let path = format!(
                "/apis/subresources.kubevirt.io/{version}/namespaces/n/virtualmachineinstances/vm/console"
            );
            let answer =
                if request.uri().path() == path { answer } else { Some((404, "404 page not found")) };
            if let Some((status, body)) = answer {
                return Err(Response::builder().status(status).body(Some(body.to_owned())).unwrap());
            }
            assert_eq!(request.headers()[header::SEC_WEBSOCKET_PROTOCOL], PROTOCOL);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
            Ok(response)
        };
        let Ok(mut guest) = accept_hdr_async(stream, check).await else { return };
        guest.send(Message::Ping(Vec::new().into())).await.unwrap();
        while let Some(Ok(Message::Binary(bytes))) = guest.next().await {
            if &bytes[..] == b"bye" {
                break;
            }
            guest.send(Message::binary([b"<", &bytes[..], b">"].concat())).await.unwrap();
        }
        guest.close(None).await.unwrap();
    }

    #[tokio::test]
    async fn an_older_kubevirt_serves_an_older_version() {
        for version in VERSIONS {
            let mut console = serving(version, None).await.console("n", "vm").await.unwrap();
            console.input.send(b"a").await.unwrap();
            assert_eq!(console.output.next().await.unwrap().unwrap(), b"<a>", "{version}");
        }
        let error = serving("v9", None).await.console("n", "vm").await.err().unwrap();
        assert_eq!((error.code().id, error.cause()), ("KVN626", Some("`404 page not found`")));
    }

    #[tokio::test]
    async fn bytes_go_both_ways_until_one_side_ends() {
        let mut console = server(None).await.console("n", "vm").await.unwrap();
        console.input.send(b"\x03\xff").await.unwrap();
        assert_eq!(console.output.next().await.unwrap().unwrap(), b"<\x03\xff>");
        console.input.send(b"bye").await.unwrap();
        assert_eq!(console.output.next().await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_refusal_is_told_in_the_servers_words() {
        let status = r#"{"kind":"Status","status":"FailedAttempt","code":404,"message":"virtualmachineinstance \"vm\" not found"}"#;
        let error = server(Some((404, status))).await.console("n", "vm").await.err().unwrap();
        assert_eq!(
            (error.code().id, error.cause()),
            ("KVN626", Some("virtualmachineinstance \"vm\" not found"))
        );
        let status = r#"{"kind":"Status","status":"FailedAttempt","code":403,"message":"no"}"#;
        let error = server(Some((403, status))).await.console("n", "vm").await.err().unwrap();
        assert_eq!(error.code().id, "KVN302");
    }
}
