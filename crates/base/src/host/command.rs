//! A command line for a host: always a list of arguments, never a shell string.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, code};

/// A program with its arguments, environment, input and time limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program and its arguments; never empty.
    pub argv: Vec<String>,
    /// Variables set in addition to the host's own environment.
    pub env: Vec<(String, String)>,
    /// What the program reads from standard input; nothing by default.
    pub stdin: Vec<u8>,
    /// The program and all it started are killed after this time.
    pub timeout: Duration,
}

impl Command {
    /// A command with a time limit of 30 s.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        let argv = argv.into_iter().map(Into::into).collect();
        Self { argv, env: Vec::new(), stdin: Vec::new(), timeout: Duration::from_secs(30) }
    }

    /// Changes the time limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the program's standard input.
    #[must_use]
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.stdin = input.into();
        self
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The command as a person would type it, for messages only.
    pub fn display(&self) -> String {
        self.argv.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Programs that show their progress, and often their error, on one stream, and that they failed on the other.
const ON_BOTH_STREAMS: [&str; 5] = ["kubeadm", "dnf", "yum", "zypper", "pacman"];

/// What a finished command left.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Output {
    /// The exit code; 128 plus the signal's number when a signal ended it.
    pub status: i32,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, invalid UTF-8 replaced.
    pub stderr: String,
}

impl Output {
    /// Whether the exit code is 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// The output of a command that must succeed; otherwise [`HOST_COMMAND`](code::HOST_COMMAND) with the last lines that
    /// it printed.
    /// Fails with `KVN200` with the command and its exit code.
    pub fn ok(self, command: &Command) -> Result<Self> {
        if self.success() {
            return Ok(self);
        }
        let last = match (end(&self.stdout), end(&self.stderr)) {
            (progress, said) if ON_BOTH_STREAMS.contains(&command.program()) => {
                format!("{progress}\n{said}").trim().to_owned()
            }
            (printed, said) if said.is_empty() => printed,
            (_, said) => said,
        };
        let message = format!("`{}` ended with exit code {}", command.display(), self.status);
        Err(Error::new(&code::HOST_COMMAND, message).because(last))
    }
}

/// The last meaningful lines.
fn end(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_quotes_only_what_a_shell_would_split() {
        let command = Command::new(["ovs-vsctl", "add-br", "a b", "it's", ""]);
        assert_eq!(command.display(), r"ovs-vsctl add-br 'a b' 'it'\''s' ''");
    }

    #[test]
    fn a_failed_command_tells_what_it_printed_last() {
        let command = Command::new(["false"]);
        let output = Output { status: 3, stdout: String::new(), stderr: "1\n2\n3\n4\n5\n6\n".into() };
        let error = output.ok(&command).unwrap_err();
        assert_eq!(error.to_string(), "`false` ended with exit code 3: 2\n3\n4\n5\n6");
    }

    #[test]
    fn a_reason_is_told_from_whichever_stream_it_is_on() {
        let command = Command::new(["kubeadm", "init"]);
        let said = |stdout: &str, stderr: &str| {
            let output = Output { status: 1, stdout: stdout.into(), stderr: stderr.into() };
            output.ok(&command).unwrap_err().to_string()
        };
        let both = said(
            "[init] waiting\n\n\t\ttimed out waiting for the control plane\n\n",
            "couldn't initialize a Kubernetes cluster\n",
        );
        assert!(
            both.contains("timed out waiting") && both.ends_with("couldn't initialize a Kubernetes cluster"),
            "{both}"
        );
        assert!(said("", "[preflight] failed").ends_with(": [preflight] failed"));
    }
}
