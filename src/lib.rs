//! kvnet turns a fresh kubeadm node into a KubeVirt cluster with several networks, and proves that it worked.

// Unused dependencies are found by the compiler; of a test build those of other tests would be told.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

pub mod cli;
pub mod context;
pub mod doctor;
pub mod engine;
pub mod log;
pub mod run;
pub mod smoke;
pub mod steps;
pub mod topology;
pub mod trace;
pub mod ui;
pub mod verify;
pub mod wizard;

pub use kvnet_base::{
    checkpoint, cluster, components, error, facts, formats, guest, host, manifest, profile, redact, source,
    state, support, template, terminal,
};
pub use kvnet_sandbox as sandbox;
