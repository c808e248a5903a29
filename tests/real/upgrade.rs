//! KubeVirt 1.5 becomes 1.9 while a VM runs. Upstream supports a step from one minor version to the next; the rig has not
//! the ones in between, and kvnet says that such a jump is not supported.

use crate::guests;
use crate::node::Node;
use crate::versions;
use crate::vm::{VM, kvnet};

const OLD: &str = "v1.5.0";
const NEW: &str = "v1.9.0";

pub fn story() {
    let node = Node::start_with("upgrade", &["--kubevirt", OLD, "--kubevirt", NEW]);
    node.mirror();
    let old = kvnet(&node, OLD);
    let up = old.up();
    assert!(up.err.trim_end().ends_with(", verified"), "{}", up.err);
    let (nic, address) = guests::nic(&node, VM);
    let uid = versions::uid(&node, VM);
    let new = kvnet(&node, NEW);
    let plan = new.exits(3, &["plan"]).out;
    assert!(plan.contains("upstream supports one minor version at a time"), "{plan}");
    versions::moves(&new, NEW, &format!("KubeVirt is upgraded from {OLD} to {NEW}"));
    // The one that ran goes on, under its old launcher, and is still reached.
    assert_eq!(versions::uid(&node, VM), uid, "the VM was made anew");
    assert_eq!(guests::nic(&node, VM), (nic, address));
    new.exits(0, &["trace", &format!("vmi/{VM}")]);
    node.say("the VM ran on through the upgrade");
    // One that starts now has the new launcher.
    node.sh(&format!("kubectl delete vmi {VM} --timeout=120s"));
    let up = new.up();
    assert!(up.err.trim_end().ends_with(", verified"), "{}", up.err);
    let image = "kubectl get pod --selector kubevirt.io=virt-launcher -o jsonpath='{.items[*].spec.containers[0].image}'";
    assert!(node.sh(image).ends_with(NEW), "{}", node.sh(image));
    new.has_nothing_to_do();
    new.exits(0, &["down", "--yes"]);
}
