//! A node as kubeadm leaves it.

pub(super) mod kubernetes;
mod runtime;
mod system;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

pub(super) use self::runtime::containerd_configuration;
use super::entry::{Content, Entry};
use super::{Distribution, edit};
use crate::store::Transaction;

const KEY: &str = "node/seed";

/// What a new node is made as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools, reason = "they are independent, and each is named where it is set")]
pub struct Seed {
    /// The distribution.
    pub distribution: Distribution,
    /// The node's host name.
    pub hostname: String,
    /// The name of its Node object, when that is not its host name in lower case.
    #[serde(default)]
    pub node_name: Option<String>,
    /// How many more nodes the cluster has, of which there is nothing but what the API server tells.
    #[serde(default)]
    pub other_nodes: u8,
    /// The version of Kubernetes that kubeadm brings, for example `v1.34.4`.
    pub kubernetes: String,
    /// The container runtime.
    pub runtime: Runtime,
    /// Whether `kubeadm init` was done.
    pub cluster: bool,
    /// Whether the reference CNI plugins are in the runtime's directory.
    pub cni_plugins: bool,
    /// Whether the kernel has the module openvswitch; without it, only the netdev datapath works.
    pub openvswitch_module: bool,
    /// Whether the package manager knows what there is to install, without fetching lists first.
    pub package_lists: bool,
    /// Whether virtual machines can use the processor's help.
    pub kvm: bool,
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
    /// A node with a cluster of Kubernetes 1.34 and the runtime that is usual on the distribution.
    pub fn new(distribution: Distribution) -> Self {
        let runtime = match distribution {
            Distribution::Fedora | Distribution::OpenSuse => Runtime::Crio,
            _ => Runtime::Containerd,
        };
        Self {
            distribution,
            hostname: "sandbox".into(),
            node_name: None,
            other_nodes: 0,
            kubernetes: "v1.34.4".into(),
            runtime,
            cluster: true,
            cni_plugins: true,
            openvswitch_module: true,
            package_lists: true,
            kvm: true,
        }
    }
}

/// Makes the node unless there is one; returns what it was made as.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed, user: u32) -> Seed {
    if let Some(seed) = transaction.value(KEY).and_then(|value| Seed::deserialize(value.as_ref()).ok()) {
        return seed;
    }
    transaction.put(KEY, serde_json::to_value(seed).unwrap_or_default());
    system::plant(transaction, seed, user);
    runtime::plant(transaction, seed);
    if seed.cluster {
        kubernetes::plant(transaction, seed, seed.node_name.as_deref().unwrap_or_default());
    }
    seed.clone()
}

/// Makes a file of root's.
pub(super) fn file(transaction: &mut Transaction<'_>, path: &str, mode: u32, text: &str) {
    put(transaction, path, &Entry { content: Content::File(text.as_bytes()), mode, uid: 0 });
}

/// Makes a program without saying what it does.
pub(super) fn program(transaction: &mut Transaction<'_>, path: &str) {
    file(transaction, path, 0o755, "a program of the sandbox\n");
}

/// Makes a directory of root's.
pub(super) fn directory(transaction: &mut Transaction<'_>, path: &str, mode: u32) {
    put(transaction, path, &Entry { content: Content::Directory, mode, uid: 0 });
}

/// Makes a symbolic link.
pub(super) fn link(transaction: &mut Transaction<'_>, path: &str, target: &str) {
    put(transaction, path, &Entry { content: Content::Link(target), mode: 0o777, uid: 0 });
}

/// Makes a socket or device.
pub(super) fn special(transaction: &mut Transaction<'_>, path: &str, mode: u32) {
    put(transaction, path, &Entry { content: Content::Other, mode, uid: 0 });
}

fn put(transaction: &mut Transaction<'_>, path: &str, entry: &Entry<'_>) {
    // Fails only below something other than a directory, which a test put there on purpose.
    let _ = edit::put(transaction, Utf8Path::new(path), entry);
}
