//! The log of a run: what is in it, what is not, who may read it, and what happens when it cannot be written.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use kvnet::cluster::ObjectKey;
use kvnet::sandbox::Options;
use serde_json::Value;

use kvnet_test_kit::run::{As, Place, text};
use kvnet_test_kit::served::{Served, served};

/// Looks, and ends with KVN301.
const PLAN: &[&str] = &["plan", "--only", "taints", "--kubeconfig", "DIR/refused.yaml", "--timeout", "1"];

fn logs(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.path("state/logs")).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn only(place: &Place) -> String {
    let paths = logs(place);
    assert_eq!(paths.len(), 1, "{paths:?}");
    fs::read_to_string(&paths[0]).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The file that the last line of an error names.
fn named(output: &Output) -> PathBuf {
    let err = text(&output.stderr);
    let last = err.lines().last().unwrap_or_default();
    PathBuf::from(last.strip_prefix("  log: ").unwrap_or_else(|| panic!("no log in the last line of\n{err}")))
}

#[test]
fn an_error_names_the_log_and_the_log_has_it_all() {
    for command in [
        &["plan"][..],
        &["status", "-p", "defalt"],
        &["up", "--yes"],
        &["down", "--yes"],
        &["trace", "pod/x"],
        &["topology"],
        &["smoke", "--tag", "quick"],
        &["console", "vm"],
        &["render"],
    ] {
        let place = Place::new();
        let more = ["--kubeconfig", "DIR/refused.yaml", "--timeout", "1"];
        let output = place.kvnet(As::Tester, &[command, &more].concat(), &[]);
        let path = named(&output);
        assert_eq!(logs(&place), std::slice::from_ref(&path), "{command:?}");
        assert!(path.to_str().unwrap().ends_with(&format!("-{}.log", command[0])), "{path:?}");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700), "{command:?}");
        let log = fs::read_to_string(&path).unwrap();
        let code = text(&output.stderr).split(['[', ']']).nth(1).unwrap().to_owned();
        let error = log.lines().find(|line| line.contains(" ERROR kvnet::event: ")).unwrap_or_default();
        assert!(error.contains(&format!("code=\"{code}\"")), "{command:?}: {log}");
        assert!(log.lines().last().unwrap().contains("exit code="), "{log}");
        if code != "KVN101" {
            assert!(log.contains("kvnet::api: request method=GET path=\"/"), "{command:?}: {log}");
        }
    }
}

/// It promises to write nothing before the last question.
#[test]
fn the_questions_of_init_leave_no_log_and_verbose_shows_what_they_look_at() {
    let place = Place::new();
    let variables = [("KUBECONFIG", "DIR/refused.yaml")];
    let output = place.kvnet(As::Tester, &["init", "--defaults", "--file", "DIR", "-vv"], &variables);
    let err = text(&output.stderr);
    assert!(err.contains("error[KVN1") && !err.contains("log: "), "{err}");
    assert!(err.contains("kvnet::api: request method=GET") && logs(&place).is_empty(), "{err}");
}

/// Lets the cluster's node be this machine, by its name.
fn is_this_machine(cluster: &Served) {
    let key = ObjectKey::new("v1", "Node", None, "sandbox");
    let mut node = cluster.sandbox.api().get(&key).unwrap().unwrap();
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    node["status"]["nodeInfo"]["machineID"] = "".into();
    node["status"]["addresses"] = serde_json::json!([{"type": "Hostname", "address": name.trim()}]);
    cluster.sandbox.api().update_status("kubelet", &node).unwrap();
}

#[test]
fn json_names_the_log_too() {
    let place = Place::new();
    let output = place.kvnet(As::Tester, &[PLAN, &["-o", "json"]].concat(), &[]);
    let event: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(event["event"], "error");
    assert_eq!(logs(&place), [PathBuf::from(event["log"].as_str().unwrap())]);
}

#[test]
fn a_report_of_errors_names_the_log_on_standard_error() {
    let place = Place::new();
    place.kubeconfig("k", &served(&Options::default()).address);
    // The server is gone: each step says that it cannot observe.
    let arguments = ["status", "--only", "taints", "--kubeconfig", "DIR/k", "--timeout", "1", "-o", "json"];
    let output = place.kvnet(As::Tester, &arguments, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{out}{err}");
    assert_eq!(err.trim_end(), format!("log: {}", logs(&place)[0].display()), "{out}");
}

#[test]
fn a_report_with_something_broken_names_the_log() {
    for (arguments, broken) in [
        (&["doctor", "--kubeconfig", "DIR/refused.yaml", "--timeout", "1"][..], "broken"),
        (&["smoke", "leaks", "--sandbox-dir", "DIR/box"], "result"),
    ] {
        let place = Place::new();
        let output = place.kvnet(As::Tester, arguments, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        let named =
            text(&output.stderr).lines().last().unwrap().trim().strip_prefix("log: ").unwrap().to_owned();
        assert!(fs::read_to_string(&named).unwrap().contains("exit code=1"), "{named}");
        for format in ["json", "yaml"] {
            let output = place.kvnet(As::Tester, &[arguments, &["-o", format]].concat(), &[]);
            let report: Value = serde_yaml::from_slice(&output.stdout).unwrap();
            assert!(!report[broken].is_null(), "{report}");
            assert!(text(&output.stderr).ends_with(&format!("log: {}\n", report["log"].as_str().unwrap())));
        }
    }
}

#[test]
fn the_log_has_what_vv_shows_and_events_whatever_v_says() {
    let cluster = served(&Options::default());
    is_this_machine(&cluster);
    let run = |more: &[&str]| {
        let place = Place::new();
        place.kubeconfig("k", &cluster.address);
        // A command that runs, also on a machine without iproute2.
        fs::create_dir(place.path("bin")).unwrap();
        fs::write(place.path("bin/ip"), "#!/bin/sh\necho '[]'\n").unwrap();
        fs::set_permissions(place.path("bin/ip"), fs::Permissions::from_mode(0o755)).unwrap();
        let programs = format!("DIR/bin:{}", std::env::var("PATH").unwrap());
        let arguments = ["doctor", "--only", "taints", "--kubeconfig", "DIR/k", "--timeout", "5"];
        let output = place.kvnet(As::Tester, &[&arguments[..], more].concat(), &[("PATH", &programs)]);
        (only(&place), text(&output.stderr))
    };
    let (log, shown) = run(&["-vv"]);
    // Without the time, with which a line of the log begins.
    let kept: BTreeSet<&str> =
        log.lines().filter_map(|line| line.split_once("Z ")).map(|(_, line)| line.trim()).collect();
    let shown: Vec<&str> = shown.lines().map(str::trim).filter(|line| line.contains(" kvnet::")).collect();
    for part in ["DEBUG kvnet::host: ran command=", "TRACE kvnet::api: request method=GET"] {
        assert!(shown.iter().any(|line| line.starts_with(part)), "{part}: {shown:?}");
    }
    assert!(shown.iter().all(|line| kept.contains(line)), "{shown:?}\n{log}");
    let request = shown.iter().find(|line| line.contains("kvnet::api")).unwrap();
    assert!(request.contains(" status=") && request.contains(" ms="), "{request}");
    let command = shown.iter().find(|line| line.contains("ran command=")).unwrap();
    assert!(command.contains(" code=") && command.contains(" ms="), "{command}");
    let (quiet, shown) = run(&[]);
    assert!(!shown.contains("kvnet::"), "{shown}");
    for part in
        ["kvnet::host: ran command=", "kvnet::api: request method=GET", "looked what=\"api\" state=Holds"]
    {
        assert!(quiet.contains(part), "{part}: {quiet}");
    }
}

#[test]
fn the_events_of_a_run_are_in_its_log() {
    let place = Place::new();
    let arguments = ["up", "--sandbox-dir", "DIR/box", "--only", "kernel,taints"];
    let output = place.kvnet(As::Tester, &arguments, &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let entries: Vec<_> = fs::read_dir(place.path("box/state/logs")).unwrap().collect();
    assert_eq!(entries.len(), 1);
    let log = fs::read_to_string(entries[0].as_ref().unwrap().path()).unwrap();
    for part in [
        "started steps=\"kernel,taints\"",
        "change done step=\"taints\"",
        "step done step=\"kernel\"",
        "finished result=\"done\"",
        "kvnet::host: ran command=\"modprobe",
        "kvnet::api: request method=PATCH",
        "exit code=0",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(logs(&place).is_empty(), "the sandbox has a state directory of its own");
    let output = place.kvnet(As::Tester, &["down", "--sandbox-dir", "DIR/box"], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read_dir(place.path("box/state/logs")).unwrap().count(), 2, "`down` keeps them");
}

#[test]
fn init_leaves_a_log_only_of_the_up_that_it_runs() {
    let place = Place::new();
    let run = |more: &[&str]| {
        let arguments =
            ["init", "--defaults", "--overwrite", "yes", "--sandbox-dir", "DIR/box", "--file", "DIR/k.yaml"];
        place.kvnet(As::Tester, &[&arguments[..], more, &["--skip", "kubevirt,vm"]].concat(), &[])
    };
    let output = run(&["--run", "no"]);
    assert!(output.status.success() && !place.path("box").exists(), "{}", text(&output.stderr));
    assert!(logs(&place).is_empty(), "nothing is written but the profile");
    let output = run(&["--run", "yes"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let entries: Vec<_> =
        fs::read_dir(place.path("box/state/logs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let log = fs::read_to_string(&entries[0]).unwrap();
    assert!(entries.len() == 1 && log.contains("finished result=\"done\""), "{entries:?}: {log}");
    assert!(entries[0].to_str().unwrap().ends_with("-init.log"));
}

/// Canaries wherever kvnet reads secrets.
const CANARIES: [&str; 9] = [
    "canaryTokenA1",
    "canaryPassB2",
    "canaryEnvC3",
    "canaryArgD4",
    "canaryDataE5",
    "canaryProxyF6",
    "canaryMirrorG7",
    "canaryLoginH8",
    "canaryQueryI9",
];

#[test]
fn no_secret_is_in_a_log() {
    let place = Place::new();
    let user = |name: &str, user: &str| {
        place.write(
            name,
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:1', \
                 proxy-url: 'http://u:canaryProxyF6@127.0.0.1:1'}}}}]\nusers: [{{name: u, user: {user}}}]\n\
                 contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n"
            ),
        );
    };
    user("token", "{token: canaryTokenA1}");
    user("basic", "{username: admin, password: canaryPassB2}");
    let script = "echo \"$VAULT and $0 say no\" >&2; exit 3";
    user(
        "exec",
        &format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: ['-c', '{script}', canaryArgD4], \
         env: [{{name: VAULT, value: canaryEnvC3}}], interactiveMode: Never}}}}"
        ),
    );
    let gives = "echo {\\\"status\\\": {\\\"token\\\": \\\"canaryTokenA1\\\"}}";
    user(
        "given",
        &format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: ['-c', \"{gives}\"], interactiveMode: Never}}}}"
        ),
    );
    place.write("p.yaml", "extends: default\nvm:\n  cloudInit:\n    userData: |\n      #cloud-config\n      password: canaryDataE5\n\
                 kubevirt:\n  source: {url: 'http://127.0.0.1:1/x.yaml?sig=canaryQueryI9'}\n");
    let variables = [
        ("HTTPS_PROXY", "http://user:canaryProxyF6@127.0.0.1:1"),
        ("KVNET_MIRROR", "http://user:canaryMirrorG7@127.0.0.1:1"),
    ];
    for kubeconfig in ["token", "basic", "exec", "given"] {
        for command in [&["plan"][..], &["up", "--yes", "-vv"], &["doctor"], &["smoke"]] {
            let kubeconfig = format!("DIR/{kubeconfig}");
            let more = [
                "-p",
                "DIR/p.yaml",
                "--kubeconfig",
                &kubeconfig,
                "--timeout",
                "1",
                "--set",
                "vm.login.password=canaryLoginH8",
            ];
            let output = place.kvnet(As::Tester, &[command, &more].concat(), &variables);
            let shown = format!("{}{}", text(&output.stdout), text(&output.stderr));
            assert!(!CANARIES.iter().any(|canary| shown.contains(canary)), "{shown}");
        }
    }
    let logs = logs(&place);
    assert_eq!(logs.len(), 16);
    for path in logs {
        let log = fs::read_to_string(&path).unwrap();
        assert!(log.contains("--set vm.login.password="), "{log}");
        let found: Vec<_> = CANARIES.iter().filter(|canary| log.contains(**canary)).collect();
        assert!(found.is_empty(), "{found:?} in {path:?}: {log}");
    }
}

#[test]
fn the_oldest_logs_go_and_what_is_no_log_stays() {
    let place = Place::new();
    place.mine("state/logs");
    for minute in 10..60 {
        fs::write(place.path(&format!("state/logs/20200101T00{minute}00Z-up.log")), "old").unwrap();
    }
    fs::write(place.path("state/logs/notes"), "mine").unwrap();
    let newest = named(&place.kvnet(As::Tester, PLAN, &[]));
    let left = logs(&place);
    assert_eq!(left.len(), kvnet::log::FILES + 1, "{left:?}");
    assert!(left.contains(&newest) && left.contains(&place.path("state/logs/notes")), "{left:?}");
    assert!(left.contains(&place.path("state/logs/20200101T005900Z-up.log")), "{left:?}");
    assert!(!left.contains(&place.path("state/logs/20200101T001000Z-up.log")), "{left:?}");
}

#[test]
fn runs_at_once_have_each_its_own() {
    let place = Place::new();
    let running: Vec<_> = (0..8)
        .map(|_| {
            let mut command = place.command(As::Tester, PLAN, &[]);
            command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    let named: BTreeSet<PathBuf> =
        running.into_iter().map(|child| named(&child.wait_with_output().unwrap())).collect();
    assert_eq!(named.len(), 8);
    for path in named {
        let log = fs::read_to_string(&path).unwrap();
        assert_eq!(log.matches("kvnet version=").count(), 1, "{path:?}: {log}");
        assert_eq!(log.matches("exit code=").count(), 1, "{path:?}: {log}");
    }
}

const NO_LOG: &str = "warning: no log for this run: ";

#[test]
fn a_log_that_cannot_be_written_is_said_once_and_stops_nothing() {
    let up = ["up", "--yes", "--only", "kernel", "--set", "cluster.init.enabled=true"];
    for who in [As::NobodyOnReadOnlyDisk, As::NobodyOnFullDisk] {
        let place = Place::new();
        let err = text(&place.kvnet(who, &up, &[]).stderr);
        assert_eq!(
            err.matches(NO_LOG).count() + err.matches("warning: the log is incomplete from here on").count(),
            1,
            "{who:?}: {err}"
        );
        // What it cannot do without fails by itself.
        assert!(err.contains("error[KVN20"), "{who:?}: {err}");
        // A plan writes nothing else, and so needs nothing.
        let output =
            place.kvnet(who, &["plan", "--only", "kernel", "--set", "cluster.init.enabled=true"], &[]);
        let err = text(&output.stderr);
        assert!([0, 3].contains(&output.status.code().unwrap()), "{who:?}: {err}");
        assert_eq!(err.matches(NO_LOG).count(), 1, "{who:?}: {err}");
    }
}

#[test]
fn who_may_not_write_there_and_only_looks_has_none_and_hears_nothing() {
    let place = Place::new();
    place.mine("locked");
    fs::set_permissions(place.path("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let variables = [("KVNET_STATE_DIR", "DIR/locked/state")];
    let output = place.kvnet(As::Nobody, PLAN, &variables);
    let err = text(&output.stderr);
    assert!(err.contains("error[KVN301]") && !err.contains("warning") && !err.contains("log:"), "{err}");
    let err = text(
        &place.kvnet(As::Nobody, &["up", "--yes", "--kubeconfig", "DIR/refused.yaml"], &variables).stderr,
    );
    assert_eq!(err.matches(NO_LOG).count(), 1, "{err}");
    assert!(err.contains("error[KVN301]"), "{err}");
}

#[test]
fn a_command_that_looks_at_nothing_has_no_log() {
    let place = Place::new();
    for command in [
        &["profile", "show"][..],
        &["explain"],
        &["plan", "--sandbox-node", "plan9"],
        &["topology", "--declared"],
    ] {
        place.kvnet(As::Tester, command, &[]);
    }
    assert!(logs(&place).is_empty());
}
