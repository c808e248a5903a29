//! A sandbox, a cluster and a command line that somebody made to hurt.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use camino::Utf8PathBuf;
use kvnet::sandbox::store::Store;
use serde_json::{Value, json};

use crate::survives::host::UP;
use crate::survives::hostile::{ESCAPES, on_terminal};
use kvnet_test_kit::count;
use kvnet_test_kit::run::{As, Place, text};

/// What a page would run and a terminal would obey.
const MARKUP: &str = "<script>owned()</script><img src=x onerror=owned()>\"'&\u{1b}]0;owned\u{7}\u{202e}";
const KEPT: [&str; 2] = ["--sandbox-dir", "DIR/kept"];

fn change(place: &Place, write: impl FnOnce(&mut kvnet::sandbox::store::Transaction<'_>)) {
    let directory = Utf8PathBuf::from_path_buf(place.path("kept")).unwrap();
    Store::on_disk(&directory).unwrap().write(write).unwrap();
}

/// Objects that no API server would take, as one that lies could send them.
fn hostile_objects() -> Vec<(&'static str, Value)> {
    let metadata = |name: &str| {
        json!({"name": name, "namespace": "default", "uid": "u1", "resourceVersion": "9", "creationTimestamp": "2026-01-01T00:00:00Z",
        "labels": {"app": MARKUP, MARKUP: "x"},
        "annotations": {
            "k8s.v1.cni.cncf.io/networks": format!("{MARKUP}@{MARKUP}"),
            "k8s.v1.cni.cncf.io/network-status": json!([
                {"name": MARKUP, "interface": MARKUP, "ips": [MARKUP], "mac": MARKUP, "default": true},
                {"name": format!("default/{MARKUP}"), "interface": MARKUP, "ips": ["10.9.9.9"], "mac": "02:00:00:00:00:01"},
            ]).to_string(),
        }})
    };
    let pod = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name),
            "spec": {"nodeName": "sandbox", "containers": [{"name": MARKUP, "image": MARKUP}]},
            "status": {"phase": "Running", "podIP": MARKUP, "hostIP": MARKUP, "message": MARKUP,
                "conditions": [{"type": "Ready", "status": "False", "reason": MARKUP, "message": MARKUP}]}})
    };
    vec![("api/core/pods/default/evil", pod("evil")), ("api/core/pods/default/worse", pod(MARKUP))]
}

#[test]
fn names_and_annotations_of_a_cluster_are_text_in_every_format() {
    let place = Place::new();
    place.mine("kept");
    let first = place.kvnet(As::Tester, &["plan", "--sandbox-dir", "DIR/kept"], &[]);
    assert_eq!(first.status.code(), Some(3), "{}", text(&first.stderr));
    change(&place, |store| {
        for (key, object) in hostile_objects() {
            store.put(key, object);
        }
    });
    let mut count = 0;
    for (command, formats) in [
        (&["topology"][..], &["text", "json", "yaml", "dot", "svg", "html"][..]),
        (&["trace", "pod/evil", "-v"], &["text", "json", "yaml"]),
        (&["doctor", "-vv"], &["text", "json", "yaml"]),
        (&["plan", "-vv"], &["text", "json"]),
        (&["status", "-vv"], &["text", "json"]),
    ] {
        for format in formats {
            let what = format!("{command:?} -o {format}");
            let output = place.kvnet(As::Tester, &[command, &KEPT, &["-o", format]].concat(), &[]);
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            assert!(!err.contains("panicked") && output.status.code() != Some(101), "{what}: {err}");
            for escape in ["\u{1b}", "\u{7}", "\u{202e}"] {
                assert!(!out.contains(escape) && !err.contains(escape), "{what} has {escape:?}: {out}{err}");
            }
            if ["svg", "html"].contains(format) {
                assert!(out.contains("owned()"), "{what}: the text did not get this far");
                let tags = ["<script>owned", "<img", "<script "];
                assert!(tags.iter().all(|tag| !out.contains(tag)), "{what}: {out}");
            }
            count += 1;
        }
    }
    count::record("hostile inputs", count);
}

#[test]
fn a_sandbox_that_was_tampered_with_is_refused_or_used_and_never_a_panic() {
    let brackets = [vec![b'['; 100_000], vec![b'\n']].concat();
    let lines: Vec<Vec<u8>> = vec![
        b"what\n".to_vec(),
        vec![0xff, 0xfe, b'\n'],
        brackets,
        b"[]\n".to_vec(),
        b"{}\n".to_vec(),
        b"[[1,2]]\n".to_vec(),
        b"[[\"api/core/nodes/-/sandbox\",5]]\n".to_vec(),
        b"[[\"api/core/pods/default/x\",{\"metadata\":[]}]]\n".to_vec(),
        b"[[\"api/\",{}],[\"api/core\",{}],[\"api/core/pods/default/x/y/z\",{}],[\"\",null]]\n".to_vec(),
        b"[[\"api/apiextensions.k8s.io/customresourcedefinitions/-/x\",{\"spec\":{\"versions\":7}}]]\n".to_vec(),
        b"[[\"ovs\",[]],[\"node/seed\",\"x\"],[\"link/eth0\",7]]\n".to_vec(),
        b"[[\"ovs\",{\"tables\":{\"Bridge\":{\"x\":{\"ports\":[\"uuid\",\"nowhere\"]}}}}]]\n".to_vec(),
        b"[[\"file/etc/os-release\",{\"kind\":\"nonsense\"}],[\"file/etc\",{\"kind\":\"link\",\"target\":\"/etc\"}]]\n".to_vec(),
        b"[[\"package/bash\",[]],[\"unit/openvswitch-switch\",0],[\"node/sandbox/x\",[]],[\"node/count/x\",\"y\"]]\n".to_vec(),
        format!("{}\n", json!([["file/etc/kubernetes/admin.conf", {"kind": "file", "content": ESCAPES}]])).into_bytes(),
    ];
    let place = Place::new();
    place.mine("kept");
    place.kvnet(As::Tester, &[&["plan"][..], &KEPT].concat(), &[]);
    let path = place.path("kept/sandbox.jsonl");
    let whole = fs::read(&path).unwrap();
    for (number, line) in lines.iter().enumerate() {
        fs::write(&path, [&whole[..], &line[..]].concat()).unwrap();
        let command = [&["plan", "--skip", "kubevirt,vm"][..], &["down", "--dry-run"]][number % 2];
        let output = place.kvnet(As::Tester, &[command, &KEPT].concat(), &[]);
        let err = text(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(0..=4)) && !err.contains("panicked"),
            "line {number}, {command:?}: {:?} {err}",
            output.status
        );
    }
    count::record("hostile inputs", lines.len());
}

#[test]
fn what_is_typed_cannot_move_the_cursor() {
    let set = format!("{ESCAPES}=1");
    let commands: &[&[&str]] = &[
        &["explain", ESCAPES],
        &["man", ESCAPES],
        &["completions", ESCAPES],
        &[ESCAPES],
        &["plan", "--only", ESCAPES],
        &["plan", "--set", &set],
        &["plan", "--profile", ESCAPES],
        &["plan", "--kubeconfig", ESCAPES],
        &["trace", ESCAPES, "--sandbox"],
        &["console", ESCAPES, "--sandbox"],
        &["plan", "--sandbox-node", ESCAPES],
    ];
    for arguments in commands {
        let place = Place::new();
        let printed = on_terminal(&place, arguments, "").replace("\r\n", "\n");
        assert!(printed.contains("KVN"), "{arguments:?}: {printed}");
        for escape in ["\u{1b}]", "\u{7}", "\u{1b}[2J", "\u{9b}", "\u{202e}", "\r", "\u{8}"] {
            assert!(!printed.contains(escape), "{arguments:?}: {printed:?}");
        }
    }
    count::record("hostile inputs", commands.len());
}

/// A shell asks kvnet for the contexts of the kubeconfig, which may be anybody's.
#[test]
fn completions_offer_nothing_that_a_terminal_obeys() {
    let place = Place::new();
    place.write(
        "k",
        "apiVersion: v1\nkind: Config\ncurrent-context: x\nclusters: []\nusers: []\n\
         contexts: [{name: \"a\\e]0;owned\\a\\x9b31m\\u202e\\r\\b\"}, {name: \"b\\nc\"}, {name: plain}]\n",
    );
    fs::write(place.path(&format!("file-{}", "\u{1b}]0;owned\u{7}")), "").unwrap();
    for (shell, words) in [
        ("bash", &["kvnet", "plan", "--context", ""][..]),
        ("zsh", &["kvnet", "plan", "--context", ""]),
        ("fish", &["kvnet", "plan", "--context", ""]),
        ("fish", &["kvnet", "plan", "--profile", "DIR/file"]),
    ] {
        let index = (words.len() - 1).to_string();
        let variables = [
            ("KVNET_COMPLETE", shell),
            ("_CLAP_COMPLETE_INDEX", index.as_str()),
            ("KUBECONFIG", "DIR/k"),
            ("_CLAP_IFS", "\n"),
        ];
        let output = place.kvnet(As::Tester, &[&["--"], words].concat(), &variables);
        let out = text(&output.stdout);
        assert!(
            !words.contains(&"--context") || out.contains("plain"),
            "{shell}: {out} {}",
            text(&output.stderr)
        );
        for bad in ["\u{1b}", "\u{7}", "\u{9b}", "\u{202e}", "\r", "\nc"] {
            assert!(!out.contains(bad), "{shell} {words:?}: {out:?}");
        }
    }
    count::record("hostile inputs", 4);
}

fn up() -> Vec<&'static str> {
    [UP, &["cluster.kubeconfig.path=DIR/home/config"]].concat()
}

/// Links in the state directory that lead to a file of somebody else.
#[test]
fn the_state_directory_leads_nowhere_else() {
    let links = ["journal.jsonl", "lock", ".verified.json.new", "verified.json"];
    for link in links {
        let place = Place::new();
        fs::create_dir(place.path("home")).unwrap();
        place.write("victim", "theirs");
        symlink(place.path("victim"), place.path("state").join(link)).unwrap();
        place.kvnet(As::Tester, &up(), &[]);
        assert_eq!(fs::read_to_string(place.path("victim")).unwrap(), "theirs", "{link}");
    }
    count::record("hostile inputs", links.len());
}

#[test]
fn a_state_directory_of_others_is_refused() {
    type Prepare = fn(&Place);
    let rows: [(&str, Prepare); 3] = [
        ("a link", |place| {
            fs::rename(place.path("state"), place.path("real")).unwrap();
            symlink(place.path("real"), place.path("linked")).unwrap();
            fs::create_dir(place.path("state")).unwrap();
        }),
        ("everybody's", |place| {
            fs::create_dir(place.path("linked")).unwrap();
            fs::set_permissions(place.path("linked"), fs::Permissions::from_mode(0o777)).unwrap();
        }),
        ("the group's", |place| {
            fs::create_dir(place.path("linked")).unwrap();
            fs::set_permissions(place.path("linked"), fs::Permissions::from_mode(0o770)).unwrap();
        }),
    ];
    for (name, prepare) in rows {
        let place = Place::new();
        fs::create_dir(place.path("home")).unwrap();
        prepare(&place);
        let output = place.kvnet(As::Tester, &up(), &[("KVNET_STATE_DIR", "DIR/linked")]);
        let err = text(&output.stderr);
        assert!(output.status.code() == Some(1) && err.contains("error[KVN207]"), "{name}: {err}");
        assert_eq!(fs::read_dir(place.path("linked")).unwrap().count(), 0, "{name}");
    }
    count::record("hostile inputs", 3);
}
