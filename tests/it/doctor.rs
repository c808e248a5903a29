//! `kvnet doctor` in the sandbox, where it is known what is broken, and where there is nothing to look at.

use kvnet::cluster::ObjectKey;
use kvnet::doctor::CHECKS;
use kvnet::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::it::smoke_place::{
    Place, UP, WITHOUT_KUBEVIRT, configure, delete, kvnet, network, ovs_vsctl, update,
};
use kvnet_test_kit::run::{As, Place as Bare, text};

/// What is done to a cluster, the check that is broken first, its code, and a part of what it says.
type Broken = (fn(&Sandbox), &'static str, &'static str, &'static str);

fn key(api_version: &str, kind: &str, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::new(api_version, kind, Some(namespace), name)
}

const BROKEN: &[Broken] = &[
    (
        |sandbox| {
            let taint = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
            update(sandbox, &ObjectKey::new("v1", "Node", None, "sandbox"), |node| {
                node["spec"]["taints"] = taint;
            });
        },
        "room",
        "KVN631",
        "sandbox has the taint",
    ),
    (
        |sandbox| {
            delete(sandbox, &key("apps/v1", "DaemonSet", "kube-flannel", "kube-flannel-ds"));
            sandbox.node().remove_file("/run/flannel/subnet.env").unwrap();
        },
        "flannel",
        "KVN601",
        "flannel DaemonSet not found",
    ),
    (
        |sandbox| delete(sandbox, &key("apps/v1", "DaemonSet", "kube-system", "kube-multus-ds")),
        "multus",
        "KVN612",
        "Multus DaemonSet not found",
    ),
    (
        |sandbox| sandbox.node().remove_file("/run/flannel/subnet.env").unwrap(),
        "flannel",
        "KVN601",
        "subnet.env",
    ),
    (
        |sandbox| sandbox.node().remove_file("/opt/cni/bin/ovs").unwrap(),
        "cni-plugins",
        "KVN603",
        "ovs, used by",
    ),
    (
        |sandbox| sandbox.node().put_file("/etc/cni/net.d/90-half.conf", b"{\"na", 0o600).unwrap(),
        "cni-files",
        "KVN635",
        "90-half.conf is not a CNI configuration",
    ),
    (
        |sandbox| {
            let flannel = sandbox.node().file("/etc/cni/net.d/10-flannel.conflist").unwrap().unwrap();
            sandbox.node().put_file("/etc/cni/net.d/00-aaa.conflist", &flannel, 0o600).unwrap();
        },
        "cni-order",
        "KVN602",
        "00-aaa.conflist sorts before",
    ),
    (|sandbox| ovs_vsctl(sandbox, &["del-br", "blue"]), "bridges", "KVN605", "missing: blue"),
    (|sandbox| delete(sandbox, &network("ovs-blue100")), "networks", "KVN621", "default/ovs-blue100"),
    (
        |sandbox| {
            let deployment = key("apps/v1", "Deployment", "kube-system", "coredns");
            update(sandbox, &deployment, |deployment| deployment["spec"]["replicas"] = json!(0));
        },
        "dns",
        "KVN805",
        "coredns is scaled to 0",
    ),
    (
        |sandbox| configure(sandbox, "ovs-blue100", |config| _ = config.remove("vlan")),
        "profile",
        "KVN634",
        "to be done: networks",
    ),
];

/// The exit code tells whether something is broken.
fn doctor(place: &Place, options: &[&str]) -> Value {
    let arguments = [&["doctor", "-o", "json"], options].concat();
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let diagnosis: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    assert_eq!(output.status.code(), Some(i32::from(diagnosis["broken"].is_object())), "{out}{err}");
    diagnosis
}

fn names<'a>(diagnosis: &'a Value, state: &str) -> Vec<&'a str> {
    let checks = diagnosis["checks"].as_array().unwrap().iter();
    checks.filter(|check| check["state"] == state).map(|check| check["check"].as_str().unwrap()).collect()
}

#[test]
fn what_is_broken_is_named_with_its_code() {
    for (make, check, code, found) in BROKEN {
        let place = UP.copy();
        place.change(make);
        let diagnosis = doctor(&place, &WITHOUT_KUBEVIRT);
        let first = &diagnosis["broken"];
        assert_eq!((&first["check"], &first["code"]), (&json!(check), &json!(code)), "{diagnosis:#}");
        assert!(first["found"].as_str().unwrap().contains(found), "{diagnosis:#}");
    }
}

#[test]
fn before_up_each_break_leads_to_up_and_after_it_all_holds() {
    let place = Place(tempfile::tempdir().unwrap());
    let before = doctor(&place, &[]);
    // The last two only wait for the others.
    assert_eq!(names(&before, "broken"), ["kernel", "nodes", "room", "dns", "system-pods"], "{before:#}");
    let broken = before["checks"].as_array().unwrap().iter().filter(|check| check["state"] == "broken");
    for check in broken.take(3) {
        assert!(check["hint"].as_str().unwrap().contains("`kvnet up"), "{check:#}");
    }
    let place = Place::up(&[]);
    let kept = place.values();
    let after = doctor(&place, &[]);
    for state in ["broken", "absent", "warns"] {
        assert_eq!(names(&after, state), [""; 0], "{after:#}");
    }
    // What carries packets is not simulated, and so it is not said to hold.
    let unseen = ["links", "forwarding", "firewall", "ovs-fail-mode", "ovs-flows"];
    assert_eq!(names(&after, "unknown"), unseen, "{after:#}");
    assert_eq!(names(&after, "holds").len(), CHECKS.len() - unseen.len());
    assert!(place.values() == kept, "looking has changed something");
}

#[test]
fn a_healthy_walkthrough_of_2018_has_nothing_broken() {
    const OPTIONS: [&str; 4] = ["--profile", "walkthrough-2018", "--sandbox-node", "fedora"];
    let place = Place::up(&OPTIONS);
    let diagnosis = doctor(&place, &OPTIONS);
    assert_eq!(diagnosis["broken"], Value::Null, "{diagnosis:#}");
    assert!(names(&diagnosis, "absent").contains(&"marker"), "{diagnosis:#}");
    assert!(names(&diagnosis, "unknown").contains(&"ports"), "{diagnosis:#}");
    assert!(names(&diagnosis, "holds").contains(&"kubevirt"), "{diagnosis:#}");
    let arguments = [&["trace", "vmi/vmi-multus-multiple-net", "-o", "json"][..], &OPTIONS].concat();
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    let trace: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &trace["broken"]), (Some(0), &Value::Null), "{trace:#}");
    let links = trace["links"].as_array().unwrap();
    let states = |link: &str| -> Vec<&Value> {
        links.iter().filter(|it| it["link"] == link).map(|it| &it["state"]).collect()
    };
    assert_eq!(states("marker"), [""; 0], "{trace:#}");
    assert_eq!(states("port"), ["unknown"], "{trace:#}");
    assert_eq!(states("guest-nic"), ["unknown"; 2], "{trace:#}");
    assert_eq!(states("bridge"), ["holds"], "{trace:#}");
}

#[test]
fn another_profile_than_that_of_up_is_told() {
    let place = UP.copy();
    let diagnosis = doctor(&place, &[]);
    assert_eq!(diagnosis["broken"]["check"], "profile");
    assert!(diagnosis["broken"]["hint"].as_str().unwrap().contains("--profile"), "{diagnosis:#}");
}

#[test]
fn a_cluster_that_does_not_answer_is_a_finding() {
    let place = Bare::new();
    let output = place.kvnet(As::Nobody, &["doctor", "--kubeconfig", "DIR/refused.yaml"], &[]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}{}", text(&output.stderr));
    let first = out.lines().next().unwrap();
    assert!(first.starts_with("BROKEN  api ") && first.contains("127.0.0.1:1"), "{out}");
    assert!(first.ends_with(" [KVN301]"), "{out}");
    assert!(out.contains("\nunknown nodes "), "{out}");
    assert!(!out.contains("token-canary"), "{out}");
}

/// What `trace` of two pods says.
fn between(place: &Place, arguments: &[&str]) -> (Option<i32>, Value, String) {
    let arguments = [&["trace"], arguments, &["-o", "json"]].concat();
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), value, text(&output.stderr))
}

fn run_pods(sandbox: &Sandbox) {
    for (name, networks) in [("one", "ovs-blue"), ("two", "ovs-blue"), ("tagged", "ovs-blue100")] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": {"k8s.v1.cni.cncf.io/networks": networks}},
            "spec": {"containers": [{"name": "c", "image": "busybox:1.37.0", "command": ["sleep", "100000"]}]},
        });
        sandbox.api().create("test", &pod).unwrap();
    }
    sandbox.settle().unwrap();
}

/// A pod with an annotation of its own.
fn run_pod(sandbox: &Sandbox, name: &str, networks: &str, host: bool) {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": {"k8s.v1.cni.cncf.io/networks": networks}},
        "spec": {"hostNetwork": host, "containers": [{"name": "c", "image": "busybox:1.37.0", "command": ["sleep", "100000"]}]},
    });
    sandbox.api().create("test", &pod).unwrap();
}

#[test]
fn what_a_pod_asks_for_in_vain_is_told_alike_by_doctor_and_trace() {
    let place = UP.copy();
    place.change(|sandbox| run_pod(sandbox, "onhost", "ovs-blue", true));
    let diagnosis = doctor(&place, &WITHOUT_KUBEVIRT);
    assert_eq!(diagnosis["broken"], Value::Null, "{diagnosis:#}");
    let told =
        diagnosis["checks"].as_array().unwrap().iter().find(|it| it["check"] == "annotations").unwrap();
    assert_eq!(told["state"], "warns", "{told:#}");
    let effect = "has no effect: the pod uses the network of its node";
    assert!(told["found"].as_str().unwrap().contains(effect), "{told:#}");
    let (code, told, err) = between(&place, &["pods/onhost"]);
    assert_eq!((code, &told["broken"]), (Some(0), &Value::Null), "{told:#}{err}");
    assert!(told["links"][0]["found"].as_str().unwrap().contains(effect), "{told:#}");
    assert!(told["links"][1]["found"].as_str().unwrap().starts_with("none of its own"), "{told:#}");

    let slips =
        [("null", "null", "bare JSON value"), ("escape", "\u{1b}[31m", "has a control character (U+001B)")];
    place.change(|sandbox| slips.iter().for_each(|(name, text, _)| run_pod(sandbox, name, text, false)));
    let diagnosis = doctor(&place, &WITHOUT_KUBEVIRT);
    let broken = &diagnosis["broken"];
    assert_eq!(
        (&broken["check"], &broken["code"]),
        (&json!("annotations"), &json!("KVN640")),
        "{diagnosis:#}"
    );
    assert_eq!(broken["items"].as_array().unwrap().len(), slips.len(), "{broken:#}");
    let waiting =
        diagnosis["checks"].as_array().unwrap().iter().find(|it| it["check"] == "pods-waiting").unwrap();
    for (name, _, says) in slips {
        assert!(broken["found"].as_str().unwrap().contains(says), "{broken:#}");
        assert!(waiting["found"].as_str().unwrap().contains(says), "{waiting:#}");
        let (code, told, err) = between(&place, &[name]);
        assert_eq!((code, &told["broken"]["link"]), (Some(1), &json!("annotation")), "{told:#}{err}");
        assert!(told["broken"]["found"].as_str().unwrap().contains(says), "{told:#}");
    }
    let output = kvnet(place.0.path(), &["trace", "x", "-n", "../kube-system"]).output().unwrap();
    assert!(text(&output.stderr).contains("`../kube-system` is not a valid namespace name"));
}

#[test]
fn an_attachment_may_be_configured_by_a_file_of_the_node() {
    let place = UP.copy();
    place.change(|sandbox| {
        let network = json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": "byfile", "namespace": "default"}, "spec": {}});
        sandbox.api().create("test", &network).unwrap();
        run_pod(sandbox, "filed", "byfile", false);
    });
    let (code, told, err) = between(&place, &["pod/filed"]);
    assert_eq!((code, &told["broken"]["code"]), (Some(1), &json!("KVN621")), "{told:#}{err}");
    assert!(
        told["broken"]["found"].as_str().unwrap().contains("no file in /etc/cni/multus/net.d has its name")
    );
    place.change(|sandbox| {
        let config = br#"{"cniVersion":"0.3.1","name":"byfile","type":"ovs","bridge":"blue","vlan":7}"#;
        sandbox.node().put_file("/etc/cni/multus/net.d/20-it.conf", config, 0o644).unwrap();
        run_pod(sandbox, "later", "byfile", false);
    });
    let (code, told, err) = between(&place, &["pod/later"]);
    assert_eq!((code, &told["broken"]), (Some(0), &Value::Null), "{told:#}{err}");
    let links = told["links"].as_array().unwrap();
    let network = links.iter().find(|link| link["link"] == "network").unwrap()["found"].as_str().unwrap();
    assert_eq!(network, "configured by the file /etc/cni/multus/net.d/20-it.conf: uses ovs, VLAN 7");
    let port = links.iter().find(|link| link["link"] == "port").unwrap();
    assert_eq!(port["state"], "holds", "{port:#}");
    let diagnosis = doctor(&place, &WITHOUT_KUBEVIRT);
    let told = diagnosis["checks"].as_array().unwrap().iter().find(|it| it["check"] == "networks").unwrap();
    assert_eq!(told["state"], "holds", "{told:#}");
    assert!(
        told["found"].as_str().unwrap().contains("default/byfile (/etc/cni/multus/net.d/20-it.conf)"),
        "{told:#}"
    );
}

#[test]
fn a_frame_goes_from_pod_to_pod_and_a_wrong_vlan_keeps_it() {
    let place = UP.copy();
    place.change(run_pods);
    for (arguments, hops) in
        [(&["one", "two"][..], 2), (&["pod/one", "default/two", "--network", "ovs-blue"], 2)]
    {
        let (code, told, err) = between(&place, arguments);
        assert_eq!((code, &told["broken"]), (Some(0), &Value::Null), "{told:#}{err}");
        assert_eq!(told["frame"]["arrives"], true, "{told:#}");
        let links = told["links"].as_array().unwrap();
        let held =
            |name: &str| links.iter().filter(|one| one["link"] == name && one["state"] == "holds").count();
        assert_eq!(
            (held("hop"), held("question"), held("answer"), held("large")),
            (hops, 2, 1, 1),
            "{told:#}"
        );
    }
    let (code, told, err) = between(&place, &["one", "tagged", "--network", "ovs-blue"]);
    assert_eq!(
        (code, &told["frame"]["arrives"], &told["frame"]["apart"]),
        (Some(0), &false.into(), &true.into()),
        "{told:#}{err}"
    );
    for (arguments, refusal) in [
        (&["one", "one"][..], "KVN651"),
        (&["two", "one", "--network", "nowhere"], "KVN653"),
        (&["two", "nobody"], "KVN628"),
    ] {
        let (code, told, err) = between(&place, arguments);
        assert!(code == Some(2) && format!("{told}{err}").contains(refusal), "{arguments:?}: {told:#}{err}");
    }
    place.change(|sandbox| {
        let switch = sandbox.node().open_vswitch().unwrap().unwrap();
        let blue = switch.bridge("blue").unwrap();
        let untagged = blue
            .guest_ports()
            .filter(|port| port.tag.is_none() && port.external_ids.contains_key("contPodUid"));
        let port = untagged.last().unwrap().name.clone();
        ovs_vsctl(sandbox, &["set", "Port", &port, "tag=7"]);
    });
    let (code, told, err) = between(&place, &["one", "two", "--network", "ovs-blue"]);
    assert_eq!((code, &told["broken"]["code"]), (Some(1), &"KVN623".into()), "{told:#}{err}");
    assert_eq!(told["frame"]["arrives"], false, "{told:#}");
    assert!(told["frame"]["lastSeen"].as_str().unwrap().starts_with("net1 of pod/"), "{told:#}");
}
