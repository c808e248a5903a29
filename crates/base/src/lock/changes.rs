//! What differs between two locks.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::Lock;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// `image` or `manifest`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The digest in the lock; none when it is not in it.
    pub locked: Option<String>,
    /// The digest now; none when it is no longer needed, or was not asked for.
    pub now: Option<String>,
}

impl Change {
    /// The difference of an image.
    pub fn of_image(name: String, locked: Option<&str>, now: Option<&str>) -> Self {
        Self { kind: "image", name, locked: locked.map(str::to_owned), now: now.map(str::to_owned) }
    }

    /// What differs in `new`, in the order of the file.
    pub fn between(old: &Lock, new: &Lock) -> Vec<Self> {
        let (old, new) = (entries(old), entries(new));
        let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let changes = keys.into_iter().map(|key| Self {
            kind: key.0,
            name: key.1.clone(),
            locked: old.get(key).cloned(),
            now: new.get(key).cloned(),
        });
        changes.filter(|change| change.locked != change.now).collect()
    }
}

/// The kind and name of all that is in a lock, with the digest.
fn entries(lock: &Lock) -> BTreeMap<(&'static str, String), String> {
    let images = lock.images.iter().map(|image| (("image", image.title()), image.digest.clone()));
    let manifests = lock.manifests.iter().map(|manifest| {
        (("manifest", format!("{} from {}", manifest.component, manifest.from)), manifest.sha256.clone())
    });
    images.chain(manifests).collect()
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, locked, now } = self;
        match (locked, now) {
            (Some(locked), Some(now)) => write!(f, "~ {kind} {name}: {locked} is now {now}"),
            (None, Some(now)) => write!(f, "+ {kind} {name}: {now}"),
            (None, None) => write!(f, "+ {kind} {name}: not in the lock"),
            (Some(_), None) => write!(f, "- {kind} {name}: no longer needed"),
        }
    }
}
