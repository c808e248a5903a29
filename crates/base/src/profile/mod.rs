//! Profiles: what a node should become.
//!
//! A profile is found (`read`), parsed into a tree that knows its places (`parse`), put on top of what it extends and
//! of the model's defaults (`node`), changed by `--set` (`set`), checked against the schema (`check`), read into the
//! model (`model`) and validated (`validate`). All of that happens before anything is touched.

mod check;
mod cni;
mod flat;
mod load;
mod model;
mod nearest;
mod node;
mod parse;
mod path;
mod place;
mod pod_network;
mod read;
mod release;
mod scalar;
mod schema;
mod set;
mod shape;
mod shipped;
mod validate;
mod vm;
mod write;

#[cfg(test)]
mod tests;

pub use crate::formats::Release;
pub use cni::{FLANNEL_DATA, MARKER_DOMAIN, RESOURCE_NAME};
pub use flat::{Flat, flat};
pub use load::{Loaded, load, load_text};
pub use model::*;
pub use nearest::suggestion;
pub use read::{Patience, bytes, open_soon};
pub use schema::schema;
pub use shipped::{Shipped, shipped};
pub use vm::is_mac_address;
pub use write::{digest, redacted, to_yaml};
