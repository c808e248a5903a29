//! kvnet turns a fresh kubeadm node into a KubeVirt cluster with several networks, and proves that it worked.

pub mod cli;
pub mod cluster;
pub mod engine;
pub mod error;
pub mod facts;
pub mod host;
pub mod profile;
pub mod source;
pub mod steps;
pub mod template;
pub mod ui;
pub mod verify;
