//! Every failure that a user can cause or meet before a node is touched: exit code, error code, a hint, and nothing on
//! standard output.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::it::server::serve;
use kvnet_test_kit::run::{As, Place, text};

/// One failure.
pub struct Row {
    /// What is wrong.
    pub name: &'static str,
    /// What is prepared.
    pub prepare: fn(&Place),
    /// Who runs it.
    pub who: As,
    /// The command line; `DIR` is the place.
    pub arguments: &'static [&'static str],
    /// More of the environment.
    pub variables: &'static [(&'static str, &'static str)],
    /// The exit code.
    pub exit: i32,
    /// The error code.
    pub code: &'static str,
    /// A part of the message or of a hint.
    pub says: &'static str,
}

/// What the rows leave out.
pub const ROW: Row = Row {
    name: "",
    prepare: |_| {},
    who: As::Tester,
    arguments: &[],
    variables: &[],
    exit: 2,
    code: "",
    says: "",
};

/// Changes this node if it may: so it runs only as a user who may not, or stops before its first change.
/// Without a cluster: one that is going to be made here.
const UP: &[&str] = &["up", "--yes", "--only", "kernel", "--set", "cluster.init.enabled=true"];
const DOWN: &[&str] = &["down", "--dry-run", "--kubeconfig", "DIR/refused.yaml"];

/// Runs each and looks at what it says.
pub fn check(rows: &[Row]) {
    for row in rows {
        let place = Place::new();
        (row.prepare)(&place);
        let output = place.kvnet(row.who, row.arguments, row.variables);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let told = format!("{} ({:?}): {:?}\n{out}\n{err}", row.name, row.arguments, output.status.code());
        assert_eq!(output.status.code(), Some(row.exit), "{told}");
        assert!(err.contains(&format!("error[{}]: ", row.code)), "{told}");
        assert!(err.contains(row.says), "{told}");
        assert!(out.is_empty() && !err.contains("panicked") && !err.contains('\u{1b}'), "{told}");
        assert!(!err.contains("token-canary"), "{told}");
    }
}

#[test]
fn a_selection_of_nothing() {
    check(&[
        Row {
            name: "a selection that leaves nothing",
            arguments: &["plan", "--only", "networks", "--skip", "networks"],
            code: "KVN100",
            says: "leave no step",
            ..ROW
        },
        Row {
            name: "a selection that leaves nothing of what is there",
            arguments: &["down", "--only", "vm", "--skip", "vm,networks"],
            code: "KVN100",
            says: "leave no step",
            ..ROW
        },
    ]);
}

#[test]
fn the_command_line() {
    check(&[
        Row { name: "no command of that name", arguments: &["plna"], code: "KVN100", says: "'plan'", ..ROW },
        Row {
            name: "no such option",
            arguments: &["plan", "--onyl", "x"],
            code: "KVN100",
            says: "'--only'",
            ..ROW
        },
        Row {
            name: "an option without its value",
            arguments: &["plan", "--set"],
            code: "KVN100",
            says: "PATH=VALUE",
            ..ROW
        },
        Row {
            name: "no such format",
            arguments: &["plan", "-o", "xml"],
            code: "KVN100",
            says: "text, json, yaml",
            ..ROW
        },
        Row {
            name: "a wait of nothing",
            arguments: &["plan", "--timeout", "0"],
            code: "KVN100",
            says: "1..=86400",
            ..ROW
        },
        Row {
            name: "no such shell",
            arguments: &["completions", "tcsh"],
            code: "KVN100",
            says: "zsh",
            ..ROW
        },
        Row {
            name: "no such error code",
            arguments: &["explain", "KVN999"],
            code: "KVN100",
            says: "`kvnet explain`",
            ..ROW
        },
        Row {
            name: "no step of that name",
            arguments: &["plan", "--only", "flanel"],
            code: "KVN106",
            says: "ovs-bridges, flannel",
            ..ROW
        },
        Row {
            name: "no step to skip",
            arguments: &["down", "--yes", "--skip", "vmm"],
            code: "KVN106",
            says: "the steps are",
            ..ROW
        },
        Row {
            name: "down without anybody to ask",
            prepare: |place| place.write("state/journal.jsonl", WRITTEN),
            // Kept from acting by the missing answer; and by its user, if that should ever break.
            who: As::Nobody,
            arguments: &["down", "--only", "kernel", "--set", "cluster.init.enabled=true"],
            code: "KVN100",
            says: "`--yes`",
            ..ROW
        },
    ]);
}

#[test]
fn the_profile() {
    check(&[
        Row {
            name: "no profile of that name",
            arguments: &["plan", "-p", "defalt"],
            code: "KVN101",
            says: "`default`",
            ..ROW
        },
        Row {
            name: "two profiles",
            arguments: &["profile", "show", "walkthrough-2018", "-p", "default"],
            code: "KVN100",
            says: "`walkthrough-2018` and `--profile default`",
            ..ROW
        },
        Row {
            name: "nothing on standard input",
            arguments: &["plan", "-p", "-"],
            code: "KVN102",
            says: "standard input",
            ..ROW
        },
        Row {
            name: "no such file",
            arguments: &["plan", "-p", "DIR/none.yaml"],
            code: "KVN101",
            says: "none.yaml",
            ..ROW
        },
        Row {
            name: "not YAML",
            prepare: |place| place.write("p.yaml", "name: x\n  ovs: [\n"),
            arguments: &["profile", "validate", "-p", "DIR/p.yaml"],
            code: "KVN102",
            says: "p.yaml:2:",
            ..ROW
        },
        Row {
            name: "an unknown field",
            arguments: &["plan", "--set", "flanel.enabled=false"],
            code: "KVN103",
            says: "did you mean `flannel`?",
            ..ROW
        },
        Row {
            name: "an unknown field in a file",
            prepare: |place| place.write("p.yaml", "extends: default\novs:\n  brigdes: []\n"),
            arguments: &["plan", "-p", "DIR/p.yaml"],
            code: "KVN103",
            says: "p.yaml:3:3",
            ..ROW
        },
        Row {
            name: "VLAN 5000",
            prepare: |place| {
                place.write(
                    "p.yaml",
                    "extends: default\nnetworks:\n  - {name: n, kind: ovs, bridge: blue, vlan: 5000}\n",
                );
            },
            arguments: &["plan", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "1 to 4094",
            ..ROW
        },
        Row {
            name: "a profile that extends itself",
            prepare: |place| place.write("p.yaml", "extends: ./p.yaml\n"),
            arguments: &["profile", "show", "-p", "DIR/p.yaml"],
            code: "KVN105",
            says: "extends",
            ..ROW
        },
    ]);
}

#[test]
fn the_wizard() {
    check(&[
        Row {
            name: "nobody to ask",
            arguments: &["init", "--sandbox"],
            code: "KVN110",
            says: "hint: run it in a terminal",
            ..ROW
        },
        Row {
            name: "a question without an answer",
            arguments: &["init", "--sandbox", "--base", "default"],
            code: "KVN110",
            says: "the default is `base`; `--defaults` accepts",
            ..ROW
        },
        Row {
            name: "no file of answers",
            arguments: &["init", "--answers", "DIR/none"],
            code: "KVN111",
            says: "/none",
            ..ROW
        },
        Row {
            name: "an answer to no question",
            prepare: |place| place.write("a", "base: default\nbrigdes: red\n"),
            arguments: &["init", "--answers", "DIR/a"],
            code: "KVN111",
            says: "/a:2:1\n  hint: did you mean `bridges`?",
            ..ROW
        },
    ]);
}

#[test]
fn answers_of_the_wizard() {
    check(&[
        Row {
            name: "an answer that steers the terminal",
            prepare: |place| place.write("a", "networks: own\nbridges: \"red\\e[31m\"\n"),
            arguments: &["init", "--sandbox", "--defaults", "--answers", "DIR/a"],
            code: "KVN111",
            says: "U+001B",
            ..ROW
        },
        Row {
            name: "an answer with the syntax of YAML and of templates",
            arguments: &["init", "--sandbox", "--defaults", "--networks", "own", "--bridges", "{{red}}: &a"],
            code: "KVN111",
            says: "at: --bridges {{red}}: &a\n",
            ..ROW
        },
        Row {
            name: "the card that carries the node",
            arguments: &["init", "--sandbox", "--defaults", "--uplink", "blue=eth0"],
            code: "KVN111",
            says: "cut this node off\n  at: --uplink blue=eth0\n",
            ..ROW
        },
        Row {
            name: "an answer about a bridge that is not asked about",
            arguments: &["init", "--sandbox", "--defaults", "--uplink", "bleu=eth1"],
            code: "KVN111",
            says: "it is asked about: blue",
            ..ROW
        },
        Row {
            name: "a file that is no profile",
            arguments: &["init", "--sandbox", "--defaults", "--file", "default"],
            code: "KVN111",
            says: "`.yaml`",
            ..ROW
        },
        Row {
            name: "a file that is there",
            prepare: |place| place.write("a.yaml", ""),
            arguments: &["init", "--sandbox", "--defaults", "--file", "DIR/a.yaml"],
            code: "KVN112",
            says: "--overwrite yes",
            ..ROW
        },
        Row {
            name: "a profile of one's own as the base",
            arguments: &["init", "--defaults", "--profile", "my.yaml"],
            code: "KVN100",
            says: "shipped profile",
            ..ROW
        },
        Row {
            name: "a value to set",
            arguments: &["init", "--defaults", "--set", "vm.enabled=false"],
            code: "KVN100",
            says: "unexpected argument '--set'",
            ..ROW
        },
    ]);
}

#[test]
fn the_kubeconfig() {
    check(&[
        Row { name: "none", arguments: &["plan"], exit: 1, code: "KVN300", says: "--kubeconfig FILE", ..ROW },
        Row {
            name: "a missing file",
            arguments: &["plan", "--kubeconfig", "DIR/none"],
            exit: 1,
            code: "KVN300",
            says: "/none cannot be used",
            ..ROW
        },
        Row {
            name: "a missing file in KUBECONFIG",
            arguments: &["plan"],
            variables: &[("KUBECONFIG", "DIR/none")],
            exit: 1,
            code: "KVN300",
            says: "from KUBECONFIG",
            ..ROW
        },
        Row {
            name: "not YAML",
            prepare: |place| place.write("k", "<html>"),
            arguments: &["status", "--kubeconfig", "DIR/k"],
            exit: 1,
            code: "KVN300",
            says: "not valid YAML",
            ..ROW
        },
        Row {
            name: "no context of that name",
            arguments: &["plan", "--kubeconfig", "DIR/refused.yaml", "--context", "there"],
            exit: 1,
            code: "KVN300",
            says: "it has: here",
            ..ROW
        },
    ]);
}

#[test]
fn the_api_server() {
    const PLAN: &[&str] = &["plan", "--only", "networks", "--timeout", "1", "--kubeconfig", "DIR/k"];
    const FORBIDDEN: &str =
        r#"{"kind": "Status", "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403}"#;
    const UNAUTHORIZED: &str =
        r#"{"kind": "Status", "status": "Failure", "message": "no", "reason": "Unauthorized", "code": 401}"#;
    check(&[
        Row {
            name: "nobody listens",
            arguments: &["plan", "--kubeconfig", "DIR/refused.yaml"],
            exit: 1,
            code: "KVN301",
            says: "Connection refused",
            ..ROW
        },
        Row {
            name: "it accepts and is silent",
            prepare: |place| place.kubeconfig("k", &serve(None)),
            arguments: PLAN,
            exit: 1,
            code: "KVN301",
            says: "did not answer within 1 s",
            ..ROW
        },
        Row {
            name: "a web page",
            prepare: |place| place.kubeconfig("k", &serve(Some(("200 OK", "text/html", "<html>")))),
            arguments: PLAN,
            exit: 1,
            code: "KVN307",
            says: "a proxy",
            ..ROW
        },
        Row {
            name: "forbidden",
            prepare: |place| {
                place.kubeconfig("k", &serve(Some(("403 Forbidden", "application/json", FORBIDDEN))));
            },
            arguments: PLAN,
            exit: 1,
            code: "KVN302",
            says: "administrator",
            ..ROW
        },
        Row {
            name: "unauthorized",
            prepare: |place| {
                place.kubeconfig("k", &serve(Some(("401 Unauthorized", "application/json", UNAUTHORIZED))));
            },
            arguments: PLAN,
            exit: 1,
            code: "KVN302",
            says: "kubeadm certs",
            ..ROW
        },
    ]);
}

#[test]
fn the_node() {
    check(&[
        Row {
            name: "a manifest by plain http that nobody knows",
            arguments: &["render", "--offline", "--only", "kubevirt", "--mirror", "http://mirror.invalid/m"],
            code: "KVN420",
            says: "at: http://mirror.invalid/m/",
            ..ROW
        },
        Row {
            name: "not root",
            who: As::Nobody,
            arguments: UP,
            exit: 1,
            code: "KVN203",
            says: "run kvnet as root",
            ..ROW
        },
        Row {
            name: "a distribution without a package manager that kvnet knows",
            arguments: &["plan", "--only", "ovs-package", "--set", "cluster.init.enabled=true"],
            variables: NO_TOOLS,
            exit: 1,
            code: "KVN208",
            says: "by hand",
            ..ROW
        },
        Row {
            name: "no kubeadm",
            arguments: &["plan", "--only", "kubeadm-init", "--set", "cluster.init.enabled=true"],
            variables: NO_TOOLS,
            exit: 1,
            code: "KVN201",
            says: "kubeadm",
            ..ROW
        },
    ]);
}

/// Only bash itself, which starts the program.
const NO_TOOLS: &[(&str, &str)] = &[("PATH", "/nonexistent")];

/// The head of a journal, and one change.
const WRITTEN: &str = concat!(
    r#"{"record":"header","schema":1,"kvnet":"0.1.0","command":"up","profile":"","time":1}"#,
    "\n",
    r#"{"record":"intent","seq":0,"step":"kernel","change":{"change":"write-file","path":"/proc/version","mode":420,"before":null,"after":"x","secret":false}}"#,
    "\n",
    r#"{"record":"done","seq":0,"outcome":"created"}"#,
    "\n",
);

#[test]
fn the_state_directory() {
    check(&[
        Row {
            name: "a full disk",
            who: As::NobodyOnFullDisk,
            arguments: UP,
            exit: 1,
            code: "KVN205",
            says: "free some space",
            ..ROW
        },
        Row {
            name: "a read-only disk",
            who: As::NobodyOnReadOnlyDisk,
            arguments: UP,
            exit: 1,
            code: "KVN206",
            says: "remount",
            ..ROW
        },
        Row {
            name: "a directory that cannot be written",
            who: As::Nobody,
            arguments: UP,
            variables: &[("KVNET_STATE_DIR", "/proc/kvnet")],
            exit: 1,
            code: "KVN204",
            says: "/proc/kvnet",
            ..ROW
        },
        Row {
            name: "a directory that others can write to",
            prepare: |place| {
                fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
            },
            who: As::Nobody,
            arguments: UP,
            exit: 1,
            code: "KVN207",
            says: "the write permission of other users",
            ..ROW
        },
        Row {
            name: "a damaged journal",
            prepare: |place| place.write("state/journal.jsonl", "what\n"),
            arguments: DOWN,
            exit: 1,
            code: "KVN501",
            says: "journal.jsonl",
            ..ROW
        },
        Row {
            name: "a newer journal",
            prepare: |place| {
                place.write("state/journal.jsonl", "{\"record\":\"header\",\"schema\":9,\"kvnet\":\"9.0.0\",\"command\":\"up\",\"profile\":\"\",\"time\":1}\n");
            },
            arguments: DOWN,
            exit: 1,
            code: "KVN502",
            says: "kvnet 9.0.0",
            ..ROW
        },
        Row {
            name: "a journal that ends within a line is read: the next thing fails",
            prepare: |place| place.write("state/journal.jsonl", &format!("{WRITTEN}{{\"record\":\"int")),
            arguments: DOWN,
            exit: 1,
            code: "KVN301",
            says: "cannot be reached",
            ..ROW
        },
    ]);
}

#[test]
fn what_a_server_or_a_file_makes_kvnet_say_is_bounded() {
    let place = Place::new();
    let message = "x".repeat(5 << 20);
    let body = format!(
        r#"{{"kind": "Status", "status": "Failure", "message": "{message}", "reason": "Forbidden", "code": 403}}"#
    );
    place.kubeconfig("k", &serve(Some(("403 Forbidden", "application/json", body.leak()))));
    let keys: String =
        (0..19_000).flat_map(|number| [format!("unknown{number:05}"), ": 1\n".into()]).collect();
    place.write("p.yaml", &format!("extends: default\n{keys}"));
    let plan = &["plan", "--only", "networks", "--timeout", "5", "--kubeconfig", "DIR/k"][..];
    for (arguments, code) in [(plan, "KVN302"), (&["profile", "validate", "DIR/p.yaml"], "KVN103")] {
        let output = place.kvnet(As::Tester, arguments, &[]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(err.contains(&format!("error[{code}]")), "{err:.2000}");
        assert!(out.len() + err.len() < 8 << 10, "{code}: {} bytes", out.len() + err.len());
    }
}

#[test]
fn a_pipe_that_nobody_writes_into_is_not_waited_for() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
    let file = ["render", "--offline", "--only", "multus", "--set", "multus.source.from=file", "--set"];
    for arguments in [
        &["profile", "validate", "-p", "DIR/pipe/../pipe"][..],
        &["profile", "validate", "-p", "DIR/pipe"],
        &["init", "--sandbox", "--defaults", "--answers", "DIR/pipe", "--file", "-"],
        &[&file[..], &["multus.source.path=DIR/pipe"]].concat(),
    ] {
        let begin = std::time::Instant::now();
        let output = place.kvnet(As::Tester, arguments, &[]);
        let err = text(&output.stderr);
        assert!(!output.status.success() && err.contains("error[KVN"), "{arguments:?}: {err}");
        assert!(begin.elapsed().as_secs() < 60, "{arguments:?}");
    }
    // One that a shell gives is read.
    let script = "exec \"$0\" profile validate -p <(sleep 1; echo 'extends: default')";
    let output = std::process::Command::new("bash").args(["-c", script, crate::KVNET]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn too_few_files_are_a_sentence_and_no_panic() {
    for (limit, refused) in [(20, true), (64, false)] {
        let script = format!("ulimit -n {limit}; exec \"$0\" plan --sandbox --only kernel");
        let output = std::process::Command::new("bash").args(["-c", &script, crate::KVNET]).output().unwrap();
        let err = text(&output.stderr);
        assert!(!err.contains("panicked"), "{err}");
        assert_eq!(err.contains("error[KVN421]: this process may open 20 files"), refused, "{err}");
        assert_eq!(output.status.code(), Some(if refused { 1 } else { 3 }), "{err}");
    }
    // A limit that may be raised is raised.
    let script = "ulimit -Sn 20; exec \"$0\" plan --sandbox --only kernel";
    let output = std::process::Command::new("bash").args(["-c", script, crate::KVNET]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}

#[test]
fn a_state_directory_that_is_not_safe_does_not_stop_what_needs_none() {
    let place = Place::new();
    let variables = [("KVNET_STATE_DIR", "DIR/state/other")];
    std::os::unix::fs::symlink("/nonexistent", place.path("state/other")).unwrap();
    let output = place.kvnet(As::Tester, &["topology", "--declared"], &variables);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = place.kvnet(As::Tester, &["topology", "--kubeconfig", "DIR/refused.yaml"], &variables);
    assert!(text(&output.stderr).contains("error[KVN207]"), "{}", text(&output.stderr));
}

#[test]
fn another_kvnet_at_work() {
    let place = Place::new();
    place.write("state/lock", "`kvnet up`, process 42\n");
    let held = fs::File::open(place.path("state/lock")).unwrap();
    held.lock().unwrap();
    let output = place.kvnet(As::Nobody, UP, &[]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("error[KVN500]") && err.contains("`kvnet up`, process 42"), "{err}");
}

#[test]
fn with_json_the_error_is_an_event_on_standard_output() {
    let place = Place::new();
    let output = place.kvnet(As::Tester, &["plan", "-o", "json", "--kubeconfig", "DIR/none"], &[]);
    let event: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&event["event"], &event["code"]), (&"error".into(), &"KVN300".into()));
    assert!(event["hints"][0].is_string() && output.stderr.is_empty());
}
