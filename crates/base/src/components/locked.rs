//! The images of a component, and its objects with those of a lock.

use serde_json::Value;

use super::Component;
use crate::error::Result;
use crate::lock::Lock;
use crate::manifest::{change_images, images_of as named};
use crate::profile::Profile;

/// The images that a component runs: those that its objects name, and those that it derives itself.
pub fn images_of(component: &Component, profile: &Profile, objects: &[Value]) -> Vec<String> {
    let mut found: Vec<String> = objects.iter().flat_map(named).collect();
    found.extend(component.derived.iter().flat_map(|derived| (derived.images)(profile, objects)));
    found
}

/// Puts the digests of a lock into a component's objects.
///
/// # Errors
/// `KVN442` for an image that the lock does not have.
pub fn pin(component: &Component, profile: &Profile, objects: &mut [Value], lock: &Lock) -> Result<()> {
    let of_component = |error: crate::error::Error| match error.place() {
        Some(_) => error,
        None => error.at(component.id),
    };
    if let Some(derived) = &component.derived {
        (derived.pin)(profile, objects, lock).map_err(of_component)?;
    }
    for object in objects {
        let mut refusal = None;
        change_images(object, &mut |image| match lock.pinned(image) {
            Ok(pinned) => *image = pinned,
            Err(error) => refusal = refusal.take().or(Some(error)),
        });
        if let Some(error) = refusal {
            return Err(of_component(error));
        }
    }
    Ok(())
}
