//! `kvnet sysdump` in the sandbox: what is in it, what is not, and that commands on it say what they said on the node.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use kvnet::sandbox::Sandbox;
use serde_json::{Value, json};

use crate::it::smoke_place::{Place, kvnet, update};
use kvnet::cluster::ObjectKey;
use kvnet_test_kit::run::{As, Place as Bare, text};

/// What looks like a secret, planted in every place that a dump is made of.
const CANARY: &str = "canary-8f3a61c0d2";

/// The files of a dump by their names in its folder.
fn files(path: &Path) -> BTreeMap<String, String> {
    let archive = flate2::read::GzDecoder::new(fs::File::open(path).unwrap());
    let mut archive = tar::Archive::new(archive);
    let file = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry: tar::Entry<'_, _> = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (path.split_once('/').unwrap().1.to_owned(), text)
    };
    archive.entries().unwrap().map(file).collect()
}

/// Makes a dump of a sandbox, and returns its path and its files.
fn dumped(place: &Place) -> (String, BTreeMap<String, String>) {
    let path = place.path("dump.tar.gz").to_string_lossy().into_owned();
    let output = kvnet(place.0.path(), &["sysdump", "--file", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let files = files(Path::new(&path));
    (path, files)
}

/// The lines of a diagnosis that are not about what is left out of a dump.
fn checks(printed: &[u8]) -> Vec<String> {
    let about_secrets = |line: &str| line.contains(" profile ") || line.contains(" hold");
    text(printed).lines().filter(|line| !about_secrets(line)).map(str::to_owned).collect()
}

#[test]
fn commands_say_of_a_dump_what_they_said_of_the_node() {
    let place = Place::up(&[]);
    let (dump, files) = dumped(&place);
    for name in ["doctor.txt", "status.txt", "topology.txt", "cluster/Pod.yaml", "kvnet/journal.jsonl"] {
        assert!(files.contains_key(name), "{name}: {:?}", files.keys());
    }
    assert!(files.keys().any(|name| name.starts_with("traces/vmi-vm-two-nics")), "{:?}", files.keys());
    let bare = Bare::new();
    for command in [&["doctor"][..], &["topology"], &["trace", "vmi/vm-two-nics", "--no-console"]] {
        let live = kvnet(place.0.path(), command).output().unwrap();
        let offline = bare.kvnet(As::Tester, &[command, &["--from", &dump]].concat(), &[]);
        assert_eq!(checks(&offline.stdout), checks(&live.stdout), "{command:?}: {}", text(&offline.stderr));
        assert_eq!(offline.status.code(), live.status.code(), "{command:?}");
    }
    let plan = bare.kvnet(As::Tester, &["plan", "--from", &dump], &[]);
    assert_eq!(plan.status.code(), Some(0), "{}", text(&plan.stdout));
}

#[test]
fn a_break_is_found_in_the_dump() {
    let place = Place::up(&["--skip", "kubevirt,vm"]);
    place.change(|sandbox| {
        let taint = json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
        update(sandbox, &ObjectKey::new("v1", "Node", None, "sandbox"), |node| {
            node["spec"]["taints"] = taint;
        });
    });
    let (dump, files) = dumped(&place);
    assert!(files["doctor.txt"].contains("KVN631"), "{}", files["doctor.txt"]);
    let output = Bare::new().kvnet(As::Tester, &["doctor", "--from", &dump, "-o", "json"], &[]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["broken"]["code"], "KVN631", "{report}");
}

/// Secrets in objects, annotations, environment, files, logs and the profile.
fn plant(sandbox: &Sandbox) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "planted", "namespace": "default"},
        "stringData": {"password": CANARY}});
    sandbox.api().create("test", &secret).unwrap();
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "planted", "namespace": "default",
            "annotations": {"note": format!("password={CANARY}")}},
        "data": {"config": format!("users: [{{name: u, user: {{token: {CANARY}}}}}]"),
            "env": format!("DB_PASSWORD={CANARY}"), "url": format!("https://u:{CANARY}@example.com/x")}});
    sandbox.api().create("test", &config).unwrap();
    let node = sandbox.node();
    node.put_file(
        "/etc/cni/net.d/multus.d/multus.kubeconfig",
        format!("token: {CANARY}\n").as_bytes(),
        0o600,
    )
    .unwrap();
    node.put_file("/etc/containerd/config.toml", format!("password = \"{CANARY}\"\n").as_bytes(), 0o600)
        .unwrap();
}

#[test]
fn planted_secrets_are_nowhere_in_a_dump() {
    let set = format!("vm.login.password={CANARY}");
    let place = Place::up(&["--set", &set]);
    place.change(plant);
    let path = place.path("dump.tar.gz").to_string_lossy().into_owned();
    let output = kvnet(place.0.path(), &["sysdump", "--set", &set, "--file", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let files = files(Path::new(&path));
    assert!(files["cluster/ConfigMap.yaml"].contains("planted"), "the planted objects are in the dump");
    for name in ["etc/containerd/config.toml", "etc/cni/net.d/multus.d/multus.kubeconfig"] {
        assert!(files.contains_key(&format!("node/files/{name}")), "{name}: {:?}", files.keys());
    }
    for (name, text) in &files {
        assert!(
            !text.contains(CANARY),
            "{name}: {}",
            text.lines().find(|line| line.contains(CANARY)).unwrap()
        );
    }
}

#[test]
fn without_a_cluster_the_node_is_still_dumped() {
    let place = Bare::new();
    let arguments =
        ["sysdump", "--kubeconfig", "DIR/refused.yaml", "--timeout", "2", "--file", "DIR/d.tar.gz"];
    let output = place.kvnet(As::Tester, &arguments, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("could not be collected"), "{}", text(&output.stderr));
    let logs: Vec<_> =
        fs::read_dir(place.path("state/logs")).unwrap().map(|log| log.unwrap().file_name()).collect();
    assert!(logs.iter().any(|log| log.to_string_lossy().ends_with("-sysdump.log")), "{logs:?}");
    let files = files(&place.path("d.tar.gz"));
    assert!(files["not-collected.txt"].contains("KVN301"), "{}", files["not-collected.txt"]);
    assert!(files.contains_key("node/files/proc/meminfo"), "{:?}", files.keys());
    assert!(files["doctor.txt"].contains("KVN301"), "{}", files["doctor.txt"]);
    let offline = place.kvnet(As::Tester, &["doctor", "--from", "DIR/d.tar.gz"], &[]);
    assert_eq!(offline.status.code(), Some(1), "{}", text(&offline.stderr));
    assert!(text(&offline.stdout).contains("KVN301"), "{}", text(&offline.stdout));
}

#[test]
fn what_is_no_dump_is_refused_and_a_file_is_not_overwritten() {
    let place = Bare::new();
    place.write("mine.txt", "mine");
    let refused = place.kvnet(As::Tester, &["doctor", "--from", "DIR/mine.txt"], &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("KVN830"), "{}", text(&refused.stderr));
    let kept = place.kvnet(As::Tester, &["sysdump", "--sandbox", "--file", "DIR/mine.txt"], &[]);
    assert_eq!(kept.status.code(), Some(1));
    assert!(text(&kept.stderr).contains("KVN832"), "{}", text(&kept.stderr));
    assert_eq!(fs::read_to_string(place.path("mine.txt")).unwrap(), "mine");
}

#[test]
fn a_dump_says_where_it_is_as_data() {
    let place = Bare::new();
    let output =
        place.kvnet(As::Tester, &["sysdump", "--sandbox", "--file", "DIR/d.tar.gz", "-o", "json"], &[]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["file"], place.path("d.tar.gz").to_str().unwrap());
    assert!(report["files"].as_u64().unwrap() > 10 && report["missing"].is_u64(), "{report}");
}
