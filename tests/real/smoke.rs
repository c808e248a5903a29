//! `kvnet smoke`: all cases on a whole node, and the right ones fail on a broken one.

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::node::Node;

/// A node that is broken in one way.
struct Broken {
    name: &'static str,
    by: &'static str,
    mended_by: &'static str,
    /// Cases that fail, each with its code and a part of what it says.
    fails: &'static [(&'static str, &'static str, &'static str)],
    /// Cases that have nothing to do with it.
    passes: &'static [&'static str],
    /// A wait that times out takes so long.
    seconds: &'static str,
}

const BRIEF: &str = "14";
const LONG: &str = "120";
// The patch was made under another name.
const MEND_NETWORKS: &str = "kvnet up --yes --only networks --force-conflicts";

const BROKEN: &[Broken] = &[
    Broken {
        name: "an attachment is missing",
        by: "kubectl delete net-attach-def ovs-blue100",
        mended_by: MEND_NETWORKS,
        fails: &[("attachments", "KVN621", "default/ovs-blue100 not found")],
        passes: &["default-network"],
        seconds: LONG,
    },
    Broken {
        name: "an attachment has lost its VLAN",
        by: r#"kubectl patch net-attach-def ovs-blue100 --type=merge -p "$(
            kubectl get net-attach-def ovs-blue100 -o json | sed -n 's/.*"config": \(.*\)$/\1/p' | sed 's/,$//' |
            sed 's/,*\\"vlan\\": *100//' | sed 's/.*/{"spec": {"config": &}}/')""#,
        mended_by: MEND_NETWORKS,
        fails: &[("vlan-isolation", "KVN804", "answers an ARP request"), ("attachments", "KVN623", "untagged")],
        passes: &[],
        seconds: LONG,
    },
    Broken {
        name: "the bridge is gone",
        by: "ovs-vsctl del-br blue",
        mended_by: "kvnet up --yes --only ovs-bridges",
        fails: &[("same-network", "KVN605", "failed to find bridge blue")],
        passes: &[],
        seconds: BRIEF,
    },
    Broken {
        name: "another CNI configuration sorts before Multus'",
        by: "cp /etc/cni/net.d/10-flannel.conflist /etc/cni/net.d/00-aaa.conflist",
        mended_by: "rm /etc/cni/net.d/00-aaa.conflist",
        fails: &[("attachments", "KVN602", "00-aaa.conflist, not that of Multus")],
        passes: &["default-network"],
        seconds: LONG,
    },
    Broken {
        name: "the plugin of ovs-cni is missing",
        by: "mv /opt/cni/bin/ovs /root/ovs",
        mended_by: "mv /root/ovs /opt/cni/bin/ovs",
        fails: &[("same-network", "KVN603", "ovs")],
        passes: &["a-bridge-network"],
        seconds: BRIEF,
    },
    Broken {
        name: "the cluster's DNS is down",
        by: "kubectl -n kube-system scale deployment coredns --replicas=0
             kubectl -n kube-system wait pod -l k8s-app=kube-dns --for=delete --timeout=60s",
        mended_by: "kubectl -n kube-system scale deployment coredns --replicas=2
             kubectl -n kube-system rollout status deployment coredns --timeout=90s",
        fails: &[("dns", "KVN805", "no DNS server pods")],
        passes: &["default-network"],
        seconds: LONG,
    },
    Broken {
        name: "a port and an address were left behind",
        by: "ovs-vsctl add-port blue left -- set Interface left type=internal -- set Port left external_ids:contPodUid=gone
             printf 'gone\\r\\nnet1' >/var/lib/cni/networks/ovs-blue/10.20.0.200",
        mended_by: "ovs-vsctl del-port left; rm -f /var/lib/cni/networks/ovs-blue/10.20.0.200",
        fails: &[("leaks", "KVN802", "left of blue"), ("leaks", "KVN802", "10.20.0.200")],
        passes: &[],
        seconds: LONG,
    },
    Broken {
        name: "the node takes no pods any more",
        by: "kubectl taint node --all node-role.kubernetes.io/control-plane:NoSchedule",
        mended_by: "kubectl taint node --all node-role.kubernetes.io/control-plane-",
        fails: &[("default-network", "KVN808", "node-role.kubernetes.io/control-plane")],
        passes: &[],
        seconds: BRIEF,
    },
    Broken {
        name: "flannel has no subnet",
        by: "mv /run/flannel/subnet.env /root/subnet.env",
        mended_by: "mv /root/subnet.env /run/flannel/subnet.env",
        fails: &[("default-network", "KVN601", "subnet.env")],
        passes: &[],
        seconds: BRIEF,
    },
];

pub fn story() {
    let node = Node::start("smoke");
    let kvnet = Kvnet::new(&node, &[]);
    kvnet.up();
    whole(&kvnet);
    for broken in BROKEN {
        node.sh(broken.by);
        try_broken(&kvnet, broken);
        node.sh(broken.mended_by);
    }
    reboot(&kvnet);
    kvnet.exits(0, &["down", "--yes"]);
    let report = smoke(&kvnet, 0, &[]);
    assert_eq!(names(&report, "passed"), ["after-down"]);
}

/// The case with a VM of its own, beside the one that runs.
pub fn vm(kvnet: &Kvnet) {
    let report = smoke(kvnet, 0, &["vmi"]);
    assert_eq!(names(&report, "passed"), ["vmi"], "{report}");
    let result = case(&report, "vmi");
    kvnet.node.say(&format!("passed vmi in {} s", result["seconds"]));
    kvnet.node.until("its VM is gone", "! kubectl get vmi --all-namespaces -o name | grep smoke-vm");
}

/// Runs cases; the exit code must be `code`.
fn smoke(kvnet: &Kvnet, code: i32, arguments: &[&str]) -> Value {
    let ran = kvnet.exits(code, &[&["smoke", "-o", "json"], arguments].concat());
    let report: Value = serde_json::from_str(&ran.out).expect("a report");
    let left = kvnet.node.sh("kubectl get namespaces -o name");
    assert!(!left.contains("kvnet-smoke"), "namespaces are left: {left}");
    report
}

fn names<'a>(report: &'a Value, status: &str) -> Vec<&'a str> {
    let cases = report["cases"].as_array().expect("cases").iter();
    cases.filter(|case| case["status"] == status).filter_map(|case| case["case"].as_str()).collect()
}

fn case<'a>(report: &'a Value, name: &str) -> &'a Value {
    let cases = report["cases"].as_array().expect("cases");
    cases.iter().find(|case| case["case"] == name).unwrap_or_else(|| panic!("no {name} in {report}"))
}

fn whole(kvnet: &Kvnet) {
    let report = smoke(kvnet, 0, &["--junit", "/root/smoke.xml"]);
    assert_eq!(names(&report, "skipped"), ["after-down", "reboot", "vmi"], "{report}");
    assert_eq!(names(&report, "passed").len(), ::kvnet::smoke::CASES.len() - 3, "{report}");
    let notes = case(&report, "same-network")["notes"].to_string();
    // The rig has no kernel module of Open vSwitch.
    assert!(notes.contains("datapath_type=netdev"), "{notes}");
    assert!(kvnet.node.sh("cat /root/smoke.xml").contains("<testcase name=\"leaks\""));
    for result in report["cases"].as_array().expect("cases") {
        kvnet.node.say(&format!("{} {} in {} s", result["status"], result["case"], result["seconds"]));
    }
}

fn try_broken(kvnet: &Kvnet, broken: &Broken) {
    let mut cases: Vec<&str> =
        broken.fails.iter().map(|(case, ..)| *case).chain(broken.passes.iter().copied()).collect();
    cases.dedup();
    let options = ["--timeout", broken.seconds, "--collect", "/root/collected"];
    let report = smoke(kvnet, 1, &[&cases[..], &options].concat());
    for (name, code, says) in broken.fails {
        let result = case(&report, name);
        assert_eq!(result["failure"]["code"], *code, "{}: {result:#}", broken.name);
        assert!(result.to_string().contains(says), "{}: {result:#}", broken.name);
        // Other cases may fail before they have pods, or after these are gone.
        let of_pods = match *name {
            "default-network" | "same-network" => "cluster/Pod.yaml cluster/events.txt",
            _ => "",
        };
        let files = format!(
            "cd /root/collected/{name} && ls result.json cluster/Node.yaml node/ovs-show.txt node/files/etc/cni/net.d \
             node/files/var/lib/cni/networks not-collected.txt {of_pods}"
        );
        kvnet.node.sh(&files);
    }
    for name in broken.passes {
        assert_eq!(case(&report, name)["status"], "passed", "{}: {report:#}", broken.name);
    }
    assert!(
        !kvnet.node.holds("grep -rE 'eyJ[A-Za-z0-9_-]+[.]|PRIVATE KEY' /root/collected"),
        "a secret was collected"
    );
    kvnet.node.say(&format!("{}: {:?} fail", broken.name, names(&report, "failed")));
}

/// The process ends with the node; the report comes after the boot.
fn reboot(kvnet: &Kvnet) {
    let first = kvnet.run(&["smoke", "--allow-reboot", "reboot", "dns"]);
    kvnet.node.say(&format!("before the boot: {:?}", first.code));
    kvnet.node.reboot();
    let report = smoke(kvnet, 0, &["--resume"]);
    assert_eq!(names(&report, "passed"), ["dns", "reboot"], "{report}");
    assert!(!kvnet.node.holds("test -e /var/lib/kvnet/smoke.json"));
    kvnet.exits(2, &["smoke", "--resume"]);
}
