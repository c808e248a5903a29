//! The lock of a profile: what it installs, each image and manifest by its digest.

mod changes;
mod file;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, code};
use crate::manifest::Reference;

pub use changes::Change;

/// What a profile installs. Sorted, and without anything that differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Lock {
    /// The version of the format.
    #[serde(rename = "kvnetLock")]
    format: u32,
    /// The name of the profile.
    pub profile: String,
    /// The images, by name and tag.
    #[serde(default)]
    pub images: Vec<LockedImage>,
    /// The manifests that kvnet does not make itself, by component.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<LockedManifest>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedImage {
    /// Registry and repository, as nodes ask for it.
    pub name: String,
    /// The tag; none for an image that is named by digest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The digest of its index, or of its only manifest.
    pub digest: String,
    /// The digest of the manifest for each platform.
    pub platforms: BTreeMap<String, String>,
    /// What needs it.
    pub needed_by: BTreeSet<String>,
}

/// A manifest that is downloaded, or a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LockedManifest {
    /// Whose it is.
    pub component: String,
    /// Its address, or the name of its file.
    pub from: String,
    /// The digest of its bytes, in hexadecimal.
    pub sha256: String,
}

/// The version of the format that this kvnet writes.
const FORMAT: u32 = 1;

impl Lock {
    /// A lock without anything.
    pub fn new(profile: &str) -> Self {
        Self { format: FORMAT, profile: profile.to_owned(), images: Vec::new(), manifests: Vec::new() }
    }

    /// The entry of an image; one with a digest needs that digest.
    pub fn image(&self, image: &Reference) -> Option<&LockedImage> {
        let name = image.name();
        self.images.iter().find(|entry| {
            let is_same = match image.digest() {
                Some(digest) => entry.digest == digest,
                None => entry.tag.as_deref() == image.tag(),
            };
            entry.name == name && is_same
        })
    }

    /// The image by digest, with its name as it was written.
    ///
    /// # Errors
    /// `KVN442` when the lock does not have it, `KVN104` when it is not the name of an image.
    pub fn pinned(&self, image: &str) -> Result<String> {
        let reference: Reference =
            image.parse().map_err(|reason: String| Error::new(&code::PROFILE_VALUE, reason))?;
        let entry = self.image(&reference).ok_or_else(|| lacks(&format!("the image {reference}")))?;
        if reference.digest().is_some() {
            return Ok(image.to_owned());
        }
        // Without a tag it is the latest; the name alone would hide that.
        let has_tag = image.rsplit('/').next().is_some_and(|last| last.contains(':'));
        let tag = if has_tag { String::new() } else { format!(":{}", reference.wanted()) };
        Ok(format!("{image}{tag}@{}", entry.digest))
    }

    /// The image by digest alone, without its tag.
    ///
    /// # Errors
    /// As [`Lock::pinned`].
    pub fn pinned_without_tag(&self, image: &str) -> Result<String> {
        let pinned = self.pinned(image)?;
        let (name, digest) = pinned.split_once('@').unwrap_or((&pinned, ""));
        let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
        Ok(format!("{name}@{digest}"))
    }

    /// Refuses a manifest that is not the locked one.
    ///
    /// # Errors
    /// `KVN442`.
    pub fn check_manifest(&self, component: &str, sha256: &str) -> Result<()> {
        let Some(entry) = self.manifests.iter().find(|entry| entry.component == component) else {
            return Err(lacks(&format!("the manifest of {component}")));
        };
        if entry.sha256 == sha256 {
            return Ok(());
        }
        let message =
            format!("the manifest of {component} has the digest {sha256}, but the lock has {}", entry.sha256);
        Err(Error::new(&code::LOCK_LACKS, message))
    }

    /// The same lock in the order of the file.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.images.sort_by(|a, b| (&a.name, &a.tag, &a.digest).cmp(&(&b.name, &b.tag, &b.digest)));
        self.manifests.sort_by(|a, b| a.component.cmp(&b.component));
        self
    }
}

impl LockedImage {
    /// The name and the tag, or the digest where there is no tag.
    pub fn title(&self) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.name),
            None => format!("{}@{}", self.name, self.digest),
        }
    }
}

fn lacks(what: &str) -> Error {
    Error::new(&code::LOCK_LACKS, format!("the lock does not have {what}"))
}

#[cfg(test)]
mod tests;
