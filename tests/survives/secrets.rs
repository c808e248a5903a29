//! Secrets stay where they are: canaries everywhere that kvnet reads, and a look at everything that it wrote.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::survives::server::{Answer, serve};
use kvnet_test_kit::run::{As, Place, text};

pub const CANARY: &str = "canary";
/// Base64 of `canary` at each of its three offsets, without the characters that depend on what is around.
const ENCODED: [&str; 3] = ["Y2FuYXJ5", "NhbmFye", "jYW5hcn"];

/// A home in which everything that may be secret holds the canary.
fn home(server: &str) -> Place {
    let place = Place::new();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
         clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
         users: [{{name: u, user: {{token: token-{CANARY}, password: password-{CANARY}, username: x}}}}]\n\
         contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n"
    );
    place.write("config", &kubeconfig);
    place.write("admin.conf", &kubeconfig.replace("here", "admin"));
    place.write("broken.yaml", &format!("{kubeconfig}users: [{{name: {CANARY}-key"));
    place.write(
        "p.yaml",
        &format!(
            "extends: default\nvm:\n  cloudInit:\n    userData: |\n      #cloud-config\n      password: {CANARY}\n      \
             ssh_authorized_keys: [ssh-rsa {CANARY}]\n    networkData: '{{version: 2, wifis: {{w: {{password: {CANARY}}}}}}}'\n"
        ),
    );
    fs::create_dir(place.path("home")).unwrap();
    place.write("home/config", &kubeconfig.replace("here", "mine").replace("token-", "old-"));
    place
}

fn run(place: &Place, arguments: &[&str]) -> Output {
    let common = ["-p", "DIR/p.yaml", "--set", "timeouts.download=1", "--timeout", "1"];
    with_secrets(place, &[arguments, &common].concat())
}

/// Runs it with secrets in the environment.
fn with_secrets(place: &Place, arguments: &[&str]) -> Output {
    let proxy = format!("http://user:{CANARY}@127.0.0.1:1");
    let mirror = format!("http://user:mirror-{CANARY}@127.0.0.1:1/x?token={CANARY}");
    let variables =
        [("HTTPS_PROXY", proxy.as_str()), ("KVNET_MIRROR", &mirror), ("AWS_SECRET_ACCESS_KEY", CANARY)];
    place.kvnet(As::Tester, arguments, &variables)
}

pub fn assert_silent(written: &str, what: &str) {
    for secret in [CANARY].iter().chain(&ENCODED) {
        assert!(!written.contains(secret), "{what} shows `{secret}`:\n{written}");
    }
}

/// Every file under a directory.
pub fn assert_silent_files(directory: &Path, what: &str) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            files += assert_silent_files(&entry, what);
        } else {
            assert_silent(&text(&fs::read(&entry).unwrap()), &format!("{what}: {}", entry.display()));
            files += 1;
        }
    }
    files
}

const KUBECONFIG_STEP: &[&str] = &[
    "--only",
    "kubeconfig",
    "--set",
    "cluster.kubeconfig.source=DIR/admin.conf",
    "--set",
    "cluster.kubeconfig.path=DIR/home/config",
];

#[test]
fn nothing_that_kvnet_says_or_keeps_holds_a_secret() {
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"},
        "data": {"userdata": "Y2FuYXJ5"}});
    let servers = [
        "http://127.0.0.1:1".to_owned(),
        serve(Answer::json(200, &secret.to_string())),
        serve(Answer::json(401, r#"{"kind":"Status","code":401,"reason":"Unauthorized","message":"no"}"#)),
        serve(Answer::html("<html>")),
    ];
    for server in servers {
        let place = home(&server);
        speaks_without_secrets(
            &place,
            &[&["plan", "--only", "vm,taints"], &["status", "--only", "vm,networks"]],
        );
    }
}

#[test]
fn what_needs_no_cluster_is_silent_too() {
    let commands: &[&[&str]] = &[
        &["plan", "--only", "kubevirt", "--set", "kubevirt.source.from=upstream"],
        &["plan", "--kubeconfig", "DIR/broken.yaml"],
        &["render"],
        &["render", "--only", "vm"],
        &["render", "--only", "kubevirt", "--mirror", "user:canary@host"],
        &["render", "--only", "kubevirt", "--mirror", "http://u:canary@127.0.0.1:99999"],
        &["--help"],
        &["up", "--help"],
    ];
    let place = home("http://127.0.0.1:1");
    speaks_without_secrets(&place, commands);
    for command in
        [&["profile", "show"][..], &["profile", "validate", "--set", "vm.cloudInit.nope=x"], &["version"]]
    {
        for format in ["text", "json", "yaml"] {
            let arguments = [command, &["-p", "DIR/p.yaml", "-o", format]].concat();
            let output = with_secrets(&place, &arguments);
            assert_silent(&(text(&output.stdout) + &text(&output.stderr)), &format!("{arguments:?}"));
        }
    }
}

fn speaks_without_secrets(place: &Place, commands: &[&[&str]]) {
    for command in commands {
        for more in [&["-vvv"][..], &["-o", "json"], &["-o", "yaml", "-v"]] {
            let mut arguments = [command, more].concat();
            if !command.contains(&"--kubeconfig") {
                arguments.extend(["--kubeconfig", "DIR/config"]);
            }
            let output = run(place, &arguments);
            assert_silent(&(text(&output.stdout) + &text(&output.stderr)), &format!("{arguments:?}"));
        }
    }
    assert_silent_files(&place.path("state"), "the state directory");
}

#[test]
fn a_kubeconfig_is_copied_merged_and_put_back_without_a_word_of_it() {
    let place = home("http://127.0.0.1:1");
    let before = fs::read(place.path("home/config")).unwrap();
    for command in [
        &["plan", "-vvv", "--kubeconfig", "DIR/config"][..],
        &["plan", "-o", "json", "--kubeconfig", "DIR/config"],
        &["up", "--yes", "-vvv", "--kubeconfig", "DIR/config"],
        &["status", "-o", "json", "--kubeconfig", "DIR/config"],
        &["down", "--dry-run", "-o", "json", "--set", "cluster.init.enabled=true"],
        &["down", "--yes", "-o", "json", "-vvv", "--no-check", "--set", "cluster.init.enabled=true"],
    ] {
        let output = run(&place, &[command, KUBECONFIG_STEP].concat());
        assert!(matches!(output.status.code(), Some(0 | 3)), "{command:?}: {}", text(&output.stderr));
        assert_silent(&(text(&output.stdout) + &text(&output.stderr)), &format!("{command:?}"));
        if command[0] == "up" {
            assert!(text(&fs::read(place.path("home/config")).unwrap()).contains("admin"));
        }
    }
    assert!(assert_silent_files(&place.path("state"), "the state directory") >= 2, "a journal and a lock");
    assert_eq!(fs::read(place.path("home/config")).unwrap(), before);
}
