//! Secrets in a run of the whole profile on a sandbox: canaries everywhere on the node and in the cluster, and a look at
//! everything that kvnet says and keeps. The sandbox itself is the node and the cluster: there they belong.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camino::Utf8PathBuf;
use kvnet::profile;
use kvnet::sandbox::{Options, Sandbox};
use serde_json::json;

use crate::survives::secrets::{CANARY, assert_silent, assert_silent_files};
use kvnet_test_kit::count;
use kvnet_test_kit::run::{As, Place, text};

const KEPT: [&str; 4] = ["--sandbox-dir", "DIR/kept", "--profile", "DIR/p.yaml"];
const PROFILE: &str = "extends: default
vm:
  login: {user: fedora, password: login-canary, sshKeys: [ssh-ed25519 AAAAlogin-canary]}
  cloudInit:
    userData: |
      #cloud-config
      password: password-canary
      ssh_authorized_keys: [ssh-ed25519 AAAAcanary]
      write_files: [{path: /x, content: canary}]
    networkData: '{version: 2, wifis: {w: {password: canary}}}'
";

/// Plants canaries in files of the node and in objects of the cluster; returns how many.
fn plant(place: &Place) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = Utf8PathBuf::from_path_buf(place.path("kept")).unwrap();
        let options = Options { directory: Some(directory), ..Options::default() };
        let loaded = profile::load("default", &[]).unwrap();
        let sandbox = Sandbox::open(&options, &loaded.profile).unwrap();
        let node = sandbox.node();
        let admin = node.text("/etc/kubernetes/admin.conf").unwrap().unwrap();
        let key = STANDARD.encode(format!("-----BEGIN {CANARY}"));
        let (before, _) = admin.trim_end().rsplit_once(": ").unwrap();
        let with_keys = format!(
            "{before}: {key}\n    token: token-{CANARY}\n    username: admin\n    password: password-{CANARY}\n"
        );
        node.put_file("/etc/kubernetes/admin.conf", with_keys.as_bytes(), 0o600).unwrap();
        let other = "apiVersion: v1\nkind: Config\ncurrent-context: mine\nclusters: []\ncontexts: []\n";
        let other = format!("{other}users: [{{name: me, user: {{token: old-{CANARY}}}}}]\n");
        node.put_file("/root/.kube/config", other.as_bytes(), 0o600).unwrap();
        node.put_file("/etc/kubernetes/pki/ca.key", CANARY.as_bytes(), 0o600).unwrap();
        let multus = format!("users:\n- user:\n    token: a.{CANARY}.b\n");
        node.put_file("/etc/cni/net.d/multus.d/multus.kubeconfig", multus.as_bytes(), 0o600).unwrap();
        for namespace in ["default", "kube-system"] {
            let metadata = json!({"name": "theirs", "namespace": namespace});
            let data = json!({"password": STANDARD.encode(CANARY)});
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data});
            sandbox.api().create("test", &secret).unwrap();
        }
        sandbox.settle().unwrap();
    });
    // Three in the administrator's kubeconfig, one in the other, a key, one in Multus' own, two Secrets.
    3 + 1 + 1 + 1 + 2
}

#[test]
fn a_whole_run_shows_and_keeps_no_secret() {
    let place = Place::new();
    place.mine("kept");
    place.write("p.yaml", PROFILE);
    let planted = plant(&place);
    let mirror = format!("http://user:{CANARY}@127.0.0.1:1/x?token={CANARY}");
    let variables =
        [("KVNET_MIRROR", mirror.as_str()), ("HTTPS_PROXY", &mirror), ("AWS_SECRET_ACCESS_KEY", CANARY)];
    let mut said = 0;
    for format in ["text", "json", "yaml"] {
        let arguments = ["profile", "show", "--profile", "DIR/p.yaml", "-o", format];
        let output = place.kvnet(As::Tester, &arguments, &variables);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_silent(&(text(&output.stdout) + &text(&output.stderr)), &format!("{arguments:?}"));
        said += 1;
    }
    let mut run = |arguments: &[&str], exits: &[i32]| {
        let output = place.kvnet(As::Tester, &[arguments, &KEPT].concat(), &variables);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let code = output.status.code().unwrap_or(-1);
        assert!(exits.contains(&code), "{arguments:?}: {code} {out}{err}");
        assert_silent(&(out + &err), &format!("{arguments:?}"));
        said += 1;
    };
    run(&["plan", "-vvv"], &[3]);
    run(&["plan", "-o", "json", "-vvv"], &[3]);
    run(&["up", "-o", "json", "-vvv"], &[0]);
    run(&["down", "--dry-run", "-vv"], &[3]);
    run(&["down", "--dry-run", "-o", "json"], &[3]);
    for command in [&["plan"][..], &["status"], &["render"], &["topology"]] {
        for more in [&["-vvv"][..], &["-o", "json"], &["-o", "yaml"]] {
            run(&[command, more].concat(), &[0]);
        }
    }
    for more in [&["-vvv"][..], &["-o", "json"]] {
        run(&[&["trace", "vmi/vm-two-nics"], more].concat(), &[0, 1]);
        run(&[&["doctor"], more].concat(), &[0, 1]);
    }
    for format in ["svg", "html", "dot"] {
        run(&["topology", "-o", format], &[0]);
    }
    run(&["down", "-vvv"], &[0]);
    run(&["down", "-o", "json"], &[0]);
    let files = assert_silent_files(&place.path("kept/state"), "the state directory");
    assert!(files >= 1, "a journal");
    assert!(fs::read_to_string(place.path("kept/sandbox.jsonl")).unwrap().contains(CANARY));
    // In the profile, the address of the mirror, the proxy's, and the environment.
    count::record("secrets planted", planted + PROFILE.matches(CANARY).count() + 3);
    count::record("places searched for secrets", said + files);
}
