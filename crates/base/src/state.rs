//! The state directory: the journal, the lock and the record of the last verification.
//!
//! It belongs to the machine that runs kvnet, so it does not go through the host boundary.
#![allow(clippy::disallowed_methods, reason = "the state belongs to the machine that runs kvnet")]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::checkpoint::reached;
use crate::error::{Error, Result, code};

/// The directory of the logs of runs in it.
pub const LOGS: &str = "logs";

/// Where kvnet keeps its state.
#[derive(Clone, Debug)]
pub struct StateDir(Utf8PathBuf);

impl StateDir {
    /// The given directory, else `/var/lib/kvnet` for root and the XDG state directory for others. Makes nothing.
    pub fn locate(explicit: Option<&Utf8Path>, root: bool) -> Self {
        if let Some(path) = explicit {
            return Self(path.to_owned());
        }
        if root {
            return Self("/var/lib/kvnet".into());
        }
        let home =
            || Utf8PathBuf::from(std::env::var("HOME").unwrap_or_else(|_| "/".into())).join(".local/state");
        let base = std::env::var("XDG_STATE_HOME").ok().filter(|path| path.starts_with('/'));
        Self(base.map_or_else(home, Utf8PathBuf::from).join("kvnet"))
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> Utf8PathBuf {
        self.0.join(name)
    }

    /// The directory itself.
    pub fn directory(&self) -> &Utf8Path {
        &self.0
    }

    /// Makes the directory, mode 0700, and refuses one as [`refuse_unsafe`](Self::refuse_unsafe) does.
    pub fn create(&self) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(|error| file_error(&self.0, &error))?;
        self.refuse_unsafe()
    }

    /// Refuses a directory that other users can write to: `down` runs commands from the journal. Fine when there is
    /// none.
    pub fn refuse_unsafe(&self) -> Result<()> {
        let metadata = match fs::symlink_metadata(&self.0) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            metadata => metadata.map_err(|error| file_error(&self.0, &error))?,
        };
        let (what, hint) = if metadata.file_type().is_symlink() {
            ("the state directory is a symbolic link", "name the directory that it points to")
        } else if metadata.mode() & 0o022 != 0 {
            ("other users can write to the state directory", "remove the write permission of other users")
        } else if metadata.uid() != rustix::process::geteuid().as_raw() {
            (
                "the state directory belongs to another user",
                "run kvnet as that user, or choose another directory",
            )
        } else {
            return Ok(());
        };
        Err(Error::new(&code::HOST_UNSAFE, what).at(self.0.as_str()).hint(hint))
    }

    /// A file's text; none when there is none.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, &error)),
        }
    }

    /// The names in a directory of it, sorted; none when there is none.
    pub fn list(&self, directory: &str) -> Result<Vec<String>> {
        let path = self.path(directory);
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| file_error(&path, &error))?,
        };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Replaces a file, mode 0600, atomically and durably.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        self.create()?;
        // Always the same name: what a killed run left is overwritten by the next one.
        let (path, temporary) = (self.path(name), self.path(&format!(".{name}.new")));
        let write = || -> std::io::Result<()> {
            let mut file = own().write(true).truncate(true).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            reached(|| format!("within the write of {name}"));
            fs::rename(&temporary, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| file_error(&path, &error))
    }

    /// Removes a file; fine when there is none.
    pub fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        reached(|| format!("before the removal of {name}"));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(file_error(&path, &error)),
            _ => Ok(()),
        }
    }

    /// The state of a file, to see later whether another process changed it; none when it does not exist.
    pub fn mark(&self, name: &str) -> Result<Option<Mark>> {
        let path = self.path(name);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(Mark { inode: metadata.ino(), bytes: metadata.len() })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error(&path, &error)),
        }
    }

    /// Renames a file, replacing what is at the new name; fine when there is none.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        reached(|| format!("before the move of {from}"));
        match fs::rename(self.path(from), self.path(to)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file_error(&self.path(from), &error))
            }
            _ => Ok(()),
        }
    }

    /// Opens a file to append to it, mode 0600.
    pub fn append(&self, name: &str) -> Result<File> {
        self.create()?;
        let path = self.path(name);
        own().append(true).open(&path).map_err(|error| file_error(&path, &error))
    }

    /// Takes the lock; dies with the process. When another holds it, [`STATE_LOCKED`](code::STATE_LOCKED) says who.
    pub fn lock(&self, purpose: &str) -> Result<Lock> {
        reached(|| format!("before the lock of {purpose}"));
        self.create()?;
        let path = self.path("lock");
        let file = own().read(true).write(true).truncate(false).open(&path);
        let mut file = file.map_err(|error| file_error(&path, &error))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
            return Err(Error::new(&code::STATE_LOCKED, format!("kvnet is already running: {holder}"))
                .at(path.as_str()));
        }
        let text = format!("`kvnet {purpose}`, process {}\n", std::process::id());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|error| file_error(&path, &error))?;
        Ok(Lock { _file: file })
    }
}

/// Distinguishes states of a file whose writers only append to it or replace it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    inode: u64,
    bytes: u64,
}

/// Opens files that are kvnet's own: made with mode 0600, and never behind a symbolic link.
fn own() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// The held lock; released when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Maps an error of the file system to its code.
pub fn file_error(path: &Utf8Path, error: &std::io::Error) -> Error {
    Error::of_file(error, "cannot use the file", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("state")).unwrap();
        (directory, StateDir(path))
    }

    #[test]
    fn a_second_lock_says_who_holds_the_first() {
        let (_keep, state) = temporary();
        let held = state.lock("up").unwrap();
        let error = state.lock("down").unwrap_err();
        assert_eq!(error.code().id, "KVN500");
        assert!(error.to_string().contains(&format!("`kvnet up`, process {}", std::process::id())));
        drop(held);
        state.lock("down").unwrap();
    }

    #[test]
    fn files_are_private_and_writes_replace_the_whole_file() {
        let (_keep, state) = temporary();
        state.write("verified.json", "a long first text").unwrap();
        state.write("verified.json", "short").unwrap();
        assert_eq!(state.read("verified.json").unwrap().as_deref(), Some("short"));
        assert_eq!(fs::metadata(state.path("verified.json")).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(state.directory()).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn nothing_is_written_through_a_symbolic_link() {
        let (_keep, state) = temporary();
        state.create().unwrap();
        let target = state.directory().with_file_name("target");
        fs::write(&target, "precious").unwrap();
        for name in ["lock", "journal.jsonl", ".verified.json.new"] {
            std::os::unix::fs::symlink(&target, state.path(name)).unwrap();
        }
        assert!(state.lock("up").is_err());
        assert!(state.append("journal.jsonl").is_err());
        assert!(state.write("verified.json", "x").is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_keep, state) = temporary();
        state.create().unwrap();
        fs::set_permissions(state.directory(), fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(state.lock("up").unwrap_err().code().id, "KVN207");
    }
}
