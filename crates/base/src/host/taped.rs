//! A node whose answers are recorded, and one that is only a recording.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Command, Host, Output, Shot, Sighting, Stat};
use crate::error::{Error, Result, code};
use crate::tape::Tape;

/// The environment of the process that asks.
const ENVIRONMENT: &str = "/proc/self/environ";
/// The most bytes of a file that are recorded.
const MOST_OF_FILE: usize = 1 << 20;

/// Records what a node answers; changes it as little as its caller does.
pub struct Recorded {
    /// The node.
    pub host: Arc<dyn Host>,
    /// Where its answers go.
    pub tape: Tape,
}

#[async_trait]
impl Host for Recorded {
    async fn run(&self, command: &Command) -> Result<Output> {
        let result = self.host.run(command).await;
        self.tape.keep(format!("run {}", command.display()), &result);
        result
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        let result = self.host.read(path).await;
        let text = result.clone().map(|content| content.map(|content| recorded(path, &content)));
        self.tape.keep(format!("read {path}"), &text);
        result
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        self.host.write(path, content, mode).await
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        let result = self.host.stat(path).await;
        self.tape.keep(format!("stat {path}"), &result);
        result
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        let result = self.host.list(directory).await;
        self.tape.keep(format!("list {directory}"), &result);
        result
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        self.host.rename(from, to).await
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        self.host.remove(path).await
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        let result = self.host.find(program).await;
        self.tape.keep(format!("find {program}"), &result);
        result
    }

    async fn user_id(&self) -> Result<u32> {
        let result = self.host.user_id().await;
        self.tape.keep("user-id".into(), &result);
        result
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        self.host.wait_for(path, timeout).await
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        self.host.send_frame(shot).await
    }
}

/// The text of a file, as much as is recorded of it. Of kvnet's own environment, which may hold any secret, only the home.
fn recorded(path: &Utf8Path, content: &[u8]) -> String {
    let text = String::from_utf8_lossy(&content[..content.len().min(MOST_OF_FILE)]);
    if path != ENVIRONMENT {
        return text.into_owned();
    }
    text.split('\0').find(|variable| variable.starts_with("HOME=")).unwrap_or_default().to_owned()
}

/// A node that is only a recording: it answers what was asked then, and cannot be changed.
pub struct Replayed(pub Tape);

#[async_trait]
impl Host for Replayed {
    async fn run(&self, command: &Command) -> Result<Output> {
        self.0.answer(&format!("run {}", command.display()))
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        self.0.answer::<Option<String>>(&format!("read {path}")).map(|text| text.map(String::into_bytes))
    }

    async fn write(&self, path: &Utf8Path, _: &[u8], _: u32) -> Result<()> {
        Err(unchangeable(path))
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        self.0.answer(&format!("stat {path}"))
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        self.0.answer(&format!("list {directory}"))
    }

    async fn rename(&self, from: &Utf8Path, _: &Utf8Path) -> Result<()> {
        Err(unchangeable(from))
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        Err(unchangeable(path))
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        self.0.answer(&format!("find {program}"))
    }

    async fn user_id(&self) -> Result<u32> {
        self.0.answer("user-id")
    }

    async fn wait_for(&self, path: &Utf8Path, _: Duration) -> Result<bool> {
        Ok(self.stat(path).await?.is_some())
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        Err(Error::new(&code::DUMP_LACKS, format!("no frame can be sent on {} of a dump", shot.link)))
    }
}

fn unchangeable(path: &Utf8Path) -> Error {
    Error::new(&code::DUMP_LACKS, "the node of a dump cannot be changed").at(path.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    async fn ask(host: &dyn Host) -> (Output, Option<Vec<u8>>, Option<Stat>, Option<Vec<String>>) {
        (
            host.run(&Command::new(["ip", "link"])).await.unwrap(),
            host.read("/etc/x".into()).await.unwrap(),
            host.stat("/etc/x".into()).await.unwrap(),
            host.list("/etc".into()).await.unwrap(),
        )
    }

    #[tokio::test]
    async fn of_the_environment_only_the_home_is_recorded() {
        let host = FakeHost::new().file(ENVIRONMENT, "A=canary\0HOME=/root\0B=canary\0");
        let tape = Tape::blank();
        let recorded = Recorded { host: Arc::new(host), tape: tape.clone() };
        assert!(recorded.read(ENVIRONMENT.into()).await.unwrap().is_some());
        let replayed = Replayed(Tape::parse(&tape.text()).unwrap());
        assert_eq!(replayed.read(ENVIRONMENT.into()).await.unwrap().as_deref(), Some(&b"HOME=/root"[..]));
        assert!(!tape.text().contains("canary"));
    }

    #[tokio::test]
    async fn the_recording_answers_as_the_node_did() {
        let host = FakeHost::new().file("/etc/x", "content").prints(["ip", "link"], "lo\n");
        let tape = Tape::blank();
        let recorded = Recorded { host: Arc::new(host), tape: tape.clone() };
        let answers = ask(&recorded).await;
        assert_eq!(answers.1.as_deref(), Some(&b"content"[..]));
        let replayed = Replayed(Tape::parse(&tape.text()).unwrap());
        assert_eq!(ask(&replayed).await, answers);
        assert_eq!(replayed.list("/run".into()).await.unwrap_err().code().id, "KVN831");
        assert_eq!(replayed.write("/etc/x".into(), b"", 0o644).await.unwrap_err().code().id, "KVN831");
    }
}
