//! The controller's side.

use std::collections::HashMap;
use std::io;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::wire::{AGENT, Answer, Ask, GREETING, Request, receive, send};
use crate::error::{Error, Result, code};
use crate::host::{Command, Host, Output, Shot, Sighting, Stat};

/// How much text may come before the greeting.
const BANNER: usize = 64 << 10;
/// How much of what the transport says is kept for errors.
const COMPLAINTS: usize = 4 << 10;

/// A node whose agent is at the other end of a pipe.
pub struct AgentHost {
    requests: UnboundedSender<(Request, Vec<u8>)>,
    waiting: Arc<Mutex<Waiting>>,
    next: AtomicU64,
}

/// The callers that wait for answers, until the connection is lost.
#[derive(Default)]
struct Waiting {
    callers: HashMap<u64, oneshot::Sender<Reply>>,
    lost: Option<Error>,
}

type Reply = Result<(Value, Vec<u8>)>;

impl AgentHost {
    /// Starts a program that leads to an agent, for example `ssh HOST kvnet host-agent`, in a process group of its own. What it
    /// prints to standard error is told when the connection fails.
    ///
    /// # Errors
    /// `KVN201` when the program cannot be started; as [`over`](Self::over).
    pub async fn start(node: &str, argv: &[String]) -> Result<Self> {
        let (program, arguments) =
            argv.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        let mut process = tokio::process::Command::new(program);
        process.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let not_started = |error: io::Error| {
            Error::new(&code::HOST_TOOL_MISSING, format!("`{program}` cannot be started")).because(error)
        };
        let mut child = process.process_group(0).spawn().map_err(not_started)?;
        let (Some(input), Some(output), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(Error::new(&code::INTERNAL, format!("`{program}` has no streams")));
        };
        let complaints = Complaints::default();
        let listening = tokio::spawn(complaints.clone().listen(errors));
        // The agent ends with its input, and has to be waited for.
        tokio::spawn(async move { child.wait().await });
        let host = Self::over(node, output, input, complaints.clone()).await;
        if host.is_err() {
            // What it says last comes with its end.
            let _ = tokio::time::timeout(Duration::from_millis(500), listening).await;
        }
        host.map_err(|error| complaints.explain(error))
    }

    /// An agent at the other end of two streams.
    ///
    /// # Errors
    /// `KVN230` when the stream ends before the greeting; `KVN231` when none comes, or that of another release.
    async fn over(
        node: &str,
        mut input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
        complaints: Complaints,
    ) -> Result<Self> {
        greeted(node, &mut input).await?;
        let (requests, queue) = unbounded_channel();
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        tokio::spawn(write(output, queue));
        let (callers, node) = (Arc::clone(&waiting), node.to_owned());
        tokio::spawn(async move {
            let error = listen(input, &callers).await;
            let lost = Error::new(&code::NODE_LOST, format!("the connection to node {node} was lost"));
            let lost = complaints.explain(lost.because(error));
            let mut waiting = held(&callers);
            waiting.lost = Some(lost.clone());
            for (_, caller) in waiting.callers.drain() {
                // It may have given up.
                let _ = caller.send(Err(lost.clone()));
            }
        });
        Ok(Self { requests, waiting, next: AtomicU64::new(1) })
    }

    async fn ask<T: DeserializeOwned>(&self, ask: Ask, body: &[u8]) -> Result<(T, Vec<u8>)> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (caller, reply) = oneshot::channel();
        {
            let mut waiting = held(&self.waiting);
            if let Some(lost) = &waiting.lost {
                return Err(lost.clone());
            }
            waiting.callers.insert(id, caller);
        }
        let _operation = Operation { id, host: self };
        // Without a writer the reader ends too, and says why.
        let _ = self.requests.send((Request { id, ask }, body.to_vec()));
        let reply = reply.await.map_err(|_| Error::new(&code::INTERNAL, "an answer was dropped"))?;
        let (value, content) = reply?;
        let value = serde_json::from_value(value)
            .map_err(|error| Error::new(&code::NODE_AGENT, "an answer is of another kind").because(error))?;
        Ok((value, content))
    }
}

/// An operation that is in progress: one whose caller gives up is ended on the node.
struct Operation<'a> {
    id: u64,
    host: &'a AgentHost,
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if held(&self.host.waiting).callers.remove(&self.id).is_some() {
            // Without a connection the agent knows by itself.
            let _ = self.host.requests.send((Request { id: self.id, ask: Ask::Cancel }, Vec::new()));
        }
    }
}

fn held(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(mut output: impl AsyncWrite + Unpin, mut queue: UnboundedReceiver<(Request, Vec<u8>)>) {
    while let Some((head, body)) = queue.recv().await {
        // The reader tells the callers.
        if send(&mut output, &head, &body).await.is_err() {
            return;
        }
    }
}

/// Hands answers to their callers, until there are none any more; returns why.
async fn listen(mut input: impl AsyncRead + Unpin, waiting: &Mutex<Waiting>) -> String {
    loop {
        match receive::<Answer>(&mut input).await {
            Ok(Some((Answer { id, result }, content))) => {
                if let Some(caller) = held(waiting).callers.remove(&id) {
                    // It may have given up at this moment.
                    let _ = caller.send(result.map(|value| (value, content)).map_err(Error::from));
                }
            }
            Ok(None) => return "the agent has ended".into(),
            Err(error) => return error.to_string(),
        }
    }
}

/// Skips the text before the greeting.
async fn greeted(node: &str, input: &mut (impl AsyncRead + Unpin)) -> Result<()> {
    let mut text = Vec::new();
    loop {
        if text.ends_with(b"\n") {
            let line = text.rsplit(|byte| *byte == b'\n').nth(1).unwrap_or_default();
            if line == GREETING.trim_end().as_bytes() {
                return Ok(());
            }
            if line.starts_with(AGENT.as_bytes()) {
                let other = String::from_utf8_lossy(line).into_owned();
                let message = format!("the agent on node {node} is of another release");
                return Err(Error::new(&code::NODE_AGENT, message).because(format!("it says `{other}`")));
            }
        }
        let said = || String::from_utf8_lossy(&text[text.len().saturating_sub(400)..]).trim().to_owned();
        if text.len() > BANNER {
            let message = format!("no agent answers on node {node}, but much text");
            return Err(Error::new(&code::NODE_AGENT, message).because(said()));
        }
        let Ok(byte) = input.read_u8().await else {
            let message = format!("the connection to node {node} ended before its agent answered");
            let error = Error::new(&code::NODE_LOST, message);
            return Err(if text.is_empty() { error } else { error.because(said()) });
        };
        text.push(byte);
    }
}

/// What the transport has said: `ssh` explains itself on standard error.
#[derive(Clone, Debug, Default)]
struct Complaints(Arc<Mutex<Vec<u8>>>);

impl Complaints {
    async fn listen(self, mut errors: impl AsyncRead + Unpin) {
        let mut bytes = [0; 1024];
        while let Ok(read @ 1..) = errors.read(&mut bytes).await {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend_from_slice(&bytes[..read]);
            let surplus = all.len().saturating_sub(COMPLAINTS);
            all.drain(..surplus);
        }
    }

    fn explain(&self, error: Error) -> Error {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&all);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() { error } else { error.because(lines.join("; ")) }
    }
}

#[async_trait]
impl Host for AgentHost {
    async fn run(&self, command: &Command) -> Result<Output> {
        Ok(self.ask(Ask::Run(command.clone()), &[]).await?.0)
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        let (exists, content) = self.ask::<bool>(Ask::Read(path.into()), &[]).await?;
        Ok(exists.then_some(content))
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        self.ask::<()>(Ask::Write { path: path.into(), mode }, content).await.map(|_| ())
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        Ok(self.ask(Ask::Stat(path.into()), &[]).await?.0)
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        Ok(self.ask(Ask::List(directory.into()), &[]).await?.0)
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        self.ask::<()>(Ask::Rename { from: from.into(), to: to.into() }, &[]).await.map(|_| ())
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        self.ask::<()>(Ask::Remove(path.into()), &[]).await.map(|_| ())
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        Ok(self.ask(Ask::Find(program.into()), &[]).await?.0)
    }

    async fn user_id(&self) -> Result<u32> {
        Ok(self.ask(Ask::UserId, &[]).await?.0)
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        Ok(self.ask(Ask::WaitFor { path: path.into(), timeout }, &[]).await?.0)
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        Ok(self.ask(Ask::SendFrame(shot.clone()), &[]).await?.0)
    }
}

#[cfg(test)]
impl AgentHost {
    /// For tests: an agent in this process, or what pretends to be one.
    pub async fn of_streams(
        input: impl AsyncRead + Unpin + Send + 'static,
        output: impl AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self> {
        Self::over("n", input, output, Complaints::default()).await
    }
}
