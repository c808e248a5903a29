//! Input that somebody made to hurt: bombs, endless files, escapes, traversal, servers that lie.

use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::KVNET;
use crate::survives::server::{Answer, serve};
use kvnet_test_kit::count;
use kvnet_test_kit::run::{As, Place, text};

/// What may come through to a terminal: the texts of these tests hold all of it.
pub const ESCAPES: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\u{8}";
/// However hostile the input, kvnet says so at once.
const SOON: Duration = Duration::from_secs(20);

struct Row {
    /// What is wrong.
    name: &'static str,
    /// The file `DIR/input`.
    input: fn() -> Vec<u8>,
    arguments: &'static [&'static str],
    code: &'static str,
    says: &'static str,
}

const PROFILE: &[&str] = &["profile", "validate", "-p", "DIR/input.yaml"];
const MANIFEST: &[&str] = &[
    "render",
    "--only",
    "flannel",
    "--set",
    "flannel.source.from=file",
    "--set",
    "flannel.source.path=DIR/input.yaml",
];
const KUBECONFIG: &[&str] =
    &["plan", "--only", "networks", "--timeout", "1", "--kubeconfig", "DIR/input.yaml"];
const JOURNAL: &[&str] = &["down", "--dry-run", "--set", "cluster.init.enabled=true"];

/// Nine levels of nine aliases: half a gigabyte when it is written out.
fn bomb() -> Vec<u8> {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text.into_bytes()
}

fn flow() -> Vec<u8> {
    [b"a: ".to_vec(), vec![b'['; 100_000]].concat()
}

fn block() -> Vec<u8> {
    (0..5000).flat_map(|level| format!("{}a:\n", " ".repeat(level)).into_bytes()).take(900_000).collect()
}

fn json() -> Vec<u8> {
    [vec![b'['; 100_000], vec![b']'; 100_000]].concat()
}

const ROWS: &[Row] = &[
    Row {
        name: "a profile of aliases",
        input: bomb,
        arguments: PROFILE,
        code: "KVN102",
        says: "input.yaml:",
    },
    Row { name: "a profile of brackets", input: flow, arguments: PROFILE, code: "KVN102", says: "limit" },
    Row { name: "a profile of indents", input: block, arguments: PROFILE, code: "KVN102", says: "limit" },
    Row {
        name: "a profile that is not text",
        input: || vec![0xff; 100],
        arguments: PROFILE,
        code: "KVN102",
        says: "UTF-8",
    },
    Row {
        name: "a big profile",
        input: || vec![b' '; 2 << 20],
        arguments: PROFILE,
        code: "KVN102",
        says: "KiB",
    },
    Row {
        name: "an endless profile",
        input: Vec::new,
        arguments: &["profile", "validate", "-p", "/dev/zero"],
        code: "KVN101",
        says: "it is a device",
    },
    Row {
        name: "a manifest of aliases",
        input: bomb,
        arguments: MANIFEST,
        code: "KVN403",
        says: "input.yaml:",
    },
    Row {
        name: "a manifest of brackets",
        input: flow,
        arguments: MANIFEST,
        code: "KVN403",
        says: "limit exceeded",
    },
    Row { name: "a manifest of indents", input: block, arguments: MANIFEST, code: "KVN403", says: "nested" },
    Row {
        name: "a manifest of JSON",
        input: json,
        arguments: MANIFEST,
        code: "KVN403",
        says: "limit exceeded",
    },
    Row {
        name: "a big manifest",
        input: || vec![b'#'; 9 << 20],
        arguments: MANIFEST,
        code: "KVN402",
        says: "bytes",
    },
    Row {
        name: "an endless manifest",
        input: Vec::new,
        arguments: &[
            "render",
            "--only",
            "flannel",
            "--set",
            "flannel.source.from=file",
            "--set",
            "flannel.source.path=/dev/zero",
        ],
        code: "KVN104",
        says: "it is a device",
    },
    Row {
        name: "a kubeconfig of aliases",
        input: bomb,
        arguments: KUBECONFIG,
        code: "KVN300",
        says: "input.yaml",
    },
    Row {
        name: "a kubeconfig of brackets",
        input: flow,
        arguments: KUBECONFIG,
        code: "KVN300",
        says: "input.yaml",
    },
    Row { name: "a journal of JSON", input: json, arguments: JOURNAL, code: "KVN501", says: "line 1" },
];

#[test]
fn bombs_and_endless_files_are_refused_at_once() {
    for row in ROWS {
        let place = Place::new();
        let input = (row.input)();
        fs::write(place.path("input.yaml"), &input).unwrap();
        if row.arguments == JOURNAL {
            fs::write(place.path("state/journal.jsonl"), [&input, &b"\n"[..]].concat()).unwrap();
        }
        let begin = Instant::now();
        let output = place.kvnet(As::Tester, row.arguments, &[]);
        let err = text(&output.stderr);
        assert!(
            err.contains(&format!("error[{}]", row.code)) && err.contains(row.says),
            "{}: {err}",
            row.name
        );
        assert!(begin.elapsed() < SOON && err.len() < 4000, "{}: {} bytes", row.name, err.len());
    }
    count::record("hostile inputs", ROWS.len());
}

#[test]
fn names_lead_nowhere() {
    let sets = [
        "ovs.bridges[0].name=../../etc",
        "networks[0].name=../x",
        "networks[0].namespace=../x",
        "vm.name=a/../b",
        "flannel.namespace=a/b",
        "flannel.confFile=../x",
        "flannel.version=../../x",
        "kubevirt.version=v1.9.0/../../x",
        "multus.version=..",
        "cluster.cniConfDir=../x",
        "cluster.cniConfDir=/etc/../root",
        "cluster.kubeconfig.path=x/../../y",
        "cluster.init.nodeName=../x",
    ];
    for set in sets {
        let output = Place::new().kvnet(As::Tester, &["profile", "validate", "--set", set], &[]);
        let err = text(&output.stderr);
        assert!(output.status.code() == Some(2) && err.contains("error[KVN104]"), "{set}: {err}");
    }
    count::record("hostile inputs", sets.len());
}

/// Every text of a profile, set to what a template engine, a shell or YAML would act on.
#[test]
fn values_are_data_in_every_manifest() {
    let plain = Place::new().kvnet(As::Tester, &["render", "--skip", "kubevirt", "-o", "json"], &[]);
    let kinds = |output: &Output| -> Vec<String> {
        let objects: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let kinds = objects["items"].as_array().unwrap().iter().map(|object| object["kind"].to_string());
        // The VM's user data brings one.
        kinds.filter(|kind| kind != "\"Secret\"").collect()
    };
    let plain = kinds(&plain);
    let mut accepted = 0;
    for value in
        ["{{ 7907 * 7919 }}", "{% include 'x' %}", "\"\n---\nkind: Evil\n", "$(touch evil)`x`", "a: b #"]
    {
        for field in [
            "name",
            "description",
            "flannel.image",
            "flannel.confFile",
            "multus.image",
            "ovsCni.image",
            "vm.image",
            "vm.cloudInit.userData",
            "vm.cloudInit.networkData",
            "vm.memory",
            "networks[0].name",
        ] {
            let set = format!("{field}={value}");
            let place = Place::new();
            let arguments = ["render", "--skip", "kubevirt", "-o", "json", "--set", &set];
            let output = place.kvnet(As::Tester, &arguments, &[]);
            let (out, err) = (text(&output.stdout), text(&output.stderr));
            // A number that no name of a log has by chance.
            assert!(!err.contains("panicked") && !out.contains("62615533"), "{set}: {err}\n{out}");
            if output.status.success() {
                assert_eq!(kinds(&output), plain, "{set}");
                accepted += 1;
            } else {
                assert_eq!(output.status.code(), Some(2), "{set}: {err}");
            }
        }
    }
    assert!(accepted > 5, "{accepted} of the values were taken");
    count::record("hostile inputs", 5 * 11);
}

pub fn on_terminal(place: &Place, arguments: &[&str], path: &str) -> String {
    let here = place.path("").display().to_string();
    let here = here.trim_end_matches('/');
    let quoted = arguments.iter().map(|word| format!("'{}'", word.replace("DIR", here)));
    let line = format!("{KVNET} {}", quoted.collect::<Vec<_>>().join(" "));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command
        .env_remove("NO_COLOR")
        .env("TERM", "xterm")
        .env("HOME", here)
        .env("KVNET_STATE_DIR", place.path("own"));
    command.env("PATH", format!("{path}:/usr/bin:/bin"));
    text(&command.output().unwrap().stdout)
}

/// Colours are kvnet's own; nothing else of what is hostile is left.
fn assert_harmless(printed: &str, what: &str) {
    assert!(printed.contains("owned"), "{what}: the text did not get this far: {printed}");
    let lines = printed.replace("\r\n", "\n");
    for escape in ["\u{1b}]", "\u{7}", "\u{1b}[2J", "\u{9b}", "\u{202e}", "\r", "\u{8}"] {
        assert!(!lines.contains(escape), "{what}: {lines:?}");
    }
}

#[test]
fn what_an_api_server_says_cannot_move_the_cursor() {
    let status = |code: u16, reason: &str| {
        let status = serde_json::json!({"kind": "Status", "status": "Failure", "message": ESCAPES, "reason": reason, "code": code,
            "details": {"causes": [{"reason": "FieldValueInvalid", "field": ESCAPES, "message": ESCAPES}]}});
        Answer::json(code, &status.to_string())
    };
    for answer in [
        status(403, "Forbidden"),
        status(422, "Invalid"),
        Answer::json(403, ESCAPES),
        Answer::json(200, ESCAPES),
    ] {
        for format in ["text", "json", "yaml"] {
            for verbose in ["-v", "-vvv"] {
                let place = Place::new();
                place.kubeconfig("k", &serve(answer.clone()));
                let arguments = [
                    "plan",
                    verbose,
                    "-o",
                    format,
                    "--only",
                    "networks",
                    "--timeout",
                    "1",
                    "--kubeconfig",
                    "DIR/k",
                ];
                let printed = on_terminal(&place, &arguments, "");
                assert_harmless(&printed, &format!("{format} {verbose}"));
                count::record("hostile inputs", 1);
            }
        }
    }
}

#[test]
fn what_a_tool_prints_cannot_move_the_cursor() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    fs::create_dir(place.path("bin")).unwrap();
    fs::write(place.path("escapes"), ESCAPES).unwrap();
    let script = format!("#!/bin/sh\ncat '{0}'; cat '{0}' >&2; exit 7\n", place.path("escapes").display());
    for tool in ["ovs-vsctl", "apt-get", "dpkg-query", "ip", "systemctl"] {
        let path = place.path("bin").join(tool);
        fs::write(&path, &script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let bin = place.path("bin").display().to_string();
    for format in ["text", "json"] {
        let arguments = [
            "plan",
            "-vvv",
            "-o",
            format,
            "--only",
            "ovs-bridges",
            "--set",
            "ovs.bridges[0].uplink=eth9",
            // Without a cluster: one that is going to be made here.
            "--set",
            "cluster.init.enabled=true",
        ];
        assert_harmless(&on_terminal(&place, &arguments, &bin), format);
    }
}

const DOWNLOAD: &[&str] = &[
    "render",
    "--only",
    "kubevirt",
    "--mirror",
    "URL",
    "--set",
    "timeouts.download=1",
    "--set",
    "kubevirt.source.from=upstream",
];

#[test]
fn a_mirror_that_lies_is_refused_with_a_reason() {
    for (name, answer, code, says) in [
        ("a web page", Answer::html("<!doctype html><p>log in</p>"), "KVN404", "web page"),
        ("no YAML", Answer::text("a: b: c:\n\t- ["), "KVN403", "kubevirt-operator.yaml"),
        ("no objects", Answer::text("# nothing\n"), "KVN403", "no objects"),
        ("no text", Answer::bytes(&[0xff, 0xfe, 0, 1]), "KVN403", "not text"),
        ("without end", Answer::Endless, "KVN402", "bigger than"),
        ("slower than patience", Answer::Slow, "KVN401", "too long"),
        ("cut off", Answer::Cut, "KVN401", "failed"),
        ("a redirect to a file", Answer::redirect("file:///etc/passwd"), "KVN404", "not followed"),
        ("a redirect to ftp", Answer::redirect("ftp://127.0.0.1/x"), "KVN404", "not safe"),
        ("a redirect to itself", Answer::redirect("/again"), "KVN404", "redirects"),
        ("escapes", Answer::text(ESCAPES), "KVN403", "kubevirt-operator.yaml"),
    ] {
        let place = Place::new();
        let address = serve(answer);
        let arguments: Vec<&str> =
            DOWNLOAD.iter().map(|word| if *word == "URL" { &address } else { *word }).collect();
        let begin = Instant::now();
        let output = place.kvnet(As::Tester, &arguments, &[]);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{name}: {err}");
        assert!(err.contains(&format!("error[{code}]")) && err.contains(says), "{name}: {err}");
        assert!(begin.elapsed() < SOON, "{name} took {:?}", begin.elapsed());
        assert!(output.stdout.is_empty(), "{name}");
        let is_kept = |entry: &fs::DirEntry| entry.file_name() != "cache" && entry.file_name() != "logs";
        let kept = fs::read_dir(place.path("state")).unwrap().flatten().filter(is_kept);
        assert_eq!(kept.count(), 0, "{name}: a bad answer must not be there for the next run");
        count::record("hostile inputs", 1);
    }
}
