//! kvnet's templates against the real manifests: every difference is deliberate and has its reason here.
//!
//! The manifests come from the projects' Go modules, whose digests Go checks; none is kept in this repository.
#![allow(clippy::disallowed_methods, reason = "tests run go and read what it downloaded")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::files::digest;
use super::*;
use crate::components::{flannel, multus, ovs_cni, whereabouts};
use crate::profile::MultusFlavour;

const FLANNEL: (&str, &str) = ("github.com/flannel-io/flannel@v0.28.10", "Documentation/kube-flannel.yml");
const THICK: (&str, &str) =
    ("gopkg.in/k8snetworkplumbingwg/multus-cni.v4@v4.3.0", "deployments/multus-daemonset-thick.yml");
const THIN: (&str, &str) =
    ("gopkg.in/k8snetworkplumbingwg/multus-cni.v4@v4.3.0", "deployments/multus-daemonset.yml");
const OVS_CNI: (&str, &str) = ("github.com/k8snetworkplumbingwg/ovs-cni@v0.39.0", "examples/ovs-cni.yml");

const WHEREABOUTS: &str = "github.com/k8snetworkplumbingwg/whereabouts@v0.9.2";

const PINNED: &str = "a release has one image, not whatever a moving tag means today";
const PULL_POLICY: &str = "the profile decides when images are pulled";
const PRIORITY: &str = "without it the node evicts the pod that all others need for their network";
const MEMORY: &str = "upstream's limit gets it killed on a busy node; the profile sets it";
const NO_CPU_LIMIT: &str = "a throttled Multus delays the start of every pod";
const QUICK: &str = "a network that is ready after 2 s is seen to be ready then, not after 10 s";
const OWN_WORDS: &str = "documentation for kubectl explain, in kvnet's words or none";

#[test]
#[ignore = "needs Go and its module proxy; the story `upstream` runs it"]
fn flannel_differs_only_on_purpose() {
    compare(
        &flannel::FLANNEL,
        MultusFlavour::Thick,
        FLANNEL,
        &[
            (
                "ConfigMap/kube-flannel-cfg.data.cni-conf.json.cniVersion",
                "0.3.1 is the version that Multus has itself: with 1.0.0 the thin one writes another file name",
            ),
            (
                "DaemonSet/kube-flannel-ds.spec.template.spec.initContainers.install-cni-plugin.imagePullPolicy",
                PULL_POLICY,
            ),
            (
                "DaemonSet/kube-flannel-ds.spec.template.spec.initContainers.install-cni.imagePullPolicy",
                PULL_POLICY,
            ),
            (
                "DaemonSet/kube-flannel-ds.spec.template.spec.containers.kube-flannel.imagePullPolicy",
                PULL_POLICY,
            ),
            ("DaemonSet/kube-flannel-ds.spec.template.spec.containers.kube-flannel.startupProbe", QUICK),
            (
                "DaemonSet/kube-flannel-ds.spec.template.spec.containers.kube-flannel.readinessProbe.initialDelaySeconds",
                QUICK,
            ),
        ],
    );
}

#[test]
#[ignore = "needs Go and its module proxy; the story `upstream` runs it"]
fn thick_multus_differs_only_on_purpose() {
    compare(
        &multus::MULTUS,
        MultusFlavour::Thick,
        THICK,
        &[
            (
                "CustomResourceDefinition/network-attachment-definitions.k8s.cni.cncf.io.spec.versions.v1.schema.openAPIV3Schema",
                OWN_WORDS,
            ),
            (
                "ConfigMap/multus-daemon-config.data.daemon-config.json.multusMasterCNI",
                "the first file in the directory may be another network's",
            ),
            (
                "ConfigMap/multus-daemon-config.data.daemon-config.json.readinessindicatorfile",
                "pods that start before flannel is ready would have no network",
            ),
            ("DaemonSet/kube-multus-ds.spec.template.spec.priorityClassName", PRIORITY),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.initContainers.install-multus-binary.image",
                PINNED,
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.initContainers.install-multus-binary.imagePullPolicy",
                PULL_POLICY,
            ),
            ("DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.image", PINNED),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.imagePullPolicy",
                PULL_POLICY,
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.resources.limits.memory",
                MEMORY,
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.resources.limits.cpu",
                NO_CPU_LIMIT,
            ),
        ],
    );
}

#[test]
#[ignore = "needs Go and its module proxy; the story `upstream` runs it"]
fn thin_multus_differs_only_on_purpose() {
    const STATIC: &str = "only a configuration that is not made automatically needs it";
    compare(
        &multus::MULTUS,
        MultusFlavour::Thin,
        THIN,
        &[
            (
                "CustomResourceDefinition/network-attachment-definitions.k8s.cni.cncf.io.spec.versions.v1.schema.openAPIV3Schema",
                OWN_WORDS,
            ),
            ("ConfigMap/multus-cni-config", STATIC),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.volumeMounts.multus-cfg",
                STATIC,
            ),
            ("DaemonSet/kube-multus-ds.spec.template.spec.volumes.multus-cfg", STATIC),
            ("DaemonSet/kube-multus-ds.spec.template.spec.priorityClassName", PRIORITY),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.initContainers.install-multus-binary.image",
                PINNED,
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.initContainers.install-multus-binary.imagePullPolicy",
                PULL_POLICY,
            ),
            ("DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.image", PINNED),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.imagePullPolicy",
                PULL_POLICY,
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.args.--cleanup-config-on-exit=true",
                "left behind, the configuration keeps every pod from starting",
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.args.--multus-master-cni-file-name=10-flannel.conflist",
                "the first file in the directory may be another network's",
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.args.--readiness-indicator-file=/run/flannel/subnet.env",
                "pods that start before flannel is ready would have no network",
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.resources.limits.memory",
                MEMORY,
            ),
            (
                "DaemonSet/kube-multus-ds.spec.template.spec.containers.kube-multus.resources.limits.cpu",
                NO_CPU_LIMIT,
            ),
        ],
    );
}

#[test]
#[ignore = "needs Go and its module proxy; the story `upstream` runs it"]
fn ovs_cni_differs_only_on_purpose() {
    const TAINTS: &str = "upstream tolerates only the role that control planes lost in Kubernetes 1.24";
    compare(
        &ovs_cni::OVS_CNI,
        MultusFlavour::Thick,
        OVS_CNI,
        &[
            ("DaemonSet/ovs-cni-amd64.spec.template.metadata.annotations", OWN_WORDS),
            (
                "DaemonSet/ovs-cni-amd64.spec.template.spec.nodeSelector.kubernetes.io/arch",
                "other architectures have bridges too",
            ),
            ("DaemonSet/ovs-cni-amd64.spec.template.spec.tolerations", TAINTS),
            (
                "DaemonSet/ovs-cni-amd64.spec.template.spec.initContainers.ovs-cni-plugin.args",
                "a plugin that runs cannot be written to, only replaced",
            ),
            ("DaemonSet/ovs-cni-amd64.spec.template.spec.initContainers.ovs-cni-plugin.image", PINNED),
            ("DaemonSet/ovs-cni-amd64.spec.template.spec.containers.ovs-cni-marker.image", PINNED),
        ],
    );
}

#[test]
#[ignore = "needs Go and its module proxy; the story `upstream` runs it"]
fn whereabouts_differs_only_on_purpose() {
    const CONTAINER: &str = "DaemonSet/whereabouts.spec.template.spec.containers.whereabouts";
    let definitions = ["ippools", "nodeslicepools", "overlappingrangeipreservations"];
    let files = definitions.map(|name| format!("doc/crds/whereabouts.cni.cncf.io_{name}.yaml"));
    let mut theirs = upstream((WHEREABOUTS, "doc/crds/daemonset-install.yaml"));
    theirs.extend(files.iter().flat_map(|file| upstream((WHEREABOUTS, file))));
    let own_words: Vec<String> = definitions
        .iter()
        .flat_map(|name| {
            let place = format!("CustomResourceDefinition/{name}.whereabouts.cni.cncf.io");
            [
                format!("{place}.metadata.annotations"),
                format!("{place}.spec.versions.v1alpha1.schema.openAPIV3Schema"),
            ]
        })
        .collect();
    let of_container = |field: &str| format!("{CONTAINER}.{field}");
    let fields = [
        ("image", PINNED),
        ("imagePullPolicy", PULL_POLICY),
        ("args", "ends at once when it is told to, and its log is readable"),
        ("resources.limits.cpu", "a throttled plugin delays the start of every pod"),
        ("terminationMessagePolicy", "why it ended is in its status"),
    ]
    .map(|(field, reason)| (of_container(field), reason));
    let mut expected = vec![
        ("ConfigMap/whereabouts-config.metadata.annotations", OWN_WORDS),
        ("DaemonSet/whereabouts.spec.template.spec.priorityClassName", PRIORITY),
        (
            "DaemonSet/whereabouts.spec.template.spec.tolerations",
            "a node that evicts pods still needs addresses for those that stay",
        ),
        (
            "DaemonSet/whereabouts.spec.template.spec.volumes.cni-net-dir.hostPath.type",
            "a runtime with another directory need not have this one",
        ),
    ];
    expected.extend(own_words.iter().map(|place| (place.as_str(), OWN_WORDS)));
    expected.extend(fields.iter().map(|(field, reason)| (field.as_str(), *reason)));
    compare_with(&whereabouts::WHEREABOUTS, MultusFlavour::Thick, theirs, &expected);
}

/// The digests were recorded from kubectl: see tests/fixtures/yaml/record.sh.
#[test]
#[ignore = "needs Go and its module proxy; the story `upstream` runs it"]
fn upstream_manifests_mean_what_they_mean_to_kubectl() {
    for line in include_str!("../../../../tests/fixtures/yaml/upstream.txt").lines() {
        let [module, path, expected] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let mut text = String::new();
        for object in upstream((module, path)) {
            text.push_str(&sorted(object).to_string());
            text.push('\n');
        }
        assert_eq!(digest(text.as_bytes()), expected, "{module} {path}");
    }
}

fn compare(component: &Component, flavour: MultusFlavour, origin: (&str, &str), expected: &[(&str, &str)]) {
    compare_with(component, flavour, upstream(origin), expected);
}

/// Compares object by object; every expected difference must be there, and no other.
fn compare_with(
    component: &Component,
    flavour: MultusFlavour,
    theirs: Vec<Value>,
    expected: &[(&str, &str)],
) {
    let mut profile = Profile::default();
    profile.multus.flavour = flavour;
    let ours = (component.render)(&profile, &Facts::default(), RenderFacts::default()).unwrap();
    let (ours, theirs) = (leaves(ours), leaves(theirs));
    let different: BTreeSet<_> =
        ours.keys().chain(theirs.keys()).filter(|path| ours.get(*path) != theirs.get(*path)).collect();
    let covers = |entry: &str, path: &str| {
        path.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    for path in &different {
        assert!(
            expected.iter().any(|(entry, _)| covers(entry, path)),
            "{path}: {:?} instead of {:?}",
            ours.get(*path),
            theirs.get(*path)
        );
    }
    for (entry, reason) in expected {
        assert!(
            different.iter().any(|path| covers(entry, path)),
            "nothing differs any more in {entry} ({reason})"
        );
    }
}

/// Every value by its path. Lists whose elements have a name go by it, lists of plain texts by their text.
fn leaves(objects: Vec<Value>) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    for object in objects {
        let name = object["metadata"]["name"].as_str().unwrap();
        let place = format!("{}/{name}", object["kind"].as_str().unwrap());
        collect(object, place, &mut found);
    }
    found
}

fn collect(value: Value, place: String, found: &mut BTreeMap<String, Value>) {
    let before = found.len();
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(opened(&name, field), format!("{place}.{name}"), found);
            }
        }
        // Arguments are flags in any order, each complete in itself, where they look like it.
        Value::Array(items) => {
            let flags = items.iter().all(|item| item.as_str().is_some_and(|text| text.starts_with("--")));
            for (number, item) in items.into_iter().enumerate() {
                let name = match &item {
                    Value::String(text) if flags => text.clone(),
                    item => item["name"].as_str().map_or_else(|| number.to_string(), str::to_owned),
                };
                collect(item, format!("{place}.{name}"), found);
            }
        }
        value => {
            let clash = found.insert(place, value);
            assert_eq!(clash, None);
            return;
        }
    }
    if found.len() == before {
        found.insert(place, "nothing inside".into());
    }
}

/// JSON inside of a `ConfigMap` is compared by its meaning.
fn opened(name: &str, field: Value) -> Value {
    match &field {
        Value::String(text) if Utf8Path::new(name).extension() == Some("json") => {
            serde_json::from_str(text).unwrap()
        }
        _ => field,
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> =
                fields.into_iter().map(|(name, field)| (name, sorted(field))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        value => value,
    }
}

fn upstream((module, path): (&str, &str)) -> Vec<Value> {
    let output = Command::new("go")
        .args(["mod", "download", "-json", module])
        .current_dir(std::env::temp_dir())
        .output()
        .expect("this test needs go, to have the real manifests");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("go prints JSON");
    let dir = answer["Dir"].as_str().unwrap_or_else(|| panic!("{module} cannot be had: {answer}"));
    let file = Utf8PathBuf::from(dir).join(path);
    parse_manifests(&std::fs::read_to_string(&file).unwrap(), file.as_str()).unwrap()
}
