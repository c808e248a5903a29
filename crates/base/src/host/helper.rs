//! Programs that return a secret: their output, arguments and environment are never in a message or log.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::Notify;

use super::process::{DRAIN, Group, exit_code, find, reap};
use super::small::MOST;

/// How much of one line of standard error is kept.
const LINE: u64 = 4 << 10;

/// Receives each line that the program writes to its standard error.
pub type Ear = Arc<dyn Fn(&str) + Send + Sync>;

/// What to run. It has this process's environment.
pub struct Helper {
    /// A name on `PATH`, or a path.
    pub program: String,
    /// What follows the name.
    pub arguments: Vec<String>,
    /// More of the environment.
    pub variables: Vec<(String, String)>,
    /// When it is killed with its process group.
    pub deadline: Duration,
    /// Whether it may prompt on this terminal; otherwise it has no input.
    pub asks: bool,
}

/// How it went.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// It succeeded, and printed this.
    Well(Vec<u8>),
    /// It failed.
    Badly {
        /// The exit code; 128 and more of a signal.
        status: i32,
        /// The last line of its standard error.
        last: String,
    },
    /// It was killed at its deadline; the last line of its standard error.
    Late(String),
    /// It was killed because it printed more than a file may have.
    TooMuch,
    /// The program was not found.
    Missing,
    /// It could not be started.
    NotStarted(String),
}

impl Helper {
    /// Runs it to its end or its deadline. When the future is dropped the program is killed.
    pub async fn run(&self, ear: Option<Ear>) -> Ended {
        let path = std::env::var("PATH").unwrap_or_default();
        if self.program.contains('/') && std::path::Path::new(&self.program).is_dir() {
            return Ended::NotStarted("it is a directory".into());
        }
        let Some(program) = find(&self.program, &path) else { return Ended::Missing };
        let mut child = match self.start(program.as_str()) {
            Ok(child) => child,
            Err(error) => return Ended::NotStarted(error.to_string()),
        };
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = Group(leader.filter(|_| !self.asks));
        let overflow = Arc::new(Notify::new());
        let printed = Printed::of(child.stdout.take(), Arc::clone(&overflow));
        let said = Said::of(child.stderr.take(), ear);
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = overflow.notified() => return end(child, group, Ended::TooMuch).await,
            () = tokio::time::sleep(self.deadline) => {
                let last = said.last();
                return end(child, group, Ended::Late(last)).await;
            }
        };
        group.let_live();
        let status = ended.map_or(-1, exit_code);
        // Too much output ends it by SIGPIPE too, and then that is the reason.
        match (printed.end().await, status) {
            (None, _) => Ended::TooMuch,
            (Some(output), 0) => Ended::Well(output),
            (Some(_), status) => Ended::Badly { status, last: said.end().await },
        }
    }

    fn start(&self, program: &str) -> std::io::Result<Child> {
        let mut process = tokio::process::Command::new(program);
        process.args(&self.arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        process.stdin(if self.asks { Stdio::inherit() } else { Stdio::null() });
        process.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        if !self.asks {
            // A background process group may not read from the terminal.
            process.process_group(0);
        }
        process.spawn()
    }
}

async fn end(mut child: Child, group: Group, how: Ended) -> Ended {
    drop(group);
    let _ = child.start_kill();
    reap(&mut child).await;
    how
}

/// What it prints, up to the limit.
struct Printed {
    content: Arc<Mutex<Vec<u8>>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Printed {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>, overflow: Arc<Notify>) -> Self {
        let content = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&content);
        let reader = tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut buffer = vec![0; 16 << 10];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..length]);
                if kept.len() as u64 > MOST {
                    overflow.notify_one();
                    return;
                }
            }
        });
        Self { content, reader }
    }

    /// All of it; none when it was too much. A child that it left running may hold the stream open forever.
    async fn end(mut self) -> Option<Vec<u8>> {
        if tokio::time::timeout(DRAIN, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
        let content = std::mem::take(&mut *self.content.lock().unwrap_or_else(PoisonError::into_inner));
        (content.len() as u64 <= MOST).then_some(content)
    }
}

/// The last line of its standard error.
struct Said {
    last: Arc<Mutex<String>>,
    reader: tokio::task::JoinHandle<()>,
}

impl Said {
    fn of(stream: Option<impl AsyncRead + Unpin + Send + 'static>, ear: Option<Ear>) -> Self {
        let last = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&last);
        let reader = tokio::spawn(async move {
            let Some(stream) = stream else { return };
            let mut stream = BufReader::new(stream);
            loop {
                let mut line = Vec::new();
                let Ok(1..) = (&mut stream).take(LINE).read_until(b'\n', &mut line).await else { return };
                let line = String::from_utf8_lossy(&line).trim().to_owned();
                if line.is_empty() {
                    continue;
                }
                if let Some(ear) = &ear {
                    ear(&line);
                }
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = line;
            }
        });
        Self { last, reader }
    }

    fn last(&self) -> String {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn end(mut self) -> String {
        let _ = tokio::time::timeout(DRAIN, &mut self.reader).await;
        self.reader.abort();
        self.last()
    }
}

impl Drop for Said {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Helper {
        Helper {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            variables: vec![("KVNET_X".into(), "y".into())],
            deadline: Duration::from_secs(10),
            asks: false,
        }
    }

    #[tokio::test]
    async fn what_it_prints_and_how_it_ends() {
        assert_eq!(shell("echo $KVNET_X; cat").run(None).await, Ended::Well(b"y\n".to_vec()));
        let failed = Ended::Badly { status: 3, last: "two".into() };
        assert_eq!(shell("echo one >&2; echo two >&2; echo >&2; exit 3").run(None).await, failed);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear: Ear = Arc::new({
            let heard = Arc::clone(&heard);
            move |line: &str| heard.lock().unwrap().push(line.to_owned())
        });
        shell("echo one >&2; echo two >&2; exit 1").run(Some(ear)).await;
        assert_eq!(*heard.lock().unwrap(), ["one", "two"]);
        let missing = Helper { program: "no-such-login".into(), ..shell("") };
        assert_eq!(missing.run(None).await, Ended::Missing);
    }

    #[tokio::test]
    async fn the_deadline_ends_it_with_what_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script =
            format!("echo waiting >&2; sleep 30 & echo $! > {0}.new; mv {0}.new {0}; wait", file.display());
        let helper = Helper { deadline: Duration::from_millis(500), ..shell(&script) };
        assert_eq!(helper.run(None).await, Ended::Late("waiting".into()));
        let pid = std::fs::read_to_string(&file).unwrap();
        let alive = || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            status.is_ok_and(|status| !status.contains(") Z "))
        };
        let begin = Instant::now();
        while alive() && begin.elapsed() < Duration::from_secs(5) {
            tokio::task::yield_now().await;
        }
        assert!(!alive(), "the child outlived the deadline");
    }

    #[tokio::test]
    async fn endless_output_ends_it() {
        let begin = Instant::now();
        assert_eq!(shell("cat /dev/zero").run(None).await, Ended::TooMuch);
        assert!(begin.elapsed() < Duration::from_secs(5));
    }
}
