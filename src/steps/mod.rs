//! To come.

pub mod cni_order;
pub mod cni_plugins;
pub mod kernel;
pub mod kubeadm_init;
pub mod kubeconfig;
pub mod ovs_bridges;
pub mod ovs_package;
pub mod taints;
#[cfg(test)]
mod testing;
