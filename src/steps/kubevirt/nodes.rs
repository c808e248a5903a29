//! What the nodes that may run VMs decide about KubeVirt: emulation, image volumes, and how many replicas fit.

use serde_json::Value;

use crate::components::RenderFacts;
use crate::components::kubevirt::gates;
use crate::context::target::takes_pods;
use crate::profile::{Emulation, Profile};
use crate::support::{self, Part};

/// The resource by which virt-handler advertises a usable KVM.
const KVM_RESOURCE: &str = "devices.kubevirt.io/kvm";

/// What the nodes offer to KubeVirt.
#[derive(Clone, Debug, PartialEq)]
pub struct Capabilities {
    /// For the templates.
    pub render: RenderFacts,
    /// The nodes that may run VMs, by name.
    pub workers: Vec<String>,
    /// Whether one of them has usable KVM.
    pub kvm: bool,
    /// Why pods cannot have image volumes on one of them; none when all versions say that they can.
    pub no_image_volumes: Option<String>,
}

impl Capabilities {
    /// From the cluster's nodes; without any, as before `kubeadm init`, this node is the only one.
    /// `own_kvm` is whether this machine has usable KVM, and `own` the node that it is.
    pub fn of(profile: &Profile, own_kvm: bool, own: Option<&str>, nodes: &[Value]) -> Self {
        let removed = &profile.cluster.remove_taints;
        let workers: Vec<&Value> = nodes.iter().filter(|node| takes_pods(node, removed)).collect();
        let has_kvm = |node: &&Value| {
            let is_own = own.is_some() && node["metadata"]["name"].as_str() == own;
            if is_own { own_kvm } else { offers_kvm(node) }
        };
        let kvm = workers.iter().any(has_kvm) || (nodes.is_empty() && own_kvm);
        let emulation = match profile.kubevirt.emulation {
            Emulation::On => true,
            Emulation::Off => false,
            Emulation::Auto => !kvm,
        };
        let name = |node: &&Value| node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let unknown = workers.is_empty().then(|| "no node reports its versions yet".to_owned());
        let no_image_volumes = unknown.or_else(|| workers.iter().find_map(|node| no_image_volumes(node)));
        let image_volumes = no_image_volumes.is_none();
        let render = RenderFacts { emulation, single_node: workers.len() <= 1, image_volumes };
        Self { render, workers: workers.iter().map(name).collect(), kvm, no_image_volumes }
    }

    /// The notes about feature gates, each with whether it is a warning.
    pub fn gate_notes(&self, profile: &Profile) -> Vec<(bool, String)> {
        let kubevirt = &profile.kubevirt;
        let is_on = kubevirt.feature_gates.iter().any(|gate| gate == gates::IMAGE_VOLUME);
        let mut notes = Vec::new();
        if let Some(why) = self.no_image_volumes.as_ref().filter(|_| is_on) {
            notes.push((
                true,
                format!(
                    "VMs with an image disk may not start: the profile enables {}, and {why}",
                    gates::IMAGE_VOLUME
                ),
            ));
        }
        for gate in gates::off(kubevirt, self.render.image_volumes) {
            let why = match (gate.as_str(), &self.no_image_volumes) {
                _ if kubevirt.disabled_feature_gates.contains(&gate) => "the profile says so",
                (gates::IMAGE_VOLUME, Some(why)) => why,
                (gates::EXTERNAL_RESOURCES, _) => {
                    "with it, only network-resources-injector schedules a VM to a node with its bridge"
                }
                (gates::TEMPLATE, _) => "VMs do not need virt-template",
                _ => continue,
            };
            notes.push((false, format!("feature gate {gate} is off: {why}")));
        }
        notes
    }

    /// The note about emulation, and whether it is a warning.
    pub fn note(&self) -> Option<(bool, String)> {
        let looked_at = match self.workers.as_slice() {
            [] => "this node".to_owned(),
            names => names.join(", "),
        };
        match (self.render.emulation, self.kvm) {
            (true, false) => Some((
                false,
                format!(
                    "VMs run in software emulation: no node that may run them has usable KVM (checked: {looked_at})"
                ),
            )),
            (true, true) => Some((false, "VMs run in software emulation, as the profile says".into())),
            (false, false) => Some((
                true,
                format!(
                    "VMs will not start: the profile turns emulation off, and no node that may run them has usable KVM (checked: {looked_at})"
                ),
            )),
            (false, true) => None,
        }
    }
}

/// Why pods of a node cannot have image volumes. Unknown counts as no: the alternative, a copy from an init container,
/// works everywhere.
fn no_image_volumes(node: &Value) -> Option<String> {
    let info = &node["status"]["nodeInfo"];
    let text = |name: &str| info[name].as_str().unwrap_or_default();
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let (kubelet, runtime) = (text("kubeletVersion"), text("containerRuntimeVersion"));
    if !has_image_volumes(Part::Kubernetes, kubelet) {
        let first = first_with_image_volumes(Part::Kubernetes);
        return Some(format!("image volumes need {first}, {name} has {}", or_unknown(kubelet)));
    }
    let has = match runtime.split_once("://") {
        Some(("containerd", version)) => has_image_volumes(Part::Containerd, version),
        Some(("cri-o", version)) => has_image_volumes(Part::CriO, version),
        _ => false,
    };
    let shown = runtime.replacen("://", " ", 1);
    let first = [Part::Containerd, Part::CriO].map(first_with_image_volumes).join(" or ");
    (!has).then(|| format!("image volumes need {first}, {name} has {}", or_unknown(&shown)))
}

fn has_image_volumes(part: Part, version: &str) -> bool {
    support::with_image_volumes(part).and_then(|span| span.has(version)) == Some(true)
}

/// `containerd 2.3`
fn first_with_image_volumes(part: Part) -> String {
    let (major, minor) = support::with_image_volumes(part).and_then(|span| span.first).unwrap_or_default();
    format!("{} {major}.{minor}", part.name())
}

fn or_unknown(version: &str) -> &str {
    if version.is_empty() { "an unknown version" } else { version }
}

/// Only virt-handler tells about other nodes, once it runs.
fn offers_kvm(node: &Value) -> bool {
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

    fn of(nodes: &[Value], kvm: bool) -> Capabilities {
        Capabilities::of(&Profile::default(), kvm, Some("n0"), nodes)
    }

    #[test]
    fn one_usable_kvm_anywhere_is_enough_and_this_node_was_looked_at_itself() {
        let here = || node("n0", json!({}), "1k");
        let elsewhere = |amount| node("n1", json!({}), amount);
        for (nodes, kvm, emulation) in [
            (vec![], false, true),
            (vec![], true, false),
            // Its device file exists, but the CPU has no support.
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
            assert_eq!(of(&nodes, kvm).render.emulation, emulation, "{nodes:?}");
        }
    }

    #[test]
    fn a_fresh_control_plane_counts_as_the_single_node() {
        let taints = json!({"taints": [
            {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
        ]});
        let found = of(&[node("n0", taints, "0")], false);
        assert!(found.render.single_node);
        assert_eq!(
            found.note().unwrap(),
            (
                false,
                "VMs run in software emulation: no node that may run them has usable KVM (checked: n0)"
                    .into()
            )
        );
        assert!(!of(&[node("n0", json!({}), "0"), node("n1", json!({}), "0")], false).render.single_node);
    }

    fn versioned(kubelet: &str, runtime: &str) -> Value {
        json!({"metadata": {"name": "n0"}, "status": {"nodeInfo": {"kubeletVersion": kubelet, "containerRuntimeVersion": runtime}}})
    }

    #[test]
    fn image_volumes_need_a_kubelet_and_a_runtime_that_have_them_on_every_node() {
        let new = || versioned("v1.37.2", "containerd://2.4.2");
        for (nodes, why) in [
            (vec![new()], None),
            (vec![versioned("v1.36.1+k3s1", "containerd://2.3.2-k3s1")], None),
            (vec![versioned("v1.35.0", "cri-o://1.35.1")], None),
            (vec![], Some("no node reports")),
            (
                vec![new(), versioned("v1.34.4", "containerd://2.4.2")],
                Some("need Kubernetes 1.35, n0 has v1.34.4"),
            ),
            (vec![versioned("v1.37.2", "containerd://1.6.20~ds1")], Some("n0 has containerd 1.6.20~ds1")),
            (vec![versioned("v1.36.1+k3s1", "containerd://2.2.3-k3s1")], Some("need containerd 2.3")),
            (vec![versioned("v1.36.1", "docker://29.0.0")], Some("n0 has docker 29.0.0")),
            (vec![json!({"metadata": {"name": "n0"}})], Some("n0 has an unknown version")),
        ] {
            let found = of(&nodes, false);
            assert_eq!(found.render.image_volumes, why.is_none(), "{nodes:?}");
            let told = found.no_image_volumes.unwrap_or_default();
            assert!(told.contains(why.unwrap_or_default()), "{told}");
        }
    }

    #[test]
    fn the_plan_tells_each_gate_that_is_off_and_why() {
        let old = of(&[versioned("v1.34.4", "containerd://1.6.20")], false);
        let mut profile = Profile::default();
        let told = old.gate_notes(&profile);
        assert_eq!(
            told[0],
            (
                false,
                "feature gate ImageVolume is off: image volumes need Kubernetes 1.35, n0 has v1.34.4"
                    .to_owned()
            )
        );
        assert_eq!(told.len(), 3);
        profile.kubevirt.feature_gates = vec!["ImageVolume".into(), "Template".into()];
        let told = old.gate_notes(&profile);
        assert!(told[0].0 && told[0].1.contains("may not start"), "{told:?}");
        assert_eq!(told.len(), 2);
        profile.kubevirt.version = "v1.5.0".into();
        profile.kubevirt.feature_gates.clear();
        assert_eq!(old.gate_notes(&profile), []);
    }
}
