//! A node in memory: files, scripted programs, and faults on request.
//!
//! An unscripted command is an error, so that a test sees every command that a step runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Command, FileKind, Host, Output, Shot, Sighting, Stat};
use crate::error::{Error, Result, code};

/// A node in memory.
#[derive(Default)]
pub struct FakeHost {
    state: Mutex<FakeNode>,
}

#[derive(Default)]
struct FakeNode {
    files: Files,
    programs: BTreeSet<String>,
    scripts: Vec<Script>,
    commands: Vec<Command>,
    writes: Vec<Utf8PathBuf>,
    faults: Vec<Fault>,
    user: u32,
    wire: Option<Wire>,
}

/// The files of a fake node.
#[derive(Clone, Debug, Default)]
pub struct Files(BTreeMap<Utf8PathBuf, FakeFile>);

#[derive(Clone, Debug)]
struct FakeFile {
    content: Vec<u8>,
    mode: u32,
    kind: FileKind,
    /// None: the one that kvnet runs as.
    uid: Option<u32>,
}

type Reply = Box<dyn Fn(&Command, &mut Files) -> Output + Send>;

type Wire = Box<dyn Fn(&Shot) -> Vec<Sighting> + Send>;

struct Script {
    prefix: Vec<String>,
    reply: Reply,
}

/// A fault that occurs once, at the next match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The program ends with an exit code and a message.
    Exit(String, i32, String),
    /// The program does not end in time.
    Timeout(String),
    /// The file cannot be written: disk full.
    Full(Utf8PathBuf),
    /// The file cannot be written: permission denied.
    Denied(Utf8PathBuf),
}

impl FakeHost {
    /// An empty node on which kvnet is root.
    pub fn new() -> Self {
        Self::default()
    }

    /// A node on which kvnet is not root.
    #[must_use]
    pub fn user(self, id: u32) -> Self {
        self.state().user = id;
        self
    }

    /// Adds a file with mode 0644.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        self.state().files.put(path, content, 0o644);
        self
    }

    /// Adds something other than a file.
    #[must_use]
    pub fn other(self, path: &str, kind: FileKind) -> Self {
        self.state()
            .files
            .0
            .insert(path.into(), FakeFile { content: Vec::new(), mode: 0o755, kind, uid: None });
        self
    }

    /// Adds a symbolic link, mode 0777 as on Linux, through which this content is read.
    #[must_use]
    pub fn link(self, path: &str, content: &str) -> Self {
        let file = FakeFile { content: content.into(), mode: 0o777, kind: FileKind::Link, uid: None };
        self.state().files.0.insert(path.into(), file);
        self
    }

    /// Changes owner and mode of a path.
    #[must_use]
    pub fn owned(self, path: &str, uid: u32, mode: u32) -> Self {
        if let Some(file) = self.state().files.0.get_mut(Utf8Path::new(path)) {
            (file.uid, file.mode) = (Some(uid), mode);
        }
        self
    }

    /// Adds an empty directory; those of files are there anyway.
    #[must_use]
    pub fn directory(self, path: &str) -> Self {
        self.other(path, FileKind::Directory)
    }

    /// Sent frames are seen where `wire` says.
    #[must_use]
    pub fn wired(self, wire: impl Fn(&Shot) -> Vec<Sighting> + Send + 'static) -> Self {
        self.state().wire = Some(Box::new(wire));
        self
    }

    /// No frame can be sent any more.
    #[must_use]
    pub fn unwired(self) -> Self {
        self.state().wire = None;
        self
    }

    /// Puts a program on the PATH without saying what it does.
    #[must_use]
    pub fn program(self, name: &str) -> Self {
        self.state().programs.insert(name.to_owned());
        self
    }

    /// Commands that start with these words succeed and print `stdout`; the newest script that fits is used.
    #[must_use]
    pub fn prints<const N: usize>(self, words: [&str; N], stdout: &str) -> Self {
        let output = Output { stdout: stdout.to_owned(), ..Output::default() };
        self.on(words, move |_, _| output.clone())
    }

    /// Commands that start with these words fail.
    #[must_use]
    pub fn fails<const N: usize>(self, words: [&str; N], status: i32, stderr: &str) -> Self {
        let output = Output { status, stdout: String::new(), stderr: stderr.to_owned() };
        self.on(words, move |_, _| output.clone())
    }

    /// Commands that start with these words are answered by `reply`, which may also change the files.
    #[must_use]
    pub fn on<const N: usize>(
        self,
        words: [&str; N],
        reply: impl Fn(&Command, &mut Files) -> Output + Send + 'static,
    ) -> Self {
        let prefix: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mut state = self.state();
        state.programs.extend(prefix.first().cloned());
        state.scripts.push(Script { prefix, reply: Box::new(reply) });
        drop(state);
        self
    }

    /// Injects a fault once.
    pub fn inject(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// The commands that ran, as a person would type them.
    pub fn commands(&self) -> Vec<String> {
        self.state().commands.iter().map(Command::display).collect()
    }

    /// The paths that were written, moved or removed, in order.
    pub fn writes(&self) -> Vec<Utf8PathBuf> {
        self.state().writes.clone()
    }

    /// The content of a file.
    pub fn content(&self, path: &str) -> Option<String> {
        self.state().files.text(path)
    }

    fn state(&self) -> MutexGuard<'_, FakeNode> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Files {
    /// Adds or replaces a file.
    pub fn put(&mut self, path: &str, content: &str, mode: u32) {
        let file = FakeFile { content: content.into(), mode, kind: FileKind::File, uid: None };
        self.0.insert(path.into(), file);
    }

    /// Removes a file.
    pub fn take(&mut self, path: &str) {
        self.0.remove(Utf8Path::new(path));
    }

    /// The content of a file.
    pub fn text(&self, path: &str) -> Option<String> {
        let file = self.0.get(Utf8Path::new(path))?;
        Some(String::from_utf8_lossy(&file.content).into_owned())
    }

    fn is_directory(&self, path: &Utf8Path) -> bool {
        match self.0.get(path) {
            Some(file) => file.kind == FileKind::Directory,
            None => self.0.keys().any(|other| other != path && other.starts_with(path)),
        }
    }
}

impl FakeNode {
    fn fault(&mut self, fits: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let index = self.faults.iter().position(fits)?;
        Some(self.faults.remove(index))
    }

    fn reply(&mut self, command: &Command) -> Option<Output> {
        let script = self.scripts.iter().rev().find(|script| command.argv.starts_with(&script.prefix))?;
        Some((script.reply)(command, &mut self.files))
    }
}

#[async_trait]
impl Host for FakeHost {
    async fn run(&self, command: &Command) -> Result<Output> {
        let mut state = self.state();
        state.commands.push(command.clone());
        let program = command.program();
        match state
            .fault(|fault| matches!(fault, Fault::Exit(name, ..) | Fault::Timeout(name) if name == program))
        {
            Some(Fault::Exit(_, status, stderr)) => {
                return Ok(Output { status, stdout: String::new(), stderr });
            }
            Some(_) => return Err(Error::new(&code::HOST_TIMEOUT, format!("`{program}` did not end"))),
            None => {}
        }
        if let Some(output) = state.reply(command) {
            return Ok(output);
        }
        if state.programs.contains(program) {
            let message = format!("`{}` is not scripted", command.display());
            return Err(Error::new(&code::INTERNAL, message));
        }
        Err(super::process::missing(program))
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        Ok(self.state().files.0.get(path).map(|file| file.content.clone()))
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        let mut state = self.state();
        let fault = state.fault(|fault| matches!(fault, Fault::Full(at) | Fault::Denied(at) if at == path));
        if let Some(fault) = fault {
            let full = matches!(fault, Fault::Full(_));
            let code = if full { &code::HOST_FULL } else { &code::HOST_PERMISSION };
            return Err(Error::new(code, "cannot write it").at(path.as_str()));
        }
        if state.files.0.get(path).is_some_and(|file| file.kind == FileKind::Link) {
            return Err(Error::new(&code::HOST_UNSAFE, "it is a symbolic link").at(path.as_str()));
        }
        state.writes.push(path.to_owned());
        let file = FakeFile { content: content.to_vec(), mode, kind: FileKind::File, uid: None };
        state.files.0.insert(path.to_owned(), file);
        Ok(())
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        let state = self.state();
        let uid = state.user;
        if let Some(file) = state.files.0.get(path) {
            let size = file.content.len() as u64;
            return Ok(Some(Stat { kind: file.kind, mode: file.mode, uid: file.uid.unwrap_or(uid), size }));
        }
        let directory = Stat { kind: FileKind::Directory, mode: 0o755, uid, size: 0 };
        Ok(state.files.is_directory(path).then_some(directory))
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        let state = self.state();
        let child = |path: &Utf8PathBuf| {
            let rest = path.strip_prefix(directory).ok()?;
            Some(rest.components().next()?.as_str().to_owned())
        };
        let names: BTreeSet<String> = state.files.0.keys().filter_map(child).collect();
        Ok(state.files.is_directory(directory).then(|| names.into_iter().collect()))
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        let mut state = self.state();
        if state.files.0.contains_key(to) {
            let error = Error::new(&code::HOST_FILE, format!("cannot move it to {to}: that exists"));
            return Err(error.at(from.as_str()));
        }
        let Some(file) = state.files.0.remove(from) else {
            return Err(Error::new(&code::HOST_FILE, "cannot move it: it does not exist").at(from.as_str()));
        };
        state.files.0.insert(to.to_owned(), file);
        state.writes.push(to.to_owned());
        Ok(())
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        let mut state = self.state();
        if state.files.0.remove(path).is_some() {
            state.writes.push(path.to_owned());
        }
        Ok(())
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        let there = self.state().programs.contains(program);
        Ok(there.then(|| Utf8Path::new("/usr/bin").join(program)))
    }

    async fn wait_for(&self, path: &Utf8Path, _: std::time::Duration) -> Result<bool> {
        Ok(self.stat(path).await?.is_some())
    }

    async fn user_id(&self) -> Result<u32> {
        Ok(self.state().user)
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        let refused = || Error::new(&code::HOST_PERMISSION, "frames cannot be captured");
        self.state().wire.as_ref().map(|wire| wire(shot)).ok_or_else(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_newest_script_that_fits_answers() {
        let host = FakeHost::new().prints(["ip"], "any").prints(["ip", "-j"], "json");
        assert_eq!(host.run(&Command::new(["ip", "-j", "addr"])).await.unwrap().stdout, "json");
        assert_eq!(host.run(&Command::new(["ip", "addr"])).await.unwrap().stdout, "any");
        assert_eq!(host.commands(), ["ip -j addr", "ip addr"]);
    }

    #[tokio::test]
    async fn an_unknown_command_is_an_error() {
        let host = FakeHost::new().program("modprobe");
        let error = host.run(&Command::new(["modprobe", "x"])).await.unwrap_err();
        assert_eq!(error.code(), &code::INTERNAL);
        let error = host.run(&Command::new(["ip"])).await.unwrap_err();
        assert_eq!(error.code(), &code::HOST_TOOL_MISSING);
    }

    #[tokio::test]
    async fn faults_happen_once() {
        let host = FakeHost::new().prints(["ip"], "");
        host.inject(Fault::Exit("ip".into(), 1, "no".into()));
        host.inject(Fault::Full("/f".into()));
        assert_eq!(host.run(&Command::new(["ip"])).await.unwrap().status, 1);
        assert_eq!(host.run(&Command::new(["ip"])).await.unwrap().status, 0);
        let path = Utf8Path::new("/f");
        assert_eq!(host.write(path, b"", 0o600).await.unwrap_err().code(), &code::HOST_FULL);
        host.write(path, b"", 0o600).await.unwrap();
        assert_eq!(host.writes(), ["/f"]);
    }

    #[tokio::test]
    async fn directories_follow_from_files() {
        let host = FakeHost::new().file("/etc/cni/net.d/b.conf", "").file("/etc/cni/net.d/a/x", "");
        let path = Utf8Path::new("/etc/cni/net.d");
        assert_eq!(host.list(path).await.unwrap().unwrap(), ["a", "b.conf"]);
        assert_eq!(host.stat(path).await.unwrap().unwrap().kind, FileKind::Directory);
        assert_eq!(host.list(Utf8Path::new("/opt")).await.unwrap(), None);
    }
}
