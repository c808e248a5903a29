//! What the nodes that may run VMs decide about KubeVirt: emulation, and how many copies of its parts fit.

use serde_json::Value;

use crate::facts::Facts;
use crate::profile::{Emulation, Profile};
use crate::source::RenderFacts;

/// Under which virt-handler publishes a usable KVM.
const KVM_RESOURCE: &str = "devices.kubevirt.io/kvm";

/// How KubeVirt fits the cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// For the templates.
    pub render: RenderFacts,
    /// The nodes that may run VMs, by name.
    pub workers: Vec<String>,
    /// Whether one of them has usable KVM.
    pub kvm: bool,
}

impl Fit {
    /// From the cluster's nodes; without any, as before `kubeadm init`, this node is the only one.
    pub fn of(profile: &Profile, facts: &Facts, nodes: &[Value]) -> Self {
        let workers: Vec<&Value> = nodes.iter().filter(|node| may_run_vms(profile, node)).collect();
        let kvm = workers.iter().any(|node| has_kvm(facts, node)) || (nodes.is_empty() && facts.kvm);
        let emulation = match profile.kubevirt.emulation {
            Emulation::On => true,
            Emulation::Off => false,
            Emulation::Auto => !kvm,
        };
        let name = |node: &&Value| node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let render = RenderFacts { emulation, single_node: workers.len() <= 1 };
        Self { render, workers: workers.iter().map(name).collect(), kvm }
    }

    /// What to know about emulation, and whether it needs attention.
    pub fn note(&self) -> Option<(bool, String)> {
        let looked_at = match self.workers.as_slice() {
            [] => "this node".to_owned(),
            names => names.join(", "),
        };
        match (self.render.emulation, self.kvm) {
            (true, false) => Some((
                false,
                format!(
                    "VMs run in software emulation: no node that may run them has usable KVM (looked at {looked_at})"
                ),
            )),
            (true, true) => {
                Some((false, "VMs run in software emulation, because the profile says so".into()))
            }
            (false, false) => Some((
                true,
                format!(
                    "VMs will not start: the profile switches emulation off, and no node that may run them has usable \
                     KVM (looked at {looked_at})"
                ),
            )),
            (false, true) => None,
        }
    }
}

/// Whether the scheduler may put a VM's pod on a node, once `up` has removed the taints that the profile names.
fn may_run_vms(profile: &Profile, node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stays = |taint: &Value| {
        let (key, effect) = (taint["key"].as_str().unwrap_or_default(), taint["effect"].as_str());
        let removed = profile.cluster.remove_taints.iter().any(|removed| removed == key);
        // The taints of a node's own conditions come and go: a fresh node is not ready before it has its network.
        let passing = key.starts_with("node.kubernetes.io/");
        effect != Some("PreferNoSchedule") && !removed && !passing
    };
    node["spec"]["unschedulable"] != true && !taints.iter().any(stays)
}

/// This node was looked at; of the others only virt-handler tells, once it runs there.
fn has_kvm(facts: &Facts, node: &Value) -> bool {
    let is = |value: &Value| value.as_str() == Some(&facts.hostname);
    let labels = &node["metadata"]["labels"];
    if is(&node["metadata"]["name"]) || is(&labels["kubernetes.io/hostname"]) {
        return facts.kvm;
    }
    node["status"]["allocatable"][KVM_RESOURCE].as_str().is_some_and(|amount| amount != "0")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(name: &str, spec: Value, kvm: &str) -> Value {
        let mut node = json!({"metadata": {"name": name}, "status": {"allocatable": {KVM_RESOURCE: kvm}}});
        node["spec"] = spec;
        node
    }

    fn fit(nodes: &[Value], kvm: bool) -> Fit {
        let facts = Facts { hostname: "n0".into(), kvm, ..Facts::default() };
        Fit::of(&Profile::default(), &facts, nodes)
    }

    #[test]
    fn one_usable_kvm_anywhere_is_enough_and_this_node_was_looked_at_itself() {
        let here = || node("n0", json!({}), "1k");
        let elsewhere = |amount| node("n1", json!({}), amount);
        for (nodes, kvm, emulation) in [
            (vec![], false, true),
            (vec![], true, false),
            // Its device file is there, and the processor cannot do it.
            (vec![here()], false, true),
            (vec![here(), elsewhere("0")], false, true),
            (vec![here(), elsewhere("1k")], false, false),
            (vec![here(), node("n1", json!({"unschedulable": true}), "1k")], false, true),
            (
                vec![here(), node("n1", json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}), "1k")],
                false,
                true,
            ),
        ] {
            assert_eq!(fit(&nodes, kvm).render.emulation, emulation, "{nodes:?}");
        }
    }

    #[test]
    fn a_fresh_control_plane_counts_as_the_single_node() {
        let taints = json!({"taints": [
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        ]});
        let found = fit(&[node("n0", taints, "0")], false);
        assert!(found.render.single_node);
        assert_eq!(
            found.note().unwrap(),
            (
                false,
                "VMs run in software emulation: no node that may run them has usable KVM (looked at n0)"
                    .into()
            )
        );
        assert!(!fit(&[node("n0", json!({}), "0"), node("n1", json!({}), "0")], false).render.single_node);
    }
}
