//! A node whose operations are logged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Command, Host, Output, Shot, Sighting, Stat};
use crate::error::Result;
use crate::redact::redact_text;

/// Logs each command with its exit code and time, and each change of a file; never content.
pub struct Noted(pub Arc<dyn Host>);

#[async_trait]
impl Host for Noted {
    async fn run(&self, command: &Command) -> Result<Output> {
        let started = Instant::now();
        let result = self.0.run(command).await;
        let shown = || redact_text(&command.display(), &[]);
        let ms = started.elapsed().as_millis();
        match &result {
            Ok(output) => {
                tracing::debug!(target: "kvnet::host", command = shown(), code = output.status, ms, "ran");
            }
            Err(error) => {
                tracing::debug!(target: "kvnet::host", command = shown(), error = error.code().id, ms, "did not end");
            }
        }
        result
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        self.0.read(path).await
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        let result = self.0.write(path, content, mode).await;
        note("wrote", path, &result);
        result
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        self.0.stat(path).await
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        self.0.list(directory).await
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        let result = self.0.rename(from, to).await;
        note("moved", from, &result);
        result
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        let result = self.0.remove(path).await;
        note("removed", path, &result);
        result
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        self.0.find(program).await
    }

    async fn user_id(&self) -> Result<u32> {
        self.0.user_id().await
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        self.0.wait_for(path, timeout).await
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        let result = self.0.send_frame(shot).await;
        let seen = result.as_ref().map_or(0, Vec::len);
        tracing::debug!(target: "kvnet::host", link = shot.link, bytes = shot.frame.len(), seen, "sent a frame");
        result
    }
}

fn note(what: &str, path: &Utf8Path, result: &Result<()>) {
    let error = result.as_ref().err().map(|error| error.code().id).unwrap_or_default();
    tracing::trace!(target: "kvnet::host", %path, error, "{what}");
}
