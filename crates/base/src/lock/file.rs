//! The file of a lock: YAML that reads well in a diff.
#![allow(
    clippy::disallowed_methods,
    reason = "the operator's own file does not go through the node's host boundary"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::{FORMAT, Lock};
use crate::error::{Error, Result, code};
use crate::manifest::{MAX_BYTES, Reference, is_digest};

const HEADER: &str = "# What the profile installs, by digest. `kvnet lock` writes this file, `kvnet up --locked` installs nothing else.\n";

/// The version, before anything else is read.
#[derive(Deserialize)]
struct Version {
    #[serde(rename = "kvnetLock")]
    version: u32,
}

impl Lock {
    /// The lock in a file; none when there is no file.
    ///
    /// # Errors
    /// `KVN440` for a file that is no lock, is damaged, or was written by a newer kvnet; errors of the file.
    pub fn read(path: &Utf8Path) -> Result<Option<Self>> {
        let file = match fs::File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::of_file(&error, "the lock cannot be read", path)),
        };
        let mut bytes = Vec::new();
        let read = file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::of_file(&error, "the lock cannot be read", path))?;
        let text =
            String::from_utf8(bytes).map_err(|_| wrong("the file is no lock of kvnet").at(path.as_str()))?;
        Self::parse(&text).map(Some).map_err(|error| error.at(path.as_str()))
    }

    /// The lock in a text.
    ///
    /// # Errors
    /// `KVN440`.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_BYTES {
            return Err(wrong("the file is too big for a lock"));
        }
        let Ok(Version { version }) = serde_yaml::from_str(text) else {
            return Err(wrong("the file is no lock of kvnet").hint("name another file with `--lock-file`"));
        };
        if version > FORMAT {
            let error = wrong(&format!("the lock has format {version}, and this kvnet knows {FORMAT}"));
            return Err(error.hint("use the newer kvnet that wrote it"));
        }
        let lock: Self =
            serde_yaml::from_str(text).map_err(|error| wrong("the lock is damaged").because(error))?;
        lock.refuse_invalid()?;
        Ok(lock)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// `KVN505`: that is a bug.
    pub fn to_text(&self) -> Result<String> {
        let text = serde_yaml::to_string(self)
            .map_err(|error| Error::new(&code::INTERNAL, "the lock cannot be written").because(error))?;
        Ok(format!("{HEADER}{}\n", text.trim_end()))
    }

    /// Replaces the file as a whole; one that is no lock stays.
    ///
    /// # Errors
    /// `KVN440` for a file that is no lock; errors of the file.
    pub fn write(&self, path: &Utf8Path) -> Result<()> {
        Self::read(path)?;
        self.refuse_invalid()?;
        let text = self.to_text()?;
        // Always the same name: what a killed run left is replaced by the next one.
        let temporary = Utf8PathBuf::from(format!("{path}.new"));
        let write = || -> std::io::Result<()> {
            let _ = fs::remove_file(&temporary);
            let mut file =
                fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&temporary)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, path)
        };
        write().map_err(|error| {
            // The failure is reported; a leftover only takes space.
            let _ = fs::remove_file(&temporary);
            Error::of_file(&error, "the lock cannot be written", path)
        })
    }

    /// Refuses what no `kvnet lock` writes, and what a merge of two locks leaves.
    fn refuse_invalid(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        for image in &self.images {
            let title = image.title();
            let named: Result<Reference, String> = title.parse();
            let named = named.map_err(|reason| wrong(&reason))?;
            // A short name would not be found again.
            if named.to_string() != title {
                return Err(wrong(&format!("`{title}` is not the full name of an image")));
            }
            let digests = std::iter::once(&image.digest).chain(image.platforms.values());
            if let Some(digest) = digests.into_iter().find(|digest| !is_digest(digest)) {
                return Err(wrong(&format!("`{digest}` of {title} is not a digest")));
            }
            if !seen.insert(title.clone()) {
                return Err(wrong(&format!("{title} is twice in the lock")));
            }
        }
        let is_sum = |sum: &str| is_digest(&format!("sha256:{sum}"));
        match self.manifests.iter().map(|manifest| &manifest.sha256).find(|sum| !is_sum(sum)) {
            Some(sum) => Err(wrong(&format!("`{sum}` is not a SHA-256 digest"))),
            None => Ok(()),
        }
    }
}

fn wrong(message: &str) -> Error {
    Error::new(&code::LOCK_FILE, message)
}
