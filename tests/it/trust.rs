//! Never on the wrong machine, never without consent, never half uninstalled.

use std::collections::BTreeSet;
use std::fs;

use kvnet::cluster::ObjectKey;
use kvnet::sandbox::{Options, Sandbox};
use serde_json::Value;

use kvnet_test_kit::count;
use kvnet_test_kit::kept::values;
use kvnet_test_kit::run::{As, Place, text};
use kvnet_test_kit::served::{Served, served};

/// What a command says and how it ends, on a cluster of which this machine is no node.
struct Remote {
    place: Place,
    cluster: Served,
}

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Remote {
    fn new() -> Self {
        let cluster = served(&Options::default());
        let place = Place::new();
        place.kubeconfig("remote.yaml", &cluster.address);
        Self { place, cluster }
    }

    fn run(&self, arguments: &[&str]) -> Said {
        let arguments = [arguments, &["--kubeconfig", "DIR/remote.yaml"]].concat();
        let output = self.place.kvnet(As::Tester, &arguments, &[]);
        Said { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    fn taints(&self) -> usize {
        let node = ObjectKey::new("v1", "Node", None, "sandbox");
        let node = self.cluster.sandbox.api().get(&node).unwrap().unwrap();
        let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
        taints.iter().filter(|taint| taint["key"] == "node-role.kubernetes.io/control-plane").count()
    }
}

#[test]
fn steps_of_a_node_are_refused_on_a_machine_that_is_none() {
    let remote = Remote::new();
    let commands =
        [&["plan"][..], &["up", "--yes"], &["up", "--yes", "--only", "kernel"], &["down", "--yes"]];
    for command in commands {
        let said = remote.run(command);
        assert_eq!(said.code, 1, "{command:?}: {}{}", said.out, said.err);
        assert!(
            said.err.contains("error[KVN510]: this machine is not a node of http://127.0.0.1:"),
            "{}",
            said.err
        );
        assert!(said.err.contains("its only node is sandbox"), "{}", said.err);
        assert!(said.out.is_empty(), "{command:?} shows changes of this machine: {}", said.out);
    }
    let status = remote.run(&["status"]);
    assert!(status.out.contains("KVN510"), "{}", status.out);
    assert_eq!(remote.taints(), 1);
    count::record("identities refused", commands.len());
}

#[test]
fn steps_of_the_cluster_run_from_any_machine_and_the_plan_names_the_cluster() {
    let remote = Remote::new();
    let plan = remote.run(&["plan", "--only", "taints"]);
    assert_eq!(plan.code, 3, "{}", plan.err);
    let first = plan.out.lines().next().unwrap();
    assert!(first.starts_with(&format!("cluster {}", remote.cluster.address)), "{first}");
    assert!(
        first.contains("context `here`") && first.ends_with("this machine is not one of its nodes"),
        "{first}"
    );
    let plan: Value =
        serde_json::from_str(&remote.run(&["plan", "--only", "taints", "-o", "json"]).out).unwrap();
    assert_eq!(plan["target"]["cluster"]["context"], "here");
    assert_eq!(plan["target"]["node"], Value::Null);
}

#[test]
fn nothing_is_changed_without_consent() {
    let remote = Remote::new();
    for output in ["text", "json", "yaml"] {
        let said = remote.run(&["up", "--only", "taints", "-o", output]);
        assert_eq!((said.code, remote.taints()), (2, 1), "{output}: {}{}", said.out, said.err);
        assert!(format!("{}{}", said.out, said.err).contains("KVN100"), "{output}: {}{}", said.out, said.err);
    }
    let said = remote.run(&["up", "--only", "taints", "--yes", "-o", "json"]);
    assert_eq!((said.code, remote.taints()), (0, 0), "{}{}", said.out, said.err);
    let started: Value = serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
    assert_eq!(started["target"]["cluster"]["server"], remote.cluster.address.as_str());
    for output in ["text", "json", "yaml"] {
        let said = remote.run(&["down", "--only", "taints", "--no-check", "-o", output]);
        assert_eq!((said.code, remote.taints()), (2, 0), "{output}: {}{}", said.out, said.err);
    }
    let said = remote.run(&["down", "--only", "taints", "--no-check", "--yes"]);
    assert_eq!((said.code, remote.taints()), (0, 1), "{}{}", said.out, said.err);
    // Nothing to do needs no consent.
    assert_eq!(remote.run(&["down", "--only", "taints", "--no-check"]).code, 0);
    count::record("consents asked", 6);
}

/// Kinds that no list of kvnet's names, in a manifest of the user's own: of namespaces, of the cluster, and of its own.
const OWN: &str = "
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.own.example}
spec:
  group: own.example
  scope: Cluster
  names: {plural: gadgets, singular: gadget, kind: Gadget, listKind: GadgetList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
---
apiVersion: own.example/v1
kind: Gadget
metadata: {name: own}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: own}
value: 7
---
apiVersion: v1
kind: LimitRange
metadata: {name: own, namespace: kube-system}
spec: {limits: [{type: Container, default: {memory: 64Mi}}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: own, namespace: default}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: own, namespace: default}
spec:
  serviceName: own
  replicas: 0
  selector: {matchLabels: {app: own}}
  template:
    metadata: {labels: {app: own}}
    spec: {containers: [{name: c, image: 'docker.io/library/busybox:1.37.0'}]}
";

#[test]
fn down_takes_objects_of_every_kind_and_keeps_the_journal_while_one_is_left() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let output = place.kvnet(As::Tester, arguments, &[]);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, rendered, err) = run(&["render", "--offline", "--sandbox", "--only", "ovs-cni"]);
    assert_eq!(code, 0, "{err}");
    place.write("own.yaml", &format!("{rendered}{OWN}"));
    let profile = [
        "--sandbox-dir",
        "DIR/box",
        "--set",
        "ovsCni.source.from=file",
        "--set",
        "ovsCni.source.path=DIR/own.yaml",
    ];
    let skipped = ["--skip", "kubevirt,vm,verification", "--timeout", "60"];
    let (code, _, err) = run(&[&["up"], &profile[..], &skipped].concat());
    assert_eq!(code, 0, "{err}");
    let kinds = [
        ("v1", "LimitRange"),
        ("v1", "PersistentVolumeClaim"),
        ("apps/v1", "StatefulSet"),
        ("scheduling.k8s.io/v1", "PriorityClass"),
        ("own.example/v1", "Gadget"),
    ];
    let left = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let directory = camino::Utf8PathBuf::from_path_buf(place.path("box")).unwrap();
            let options = Options { directory: Some(directory), ..Options::default() };
            let default = kvnet::profile::load("default", &[]).unwrap().profile;
            let sandbox = Sandbox::open(&options, &default).unwrap();
            let cluster = sandbox.cluster();
            let mut found = Vec::new();
            for (version, kind) in kinds {
                let selector = Some("app.kubernetes.io/managed-by=kvnet");
                // The kind of the manifest's own goes too.
                found.extend(cluster.list(version, kind, None, selector).await.unwrap_or_default());
            }
            found.len()
        })
    };
    assert_eq!(left(), kinds.len(), "`up` has made them");
    let ours = || -> BTreeSet<String> {
        let all = values(&place.path("box"));
        let ours = all.iter().filter(|(key, value)| {
            key.starts_with("api/") && value["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "kvnet"
        });
        // `api/GROUP/KIND/...`
        ours.map(|(key, _)| key.split('/').skip(1).take(2).collect::<Vec<_>>().join("/")).collect()
    };
    let made = ours();
    let (code, _, err) = run(&[&["down", "--skip", "ovs-cni"], &profile[..], &["--timeout", "60"]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(
        place.path("box/state/journal.jsonl").exists(),
        "something of kvnet's is left, and so is the journal"
    );
    let (code, _, err) = run(&[&["down"], &profile[..], &["--timeout", "60"]].concat());
    assert_eq!((code, left()), (0, 0), "{err}");
    assert_eq!(ours(), BTreeSet::new());
    assert!(made.len() > 8, "{made:?}");
    count::record("kinds of objects removed by `down`", made.len());
    assert!(!fs::exists(place.path("box/state/journal.jsonl")).unwrap());
}

#[test]
fn what_kvnet_does_not_reach_is_told_for_each_node_and_refused_where_it_cannot_work() {
    let place = Place::new();
    let run = |arguments: &[&str]| {
        let sandbox = ["--sandbox-dir", "DIR/box", "--sandbox-other-nodes", "1", "--timeout", "60"];
        let output = place.kvnet(As::Tester, &[arguments, &sandbox].concat(), &[]);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, err) = run(&["plan", "--skip", "kubevirt,vm"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error[KVN512]: node worker-1 is schedulable"), "{err}");
    assert!(err.contains("cluster.placement=this-node"), "{err}");
    let here = ["--skip", "kubevirt,vm", "--set", "cluster.placement=this-node"];
    let (code, out, err) = run(&[&["plan"], &here[..]].concat());
    assert_eq!(code, 3, "{err}");
    assert!(
        out.contains("! node worker-1: kernel, CNI plugins, Open vSwitch, bridges and CNI order not checked"),
        "{out}"
    );
    let (code, out, err) = run(&[&["up", "-o", "json"], &here[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let finished: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(finished["result"], "done", "{finished}");
    let (code, out, _) = run(&[&["down", "--dry-run"], &here[..]].concat());
    assert_eq!(code, 3);
    assert!(out.contains("! node worker-1: "), "{out}");
    count::record("identities refused", 1);
}

/// More than KubeVirt needs, from whoever answers for a mirror.
const EVIL: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: kubevirt}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: virt-operator, namespace: kubevirt}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: evil}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: []}
---
{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: kube-system}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: miner, namespace: kube-system}, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i, securityContext: {privileged: true}}]}}}}
";

#[test]
fn a_manifest_that_nobody_vouches_for_is_named_with_what_in_it_goes_too_far() {
    let remote = Remote::new();
    let mirror = crate::it::server::serve(Some(("200 OK", "application/yaml", EVIL)));
    let arguments = ["plan", "--only", "kubevirt", "--mirror", &mirror];
    let plan = remote.run(&arguments);
    assert_eq!(plan.code, 3, "{}", plan.err);
    let strange = [
        "! in that manifest, ClusterRoleBinding evil grants all permissions on the cluster",
        "! in that manifest, Secret kube-system/x is a Secret",
        "! in that manifest, DaemonSet kube-system/miner runs privileged on its node",
    ];
    let out = &plan.out;
    assert!(strange.iter().all(|line| out.contains(line)), "{out}");
    let line = out.lines().find(|line| line.contains("not known to kvnet")).unwrap();
    let digest = line.split("kubevirt.source.sha256=").nth(1).unwrap().trim_end_matches('`').to_owned();
    assert!(
        line.contains(&mirror) && line.contains(&format!("sha256 {digest}:")) && digest.len() == 64,
        "{line}"
    );
    // Who has read it and pins it is not warned.
    let pin = format!("kubevirt.source.sha256={digest}");
    let plan = remote.run(&[&arguments[..], &["--set", &pin]].concat());
    assert!(
        plan.out.contains("pinned by the profile") && !plan.out.contains("in that manifest"),
        "{}",
        plan.out
    );
    // A run that shows no plan tells it before the first change.
    let up = remote.run(&["up", "--yes", "--only", "kubevirt", "--mirror", &mirror, "--timeout", "1"]);
    let told =
        up.err.find("ClusterRoleBinding evil grants all permissions").unwrap_or_else(|| panic!("{}", up.err));
    assert!(told < up.err.find("kubevirt: create").unwrap(), "{}", up.err);
}

#[test]
fn a_release_that_kvnet_knows_is_taken_from_a_mirror_only_as_it_is() {
    let place = Place::new();
    let mirror = crate::it::server::serve(Some(("200 OK", "application/yaml", EVIL)));
    let url = "multus.source.url=https://raw.githubusercontent.com/k8snetworkplumbingwg/multus-cni/v4.3.0/deployments/multus-daemonset-thick.yml";
    let arguments =
        ["render", "--offline", "--only", "multus", "--set", "multus.source.from=upstream", "--set", url];
    let output = place.kvnet(As::Tester, &[&arguments[..], &["--mirror", &mirror]].concat(), &[]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("error[KVN400]") && err.contains("but kvnet expects 2d622f69"), "{err}");
}

#[test]
fn what_was_done_on_another_machine_is_not_taken_back_here() {
    let place = Place::new();
    let run = |command: &str| {
        place.kvnet(As::Tester, &[command, "--sandbox-dir", "DIR/box", "--only", "kernel"], &[])
    };
    assert!(run("up").status.success());
    let path = place.path("box/state/journal.jsonl");
    let journal = fs::read_to_string(&path).unwrap();
    let at = journal.find("\"machine\":\"sha256:").expect("the journal names the machine") + 18;
    fs::write(&path, format!("{}0000{}", &journal[..at], &journal[at + 4..])).unwrap();
    for command in ["up", "down"] {
        let output = run(command);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command}: {err}");
        assert!(err.contains("error[KVN422]") && err.contains("journal.jsonl"), "{command}: {err}");
    }
    fs::write(&path, journal).unwrap();
    assert!(run("down").status.success());
}

/// Runs with an admin.conf of its own in /etc/kubernetes.
const WITH_ADMIN: &str = "set -eu; mount -t tmpfs t /mnt; mkdir /mnt/upper /mnt/work; \
    mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work o /etc; mkdir -p /etc/kubernetes; \
    cp \"$PLACE/admin.conf\" /etc/kubernetes/; exec \"$PROGRAM\" \"$@\"";

#[test]
fn a_node_of_another_cluster_is_not_changed() {
    let remote = Remote::new();
    remote.place.kubeconfig("admin.conf", "https://127.0.0.1:1");
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new("unshare");
        command.args(if kvnet_test_kit::run::is_root() {
            &["--mount"][..]
        } else {
            &["--mount", "--user", "--map-root-user"]
        });
        command.args(["bash", "-c", WITH_ADMIN, "kvnet"]).args(arguments);
        command.arg("--kubeconfig").arg(remote.place.path("remote.yaml"));
        command.env("PLACE", remote.place.path("")).env("PROGRAM", crate::KVNET);
        command.env("HOME", remote.place.path("")).env("KVNET_STATE_DIR", remote.place.path("other"));
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    for command in [&["plan"][..], &["up", "--yes"], &["down", "--yes"]] {
        let (code, err) = run(command);
        assert_eq!(code, 1, "{command:?}: {err}");
        assert!(err.contains("error[KVN511]: this node belongs to the cluster at https://127.0.0.1:1, but kvnet would use http://"), "{err}");
    }
    // Steps of the cluster alone, on a cluster that is named, are meant.
    let (code, err) = run(&["plan", "--only", "taints"]);
    assert_eq!(code, 3, "{err}");
    remote.place.kubeconfig("admin.conf", &remote.cluster.address);
    let (_, err) = run(&["plan"]);
    assert!(!err.contains("KVN511"), "{err}");
}

/// A cluster that `up` makes brings what no plan can look at: its kubeconfig, its taints. They count before it is there.
#[test]
fn the_plan_for_a_cluster_that_is_to_be_made_has_the_count_of_up() {
    let run = |command: &str, more: &[&str]| {
        let place = Place::new();
        let new = [command, "--sandbox", "--set", "cluster.init.enabled=true", "-o", "json"];
        let output = place.kvnet(As::Tester, &[&new[..], more].concat(), &[]);
        text(&output.stdout)
    };
    let more = &["--skip", "kubevirt,vm"];
    let plan: Value = serde_json::from_str(&run("plan", more)).unwrap();
    let foreseen = plan["steps"].as_array().unwrap().iter().filter_map(|step| step["foreseen"].as_array());
    assert_eq!(foreseen.flatten().count(), 2, "{plan}");
    let events = run("up", more);
    assert!(!events.contains("not in the plan"), "{events}");
    let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!((&last["result"], &last["changes"]), (&"done".into(), &plan["changes"]));
    // Without the step that makes it, nothing follows from it.
    let plan: Value = serde_json::from_str(&run("plan", &["--only", "taints,kubeconfig"])).unwrap();
    assert_eq!(plan["changes"], 0, "{plan}");
}
