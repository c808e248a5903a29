//! A node without permissions: what may not be read counts as absent, and is recorded.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Result, code};
use crate::host::{Command, Host, Output, Shot, Sighting, Stat};

/// A host that answers `None` in place of "permission denied".
pub struct Tolerant<'a> {
    host: &'a dyn Host,
    refused: Mutex<BTreeSet<String>>,
}

impl<'a> Tolerant<'a> {
    /// A host that is looked at and not changed.
    pub fn new(host: &'a dyn Host) -> Self {
        Self { host, refused: Mutex::default() }
    }

    /// The paths that could not be read.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn allow<T>(&self, path: &Utf8Path, result: Result<Option<T>>) -> Result<Option<T>> {
        match result {
            Err(error) if error.code() == &code::HOST_PERMISSION => {
                let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
                refused.insert(path.to_string());
                Ok(None)
            }
            result => result,
        }
    }
}

#[async_trait]
impl Host for Tolerant<'_> {
    async fn run(&self, command: &Command) -> Result<Output> {
        self.host.run(command).await
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        self.allow(path, self.host.read(path).await)
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        self.host.write(path, content, mode).await
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        self.allow(path, self.host.stat(path).await)
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        self.allow(directory, self.host.list(directory).await)
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        self.host.rename(from, to).await
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        self.host.remove(path).await
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        self.host.find(program).await
    }

    async fn user_id(&self) -> Result<u32> {
        self.host.user_id().await
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        self.host.wait_for(path, timeout).await
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        self.host.send_frame(shot).await
    }
}
