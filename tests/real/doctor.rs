//! `kvnet doctor` on a node that is broken on purpose, in one way after the other.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::node::Node;

/// A way of breaking: how it is made and fixed, and what must be named first.
struct Break {
    name: &'static str,
    make: &'static str,
    fix: &'static str,
    check: &'static str,
    code: &'static str,
    found: &'static str,
}

/// What pods, daemons and the kubelet need to come to rest after a break was fixed.
const REST: Duration = Duration::from_mins(3);

const BREAKS: &[Break] = &[
    Break {
        name: "the node takes no pods",
        make: "kubectl taint node --all node-role.kubernetes.io/control-plane:NoSchedule",
        fix: "kubectl taint node --all node-role.kubernetes.io/control-plane-",
        check: "room",
        code: "KVN631",
        found: "has the taint node-role.kubernetes.io/control-plane:NoSchedule",
    },
    Break {
        name: "the node is cordoned",
        make: "kubectl cordon $(hostname)",
        fix: "kubectl uncordon $(hostname)",
        check: "room",
        code: "KVN631",
        found: "is cordoned",
    },
    Break {
        name: "flannel's file is gone",
        make: "mv /run/flannel/subnet.env /root/subnet.env",
        fix: "mv /root/subnet.env /run/flannel/subnet.env",
        check: "flannel",
        code: "KVN601",
        found: "/run/flannel/subnet.env not found",
    },
    Break {
        name: "cni0 is of another cluster",
        make: "ip -4 -o addr show dev cni0 | awk '{print $4}' >/root/cni0
               ip addr flush dev cni0 scope global && ip addr add 10.99.0.1/24 dev cni0",
        fix: "ip addr flush dev cni0 scope global && ip addr add $(cat /root/cni0) brd + dev cni0",
        check: "flannel",
        code: "KVN601",
        found: "cni0 has 10.99.0.1",
    },
    Break {
        name: "flannel.1 has another MAC address",
        make: "ip -o link show dev flannel.1 | grep -o \"link/ether [^ ]*\" | cut -d \" \" -f 2 >/root/vtep && ip link set flannel.1 address 02:00:00:00:00:01",
        fix: "ip link set flannel.1 address $(cat /root/vtep)",
        check: "flannel",
        code: "KVN601",
        found: "flannel.1 has 02:00:00:00:00:01",
    },
    Break {
        name: "a plugin is missing",
        make: "mv /opt/cni/bin/ovs /root/ovs",
        fix: "mv /root/ovs /opt/cni/bin/ovs",
        check: "cni-plugins",
        code: "KVN603",
        found: "ovs, used by default/ovs-blue",
    },
    Break {
        name: "a configuration is not whole",
        make: "head -c 40 /etc/cni/net.d/10-flannel.conflist >/etc/cni/net.d/90-half.conflist",
        fix: "rm /etc/cni/net.d/90-half.conflist",
        check: "cni-files",
        code: "KVN635",
        found: "/etc/cni/net.d/90-half.conflist is not a CNI configuration",
    },
    Break {
        name: "Multus is gone and its configuration is not",
        make: "cp /etc/cni/net.d/00-multus.conf /root/
               kubectl -n kube-system delete daemonset kube-multus-ds --cascade=foreground
               test -e /etc/cni/net.d/00-multus.conf || cp /root/00-multus.conf /etc/cni/net.d/",
        fix: "kvnet up --yes --only multus,cni-order",
        check: "multus",
        code: "KVN612",
        found: "00-multus.conf calls Multus, but its DaemonSet does not exist",
    },
    Break {
        name: "another configuration comes first",
        make: "cp /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/00-aaa.conflist",
        fix: "rm /etc/cni/net.d/00-aaa.conflist",
        check: "cni-order",
        code: "KVN602",
        found: "00-aaa.conflist sorts before 00-multus.conf, the configuration of Multus",
    },
    Break {
        name: "a bridge is gone",
        make: "ovs-vsctl del-br blue",
        fix: "kvnet up --yes --only ovs-bridges",
        check: "bridges",
        code: "KVN605",
        found: "missing: blue",
    },
    Break {
        name: "a port has no link",
        make: "ovs-vsctl add-port blue nolink",
        fix: "ovs-vsctl del-port nolink",
        check: "ports",
        code: "KVN623",
        found: "nolink of blue",
    },
    Break {
        name: "ovs-cni goes to no node",
        make: "kubectl -n kube-system patch daemonset ovs-cni-amd64 -p '{\"spec\":{\"template\":{\"spec\":{\"nodeSelector\":{\"no\":\"where\"}}}}}'
               kubectl -n kube-system wait pod -l app=ovs-cni --for=delete --timeout=60s",
        fix: "kubectl -n kube-system patch daemonset ovs-cni-amd64 --type=json \
               -p '[{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector/no\"}]'",
        check: "ovs-cni",
        code: "KVN620",
        found: "is scheduled to 0 of 1 node",
    },
    Break {
        name: "an attachment is missing",
        make: "kubectl delete net-attach-def ovs-blue100",
        fix: "kvnet up --yes --only networks",
        check: "networks",
        code: "KVN621",
        found: "default/ovs-blue100, named by the profile",
    },
    Break {
        name: "the cluster's DNS is down",
        make: "kubectl -n kube-system scale deployment coredns --replicas=0
               kubectl -n kube-system wait pod -l k8s-app=kube-dns --for=delete --timeout=60s",
        fix: "kubectl -n kube-system scale deployment coredns --replicas=2",
        check: "dns",
        code: "KVN805",
        found: "coredns is scaled to 0",
    },
    Break {
        name: "a pod of the system cannot get its image",
        make: "kubectl -n kube-system run stray --image=localhost:1/nothing:1",
        fix: "kubectl -n kube-system delete pod stray --now",
        check: "system-pods",
        code: "KVN632",
        found: "kube-system/stray: ",
    },
    Break {
        name: "a file of kvnet's is gone",
        make: "rm /etc/sysctl.d/99-kvnet.conf",
        fix: "kvnet up --yes --only kernel",
        check: "profile",
        code: "KVN634",
        found: "to be done: kernel",
    },
    Break {
        name: "Open vSwitch has stopped",
        make: "systemctl stop openvswitch-switch ovsdb-server",
        fix: "systemctl start openvswitch-switch",
        check: "open-vswitch",
        code: "KVN604",
        found: "database connection failed",
    },
    Break {
        name: "the API server has stopped",
        make: "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/",
        fix: "mv /root/kube-apiserver.yaml /etc/kubernetes/manifests/",
        check: "api",
        code: "KVN301",
        found: ":6443",
    },
];

pub fn story() {
    let node = Node::start("doctor");
    let kvnet = Kvnet::new(&node, &[]);
    leads_to_up(&kvnet);
    kvnet.up();
    whole(&kvnet);
    dumped(&kvnet);
    left_port(&kvnet);
    for broken in BREAKS {
        node.sh(broken.make);
        named(&kvnet, broken);
        node.sh(broken.fix);
        rests(&kvnet, &format!("all is well after: {}", broken.name));
    }
    kvnet.exits(0, &["down", "--yes"]);
    node.until("the kubelet misses the pod network", "kubectl get nodes | grep -q NotReady");
    leads_to_up(&kvnet);
}

/// What a node answers is in its archive: each check finds there what it found on the node, and secrets are not in it.
fn dumped(kvnet: &Kvnet) {
    kvnet.exits(0, &["sysdump", "--file", "/root/dump.tar.gz"]);
    // What it found when the archive was made: a moment later, pods of the verification are gone.
    let found = kvnet.node.sh("tar xzOf /root/dump.tar.gz --wildcards '*/doctor.json'");
    let live = states(&serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}")));
    let ran = kvnet.run(&["doctor", "--from", "/root/dump.tar.gz", "-o", "json"]);
    let dumped = states(&serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}")));
    for (check, state) in &live {
        assert_eq!(dumped.get(check), Some(state), "{check} of the archive");
    }
    let listed = kvnet.node.sh("tar tzf /root/dump.tar.gz");
    for file in [
        "node/ovs-flows-blue.txt",
        "node/kubelet.log",
        "node/files/etc/cni/net.d/00-multus.conf",
        "cluster/Pod.yaml",
    ] {
        assert!(listed.lines().any(|line| line.ends_with(file)), "{file}: {listed}");
    }
    // The private keys and tokens of this node, wherever they may have come along.
    kvnet.node.sh(
        "tar xzf /root/dump.tar.gz -C /root && for secret in $(grep -h 'client-key-data' /etc/kubernetes/admin.conf | awk '{print $2}' | cut -c1-200); \
         do ! grep -rqF \"$secret\" /root/kvnet-sysdump-*; done && ! grep -rq 'BEGIN.*PRIVATE KEY' /root/kvnet-sysdump-*",
    );
}

/// The state of each check.
fn states(diagnosis: &Value) -> BTreeMap<String, String> {
    let checks = diagnosis["checks"].as_array().expect("checks").iter();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    checks.map(|check| (text(check, "check"), text(check, "state"))).collect()
}

/// A node without kvnet has no pod network: what is broken first is what `up` corrects.
fn leads_to_up(kvnet: &Kvnet) {
    let diagnosis = doctor(kvnet);
    let first = &diagnosis["broken"];
    assert!(matches!(first["check"].as_str(), Some("kernel" | "nodes")), "{diagnosis:#}");
    assert!(first["hint"].as_str().is_some_and(|hint| hint.contains("`kvnet up")), "{diagnosis:#}");
}

/// What was fixed, or is on its way out, needs a moment until nothing is broken.
pub fn rests(kvnet: &Kvnet, what: &str) {
    let doctor = kvnet.argv(&["doctor"]).join(" ");
    kvnet.node.until_in(REST, what, &format!("{doctor} >/dev/null"));
}

/// Nothing is broken, and nothing was not looked at.
pub fn whole(kvnet: &Kvnet) {
    // CoreDNS had no network before `up`, and its kubelet tries again only after a while.
    rests(kvnet, "the cluster's own pods start");
    let begin = Instant::now();
    let diagnosis = doctor(kvnet);
    kvnet.node.say(&format!("doctor took {:.2} s", begin.elapsed().as_secs_f64()));
    assert_eq!(diagnosis["broken"], Value::Null, "{diagnosis:#}");
    let checks = diagnosis["checks"].as_array().expect("checks");
    assert_eq!(checks.len(), ::kvnet::doctor::CHECKS.len());
    let told =
        |state: &str| -> Vec<&Value> { checks.iter().filter(|check| check["state"] == state).collect() };
    // The node is a container: it sees the module and not its settings.
    let unknown = told("unknown");
    assert!(unknown.iter().all(|check| check["check"] == "kernel"), "{unknown:#?}");
    assert!(told("holds").len() >= 16, "{diagnosis:#}");
}

/// It works all the same, and may only be late.
fn left_port(kvnet: &Kvnet) {
    kvnet.node.sh("ovs-vsctl add-port blue left -- set Interface left type=internal -- set Port left external_ids:contPodUid=gone");
    let diagnosis = doctor(kvnet);
    let ports =
        diagnosis["checks"].as_array().expect("checks").iter().find(|check| check["check"] == "ports");
    let ports = ports.expect("the check");
    assert_eq!((&ports["state"], diagnosis["broken"].is_null()), (&"warns".into(), true), "{diagnosis:#}");
    assert!(ports["found"].as_str().is_some_and(|found| found.contains("left of blue")), "{ports:#}");
    kvnet.node.sh("ovs-vsctl del-port left");
}

fn named(kvnet: &Kvnet, broken: &Break) {
    // The kubelet and the daemons need a moment for what was done.
    let shown = format!("(kvnet doctor --skip kubevirt,vm || true) | grep -q '^BROKEN  {} '", broken.check);
    kvnet.node.until(broken.name, &shown);
    let diagnosis = doctor(kvnet);
    let first = &diagnosis["broken"];
    let told = format!("{}: {diagnosis:#}", broken.name);
    assert_eq!((&first["check"], &first["code"]), (&broken.check.into(), &broken.code.into()), "{told}");
    assert!(first["found"].as_str().is_some_and(|found| found.contains(broken.found)), "{told}");
    assert!(first["hint"].is_string(), "{told}");
    kvnet.node.say(&format!("{}: {} ({})", broken.name, broken.check, broken.code));
}

/// The exit code tells whether something is broken.
fn doctor(kvnet: &Kvnet) -> Value {
    let ran = kvnet.run(&["doctor", "-o", "json"]);
    let diagnosis: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(ran.code, Some(i32::from(diagnosis["broken"].is_object())), "{ran:?}");
    diagnosis
}
