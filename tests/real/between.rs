//! A frame from one pod to another: with every link healthy, with each break, and once that is fixed.

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::node::Node;

/// A break between the pods `one` and `two`: on the pod network, or on blue.
struct Cut {
    make: &'static str,
    fix: &'static str,
    /// The network that it breaks; the other one stays whole.
    network: &'static str,
    code: &'static str,
    found: &'static str,
    /// The last link that sees the frame; none when it arrives all the same, and something else of the way is broken.
    seen_at: Option<&'static str>,
}

const POD: &str = "pod";
const BLUE: &str = "ovs-blue";

const CUTS: &[Cut] = &[
    Cut {
        make: "ovs-vsctl set-fail-mode blue secure && ovs-ofctl del-flows blue",
        fix: "ovs-vsctl del-fail-mode blue && ovs-ofctl add-flow blue priority=0,actions=NORMAL",
        network: BLUE,
        code: "KVN646",
        found: "in fail mode secure and has no flows",
        seen_at: Some("$PORT, its port on blue"),
    },
    Cut {
        make: "ovs-ofctl add-flow blue priority=100,in_port=$PORT,actions=drop",
        fix: "ovs-ofctl --strict del-flows blue priority=100,in_port=$PORT",
        network: BLUE,
        code: "KVN645",
        found: "priority 100: drop",
        seen_at: Some("$PORT, its port on blue"),
    },
    Cut {
        make: "ovs-ofctl add-flow blue priority=7,dl_dst=$MAC,actions=drop",
        fix: "ovs-ofctl --strict del-flows blue priority=7,dl_dst=$MAC",
        network: BLUE,
        code: "KVN645",
        found: "priority 7: drop",
        seen_at: None,
    },
    Cut {
        make: "ovs-vsctl set port $PORT2 tag=7 vlan_mode=access",
        fix: "ovs-vsctl clear port $PORT2 tag -- set port $PORT2 vlan_mode=trunk",
        network: BLUE,
        code: "KVN623",
        found: "VLAN 7; it should be on blue, untagged",
        seen_at: Some("$PORT, its port on blue"),
    },
    Cut {
        make: "ovs-vsctl set port $PORT trunks=5,6",
        fix: "ovs-vsctl clear port $PORT trunks",
        network: BLUE,
        code: "KVN623",
        found: "VLANs 5-6 tagged; it should be on blue, untagged",
        seen_at: Some("$PORT, its port on blue"),
    },
    Cut {
        make: "ip link set $PORT2 down",
        fix: "ip link set $PORT2 up",
        network: BLUE,
        code: "KVN647",
        found: "net1 of default/two is down",
        seen_at: Some("$PORT, its port on blue"),
    },
    Cut {
        make: "nsenter --target=$PID2 --net ip link set net1 arp off",
        fix: "nsenter --target=$PID2 --net ip link set net1 arp on",
        network: BLUE,
        code: "KVN622",
        found: "ARP is off",
        seen_at: None,
    },
    Cut {
        make: "ip link set cni0 down",
        fix: "ip link set cni0 up",
        network: POD,
        code: "KVN647",
        found: "cni0 is down",
        seen_at: Some("$VETH, its end in cni0"),
    },
    Cut {
        make: "iptables -I FORWARD -j DROP",
        fix: "iptables -D FORWARD -j DROP",
        network: POD,
        code: "KVN649",
        found: "`-A FORWARD -j DROP` in iptables filter FORWARD",
        seen_at: Some("$VETH, its end in cni0"),
    },
    Cut {
        make: "nft 'add table bridge mine; add chain bridge mine f { type filter hook forward priority 0; policy drop; }'",
        fix: "nft delete table bridge mine",
        network: POD,
        code: "KVN649",
        found: "nftables bridge mine f",
        seen_at: Some("$VETH, its end in cni0"),
    },
    Cut {
        make: "ip link set $VETH nomaster",
        fix: "ip link set $VETH master cni0",
        network: POD,
        code: "KVN647",
        found: "is in no bridge, not in cni0",
        seen_at: Some("$VETH, its end on the node"),
    },
    Cut {
        make: "ip link set $VETH2 mtu 1000",
        fix: "ip link set $VETH2 mtu 1450",
        network: POD,
        code: "KVN647",
        found: "but its peer",
        seen_at: None,
    },
    Cut {
        make: "nsenter --target=$PID --net ip link set eth0 address 02:00:00:00:00:77",
        fix: "nsenter --target=$PID --net ip link set eth0 address $EMAC",
        network: POD,
        code: "KVN622",
        found: "has the MAC address 02:00:00:00:00:77, but Multus reported",
        seen_at: None,
    },
];

const PODS: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: tagged, annotations: {k8s.v1.cni.cncf.io/networks: ovs-blue100}}
spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1.37.0", command: [sleep, "100000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: hosted}
spec: {hostNetwork: true, terminationGracePeriodSeconds: 0, containers: [{name: c, image: "busybox:1.37.0", command: [sleep, "100000"]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ended}
spec: {restartPolicy: Never, containers: [{name: c, image: "busybox:1.37.0", command: ["true"]}]}
"#;

const NAMES: &str = r#"
names() {
  uid=$(kubectl get pod $1 -o jsonpath='{.metadata.uid}')
  port=$(ovs-vsctl --bare --columns=name find Port external_ids:contPodUid=$uid)
  number=$(kubectl exec $1 -- cat /sys/class/net/eth0/iflink)
  veth=$(ip -o link | grep "^$number: " | sed 's/^[0-9]*: //; s/@.*//')
  pid=$(grep -lE "$uid|${uid//-/_}" /proc/[0-9]*/cgroup 2>/dev/null | head -1 | cut -d/ -f3)
}
names two; PORT2=$port VETH2=$veth PID2=$pid
names one; PORT=$port VETH=$veth PID=$pid
MAC=$(kubectl exec one -- cat /sys/class/net/net1/address)
EMAC=$(kubectl exec one -- cat /sys/class/net/eth0/address)
declare -p PORT PORT2 VETH VETH2 PID PID2 MAC EMAC >/root/between
"#;

/// With the pods `one` and `two`, which are both on blue.
pub fn frames(kvnet: &Kvnet) {
    let node = kvnet.node;
    node.apply(PODS);
    node.sh("kubectl wait pod tagged hosted --for=condition=Ready --timeout=60s");
    node.sh("kubectl wait pod ended --for=jsonpath='{.status.phase}'=Succeeded --timeout=60s");
    node.sh(NAMES);
    let before = left(node);
    arrives(kvnet, "before");
    for cut in CUTS {
        node.sh(&format!("source /root/between\n{}", cut.make));
        named(kvnet, cut);
        node.sh(&format!("source /root/between\n{}", cut.fix));
        arrives(kvnet, cut.make);
        node.say(&format!("two ends, {}: {}", cut.make, cut.code));
    }
    isolated(kvnet);
    refused(kvnet);
    assert_eq!(left(node), before, "something was left");
}

/// Both networks carry the frame there and the answer back.
fn arrives(kvnet: &Kvnet, what: &str) {
    let node = kvnet.node;
    let whole = "(kvnet trace one two && kvnet trace one two --network ovs-blue) >/dev/null";
    node.until(&format!("frames arrive: {what}"), whole);
    for network in [POD, BLUE] {
        let told = look(kvnet, &["trace", "one", "two", "--network", network]);
        assert_eq!(told["broken"], Value::Null, "{what}: {told:#}");
        assert_eq!((&told["frame"]["arrives"], &told["frame"]["apart"]), (&true.into(), &false.into()));
        let links = told["links"].as_array().expect("links");
        assert!(links.iter().all(|link| link["state"] == "holds"), "{what}: {told:#}");
        let count = |name: &str| links.iter().filter(|link| link["link"] == name).count();
        assert_eq!(["hop", "question", "answer", "back", "large"].map(count), [4, 2, 1, 1, 1], "{told:#}");
    }
}

fn named(kvnet: &Kvnet, cut: &Cut) {
    let told = look(kvnet, &["trace", "one", "two", "--network", cut.network]);
    let context = format!("{}: {told:#}", cut.make);
    assert_eq!(told["broken"]["code"], cut.code, "{context}");
    assert!(told["broken"]["found"].as_str().is_some_and(|found| found.contains(cut.found)), "{context}");
    assert!(told["broken"]["hint"].as_str().is_some_and(|hint| hint.contains('`')), "{context}");
    let frame = &told["frame"];
    match cut.seen_at {
        None => assert_eq!(frame["arrives"], true, "{context}"),
        Some(seen_at) => {
            let names = kvnet.node.sh(&format!("source /root/between\necho \"{seen_at}\""));
            assert_eq!(
                (&frame["arrives"], frame["lastSeen"].as_str()),
                (&false.into(), Some(names.trim())),
                "{context}"
            );
            let hops = told["links"].as_array().expect("links").iter().filter(|link| link["link"] == "hop");
            assert!(hops.into_iter().any(|hop| hop["code"] == "KVN650"), "{context}");
        }
    }
    let other = if cut.network == POD { BLUE } else { POD };
    let told = look(kvnet, &["trace", "one", "two", "--network", other]);
    assert_eq!(
        (&told["broken"], &told["frame"]["arrives"]),
        (&Value::Null, &true.into()),
        "{context}: {told:#}"
    );
}

/// Two VLANs of one bridge are apart as configured; a flow that connects them is not.
fn isolated(kvnet: &Kvnet) {
    let trace = ["trace", "one", "tagged", "--network", BLUE];
    let told = look(kvnet, &trace);
    let frame = &told["frame"];
    assert_eq!(
        (&told["broken"], &frame["arrives"], &frame["apart"]),
        (&Value::Null, &false.into(), &true.into()),
        "{told:#}"
    );
    let links = told["links"].as_array().expect("links");
    let found = |told: &[Value]| {
        let isolation = told.iter().find(|link| link["link"] == "isolation").cloned().expect("the link");
        (isolation["state"].clone(), isolation["found"].as_str().unwrap_or_default().to_owned())
    };
    let (state, text) = found(links);
    assert!(state == "holds" && text.contains("untagged") && text.contains("VLAN 100"), "{text}");
    kvnet.node.sh(
        "source /root/between
         out=
         for to in $(ovs-vsctl --bare --columns=name find Port tag=100); do
             out=$out,output:$(ovs-vsctl get interface $to ofport)
         done
         ovs-ofctl add-flow blue priority=50,in_port=$(ovs-vsctl get interface $PORT ofport),actions=${out#,}",
    );
    let told = look(kvnet, &trace);
    let (state, text) = found(told["links"].as_array().expect("links"));
    assert!(state == "broken" && text.contains("gets through"), "{told:#}");
    assert_eq!(told["frame"]["arrives"], true);
    kvnet.node.sh("source /root/between\novs-ofctl --strict del-flows blue priority=50,in_port=$(ovs-vsctl get interface $PORT ofport)");
}

fn refused(kvnet: &Kvnet) {
    for (arguments, code) in [
        (&["one", "one"][..], "KVN651"),
        (&["one", "tagged", "--network", "ovs-blue-l2"], "KVN651"),
        (&["one", "hosted"], "KVN652"),
        (&["ended", "one"], "KVN652"),
        (&["one", "two", "--network", "nowhere"], "KVN653"),
        (&["one", "nobody"], "KVN628"),
    ] {
        let ran = kvnet.run(&[&["trace"], arguments].concat());
        assert!(ran.code == Some(2) || ran.code == Some(4) || ran.code == Some(1), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(code) && ran.err.contains("hint:"), "{arguments:?}: {ran:?}");
    }
}

/// What a trace could leave: sockets that hear everything, processes, links, mirrors, flows.
fn left(node: &Node) -> String {
    node.sh("wc -l </proc/net/packet; pgrep -c kvnet || true; ip -o link | cut -d: -f2 | sort; ovs-vsctl list mirror; ovs-ofctl --no-stats dump-flows blue")
}

fn look(kvnet: &Kvnet, command: &[&str]) -> Value {
    let ran = kvnet.run(&[command, &["-o", "json"]].concat());
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}
