//! Links are cut by hand, and `kvnet trace` names each of them.

use std::time::Duration;

use serde_json::Value;

use crate::guests;
use crate::kvnet::Kvnet;

/// A cut: what it is called, how it is made and fixed, and the link and code that must be named. `$PORT` is the VM's port.
struct Cut {
    name: &'static str,
    make: &'static str,
    fix: &'static str,
    link: &'static str,
    code: &'static str,
}

const CUTS: &[Cut] = &[
    Cut {
        name: "port removed",
        make: "ovs-vsctl get Port $PORT external_ids >/root/ids && ovs-vsctl del-port $PORT",
        fix: "ovs-vsctl add-port blue $PORT -- set Port $PORT external_ids=\"$(cat /root/ids)\"",
        link: "port",
        code: "KVN623",
    },
    Cut {
        name: "wrong tag",
        make: "ovs-vsctl set Port $PORT tag=200",
        fix: "ovs-vsctl clear Port $PORT tag",
        link: "port",
        code: "KVN623",
    },
    Cut {
        name: "bridge deleted",
        make: "ovs-vsctl get Port $PORT external_ids >/root/ids && ovs-vsctl del-br blue",
        fix: "ovs-vsctl add-br blue -- set Bridge blue datapath_type=netdev external_ids:kvnet=true \
               -- add-port blue $PORT -- set Port $PORT external_ids=\"$(cat /root/ids)\"",
        link: "bridge",
        code: "KVN605",
    },
    Cut {
        name: "network attachment deleted",
        make: "kubectl get net-attach-def ovs-blue -o yaml >/root/nad.yaml && kubectl delete net-attach-def ovs-blue",
        fix: "kubectl create -f /root/nad.yaml",
        link: "network",
        code: "KVN621",
    },
    Cut {
        name: "ovs-cni's binary removed",
        make: "mv /opt/cni/bin/ovs /root/ovs",
        fix: "mv /root/ovs /opt/cni/bin/ovs",
        link: "cni-plugin",
        code: "KVN603",
    },
    Cut {
        name: "Multus' configuration moved",
        make: "mv /etc/cni/net.d/00-multus.conf /root/00-multus.conf",
        // containerd overlooks a file that is moved in; it reads one that is written.
        fix: "[ -e /etc/cni/net.d/00-multus.conf ] || cp /root/00-multus.conf /etc/cni/net.d/00-multus.conf",
        link: "multus",
        code: "KVN602",
    },
];

/// How long ovs-cni's marker may take to see that a bridge is back.
const MARKER: Duration = Duration::from_secs(90);

/// Makes every cut in a running VM, looks, and corrects it again.
pub fn story(kvnet: &Kvnet, machine: &str) {
    let node = kvnet.node;
    let uid = node.sh(&format!(
        "kubectl get pod -l vm.kubevirt.io/name={machine} -o jsonpath='{{.items[0].metadata.uid}}'"
    ));
    let find = format!("ovs-vsctl --bare --columns=name find Port external_ids:contPodUid={uid}");
    let port = node.sh(&find).trim().to_owned();
    assert!(!port.is_empty() && !port.contains('\n'), "the ports of {machine}: {port}");
    assert_eq!(broken(kvnet, &machine_target(machine)), None);
    for cut in CUTS {
        let run = |script: &str| node.sh(&format!("PORT={port}\n{script}"));
        run(cut.make);
        expect(kvnet, &machine_target(machine), cut.name, cut.link, cut.code);
        run(cut.fix);
        // The marker looks every minute: it may have seen the cut.
        node.until_in(MARKER, "every link holds again", &format!("kvnet trace vmi/{machine} >/dev/null"));
    }
    let (nic, _) = guests::nic(node, machine);
    guests::sh(node, machine, &format!("ip link set {nic} down"));
    expect(kvnet, &machine_target(machine), "guest's NIC down", "guest-nic", "KVN625");
    guests::sh(node, machine, &format!("ip link set {nic} up"));
    assert_eq!(broken(kvnet, &machine_target(machine)), None);
}

/// A pod's chain ends at its port: it holds, and with another tag it is broken there.
pub fn of_pod(kvnet: &Kvnet, pod: &str) {
    let (node, target) = (kvnet.node, format!("pod/{pod}"));
    assert_eq!(broken(kvnet, &target), None);
    let uid = node.sh(&format!("kubectl get pod {pod} -o jsonpath='{{.metadata.uid}}'"));
    let port = node.sh(&format!("ovs-vsctl --bare --columns=name find Port external_ids:contPodUid={uid}"));
    node.sh(&format!("ovs-vsctl set Port {} tag=200", port.trim()));
    expect(kvnet, &target, "wrong tag of a pod's port", "port", "KVN623");
    node.sh(&format!("ovs-vsctl clear Port {} tag", port.trim()));
    assert_eq!(broken(kvnet, &target), None);
}

fn machine_target(machine: &str) -> String {
    format!("vmi/{machine}")
}

fn expect(kvnet: &Kvnet, target: &str, name: &str, link: &str, code: &str) {
    let found = broken(kvnet, target);
    assert_eq!(found, Some((link.to_owned(), code.to_owned())), "{name}");
    kvnet.node.say(&format!("{name}: trace names {link} ({code})"));
}

/// The first broken link and its code, as JSON and as the exit code tell.
fn broken(kvnet: &Kvnet, target: &str) -> Option<(String, String)> {
    let ran = kvnet.run(&["trace", target, "-o", "json"]);
    let trace: Value = serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    let broken = &trace["broken"];
    let unknown: Vec<&Value> =
        trace["links"].as_array().expect("links").iter().filter(|link| link["state"] == "unknown").collect();
    assert_eq!(ran.code, Some(i32::from(!broken.is_null())), "{ran:?}");
    if broken.is_null() {
        assert!(unknown.is_empty(), "{unknown:#?}");
        return None;
    }
    let text = |field: &str| broken[field].as_str().expect("a text").to_owned();
    assert!(!text("hint").is_empty());
    Some((text("link"), text("code")))
}
