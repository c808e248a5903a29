//! What goes to pipes, files and terminals.

use std::process::{Command, Output};

use crate::KVNET;
use kvnet_test_kit::run::{As, Place, text};

/// Without a cluster: one that is going to be made here.
const PLAN: &[&str] = &["plan", "--only", "kernel,ovs-bridges", "--set", "cluster.init.enabled=true"];
const ESCAPE: char = '\u{1b}';

#[test]
fn a_pipe_gets_no_escape_sequences() {
    let place = Place::new();
    let status = &["status", "--only", "kernel", "--set", "cluster.init.enabled=true"];
    for arguments in
        [PLAN, status, &["explain"], &["profile", "show"], &["--help"], &["plna"], &["plan", "-vvv"]]
    {
        let output = place.kvnet(As::Tester, arguments, &[]);
        let all = text(&output.stdout) + &text(&output.stderr);
        assert!(!all.is_empty() && !all.contains(ESCAPE), "{arguments:?}: {all}");
    }
}

#[test]
fn a_terminal_gets_colours_unless_told_otherwise() {
    let on_terminal = |option: &str, variable: &str| {
        let line = format!("{KVNET} explain KVN999 {option}");
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.env_remove("NO_COLOR").env("TERM", "xterm");
        if !variable.is_empty() {
            command.env(variable, "1");
        }
        text(&command.output().unwrap().stdout)
    };
    assert!(on_terminal("", "").contains(ESCAPE), "the test would not see colours");
    assert!(!on_terminal("", "NO_COLOR").contains(ESCAPE));
    assert!(!on_terminal("--no-color", "").contains(ESCAPE));
}

/// The reader goes away after one line, or at once.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::new();
    let plan = format!(
        "plan --only kernel,ovs-bridges --set cluster.init.enabled=true --state-dir {}",
        place.path("none").display()
    );
    for command in [plan.as_str(), "profile show", "profile schema", "explain", "--help"] {
        for reader in ["head -n 1", "true"] {
            let script = format!("{KVNET} {command} | {reader} >/dev/null; echo ${{PIPESTATUS[0]}}");
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            let (code, err) = (text(&output.stdout), text(&output.stderr));
            assert!(["0\n", "3\n"].contains(&code.as_str()) && err.is_empty(), "{script}: {code}{err}");
        }
    }
}

#[test]
fn plan_is_data_on_request() {
    let place = Place::new();
    let output = place.kvnet(As::Tester, &[PLAN, &["-o", "json"]].concat(), &[]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["steps"][0]["step"], "kernel");
    assert!(plan["changes"].is_u64() && output.stderr.is_empty());
    assert!(matches!(output.status.code(), Some(0 | 3)), "{:?}", output.status);
}

/// A profile with canaries where passwords may stand.
#[test]
fn user_data_is_never_shown() {
    let place = Place::new();
    let secret = "vm:\n  cloudInit:\n    userData: '#cloud-config user-canary'\n    networkData: '{version: 2, wifis: {w: {x: network-canary}}}'\n";
    place.write("p.yaml", &format!("extends: default\n{secret}"));
    let common = ["-p", "DIR/p.yaml", "--set", "cluster.init.enabled=true"];
    let shown =
        |arguments: &[&str]| -> Output { place.kvnet(As::Tester, &[arguments, &common].concat(), &[]) };
    for format in ["text", "json", "yaml"] {
        for arguments in [
            &["profile", "show"][..],
            &["render", "--only", "vm"],
            &["plan", "--only", "vm", "--timeout", "1"],
        ] {
            let output = shown(&[arguments, &["-o", format]].concat());
            let all = text(&output.stdout) + &text(&output.stderr);
            assert!(!all.is_empty() && !all.contains("canary"), "{arguments:?}: {all}");
        }
    }
    let show = text(&shown(&["profile", "show"]).stdout);
    assert!(show.contains("userData: (hidden)"), "{show}");
}

#[test]
fn looking_leaves_nothing_behind_but_its_log() {
    let place = Place::new();
    place.kvnet(As::Tester, PLAN, &[]);
    place.kvnet(As::Tester, &["down", "--dry-run", "--set", "cluster.init.enabled=true"], &[]);
    let names = std::fs::read_dir(place.path("state")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["logs"]);
    assert_eq!(std::fs::read_dir(place.path("state/logs")).unwrap().count(), 2);
}

/// A full disk behind standard output is no success, whatever the command; a reader that went away is.
#[test]
fn output_that_does_not_arrive_is_an_error() {
    let commands: [&[&str]; 14] = [
        &["render", "--sandbox"],
        &["profile", "show"],
        &["profile", "list"],
        &["profile", "schema"],
        &["topology", "--declared", "-o", "html"],
        &["topology", "--declared"],
        &["plan", "--sandbox"],
        &["plan", "--sandbox", "-o", "json"],
        &["plan", "--sandbox", "-o", "yaml"],
        &["explain"],
        &["completions", "bash"],
        &["man"],
        &["version"],
        &["--help"],
    ];
    for arguments in commands {
        let place = Place::new();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(As::Tester, arguments, &[]).stdout(full).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {err}");
        assert!(err.contains("error[KVN222]") && err.contains("No space left"), "{arguments:?}: {err}");
    }
    let place = Place::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = place.command(As::Tester, &["profile", "show"], &[]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}
