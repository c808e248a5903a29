//! Another owner's flannel: `up` builds on it, `down` leaves it, and pods still get its network.

use crate::kvnet::Kvnet;
use crate::networks::{address, check_node, check_pods, plain_pod};
use crate::node::{Node, manifests};
use crate::upstream::PROFILE;

pub fn story() {
    let node = Node::start("adopt");
    let theirs = manifests()
        .join("raw.githubusercontent.com/flannel-io/flannel/v0.28.10/Documentation/kube-flannel.yml");
    node.copy(&theirs, "/root/kube-flannel.yml");
    node.sh("kubectl apply -f /root/kube-flannel.yml && kubectl wait node --all --for=condition=Ready --timeout=120s");
    let flannel =
        "kubectl -n kube-flannel get daemonset kube-flannel-ds -o jsonpath='{.metadata.uid} {.spec}'";
    let before = node.sh(flannel);
    node.write("/root/upstream.yaml", PROFILE);
    node.mirror();
    let options = ["--profile", "/root/upstream.yaml", "--mirror", "http://127.0.0.1:8099"];
    let kvnet = Kvnet::new(&node, &options);
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.exits(0, &["doctor"]);
    let down = kvnet.exits(0, &["down", "--yes"]);
    assert!(down.err.contains("check passed: a plain pod starts on the pod network"), "{}", down.err);
    assert_eq!(node.sh(flannel), before, "their flannel is as it was");
    assert_eq!(node.sh("ls /etc/cni/net.d"), "10-flannel.conflist\n");
    node.apply(&plain_pod("after"));
    // The control-plane taint is back, and this pod tolerates nothing.
    node.sh("kubectl taint nodes --all node-role.kubernetes.io/control-plane:NoSchedule-");
    node.sh("kubectl wait pod after --for=condition=Ready --timeout=60s");
    assert!(address(&node, "after", "eth0").starts_with("10.244."));
}
