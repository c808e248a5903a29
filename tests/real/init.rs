//! From a node without any cluster to networks that work; half a cluster is left alone.

use crate::kvnet::Kvnet;
use crate::networks::{check_node, check_pods};
use crate::node::Node;

/// What kubelet and kube-proxy need inside a container; see the rig's README.
const PROFILE: &str = "\
extends: default
cluster:
  init:
    enabled: true
    kubernetesVersion: v1.34.4
    kubelet:
      cgroupDriver: cgroupfs
      failCgroupV1: false
      imageGCHighThresholdPercent: 100
      evictionHard: {memory.available: 100Mi, nodefs.available: 0%, imagefs.available: 0%}
    kubeProxy:
      conntrack: {maxPerCore: 0}
";
const PART: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

pub fn story() {
    let node = Node::start_empty("init");
    node.write("/root/init.yaml", PROFILE);
    let kvnet = Kvnet::new(&node, &["--profile", "/root/init.yaml"]);
    half_a_cluster(&kvnet);
    kvnet.exits(3, &["plan"]);
    assert!(!node.holds("test -e /etc/kubernetes/admin.conf"), "plan made a cluster");
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    // This API server has no audit log: the other stories count its requests.
    let again = kvnet.exits(0, &["up", "--yes"]);
    assert!(again.err.contains("nothing to do ("), "{}", again.err);
}

/// It is recognised and explained, and every part of it stays.
fn half_a_cluster(kvnet: &Kvnet) {
    let node = kvnet.node;
    node.sh(&format!("mkdir -p /etc/kubernetes/manifests && echo half > {PART}"));
    let refused = kvnet.exits(1, &["up", "--yes"]);
    for part in ["KVN607", PART, "kubeadm reset"] {
        assert!(refused.err.contains(part), "`{part}` is not in\n{}", refused.err);
    }
    assert_eq!(node.sh(&format!("cat {PART}")), "half\n");
    node.sh(&format!("rm {PART}"));
}
