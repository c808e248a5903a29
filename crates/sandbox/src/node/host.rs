//! The node in memory behind the boundary that kvnet works through.

use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;
use tokio::time::Instant;

use super::files::{Answer, Files};
use super::interference::{HostFault, HostOperation};
use super::{SandboxHost, edit, lock, programs};
use crate::error::{Error, Result, code};
use crate::host::files::failed;
use crate::host::process::{late, missing};
use crate::host::{Command, FileKind, Host, Output, Shot, Sighting, Stat};
use crate::store::Transaction;

/// Where programs are looked for, in this order.
const SEARCH_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

#[async_trait]
impl Host for SandboxHost {
    async fn run(&self, command: &Command) -> Result<Output> {
        lock(&self.0.log).commands.push(command.display());
        let fault = self.fault(HostOperation::Run(command))?;
        match fault {
            None => self.execute(command),
            Some(HostFault::Hang { after }) => {
                if after {
                    self.execute(command)?;
                }
                tokio::time::sleep(command.timeout).await;
                Err(late(command, ""))
            }
            Some(fault) => self.spoilt(command, fault),
        }
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        let fault = self.fault(HostOperation::Read(path))?;
        if let Some(HostFault::Garbage(content)) = fault {
            return Ok(Some(content));
        }
        pass(fault.as_ref()).and_then(|()| self.look(|files| files.read(path))).map_err(told("read", path))
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        let fault = self.fault(HostOperation::Write(path))?;
        pass(fault.as_ref()).map_err(told("write", path))?;
        self.0.store.write(|transaction| {
            refuse_unsafe(Files { transaction, user: self.0.user }, path)?;
            edit::write(transaction, self.0.user, path, content, mode).map_err(told("write", path))
        })??;
        self.wrote(path);
        Ok(())
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        let fault = self.fault(HostOperation::Stat(path))?;
        pass(fault.as_ref()).and_then(|()| self.look(|files| files.stat(path))).map_err(told("access", path))
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        let fault = self.fault(HostOperation::List(directory))?;
        pass(fault.as_ref())
            .and_then(|()| self.look(|files| files.list(directory)))
            .map_err(told("list", directory))
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        let fault = self.fault(HostOperation::Rename(from, to))?;
        let moved =
            pass(fault.as_ref()).and_then(|()| self.change(|t| edit::rename(t, self.0.user, from, to)));
        moved.map_err(|error| match error {
            Failure::Kernel(Errno::EXIST) => {
                let message = format!("cannot move it to {to}: that exists");
                Error::new(&code::HOST_FILE, message).at(from.as_str())
            }
            error => told("move", from)(error),
        })?;
        self.wrote(to);
        Ok(())
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        let fault = self.fault(HostOperation::Remove(path))?;
        let removed = pass(fault.as_ref()).and_then(|()| self.change(|t| edit::remove(t, self.0.user, path)));
        if removed.map_err(told("remove", path))? {
            self.wrote(path);
        }
        Ok(())
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        self.0.store.read(|transaction| found(transaction, program))
    }

    async fn user_id(&self) -> Result<u32> {
        Ok(self.0.user)
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        match self.fault(HostOperation::Wait(path))? {
            Some(HostFault::Hang { .. }) => {
                tokio::time::sleep_until(deadline).await;
                return Ok(false);
            }
            fault => pass(fault.as_ref()).map_err(told("wait for", path))?,
        }
        let mut revisions = self.0.store.revisions();
        loop {
            revisions.mark_unchanged();
            if self.is_written(path)? {
                return Ok(true);
            }
            // Another process may have written it without this one being told.
            if tokio::time::timeout_at(deadline, revisions.changed()).await.is_err() {
                return self.is_written(path);
            }
        }
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        let message = format!("not simulated: a frame from {} of a node without a world", shot.link);
        Err(Error::new(&code::INTERNAL, message))
    }
}

impl SandboxHost {
    /// Asks for a fault; concurrent changes are made at this point.
    fn fault(&self, operation: HostOperation<'_>) -> Result<Option<HostFault>> {
        let Some(interference) = self.asked() else { return Ok(None) };
        match interference.fault(&operation) {
            Some(HostFault::Changed(path, content)) => {
                match content {
                    Some(content) => self.put_file(&path, &content, 0o644)?,
                    None => self.remove_file(&path)?,
                }
                Ok(None)
            }
            fault => Ok(fault),
        }
    }

    /// A command whose result is not its own.
    fn spoilt(&self, command: &Command, fault: HostFault) -> Result<Output> {
        match fault {
            HostFault::Exit { after, status, stderr } => {
                if after {
                    self.execute(command)?;
                }
                Ok(Output { status, stdout: String::new(), stderr })
            }
            HostFault::Garbage(bytes) => {
                let output = self.execute(command)?;
                Ok(Output { stdout: String::from_utf8_lossy(&bytes).into_owned(), ..output })
            }
            HostFault::Errno(error) => {
                let stderr = format!("{}: {}\n", command.program(), programs::reason(error));
                Ok(Output { status: 1, stdout: String::new(), stderr })
            }
            HostFault::Hang { .. } | HostFault::Changed(..) => self.execute(command),
        }
    }

    /// Runs a command with nothing in its way and without a note of it.
    pub(super) fn execute(&self, command: &Command) -> Result<Output> {
        self.0.store.write(|transaction| {
            if found(transaction, command.program()).is_none() {
                return Err(missing(command.program()));
            }
            programs::run(transaction, &self.0.seed, self.0.user, command)
        })?
    }

    fn look<T>(&self, look: impl FnOnce(Files<'_>) -> Answer<T>) -> Result<T, Failure> {
        Ok(self.0.store.read(|transaction| look(Files { transaction, user: self.0.user }))??)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Transaction<'_>) -> Answer<T>) -> Result<T, Failure> {
        Ok(self.0.store.write(change)??)
    }

    /// A program creates a file before it writes to it: an empty file counts as missing.
    fn is_written(&self, path: &Utf8Path) -> Result<bool> {
        self.0.store.read(|transaction| {
            let files = Files { transaction, user: 0 };
            let found = files.real_path(path, true).and_then(|path| files.stat(&path));
            found.ok().flatten().is_some_and(|stat| stat.kind != FileKind::File || stat.size > 0)
        })
    }

    fn wrote(&self, path: &Utf8Path) {
        lock(&self.0.log).writes.push(path.to_owned());
    }
}

/// Why something did not work: the node's kernel, or the sandbox itself.
enum Failure {
    Kernel(Errno),
    Sandbox(Error),
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Self {
        Self::Kernel(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sandbox(error)
    }
}

fn told<F: Into<Failure>>(verb: &str, path: &Utf8Path) -> impl Fn(F) -> Error {
    move |failure| match failure.into() {
        Failure::Kernel(error) => failed(&error.into(), verb, path),
        Failure::Sandbox(error) => error,
    }
}

/// Only an error number stops an operation on files.
fn pass(fault: Option<&HostFault>) -> Result<(), Failure> {
    match fault {
        Some(HostFault::Errno(error)) => Err((*error).into()),
        _ => Ok(()),
    }
}

fn found(transaction: &Transaction<'_>, program: &str) -> Option<Utf8PathBuf> {
    let files = Files { transaction, user: 0 };
    if program.contains('/') {
        return Some(Utf8PathBuf::from(program)).filter(|path| files.is_executable(path));
    }
    let mut paths = SEARCH_PATH.iter().map(|directory| Utf8Path::new(directory).join(program));
    paths.find(|path| !program.is_empty() && files.is_executable(path))
}

/// Refuses what the local host refuses: a link, something other than a file, a world-writable directory.
fn refuse_unsafe(files: Files<'_>, path: &Utf8Path) -> Result<()> {
    let Some(directory) = path.parent() else {
        return Err(Error::new(&code::HOST_FILE, "the root directory is not a file").at(path.as_str()));
    };
    let above = files.real_path(directory, true).and_then(|path| files.stat(&path));
    if above.ok().flatten().is_some_and(|above| above.mode & 0o1002 == 0o002) {
        let error = Error::new(&code::HOST_UNSAFE, "the directory is world-writable");
        return Err(error.at(directory.as_str()).hint(format!("run `chmod o-w {directory}`")));
    }
    match files.stat(path).map_err(told("access", path))?.map(|stat| stat.kind) {
        None | Some(FileKind::File) => Ok(()),
        Some(FileKind::Link) => {
            Err(Error::new(&code::HOST_UNSAFE, "it is a symbolic link").at(path.as_str()))
        }
        Some(_) => Err(Error::new(&code::HOST_FILE, "it is not a regular file").at(path.as_str())),
    }
}
