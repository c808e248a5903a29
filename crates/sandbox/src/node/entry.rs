//! What is at a path, as a value of the store.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::host::{FileKind, Stat};

/// A new entry of a directory.
pub(super) struct Entry<'a> {
    /// What it is, with its content or target.
    pub(super) content: Content<'a>,
    /// Permission bits.
    pub(super) mode: u32,
    /// The owner's user id.
    pub(super) uid: u32,
}

/// What distinguishes the kinds of entry.
pub(super) enum Content<'a> {
    /// A regular file with its bytes.
    File(&'a [u8]),
    /// A directory.
    Directory,
    /// A symbolic link to a path.
    Link(&'a str),
    /// A socket or device.
    Other,
}

impl Entry<'_> {
    /// The value for the store; bytes that are text stay readable.
    pub(super) fn value(&self) -> Value {
        let (mode, uid) = (self.mode, self.uid);
        match self.content {
            Content::File(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => json!({"kind": "file", "mode": mode, "uid": uid, "text": text}),
                Err(_) => {
                    json!({"kind": "file", "mode": mode, "uid": uid, "base64": STANDARD.encode(bytes)})
                }
            },
            Content::Directory => json!({"kind": "directory", "mode": mode, "uid": uid}),
            Content::Link(target) => json!({"kind": "link", "mode": mode, "uid": uid, "target": target}),
            Content::Other => json!({"kind": "other", "mode": mode, "uid": uid}),
        }
    }
}

/// The kind of an entry; what cannot be understood counts as [`FileKind::Other`].
pub(super) fn kind(value: &Value) -> FileKind {
    match value["kind"].as_str() {
        Some("file") => FileKind::File,
        Some("directory") => FileKind::Directory,
        Some("link") => FileKind::Link,
        _ => FileKind::Other,
    }
}

/// The bytes of a file; none of anything else.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    match value["base64"].as_str() {
        Some(encoded) => STANDARD.decode(encoded).unwrap_or_default(),
        None => value["text"].as_str().unwrap_or_default().into(),
    }
}

/// Where a symbolic link leads.
pub(super) fn target(value: &Value) -> Option<&str> {
    value["target"].as_str()
}

/// The permission bits.
pub(super) fn mode(value: &Value) -> u32 {
    number(value, "mode")
}

/// The owner's user id.
pub(super) fn uid(value: &Value) -> u32 {
    number(value, "uid")
}

/// What `lstat` tells.
pub(super) fn stat(value: &Value) -> Stat {
    let size = match kind(value) {
        FileKind::Link => target(value).unwrap_or_default().len(),
        FileKind::File if value["base64"].is_null() => value["text"].as_str().unwrap_or_default().len(),
        _ => bytes(value).len(),
    };
    Stat { kind: kind(value), mode: mode(value), uid: uid(value), size: size as u64 }
}

fn number(value: &Value, field: &str) -> u32 {
    value[field].as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or_default()
}
