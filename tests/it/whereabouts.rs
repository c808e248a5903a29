//! Addresses of the whole cluster, by the binary, in a sandbox: the optional component from `up` to `down`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use kvnet_test_kit::kept::{left_by_down, values};
use kvnet_test_kit::run::{As, Place, text};

/// Two networks on two bridges, with one range.
const PROFILE: &str = "\
extends: default
kubevirt: {enabled: false}
vm: {enabled: false}
whereabouts: {enabled: true}
networks:
  - {name: one, kind: ovs, bridge: blue, ipam: {type: whereabouts, range: 10.30.0.0/24, exclude: [10.30.0.0/28]}}
  - {name: two, kind: bridge, bridge: br9, ipam: {type: whereabouts, range: 10.30.0.0/24, exclude: [10.30.0.0/28]}}
";

fn run(place: &Place, code: i32, arguments: &[&str]) -> String {
    let options = ["--sandbox-dir", "DIR/kept", "--profile", "DIR/p.yaml"];
    let all: Vec<&str> = arguments.iter().chain(&options).copied().collect();
    let output = place.kvnet(As::Tester, &all, &[]);
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "kvnet {arguments:?}\n{said}");
    said
}

/// The addresses of the range that pods had, by network; panics when two pods had one at the same time.
fn given_out(log: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (mut pods, mut given) = (BTreeMap::new(), BTreeMap::<String, BTreeSet<String>>::new());
    for line in log.lines().skip(1) {
        for (key, value) in serde_json::from_str::<Vec<(String, Value)>>(line).unwrap() {
            if key.starts_with("node/sandbox/") {
                pods.insert(key, value);
            }
        }
        let mut taken = BTreeSet::new();
        for nic in pods.values().flat_map(|pod: &Value| pod["nics"].as_array().into_iter().flatten()) {
            let addresses = nic["addresses"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for address in addresses.filter(|address| address.starts_with("10.30.0.")) {
                assert!(taken.insert(address.to_owned()), "{address} twice: {pods:?}");
                let network = nic["network"].as_str().unwrap_or_default();
                given.entry(network.to_owned()).or_default().insert(address.to_owned());
            }
        }
    }
    given
}

#[test]
fn the_optional_component_comes_serves_two_networks_and_goes() {
    let place = Place::new();
    place.mine("kept");
    place.write("p.yaml", PROFILE);
    let plan = run(&place, 3, &["plan"]);
    assert!(plan.contains("create DaemonSet kube-system/whereabouts"), "{plan}");
    let fresh = values(&place.path("kept"));

    run(&place, 0, &["up"]);
    let log = fs::read_to_string(place.path("kept/sandbox.jsonl")).unwrap();
    let given = given_out(&log);
    assert_eq!(given.keys().collect::<Vec<_>>(), ["default/one", "default/two"], "{given:?}");
    assert!(given.values().flatten().all(|address| !address.ends_with(".1/24")), "{given:?}");
    let settled = values(&place.path("kept"));
    let pool = &settled["api/whereabouts.cni.cncf.io/ippools/kube-system/10.30.0.0-24"];
    assert_eq!(pool["spec"]["allocations"], serde_json::json!({}), "the pods that verified are gone");
    for file in ["/opt/cni/bin/whereabouts", "/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig"] {
        assert!(settled.contains_key(&format!("file{file}")), "{file}");
    }
    let again = run(&place, 0, &["up"]);
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!(values(&place.path("kept")), settled, "a run with nothing to do changed something");

    run(&place, 0, &["down"]);
    let differences = left_by_down(&fresh, &values(&place.path("kept")));
    assert!(differences.is_empty(), "{differences:#?}");
}

/// Nothing of it is there unless a profile wants it.
#[test]
fn it_is_off_unless_a_profile_turns_it_on() {
    let place = Place::new();
    let render = |more: &[&str]| {
        let arguments: Vec<&str> =
            ["render", "--offline", "--skip", "kubevirt,vm"].iter().chain(more).copied().collect();
        text(&place.kvnet(As::Tester, &arguments, &[]).stdout)
    };
    assert!(!render(&[]).contains("whereabouts"));
    assert!(render(&["--set", "whereabouts.enabled=true"]).contains("name: ippools.whereabouts.cni.cncf.io"));
}
