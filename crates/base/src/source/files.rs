//! The cache of downloads and the lock file: files of the machine that runs kvnet, not of the node.
#![allow(
    clippy::disallowed_methods,
    reason = "the operator's own files do not go through the node's host boundary"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU32, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, code};
use crate::manifest::MAX_BYTES;
use crate::profile::{Patience, open_soon};

/// The SHA-256 digest in lower-case hexadecimal.
pub(super) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Reads a manifest from a path of the profile.
///
/// At most one byte more than a manifest can have: the parser refuses it.
///
/// # Errors
/// Errors of the file system.
pub(super) fn read(path: &Utf8Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = open_soon(path.as_std_path())?;
    let _patience = Patience::with_file(&file, path.as_std_path())?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Downloads by their digest. Losing it costs a download; it is never trusted without checking.
pub(super) struct Cache {
    dir: Utf8PathBuf,
}

impl Cache {
    pub(super) fn new(dir: &Utf8Path) -> Self {
        Self { dir: dir.join("sha256") }
    }

    /// The bytes with this digest; none when they are missing or corrupt.
    pub(super) fn load(&self, sha256: &str) -> Option<Vec<u8>> {
        let bytes = fs::read(self.dir.join(sha256)).ok()?;
        if digest(&bytes) == sha256 {
            return Some(bytes);
        }
        tracing::debug!(target: "kvnet::download", %sha256, "a cached download is damaged and is downloaded again");
        None
    }

    /// Caches the bytes. A cache that cannot be written is not fatal.
    pub(super) fn store(&self, sha256: &str, bytes: &[u8]) {
        let path = self.dir.join(sha256);
        if let Err(error) = write_atomically(&path, bytes) {
            tracing::debug!(target: "kvnet::download", %path, %error, "a download cannot be cached");
        }
    }
}

/// The digests of downloads that the profile does not pin: address to digest.
pub(super) struct LockFile {
    path: Utf8PathBuf,
}

impl LockFile {
    pub(super) fn new(path: &Utf8Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The digest that an earlier run recorded for `address`.
    pub(super) fn digest_of(&self, address: &str) -> Result<Option<String>> {
        Ok(self.entries()?.remove(address))
    }

    /// Records a digest that was checked against the previous pin, if any.
    pub(super) fn pin(&self, address: &str, sha256: &str) -> Result<()> {
        let mut entries = self.entries()?;
        if entries.insert(address.to_owned(), sha256.to_owned()).as_deref() == Some(sha256) {
            return Ok(());
        }
        self.replace(&entries)
    }

    /// All pins: address to digest.
    pub(super) fn all(&self) -> Result<BTreeMap<String, String>> {
        self.entries()
    }

    /// Forgets the pin of an address; false when there is none.
    pub(super) fn forget(&self, address: &str) -> Result<bool> {
        let mut entries = self.entries()?;
        let known = entries.remove(address).is_some();
        if known {
            self.replace(&entries)?;
        }
        Ok(known)
    }

    /// Forgets all pins, even those of a damaged file.
    pub(super) fn forget_all(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.error(&error)),
            _ => Ok(()),
        }
    }

    fn replace(&self, entries: &BTreeMap<String, String>) -> Result<()> {
        let mut text = serde_json::to_string_pretty(entries).map_err(|error| self.error(&error))?;
        text.push('\n');
        write_atomically(&self.path, text.as_bytes()).map_err(|error| self.error(&error))
    }

    fn entries(&self) -> Result<BTreeMap<String, String>> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| self.error(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(self.error(&error)),
        }
    }

    fn error(&self, cause: &dyn std::fmt::Display) -> Error {
        Error::new(&code::HOST_FILE, "the lock file of manifests cannot be used")
            .at(self.path.as_str())
            .because(cause)
            .hint("fix it, or forget all pins with `kvnet profile pins --forget-all`")
    }
}

/// Writes beside the target and renames, so that a reader sees the old file or the new one.
fn write_atomically(path: &Utf8Path, bytes: &[u8]) -> std::io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = Utf8PathBuf::from(format!("{path}.{}.{number}.new", std::process::id()));
    // The leftover of a killed run with the same PID, as is usual in containers.
    let _ = fs::remove_file(&temporary);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    let written =
        file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The failure is reported; a leftover only takes space.
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        (dir, path)
    }

    #[test]
    fn the_cache_gives_back_only_what_has_the_digest() {
        let (_dir, path) = scratch();
        let cache = Cache::new(&path.join("cache"));
        let sha256 = digest(b"text");
        assert_eq!(cache.load(&sha256), None);
        cache.store(&sha256, b"text");
        assert_eq!(cache.load(&sha256).unwrap(), b"text");
        let file = path.join("cache/sha256").join(&sha256);
        let mode = |path: &Utf8Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        fs::write(&file, b"torn").unwrap();
        assert_eq!(cache.load(&sha256), None);
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn the_lock_file_keeps_digests_until_they_are_forgotten() {
        let (_dir, path) = scratch();
        let lock = LockFile::new(&path.join("new/lock.json"));
        assert_eq!(lock.digest_of("https://a/b").unwrap(), None);
        lock.pin("https://a/b", "00").unwrap();
        lock.pin("https://a/c", "22").unwrap();
        assert_eq!(lock.digest_of("https://a/b").unwrap().unwrap(), "00");
        assert!(lock.forget("https://a/b").unwrap() && !lock.forget("https://a/b").unwrap());
        assert_eq!(lock.all().unwrap().into_keys().collect::<Vec<_>>(), ["https://a/c"]);
        fs::write(path.join("new/lock.json"), "[").unwrap();
        let error = lock.digest_of("https://a/b").unwrap_err();
        assert_eq!((error.code().id, error.place()), ("KVN204", Some(path.join("new/lock.json").as_str())));
        assert!(error.hints()[0].contains("--forget-all"), "{error:?}");
        lock.forget_all().unwrap();
        assert!(lock.all().unwrap().is_empty());
    }
}
