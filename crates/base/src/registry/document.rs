//! Indexes, manifests and configurations of images, as OCI and Docker define them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::client::Found;
use crate::error::{Error, Result, code};
use crate::manifest::{Reference, is_digest};

const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// The platform of what describes an image and is none: attestations.
const UNKNOWN: &str = "unknown";

/// The types to ask for, in the order of preference.
pub(super) fn accepted() -> String {
    [INDEXES, MANIFESTS].concat().join(", ")
}

/// What a name leads to.
#[derive(Debug)]
pub(super) enum Content {
    /// A manifest for each platform.
    Index(BTreeMap<String, String>),
    /// One manifest; its configuration has the platform.
    Single {
        /// The digest of the configuration.
        config: String,
    },
}

/// Reads what a registry sent.
pub(super) fn read(image: &Reference, found: &Found) -> Result<Content> {
    let json = json(image, &found.bytes)?;
    let stated = json["mediaType"].as_str().unwrap_or(&found.media_type);
    if INDEXES.contains(&stated) || (stated.is_empty() && json["manifests"].is_array()) {
        return platforms(image, &json).map(Content::Index);
    }
    if MANIFESTS.contains(&stated) || json["schemaVersion"] == 2 {
        let config =
            digest_in(&json["config"]).ok_or_else(|| damaged(image, "the manifest has no configuration"))?;
        return Ok(Content::Single { config });
    }
    if json["schemaVersion"] == 1 {
        let error =
            damaged(image, "the image has only a manifest of schema 1, which runtimes no longer pull");
        return Err(error.hint("use an image that was pushed since 2017, or push it again"));
    }
    Err(damaged(image, &format!("the registry sent `{stated}`, which is no image")))
}

/// The platform that an image's configuration names.
pub(super) fn platform_of(image: &Reference, bytes: &[u8]) -> Result<String> {
    platform(&json(image, bytes)?).ok_or_else(|| damaged(image, "its configuration names no platform"))
}

fn platforms(image: &Reference, json: &Value) -> Result<BTreeMap<String, String>> {
    let entries = json["manifests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found = BTreeMap::new();
    for entry in entries {
        let Some(platform) = platform(&entry["platform"]) else { continue };
        let digest =
            digest_in(entry).ok_or_else(|| damaged(image, "the index has an entry without a digest"))?;
        // Windows has one for each of its builds; the first is as good as any.
        found.entry(platform).or_insert(digest);
    }
    if found.is_empty() {
        return Err(damaged(image, "the index has no platforms"));
    }
    Ok(found)
}

/// `linux/amd64`, `linux/arm/v7`; none for an attestation.
fn platform(value: &Value) -> Option<String> {
    let field = |name: &str| value[name].as_str().filter(|text| is_plain(text));
    let (os, architecture) = (field("os")?, field("architecture")?);
    if os == UNKNOWN || architecture == UNKNOWN {
        return None;
    }
    let variant = field("variant").map(|variant| format!("/{variant}")).unwrap_or_default();
    Some(format!("{os}/{architecture}{variant}"))
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

fn digest_in(entry: &Value) -> Option<String> {
    entry["digest"].as_str().filter(|digest| is_digest(digest)).map(str::to_owned)
}

fn json(image: &Reference, bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| damaged(image, "the registry sent no JSON").because(error))
}

/// The error for an answer that cannot be used.
pub(super) fn damaged(image: &Reference, message: &str) -> Error {
    Error::new(&code::REGISTRY_DAMAGED, message).at(image.to_string())
}
