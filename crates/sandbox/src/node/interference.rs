//! Faults injected into a node.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use crate::host::Command;

/// Decides before each operation on the node whether it fails.
pub trait HostInterference: Send + Sync {
    /// The fault of this operation; none lets it pass.
    fn fault(&self, operation: &HostOperation<'_>) -> Option<HostFault>;
}

impl<F: Fn(&HostOperation<'_>) -> Option<HostFault> + Send + Sync> HostInterference for F {
    fn fault(&self, operation: &HostOperation<'_>) -> Option<HostFault> {
        self(operation)
    }
}

/// An operation on the node.
#[derive(Clone, Copy, Debug)]
pub enum HostOperation<'a> {
    /// A command.
    Run(&'a Command),
    /// A file is read.
    Read(&'a Utf8Path),
    /// A file is written.
    Write(&'a Utf8Path),
    /// A path is stat'ed.
    Stat(&'a Utf8Path),
    /// A directory is listed.
    List(&'a Utf8Path),
    /// A file is moved from the first path to the second.
    Rename(&'a Utf8Path, &'a Utf8Path),
    /// A file is removed.
    Remove(&'a Utf8Path),
    /// A file is waited for.
    Wait(&'a Utf8Path),
}

impl HostOperation<'_> {
    /// Whether it may change the node.
    pub fn is_change(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Write(_) | Self::Rename(..) | Self::Remove(_))
    }
}

impl fmt::Display for HostOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(command) => f.write_str(&command.display()),
            Self::Read(path) => write!(f, "read {path}"),
            Self::Write(path) => write!(f, "write {path}"),
            Self::Stat(path) => write!(f, "stat {path}"),
            Self::List(path) => write!(f, "list {path}"),
            Self::Rename(from, to) => write!(f, "rename {from} {to}"),
            Self::Remove(path) => write!(f, "remove {path}"),
            Self::Wait(path) => write!(f, "wait for {path}"),
        }
    }
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFault {
    /// The command ends with an exit code and a message.
    Exit {
        /// Whether it does its work before that.
        after: bool,
        /// The exit code.
        status: i32,
        /// What it says on standard error.
        stderr: String,
    },
    /// The command does not end and is killed at its deadline; a wait does not see
    /// the file before its time is over.
    Hang {
        /// Whether the command does its work before that.
        after: bool,
    },
    /// The command does its work, succeeds and prints this; a file that is read has this content.
    Garbage(Vec<u8>),
    /// The system call fails: `ENOSPC`, `EACCES`, `EROFS`. A command says so and ends with exit code 1.
    Errno(Errno),
    /// Another process writes or removes this file, then the operation continues.
    Changed(Utf8PathBuf, Option<Vec<u8>>),
}
