//! The main job: from a fresh node to networks that work, through changes, a reboot, and back.

use crate::kvnet::{Kvnet, as_set};
use crate::networks::{address, check_node, check_pods, pod, port_tag};
use crate::node::Node;
use crate::see::{self, Snapshot, Tolerated};
use crate::{conflict, drift};

/// What is not as before `up`, although `down` has taken everything back.
pub const AFTER_DOWN: &[Tolerated] = &[
    Tolerated {
        start: "Pod kube-system/coredns-",
        reason: "they had got addresses on flannel's network; their ReplicaSet has replaced them",
    },
    Tolerated { start: "ReplicaSet ", reason: "its pods were replaced" },
    Tolerated { start: "file /etc/group", reason: "the packages' users and groups stay, as Debian wants it" },
    Tolerated { start: "file /etc/gshadow", reason: "as above" },
    Tolerated { start: "file /etc/passwd", reason: "as above" },
    Tolerated { start: "file /etc/shadow", reason: "as above" },
    Tolerated { start: "file /var/lib/kvnet/", reason: "the journal of what was done and reverted is kept" },
];

pub fn story() {
    let node = Node::start("default");
    let kvnet = Kvnet::new(&node, &[]);
    let fresh = plan_changes_nothing(&kvnet);
    first_up(&kvnet);
    check_pods(&node);
    kvnet.has_nothing_to_do();
    drift::story(&node);
    conflict::story(&kvnet);
    reboot(&kvnet);
    down(&kvnet, &fresh);
    kvnet.up();
    check_node(&node);
    check_pods(&node);
}

/// Returns the snapshot before `up`.
fn plan_changes_nothing(kvnet: &Kvnet) -> Snapshot {
    let node = kvnet.node;
    let before = see::all(node);
    let text = kvnet.exits(3, &["plan"]).out;
    for line in
        ["create file /etc/modules-load.d/kvnet.conf", "create DaemonSet kube-flannel/kube-flannel-ds"]
    {
        assert!(text.contains(line), "{text}");
    }
    kvnet.exits(3, &["plan", "-o", "json"]);
    kvnet.exits(3, &["status"]);
    assert_eq!(node.sh("ls /var/lib/kvnet").trim(), "logs", "plan wrote a journal");
    before.must_equal(&see::all(node), &[]);
    before
}

/// `up` makes exactly what was planned.
fn first_up(kvnet: &Kvnet) {
    let planned = as_set(&kvnet.planned());
    let ran = kvnet.up();
    assert!(ran.err.contains("check passed: ovs-blue-1 reaches ovs-blue-2"), "{}", ran.err);
    assert!(!ran.err.contains("FAILED"), "{}", ran.err);
    let journaled = as_set(&kvnet.journaled());
    let (missing, surprising): (Vec<_>, Vec<_>) =
        (planned.difference(&journaled).collect(), journaled.difference(&planned).collect());
    assert!(
        missing.is_empty() && surprising.is_empty(),
        "not done: {missing:#?}, not planned: {surprising:#?}"
    );
    check_node(kvnet.node);
}

/// Pods get their NICs back, in the pod and in the switch.
fn reboot(kvnet: &Kvnet) {
    let node = kvnet.node;
    node.apply(&[pod("keep-1", "ovs-blue"), pod("keep-2", "ovs-blue100")].concat());
    node.sh("kubectl wait pod keep-1 keep-2 --for=condition=Ready --timeout=60s");
    let restarts =
        "kubectl get pods keep-1 keep-2 -o jsonpath='{.items[*].status.containerStatuses[0].restartCount}'";
    assert_eq!(node.sh(restarts), "0 0");
    node.reboot();
    node.say("rebooted");
    for pod in ["keep-1", "keep-2"] {
        let back = "--for=jsonpath='{.status.containerStatuses[0].restartCount}'=1 --timeout=180s";
        node.sh(&format!(
            "kubectl wait pod {pod} {back} && kubectl wait pod {pod} --for=condition=Ready --timeout=180s"
        ));
    }
    let status = kvnet.run(&["status"]);
    node.say(&format!("status after the reboot: {:?}", status.code));
    if status.code != Some(0) {
        kvnet.up();
    }
    kvnet.has_nothing_to_do();
    for (pod, subnet, tag) in [("keep-1", "10.20.0.", "[]"), ("keep-2", "10.20.100.", "100")] {
        assert!(address(node, pod, "net1").starts_with(subnet));
        assert_eq!(port_tag(node, pod), tag);
    }
    node.sh("kubectl delete pod keep-1 keep-2 --wait --timeout=60s");
    check_node(node);
    check_pods(node);
}

fn down(kvnet: &Kvnet, fresh: &Snapshot) {
    let node = kvnet.node;
    let dry = kvnet.exits(3, &["down", "--dry-run"]);
    assert!(dry.out.contains("delete DaemonSet kube-flannel/kube-flannel-ds"), "{}", dry.out);
    kvnet.has_nothing_to_do();
    let down = kvnet.exits(0, &["down", "--yes"]);
    assert!(down.err.contains("check passed: a pod starts"), "{}", down.err);
    fresh.must_equal(&see::all(node), AFTER_DOWN);
    assert!(
        !node.holds("ip link show cni0 || ip link show flannel.1 || ip link show blue"),
        "links are left"
    );
    let again = kvnet.exits(0, &["down", "--yes"]);
    assert!(again.err.contains("nothing to do"), "{}", again.err);
    node.say("all as before `up`");
}
