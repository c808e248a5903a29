//! What users write and name: files that are none, networks that cannot work, fields without effect. As in `errors`.

use std::process::Command;

use crate::it::errors::{ROW, Row, check};
use kvnet_test_kit::run::{As, Place, text};

fn pipe(place: &Place) {
    let made = Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(made.success());
}

fn profile(place: &Place, rest: &str) {
    place.write("p.yaml", &format!("extends: default\nvm: {{enabled: false}}\n{rest}\n"));
}

/// A file without a writer or without an end is refused, and never waited for.
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
    ]);
}

/// The field of the profile that names a file is told with what is wrong with it.
#[test]
fn manifests_that_are_none() {
    check(&[
        Row {
            name: "a pipe as manifest",
            prepare: |place| {
                pipe(place);
                profile(place, "flannel: {source: {from: file, path: ./pipe}}");
            },
            arguments: &["render", "--offline", "--only", "flannel", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "p.yaml:3:38",
            ..ROW
        },
        Row {
            name: "a manifest that is not there",
            prepare: |place| profile(place, "flannel: {source: {from: file, path: ./nowhere.yml}}"),
            arguments: &["render", "--offline", "--only", "flannel", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "p.yaml:3:38",
            ..ROW
        },
        Row {
            name: "a directory as manifest",
            prepare: |place| profile(place, "flannel: {source: {from: file, path: ./state}}"),
            arguments: &["render", "--offline", "--only", "flannel", "-p", "DIR/p.yaml"],
            code: "KVN104",
            says: "`flannel.source.path` names",
            ..ROW
        },
        Row {
            name: "a manifest that is not text",
            prepare: |place| {
                std::fs::write(place.path("m.yml"), [0xff, 0xfe, 0x00]).unwrap();
                profile(place, "ovsCni: {source: {from: file, path: ./m.yml}}");
            },
            arguments: &["render", "--offline", "--only", "ovs-cni", "-p", "DIR/p.yaml"],
            code: "KVN403",
            exit: 1,
            says: "named by `ovsCni.source.path` at",
            ..ROW
        },
        Row {
            name: "a manifest that is no YAML",
            prepare: |place| {
                place.write("m.yml", "a: [");
                profile(place, "multus: {source: {from: file, path: ./m.yml}}");
            },
            arguments: &["render", "--offline", "--only", "multus", "-p", "DIR/p.yaml"],
            code: "KVN403",
            exit: 1,
            says: "p.yaml:3:37",
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
                    "networks:\n- name: lan\n  kind: raw\n  config:\n    cniVersion: 0.3.1\n    plugins:\n    - {type: ovs, bridge: br-typo}\n    - {type: tuning}",
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
            code: "KVN104",
            says: "write the ranges around it",
            ..ROW
        },
    ]);
}

#[test]
fn plugins_that_refuse_their_configuration() {
    const VALIDATE: &[&str] = &["profile", "validate", "DIR/p.yaml"];
    check(&[
        Row {
            name: "a plugin that changes a NIC which nothing makes",
            prepare: |place| {
                profile(
                    place,
                    "networks: [{name: lan, kind: raw, config: {cniVersion: 0.4.0, type: bandwidth}}]",
                );
            },
            arguments: VALIDATE,
            code: "KVN104",
            says: "`bandwidth` changes the NIC of an earlier plugin",
            ..ROW
        },
        Row {
            name: "a card that is not named",
            prepare: |place| {
                profile(
                    place,
                    "networks: [{name: lan, kind: raw, config: {cniVersion: 0.3.1, type: host-device}}]",
                );
            },
            arguments: VALIDATE,
            code: "KVN104",
            says: "`host-device` needs `device`",
            ..ROW
        },
    ]);
}

/// Each at its line and column, wherever an address may stand.
#[test]
fn addresses_and_interfaces_that_no_pod_can_have() {
    let network = |ipam: &str| format!("networks:\n- name: t\n  kind: ovs\n  bridge: blue\n  ipam: {ipam}");
    let raw = |ipam: &str| {
        format!("networks:\n- name: t\n  kind: raw\n  config:\n    type: macvlan\n    ipam: {ipam}")
    };
    let bridge = |name: &str| {
        let ovs = "ovs: {bridges: [{name: blue, uplink: eth7}]}";
        format!("{ovs}\nnetworks:\n- name: t\n  kind: bridge\n  bridge: {name}")
    };
    let init = |field: &str, subnet: &str| {
        format!("cluster:\n  init:\n    clusterConfiguration:\n      networking:\n        {field}: {subnet}")
    };
    let mut rows: Vec<(String, &str, &str)> = Vec::new();
    for (subnet, what) in [
        ("127.0.0.0/24", "loopback"),
        ("126.0.0.0/7", "loopback"),
        ("224.1.0.0/16", "multicast"),
        ("240.0.0.0/24", "reserved"),
        ("255.255.255.0/24", "reserved"),
        ("0.0.0.0/16", "not usable by NICs"),
    ] {
        rows.push((network(&format!("{{subnet: {subnet}}}")), "p.yaml:7:18", what));
        rows.push((network(&format!("{{ranges: [[{{subnet: {subnet}}}]]}}")), "p.yaml:7:29", what));
        rows.push((raw(&format!("{{type: host-local, subnet: {subnet}}}")), "p.yaml:8:38", what));
        rows.push((raw(&format!("{{type: whereabouts, range: {subnet}}}")), "p.yaml:8:38", what));
        rows.push((format!("cluster:\n  podSubnet: {subnet}"), "p.yaml:4:14", what));
        rows.push((init("serviceSubnet", subnet), "p.yaml:7:24", what));
    }
    for address in ["127.0.0.5", "224.0.0.5", "250.0.0.5", "0.0.0.5"] {
        let range = |field: &str| network(&format!("{{subnet: 10.20.0.0/24, {field}: {address}}}"));
        rows.push((range("rangeStart"), "p.yaml:7:44", "is not a host address"));
        rows.push((range("rangeEnd"), "p.yaml:7:42", "is not a host address"));
        rows.push((range("gateway"), "p.yaml:7:41", "is not a host address"));
        let route = |route: &str| format!("{{type: host-local, subnet: 10.20.0.0/24, routes: [{route}]}}");
        let (to, by) = (format!("{{dst: {address}/32}}"), format!("{{dst: 10.9.0.0/16, gw: {address}}}"));
        rows.push((raw(&route(&to)), "p.yaml:8:67", address));
        rows.push((raw(&route(&by)), "p.yaml:8:84", address));
        rows.push((network(&format!("{{subnet: 10.20.0.0/24, routes: [{to}]}}")), "p.yaml:7:47", address));
        rows.push((
            raw(&format!("{{type: static, addresses: [{{address: {address}/24}}]}}")),
            "p.yaml:8:48",
            address,
        ));
    }
    rows.push((init("podSubnet", "169.254.0.0/16"), "p.yaml:7:20", "link-local"));
    for name in ["cni0", "docker0", "ovs-system", "lo", "flannel.1", "cali12345", "veth1"] {
        rows.push((bridge(name), "p.yaml:7:11", "another component's interface"));
    }
    rows.push((bridge("eth7"), "p.yaml:7:11", "is the uplink of bridge `blue`"));
    rows.push((bridge("blue"), "p.yaml:7:11", "is an Open vSwitch bridge"));
    for uplink in ["lo", "cni0", "blue"] {
        rows.push((
            format!("ovs:\n  bridges:\n  - {{name: blue, uplink: {uplink}}}"),
            "p.yaml:5:26",
            "is not a NIC",
        ));
    }
    for (text, at, says) in rows {
        let place = Place::new();
        profile(&place, &text);
        let output = place.kvnet(As::Tester, &["profile", "validate", "DIR/p.yaml"], &[]);
        let err = kvnet_test_kit::run::text(&output.stderr);
        assert!(output.status.code() == Some(2) && err.contains("error[KVN104]"), "{text}\n{err}");
        assert!(err.contains(at) && err.contains(says), "{text}: {at}, {says}\n{err}");
    }
}

/// Whoever corrects a profile needs no finger to go from a problem to its place and its hint.
#[test]
fn several_problems_each_have_their_place_and_hint() {
    let place = Place::new();
    profile(
        &place,
        "networks:\n- {name: a, kind: ovs, bridge: nope}\n- {name: b, kind: ovs, bridge: blue, vlan: 5000}",
    );
    let output = place.kvnet(As::Tester, &["profile", "validate", "DIR/p.yaml"], &[]);
    let err = text(&output.stderr);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[0], "error[KVN104]: a value in the profile is invalid (2 problems)", "{err}");
    assert!(lines[1].contains("p.yaml:4:32: `networks[0].bridge` `nope` is a bridge that nothing"), "{err}");
    assert!(lines[2].contains("hint: add it to `ovs.bridges`"), "{err}");
    assert!(lines[3].contains("p.yaml:5:44: `networks[1].vlan` cannot be 5000"), "{err}");
    assert!(lines[4].contains("hint: write 1 to 4094"), "{err}");
    let output = place.kvnet(As::Tester, &["profile", "validate", "DIR/p.yaml", "-o", "json"], &[]);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let second = &told["problems"][1];
    assert!(second["place"].as_str().unwrap().ends_with("p.yaml:5:44"), "{told}");
    assert_eq!(second["hint"], "write 1 to 4094");
}

#[test]
fn what_is_seldom_meant_is_a_warning() {
    let place = Place::new();
    let ipam = "{subnet: 169.254.7.0/24, routes: [{dst: 0.0.0.0/1}, {dst: 169.254.169.254/32}]}";
    profile(&place, &format!("networks: [{{name: t, kind: ovs, bridge: blue, ipam: {ipam}}}]"));
    let warns = "warning: network t: 169.254.7.0/24 is link-local";
    let output = place.kvnet(As::Tester, &["profile", "validate", "DIR/p.yaml"], &[]);
    assert!(output.status.success() && text(&output.stderr).contains(warns), "{}", text(&output.stderr));
    let output =
        place.kvnet(As::Tester, &["plan", "--sandbox", "--only", "networks", "-p", "DIR/p.yaml"], &[]);
    assert!(
        text(&output.stdout).contains("! network t: 169.254.7.0/24 is link-local"),
        "{}",
        text(&output.stdout)
    );
}

/// A writer has the pipe open and never writes: after a while the user is told, and Ctrl-C stops.
#[test]
fn a_silent_writer_is_waited_for_with_a_word() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    pipe(&place);
    let file = ["render", "--offline", "--only", "multus", "--set", "multus.source.from=file", "--set"];
    for (arguments, says) in [
        (&["plan", "--sandbox", "-p", "-"][..], "waiting for standard input to end"),
        (&["profile", "validate", "DIR/pipe"], "a writer on"),
        (&["init", "--sandbox", "--defaults", "--answers", "DIR/pipe"], "a writer on"),
        (&[&file[..], &["multus.source.path=DIR/pipe"]].concat(), "a writer on"),
    ] {
        let (reader, _silent) = std::io::pipe().unwrap();
        // For reading too: opening it does not wait for kvnet.
        let mut both = std::fs::OpenOptions::new();
        let _writer = both.read(true).write(true).open(place.path("pipe")).unwrap();
        let mut command = place.command(As::Tester, arguments, &[]);
        let mut child = command.stdin(reader).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains(says) && line.contains("Ctrl-C"), "{arguments:?}: {line}");
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, stop_signal()).unwrap();
        assert!(!child.wait().unwrap().success(), "{arguments:?}");
    }
}

/// What Ctrl-C sends; SIGTERM where this test was started with SIGINT ignored, as a script's job in the background is: every
/// child inherits that.
fn stop_signal() -> rustix::process::Signal {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    let of_int = 1 << (rustix::process::Signal::INT.as_raw() - 1);
    match u64::from_str_radix(ignored, 16).unwrap() & of_int {
        0 => rustix::process::Signal::INT,
        _ => rustix::process::Signal::TERM,
    }
}

#[test]
fn network_data_that_no_guest_reads() {
    for (data, at, says) in [
        ("'version: 3'", "4:18", "has version 3"),
        ("'[eth0]'", "4:18", "is not a map"),
        ("hello", "4:18", "is not a map"),
        ("'ethernets: {}'", "4:18", "has no `version`"),
        ("|\n      version: 2\n      ethernets: [", "5:7", "is not YAML: line"),
    ] {
        let place = Place::new();
        place.write("p.yaml", &format!("extends: default\nvm:\n  cloudInit:\n    networkData: {data}\n"));
        let output = place.kvnet(As::Tester, &["profile", "validate", "DIR/p.yaml"], &[]);
        let err = text(&output.stderr);
        assert!(output.status.code() == Some(2) && err.contains("error[KVN104]"), "{data}: {err}");
        assert!(err.contains(&format!("p.yaml:{at}\n")) && err.contains(says), "{data}: {err}");
    }
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
    if kvnet_test_kit::run::is_root() {
        chown(place.path("k"), Some(0), Some(0)).unwrap();
    }
}

/// What `render` hides is named, so that it is not applied by mistake.
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
