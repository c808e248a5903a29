//! kvnet turns a fresh kubeadm node into a KubeVirt cluster with several networks, and proves that it worked.

// Unused dependencies are found by the compiler; of a test build those of other tests would be told.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

// Public is what the tests in tests/ use: of all the rest the compiler tells what nothing calls.
pub mod cli;
pub mod context;
pub mod doctor;
pub mod engine;
mod locking;
pub mod log;
pub mod run;
pub mod smoke;
pub mod steps;
mod sysdump;
mod topology;
mod trace;
mod ui;
mod verify;
mod wizard;

pub use kvnet_base::{
    checkpoint, cluster, components, error, facts, formats, guest, host, lock, manifest, profile, redact,
    registry, source, state, support, tape, template, terminal,
};
pub use kvnet_sandbox as sandbox;
