//! The sandbox: the whole job on a node and a cluster in memory, by the binary, as an unprivileged user.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use kvnet_test_kit::kept::{Values, left_by_down, values};
use kvnet_test_kit::run::{As, Place, text};

const KEPT: [&str; 2] = ["--sandbox-dir", "DIR/kept"];
const WALKTHROUGH: [&str; 2] = ["--profile", "walkthrough-2018"];

/// A place with a sandbox that is kept in it.
struct Kept {
    place: Place,
    options: Vec<&'static str>,
}

/// How a command ended.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
}

impl Kept {
    fn new(options: &[&'static str]) -> Self {
        let place = Place::new();
        place.mine("kept");
        Self { place, options: [&KEPT, options].concat() }
    }

    fn exits(&self, code: i32, arguments: &[&str]) -> Ran {
        let all: Vec<&str> = arguments.iter().chain(&self.options).copied().collect();
        let output = self.place.kvnet(As::Tester, &all, &[]);
        let ran = Ran { out: text(&output.stdout), err: text(&output.stderr) };
        assert_eq!(output.status.code(), Some(code), "kvnet {arguments:?}\n{}\n{}", ran.out, ran.err);
        ran
    }

    fn values(&self) -> Values {
        values(&self.place.path("kept"))
    }

    fn object(&self, key: &str) -> Value {
        self.values().remove(key).unwrap_or_else(|| panic!("there is no {key}"))
    }

    /// The changes that are planned, as people read them; waits and checks left out.
    fn planned(&self) -> Vec<String> {
        let plan: Value = serde_json::from_str(&self.exits(3, &["plan", "-o", "json"]).out).unwrap();
        let steps = plan["steps"].as_array().unwrap().iter();
        let changes = steps.flat_map(|step| step["changes"].as_array().unwrap());
        let made = changes.filter(|change| change["change"] != "wait" && change["change"] != "verify");
        sorted(made.map(|change| change["summary"].as_str().unwrap().to_owned()))
    }
}

fn sorted(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    lines
}

/// What `up -o json` says that it did.
fn done(up: &Ran) -> Vec<String> {
    let events = up.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let done = events.filter(|event| event["event"] == "change-done");
    let lines = done.map(|event| event["change"].as_str().unwrap().to_owned());
    sorted(lines.filter(|line| !line.starts_with("wait for ") && !line.starts_with("verify with ")))
}

#[test]
fn up_does_what_plan_says_and_leaves_nothing_to_do() {
    for profile in [&[][..], &WALKTHROUGH] {
        let kept = Kept::new(profile);
        let planned = kept.planned();
        let up = kept.exits(0, &["up", "-o", "json"]);
        let surprises: Vec<String> = done(&up).into_iter().filter(|line| !planned.contains(line)).collect();
        assert_eq!((done(&up).len(), surprises), (planned.len(), Vec::new()), "{profile:?}");
        assert!(
            up.out.contains(r#""event":"check""#) && !up.out.contains(r#""verdict":"failed""#),
            "{}",
            up.out
        );
        let finished: Value = serde_json::from_str(up.out.lines().last().unwrap()).unwrap();
        assert_eq!(finished["verified"], finished["notChecked"].as_array().unwrap().is_empty(), "{finished}");
        assert_eq!(finished["verified"], profile.is_empty(), "{finished}");
        assert!(kept.exits(0, &["plan"]).out.ends_with("nothing to do\n"));
        let status = kept.exits(0, &["status"]).out;
        assert!(status.lines().all(|line| line.starts_with("in place") || line.starts_with(' ')), "{status}");
        let before = kept.values();
        let again = kept.exits(0, &["up"]).err;
        assert!(again.contains("nothing to do ("), "{again}");
        assert_eq!(kept.values(), before, "a run with nothing to do changed something");
    }
}

/// The name of the Node object need not be that of the machine: the ports are checked all the same.
#[test]
fn a_node_of_another_name_is_looked_at_too() {
    let kept = Kept::new(&["--skip", "kubevirt,vm", "--sandbox-node-name", "n1.example"]);
    let up = kept.exits(0, &["up", "-o", "json"]).out;
    let finished: Value = serde_json::from_str(up.lines().last().unwrap()).unwrap();
    let left_out = json!(["steps kubevirt, vm (excluded by `--skip` or `--only`)"]);
    assert_eq!((&finished["verified"], &finished["notChecked"]), (&json!(false), &left_out), "{up}");
    let unlooked: Vec<&str> = up.lines().filter(|line| line.contains(r#""verdict":"not-checked""#)).collect();
    assert!(unlooked.iter().all(|line| line.contains("the VM is skipped")), "{unlooked:?}");
    assert!(up.contains(" of blue, VLAN 100"), "{up}");
    kept.exits(0, &["down"]);
}

#[test]
fn down_gives_the_fresh_node_and_cluster_back() {
    for profile in [&[][..], &WALKTHROUGH] {
        let kept = Kept::new(profile);
        kept.exits(3, &["plan"]);
        let (fresh, planned) = (kept.values(), kept.planned());
        kept.exits(0, &["up"]);
        kept.exits(3, &["down", "--dry-run"]);
        let down = kept.exits(0, &["down"]).err;
        assert!(down.contains("check passed: a pod starts on the node's network"), "{down}");
        let differences = left_by_down(&fresh, &kept.values());
        assert!(differences.is_empty(), "{profile:?}: {differences:#?}");
        // The kernel module stays loaded, with its settings.
        let without_module = |lines: Vec<String>| -> Vec<String> {
            lines
                .into_iter()
                .filter(|line| !line.contains("br_netfilter") && !line.contains("net.bridge."))
                .collect()
        };
        assert_eq!(
            without_module(kept.planned()),
            without_module(planned),
            "a second `up` would do something else"
        );
        let again = kept.exits(0, &["down"]).err;
        assert!(again.contains("nothing to do"), "{again}");
    }
}

/// How Open vSwitch is called and installed on each distribution: written down here from their own packages, not from kvnet.
#[test]
fn every_distribution_ends_well() {
    for (node, package, service) in [
        ("debian", "openvswitch-switch with apt", "openvswitch-switch"),
        ("ubuntu", "openvswitch-switch with apt", "openvswitch-switch"),
        ("fedora", "openvswitch with dnf", "openvswitch"),
        ("opensuse", "openvswitch with zypper", "openvswitch"),
        ("arch", "openvswitch with pacman", "ovs-vswitchd"),
        ("alpine", "openvswitch with apk", "ovs-vswitchd"),
    ] {
        let kept = Kept::new(&["--sandbox-node", node, "--skip", "kubevirt,vm"]);
        let plan = kept.exits(3, &["plan"]).out;
        for line in [format!("+ install package {package}\n"), format!("~ start service {service}\n")] {
            assert!(plan.contains(&line), "{node}: `{line}` is not in\n{plan}");
        }
        kept.exits(0, &["up", "--timeout", "60"]);
        assert_eq!(kept.exits(0, &["plan"]).out, "nothing to do\n", "{node}");
        kept.exits(0, &["down"]);
        let again = kept.exits(3, &["plan"]).out;
        assert!(
            again.contains(&format!("+ install package {package}\n")),
            "{node}: `down` left it:\n{again}"
        );
    }
}

/// The objects of the walkthrough are what is in the cluster: every field of the text, and nothing but what the server
/// and kvnet add.
#[test]
fn the_walkthrough_makes_the_objects_of_its_text() {
    let kept = Kept::new(&WALKTHROUGH);
    kept.exits(0, &["up"]);
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/walkthrough-2018");
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for mut wanted in kvnet::manifest::parse_manifests(&text, path.to_str().unwrap()).unwrap() {
            let name = wanted["metadata"]["name"].as_str().unwrap().to_owned();
            let plural = match wanted["kind"].as_str().unwrap() {
                "NetworkAttachmentDefinition" => "k8s.cni.cncf.io/network-attachment-definitions",
                _ => "kubevirt.io/virtualmachineinstances",
            };
            let mut found = kept.object(&format!("api/{plural}/default/{name}"));
            without_additions(&mut wanted);
            without_additions(&mut found);
            // KubeVirt's controller writes its default over the text's empty type.
            if let Some(machine) = found.pointer_mut("/spec/domain/machine") {
                assert_eq!(machine["type"].take(), "q35");
                machine["type"] = "".into();
            }
            if name == "flannel-network" {
                // As in the text, other pods' addresses would be given out: see the test below.
                assert!(found["spec"]["config"].as_object_mut().unwrap().remove("dataDir").is_some());
            }
            assert_eq!(found, wanted, "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 5);
}

/// A NIC on the pod network has its lease where all pods have theirs: also with a Multus that has a name of its own for
/// that network, and with pods that are older than Multus.
#[test]
fn an_attachment_to_the_pod_network_gives_out_no_address_twice() {
    for (options, name) in [(&WALKTHROUGH[..], "flannel.1"), (&[][..], "cbr0")] {
        let kept = Kept::new(options);
        kept.exits(0, &["up"]);
        let found = kept.object("api/k8s.cni.cncf.io/network-attachment-definitions/default/flannel-network");
        let config: Value = serde_json::from_str(found["spec"]["config"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&config["name"], &config["dataDir"]),
            (&json!(name), &json!("/var/lib/cni/flannel-attached"))
        );
        let log = fs::read_to_string(kept.place.path("kept/sandbox.jsonl")).unwrap();
        assert_eq!(addresses_twice(&log), Vec::<String>::new(), "{name}");
    }
}

/// Every address that two NICs of pods had at the same time, at any point of a sandbox's log.
fn addresses_twice(log: &str) -> Vec<String> {
    let (mut pods, mut twice, mut seen) = (Values::new(), Vec::new(), 0);
    // The first line says what the file is.
    for line in log.lines().skip(1) {
        for (key, value) in serde_json::from_str::<Vec<(String, Value)>>(line).unwrap() {
            if key.starts_with("node/sandbox/") {
                pods.remove(&key);
                if !value.is_null() {
                    pods.insert(key, value);
                }
            }
        }
        let mut taken = BTreeSet::new();
        for pod in pods.values() {
            let nics = pod["nics"].as_array().into_iter().flatten();
            for address in nics.flat_map(|nic| nic["addresses"].as_array().into_iter().flatten()) {
                seen += 1;
                if !taken.insert(address.to_string()) {
                    twice.push(format!("{address} of {}", pod["pod"]));
                }
            }
        }
    }
    assert!(seen > 0, "no pod has a NIC");
    twice
}

/// Takes out what the text leaves to the server, the labels of kvnet, and how JSON in a text is laid out.
fn without_additions(object: &mut Value) {
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in [
        "namespace",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "finalizers",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
        labels.retain(|name, _| name != "app.kubernetes.io/managed-by" && name != "kvnet.dev/step");
        if labels.is_empty() {
            metadata.remove("labels");
        }
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("kvnet.dev/applied");
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if let Some(config) = object["spec"].get("config").and_then(Value::as_str) {
        let mut config: Value = serde_json::from_str(config).unwrap();
        config.sort_all_objects();
        // Multus gives a configuration without a name that of the object.
        config.as_object_mut().unwrap().remove("name");
        object["spec"]["config"] = config;
    }
    object.sort_all_objects();
}

/// The API server of that day cannot apply: what is lost is said, nothing else is, and the pods of its DaemonSets, which
/// no controller replaces, follow their template.
#[test]
fn the_walkthrough_comes_to_rest_without_server_side_apply() {
    const LOST: &str = "no server-side apply";
    let kept = Kept::new(&WALKTHROUGH);
    assert_eq!(kept.exits(3, &["plan"]).out.matches(LOST).count(), 1);
    kept.exits(0, &["up"]);
    let multus = "api/apps/daemonsets/kube-system/kube-multus-ds-amd64";
    let made = kept.object(multus);
    assert!(made["metadata"].get("managedFields").is_none(), "{made:#}");
    assert!(made["metadata"]["annotations"]["kvnet.dev/applied"].is_string(), "{made:#}");
    let limit = "/spec/template/spec/containers/0/resources/limits/memory";
    assert_eq!(made.pointer(limit), Some(&json!("300Mi")), "the profile's, not the manifest's");
    let again = kept.exits(0, &["up"]);
    assert!(again.err.contains("nothing to do") && !again.err.contains(LOST), "{}", again.err);
    let images = |kept: &Kept| -> Vec<Value> {
        let values = kept.values();
        let pods =
            values.iter().filter(|(key, _)| key.starts_with("api/core/pods/kube-system/kube-multus-ds-"));
        pods.map(|(_, pod)| pod["spec"]["containers"][0]["image"].clone()).collect()
    };
    kept.exits(0, &["up", "--set", "multus.image=nfvpe/multus:v3.1"]);
    assert_eq!(images(&kept), ["nfvpe/multus:v3.1"]);
    kept.exits(0, &["up"]);
    assert_eq!(images(&kept), ["nfvpe/multus:latest"]);
}

/// The text makes the VLAN bridge `blue1`, but its network names `blue100`, which cannot work: there is one bridge, and it
/// has the name that the network uses.
#[test]
fn the_walkthroughs_vlan_bridge_has_the_name_that_its_network_uses() {
    let kept = Kept::new(&WALKTHROUGH);
    kept.exits(0, &["up", "--skip", "kubevirt,vm,verification"]);
    let switch = kept.object("ovs").to_string();
    assert!(switch.contains("\"blue100\"") && !switch.contains("\"blue1\""), "{switch}");
    let network = kept.object("api/k8s.cni.cncf.io/network-attachment-definitions/default/ovs-blue100");
    assert!(network["spec"]["config"].as_str().unwrap().contains("blue100"), "{network}");
}

#[test]
fn a_sandbox_that_is_not_kept_begins_anew_each_time() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        place.kvnet(As::Nobody, &[arguments, &["--sandbox"]].concat(), &[("PATH", "/nonexistent")])
    };
    let up = run(&["up"]);
    assert_eq!(up.status.code(), Some(0), "{}", text(&up.stderr));
    let (plan, down) = (run(&["plan"]), run(&["down"]));
    assert_eq!((plan.status.code(), down.status.code()), (Some(3), Some(0)));
    assert!(text(&down.stderr).contains("nothing to do"));
    assert_eq!(fs::read_dir(place.path("state")).unwrap().count(), 0, "its state is its own");
}

/// Before anything is changed, with what would work.
#[test]
fn what_cannot_work_on_this_kubernetes_is_refused_in_the_plan() {
    let today =
        Kept::new(&["--set", "flannel.source.from=file", "--set", "flannel.source.path=DIR/old.yaml"]);
    today.place.write(
        "old.yaml",
        "apiVersion: extensions/v1beta1\nkind: DaemonSet\nmetadata: {name: kube-flannel-ds, namespace: kube-system}\n",
    );
    let then = Kept::new(&[&WALKTHROUGH[..], &["--set", "multus.version=v4.3.0"]].concat());
    for (kept, parts) in [
        (
            &today,
            ["does not serve DaemonSet of extensions/v1beta1: it was removed in 1.16", "kube-flannel-ds"],
        ),
        (
            &then,
            ["Multus v4.3.0 needs Kubernetes 1.16 or later, node sandbox has v1.11.3", "version --matrix"],
        ),
    ] {
        for command in [&["plan"][..], &["up"]] {
            let refused = kept.exits(1, command).err;
            assert!(refused.contains("KVN306"), "{refused}");
            for part in parts {
                assert!(refused.contains(part), "`{part}` is not in\n{refused}");
            }
        }
        assert!(
            !kept.values().keys().any(|key| key.contains("customresourcedefinitions")),
            "nothing is changed"
        );
    }
}

#[test]
fn stand_ins_for_downloads_are_told() {
    let kept = Kept::new(&WALKTHROUGH);
    let plan = kept.exits(3, &["plan"]).out;
    for part in [
        "the manifest is kvnet's stand-in for https://raw.githubusercontent.com/coreos/flannel/v0.10.0/Documentation/kube-flannel.yml",
        "no digest is checked",
    ] {
        assert!(plan.contains(part), "`{part}` is not in\n{plan}");
    }
    let unknown = ["plan", "--set", "flannel.source.url=https://example.org/x.yaml"];
    let refused = kept.exits(1, &unknown).err;
    assert!(refused.contains("KVN40") && refused.contains("https://example.org/x.yaml"), "{refused}");
}

#[test]
fn a_pace_lets_things_take_time() {
    let place = Place::new();
    let up = place.kvnet(
        As::Nobody,
        &["up", "--sandbox", "--pace=0.02", "--skip", "kubevirt,vm", "-o", "json"],
        &[],
    );
    assert_eq!(up.status.code(), Some(0), "{}{}", text(&up.stdout), text(&up.stderr));
    let lines = text(&up.stdout);
    let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let install =
        events.clone().find(|event| event["event"] == "change-done" && event["step"] == "ovs-package");
    // Twelve seconds on a real node.
    assert!(install.unwrap()["seconds"].as_f64().unwrap() >= 0.2, "{lines}");
}

#[test]
fn a_sandbox_has_a_cluster_of_its_own() {
    let place = Place::new();
    for arguments in [
        &["plan", "--sandbox", "--kubeconfig", "DIR/refused.yaml"][..],
        &["plan", "--sandbox-dir", "DIR/kept", "--context", "here"],
        &["plan", "--sandbox", "--pace=fast"],
        &["plan", "--sandbox", "--sandbox-node", "plan9"],
    ] {
        let refused = place.kvnet(As::Nobody, arguments, &[]);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(text(&refused.stderr).contains("KVN100"), "{}", text(&refused.stderr));
    }
}

#[test]
fn kubeadm_makes_the_cluster_of_an_empty_node() {
    let kept = Kept::new(&["--set", "cluster.init.enabled=true", "--skip", "kubevirt,vm"]);
    let plan = kept.planned();
    assert!(plan.contains(&"create the cluster with kubeadm".to_owned()), "{plan:?}");
    kept.exits(0, &["up", "--timeout", "60"]);
    assert_eq!(kept.exits(0, &["plan", "--timeout", "60"]).out, "nothing to do\n");
    assert_eq!(kept.object("api/core/nodes/-/sandbox")["spec"]["podCIDR"], json!("10.244.0.0/24"));
}

/// A directory of its own file system, that takes so much.
const SMALL: &str = "set -eu; mkdir \"$PLACE/box\"; mount -t tmpfs -o size=400k,mode=700 b \"$PLACE/box\"; exec \"$PROGRAM\" \"$@\"";

#[test]
fn a_sandbox_on_a_full_disk_ends_at_once_and_says_so() {
    let place = Place::new();
    let mut command = std::process::Command::new("unshare");
    command.args(if kvnet_test_kit::run::is_root() {
        &["--mount"][..]
    } else {
        &["--mount", "--user", "--map-root-user"]
    });
    command
        .args(["bash", "-c", SMALL, "kvnet", "up", "--skip", "kubevirt,vm", "--sandbox-dir"])
        .arg(place.path("box"));
    command.env("PLACE", place.path("")).env("PROGRAM", crate::KVNET).env("HOME", place.path(""));
    let begin = std::time::Instant::now();
    let output = command.output().unwrap();
    let err = text(&output.stderr);
    assert!(!output.status.success() && err.contains("error[KVN205]"), "{err}");
    assert!(begin.elapsed().as_secs() < 60, "it waited {:?}: {err}", begin.elapsed());
}
