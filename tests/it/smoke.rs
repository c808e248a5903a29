//! `kvnet smoke` on a sandbox after `up`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use kvnet::cluster::ObjectKey;
use serde_json::{Value, json};

use crate::it::layers::files;
use crate::it::smoke_junit::is_junit;
use crate::it::smoke_place::{Place, Ran, UP, delete, kvnet, network, update};
use kvnet_test_kit::run::{As, text};

const RUN_ON_A_WHOLE_NODE: [&str; 9] = [
    "a-bridge-network",
    "addresses",
    "attachments",
    "default-network",
    "dns",
    "flannel-network",
    "leaks",
    "multus-restart",
    "same-network",
];

#[test]
fn after_up_every_case_passes_or_says_why_it_cannot_run() {
    let place = UP.copy();
    let junit = place.path("smoke.xml");
    let ran = place.smoke(&["--junit", junit.to_str().unwrap()]);
    assert_eq!((ran.code, &ran.report["result"]), (Some(0), &json!("passed")), "{}\n{}", ran.report, ran.err);
    assert_eq!(ran.names("passed"), [&RUN_ON_A_WHOLE_NODE[..], &["vlan-isolation"]].concat());
    assert_eq!(ran.names("skipped"), ["after-down", "reboot", "vmi"]);
    for (case, why) in
        [("after-down", "only runs after `kvnet down`"), ("reboot", "--allow-reboot"), ("vmi", "are skipped")]
    {
        assert!(ran.case(case)["reason"].as_str().unwrap().contains(why), "{}", ran.case(case));
    }
    for case in ran.names("passed") {
        let checks = ran.case(case)["checks"].as_array().unwrap();
        assert!(
            !checks.is_empty() && checks.iter().all(|check| check["verdict"] == "passed"),
            "{case}: {checks:?}"
        );
    }
    assert!(place.is_clean(), "namespaces are left");
    assert!(!place.path("box/state/smoke").exists(), "something was collected without a failure");
    is_junit(&fs::read_to_string(junit).unwrap(), &[13, 0, 3]);
}

#[test]
fn reach_is_tried_in_every_way() {
    let ran = UP.copy().smoke(&["same-network", "default-network"]);
    for (case, one, other) in
        [("same-network", "ovs-blue-1", "ovs-blue-2"), ("default-network", "plain-1", "plain-2")]
    {
        let checks = ran.case(case)["checks"].as_array().unwrap();
        let size = if case == "same-network" { 1500 } else { 1450 };
        for what in ["", " by TCP", " by UDP", &format!(" with packets of {size} bytes")] {
            let wanted = format!("{one} reaches {other}{what}");
            assert!(checks.iter().any(|check| check["check"] == wanted), "`{wanted}` is not in {checks:#?}");
        }
    }
}

#[test]
fn a_vm_with_two_nics_is_tried_too() {
    let place = Place::up(&[]);
    let output = kvnet(place.0.path(), &["smoke", "vmi", "-o", "json"]).output().unwrap();
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}{}", text(&output.stderr));
    let report: Value = serde_json::from_str(&out).unwrap();
    let checks = report["cases"][0]["checks"].to_string();
    assert!(checks.contains("smoke-vm: blue has a link, an untagged port of blue"), "{checks}");
    let before = place.values();
    assert!(
        place.is_clean() && before.keys().any(|key| key.ends_with("/vm-two-nics")),
        "the profile's VM is gone"
    );
}

#[test]
fn the_walkthrough_passes_on_the_software_of_its_day() {
    let place = Place::up(&["--profile", "walkthrough-2018"]);
    let arguments = ["smoke", "-o", "json", "--profile", "walkthrough-2018", "--skip", "kubevirt,vm"];
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn after_down_only_the_plain_pod_is_tried() {
    let place = UP.copy();
    assert!(kvnet(place.0.path(), &["down"]).output().unwrap().status.success());
    let ran = place.smoke(&[]);
    assert_eq!((ran.code, ran.names("passed")), (Some(0), vec!["after-down"]), "{}", ran.report);
    assert_eq!(ran.names("skipped").len(), 12);
    assert!(place.is_clean());
}

#[test]
fn cases_that_cannot_run_are_no_success() {
    let ran = UP.copy().smoke(&["reboot", "after-down"]);
    assert_eq!((ran.code, &ran.report["result"]), (Some(1), &json!("nothing-ran")));
    let output = kvnet(UP.copy().0.path(), &["smoke", "reboot"]).output().unwrap();
    let err = text(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains("error[KVN807]"), "{err}");
}

#[test]
fn what_does_not_exist_is_a_mistake_of_the_user() {
    let place = Place(tempfile::tempdir().unwrap());
    for (arguments, code, says) in [
        (&["smoke", "fly"][..], "KVN806", "`fly`"),
        (&["smoke", "--tag", "fly"], "KVN806", "walkthrough"),
        (&["smoke", "--skip-case", "fly"], "KVN806", "`fly`"),
        (&["smoke", "--jobs", "0"], "KVN100", "1..=64"),
        (&["smoke", "list", "dns"], "KVN100", "dns"),
        (&["smoke", "--resume"], "KVN810", "no smoke test is waiting"),
    ] {
        let output = kvnet(place.0.path(), arguments).output().unwrap();
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {err}");
        assert!(err.contains(&format!("error[{code}]")) && err.contains(says), "{arguments:?}: {err}");
    }
}

/// Nothing that looks like a secret is collected, although the node has it.
#[test]
fn what_is_collected_has_no_secrets() {
    let place = UP.copy();
    place.change(|sandbox| {
        delete(sandbox, &network("ovs-blue"));
        let text = "users: [{name: multus, user: {token: eyJcanary.a.b}}]\nclient-key-data: canary\n";
        sandbox.node().put_file("/etc/cni/net.d/multus.kubeconfig", text.as_bytes(), 0o600).unwrap();
        let noisy =
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "x", "namespace": "default"}});
        sandbox.api().create("somebody", &noisy).unwrap();
    });
    let ran = place.smoke(&["attachments"]);
    let collected = ran.case("attachments")["collected"].as_str().unwrap();
    assert!(collected.starts_with(place.path("box/state/smoke").to_str().unwrap()), "{collected}");
    let file = Path::new(collected).join("node/files/etc/cni/net.d/multus.kubeconfig");
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("(hidden)"), "{text}");
    let files = files(Path::new(collected));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains("canary"), "{}: {text}", file.display());
    }
}

/// Ctrl-C ends the cases, which clean up, and the program says so; a terminal that goes away does too, however often it
/// hangs up.
#[test]
fn a_stopped_run_leaves_nothing() {
    use rustix::process::Signal;
    for signals in [&[Signal::INT][..], &[Signal::TERM], &[Signal::HUP, Signal::HUP]] {
        stopped_run_leaves_nothing(signals);
    }
}

fn stopped_run_leaves_nothing(signals: &[rustix::process::Signal]) {
    let place = UP.copy();
    place.change(|sandbox| {
        let key = ObjectKey::new("v1", "Node", None, "sandbox");
        update(sandbox, &key, |node| {
            // One that passes by itself is waited for; another would end the cases.
            node["spec"]["taints"] =
                json!([{"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}]);
        });
    });
    let arguments = ["smoke", "default-network", "attachments", "leaks", "--jobs", "2", "--timeout", "600"];
    let mut child =
        kvnet(place.0.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let waits = lines.by_ref().map(Result::unwrap).find(|line| line.contains(": waiting: "));
    assert!(waits.is_some(), "no case waits for anything");
    let process = rustix::process::Pid::from_child(&child);
    for signal in signals {
        rustix::process::kill_process(process, *signal).unwrap();
    }
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    let (out, err) = (text(&output.stdout), rest.join("\n"));
    assert_eq!(output.status.code(), Some(130), "{out}{err}");
    assert!(err.contains("error[KVN503]") && out.contains("stopped  leaks"), "{out}{err}");
    assert!(place.is_clean(), "namespaces are left");
}

/// The scheduler says at once what a case would only time out on.
#[test]
fn what_no_node_takes_is_told_at_once_with_the_schedulers_reason() {
    let place = UP.copy();
    place.change(|sandbox| {
        let key = ObjectKey::new("v1", "Node", None, "sandbox");
        update(sandbox, &key, |node| {
            node["spec"]["taints"] = json!([{"key": "full", "effect": "NoSchedule"}]);
        });
    });
    let ran = place.smoke(&["default-network", "leaks", "multus-restart", "--timeout", "600"]);
    assert_eq!(ran.names("failed"), ["default-network", "leaks", "multus-restart"], "{}", ran.report);
    for case in ran.report["cases"].as_array().unwrap() {
        let told = case["failure"].to_string();
        assert!(case["seconds"].as_f64().unwrap() < 60.0, "{case}");
        for part in [
            "KVN808",
            "a pod is unschedulable",
            "untolerated taint",
            "node sandbox has the taint full:NoSchedule",
        ] {
            assert!(told.contains(part), "`{part}` is not in {told}");
        }
    }
    assert!(place.is_clean(), "namespaces are left");
}

/// A run that was killed leaves namespaces, which the next one removes.
#[test]
fn what_a_killed_run_has_left_goes_with_the_next_one() {
    let place = UP.copy();
    place.change(|sandbox| {
        let labels = json!({"kvnet.dev/smoke": "dns", "kvnet.dev/smoke-by": "sandbox"});
        let left = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kvnet-smoke-dns-1", "labels": labels}});
        sandbox.api().create("kvnet", &left).unwrap();
    });
    assert!(!place.is_clean());
    assert_eq!(place.smoke(&["dns"]).code, Some(0));
    assert!(place.is_clean());
}

/// The second half of the reboot itself is checked on a real node.
#[test]
fn after_a_boot_the_results_from_before_it_are_in_the_report() {
    let place = UP.copy();
    let before = place.smoke(&["dns"]).case("dns").clone();
    let record =
        json!({"namespace": "kvnet-smoke-reboot-1", "boot": "another", "results": [before]}).to_string();
    fs::write(place.path("box/state/smoke.json"), &record).unwrap();
    let ran = place.smoke(&["--resume"]);
    assert_eq!(
        (ran.code, ran.names("passed"), ran.names("skipped")),
        (Some(0), vec!["dns"], vec!["reboot"]),
        "{}",
        ran.report
    );
    assert!(!place.path("box/state/smoke.json").exists(), "it would be resumed again");
    fs::write(place.path("box/state/smoke.json"), &record).unwrap();
    let ran = place.smoke(&["dns"]);
    assert!(ran.code == Some(0) && ran.err.contains("discarding a smoke test"), "{}", ran.err);
    assert!(!place.path("box/state/smoke.json").exists());
}

#[test]
fn a_node_that_takes_few_pods_is_given_few_at_once() {
    let place = UP.copy();
    place.change(|sandbox| {
        let runs = sandbox.api().list("v1", "Pod", None).unwrap().len();
        let key = ObjectKey::new("v1", "Node", None, "sandbox");
        let mut node = sandbox.api().get(&key).unwrap().unwrap();
        // Of these, eight are kept free for others.
        node["status"]["allocatable"]["pods"] = (runs + 12).to_string().into();
        sandbox.api().update_status("kubelet", &node).unwrap();
    });
    let cases = ["addresses", "attachments", "same-network", "vlan-isolation", "leaks", "multus-restart"];
    let ran = place.smoke(&cases);
    assert_eq!(ran.code, Some(0), "{:#}\n{}", ran.report, ran.err);
    let checks = |ran: &Ran, case: &str| -> std::collections::BTreeSet<String> {
        let checks = ran.case(case)["checks"].as_array().unwrap().iter();
        checks.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
    };
    let whole = UP.copy().smoke(&["attachments", "same-network", "vlan-isolation"]);
    for case in ["attachments", "same-network", "vlan-isolation"] {
        assert_eq!(checks(&ran, case), checks(&whole, case), "{case}");
    }
    for (case, pods) in [("addresses", "2 of 6 pods"), ("leaks", "of 20 pods")] {
        let notes = ran.case(case)["notes"].to_string();
        assert!(notes.contains(&format!("{pods}: the node has no room for more")), "{case}: {}", ran.report);
    }
}

#[test]
fn the_report_is_for_people_too() {
    let place = UP.copy();
    place.change(|sandbox| delete(sandbox, &network("ovs-blue100")));
    let arguments = ["smoke", "attachments", "dns", "vmi", "--skip", "kubevirt,vm", "--collect", "there"];
    let output = kvnet(place.0.path(), &arguments).output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1));
    for part in [
        "FAILED   attachments",
        "[KVN621]",
        "passed   dns",
        "skipped  vmi",
        "1 passed, 1 failed, 1 skipped in ",
        "collected in /",
    ] {
        assert!(out.contains(part), "`{part}` is not in\n{out}");
    }
    assert!(
        err.contains("error[KVN800]: 1 of 2 cases failed: attachments") && !err.contains('\u{1b}'),
        "{err}"
    );
    assert!(place.path("there/attachments/result.json").exists());
}

#[test]
fn the_cases_are_listed() {
    let place = kvnet_test_kit::run::Place::new();
    let list = text(&place.kvnet(As::Tester, &["smoke", "list"], &[]).stdout);
    let data = place.kvnet(As::Tester, &["smoke", "list", "-o", "json"], &[]);
    let data: Value = serde_json::from_slice(&data.stdout).unwrap();
    for case in kvnet::smoke::CASES {
        assert!(list.contains(&format!("{:18} {}\n", case.name, case.title)), "{list}");
        assert!(data["cases"].as_array().unwrap().iter().any(|listed| listed["case"] == case.name));
    }
}
