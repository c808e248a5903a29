//! What a pod requests from Multus, and what Multus reports that it got: two annotations, in all their forms.

mod asked;
mod letters;
mod reported;

pub use asked::{Asked, Slip, Wish, asked, asked_with_first, default_network, is_of_host};
pub use reported::{Reported, has_sandbox, pairs, reported, runs_with_its_nics, unreadable};

/// The annotation with a pod's NICs, as Multus called it before v3.8.
pub const OLD_STATUS: &str = "k8s.v1.cni.cncf.io/networks-status";
/// The annotation that replaces the cluster's network as a pod's first.
pub const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";
/// Where Multus looks for a network that a pod has as its first, unless its configuration says otherwise.
pub const MULTUS_NAMESPACE: &str = "kube-system";
