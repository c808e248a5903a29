//! `kvnet smoke` on a sandbox after `up`: whole, and broken in ways of which each makes the right case fail.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use camino::Utf8PathBuf;
use kvnet::cluster::ObjectKey;
use kvnet::profile;
use kvnet::sandbox::api::Removal;
use kvnet::sandbox::node::{NetworkLink, SwitchPort};
use kvnet::sandbox::store::Store;
use kvnet::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::run::{KVNET, text};

/// The sandbox is in the program, so none of this touches the machine.
fn kvnet(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(KVNET);
    command.args(arguments).arg("--sandbox-dir").arg(directory.join("box"));
    command.env_clear().env("HOME", directory).stdin(Stdio::null()).current_dir(directory);
    command
}

/// How a run of cases ended.
struct Ran {
    code: Option<i32>,
    report: Value,
    err: String,
}

impl Ran {
    fn case(&self, name: &str) -> &Value {
        let cases = self.report["cases"].as_array().expect("cases");
        cases.iter().find(|case| case["case"] == name).unwrap_or_else(|| panic!("no {name} in {}", self.report))
    }

    fn names(&self, status: &str) -> Vec<&str> {
        let cases = self.report["cases"].as_array().expect("cases").iter();
        cases.filter(|case| case["status"] == status).filter_map(|case| case["case"].as_str()).collect()
    }
}

/// A directory with a sandbox in it, after `up`.
struct Place(tempfile::TempDir);

const WITHOUT_KUBEVIRT: [&str; 2] = ["--skip", "kubevirt,vm"];
static UP: LazyLock<Place> = LazyLock::new(|| Place::up(&WITHOUT_KUBEVIRT));

impl Place {
    fn up(options: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let arguments = [&["up", "--timeout", "120"], options].concat();
        let output = kvnet(place.0.path(), &arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        place
    }

    /// Another one that is as this one is now.
    fn copy(&self) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        copy_tree(&self.path("box"), &copy.path("box"));
        copy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn smoke(&self, arguments: &[&str]) -> Ran {
        let arguments = [&["smoke", "-o", "json"], arguments, &WITHOUT_KUBEVIRT].concat();
        let output = kvnet(self.0.path(), &arguments).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let report = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        Ran { code: output.status.code(), report, err }
    }

    /// Opens the sandbox and does something to it behind kvnet's back.
    fn change(&self, change: impl FnOnce(&Sandbox)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let directory = Utf8PathBuf::from_path_buf(self.path("box")).unwrap();
        let options = Options { directory: Some(directory), ..Options::default() };
        let profile = profile::load("default", &[]).unwrap().profile;
        let sandbox = Sandbox::open(&options, &profile).unwrap();
        change(&sandbox);
        sandbox.settle().unwrap();
    }

    /// Everything that the sandbox consists of, by its key.
    fn values(&self) -> BTreeMap<String, Value> {
        let directory = Utf8PathBuf::from_path_buf(self.path("box")).unwrap();
        let store = Store::on_disk(&directory).unwrap();
        let all = |store: &kvnet::sandbox::store::Transaction<'_>| {
            store.range("").map(|(key, value)| (key.to_owned(), value.as_ref().clone())).collect()
        };
        store.read(all).unwrap()
    }

    /// No namespace of a case is left.
    fn is_clean(&self) -> bool {
        !self.values().keys().any(|key| key.contains("kvnet-smoke"))
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
    // kvnet refuses a state directory that others may change.
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}

const RUN_ON_A_WHOLE_NODE: [&str; 8] = [
    "a-bridge-network",
    "attachments",
    "default-network",
    "dns",
    "flannel-network",
    "leaks",
    "multus-restart",
    "same-network",
];

#[test]
fn after_up_every_case_passes_or_says_why_it_cannot_run() {
    let place = UP.copy();
    let junit = place.path("smoke.xml");
    let ran = place.smoke(&["--junit", junit.to_str().unwrap()]);
    assert_eq!((ran.code, &ran.report["result"]), (Some(0), &json!("passed")), "{}\n{}", ran.report, ran.err);
    assert_eq!(ran.names("passed"), [&RUN_ON_A_WHOLE_NODE[..], &["vlan-isolation"]].concat());
    assert_eq!(ran.names("skipped"), ["after-down", "reboot", "vmi"]);
    for (case, why) in [("after-down", "`kvnet down` has not happened"), ("reboot", "--allow-reboot"), ("vmi", "left out")] {
        assert!(ran.case(case)["reason"].as_str().unwrap().contains(why), "{}", ran.case(case));
    }
    for case in ran.names("passed") {
        let checks = ran.case(case)["checks"].as_array().unwrap();
        assert!(!checks.is_empty() && checks.iter().all(|check| check["passed"] == true), "{case}: {checks:?}");
    }
    assert!(place.is_clean(), "namespaces are left");
    assert!(!place.path("box/state/smoke").exists(), "something was collected without a failure");
    is_junit(&fs::read_to_string(junit).unwrap(), &[12, 0, 3]);
}

#[test]
fn reach_is_tried_in_every_way() {
    let ran = UP.copy().smoke(&["same-network", "default-network"]);
    for (case, one, other) in
        [("same-network", "ovs-blue-1", "ovs-blue-2"), ("default-network", "plain-1", "plain-2")]
    {
        let checks = ran.case(case)["checks"].as_array().unwrap();
        let size = if case == "same-network" { 1500 } else { 1450 };
        for what in ["", " by TCP", " by UDP", &format!(" with packets of {size} bytes")] {
            let wanted = format!("{one} reaches {other}{what}");
            assert!(checks.iter().any(|check| check["check"] == wanted), "`{wanted}` is not in {checks:#?}");
        }
    }
}

#[test]
fn a_vm_with_two_nics_is_tried_too() {
    let place = Place::up(&[]);
    let output = kvnet(place.0.path(), &["smoke", "vmi", "-o", "json"]).output().unwrap();
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&out).unwrap();
    let checks = report["cases"][0]["checks"].to_string();
    assert!(checks.contains("smoke-vm: blue has no address, an untagged port of blue"), "{checks}");
    let before = place.values();
    assert!(place.is_clean() && before.keys().any(|key| key.ends_with("/vm-two-nics")), "the profile's VM is gone");
}

#[test]
fn the_walkthrough_passes_on_the_software_of_its_day() {
    let place = Place::up(&["--profile", "walkthrough-2018"]);
    let arguments = ["smoke", "-o", "json", "--profile", "walkthrough-2018", "--skip", "kubevirt,vm"];
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn after_down_only_the_plain_pod_is_tried() {
    let place = UP.copy();
    assert!(kvnet(place.0.path(), &["down"]).output().unwrap().status.success());
    let ran = place.smoke(&[]);
    assert_eq!((ran.code, ran.names("passed")), (Some(0), vec!["after-down"]), "{}", ran.report);
    assert_eq!(ran.names("skipped").len(), 11);
    assert!(place.is_clean());
}

#[test]
fn cases_that_cannot_run_are_no_success() {
    let ran = UP.copy().smoke(&["reboot", "after-down"]);
    assert_eq!((ran.code, &ran.report["result"]), (Some(1), &json!("nothing-ran")));
    let output = kvnet(UP.copy().0.path(), &["smoke", "reboot"]).output().unwrap();
    let err = text(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains("error[KVN807]"), "{err}");
}

#[test]
fn what_does_not_exist_is_a_mistake_of_the_user() {
    let place = Place(tempfile::tempdir().unwrap());
    for (arguments, code, says) in [
        (&["smoke", "fly"][..], "KVN806", "`fly`"),
        (&["smoke", "--tag", "fly"], "KVN806", "walkthrough"),
        (&["smoke", "--skip-case", "fly"], "KVN806", "`fly`"),
        (&["smoke", "--jobs", "0"], "KVN100", "1..=64"),
        (&["smoke", "list", "dns"], "KVN100", "dns"),
        (&["smoke", "--resume"], "KVN810", "no smoke test waits"),
    ] {
        let output = kvnet(place.0.path(), arguments).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(&format!("error[{code}]")) && err.contains(says), "{arguments:?}: {err}");
    }
}

/// A cluster that is broken in one way.
struct Broken {
    name: &'static str,
    /// What is done to it.
    by: fn(&Sandbox),
    /// More options.
    options: &'static [&'static str],
    /// Cases that fail, each with its code and a part of what it says.
    fails: &'static [(&'static str, &'static str, &'static str)],
    /// Cases that have nothing to do with it.
    passes: &'static [&'static str],
}

const BROKEN: &[Broken] = &[
    Broken {
        name: "an attachment is missing",
        by: |sandbox| delete(sandbox, &network("ovs-blue100")),
        options: &[],
        fails: &[("attachments", "KVN621", "default/ovs-blue100 is missing"), ("vlan-isolation", "KVN621", "ovs-blue100")],
        passes: &["default-network"],
    },
    Broken {
        name: "an attachment has lost its VLAN",
        by: |sandbox| configure(sandbox, "ovs-blue100", |config| _ = config.remove("vlan")),
        options: &[],
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
        fails: &[("attachments", "KVN622", "10.99.0.")],
        passes: &["a-bridge-network"],
    },
    Broken {
        name: "an attachment has another MTU than the profile",
        by: |_| {},
        options: &["--set", "networks[2].mtu=1400"],
        fails: &[("attachments", "KVN622", "MTU 1500 instead of 1400")],
        passes: &["same-network"],
    },
    Broken {
        name: "the bridge is gone",
        by: |sandbox| ovs_vsctl(sandbox, &["del-br", "blue"]),
        options: &[],
        fails: &[("same-network", "KVN605", "failed to find bridge blue")],
        passes: &["a-bridge-network", "default-network"],
    },
    Broken {
        name: "somebody's configuration comes before Multus'",
        by: |sandbox| {
            let flannel = sandbox.node().file("/etc/cni/net.d/10-flannel.conflist").unwrap().unwrap();
            sandbox.node().put_file("/etc/cni/net.d/00-aaa.conflist", &flannel, 0o600).unwrap();
        },
        options: &[],
        fails: &[("attachments", "KVN602", "00-aaa.conflist, which is not Multus'")],
        passes: &["default-network"],
    },
    Broken {
        name: "the plugin of ovs-cni is missing",
        by: |sandbox| sandbox.node().remove_file("/opt/cni/bin/ovs").unwrap(),
        options: &[],
        fails: &[("same-network", "KVN603", "failed to find plugin \"ovs\"")],
        passes: &["a-bridge-network", "default-network"],
    },
    Broken {
        name: "the cluster's DNS is down",
        by: |sandbox| {
            let key = ObjectKey::new("apps/v1", "Deployment", Some("kube-system"), "coredns");
            update(sandbox, &key, |deployment| deployment["spec"]["replicas"] = json!(0));
        },
        options: &[],
        fails: &[("dns", "KVN805", "no pods of a DNS server")],
        passes: &["default-network"],
    },
    Broken {
        name: "a port was left behind",
        by: |sandbox| {
            let link = NetworkLink { name: "vethleft".into(), kind: "veth".into(), up: true, mtu: 1500, ..Default::default() };
            sandbox.node().put_network_link(&link).unwrap();
            let ids = [("contPodUid", "gone"), ("contIface", "net1")].map(|(key, id)| (key.to_owned(), id.to_owned()));
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
        fails: &[("multus-restart", "KVN612", "no DaemonSet of Multus")],
        passes: &[],
    },
];

#[test]
fn a_broken_cluster_fails_the_right_case_with_the_right_words() {
    // Each trial spends its time in waiting, so they wait at the same time.
    std::thread::scope(|scope| {
        for broken in BROKEN {
            scope.spawn(|| try_broken(broken));
        }
    });
}

fn try_broken(broken: &Broken) {
    let place = UP.copy();
    place.change(broken.by);
    let failing = broken.fails.iter().map(|(case, ..)| *case);
    let cases: Vec<&str> = failing.chain(broken.passes.iter().copied()).collect();
    let collected = place.path("collected");
    let collect = ["--collect", collected.to_str().unwrap()];
    let junit = place.path("junit.xml");
    let ran = place.smoke(
        &[&cases[..], broken.options, &collect, &["--timeout", "30", "--junit", junit.to_str().unwrap()]].concat(),
    );
    let told = format!("{}: {:#}\n{}", broken.name, ran.report, ran.err);
    assert_eq!(ran.code, Some(1), "{told}");
    for (case, code, says) in broken.fails {
        let result = ran.case(case);
        assert_eq!((&result["status"], &result["failure"]["code"]), (&json!("failed"), &json!(code)), "{case}: {told}");
        assert!(result["failure"].to_string().contains(&says.replace('"', "\\\"")), "{case}: {told}");
        for file in ["result.json", "events.txt", "pods.yaml", "network-status.json", "cni.txt", "ipam.txt", "ovs-show.txt"] {
            assert!(collected.join(case).join(file).exists(), "{case} has no {file}: {told}");
        }
    }
    for case in broken.passes {
        assert_eq!(ran.case(case)["status"], "passed", "{case}: {told}");
    }
    assert!(place.is_clean(), "{told}");
    is_junit(&fs::read_to_string(junit).unwrap(), &[cases.len(), broken.fails.len(), 0]);
}

fn network(name: &str) -> ObjectKey {
    ObjectKey::new("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some("default"), name)
}

fn delete(sandbox: &Sandbox, key: &ObjectKey) {
    assert!(sandbox.api().delete(key, Removal::Asked).unwrap(), "{key}");
}

fn update(sandbox: &Sandbox, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
    let mut object = sandbox.api().get(key).unwrap().unwrap_or_else(|| panic!("there is no {key}"));
    change(&mut object);
    sandbox.api().update("somebody", &object).unwrap();
}

fn configure(sandbox: &Sandbox, name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    update(sandbox, &network(name), |network| {
        let mut config: Value = serde_json::from_str(network["spec"]["config"].as_str().unwrap()).unwrap();
        change(config.as_object_mut().unwrap());
        network["spec"]["config"] = config.to_string().into();
    });
}

fn ovs_vsctl(sandbox: &Sandbox, arguments: &[&str]) {
    use kvnet::host::Host;
    let command = kvnet::host::Command::new(["ovs-vsctl"].iter().chain(arguments).copied());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let node = sandbox.node().clone();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(runtime.block_on(node.run(&command)).unwrap().success()));
    });
}

/// Nothing that looks like a secret is collected, although the node has it.
#[test]
fn what_is_collected_has_no_secrets() {
    let place = UP.copy();
    place.change(|sandbox| {
        delete(sandbox, &network("ovs-blue"));
        let text = "users: [{name: multus, user: {token: eyJcanary.a.b}}]\nclient-key-data: canary\n";
        sandbox.node().put_file("/etc/cni/net.d/multus.kubeconfig", text.as_bytes(), 0o600).unwrap();
        let noisy = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "x", "namespace": "default"}});
        sandbox.api().create("somebody", &noisy).unwrap();
    });
    let ran = place.smoke(&["attachments"]);
    let collected = ran.case("attachments")["collected"].as_str().unwrap();
    assert!(collected.starts_with(place.path("box/state/smoke").to_str().unwrap()), "{collected}");
    let cni = fs::read_to_string(Path::new(collected).join("cni.txt")).unwrap();
    assert!(cni.contains("==> /etc/cni/net.d/multus.kubeconfig") && cni.contains("(hidden)"), "{cni}");
    for entry in fs::read_dir(collected).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!text.contains("canary"), "{text}");
    }
}

/// Ctrl-C ends the cases, which clean up, and the program says so.
#[test]
fn a_stopped_run_leaves_nothing() {
    let place = UP.copy();
    place.change(|sandbox| {
        let key = ObjectKey::new("v1", "Node", None, "sandbox");
        update(sandbox, &key, |node| {
            node["spec"]["taints"] = json!([{"key": "full", "effect": "NoSchedule"}]);
        });
    });
    let arguments = ["smoke", "default-network", "attachments", "leaks", "--jobs", "2", "--timeout", "600"];
    let mut child = kvnet(place.0.path(), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.by_ref().map(Result::unwrap).find(|line| line.contains(": waiting: "));
    assert!(waits.is_some(), "no case waits for anything");
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (text(&output.stdout), rest.join("\n"));
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
    assert!(err.contains("error[KVN503]") && out.contains("stopped  leaks"), "{out}{err}");
    assert!(place.is_clean(), "namespaces are left");
}

/// A run that was killed leaves namespaces, which the next one removes.
#[test]
fn what_a_killed_run_has_left_goes_with_the_next_one() {
    let place = UP.copy();
    place.change(|sandbox| {
        let labels = json!({"kvnet.dev/smoke": "dns", "kvnet.dev/smoke-by": "sandbox"});
        let left = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kvnet-smoke-dns-1", "labels": labels}});
        sandbox.api().create("kvnet", &left).unwrap();
    });
    assert!(!place.is_clean());
    assert_eq!(place.smoke(&["dns"]).code, Some(0));
    assert!(place.is_clean());
}

#[test]
fn the_report_is_for_people_too() {
    let place = UP.copy();
    place.change(|sandbox| delete(sandbox, &network("ovs-blue100")));
    let arguments = ["smoke", "attachments", "dns", "vmi", "--skip", "kubevirt,vm", "--collect", "there"];
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    for part in ["FAILED   attachments", "[KVN621]", "passed   dns", "skipped  vmi", "1 passed, 1 failed, 1 skipped in ", "collected in /"] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
    assert!(err.contains("error[KVN800]: 1 of 2 cases failed: attachments") && !err.contains('\u{1b}'), "{err}");
    assert!(place.path("there/attachments/result.json").exists());
}

#[test]
fn the_cases_are_listed() {
    let place = Place(tempfile::tempdir().unwrap());
    let list = text(&kvnet(place.0.path(), &["smoke", "list"]).output().unwrap().stdout);
    let data = kvnet(place.0.path(), &["smoke", "list", "-o", "json"]).output().unwrap();
    let data: Value = serde_json::from_slice(&data.stdout).unwrap();
    for case in kvnet::smoke::CASES {
        assert!(list.contains(&format!("{:18} {}\n", case.name, case.title)), "{list}");
        assert!(data["cases"].as_array().unwrap().iter().any(|listed| listed["case"] == case.name));
    }
}

/// What the usual schema of JUnit (that of Jenkins) allows: element, its attributes (`!`: must be there), its children.
const JUNIT: [(&str, &[&str], &[&str]); 8] = [
    ("testsuites", &["name", "time", "tests", "failures", "disabled", "errors"], &["testsuite"]),
    (
        "testsuite",
        &["name!", "tests!", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"],
        &["properties", "testcase", "system-out", "system-err"],
    ),
    (
        "testcase",
        &["name!", "assertions", "time", "classname", "status"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("skipped", &["type", "message"], &[]),
    ("error", &["type", "message"], &[]),
    ("failure", &["type", "message"], &[]),
    ("system-out", &[], &[]),
    ("system-err", &[], &[]),
];

/// Holds a file against the schema, and its sums against `[tests, failures, skipped]`.
fn is_junit(xml: &str, sums: &[usize; 3]) {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut open, mut count): (Vec<String>, BTreeMap<String, usize>) = (Vec::new(), BTreeMap::new());
    let mut claimed = BTreeMap::new();
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let name = String::from_utf8(element.name().as_ref().to_vec()).unwrap();
                let (_, attributes, _) = JUNIT.iter().find(|(known, ..)| *known == name).unwrap_or_else(|| panic!("{name}: {xml}"));
                let parent = open.last().map(|parent| JUNIT.iter().find(|(known, ..)| known == parent).unwrap());
                assert!(parent.map_or(name == "testsuites", |(_, _, children)| children.contains(&name.as_str())), "{name}: {xml}");
                let given: BTreeMap<String, String> = element
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = String::from_utf8(attribute.value.to_vec()).unwrap();
                        (String::from_utf8(attribute.key.as_ref().to_vec()).unwrap(), value)
                    })
                    .collect();
                for key in given.keys() {
                    assert!(attributes.iter().any(|known| known.trim_end_matches('!') == key), "{name} has {key}: {xml}");
                }
                for must in attributes.iter().filter_map(|known| known.strip_suffix('!')) {
                    assert!(given.contains_key(must), "{name} has no {must}: {xml}");
                }
                for number in ["time", "tests", "failures", "errors", "skipped", "disabled"].iter().filter_map(|key| given.get(*key)) {
                    number.parse::<f64>().unwrap();
                }
                *count.entry(name.clone()).or_default() += 1;
                if name == "testsuites" || name == "testsuite" {
                    claimed.insert(name.clone(), given);
                }
                if matches!(event, Event::Start(_)) {
                    open.push(name);
                }
            }
            Event::End(_) => _ = open.pop(),
            Event::Eof => break,
            _ => {}
        }
    }
    let found = ["testcase", "failure", "skipped"].map(|name| count.get(name).copied().unwrap_or_default());
    assert_eq!(found, *sums, "{xml}");
    assert_eq!(claimed["testsuites"]["tests"], sums[0].to_string());
    assert_eq!(claimed["testsuites"]["failures"], sums[1].to_string());
}
