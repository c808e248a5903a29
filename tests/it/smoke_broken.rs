//! Clusters that are broken in one way each: the right case fails, with the right code and the right words.

use std::fs;

use kvnet::cluster::ObjectKey;
use kvnet::sandbox::Sandbox;
use kvnet::sandbox::node::{NetworkLink, SwitchPort};
use serde_json::json;

use crate::it::smoke_junit::is_junit;
use crate::it::smoke_place::{UP, configure, delete, network, ovs_vsctl, update};

/// A cluster that is broken in one way.
struct Broken {
    name: &'static str,
    /// What is done to it.
    by: fn(&Sandbox),
    /// More options.
    options: &'static [&'static str],
    /// How long cases may take, in seconds: a wait that times out takes so long, and the others never do.
    seconds: &'static str,
    /// Cases that fail, each with its code and a part of what it says.
    fails: &'static [(&'static str, &'static str, &'static str)],
    /// Cases that have nothing to do with it.
    passes: &'static [&'static str],
}

const BRIEF: &str = "25";
const LONG: &str = "240";

const BROKEN: &[Broken] = &[
    Broken {
        name: "an attachment is missing",
        by: |sandbox| delete(sandbox, &network("ovs-blue100")),
        options: &[],
        seconds: LONG,
        fails: &[
            ("attachments", "KVN621", "default/ovs-blue100 not found"),
            ("vlan-isolation", "KVN621", "ovs-blue100"),
        ],
        passes: &["default-network"],
    },
    Broken {
        name: "an attachment has lost its VLAN",
        by: |sandbox| configure(sandbox, "ovs-blue100", |config| _ = config.remove("vlan")),
        options: &[],
        seconds: LONG,
        fails: &[
            ("attachments", "KVN623", "untagged"),
            ("vlan-isolation", "KVN804", "answers an ARP request"),
        ],
        passes: &["same-network"],
    },
    Broken {
        name: "an attachment gives addresses of another subnet",
        by: |sandbox| {
            configure(sandbox, "ovs-blue", |config| config["ipam"]["subnet"] = json!("10.99.0.0/24"));
        },
        options: &[],
        seconds: LONG,
        fails: &[("attachments", "KVN622", "10.99.0.")],
        passes: &["a-bridge-network"],
    },
    Broken {
        name: "an attachment has another MTU than the profile",
        by: |_| {},
        options: &["--set", "networks[2].mtu=1400"],
        seconds: LONG,
        fails: &[("attachments", "KVN622", "MTU 1500 instead of 1400")],
        passes: &["same-network"],
    },
    Broken {
        name: "the bridge is gone",
        by: |sandbox| ovs_vsctl(sandbox, &["del-br", "blue"]),
        options: &[],
        seconds: BRIEF,
        fails: &[("same-network", "KVN605", "failed to find bridge blue")],
        passes: &["a-bridge-network"],
    },
    Broken {
        name: "another CNI configuration sorts before Multus'",
        by: |sandbox| {
            let flannel = sandbox.node().file("/etc/cni/net.d/10-flannel.conflist").unwrap().unwrap();
            sandbox.node().put_file("/etc/cni/net.d/00-aaa.conflist", &flannel, 0o600).unwrap();
        },
        options: &[],
        seconds: LONG,
        fails: &[("attachments", "KVN602", "00-aaa.conflist, not that of Multus")],
        passes: &["default-network"],
    },
    Broken {
        name: "the plugin of ovs-cni is missing",
        by: |sandbox| sandbox.node().remove_file("/opt/cni/bin/ovs").unwrap(),
        options: &[],
        seconds: BRIEF,
        fails: &[("same-network", "KVN603", "failed to find plugin \"ovs\"")],
        passes: &["a-bridge-network"],
    },
    Broken {
        name: "an attachment leases addresses of the pod network by itself",
        by: |sandbox| {
            configure(sandbox, "flannel-network", |config| config["name"] = json!("flannel-network"));
        },
        options: &[],
        seconds: LONG,
        fails: &[
            ("addresses", "KVN642", "(default/flannel-network)"),
            ("addresses", "KVN642", " of pod kvnet-smoke-addresses-"),
            ("addresses", "KVN642", "eth0 of pod kube-system/coredns-"),
        ],
        passes: &["dns"],
    },
    Broken {
        name: "the cluster's DNS is down",
        by: |sandbox| {
            let key = ObjectKey::new("apps/v1", "Deployment", Some("kube-system"), "coredns");
            update(sandbox, &key, |deployment| deployment["spec"]["replicas"] = json!(0));
        },
        options: &[],
        seconds: LONG,
        fails: &[("dns", "KVN805", "no DNS server pods")],
        passes: &["default-network"],
    },
    Broken {
        name: "a port was left behind",
        by: |sandbox| {
            let link = NetworkLink {
                name: "vethleft".into(),
                kind: "veth".into(),
                up: true,
                mtu: 1500,
                ..Default::default()
            };
            sandbox.node().put_network_link(&link).unwrap();
            let ids = [("contPodUid", "gone"), ("contIface", "net1")]
                .map(|(key, id)| (key.to_owned(), id.to_owned()));
            let port = SwitchPort {
                name: link.name,
                bridge: "blue".into(),
                tag: None,
                trunks: Vec::new(),
                external_ids: ids.into(),
            };
            assert!(sandbox.node().add_switch_port(&port).unwrap());
        },
        options: &[],
        seconds: LONG,
        fails: &[("leaks", "KVN802", "vethleft of blue")],
        passes: &["same-network"],
    },
    Broken {
        name: "an address was left behind",
        by: |sandbox| {
            let path = "/var/lib/cni/networks/ovs-blue/10.20.0.77";
            sandbox.node().put_file(path, b"0123456789abcdef\r\nnet1", 0o600).unwrap();
        },
        options: &[],
        seconds: LONG,
        fails: &[("leaks", "KVN802", "/var/lib/cni/networks/ovs-blue/10.20.0.77")],
        passes: &["same-network"],
    },
    Broken {
        name: "the node takes no pods any more",
        by: |sandbox| {
            let key = ObjectKey::new("v1", "Node", None, "sandbox");
            let taint = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
            update(sandbox, &key, |node| node["spec"]["taints"] = taint);
        },
        options: &[],
        seconds: BRIEF,
        fails: &[
            ("default-network", "KVN808", "node-role.kubernetes.io/control-plane"),
            ("attachments", "KVN808", "untolerated taint"),
        ],
        passes: &[],
    },
    Broken {
        name: "flannel is gone",
        by: |sandbox| {
            let key = ObjectKey::new("apps/v1", "DaemonSet", Some("kube-flannel"), "kube-flannel-ds");
            delete(sandbox, &key);
            sandbox.node().remove_file("/run/flannel/subnet.env").unwrap();
        },
        options: &[],
        seconds: BRIEF,
        fails: &[("default-network", "KVN601", "/run/flannel/subnet.env")],
        passes: &[],
    },
    Broken {
        name: "Multus is gone",
        by: |sandbox| {
            let key = ObjectKey::new("apps/v1", "DaemonSet", Some("kube-system"), "kube-multus-ds");
            delete(sandbox, &key);
        },
        options: &[],
        seconds: LONG,
        fails: &[("multus-restart", "KVN612", "Multus DaemonSet not found")],
        passes: &[],
    },
];

#[test]
fn a_broken_cluster_fails_the_right_case_with_the_right_words() {
    let (waiting, busy): (Vec<_>, Vec<_>) = BROKEN.iter().partition(|broken| broken.seconds == BRIEF);
    // Waits that time out run concurrently.
    std::thread::scope(|scope| {
        for broken in waiting {
            scope.spawn(|| try_broken(broken));
        }
        busy.into_iter().for_each(try_broken);
    });
}

fn try_broken(broken: &Broken) {
    let place = UP.copy();
    place.change(broken.by);
    let mut failing: Vec<&str> = broken.fails.iter().map(|(case, ..)| *case).collect();
    failing.dedup();
    let cases = [&failing[..], broken.passes].concat();
    let collected = place.path("collected");
    let collect = ["--collect", collected.to_str().unwrap()];
    let junit = place.path("junit.xml");
    let ran = place.smoke(
        &[
            &cases[..],
            broken.options,
            &collect,
            &["--timeout", broken.seconds, "--junit", junit.to_str().unwrap()],
        ]
        .concat(),
    );
    let told = format!("{}: {:#}\n{}", broken.name, ran.report, ran.err);
    assert_eq!(ran.code, Some(1), "{told}");
    for (case, code, says) in broken.fails {
        let result = ran.case(case);
        assert_eq!(
            (&result["status"], &result["failure"]["code"]),
            (&json!("failed"), &json!(code)),
            "{case}: {told}"
        );
        assert!(result["failure"].to_string().contains(&says.replace('"', "\\\"")), "{case}: {told}");
        let always = ["result.json", "cluster/Node.yaml", "node/ovs-show.txt", "not-collected.txt"];
        let of_pods = ["cluster/Pod.yaml", "cluster/network-status.json"];
        // Other cases may fail before they have pods, or after these are gone.
        let of_pods = of_pods.iter().filter(|_| ["default-network", "same-network"].contains(case));
        for file in always.iter().chain(of_pods) {
            assert!(collected.join(case).join(file).exists(), "{case} has no {file}: {told}");
        }
    }
    for case in broken.passes {
        assert_eq!(ran.case(case)["status"], "passed", "{case}: {told}");
    }
    assert!(place.is_clean(), "{told}");
    is_junit(&fs::read_to_string(junit).unwrap(), &[cases.len(), failing.len(), 0]);
}
