//! Packets do not pass, in one way after the other, and both `kvnet doctor` and `kvnet trace` name what stops them.

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::node::Node;

/// A way of breaking: how it is made and fixed, and the code and words that must be told. `$PORT` is the port of the
/// pod's NIC on blue, `$VETH` the node's end of its NIC on the pod network.
struct Break {
    make: &'static str,
    fix: &'static str,
    code: &'static str,
    found: &'static str,
}

const BREAKS: &[Break] = &[
    Break {
        make: "ovs-vsctl set-fail-mode blue secure && ovs-ofctl del-flows blue",
        fix: "ovs-vsctl del-fail-mode blue && ovs-ofctl add-flow blue priority=0,actions=NORMAL",
        code: "KVN646",
        found: "bridge blue is in fail mode secure and has no flows",
    },
    Break {
        make: "ovs-ofctl add-flow blue priority=100,actions=drop",
        fix: "ovs-ofctl --strict del-flows blue priority=100",
        code: "KVN645",
        found: "priority 100: drop",
    },
    Break {
        make: "ovs-ofctl add-flow blue priority=7,dl_dst=$MAC,actions=drop",
        fix: "ovs-ofctl --strict del-flows blue priority=7,dl_dst=$MAC",
        code: "KVN645",
        found: "priority 7: drop",
    },
    Break {
        make: "ovs-ofctl del-flows blue",
        fix: "ovs-ofctl add-flow blue priority=0,actions=NORMAL",
        code: "KVN645",
        found: "bridge blue drops",
    },
    Break {
        make: "ovs-ofctl mod-port blue $PORT no-forward",
        fix: "ovs-ofctl mod-port blue $PORT forward",
        code: "KVN645",
        found: "is set to NO_FWD",
    },
    Break {
        make: "ip link set $PORT down",
        fix: "ip link set $PORT up",
        code: "KVN647",
        found: "net1 of default/one is down",
    },
    Break {
        make: "ip link set cni0 down",
        fix: "ip link set cni0 up",
        code: "KVN647",
        found: "cni0 is down",
    },
    Break {
        make: "ip link set $VETH mtu 1000",
        fix: "ip link set $VETH mtu 1450",
        code: "KVN647",
        found: "but its peer",
    },
    Break {
        make: "bridge link set dev $VETH state 0",
        fix: "bridge link set dev $VETH state 3",
        code: "KVN647",
        found: "in its bridge",
    },
    Break {
        make: "sysctl -qw net.ipv4.ip_forward=0",
        fix: "sysctl -qw net.ipv4.ip_forward=1",
        code: "KVN648",
        found: "ip_forward is off",
    },
    Break {
        make: "nsenter --target=$PID --net ip route del default",
        fix: "nsenter --target=$PID --net ip route add default via 10.244.0.1",
        code: "KVN648",
        found: "default/one has no default route",
    },
    Break {
        make: "nsenter --target=$PID --net sysctl -qw net.ipv4.conf.net1.rp_filter=1 net.ipv4.conf.all.rp_filter=1 && \
               nsenter --target=$PID --net ip route add 10.20.0.0/25 dev eth0",
        fix: "nsenter --target=$PID --net ip route del 10.20.0.0/25 dev eth0",
        code: "KVN648",
        found: "net1 of default/one drops packets from 10.20.0.0/25: its rp_filter is strict",
    },
    Break {
        make: "ip link add up0 mtu 1000 type veth peer name up1 mtu 1000 &&
               ip link set up0 up && ip link set up1 up && ovs-vsctl add-port blue up0",
        fix: "ovs-vsctl del-port blue up0 && ip link del up0",
        code: "KVN647",
        found: "uplink up0 of blue has MTU 1000",
    },
    Break {
        make: "ip route add blackhole 10.244.0.0/25",
        fix: "ip route del blackhole 10.244.0.0/25",
        code: "KVN648",
        found: "blackhole",
    },
    Break {
        make: "iptables -I FORWARD -j DROP",
        fix: "iptables -D FORWARD -j DROP",
        code: "KVN649",
        found: "`-A FORWARD -j DROP` in iptables filter FORWARD",
    },
    Break {
        make: "nft 'add table inet mine; add chain inet mine f { type filter hook forward priority 0; policy drop; }'",
        fix: "nft delete table inet mine",
        code: "KVN649",
        found: "nftables inet mine f",
    },
];

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: one, annotations: {k8s.v1.cni.cncf.io/networks: ovs-blue}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1.37.0", command: [sleep, "100000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two, annotations: {k8s.v1.cni.cncf.io/networks: ovs-blue}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1.37.0", command: [sleep, "100000"]}]}
"#;

const NAMES: &str = r#"
uid=$(kubectl get pod one -o jsonpath='{.metadata.uid}')
PORT=$(ovs-vsctl --bare --columns=name find Port external_ids:contPodUid=$uid)
NUMBER=$(kubectl exec one -- cat /sys/class/net/eth0/iflink)
VETH=$(ip -o link | grep "^$NUMBER: " | sed 's/^[0-9]*: //; s/@.*//')
MAC=$(kubectl exec one -- cat /sys/class/net/net1/address)
PID=$(grep -l "${uid//-/_}\|$uid" /proc/[0-9]*/cgroup | head -1 | cut -d/ -f3)
"#;

pub fn story() {
    let node = Node::start("datapath");
    let kvnet = Kvnet::new(&node, &[]);
    kvnet.up();
    node.apply(PODS);
    node.sh("kubectl wait pod one two --for=condition=Ready --timeout=60s");
    node.sh(&format!("{NAMES} declare -p PORT VETH MAC PID >/root/names"));
    holds(&kvnet, "before");
    for broken in BREAKS {
        node.sh(&format!("source /root/names\n{}", broken.make));
        for command in [&["doctor", "-o", "json"][..], &["trace", "pod/one", "-o", "json"]] {
            named(&kvnet, broken, command);
        }
        node.sh(&format!("source /root/names\n{}", broken.fix));
        holds(&kvnet, broken.make);
        node.say(&format!("{}: {}", broken.make, broken.code));
    }
    crate::between::frames(&kvnet);
}

fn holds(kvnet: &Kvnet, what: &str) {
    let ready = "(kvnet doctor --skip kubevirt,vm && kvnet trace pod/one) >/dev/null";
    kvnet.node.until(&format!("all is well: {what}"), ready);
    let trace = look(kvnet, &["trace", "pod/one", "-o", "json"]);
    let links = trace["links"].as_array().expect("links");
    for link in ["fail-mode", "flows", "links", "forwarding", "firewall"] {
        let state = links.iter().find(|one| one["link"] == link).map(|one| &one["state"]);
        assert_eq!(state, Some(&"holds".into()), "{what}: {trace:#}");
    }
}

/// The kernel's own check may come before the node's forwarding.
fn named(kvnet: &Kvnet, broken: &Break, command: &[&str]) {
    let told = look(kvnet, command);
    let first = &told["broken"];
    let context = format!("{}: {told:#}", broken.make);
    let by_kernel = first["check"] == "kernel" && broken.code == "KVN648" && first["code"] == "KVN609";
    assert!(first["code"] == broken.code || by_kernel, "{context}");
    let found = first["found"].as_str().expect("a text");
    assert!(by_kernel || found.contains(broken.found), "{context}");
    assert!(first["hint"].as_str().is_some_and(|hint| hint.contains('`')), "{context}");
}

fn look(kvnet: &Kvnet, command: &[&str]) -> Value {
    let ran = kvnet.run(command);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}
