//! From a node without any cluster to networks that work; half a cluster is left alone.

use crate::kvnet::Kvnet;
use crate::networks::{check_node, check_pods};
use crate::node::Node;
use crate::see;

/// What kubelet and kube-proxy need inside a container, and the audit log that the story reads; as in the rig's own
/// `node/kubeadm.yaml`.
const PROFILE: &str = "\
extends: default
cluster:
  init:
    enabled: true
    kubernetesVersion: v1.34.4
    ignorePreflightErrors: [SystemVerification, Hostname, Swap, FileExisting-crictl, NumCPU, HTTPProxyCIDR]
    kubelet:
      cgroupDriver: cgroupfs
      failSwapOn: false
      failCgroupV1: false
      imageGCHighThresholdPercent: 100
      evictionHard: {memory.available: 100Mi, nodefs.available: 0%, imagefs.available: 0%}
    kubeProxy:
      conntrack: {maxPerCore: 0}
    clusterConfiguration:
      apiServer:
        extraArgs:
          - {name: audit-policy-file, value: /etc/kvnet-rig/audit-policy.yaml}
          - {name: audit-log-path, value: /var/log/kubernetes/audit.log}
        extraVolumes:
          - name: audit-policy
            hostPath: /etc/kvnet-rig/audit-policy.yaml
            mountPath: /etc/kvnet-rig/audit-policy.yaml
            readOnly: true
            pathType: File
          - name: audit-log
            hostPath: /var/log/kubernetes
            mountPath: /var/log/kubernetes
            pathType: DirectoryOrCreate
";
/// What an interrupted `kubeadm init` may have left, each alone.
const PARTS: [&str; 3] = [
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/admin.conf",
    "/var/lib/etcd/member/wal",
];

pub fn story() {
    let node = Node::start_empty("init");
    node.write("/root/init.yaml", PROFILE);
    let kvnet = Kvnet::new(&node, &["--profile", "/root/init.yaml"]);
    for part in PARTS {
        half_a_cluster(&kvnet, part);
    }
    kvnet.exits(3, &["plan"]);
    assert!(!node.holds("test -e /etc/kubernetes/admin.conf"), "plan made a cluster");
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
}

/// It is recognised and explained, and every part of it stays.
fn half_a_cluster(kvnet: &Kvnet, part: &str) {
    let node = kvnet.node;
    node.sh(&format!("mkdir -p $(dirname {part}) && echo half > {part}"));
    let before = see::files(node);
    let refused = kvnet.exits(1, &["up", "--yes"]);
    for told in ["KVN607", part.trim_end_matches("/wal"), "kubeadm reset"] {
        assert!(refused.err.contains(told), "`{told}` is not in\n{}", refused.err);
    }
    before.must_equal(&see::files(node), &[]);
    assert_eq!(node.sh(&format!("cat {part}")), "half\n");
    node.sh(&format!("rm {part} && rmdir --ignore-fail-on-non-empty --parents $(dirname {part})"));
}
