//! The file system of a node in memory, with the errors that a kernel gives.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use rustix::io::Errno;
use serde_json::Value;
use std::sync::Arc;

use super::entry;
use crate::host::{FileKind, Stat};
use crate::store::Transaction;

/// Where entries are in the store; their paths begin with `/`.
const KEYS: &str = "file";
/// How many symbolic links a kernel follows.
const MAX_LINKS: usize = 40;
/// What the kernel itself shows as files.
const KERNEL: [&str; 2] = ["/proc", "/sys"];

const READ: u32 = 0o4;
/// Permission to change.
pub(super) const WRITE: u32 = 0o2;
/// Permission to look up names in a directory.
pub(super) const SEARCH: u32 = 0o1;

/// What a system call answers.
pub(super) type Answer<T> = std::result::Result<T, Errno>;

/// The file system as a user sees it.
#[derive(Clone, Copy)]
pub(super) struct Files<'a> {
    pub(super) transaction: &'a Transaction<'a>,
    /// The user id of who looks; 0 may see everything.
    pub(super) user: u32,
}

impl<'a> Files<'a> {
    /// What is at a path, without following a last symbolic link; none when nothing is.
    pub(super) fn stat(&self, path: &Utf8Path) -> Answer<Option<Stat>> {
        absent(self.real_path(path, false).and_then(|path| self.entry(&path).map(|value| entry::stat(value))))
    }

    /// A file's bytes; none when nothing is there.
    pub(super) fn read(&self, path: &Utf8Path) -> Answer<Option<Vec<u8>>> {
        let read = |path: Utf8PathBuf| {
            let value = self.entry(&path)?;
            if entry::kind(value) == FileKind::Directory {
                return Err(Errno::ISDIR);
            }
            self.permit(value, READ)?;
            Ok(entry::bytes(value))
        };
        absent(self.real_path(path, true).and_then(read))
    }

    /// The names in a directory, sorted by bytes; none when there is no directory.
    pub(super) fn list(&self, directory: &Utf8Path) -> Answer<Option<Vec<String>>> {
        absent(self.real_path(directory, true).and_then(|path| self.names(&path)))
    }

    /// Whether a program is at a path.
    pub(super) fn is_executable(&self, path: &Utf8Path) -> bool {
        let found = self.real_path(path, true).and_then(|path| self.entry(&path));
        found.is_ok_and(|value| entry::kind(value) == FileKind::File && entry::mode(value) & 0o111 != 0)
    }

    /// The path without symbolic links; of its last component only when it is to be followed.
    ///
    /// # Errors
    /// As of a kernel; what the last component names need not exist.
    pub(super) fn real_path(&self, path: &Utf8Path, follow_last: bool) -> Answer<Utf8PathBuf> {
        let mut left: Vec<String> = components(path);
        let mut real = Utf8PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = left.pop() {
            self.enter(&real)?;
            if name == ".." {
                real.pop();
                continue;
            }
            real.push(&name);
            let Ok(value) = self.entry(&real) else { continue };
            let Some(target) = entry::target(value).filter(|_| follow_last || !left.is_empty()) else {
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::LOOP);
            }
            real = if target.starts_with('/') { "/".into() } else { parent(&real) };
            left.extend(components(Utf8Path::new(target)));
        }
        Ok(real)
    }

    /// Whether a name may be looked up in a directory.
    fn enter(&self, directory: &Utf8Path) -> Answer<()> {
        let value = self.entry(directory)?;
        if entry::kind(value) != FileKind::Directory {
            return Err(Errno::NOTDIR);
        }
        self.permit(value, SEARCH)
    }

    fn names(&self, directory: &Utf8Path) -> Answer<Vec<String>> {
        let value = self.entry(directory)?;
        if entry::kind(value) != FileKind::Directory {
            return Err(Errno::NOTDIR);
        }
        self.permit(value, READ)?;
        let prefix = format!("{}/", key(directory).trim_end_matches('/'));
        let keys = self.transaction.range(&prefix).map(|(key, _)| &key[prefix.len()..]);
        let mut names: Vec<String> =
            keys.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The value at a path without symbolic links.
    pub(super) fn entry(&self, path: &Utf8Path) -> Answer<&'a Arc<Value>> {
        self.transaction.value(&key(path)).ok_or(Errno::NOENT)
    }

    /// Refuses what the permission bits do not grant.
    pub(super) fn permit(&self, value: &Value, wanted: u32) -> Answer<()> {
        let mode = entry::mode(value);
        let granted = if entry::uid(value) == self.user { mode >> 6 } else { mode };
        if self.user == 0 || granted & wanted == wanted { Ok(()) } else { Err(Errno::ACCESS) }
    }

    /// As [`real_path`](Self::real_path), also when directories on the way are missing.
    pub(super) fn real_path_of_new(&self, path: &Utf8Path) -> Answer<Utf8PathBuf> {
        match self.real_path(path, false) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::NOENT) };
        let above = self.real_path_of_new(above)?;
        // The directory itself may be there as a link.
        let above = self.real_path(&above, true).unwrap_or(above);
        Ok(above.join(name))
    }

    /// Whether an entry may be made, moved or removed.
    pub(super) fn permit_change(&self, path: &Utf8Path) -> Answer<()> {
        if KERNEL.iter().any(|kernel| path.starts_with(kernel)) {
            return Err(Errno::PERM);
        }
        self.permit(self.entry(&parent(path))?, WRITE | SEARCH)
    }
}

fn absent<T>(answer: Answer<T>) -> Answer<Option<T>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The names of a path, the last one first; a relative path begins at the root.
fn components(path: &Utf8Path) -> Vec<String> {
    let name = |component| match component {
        Utf8Component::Normal(name) => Some(name.to_owned()),
        Utf8Component::ParentDir => Some("..".to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(name).collect()
}

/// The directory that a path is in.
pub(super) fn parent(path: &Utf8Path) -> Utf8PathBuf {
    path.parent().unwrap_or(Utf8Path::new("/")).to_owned()
}

/// Where a path is in the store.
pub(super) fn key(path: &Utf8Path) -> String {
    format!("{KEYS}{path}")
}
