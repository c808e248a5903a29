//! What keeps a pod's network from being made is broken in one way after the other, and each time `kvnet doctor` and `kvnet
//! trace` tell the innermost reason, whole. What was fixed lets the pod start.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::networks::pod;
use crate::node::Node;
use kvnet_test_kit::count;

/// A way of breaking.
struct Injected {
    name: &'static str,
    /// What the pod asks for, as YAML.
    asks: &'static str,
    make: &'static str,
    fix: &'static str,
    /// What the pod asks for once it is fixed.
    asks_then: &'static str,
    /// What `doctor` and `trace` say of the pod.
    says: &'static str,
    /// Another check of `doctor` that names the cause, and a part of what it says.
    also: Option<(&'static str, &'static str)>,
}

/// `attach JSON` writes the attachment `bad`; `crash COMMAND` makes a plugin of that name.
const TOOLS: &str = r#"
attach() {
    printf 'apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata: {name: bad}\nspec: {config: %s}\n' "'$1'" |
        kubectl apply -f - >/dev/null
}
crash() { printf '#!/bin/sh\n%s\n' "$1" >/opt/cni/bin/crash; chmod 755 /opt/cni/bin/crash; }
"#;
const GOOD: &str = r#"attach '{"cniVersion":"0.3.1","name":"m","type":"bridge","bridge":"br9"}'"#;

const fn attachment(name: &'static str, make: &'static str, says: &'static str) -> Injected {
    Injected { name, asks: "bad", make, fix: GOOD, asks_then: "bad", says, also: None }
}

const INJECTED: &[Injected] = &[
    Injected {
        also: Some(("bridges", "missing: br-typo")),
        ..attachment(
            "a bridge is missing",
            r#"attach '{"cniVersion":"0.3.1","type":"ovs","bridge":"br-typo"}'"#,
            "(network bad): failed to find bridge br-typo",
        )
    },
    Injected {
        name: "Open vSwitch has no database",
        asks: "ovs-blue",
        make: "systemctl stop openvswitch-switch ovsdb-server",
        fix: "systemctl start openvswitch-switch",
        asks_then: "ovs-blue",
        says: "dial unix /var/run/openvswitch/db.sock: connect: no such file or directory",
        also: Some(("open-vswitch", "database connection failed")),
    },
    Injected {
        fix: "rm -r /var/lib/cni/networks/full",
        ..attachment(
            "no address is left",
            r#"attach '{"cniVersion":"0.3.1","name":"full","type":"bridge","bridge":"br9","ipam":{"type":"host-local",
                "ranges":[[{"subnet":"10.66.0.0/24","rangeStart":"10.66.0.2","rangeEnd":"10.66.0.2"}]]}}'
               mkdir -p /var/lib/cni/networks/full; printf 'gone\r\nnet1' >/var/lib/cni/networks/full/10.66.0.2"#,
            "(network full): no IP addresses available in range set: 10.66.0.2-10.66.0.2",
        )
    },
    Injected {
        name: "a plugin is missing",
        asks: "ovs-blue",
        make: "mv /opt/cni/bin/ovs /root/ovs",
        fix: "mv /root/ovs /opt/cni/bin/ovs",
        asks_then: "ovs-blue",
        says: "(network ovs-blue, plugin ovs): failed to find plugin \"ovs\" in path [/opt/cni/bin",
        also: Some(("cni-plugins", "ovs, used by default/ovs-blue")),
    },
    Injected {
        also: Some(("networks", "configuration is not JSON: default/bad")),
        ..attachment(
            "an attachment is no JSON",
            r#"attach '{"cniVersion":"0.3.1","type":"bridge",,}'"#,
            "failed to unmarshal Spec.Config: invalid character ',' looking for beginning of object key string",
        )
    },
    Injected {
        also: Some(("networks", "default/bad: macvlan needs master eth9, which this node does not have")),
        ..attachment(
            "macvlan's master is missing",
            r#"attach '{"cniVersion":"0.3.1","name":"m","type":"macvlan","master":"eth9"}'"#,
            "(network m): Link not found",
        )
    },
    Injected {
        also: Some(("networks", "default/bad: vlan needs master eth9, which this node does not have")),
        ..attachment(
            "vlan's master is missing",
            r#"attach '{"cniVersion":"0.3.1","name":"m","type":"vlan","master":"eth9","vlanId":5}'"#,
            "(network m): Link not found",
        )
    },
    Injected {
        also: Some(("networks", "default/bad: ipvlan needs master eth9, which this node does not have")),
        ..attachment(
            "ipvlan's master is missing",
            r#"attach '{"cniVersion":"0.3.1","name":"m","type":"ipvlan","master":"eth9"}'"#,
            "(network m): failed to lookup master \"eth9\": Link not found",
        )
    },
    Injected {
        fix: "",
        asks_then: "ovs-blue",
        asks: "nowhere",
        also: Some(("networks", "missing: default/nowhere, named by pod default/x")),
        ..attachment(
            "an attachment is missing",
            "",
            "cannot find a network-attachment-definition (nowhere) in namespace (default): network",
        )
    },
    Injected {
        fix: "",
        asks_then: "default/ovs-blue",
        asks: "kube-system/ovs-blue",
        also: Some(("networks", "missing: kube-system/ovs-blue")),
        ..attachment(
            "an attachment is looked for in the wrong namespace",
            "",
            "cannot find a network-attachment-definition (ovs-blue) in namespace (kube-system)",
        )
    },
    Injected {
        fix: "",
        asks_then: "'[{\"name\": \"ovs-blue\"}]'",
        asks: "'[{\"name\": \"ovs-blue\" ]'",
        also: Some(("annotations", "pod default/x: it is not a JSON list")),
        ..attachment(
            "an annotation is no JSON",
            "",
            "failed to parse pod Network Attachment Selection Annotation JSON format: invalid character ']' after object key:value pair",
        )
    },
    Injected {
        also: Some(("cni-plugins", "whereabouts, used by default/bad")),
        ..attachment(
            "a plugin for addresses is missing",
            r#"attach '{"cniVersion":"0.3.1","name":"m","type":"bridge","bridge":"br9","ipam":{"type":"whereabouts","range":"10.66.0.0/24"}}'"#,
            "(network m, plugin whereabouts): failed to find plugin \"whereabouts\" in path [/opt/cni/bin]",
        )
    },
    attachment(
        "no DHCP daemon runs",
        r#"attach '{"cniVersion":"0.3.1","name":"m","type":"bridge","bridge":"br9","ipam":{"type":"dhcp"}}'"#,
        "(network m): error dialing DHCP daemon: dial unix /run/cni/dhcp.sock: connect: no such file or directory",
    ),
    attachment(
        "a VLAN is out of range",
        r#"attach '{"cniVersion":"0.3.1","name":"m","type":"ovs","bridge":"blue","vlan":5000}'"#,
        "5000 is not in the valid range 0 to 4095 (inclusive)",
    ),
    attachment(
        "a VLAN of a Linux bridge is out of range",
        r#"attach '{"cniVersion":"0.3.1","name":"m","type":"bridge","bridge":"br9","vlan":5000}'"#,
        "(network m): invalid VLAN ID 5000 (must be between 0 and 4094)",
    ),
    Injected {
        asks: "'[{\"name\":\"bad\",\"ips\":[\"10.66.0.9/24\"]}]'",
        fix: "kubectl delete pod other --now --wait",
        asks_then: "'[{\"name\":\"bad\",\"ips\":[\"10.66.0.9/24\"]}]'",
        ..attachment(
            "another pod has the address",
            r#"attach '{"cniVersion":"0.3.1","name":"s","type":"bridge","bridge":"br9","capabilities":{"ips":true},
                "ipam":{"type":"host-local","ranges":[[{"subnet":"10.66.0.0/24"}]]}}'
               kubectl run other --image=docker.io/library/busybox:1.37.0 --image-pull-policy=IfNotPresent --overrides='{"metadata":
                {"annotations":{"k8s.v1.cni.cncf.io/networks":"[{\"name\":\"bad\",\"ips\":[\"10.66.0.9/24\"]}]"}}}' -- sleep infinity
               kubectl wait pod other --for=condition=Ready --timeout=60s"#,
            "(network s): requested IP address 10.66.0.9 is not available in range set 10.66.0.1-10.66.0.254",
        )
    },
    attachment(
        "a plugin fails without a word",
        r#"attach '{"cniVersion":"0.3.1","name":"m","type":"crash"}'; cp /bin/false /opt/cni/bin/crash"#,
        "(network m): netplugin failed with no error message: exit status 1",
    ),
    attachment(
        "a plugin is killed",
        r#"attach '{"cniVersion":"0.3.1","name":"m","type":"crash"}'; crash 'echo out of memory >&2; kill -9 $$'"#,
        "out of memory",
    ),
    attachment(
        "a plugin is one of another machine",
        r#"attach '{"cniVersion":"0.3.1","name":"m","type":"crash"}'; crash true; printf '\177ELF' >/opt/cni/bin/crash"#,
        "fork/exec /opt/cni/bin/crash: exec format error",
    ),
    Injected {
        // The runtime calls it for the way back, too.
        fix: "crash true; pkill -xf 'sleep 98765'; attach '{\"cniVersion\":\"0.3.1\",\"name\":\"m\",\"type\":\"bridge\",\"bridge\":\"br9\"}'",
        ..attachment(
            "a plugin hangs",
            r#"attach '{"cniVersion":"0.3.1","name":"m","type":"crash"}'; crash 'exec sleep 98765'"#,
            "container main is being created; its NIC on default/bad is being made",
        )
    },
    Injected {
        name: "flannel's file is missing",
        asks: "ovs-blue",
        make: "mv /run/flannel/subnet.env /root/subnet.env",
        fix: "mv /root/subnet.env /run/flannel/subnet.env",
        asks_then: "ovs-blue",
        says: "open /run/flannel/subnet.env: no such file or directory",
        also: Some(("flannel", "/run/flannel/subnet.env not found")),
    },
    Injected {
        name: "Multus' own plugin is missing",
        asks: "ovs-blue",
        make: "mv /opt/cni/bin/multus-shim /root/multus-shim",
        fix: "mv /root/multus-shim /opt/cni/bin/multus-shim",
        asks_then: "ovs-blue",
        says: "(plugin multus-shim): failed to find plugin \"multus-shim\" in path [/opt/cni/bin]",
        also: Some(("cni-plugins", "multus-shim, used by 00-multus.conf")),
    },
];

/// Not executable: for pods as above, and for the pods of `up` and `smoke`.
const REFUSED: Injected = Injected {
    name: "a plugin may not be executed",
    asks: "ovs-blue",
    make: "chmod 000 /opt/cni/bin/ovs",
    fix: "chmod 755 /opt/cni/bin/ovs",
    asks_then: "ovs-blue",
    says: "(network ovs-blue): netplugin failed with no error message: fork/exec /opt/cni/bin/ovs: permission denied",
    also: None,
};

/// Neither the runtime nor the kubelet has a word about it: what is told is found out by looking.
const SILENT: &[Injected] = &[
    Injected {
        name: "Multus' daemon is gone",
        asks: "ovs-blue",
        make: r#"cp /etc/cni/net.d/00-multus.conf /root/
            kubectl -n kube-system patch daemonset kube-multus-ds -p '{"spec":{"template":{"spec":{"nodeSelector":{"no":"where"}}}}}'
            kubectl -n kube-system wait pod -l app=multus --for=delete --timeout=60s
            test -e /etc/cni/net.d/00-multus.conf || cp /root/00-multus.conf /etc/cni/net.d/"#,
        fix: r#"kubectl -n kube-system patch daemonset kube-multus-ds --type=json -p '[{"op":"remove","path":"/spec/template/spec/nodeSelector/no"}]'
            kubectl -n kube-system rollout status daemonset kube-multus-ds --timeout=90s"#,
        asks_then: "ovs-blue",
        says: "Multus does not respond: DaemonSet kube-system/kube-multus-ds: no pods desired",
        also: Some(("multus", "no pods desired")),
    },
    Injected {
        name: "the runtime has no configuration",
        asks: "ovs-blue",
        make: "mkdir /root/net.d; mv /etc/cni/net.d/*.conf* /root/net.d/",
        fix: "cp /root/net.d/* /etc/cni/net.d/; kubectl wait node --all --for=condition=Ready --timeout=120s",
        asks_then: "ovs-blue",
        says: "the first CNI configuration in /etc/cni/net.d: none",
        also: Some(("cni-order", "no Multus configuration in /etc/cni/net.d")),
    },
];

/// The flavour of Multus that is a plugin and no daemon.
const THIN: &[usize] = &[0, 2, 3, 8, 10];
const NO_MULTUS: Injected = Injected {
    name: "the thin Multus is missing",
    asks: "ovs-blue",
    make: "mv /opt/cni/bin/multus /root/multus",
    fix: "mv /root/multus /opt/cni/bin/multus",
    asks_then: "ovs-blue",
    says: "(plugin multus): failed to find plugin \"multus\" in path [/opt/cni/bin]",
    also: Some(("cni-plugins", "multus, used by 00-multus.conf")),
};

pub fn story() {
    let node = Node::start("injected");
    let kvnet = Kvnet::new(&node, &[]);
    kvnet.up();
    let mut told = 0;
    for injected in SILENT {
        told += try_one(&kvnet, injected, false);
    }
    of_other_commands(&kvnet);
    // What concerns the node comes first.
    for injected in INJECTED.iter().chain([&REFUSED]).rev() {
        told += try_one(&kvnet, injected, true);
    }
    let thin = Kvnet::new(&node, &["--set", "multus.flavour=thin"]);
    thin.up();
    for injected in THIN.iter().map(|number| &INJECTED[*number]).chain([&NO_MULTUS]) {
        told += try_one(&thin, injected, true);
    }
    count::record("reasons of pods told on the real node", told);
}

/// One reason, told and fixed.
fn try_one(kvnet: &Kvnet, injected: &Injected, of_pod: bool) -> usize {
    let node = kvnet.node;
    let run = |script: &str| node.sh(&format!("{TOOLS}\n{script}"));
    run(injected.make);
    node.apply(&pod("x", injected.asks));
    let wanted = |told: &Value| {
        let of_pod = !of_pod || found(told, "pods-waiting").contains(injected.says);
        of_pod && injected.also.is_none_or(|(check, part)| found(told, check).contains(part))
    };
    let diagnosis = until(injected.name, || look(kvnet, &["doctor", "-o", "json"]), wanted);
    assert!(!found(&diagnosis, "pods-waiting").contains('…'), "{diagnosis:#}");
    let trace = until(
        injected.name,
        || look(kvnet, &["trace", "pod/x", "-o", "json"]),
        |trace| trace["broken"].is_object() && texts(trace).contains(injected.says),
    );
    assert!(trace["broken"]["hint"].is_string(), "{trace:#}");
    run(injected.fix);
    node.sh("kubectl delete pod x --now --wait --timeout=90s");
    node.apply(&pod("x", injected.asks_then));
    node.sh("kubectl wait pod x --for=condition=Ready --timeout=120s");
    node.sh("kubectl delete pod x --now --wait --timeout=60s
         kubectl delete net-attach-def bad --ignore-not-found; rm -f /opt/cni/bin/crash");
    node.say(&format!("{}: {}", injected.name, injected.says));
    1
}

/// The verification of `up` and the pods of `smoke` meet the same.
fn of_other_commands(kvnet: &Kvnet) {
    kvnet.node.sh(REFUSED.make);
    let smoke = kvnet.exits(1, &["smoke", "attachments", "--timeout", "25", "-o", "json"]);
    let report: Value = serde_json::from_str(&smoke.out).expect("a report");
    let failure = report["cases"][0]["failure"].to_string();
    assert!(failure.contains("fork/exec /opt/cni/bin/ovs: permission denied"), "{report:#}");
    // What was verified is remembered, and neither node nor cluster has changed.
    kvnet.node.sh("rm /var/lib/kvnet/verified.json");
    let up = kvnet.exits(1, &["up", "--yes", "--set", "timeouts.verification=20"]);
    assert!(up.err.contains(REFUSED.says), "{}", up.err);
    kvnet.node.sh(REFUSED.fix);
    kvnet.up();
}

/// Looks until what is looked for is there: the kubelet needs a moment for a pod, and a diagnosis gives a new one a minute.
fn until(name: &str, look: impl Fn() -> Value, is_there: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + Duration::from_secs(100);
    loop {
        let told = look();
        if is_there(&told) {
            return told;
        }
        assert!(Instant::now() < deadline, "{name}: {told:#}");
    }
}

fn look(kvnet: &Kvnet, command: &[&str]) -> Value {
    let ran = kvnet.run(command);
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// What a check of the diagnosis found.
fn found<'a>(diagnosis: &'a Value, check: &str) -> &'a str {
    let checks = diagnosis["checks"].as_array().expect("checks");
    checks.iter().find(|one| one["check"] == check).and_then(|one| one["found"].as_str()).unwrap_or_default()
}

/// All that a trace says, in lines `WHAT: FOUND`.
fn texts(trace: &Value) -> String {
    let text = |link: &Value, field: &str| link[field].as_str().unwrap_or_default().to_owned();
    let links = trace["links"].as_array().expect("links").iter();
    let told: Vec<String> =
        links.map(|link| format!("{}: {}", text(link, "lookedAt"), text(link, "found"))).collect();
    told.join("\n")
}
