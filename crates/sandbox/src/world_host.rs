//! The node for the engine: part of a world, and with realistic latencies.

use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use super::node::SandboxHost;
use super::world::{Pace, World};
use crate::error::Result;
use crate::host::{Command, Host, Output, Shot, Sighting, Stat};

/// Slow commands, by the beginning of their command line, with their seconds.
const SECONDS: [(&str, f64); 8] = [
    ("apt-get", 12.0),
    ("dnf", 15.0),
    ("zypper", 12.0),
    ("pacman", 6.0),
    ("apk", 4.0),
    ("kubeadm init", 20.0),
    ("systemctl", 0.8),
    ("rc-service", 0.8),
];
/// A read-only command.
const LOOKS: [&str; 4] = ["--simulate", "-s", "is-enabled", "--dry-run"];

/// A node in memory that is part of a world.
pub(super) struct WorldHost {
    node: SandboxHost,
    world: World,
    pace: Pace,
}

impl WorldHost {
    pub fn new(node: SandboxHost, world: World, pace: Pace) -> Self {
        Self { node, world, pace }
    }
}

impl WorldHost {
    /// `nsenter --target=PROCESS --net ip -json -details address show`; none for anything else.
    fn in_a_pod(&self, command: &Command) -> Result<Option<Output>> {
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        let ["nsenter", target, "--net", "ip", "-json", "-details", "address", "show"] = words[..] else {
            return Ok(None);
        };
        let process = target.strip_prefix("--target=").unwrap_or_default();
        Ok(Some(match self.world.links_of(process)? {
            Some(stdout) => Output { stdout, ..Output::default() },
            None => Output {
                status: 1,
                stderr: format!("nsenter: cannot open /proc/{process}/ns/net: No such file or directory\n"),
                ..Output::default()
            },
        }))
    }
}

fn time_of(command: &Command, pace: Pace) -> Duration {
    if command.argv.iter().any(|word| LOOKS.contains(&word.as_str())) {
        return Duration::ZERO;
    }
    let line = command.display();
    let found = SECONDS.iter().find(|(start, _)| line.starts_with(start));
    pace.time(found.map_or(0.0, |(_, seconds)| *seconds))
}

#[async_trait]
impl Host for WorldHost {
    async fn run(&self, command: &Command) -> Result<Output> {
        if let Some(output) = self.in_a_pod(command)? {
            return Ok(output);
        }
        let time = time_of(command, self.pace);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        let output = self.node.run(command).await?;
        // It ends when the cluster and its node are there.
        if command.argv.starts_with(&["kubeadm".to_owned(), "init".to_owned()]) {
            self.world.reconcile()?;
        }
        Ok(output)
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        let process = path.strip_prefix("/proc").ok().and_then(|rest| rest.as_str().strip_suffix("/cgroup"));
        if let Some(text) = process.map(|process| self.world.cgroup(process)).transpose()?.flatten() {
            return Ok(Some(text.into_bytes()));
        }
        self.node.read(path).await
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        self.node.write(path, content, mode).await
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        self.node.stat(path).await
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        let mut names = self.node.list(directory).await?;
        if let Some(names) = names.as_mut().filter(|_| directory == "/proc") {
            names.extend(self.world.processes()?.iter().map(ToString::to_string));
            names.sort_unstable();
        }
        Ok(names)
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        self.node.rename(from, to).await
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        self.node.remove(path).await
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        self.node.find(program).await
    }

    async fn user_id(&self) -> Result<u32> {
        self.node.user_id().await
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        self.node.wait_for(path, timeout).await
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        self.world.send_frame(shot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changes_the_node_takes_time() {
        let pace = "1".parse().unwrap();
        let seconds = |words: &[&str]| time_of(&Command::new(words.iter().copied()), pace).as_secs();
        assert_eq!(seconds(&["apt-get", "install", "x"]), 12);
        assert_eq!(seconds(&["apt-get", "--simulate", "install", "x"]), 0);
        assert_eq!(seconds(&["ovs-vsctl", "show"]), 0);
    }
}
