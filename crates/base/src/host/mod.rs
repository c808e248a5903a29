//! The host boundary: every command and file of the node goes through [`Host`].
//!
//! A step cannot tell whether the node is this machine, a machine behind SSH, or a fake one in memory. Nothing outside
//! this module starts a process or opens a file of the node; `clippy.toml` enforces it.
#![allow(clippy::disallowed_methods, reason = "this is the module that the others go through")]

pub mod agent;
mod command;
pub mod fake;
pub mod files;
mod frames;
pub mod helper;
pub mod local;
mod noted;
pub mod process;
pub mod small;
mod taped;
mod watch;

use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::error::Result;
pub use command::{Command, Output};
pub use frames::{Shot, Sighting, contains};
pub use noted::Noted;
pub use process::ignores_hangup;
pub use taped::{Recorded, Replayed};

/// What a path is, without following a symbolic link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// File, directory or link.
    pub kind: FileKind,
    /// Permission bits, for example `0o644`.
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Bytes.
    pub size: u64,
}

/// A service as the node's service manager knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// Whether it runs.
    pub running: bool,
    /// Whether it starts at boot.
    pub enabled: bool,
}

/// The kinds of file that kvnet distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, not followed.
    Link,
    /// A socket, device or pipe.
    Other,
}

/// A node that kvnet can read and change.
#[async_trait]
pub trait Host: Send + Sync {
    /// Runs a command to its end. A non-zero exit is an [`Output`], not an error; an error means that the command could
    /// not be started ([`HOST_TOOL_MISSING`](crate::error::code::HOST_TOOL_MISSING)) or was killed with its process group
    /// at its deadline ([`HOST_TIMEOUT`](crate::error::code::HOST_TIMEOUT)).
    async fn run(&self, command: &Command) -> Result<Output>;

    /// The content of a file; `None` when there is none.
    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>>;

    /// Replaces a file's content atomically and durably (temporary file, fsync, rename, fsync of the directory); makes
    /// missing parents with mode 0755; refuses to write through a symbolic link at `path`.
    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()>;

    /// What is at a path; `None` when nothing is.
    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>>;

    /// The names in a directory, sorted by bytes; `None` when it does not exist.
    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>>;

    /// Renames a file within a file system; fails when `to` exists.
    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()>;

    /// Removes a file; fine when there is none.
    async fn remove(&self, path: &Utf8Path) -> Result<()>;

    /// Where a program is on the node's PATH (also in /usr/sbin and /sbin); `None` when it is not found.
    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>>;

    /// The user id that commands run as; 0 is root.
    async fn user_id(&self) -> Result<u32>;

    /// Waits, without polling, until a file with content, or anything else, is at a path; false on a timeout.
    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool>;

    /// Sends a frame and returns where it was seen. It leaves nothing behind, even when cancelled.
    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>>;
}
