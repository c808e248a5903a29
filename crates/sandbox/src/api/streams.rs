//! Logs, commands in containers, and consoles.

use std::sync::Arc;

use ::http::{HeaderMap, Response, StatusCode, header};
use async_trait::async_trait;
use futures::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::ApiServer;
use super::status::Status;

/// The channels of a session.
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const STATUS: u8 = 3;

/// What ran in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// What is inside of pods and virtual machines.
#[async_trait]
pub trait Containers: Send + Sync {
    /// Runs a command in a container.
    async fn run(&self, namespace: &str, pod: &str, container: &str, argv: &[String]) -> Ran;

    /// What a container has printed.
    async fn log(&self, namespace: &str, pod: &str, container: &str) -> String;

    /// Connects the serial console of a virtual machine; none when it has none now.
    async fn console(&self, namespace: &str, vm: &str) -> Option<DuplexStream>;
}

/// A log that is asked for.
#[derive(Clone, Debug)]
pub(super) struct LogRequest {
    pub namespace: String,
    pub pod: String,
    pub container: String,
    pub tail: Option<usize>,
}

/// A command or a console that is asked for.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub namespace: String,
    pub name: String,
    pub container: String,
    pub argv: Vec<String>,
    pub is_console: bool,
}

/// The container that is meant; empty for what has no containers.
pub(super) fn container(object: &Value, pod: &str, wanted: Option<&str>) -> Result<String, Box<Status>> {
    let containers = object["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let init = object["spec"]["initContainers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<&str> = containers.iter().chain(init).filter_map(|one| one["name"].as_str()).collect();
    match wanted {
        Some(name) if !names.is_empty() && !names.contains(&name) => {
            Err(Status::bad_request(format!("container {name} is not valid for pod {pod}")))
        }
        Some(name) => Ok(name.to_owned()),
        None if containers.len() > 1 => Err(Status::bad_request(format!(
            "a container name must be specified for pod {pod}, choose one of: [{}]",
            names[..containers.len()].join(" ")
        ))),
        None => Ok(names.first().copied().unwrap_or_default().to_owned()),
    }
}

/// The lines of a log.
pub(super) async fn log(server: &ApiServer, log: LogRequest) -> Result<String, Box<Status>> {
    let Some(containers) = server.containers() else { return Ok(String::new()) };
    let text = containers.log(&log.namespace, &log.pod, &log.container).await;
    let lines: Vec<&str> = text.lines().collect();
    let from = log.tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    Ok(lines[from..].iter().flat_map(|line| [line, "\n"]).collect())
}

pub(super) fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Opens a session; what happens in it goes on after the answer.
pub(super) fn open(
    server: &ApiServer,
    session: Session,
    upgrade: OnUpgrade,
    headers: &HeaderMap,
) -> Result<Response<()>, Box<Status>> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = text(header::SEC_WEBSOCKET_KEY);
    let offered: Vec<&str> = text(header::SEC_WEBSOCKET_PROTOCOL).split(',').map(str::trim).collect();
    let wanted: &[&str] =
        if session.is_console { &["plain.kubevirt.io"] } else { &["v5.channel.k8s.io", "v4.channel.k8s.io"] };
    let protocol = wanted.iter().find(|protocol| offered.contains(protocol)).copied();
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes()));
    if let Some(protocol) = protocol {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    let containers = server.containers();
    tokio::spawn(async move {
        // A client that went away meanwhile has no use for the session.
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        if session.is_console {
            console(socket, containers, &session).await;
        } else {
            run(socket, containers, &session).await;
        }
    });
    response.body(()).map_err(|error| Status::bad_request(error.to_string()))
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

async fn run(mut socket: Socket, containers: Option<Arc<dyn Containers>>, session: &Session) {
    let ran = match containers {
        Some(containers) => {
            containers.run(&session.namespace, &session.name, &session.container, &session.argv).await
        }
        None => Ran { code: 127, ..Ran::default() },
    };
    for (channel, text) in [(STDOUT, ran.stdout), (STDERR, ran.stderr), (STATUS, ended(ran.code).to_string())]
    {
        if !text.is_empty() {
            let mut bytes = vec![channel];
            bytes.extend(text.into_bytes());
            let _ = socket.send(Message::binary(bytes)).await;
        }
    }
    let _ = socket.close(None).await;
}

/// How the server says that a command ended.
fn ended(code: i32) -> Value {
    if code == 0 {
        return json!({"metadata": {}, "status": "Success"});
    }
    json!({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": format!("command terminated with exit code {code}"),
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    })
}

/// Carries bytes both ways until one side ends.
async fn console(mut socket: Socket, containers: Option<Arc<dyn Containers>>, session: &Session) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Some(containers) = containers else { return };
    let Some(mut line) = containers.console(&session.namespace, &session.name).await else { return };
    let mut buffer = vec![0; 4096];
    loop {
        tokio::select! {
            read = line.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    if socket.send(Message::binary(buffer[..count].to_vec())).await.is_err() {
                        break;
                    }
                }
            },
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => _ = line.write_all(&bytes).await,
                Some(Ok(Message::Text(text))) => _ = line.write_all(text.as_bytes()).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    let _ = socket.close(None).await;
}
