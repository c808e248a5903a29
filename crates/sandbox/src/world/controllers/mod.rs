//! The controllers of Kubernetes.

pub(super) mod daemon_sets;
pub(super) mod deployments;
pub(super) mod namespaces;
pub(super) mod nodes;
mod pods;
pub(super) mod replica_sets;
pub(super) mod scheduler;

/// The field manager of the controllers.
pub(super) const MANAGER: &str = "kube-controller-manager";
