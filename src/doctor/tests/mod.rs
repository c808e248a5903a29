//! Each way of breaking that must be told apart, applied to the state of a healthy node.

mod breaks;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::seen::{ClusterSnapshot, NodeSnapshot, StepSnapshot};
use super::*;
use crate::engine::change::{Change, Outcome};
use crate::engine::journal::{History, Journal};
use crate::engine::plan::State as StepState;
use crate::error::{Error, code};
use crate::facts::Facts;
use crate::facts::ovs::{OvsBridge, OvsInterface, OvsPort, OvsState};
use crate::formats::net::Link;
use crate::profile;
use crate::state::StateDir;
use breaks::BREAKS;

const MULTUS: &str = r#"{"cniVersion":"0.3.1","name":"multus-cni-network","type":"multus-shim",
    "clusterNetwork":"/host/etc/cni/net.d/10-flannel.conflist"}"#;
const FLANNEL: &str =
    r#"{"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}"#;

const VTEP: &str = "aa:bb:cc:dd:ee:ff";

fn port(name: &str, uid: &str) -> OvsPort {
    OvsPort {
        name: name.into(),
        external_ids: BTreeMap::from([("contPodUid".to_owned(), uid.to_owned())]),
        interfaces: vec![OvsInterface { name: name.into(), ..OvsInterface::default() }],
        ..OvsPort::default()
    }
}

fn link(name: &str, address: &str) -> Link {
    Link { name: name.into(), mac: VTEP.into(), addresses: vec![address.into()], up: true, ..Link::default() }
}

fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}, "annotations": {
            "flannel.alpha.coreos.com/public-ip": format!("192.0.2.{}", name.len()),
            "flannel.alpha.coreos.com/backend-data": r#"{"VNI":1,"VtepMAC":"aa:bb:cc:dd:ee:ff"}"#}},
        "spec": {"podCIDR": "10.244.0.0/24"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}],
            "capacity": {"ovs-cni.network.kubevirt.io/blue": "1k"}, "allocatable": {"devices.kubevirt.io/kvm": "1k"}},
    })
}

/// A `DaemonSet` with all its pods.
fn daemon(namespace: &str, name: &str) -> Value {
    json!({
        "kind": "DaemonSet",
        "metadata": {"namespace": namespace, "name": name, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [{"image": "example.com/image:v1"}]}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 1, "updatedNumberScheduled": 1, "numberReady": 1},
    })
}

fn pod(namespace: &str, name: &str, app: &str) -> Value {
    json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{name}"), "labels": {"app": app}, "annotations": {}},
        "spec": {"nodeName": "n0"},
        "status": {"phase": "Running", "podIP": format!("10.244.0.{}", name.len()),
            "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"name": "c"}]},
    })
}

fn web() -> Value {
    let mut web = pod("default", "web", "web");
    web["metadata"]["annotations"] = json!({
        "k8s.v1.cni.cncf.io/networks": "ovs-blue",
        "k8s.v1.cni.cncf.io/network-status": r#"[{"name":"cbr0","interface":"eth0","default":true},{"name":"default/ovs-blue","interface":"net1"}]"#,
    });
    web
}

fn network(name: &str) -> Value {
    json!({"metadata": {"namespace": "default", "name": name},
        "spec": {"config": r#"{"type":"ovs","bridge":"blue","ipam":{"type":"host-local"}}"#}})
}

fn cluster() -> ClusterSnapshot {
    let networks = ["a-bridge-network", "flannel-network", "ovs-blue", "ovs-blue-l2", "ovs-blue100"];
    ClusterSnapshot {
        events: Vec::new(),
        server: "https://192.0.2.1:6443".into(),
        version: "v1.34.4".into(),
        nodes: vec![node("n0")],
        pods: vec![
            pod("kube-flannel", "kube-flannel-ds-1", "kube-flannel-ds"),
            pod("kube-system", "kube-multus-ds-1", "kube-multus-ds"),
            pod("kube-system", "ovs-cni-1", "ovs-cni-amd64"),
            web(),
        ],
        daemons: vec![
            daemon("kube-flannel", "kube-flannel-ds"),
            daemon("kube-system", "kube-multus-ds"),
            daemon("kube-system", "ovs-cni-amd64"),
        ],
        deployments: vec![json!({
            "metadata": {"namespace": "kube-system", "name": "coredns", "labels": {"k8s-app": "kube-dns"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"k8s-app": "kube-dns"}}},
            "status": {"readyReplicas": 2}})],
        namespaces: vec![json!({"metadata": {"name": "default"}, "status": {"phase": "Active"}})],
        flannel: vec![json!({"data": {"net-conf.json": r#"{"Network":"10.244.0.0/16"}"#}})],
        networks: networks.map(network).into(),
        kubevirts: vec![json!({"metadata": {"namespace": "kubevirt", "name": "kubevirt"}, "spec": {},
            "status": {"phase": "Deployed", "observedKubeVirtVersion": "v1.5.0"}})],
        machines: vec![json!({"metadata": {"namespace": "default", "name": "vm", "uid": "vm-uid"},
            "spec": {"networks": [{"name": "blue", "multus": {"networkName": "ovs-blue"}}]}, "status": {"phase": "Running"}})],
        services: vec![json!({"metadata": {"name": "v1.subresources.kubevirt.io"},
            "status": {"conditions": [{"type": "Available", "status": "True"}]}})],
    }
}

/// A node on which every check passes.
fn healthy() -> Snapshot {
    let plugins = ["bridge", "flannel", "host-local", "multus-shim", "ovs", "portmap"];
    let bridge =
        OvsBridge { name: "blue".into(), ports: vec![port("veth1", "uid-web")], ..OvsBridge::default() };
    Snapshot {
        profile: Arc::new(profile::load("default", &[]).unwrap().profile),
        facts: Arc::new(Facts {
            hostname: "n0".into(),
            root: true,
            cni_conf_dir: "/etc/cni/net.d".into(),
            cni_bin_dirs: vec!["/opt/cni/bin".into()],
            ..Facts::default()
        }),
        here: Some("n0".into()),
        stranger: None,
        node: NodeSnapshot {
            names: vec!["00-multus.conf".into(), "10-flannel.conflist".into()],
            configurations: vec![
                ("00-multus.conf".into(), Some(MULTUS.into())),
                ("10-flannel.conflist".into(), Some(FLANNEL.into())),
            ],
            plugins: plugins.map(String::from).into(),
            bridge_filter: Some("1".into()),
            has_bridge_filter: true,
            filter_at_boot: true,
            forward: Some("1".into()),
            inotify: Some(8192),
            subnet: Some("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.0.1/24\n".into()),
            links: Some(vec![link("cni0", "10.244.0.1"), link("flannel.1", "10.244.0.0")]),
            switch: Some(Ok(OvsState { bridges: vec![bridge] })),
            multus_until: None,
            tun: true,
            refused: Vec::new(),
        },
        cluster: Ok(cluster()),
        by_file: std::collections::BTreeMap::new(),
        journal: Ok(History::default()),
        now: 1_000,
        datapath: Some(crate::trace::datapath::tests::healthy()),
        steps: Some(vec![StepSnapshot { id: "kernel", state: StepState::InPlace, why: Ok(None) }]),
    }
}

#[test]
fn a_healthy_node_has_nothing_broken_and_nothing_unknown() {
    let diagnosis = Diagnosis::of(&healthy());
    assert_eq!(diagnosis.broken(), None);
    let all: Vec<_> =
        diagnosis.checks.iter().filter(|it| it.verdict.state != Grade::Holds).map(|it| it.check).collect();
    // kvnet's journal is empty.
    assert_eq!(all, ["journal"]);
}

#[test]
fn a_network_whose_nics_get_no_address_by_a_slip_is_warned_of() {
    let mut seen = healthy();
    let cluster = seen.cluster.as_mut().unwrap();
    cluster.networks[2]["spec"]["config"] =
        json!(r#"{"type":"ovs","bridge":"blue","ipam":{"subnet":"10.20.0.0/24"}}"#);
    let diagnosis = Diagnosis::of(&seen);
    let networks = diagnosis.checks.iter().find(|it| it.check == "networks").unwrap();
    assert_eq!(networks.verdict.state, Grade::Warns);
    assert_eq!(networks.verdict.found, "`ipam` of default/ovs-blue has no `type`: its NICs get no address");
    assert_eq!(diagnosis.broken(), None);
}

#[test]
fn every_break_is_named_first_with_its_code() {
    for (number, (make, check, code, found)) in BREAKS.iter().enumerate() {
        let mut seen = healthy();
        make(&mut seen.node, seen.cluster.as_mut().unwrap());
        let diagnosis = Diagnosis::of(&seen);
        let Some(broken) = diagnosis.broken() else { panic!("{number}, {check}: nothing is broken") };
        let told = (broken.check, broken.verdict.code.unwrap());
        assert_eq!(told, (*check, *code), "{number}: {}", broken.verdict.found);
        assert!(broken.verdict.found.contains(found), "{number}, {check}: {}", broken.verdict.found);
        assert!(broken.verdict.hint.as_ref().is_some_and(|hint| hint.len() > 10), "{number}, {check}");
    }
}

/// A check that nothing can break is useless.
#[test]
fn every_check_is_broken_by_something() {
    // The datapath checks are broken below.
    let elsewhere =
        ["api", "journal", "profile", "links", "forwarding", "firewall", "ovs-fail-mode", "ovs-flows"];
    for check in CHECKS.iter().filter(|check| !elsewhere.contains(&check.id)) {
        assert!(BREAKS.iter().any(|(_, broken, ..)| *broken == check.id), "{}", check.id);
    }
}

#[test]
fn without_a_cluster_the_node_is_looked_at_all_the_same() {
    let mut seen = healthy();
    let error = Error::new(&code::CLUSTER_UNREACHABLE, "https://192.0.2.1:6443 does not answer");
    seen.cluster = Err(error.hint("start the node"));
    seen.steps = None;
    seen.node.configurations.clear();
    seen.node.switch = Some(Err("no such file".into()));
    let diagnosis = Diagnosis::of(&seen);
    let broken: Vec<_> =
        diagnosis.with(Grade::Broken).map(|it| (it.check, it.verdict.code.unwrap())).collect();
    assert_eq!(broken, [("api", "KVN301"), ("open-vswitch", "KVN604")]);
    assert_eq!(diagnosis.broken().unwrap().verdict.hint.as_deref(), Some("start the node"));
    let nodes = diagnosis.checks.iter().find(|it| it.check == "nodes").unwrap();
    assert_eq!(nodes.verdict.state, Grade::Unknown);
}

#[test]
fn what_only_root_may_read_is_unknown_and_not_broken() {
    let mut seen = healthy();
    seen.node.configurations.iter_mut().for_each(|(_, content)| *content = None);
    seen.node.refused = vec!["/etc/cni/net.d/00-multus.conf".into()];
    seen.node.switch = Some(Err("permission denied".into()));
    seen.facts = Arc::new(Facts { root: false, ..(*seen.facts).clone() });
    let diagnosis = Diagnosis::of(&seen);
    assert_eq!(diagnosis.broken(), None);
    let unknown: Vec<_> = diagnosis.with(Grade::Unknown).map(|it| it.check).collect();
    assert_eq!(
        unknown,
        ["cni-plugins", "cni-files", "cni-order", "open-vswitch", "bridges", "ports", "marker"]
    );
}

#[test]
fn what_is_not_installed_is_absent() {
    let mut seen = healthy();
    let fresh = seen.cluster.as_mut().unwrap();
    let (node, deployments) = (
        json!({"metadata": {"name": "n0"}, "spec": {"podCIDR": "10.244.0.0/24"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        fresh.deployments.clone(),
    );
    *fresh = ClusterSnapshot { nodes: vec![node], deployments, ..ClusterSnapshot::default() };
    (seen.node.configurations, seen.node.names) = (Vec::new(), Vec::new());
    (seen.node.subnet, seen.node.switch, seen.node.links) = (None, None, Some(Vec::new()));
    let change = Ok(Some("create file".into()));
    seen.steps = Some(vec![StepSnapshot { id: "kernel", state: StepState::Missing, why: change }]);
    let diagnosis = Diagnosis::of(&seen);
    assert_eq!(diagnosis.broken(), None);
    assert_eq!(diagnosis.checks.last().unwrap().verdict.found, "the profile has not been applied here");
}

#[test]
fn the_document_lists_every_check() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/doctor.md")).unwrap();
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), CHECKS.len());
    for (check, row) in CHECKS.iter().zip(rows) {
        assert!(row.starts_with(&format!("| `{}` | {} |", check.id, check.promise)), "{row}");
        for (_, _, code, _) in BREAKS.iter().filter(|(_, broken, ..)| *broken == check.id) {
            assert!(row.contains(code), "{code}: {row}");
        }
    }
}

/// A journal with one change, which is done or was interrupted.
fn journal(done: bool) -> Result<History> {
    let directory = tempfile::tempdir().unwrap();
    let state = StateDir::locate(camino::Utf8Path::from_path(&directory.path().join("state")), true);
    let journal = Journal::open(&state, "up", "digest").unwrap();
    let change = Change::MoveFile { from: "a".into(), to: "b".into() };
    let seq = journal.intent("cni-order", &change, None).unwrap();
    if done {
        journal.done(seq, Outcome::Created).unwrap();
    }
    History::read(&state)
}

fn verdict(seen: &Snapshot, check: &str) -> Verdict {
    Diagnosis::of(seen).checks.into_iter().find(|it| it.check == check).unwrap().verdict
}

#[test]
fn a_marker_breaks_nothing_that_is_already_scheduled() {
    let mut seen = healthy();
    seen.cluster.as_mut().unwrap().nodes[0]["status"]["capacity"] = json!({});
    let found = verdict(&seen, "marker");
    assert_eq!(
        (found.state, &*found.found),
        (Grade::Warns, "n0 does not advertise blue; no pod is waiting for it, new ones would")
    );
    seen.profile = Arc::new(profile::load("walkthrough-2018", &[]).unwrap().profile);
    assert_eq!(verdict(&seen, "marker").state, Grade::Absent);
}

#[test]
fn what_the_profile_wants_is_told_apart() {
    let profile = |state: StepState, why: Result<Option<String>>| {
        let steps = Some(vec![StepSnapshot { id: "networks", state, why }]);
        verdict(&Snapshot { journal: journal(true), steps, ..healthy() }, "profile")
    };
    let change = || Ok(Some("create x".to_owned()));
    let drifted = profile(StepState::Drifted, change());
    assert_eq!((drifted.state, drifted.code), (Grade::Broken, Some("KVN634")));
    assert_eq!(drifted.found, "to be done: networks; first change, in networks: create x");
    assert_eq!(profile(StepState::Waiting, change()).state, Grade::Warns);
    assert_eq!(profile(StepState::InPlace, Ok(None)).state, Grade::Holds);
    let refused = profile(StepState::Unknown, Err(Error::new(&code::POD_CIDR, "no addresses")));
    assert_eq!((refused.state, refused.code), (Grade::Broken, Some("KVN601")));
}

#[test]
fn a_run_that_was_interrupted_is_told() {
    let of = |journal| verdict(&Snapshot { journal, ..healthy() }, "journal");
    assert_eq!(of(journal(true)).state, Grade::Holds);
    let open = of(journal(false));
    assert_eq!(
        (open.state, open.found.as_str()),
        (Grade::Warns, "a run was interrupted during `move a to b` (cni-order)")
    );
    let damaged = of(Err(Error::new(&code::STATE_JOURNAL, "line 3 of the journal is damaged")));
    assert_eq!((damaged.state, damaged.code), (Grade::Broken, Some("KVN501")));
}

/// Multus read it when the pod started, and never reads it again.
#[test]
fn an_annotation_that_was_changed_under_a_running_pod_is_a_warning() {
    for (annotation, check, says) in [
        (
            "ovs-blue,",
            "annotations",
            "pod default/web: entry 2 is empty: there is a comma too many; it runs, but would not",
        ),
        ("[{", "annotations", "it runs, but would not start again"),
        (
            "ovs-blue,ovs-blue100",
            "pod-nics",
            "default/web on n0 has 1 of 2 secondary NICs: none on default/ovs-blue100",
        ),
        ("ovs-blue,typo", "pod-nics", "none on default/typo"),
    ] {
        let mut seen = healthy();
        let web = &mut seen.cluster.as_mut().unwrap().pods[3];
        web["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"] = json!(annotation);
        assert_eq!(Diagnosis::of(&seen).broken(), None, "{annotation}");
        let told = verdict(&seen, check);
        assert_eq!(told.state, Grade::Warns, "{annotation}: {told:?}");
        assert!(told.found.contains(says), "{annotation}: {}", told.found);
    }
}

#[test]
fn what_pods_ask_for_without_effect_or_by_a_slip_is_no_missing_network() {
    let mut seen = healthy();
    let pods = &mut seen.cluster.as_mut().unwrap().pods;
    let mut host = pod("default", "onhost", "x");
    host["spec"]["hostNetwork"] = json!(true);
    host["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/networks": "gone"});
    pods.push(host);
    assert_eq!(Diagnosis::of(&seen).broken(), None);
    let told = verdict(&seen, "annotations");
    assert_eq!(told.state, Grade::Warns);
    assert!(
        told.found.starts_with("pod default/onhost: `k8s.v1.cni.cncf.io/networks` has no effect"),
        "{}",
        told.found
    );
    for (annotation, text, says) in [
        ("k8s.v1.cni.cncf.io/networks", "null", "`null` is a bare JSON value"),
        ("k8s.v1.cni.cncf.io/networks", "5,ovs-blue", "`5` is a bare JSON value"),
        (
            "v1.multus-cni.io/default-network",
            "a,b",
            "`v1.multus-cni.io/default-network`: it names 2 networks",
        ),
    ] {
        let mut slip = pod("default", "slip", "x");
        slip["metadata"]["annotations"] = json!({annotation: text});
        slip["status"] = json!({"phase": "Pending"});
        let mut seen = healthy();
        seen.cluster.as_mut().unwrap().pods.push(slip);
        let broken = Diagnosis::of(&seen).broken().cloned().unwrap();
        assert_eq!((broken.check, broken.verdict.code), ("annotations", Some("KVN640")), "{text}");
        assert!(broken.verdict.found.contains(says), "{}", broken.verdict.found);
    }
}

#[test]
fn a_network_that_a_file_configures_is_there() {
    let mut seen = healthy();
    let by = |seen: &mut Snapshot, file: std::result::Result<&str, &str>| {
        let file = file.map(str::to_owned).map_err(str::to_owned);
        seen.by_file = [("default/ovs-blue".to_owned(), file)].into();
    };
    by(&mut seen, Ok("/etc/cni/multus/net.d/blue.conf"));
    let told = verdict(&seen, "networks");
    assert_eq!(
        told.found,
        "5 networks, configured by a file on this node: default/ovs-blue (/etc/cni/multus/net.d/blue.conf)"
    );
    // No file: a pod with its NIC is fine, one without is broken.
    seen.cluster.as_mut().unwrap().networks[2]["spec"]["config"] = json!("");
    by(&mut seen, Err("it has no configuration, and no file in /etc/cni/multus/net.d has its name"));
    let told = verdict(&seen, "networks");
    assert_eq!(
        (told.state, &*told.found),
        (
            Grade::Warns,
            "default/ovs-blue: it has no configuration, and no file in /etc/cni/multus/net.d has its name"
        )
    );
    seen.cluster.as_mut().unwrap().pods[3]["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .shift_remove("k8s.v1.cni.cncf.io/network-status");
    assert_eq!(verdict(&seen, "networks").state, Grade::Broken);
}

#[test]
fn a_missing_plugin_is_looked_for_where_it_comes_from() {
    let hint = |kind: &str| {
        let mut seen = healthy();
        let config = json!({"type": "ovs", "bridge": "blue", "ipam": {"type": kind}}).to_string();
        seen.cluster.as_mut().unwrap().networks[2]["spec"]["config"] = json!(config);
        let told = verdict(&seen, "cni-plugins");
        assert_eq!((told.state, told.code), (Grade::Broken, Some("KVN603")));
        told.hint.unwrap()
    };
    assert!(hint("whereabouts").contains("is provided by the DaemonSet of whereabouts"));
    assert!(!hint("whereabouts").contains("unpack") && !hint("whereabouts").contains("kubectl delete pod"));
    assert!(hint("dhcp").starts_with("unpack a release"), "{}", hint("dhcp"));
}

#[test]
fn every_pod_that_waits_is_told_with_its_own_reason() {
    let mut seen = healthy();
    let waits = |name: &str, why: &str| {
        let mut waiting = pod("default", name, "x");
        waiting["status"] = json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": why}}}]});
        waiting
    };
    let pods = &mut seen.cluster.as_mut().unwrap().pods;
    pods.extend((0..19).map(|number| waits(&format!("many{number}"), "one, and the same")));
    pods.push(waits("other", "a reason, of its own"));
    let told = verdict(&seen, "pods-waiting");
    assert_eq!(told.items.len(), 20);
    assert!(told.items[1].starts_with("default/other: "), "{:?}", told.items);
    assert!(told.items.iter().all(|item| told.found.contains(item)));
    assert!(told.found.ends_with("(one, and the same)"), "{}", told.found);
}

/// A pod's object goes before its NICs do.
#[test]
fn a_port_whose_pod_is_gone_is_a_warning() {
    let mut seen = healthy();
    seen.cluster.as_mut().unwrap().pods.pop();
    let ports = verdict(&seen, "ports");
    assert_eq!((ports.state, ports.found.as_str()), (Grade::Warns, "orphaned ports: veth1 of blue"));
}

#[test]
fn what_carries_the_packets_breaks_its_own_check() {
    for (make, code, found) in crate::trace::datapath::tests::BREAKS {
        let mut seen = healthy();
        make(seen.datapath.as_mut().unwrap());
        let broken =
            Diagnosis::of(&seen).broken().cloned().unwrap_or_else(|| panic!("nothing is broken: {found}"));
        assert!(broken.verdict.found.contains(found), "{}", broken.verdict.found);
        assert_eq!(broken.verdict.code, Some(*code), "{found}");
        let checks: &[&str] = match *code {
            "KVN645" | "KVN623" => &["ovs-flows"],
            "KVN646" | "KVN604" => &["ovs-fail-mode"],
            "KVN647" | "KVN622" => &["links"],
            "KVN648" => &["forwarding"],
            _ => &["firewall"],
        };
        assert!(checks.contains(&broken.check), "{}: {found}", broken.check);
    }
}
