//! The agent's side.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::{AbortHandle, JoinSet};

use super::wire::{Answer, Ask, Failure, GREETING, Request, receive, send};
use crate::error::{Error, Result, code};
use crate::host::Host;

/// The operations in progress by id, with whether each only waits.
type Running = Arc<Mutex<HashMap<u64, (AbortHandle, bool)>>>;

/// Serves a host until the input ends; then completes the operations in progress, except waits.
///
/// # Errors
/// `KVN231` for input that is no request, after the same completion.
pub async fn serve(
    host: Arc<dyn Host>,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin + Send + 'static,
) -> Result<()> {
    let lost = |error: io::Error| Error::new(&code::NODE_LOST, "the controller is gone").because(error);
    output.write_all(GREETING.as_bytes()).await.map_err(lost)?;
    output.flush().await.map_err(lost)?;
    let (answers, queue) = unbounded_channel();
    let writer = tokio::spawn(write(output, queue));
    let running = Running::default();
    let mut tasks = JoinSet::new();
    let end = loop {
        match receive::<Request>(&mut input).await {
            Ok(Some((Request { id, ask: Ask::Cancel }, _))) => {
                if let Some((task, _)) = held(&running).remove(&id) {
                    task.abort();
                }
            }
            Ok(Some((Request { id, ask }, body))) => {
                let waits = matches!(ask, Ask::WaitFor { .. } | Ask::SendFrame(_));
                let (host, answers, ended) = (Arc::clone(&host), answers.clone(), Arc::clone(&running));
                // Held until the task is listed, so that it cannot end before.
                let mut listed = held(&running);
                let task = tasks.spawn(async move {
                    answer(host.as_ref(), id, ask, &body, &answers).await;
                    held(&ended).remove(&id);
                });
                listed.insert(id, (task, waits));
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(Error::new(&code::NODE_AGENT, "a request is damaged").because(error)),
        }
        while tasks.try_join_next().is_some() {}
    };
    held(&running).values().filter(|(_, waits)| *waits).for_each(|(task, _)| task.abort());
    while tasks.join_next().await.is_some() {}
    drop(answers);
    // It ends with the queue, or has ended with the connection.
    let _ = writer.await;
    end
}

fn held(running: &Running) -> std::sync::MutexGuard<'_, HashMap<u64, (AbortHandle, bool)>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(mut output: impl AsyncWrite + Unpin, mut queue: UnboundedReceiver<(Answer, Vec<u8>)>) {
    while let Some((head, body)) = queue.recv().await {
        // Nobody is left to be told.
        if send(&mut output, &head, &body).await.is_err() {
            return;
        }
    }
}

async fn answer(
    host: &dyn Host,
    id: u64,
    ask: Ask,
    body: &[u8],
    answers: &UnboundedSender<(Answer, Vec<u8>)>,
) {
    let mut content = Vec::new();
    let result = match ask {
        Ask::Run(command) => value(host.run(&command).await),
        Ask::Read(path) => value(host.read(&path).await.map(|read| {
            let exists = read.is_some();
            content = read.unwrap_or_default();
            exists
        })),
        Ask::Write { path, mode } => value(host.write(&path, body, mode).await),
        Ask::Stat(path) => value(host.stat(&path).await),
        Ask::List(path) => value(host.list(&path).await),
        Ask::Rename { from, to } => value(host.rename(&from, &to).await),
        Ask::Remove(path) => value(host.remove(&path).await),
        Ask::Find(program) => value(host.find(&program).await),
        Ask::UserId => value(host.user_id().await),
        Ask::WaitFor { path, timeout } => value(host.wait_for(&path, timeout).await),
        Ask::SendFrame(shot) => value(host.send_frame(&shot).await),
        Ask::Cancel => return,
    };
    // The writer is gone when the controller is.
    let _ = answers.send((Answer { id, result: result.map_err(|error| Failure::from(&error)) }, content));
}

fn value<T: Serialize>(result: Result<T>) -> Result<Value> {
    serde_json::to_value(result?)
        .map_err(|error| Error::new(&code::INTERNAL, "an answer is not JSON").because(error))
}
