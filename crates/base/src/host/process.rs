//! Programs of this machine, each in a process group of its own: Ctrl-C in the terminal does not reach them, and a
//! deadline ends all of the group.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::task::JoinHandle;

use super::{Command, Output};
use crate::error::{Error, Result, code};

/// The output of a stream that is kept; the rest is discarded.
const MAX_OUTPUT: usize = 16 << 20;
/// How long the streams of an exited program are still read: a daemon that it started may hold them open forever.
pub(super) const DRAIN: Duration = Duration::from_millis(250);

/// Runs a command to its end or its deadline.
pub(super) async fn run(command: &Command, path: &str) -> Result<Output> {
    let mut child = start(command, path)?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let input = feed(child.stdin.take(), command.stdin.clone());
    let stdout = Stream::of(child.stdout.take());
    let stderr = Stream::of(child.stderr.take());
    let ended = tokio::time::timeout(command.timeout, child.wait()).await;
    input.abort();
    let Ok(ended) = ended else {
        drop(group);
        reap(&mut child).await;
        return Err(late(command, &stderr.end().await));
    };
    group.let_live();
    let status = exit_code(ended.map_err(|error| not_started(&error, command))?);
    Ok(Output { status, stdout: stdout.end().await, stderr: stderr.end().await })
}

/// Whether kvnet was started to outlive its terminal, as by `nohup`.
pub fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // The first bit is the signal with number 1.
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 1 == 1))
}

/// Where a program is on a search path.
pub(super) fn find(program: &str, path: &str) -> Option<Utf8PathBuf> {
    let found = which::which_in(program, Some(path), "/").ok()?;
    Utf8PathBuf::from_path_buf(found).ok()
}

fn start(command: &Command, path: &str) -> Result<Child> {
    let Some(program) = find(command.program(), path) else {
        return Err(missing(command.program()));
    };
    let mut process = tokio::process::Command::new(program);
    process.args(command.argv.iter().skip(1));
    // kvnet reads what tools print, so they have to print it in one language.
    process.env("LC_ALL", "C").env("PATH", path).envs(command.env.iter().map(|(name, value)| (name, value)));
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    process.process_group(0).kill_on_drop(true);
    process.spawn().map_err(|error| not_started(&error, command))
}

/// Kills the process group when it is dropped, so that a cancelled future leaves nothing behind.
pub(super) struct Group(pub Option<Pid>);

impl Group {
    /// The leader has exited by itself: what it left running, such as a daemon, is meant to stay.
    pub fn let_live(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have just exited; then there is nothing to kill.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Waits for a killed program, but not forever: one in an uninterruptible system call does not end.
pub(super) async fn reap(child: &mut Child) {
    let _ = tokio::time::timeout(Duration::from_secs(2), child.wait()).await;
}

fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            // A program that does not read its input is not an error; its exit code tells.
            let _ = stdin.write_all(&input).await;
        }
    })
}

/// A stream of a program that is read as it comes.
struct Stream {
    content: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let content = Arc::new(Mutex::new(Vec::new()));
        let reader = tokio::spawn(read_into(Arc::clone(&content), stream));
        Self { content, reader }
    }

    async fn end(mut self) -> String {
        if tokio::time::timeout(DRAIN, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&content).into_owned()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read_into(content: Arc<Mutex<Vec<u8>>>, stream: Option<impl AsyncRead + Unpin>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 << 10];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let mut content = content.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_OUTPUT.saturating_sub(content.len());
        content.extend_from_slice(&buffer[..length.min(room)]);
    }
}

pub(super) fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

/// The error for a program that was killed at its deadline, with its last line.
pub fn late(command: &Command, stderr: &str) -> Error {
    let seconds = command.timeout.as_secs_f64();
    let error =
        Error::new(&code::HOST_TIMEOUT, format!("`{}` timed out after {seconds} s", command.display()));
    match stderr.trim().lines().last() {
        Some(line) => error.because(line),
        None => error,
    }
}

fn not_started(error: &io::Error, command: &Command) -> Error {
    let code = match error.kind() {
        io::ErrorKind::NotFound => &code::HOST_TOOL_MISSING,
        io::ErrorKind::PermissionDenied => &code::HOST_PERMISSION,
        _ => &code::HOST_COMMAND,
    };
    Error::new(code, format!("cannot run `{}`", command.display())).because(error)
}

/// The error for a missing program, with the package that usually has it.
pub fn missing(program: &str) -> Error {
    let error = Error::new(&code::HOST_TOOL_MISSING, format!("`{program}` is not installed on the node"));
    match package_of(program) {
        Some(package) => error.hint(format!("install the package {package}")),
        None => error,
    }
}

fn package_of(program: &str) -> Option<&'static str> {
    Some(match program {
        "ovs-vsctl" | "ovs-appctl" | "ovs-ofctl" => "openvswitch-switch (Debian, Ubuntu) or openvswitch",
        "ip" | "bridge" => "iproute2 (Debian, Ubuntu) or iproute",
        "modprobe" => "kmod",
        "sysctl" => "procps (Debian, Ubuntu) or procps-ng",
        "kubeadm" | "kubectl" | "crictl" => "of Kubernetes with that name",
        "systemctl" => "systemd",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const PATH: &str = "/usr/bin:/bin";

    fn shell(script: &str) -> Command {
        Command::new(["sh", "-c", script]).timeout(Duration::from_secs(10))
    }

    #[tokio::test]
    async fn output_input_environment_and_exit_code() {
        let command = shell("cat; echo $LC_ALL $X >&2; exit 3").stdin("in").env("X", "y");
        let output = run(&command, PATH).await.unwrap();
        assert_eq!(output, Output { status: 3, stdout: "in".into(), stderr: "C y\n".into() });
    }

    #[tokio::test]
    async fn a_signal_becomes_an_exit_code_above_128() {
        assert_eq!(run(&shell("kill -TERM $$"), PATH).await.unwrap().status, 143);
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let error = run(&Command::new(["ovs-vsctl", "show"]), "/nonexistent").await.unwrap_err();
        assert_eq!(error.code(), &code::HOST_TOOL_MISSING);
        assert_eq!(error.hints(), ["install the package openvswitch-switch (Debian, Ubuntu) or openvswitch"]);
    }

    #[tokio::test]
    async fn the_deadline_kills_the_whole_group() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let script = format!("(sleep 1; touch {}) & sleep 30", mark.display());
        let command = shell(&script).timeout(Duration::from_millis(200));
        assert_eq!(run(&command, PATH).await.unwrap_err().code(), &code::HOST_TIMEOUT);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(!mark.exists(), "the background child outlived the deadline");
    }

    #[tokio::test]
    async fn a_dropped_command_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("mark");
        let command = shell(&format!("(sleep 1; touch {}) & sleep 30", mark.display()));
        let _ = tokio::time::timeout(Duration::from_millis(200), run(&command, PATH)).await;
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(!mark.exists(), "the background child outlived the future");
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_the_streams_open_does_not_hold_us() {
        let start = Instant::now();
        let output = run(&shell("sleep 3 & echo started"), PATH).await.unwrap();
        assert_eq!(output.stdout, "started\n");
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test]
    async fn endless_output_is_cut() {
        let output = run(&shell("head -c 20000000 /dev/zero"), PATH).await.unwrap();
        assert_eq!(output.stdout.len(), MAX_OUTPUT);
    }
}
