//! Registries are asked: for a new lock, and which tags have moved.

use std::collections::BTreeSet;

use futures::{Stream, StreamExt};

use super::Wanted;
use crate::error::{Error, Result, code};
use crate::lock::{Change, Lock, LockedImage};
use crate::manifest::Reference;
use crate::registry::Registry;

/// How many images are asked for at the same time.
const AT_ONCE: usize = 4;

/// The lock of what is wanted, as registries have it now.
///
/// # Errors
/// Those of registries.
pub async fn lock(profile: &str, wanted: &Wanted, registry: &Registry) -> Result<Lock> {
    let images = futures::stream::iter(wanted.images.clone())
        .map(|(image, needed_by)| entry(image, needed_by, registry))
        .buffered(AT_ONCE);
    let images = all(images).await?;
    let mut lock = Lock::new(profile);
    lock.images = images;
    lock.manifests.clone_from(&wanted.manifests);
    Ok(lock.sorted())
}

/// What a lock has otherwise than it is now: moved tags, what is wanted and not in it, and what is no longer needed. Only
/// the tags that are in it are asked for.
///
/// # Errors
/// Those of registries.
pub async fn moved(locked: &Lock, wanted: &Wanted, registry: &Registry) -> Result<Vec<Change>> {
    let mut changes = super::standing::differences(locked, wanted);
    let known = wanted.images.keys().filter(|image| image.digest().is_none());
    let known = known.filter_map(|image| Some((image.clone(), locked.image(image)?.digest.clone())));
    let known: Vec<(Reference, String)> = known.collect();
    let now = futures::stream::iter(known)
        .map(|(image, digest)| compared(image, digest, registry))
        .buffered(AT_ONCE);
    changes.extend(all(now).await?.into_iter().flatten());
    changes.sort();
    Ok(changes)
}

/// All answers. Of images that registries do not have, all are named; any other failure would be the same for the rest, and
/// ends it.
async fn all<T>(answers: impl Stream<Item = Result<T>>) -> Result<Vec<T>> {
    let mut answers = std::pin::pin!(answers);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(answer) => found.push(answer),
            Err(error) if error.code() == &code::REGISTRY_MISSING => missing.push(error),
            Err(error) => return Err(error),
        }
    }
    let problems: Vec<_> = missing.iter().map(Error::as_problem).collect();
    match missing.into_iter().next() {
        Some(first) if problems.len() > 1 => Err(first.listing(problems)),
        Some(only) => Err(only),
        None => Ok(found),
    }
}

/// The change of a tag, if it has moved.
async fn compared(image: Reference, digest: String, registry: &Registry) -> Result<Option<Change>> {
    let now = registry.digest(&image).await?;
    Ok((now != digest).then(|| Change::of_image(image.to_string(), Some(&digest), Some(&now))))
}

async fn entry(image: Reference, needed_by: BTreeSet<String>, registry: &Registry) -> Result<LockedImage> {
    let found = registry.resolve(&image).await?;
    Ok(LockedImage {
        name: image.name(),
        tag: image.tag().map(str::to_owned),
        digest: found.digest,
        platforms: found.platforms,
        needed_by,
    })
}
