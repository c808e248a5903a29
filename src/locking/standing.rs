//! How a profile stands to its lock, without asking anybody.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use super::Wanted;
use crate::error::Result;
use crate::lock::{Change, Lock};

/// How a profile stands to its lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The lock's file; none when there is none.
    pub file: Option<Utf8PathBuf>,
    /// The images that are named by tag and not in the lock: what they are is decided when a node pulls them.
    pub floating: Vec<String>,
    /// What differs from the lock; empty without one.
    pub differences: Vec<Change>,
}

impl Standing {
    /// Compares with the lock in a file.
    ///
    /// # Errors
    /// `KVN440` for a lock that cannot be used.
    pub fn of(wanted: &Wanted, path: &Utf8Path) -> Result<Self> {
        let lock = Lock::read(path)?;
        let is_locked = |image| lock.as_ref().is_some_and(|lock| lock.image(image).is_some());
        let floating = wanted.images.keys().filter(|image| image.digest().is_none() && !is_locked(image));
        Ok(Self {
            file: lock.is_some().then(|| path.to_owned()),
            floating: floating.map(ToString::to_string).collect(),
            differences: lock.map(|lock| of_profile(differences(&lock, wanted))).unwrap_or_default(),
        })
    }

    /// One line for people; none when there is nothing to say.
    pub fn line(&self) -> Option<String> {
        let (floating, differences) = (self.floating.len(), self.differences.len());
        match &self.file {
            None if floating == 0 => None,
            None if floating == 1 => Some("1 image floats by tag; `kvnet lock` pins it".into()),
            None => Some(format!("{floating} images float by tag; `kvnet lock` pins them")),
            Some(_) if differences == 0 => None,
            Some(file) => {
                let entries = if differences == 1 { "entry" } else { "entries" };
                Some(format!(
                    "{file} differs from the profile in {differences} {entries}; `kvnet lock` renews it"
                ))
            }
        }
    }
}

/// What is wanted and not in the lock, or in it and not wanted, sorted.
pub(super) fn differences(locked: &Lock, wanted: &Wanted) -> Vec<Change> {
    let missing = wanted.images.keys().filter(|image| locked.image(image).is_none());
    let mut changes: Vec<Change> =
        missing.map(|image| Change::of_image(image.to_string(), None, image.digest())).collect();
    let unneeded = locked.images.iter().filter(|entry| {
        let is_it =
            |image: &&crate::manifest::Reference| locked.image(image).is_some_and(|found| found == *entry);
        !wanted.images.keys().any(|image| is_it(&image))
    });
    changes.extend(unneeded.map(|entry| Change::of_image(entry.title(), Some(&entry.digest), None)));
    let (mut old, mut new) = (Lock::new(""), Lock::new(""));
    old.manifests.clone_from(&locked.manifests);
    new.manifests.clone_from(&wanted.manifests);
    changes.extend(Change::between(&old, &new));
    changes.sort();
    changes
}

/// Without what is only in the lock: other steps or a node may need it, which a plan does not ask.
fn of_profile(changes: Vec<Change>) -> Vec<Change> {
    changes.into_iter().filter(|change| change.locked.is_none() || change.now.is_some()).collect()
}
