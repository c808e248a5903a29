//! The steps, one file each. A new step is a file here, a line in [`registry`], and its test.

pub mod cni_order;
pub mod cni_plugins;
mod daemons;
pub mod flannel;
pub mod kernel;
pub mod kubeadm_init;
pub mod kubeconfig;
pub mod kubevirt;
pub mod multus;
pub mod networks;
pub mod objects;
pub mod ovs_bridges;
pub mod ovs_cni;
pub mod ovs_package;
mod placement;
pub mod taints;
pub mod verification;
pub mod vm;
pub mod whereabouts;

#[cfg(test)]
pub(crate) mod testing;

use crate::engine::step::Step;

/// Every step, in the order in which a person would do them.
pub fn registry() -> Vec<Box<dyn Step>> {
    vec![
        Box::new(kernel::Kernel),
        Box::new(cni_plugins::CniPlugins),
        Box::new(kubeadm_init::KubeadmInit),
        Box::new(kubeconfig::Kubeconfig),
        Box::new(taints::Taints),
        Box::new(ovs_package::OvsPackage),
        Box::new(ovs_bridges::OvsBridges),
        Box::new(flannel::Flannel),
        Box::new(multus::Multus),
        Box::new(cni_order::CniOrder),
        Box::new(ovs_cni::OvsCni),
        Box::new(whereabouts::Whereabouts),
        Box::new(networks::Networks),
        Box::new(kubevirt::KubeVirt),
        Box::new(vm::SampleVm),
        Box::new(verification::Verification),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::engine::graph::Graph;

    #[test]
    fn ids_are_unique_and_the_graph_has_no_circle() {
        let steps = registry();
        let ids: BTreeSet<_> = steps.iter().map(|step| step.id()).collect();
        assert_eq!(ids.len(), steps.len());
        for step in &steps {
            assert!(step.requires().iter().all(|id| ids.contains(id)), "{} requires a stranger", step.id());
        }
        let graph = Graph::new(steps.iter().map(|step| (step.id(), step.requires().to_vec()))).unwrap();
        assert_eq!(graph.order().last(), Some(&"verification"));
    }
}
