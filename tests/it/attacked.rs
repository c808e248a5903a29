//! Attacks that get as far as what they attack: this machine is a node of the cluster, consent is given, and what is in the
//! way is the one thing that they are after.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;

use kvnet::cluster::ObjectKey;
use kvnet::sandbox::Options;
use kvnet::sandbox::api::{Fault, Interference, ReceivedRequest};
use serde_json::{Value, json};

use crate::KVNET;
use kvnet_test_kit::run::{Place, is_root, text};
use kvnet_test_kit::served::{Served, served};

/// Runs as the node of a served cluster, on Debian, with whatever the place has as `etc` and `bin`.
const AS_NODE: &str = "set -eu; hostname \"$NAME\"; mount -t tmpfs t /mnt; mkdir /mnt/upper /mnt/work; \
    mount -t overlay -o lowerdir=/etc,upperdir=/mnt/upper,workdir=/mnt/work o /etc; \
    mkdir -p /etc/kubernetes; rm -f /etc/os-release /etc/machine-id; cp -r \"$PLACE\"/etc/. /etc/; exec \"$PROGRAM\" \"$@\"";

/// A machine that is the node `sandbox` of a cluster.
struct Node {
    place: Place,
    cluster: Served,
    /// What the machine calls itself.
    hostname: &'static str,
}

impl Node {
    fn new() -> Self {
        let (place, cluster) = (Place::new(), served(&Options::default()));
        for directory in ["etc/kubernetes", ".kube", "bin", "own"] {
            fs::create_dir_all(place.path(directory)).unwrap();
        }
        let key = ObjectKey::new("v1", "Node", None, "sandbox");
        let live = cluster.sandbox.api().get(&key).unwrap().unwrap();
        let machine = live["status"]["nodeInfo"]["machineID"].as_str().unwrap();
        place.write("etc/machine-id", &format!("{machine}\n"));
        place.write("etc/os-release", "ID=debian\nVERSION_ID=\"13\"\nPRETTY_NAME=\"Debian GNU/Linux 13\"\n");
        place.kubeconfig(".kube/config", &cluster.address);
        Self { place, cluster, hostname: "sandbox" }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        let own = ["--mount", "--uts", "--user", "--map-root-user"];
        command.args(if is_root() { &own[..2] } else { &own[..] }).args(["bash", "-c", AS_NODE, "kvnet"]);
        command.args(arguments).env_clear().stdin(Stdio::null());
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.place.path("bin").display());
        command.env("PATH", path).env("HOME", self.place.path("")).env("PLACE", self.place.path(""));
        command.env("NAME", self.hostname);
        command.env("PROGRAM", KVNET).env("KVNET_STATE_DIR", self.place.path("own/state"));
        command
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    fn writes(&self) -> Vec<String> {
        let all = self.cluster.sandbox.api().requests().into_iter();
        let ours = all.filter(|request| request.user_agent.starts_with("kvnet") && request.method != "GET");
        ours.map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    /// Lets the cluster have these nodes and no other.
    fn has(&self, nodes: &[Made]) {
        let api = self.cluster.sandbox.api();
        let first = api.get(&ObjectKey::new("v1", "Node", None, "sandbox")).unwrap().unwrap();
        let made = nodes.iter().map(|(name, machine, called)| {
            let mut node = first.clone();
            node["metadata"]["name"] = json!(name);
            node["metadata"]["labels"] = json!({"kubernetes.io/hostname": called});
            if *machine != "own" {
                node["status"]["nodeInfo"]["machineID"] = json!(machine);
            }
            node["status"]["addresses"] = json!([{"type": "Hostname", "address": called}]);
            node
        });
        let list = json!({"kind": "NodeList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": made.collect::<Vec<_>>()});
        api.interfere(Arc::new(Nodes(list.to_string())));
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.place.path("bin").join(name);
        fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// A node of the served cluster, as it is made: its name, its machine-id (`own` is this machine's), and what it is called.
type Made = (&'static str, &'static str, &'static str);

/// Answers whoever asks for the nodes.
struct Nodes(String);

impl Interference for Nodes {
    fn fault(&self, request: &ReceivedRequest) -> Option<Fault> {
        let path = request.path.split('?').next().unwrap_or_default();
        (path == "/api/v1/nodes").then(|| Fault::Garbage(self.0.clone()))
    }
}

/// Who this machine takes itself for, as a host of that name, among these nodes.
const IDENTITIES: [(&str, &[Made], Option<&str>); 9] = [
    ("CP-1", &[("cp-1", "own", "cp-1"), ("w-1", "b", "w-1"), ("w-2", "c", "w-2")], Some("cp-1")),
    // `cluster.init.nodeName`.
    ("cp-1", &[("control", "own", "control"), ("w-1", "b", "w-1")], Some("control")),
    // Clouds name nodes by the whole name.
    ("cp-1", &[("cp-1.example.org", "", "cp-1.example.org")], Some("cp-1.example.org")),
    // Clones of one image: one that is called so, and one that is not.
    ("w-2", &[("w-1", "own", "w-1"), ("w-2", "own", "w-2")], Some("w-2")),
    ("w-3", &[("w-1", "own", "w-1"), ("w-2", "own", "w-2")], None),
    // A laptop, also one that is called as a node is.
    ("laptop", &[("n-1", "a", "n-1"), ("n-2", "b", "n-2"), ("n-3", "c", "n-3")], None),
    ("n-1", &[("n-1", "a", "n-1"), ("n-2", "b", "n-2"), ("n-3", "c", "n-3")], None),
    // A name that is another node's address says nothing.
    ("n-1", &[("10.0.0.9", "", "10.0.0.9"), ("10.0.0.8", "", "10.0.0.8")], None),
    // This node was deleted, and it was the only one.
    ("n-1", &[], None),
];

#[test]
fn every_command_takes_this_machine_for_the_same_node_or_refuses_it() {
    std::thread::scope(|scope| {
        for (hostname, nodes, expected) in IDENTITIES {
            scope.spawn(move || is_taken_for(hostname, nodes, expected));
        }
    });
    let refused = IDENTITIES.iter().filter(|(.., expected)| expected.is_none()).count();
    kvnet_test_kit::count::record("identities refused", refused);
}

fn is_taken_for(hostname: &'static str, nodes: &[Made], expected: Option<&str>) {
    let node = Node { hostname, ..Node::new() };
    node.has(nodes);
    let what = format!("{hostname} among {nodes:?}");
    let json = |arguments: &[&str]| -> (i32, Value) {
        let (code, out, err) = node.run(&[arguments, &["-o", "json"]].concat());
        (code, serde_json::from_str(&out).unwrap_or_else(|error| panic!("{what}: {error}: {out}{err}")))
    };
    let refused = |said: &Value| said["code"] == "KVN510";
    for command in [&["plan", "--only", "kernel"][..], &["down", "--dry-run", "--only", "kernel"]] {
        let (code, said) = json(command);
        match expected {
            Some(name) => assert_eq!(said["target"]["node"], name, "{what}: {command:?}: {said}"),
            None => assert!(code == 1 && refused(&said), "{what}: {command:?}: {said}"),
        }
    }
    // Without consent it gets no further than that.
    let (code, said) = json(&["up", "--only", "kernel"]);
    let code_of = if expected.is_some() { "KVN100" } else { "KVN510" };
    assert_eq!((code != 0, said["code"].as_str()), (true, Some(code_of)), "{what}: {said}");
    let (_, status) = json(&["status", "--only", "kernel"]);
    assert_eq!(status.to_string().contains("KVN510"), expected.is_none(), "{what}: {status}");
    let (_, doctor) = json(&["doctor"]);
    let checks = doctor["checks"].as_array().unwrap();
    let kernel = checks.iter().find(|check| check["check"] == "kernel").unwrap();
    assert_eq!(kernel["state"] == "unknown", expected.is_none(), "{what}: {kernel}");
    assert_eq!(node.writes(), [] as [&str; 0], "{what}");
}

const OTHER: &str = r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": "0d7f5e36-1d5f-4f39-9d5f-6a7f8b9c0d1e"}}"#;

#[test]
fn a_node_of_one_cluster_does_not_change_another_in_which_it_is_known_too() {
    let node = Node::new();
    let here = crate::it::server::serve(Some(("200 OK", "application/json", OTHER)));
    node.place.kubeconfig("etc/kubernetes/admin.conf", &here);
    for command in
        [&["plan"][..], &["up", "--yes"], &["up", "--yes", "--only", "networks"], &["down", "--yes"]]
    {
        let (code, out, err) = node.run(command);
        assert_eq!((code, out.as_str()), (1, ""), "{command:?}: {err}");
        let told = format!("error[KVN511]: this node belongs to the cluster at {here}, but kvnet would use");
        assert!(err.contains(&told) && err.contains(&node.cluster.address), "{command:?}: {err}");
    }
    assert_eq!(node.writes(), [] as [&str; 0]);
    // It was nothing else that was in the way.
    node.place.kubeconfig("etc/kubernetes/admin.conf", &node.cluster.address);
    let (code, out, err) = node.run(&["plan", "--only", "taints,kernel"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains("this machine is its node sandbox"), "{out}");
}

#[test]
fn a_kubeconfig_behind_a_link_is_neither_written_nor_copied() {
    let node = Node::new();
    let own = fs::read_to_string(node.place.path(".kube/config")).unwrap();
    node.place.write("etc/kubernetes/admin.conf", &own.replace("here", "admin"));
    let (link, target) = (node.place.path(".kube/config"), node.place.path("dotfile"));
    fs::rename(&link, &target).unwrap();
    symlink(&target, &link).unwrap();
    let before = fs::read(&target).unwrap();
    let (code, _, err) = node.run(&["up", "--yes", "--only", "kubeconfig"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("error[KVN207]") && err.contains(".kube/config"), "{err}");
    assert!(!err.contains("readable by other users"), "the mode of a link says nothing: {err}");
    assert_eq!(fs::read(&target).unwrap(), before);
    let names = |directory: &str| -> Vec<String> {
        let entries = fs::read_dir(node.place.path(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names(".kube"), ["config"], "a copy lies about");
}

/// Tells that it has begun, and goes on when it is told to.
const APT: &str = r#"case "$*" in *--simulate*) echo "Inst openvswitch-switch (3.1 x)"; exit 0;; esac
echo begun >"$HOME/begun"; read -r word <"$HOME/goon"
for i in 1 2 3; do echo "Unpacking part $i ..." || exit 1; done
echo finished >"$HOME/finished""#;

#[test]
fn a_terminal_that_goes_away_leaves_no_half_installed_package() {
    let node = Node::new();
    node.program("apt-get", APT);
    node.program(
        "systemctl",
        "case \"$1\" in list-unit-files) echo;; is-*) echo inactive; exit 3;; esac; exit 0",
    );
    node.program("dpkg-query", r#"printf "ii  bash\nii  coreutils\nii  dpkg\n""#);
    for fifo in ["begun", "goon"] {
        assert!(Command::new("mkfifo").arg(node.place.path(fifo)).status().unwrap().success());
    }
    let mut command = node.command(&["up", "--yes", "--only", "ovs-package"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut word = String::new();
    File::open(node.place.path("begun")).unwrap().read_to_string(&mut word).unwrap();
    assert_eq!(word, "begun\n");
    let pid = rustix::process::Pid::from_child(&child);
    // Its output is closed, too.
    drop((child.stdout.take(), child.stderr.take()));
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    fs::OpenOptions::new().write(true).open(node.place.path("goon")).unwrap().write_all(b"go\n").unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(130), None));
    assert!(node.place.path("finished").exists(), "the package manager was cut off");
    let journal = fs::read_to_string(node.place.path("own/state/journal.jsonl")).unwrap();
    assert!(journal.contains("\"done\""), "the change in progress is on record: {journal}");
}
