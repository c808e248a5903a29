//! KubeVirt moves to the next patch version and back, while a VM runs.
//!
//! The next version is the first one under another name: the same images with another tag, and the same manifests with
//! that tag in them. It is KubeVirt's operator that sees a new version, and rolls all components.

use std::fs;
use std::time::Instant;

use tempfile::TempDir;

use crate::kvnet::Kvnet;
use crate::node::{Node, copy_tree, manifests};

/// A version of KubeVirt, and the one that it moves to.
pub struct Versions {
    /// The one that the rig has.
    pub first: &'static str,
    /// The same under another name.
    pub next: &'static str,
}

const RELEASES: &str = "github.com/kubevirt/kubevirt/releases/download";
/// Those that run, besides the launcher.
const COMPONENTS: [&str; 4] = ["virt-operator", "virt-api", "virt-controller", "virt-handler"];

/// A mirror with both versions; the node gets the images.
pub fn mirror(node: &Node, Versions { first, next }: &Versions) -> TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    copy_tree(&manifests(), copy.path());
    let releases = copy.path().join(RELEASES);
    copy_tree(&releases.join(first), &releases.join(next));
    for entry in fs::read_dir(releases.join(next)).expect("a directory") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a manifest");
        fs::write(&path, text.replace(first, next)).expect("written");
    }
    // Each image that comes with it.
    node.sh(&format!(
        "ctr --namespace k8s.io images list -q | grep '^quay.io/kubevirt/.*:{first}$' | while read -r image; do
             ctr --namespace k8s.io images tag \"$image\" \"${{image%:*}}:{next}\"
         done"
    ));
    node.say(&format!("substituted: KubeVirt {next} is {first} under another name"));
    copy
}

/// Up to the next version and back; the VM runs all the time.
pub fn story(versions: &Versions, [kvnet, moved]: [&Kvnet; 2], machine: &str) {
    let Versions { first, next } = versions;
    let uid = uid(kvnet.node, machine);
    moves(moved, next, &format!("KubeVirt is upgraded from {first} to {next}"));
    moves(kvnet, first, &format!("KubeVirt is downgraded from {next} to {first}"));
    assert_eq!(self::uid(kvnet.node, machine), uid, "the VM was made anew");
}

/// `plan` tells what will happen, `up` ends when every component has the version, and nothing is left to do.
pub fn moves(kvnet: &Kvnet, version: &str, told: &str) {
    let node = kvnet.node;
    let plan = kvnet.exits(3, &["plan"]).out;
    assert!(plan.contains(told), "{plan}");
    let begin = Instant::now();
    let up = kvnet.up();
    assert!(!up.err.contains("FAILED") && !up.err.contains("not checked"), "{}", up.err);
    let status = "kubectl -n kubevirt get kubevirt kubevirt -o jsonpath='{.status.phase} {.status.observedKubeVirtVersion}'";
    assert_eq!(node.sh(status), format!("Deployed {version}"));
    let images = node.sh("kubectl -n kubevirt get deployment,daemonset -o jsonpath='{..image}'");
    for component in COMPONENTS {
        assert!(images.contains(&format!("{component}:{version}")), "{images}");
    }
    let ready = "kubectl -n kubevirt get pod -o jsonpath='{.items[*].spec.containers[*].image}' --field-selector status.phase=Running";
    let running = node.sh(ready);
    node.say(&format!(
        "all of KubeVirt has {version} after {:.1} s: {running}",
        begin.elapsed().as_secs_f64()
    ));
    kvnet.has_nothing_to_do();
}

/// Which VM it is, and whether it runs.
pub fn uid(node: &Node, machine: &str) -> String {
    node.sh(&format!("kubectl get vmi {machine} -o jsonpath='{{.metadata.uid}} {{.status.phase}}'"))
}
