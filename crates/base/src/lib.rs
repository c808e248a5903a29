//! What kvnet knows of nodes, clusters, profiles and manifests: how they are reached, read and described. Nothing here decides
//! what is done with them.

// Unused dependencies are found by the compiler; of a test build those of other tests would be told.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

pub mod checkpoint;
pub mod cluster;
pub mod components;
pub mod error;
pub mod facts;
pub mod formats;
pub mod guest;
pub mod host;
pub mod lock;
pub mod manifest;
pub mod profile;
pub mod redact;
pub mod registry;
pub mod source;
pub mod state;
pub mod support;
pub mod tape;
pub mod template;
pub mod terminal;
