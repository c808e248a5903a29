//! kvnet turns a fresh kubeadm node into a KubeVirt cluster with several networks, and proves that it worked.

#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

pub(crate) mod checkpoint;
pub mod cli;
pub mod cluster;
pub mod context;
pub mod doctor;
pub mod engine;
pub mod error;
pub mod facts;
pub mod formats;
pub mod guest;
pub mod host;
pub mod log;
pub mod profile;
pub mod redact;
pub mod run;
pub mod sandbox;
pub mod smoke;
pub mod source;
pub mod state;
pub mod steps;
pub mod support;
pub mod template;
pub mod terminal;
pub mod topology;
pub mod trace;
pub mod ui;
pub mod verify;
pub mod wizard;
