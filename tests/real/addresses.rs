//! Twenty pods with a NIC on every kind of network come and go: no address is ever given twice, and none stays behind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::networks::pod;
use crate::node::Node;
use kvnet_test_kit::count;

const PODS: usize = 20;
const NETWORKS: &str = "'flannel-network,ovs-blue,a-bridge-network'";
/// The wire that each NIC is on; the pod network has two.
const WIRES: [(&str, &str); 4] =
    [("eth0", "pod network"), ("net1", "pod network"), ("net2", "blue"), ("net3", "br0")];
/// Who goes and who comes in each round, by number: all at once, half of them while the others stay, all for others.
const ROUNDS: [(std::ops::Range<usize>, std::ops::Range<usize>); 4] =
    [(0..0, 0..PODS), (0..10, 20..30), (10..30, 30..50), (35..40, 50..55)];

/// All leases: of host-local the directory and the address; of flannel's plugin the directory and the container.
const LEASES: &str = "cd /var/lib/cni; find networks -type f -name '*.*.*.*' -printf '%h %f\\n'";
const SCRATCH: &str = "cd /var/lib/cni; find flannel flannel-attached -type f -printf '%f\\n'";

pub fn story() {
    let node = Node::start("addresses");
    let kvnet = Kvnet::new(&node, &[]);
    kvnet.up();
    let mut there = BTreeSet::new();
    let mut compared = 0;
    for (go, come) in ROUNDS {
        let names = |range: &std::ops::Range<usize>| -> Vec<String> {
            range.clone().map(|number| format!("pod-{number}")).collect()
        };
        let (go, come) = (names(&go), names(&come));
        node.apply(&come.iter().map(|name| pod(name, NETWORKS)).collect::<String>());
        if !go.is_empty() {
            node.sh(&format!("kubectl delete pod {} --wait=false", go.join(" ")));
        }
        there.extend(come);
        there.retain(|name| !go.contains(name));
        let all: Vec<&str> = there.iter().map(String::as_str).collect();
        node.sh(&format!("kubectl wait pod {} --for=condition=Ready --timeout=300s", all.join(" ")));
        compared += none_twice(&node, &all);
        told(&kvnet, go.is_empty());
    }
    let all: Vec<&str> = there.iter().map(String::as_str).collect();
    node.sh(&format!("kubectl delete pod {} --wait --timeout=120s", all.join(" ")));
    nothing_left(&node);
    count::record("addresses compared on the real node", compared);
}

/// What the pods themselves have, compared with each other, with the cluster's own pods and with the node.
fn none_twice(node: &Node, pods: &[&str]) -> usize {
    let mut holders: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let own = node.sh("ip -4 -o address show | awk '{print $2, $4}'");
    for line in own.lines() {
        let (link, address) = line.split_once(' ').expect("a link and an address");
        let wire = match link {
            "cni0" | "flannel.1" => "pod network",
            link => link,
        };
        note(&mut holders, wire, address, format!("the node's {link}"));
    }
    let others = node.json("kubectl get pods --all-namespaces -o json");
    for other in others["items"].as_array().expect("pods") {
        let name = other["metadata"]["name"].as_str().expect("a name");
        if other["spec"]["hostNetwork"] != true
            && !pods.contains(&name)
            && other["metadata"]["deletionTimestamp"].is_null()
        {
            note(
                &mut holders,
                "pod network",
                other["status"]["podIP"].as_str().expect("an IP"),
                name.to_owned(),
            );
        }
    }
    let script = format!(
        "for pod in {}; do kubectl exec $pod -- ip -4 -o address show | awk -v pod=$pod '{{print pod, $2, $4}}'; done",
        pods.join(" ")
    );
    let mut count = 0;
    for line in node.sh(&script).lines() {
        let [pod, nic, address] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let Some((_, wire)) = WIRES.iter().find(|(name, _)| *name == nic) else { continue };
        note(&mut holders, wire, address, format!("{nic} of {pod}"));
        count += 1;
    }
    assert_eq!(count, pods.len() * WIRES.len(), "each pod has an address on each of its NICs");
    let twice: Vec<_> = holders.iter().filter(|(_, holders)| holders.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
    node.say(&format!("{} addresses, none twice", holders.len()));
    holders.len()
}

fn note(holders: &mut BTreeMap<(String, String), Vec<String>>, wire: &str, address: &str, who: String) {
    let address = address.split('/').next().unwrap_or_default().to_owned();
    holders.entry((wire.to_owned(), address)).or_default().push(who);
}

/// kvnet's own comparison says the same.
fn told(kvnet: &Kvnet, with_smoke: bool) {
    let ran = kvnet.run(&["doctor", "-o", "json"]);
    let diagnosis: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let checks = diagnosis["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["check"] == "duplicates").expect("the check");
    assert_eq!(check["state"], "holds", "{check:#}");
    assert!(check["found"].as_str().is_some_and(|found| found.ends_with(" addresses compared")), "{check:#}");
    if with_smoke {
        kvnet.exits(0, &["smoke", "addresses"]);
    }
}

/// Every lease is one of a pod that lives. The runtime takes NICs down some seconds after the pod's object is gone.
fn nothing_left(node: &Node) {
    node.until(
        "no lease is left of a pod that is gone",
        &format!(
            "live=$(kubectl get pods --all-namespaces -o jsonpath='{{.items[*].status.podIPs[*].ip}}' | tr ' ' '\\n')
             containers=$(ctr --namespace k8s.io containers ls --quiet)
             {LEASES} | while read -r directory address; do grep -qxF \"$address\" <<<\"$live\" || exit 1; done
             {SCRATCH} | while read -r container; do grep -qxF \"$container\" <<<\"$containers\" || exit 1; done"
        ),
    );
    let left = node.sh(LEASES);
    // CoreDNS lives on.
    assert!(left.lines().count() >= 2, "{left}");
    assert!(left.lines().all(|line| line.starts_with("networks/cbr0 ")), "{left}");
    let ports = "[ -z \"$(ovs-vsctl --bare --columns=name find Port external_ids:owner=ovs-cni.network.kubevirt.io)\" ]";
    node.until("no port of a pod is left", ports);
    node.say(&format!("all pods are gone; the leases that are left: {}", left.replace('\n', "; ")));
}
