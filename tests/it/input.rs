//! What users write and name: files that are none, networks that cannot work, fields without effect. As in `errors`.

use std::process::Command;

use crate::errors::{ROW, Row, check};
use crate::run::{As, Place, text};

fn pipe(place: &Place) {
    let made = Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
}

fn profile(place: &Place, rest: &str) {
    place.write("p.yaml", &format!("extends: default\nvm: {{enabled: false}}\n{rest}\n"));
}

/// A file that nobody writes to or that has no end is refused, and never waited for.
#[test]
fn files_that_are_none() {
    const VALIDATE: &[&str] = &["profile", "validate", "DIR/p.yaml"];
    check(&[
        Row {
            name: "a pipe as profile",
            prepare: pipe,
            arguments: &["profile", "validate", "DIR/pipe"],
            code: "KVN101",
            says: "it is a pipe",
            ..ROW
        },
        Row {
            name: "a device as profile",
            arguments: &["plan", "-p", "/dev/zero"],
            code: "KVN101",
            says: "it is a device",
            ..ROW
        },
        Row {
            name: "a directory as profile",
            arguments: &["profile", "show", "DIR/state"],
            code: "KVN101",
            says: "a directory",
            ..ROW
        },
        Row {
            name: "a pipe behind `extends`",
            prepare: |place| {
                pipe(place);
                place.write("p.yaml", "extends: ./pipe\n");
            },
            arguments: VALIDATE,
            code: "KVN105",
            says: "it is a pipe",
            ..ROW
        },
        Row {
            name: "a pipe with answers",
            prepare: pipe,
            arguments: &["init", "--answers", "DIR/pipe", "--defaults"],
            code: "KVN111",
            says: "it is a pipe",
            ..ROW
        },
        Row {
            name: "a pipe as manifest",
            prepare: |place| {
                pipe(place);
                profile(place, "flannel: {source: {from: file, path: ./pipe}}");
            },
            arguments: &["render", "--offline", "--only", "flannel", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "it is a pipe",
            ..ROW
        },
        Row {
            name: "a device as manifest",
            prepare: |place| profile(place, "multus: {source: {from: file, path: /dev/zero}}"),
            arguments: &["render", "--offline", "--only", "multus", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "it is a device",
            ..ROW
        },
    ]);
}

#[test]
fn raw_networks_and_addresses() {
    const VALIDATE: &[&str] = &["profile", "validate", "DIR/p.yaml"];
    check(&[
        Row {
            name: "a bridge that nothing makes, in a chain",
            prepare: |place| {
                profile(
                    place,
                    "networks:\n- name: lan\n  kind: raw\n  config:\n    plugins:\n    - {type: tuning}\n    - {type: ovs, bridge: br-typo}",
                );
            },
            arguments: VALIDATE,
            code: "KVN104",
            says: "p.yaml:9:27",
            ..ROW
        },
        Row {
            name: "a VLAN that is none",
            prepare: |place| {
                profile(
                    place,
                    "networks: [{name: lan, kind: raw, config: {type: ovs, bridge: blue, vlan: 5000}}]",
                );
            },
            arguments: VALIDATE,
            code: "KVN104",
            says: "`networks[0].config.vlan` cannot be 5000",
            ..ROW
        },
        Row {
            name: "a range for fewer pods than the verification has",
            prepare: |place| {
                profile(
                    place,
                    "networks: [{name: t, kind: ovs, bridge: blue, ipam: {subnet: 10.20.0.0/30}}]",
                );
            },
            arguments: VALIDATE,
            code: "KVN104",
            says: "leaves 1 address to give out",
            ..ROW
        },
        Row {
            name: "flannel under another name",
            prepare: |place| {
                profile(place, "networks: [{name: f, kind: raw, config: {type: flannel, dataDir: /x}}]");
            },
            arguments: VALIDATE,
            code: "KVN104",
            says: "write `name: cbr0`",
            ..ROW
        },
        Row {
            name: "what host-local does not have",
            prepare: |place| {
                profile(
                    place,
                    "networks: [{name: t, kind: ovs, bridge: blue, ipam: {subnet: 10.20.0.0/24, exclude: [10.20.0.0/28]}}]",
                );
            },
            arguments: VALIDATE,
            code: "KVN103",
            says: "write the parts around it",
            ..ROW
        },
    ]);
}

#[test]
fn fields_beside_a_manifest_and_logins() {
    const PLAN: &[&str] = &["plan", "--only", "taints", "--kubeconfig", "DIR/k"];
    check(&[
        Row {
            name: "flannel's namespace beside a manifest",
            prepare: |place| {
                let object = "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: f, namespace: theirs}}";
                place.write("m.yml", object);
                profile(place, "flannel:\n  namespace: other\n  source: {from: file, path: m.yml}");
            },
            arguments: &["render", "--offline", "--only", "flannel", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "p.yaml:4:14",
            ..ROW
        },
        Row {
            name: "KubeVirt's namespace beside its release",
            arguments: &["profile", "validate", "--set", "kubevirt.namespace=other"],
            code: "KVN104",
            says: "must be `kubevirt`",
            ..ROW
        },
        Row {
            name: "a credential plugin that is not there",
            prepare: |place| {
                place.kubeconfig("k", "http://127.0.0.1:1");
                let text = std::fs::read_to_string(place.path("k")).unwrap();
                let exec = "{exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-login, interactiveMode: Never}}";
                place.write("k", &text.replace("{token: token-canary}", exec));
                private(place);
            },
            arguments: PLAN,
            exit: 1,
            code: "KVN310",
            says: "no-such-login",
            ..ROW
        },
        Row {
            name: "an auth-provider",
            prepare: |place| {
                place.kubeconfig("k", "http://127.0.0.1:1");
                let text = std::fs::read_to_string(place.path("k")).unwrap();
                place.write("k", &text.replace("{token: token-canary}", "{auth-provider: {name: gcp}}"));
            },
            arguments: PLAN,
            exit: 1,
            code: "KVN311",
            says: "auth-provider",
            ..ROW
        },
    ]);
}

/// Others must not choose the program that root runs.
fn private(place: &Place) {
    use std::os::unix::fs::{PermissionsExt, chown};
    std::fs::set_permissions(place.path("k"), std::fs::Permissions::from_mode(0o600)).unwrap();
    if crate::run::is_root() {
        chown(place.path("k"), Some(0), Some(0)).unwrap();
    }
}

/// What `render` hides is named, so that nobody applies it.
#[test]
fn hidden_secrets_are_named_beside_the_manifests() {
    let place = Place::new();
    let arguments = ["render", "--offline", "--only", "vm", "--set", "vm.login.password=x-canary"];
    let output = place.kvnet(As::Tester, &arguments, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert!(err.contains("secrets are hidden") && err.contains("vm-two-nics-cloud-init"), "{err}");
    assert!(!out.contains("canary") && !err.contains("canary"), "{out}{err}");
}
