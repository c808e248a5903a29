//! The lock of a profile: what has to be in it, what registries say about that, and what differs.

mod ask;
mod standing;
mod wanted;

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Error, Result, code};
use crate::lock::Lock;
use crate::profile::Profile;

pub use ask::{lock, moved};
pub use standing::Standing;
pub use wanted::Wanted;

/// The name of the file.
const NAME: &str = "kvnet.lock";

/// The lock's file: beside the profile's, or in the working directory for a shipped profile and standard input.
pub fn path_beside(profile: &str) -> Utf8PathBuf {
    let is_file = !crate::profile::shipped().iter().any(|shipped| shipped.name == profile) && profile != "-";
    let directory = Utf8Path::new(profile).parent().filter(|_| is_file);
    directory.map_or_else(|| NAME.into(), |directory| directory.join(NAME))
}

/// The lock that must be there.
///
/// # Errors
/// `KVN441` when it is not; `KVN440` when it cannot be used.
pub fn need(path: &Utf8Path) -> Result<Lock> {
    let missing = || Error::new(&code::LOCK_MISSING, "the lock does not exist").at(path.as_str());
    Lock::read(path)?.ok_or_else(missing)
}

/// The images that a profile names and no component: they get their digests in the profile itself.
///
/// # Errors
/// `KVN442` for an image that the lock does not have.
pub fn pin_profile(profile: &mut Profile, lock: &Lock) -> Result<()> {
    if !profile.verification.enabled {
        return Ok(());
    }
    let image = &profile.verification.image;
    // Pods ask for the rewritten name, which is made when they start: so the digest is added to the written one.
    let asked = crate::manifest::rewrite_image(image, &profile.images.rewrite);
    let pinned = lock.pinned(&asked).map_err(|error| error.at(profile.place_of("verification.image")))?;
    let added = pinned.strip_prefix(&asked).unwrap_or_default();
    profile.verification.image = format!("{image}{added}");
    Ok(())
}

#[cfg(test)]
mod tests;
