//! The shipped default profile on the newest Kubernetes, changed only in the image and the memory of its VM: from a fresh
//! node to a verified VM with two NICs, and back. On a containerd that has image volumes, and on one that has none.

use std::time::Instant;

use crate::default::AFTER_DOWN;
use crate::kvnet::{Kvnet, Ran};
use crate::node::Node;
use crate::see::{self, Snapshot};
use crate::vm::{AFTER_KUBEVIRT, VM};

/// All that differs from what a user has: the mirror, because a node of the rig reaches no download.
const OPTIONS: &[&str] = &[
    "--set",
    "vm.image=docker.io/library/kvnet-guest:1",
    "--set",
    "vm.memory=128M",
    "--mirror",
    "http://127.0.0.1:8099",
];
const KUBERNETES: &str = "v1.37.2";
/// The newest that KubeVirt 1.9 names.
const NAMED: &str = "v1.36.3";
const KUBEVIRT: &str = "v1.9.0";
/// Of the VM; its second NIC is on a network without addresses.
const CHECKS: [&str; 7] = [
    "vm-two-nics: default has an address and a gateway",
    "vm-two-nics resolves the names of Services",
    "vm-two-nics reaches a-bridge-network-1 over default",
    "a-bridge-network-1 reaches vm-two-nics over default",
    "vm-two-nics: blue has a link, an untagged port of blue",
    "vm-two-nics reaches ovs-blue-1 over blue",
    "vm-two-nics does not reach ovs-blue100-1 over blue",
];
/// What `up` tells while it waits; 595 when each try of a container was news.
const MOST_LINES: usize = 200;

/// containerd 2 puts images into pods as volumes.
pub fn story() {
    let node = boot("newest", KUBERNETES, "2");
    whole(&node, KUBERNETES, "containerd://2.", None);
}

/// containerd 1.6 does not, and kvnet switches that off by itself.
pub fn on_containerd_1() {
    let node = boot("containerd1", KUBERNETES, "1");
    whole(&node, KUBERNETES, "containerd://1.6", Some("ImageVolume"));
}

/// The newest Kubernetes that KubeVirt names.
pub fn on_1_36() {
    let node = boot("kubernetes136", NAMED, "2");
    whole(&node, NAMED, "containerd://2.", None);
}

fn boot(name: &str, kubernetes: &str, containerd: &str) -> Node {
    let options = ["--kubernetes", kubernetes, "--containerd", containerd, "--kubevirt", KUBEVIRT];
    let node = Node::start_with(name, &options);
    node.mirror();
    node
}

fn whole(node: &Node, kubernetes: &str, runtime: &str, off: Option<&str>) {
    let kvnet = Kvnet::whole(node, OPTIONS);
    let versions = node.sh(
        "kubectl get node -o jsonpath='{.items[0].status.nodeInfo.kubeletVersion} {.items[0].status.nodeInfo.containerRuntimeVersion}'",
    );
    assert!(versions.starts_with(kubernetes) && versions.contains(runtime), "{versions}");
    node.say(&versions);
    let fresh = see::all(node);
    planned(&kvnet, off);
    verified(&kvnet);
    gates(node, off);
    kvnet.has_nothing_to_do();
    let trace = kvnet.exits(0, &["trace", &format!("vmi/{VM}")]);
    assert!(trace.out.contains("every link holds"), "{}", trace.out);
    let doctor = kvnet.exits(0, &["doctor"]);
    assert!(!doctor.out.contains("BROKEN"), "{}", doctor.out);
    addresses_are_shown(&kvnet);
    down(&kvnet, &fresh);
}

/// The plan says which gates are off, and why.
fn planned(kvnet: &Kvnet, off: Option<&str>) {
    let plan = kvnet.exits(3, &["plan"]).out;
    assert_eq!(plan.contains("image volumes need containerd 2.3"), off.is_some(), "{plan}");
}

fn verified(kvnet: &Kvnet) {
    let node = kvnet.node;
    let begin = Instant::now();
    let up = kvnet.up();
    node.say(&format!("from a fresh node to a verified VM: {:.1} s", begin.elapsed().as_secs_f64()));
    for line in up.err.lines().filter(|line| line.contains("done in") || line.contains(VM)) {
        node.say(line);
    }
    passed(&up);
    let lines = up.err.lines().count();
    assert!(lines < MOST_LINES, "{lines} lines:\n{}", up.err);
}

/// Every check was made, and held.
fn passed(up: &Ran) {
    for check in CHECKS {
        assert!(up.err.contains(&format!("check passed: {check}")), "{check}\n{}", up.err);
    }
    assert!(!up.err.contains("FAILED") && !up.err.contains("not checked"), "{}", up.err);
    assert!(up.err.trim_end().ends_with(", verified"), "{}", up.err);
}

/// What is off is off in the cluster, and what is not needed does not run.
fn gates(node: &Node, off: Option<&str>) {
    let set = node.sh(
        "kubectl -n kubevirt get kubevirt kubevirt -o jsonpath='{.spec.configuration.developerConfiguration.disabledFeatureGates}'",
    );
    for gate in ["Template", "ExternalNetResourceInjection"] {
        assert!(set.contains(gate), "{set}");
    }
    assert_eq!(set.contains("ImageVolume"), off.is_some(), "{set}");
    let pods = node.sh("kubectl -n kubevirt get pods -o name");
    assert!(pods.contains("virt-handler") && !pods.contains("virt-template"), "{pods}");
    let volumes = node.sh(
        "kubectl get pod --selector kubevirt.io=virt-launcher -o jsonpath='{.items[0].spec.volumes[*].image}'",
    );
    assert_eq!(volumes.contains("kvnet-guest"), off.is_none(), "{volumes}");
    // What brings the pod to a node with the bridge of its second NIC.
    let asked = node.sh(
        "kubectl get pod --selector kubevirt.io=virt-launcher -o jsonpath='{.items[0].spec.containers[?(@.name==\"compute\")].resources.requests}'",
    );
    assert!(asked.contains("ovs-cni.network.kubevirt.io/blue"), "{asked}");
}

/// No network is said to be without addresses when its pods have some.
fn addresses_are_shown(kvnet: &Kvnet) {
    let shown = kvnet.exits(0, &["topology"]).out;
    let without: Vec<&str> = shown.lines().filter(|line| line.contains("layer 2 only")).collect();
    assert!(without.len() == 1 && without[0].contains("ovs-blue-l2"), "{shown}");
}

fn down(kvnet: &Kvnet, fresh: &Snapshot) {
    let node = kvnet.node;
    let begin = Instant::now();
    let down = kvnet.exits(0, &["down", "--yes"]);
    node.say(&format!("down: {:.1} s", begin.elapsed().as_secs_f64()));
    assert!(down.err.contains("check passed: a pod starts"), "{}", down.err);
    let sockets = "find /var/lib/kubelet/device-plugins -name 'kubevirt*'";
    assert_eq!(node.sh(sockets), "");
    fresh.must_equal(&see::all(node), &[AFTER_DOWN, AFTER_KUBEVIRT].concat());
    node.say("all as before `up`");
}
