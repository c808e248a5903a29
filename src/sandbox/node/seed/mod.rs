//! A node as kubeadm leaves it.

use serde::{Deserialize, Serialize};

use super::Distribution;
use crate::sandbox::store::Transaction;

const KEY: &str = "node/seed";

/// What a new node is made as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// The distribution.
    pub distribution: Distribution,
    /// The version of Kubernetes that kubeadm brings, for example `v1.34.4`.
    pub kubernetes: String,
    /// The container runtime.
    pub runtime: Runtime,
    /// Whether `kubeadm init` was done.
    pub cluster: bool,
    /// Whether the kernel has the module openvswitch.
    pub openvswitch_module: bool,
}

/// A container runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// containerd.
    Containerd,
    /// CRI-O.
    Crio,
}

impl Seed {
    /// A cluster of Kubernetes 1.34 on containerd.
    #[must_use]
    pub fn new(distribution: Distribution) -> Self {
        Self {
            distribution,
            kubernetes: "v1.34.4".into(),
            runtime: Runtime::Containerd,
            cluster: true,
            openvswitch_module: true,
        }
    }
}

/// Makes the node unless there is one; returns what it was made as.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed) -> Seed {
    if let Some(seed) = transaction.value(KEY).and_then(|value| Seed::deserialize(value.as_ref()).ok()) {
        return seed;
    }
    transaction.put(KEY, serde_json::to_value(seed).unwrap_or_default());
    seed.clone()
}
