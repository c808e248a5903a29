//! From a node without any cluster to networks that work; half a cluster is left alone.

use crate::kvnet::Kvnet;
use crate::networks::{check_node, check_pods};
use crate::node::Node;

/// What kubelet and kube-proxy need inside a container, and the audit log that the story reads; as in the rig's own
/// `node/kubeadm.yaml`.
const PROFILE: &str = "\
extends: default
cluster:
  init:
    enabled: true
    kubernetesVersion: v1.37.2
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
/// What an interrupted `kubeadm init` may have left: how to make it, and what of it kvnet names.
const HALVES: [(&str, &str); 3] = [
    (
        "mkdir -p /etc/kubernetes/manifests && echo half > /etc/kubernetes/manifests/kube-apiserver.yaml",
        "/etc/kubernetes/manifests/kube-apiserver.yaml",
    ),
    ("mkdir -p /var/lib/etcd/member && echo half > /var/lib/etcd/member/wal", "/var/lib/etcd/member"),
    // A whole kubeconfig of a server that never came up.
    ("kubeadm init phase certs ca && kubeadm init phase kubeconfig admin", "/etc/kubernetes/admin.conf"),
];

pub fn story() {
    let node = Node::start_empty("init");
    node.write("/root/init.yaml", PROFILE);
    let kvnet = Kvnet::new(&node, &["--profile", "/root/init.yaml"]);
    for (make, named) in HALVES {
        half_a_cluster(&kvnet, make, named);
    }
    kvnet.exits(3, &["plan"]);
    assert!(!node.holds("test -e /etc/kubernetes/admin.conf"), "plan made a cluster");
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
}

/// It is recognised and explained, and every part of it stays.
fn half_a_cluster(kvnet: &Kvnet, make: &str, named: &str) {
    let node = kvnet.node;
    node.sh("cp -a /etc/kubernetes /root/kubernetes");
    node.sh(make);
    let parts = "find /etc/kubernetes /var/lib/etcd -type f -exec sha256sum {} +";
    let before = node.sh(&format!("mkdir -p /var/lib/etcd && {parts}"));
    assert!(before.contains(named), "{before}");
    let refused = kvnet.exits(1, &["up", "--yes"]);
    for told in ["KVN607", named, "kubeadm reset"] {
        assert!(refused.err.contains(told), "`{told}` is not in\n{}", refused.err);
    }
    assert_eq!(node.sh(parts), before);
    node.sh("rm -r /etc/kubernetes /var/lib/etcd && mv /root/kubernetes /etc/kubernetes");
}
