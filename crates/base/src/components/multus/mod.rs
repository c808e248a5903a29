//! Multus: the meta plugin.

mod adapt;

use serde::Serialize;
use serde_json::{Value, json};

use super::render::{DEFAULT_BIN_DIR, DEFAULT_CONF_DIR, bin_dir, conf_dir};
use super::{Component, Custom, Known, Release, RenderFacts, Traces, Workloads, objects_of, raw};
use crate::error::Result;
use crate::facts::Facts;
use crate::formats::Release as Version;
use crate::profile::{MultusFlavour, Profile, PullPolicy};
use crate::support::Part;

/// The meta plugin.
pub static MULTUS: Component = Component {
    id: "multus",
    step: "multus",
    section: "multus",
    is_used: |profile| profile.multus.enabled,
    render,
    traces,
    workloads: Workloads {
        namespace: |_| "kube-system",
        names: &["kube-multus", "multus"],
        group: "k8s.cni.cncf.io",
        daemon: "multus",
        selector: "app=multus",
        plugins: &["multus", "multus-shim", "passthru"],
        // The attachment itself is an object of it.
        is_needed_by: |_| true,
    },
    derived: None,
    release: Some(Release {
        part: Part::Multus,
        purpose: "gives pods more than one NIC",
        question: "multus-version",
        field: "multus.version",
        version: |profile| &profile.multus.version,
        image: "multus",
        manifest: Some(Custom {
            source: |profile| &profile.multus.source,
            address,
            known: KNOWN,
            repository: "/multus-cni/",
            stand_in,
            refuse: adapt::refuse,
            adapt: adapt::adapt,
        }),
    }),
};

const REPOSITORIES: &[&str] = &["k8snetworkplumbingwg/multus-cni", "intel/multus-cni"];
const KNOWN: &[Known] = &[
    known("v3.0", OF_2018, "21dbf91fff0f94839255eaad1e8cd9037a90a06ddd00798ae89167d8ba01c03f"),
    known("v3.1", OF_2018, "21dbf91fff0f94839255eaad1e8cd9037a90a06ddd00798ae89167d8ba01c03f"),
    known("v4.3.0", THIN, "290c502f3923864392f0bd7dd5f03e23262565853100c0ebfd7b35cc79ec565a"),
    known("v4.3.0", THICK, "2d622f697809644a12704497bbf5c3256adc1e7f5b5504655e4993743651b585"),
];
const OF_2018: &str = "images/multus-daemonset.yml";
const THIN: &str = "deployments/multus-daemonset.yml";
const THICK: &str = "deployments/multus-daemonset-thick.yml";

const fn known(version: &'static str, path: &'static str, sha256: &'static str) -> Known {
    Known { repositories: REPOSITORIES, version, path, sha256 }
}

/// The first release whose objects kvnet's own manifest has.
const FIRST_OF_TODAY: Version = Version::new(4, 0, 0);
/// flanneld writes it when the node has its pod addresses.
const FLANNEL_READY: &str = "/run/flannel/subnet.env";

fn address(profile: &Profile) -> String {
    let path = if profile.multus.flavour == MultusFlavour::Thick { THICK } else { THIN };
    raw(REPOSITORIES[0], &profile.multus.version, path)
}

#[derive(Serialize)]
struct Values<'a> {
    thick: bool,
    image: String,
    pull_policy: PullPolicy,
    memory_limit: &'a str,
    master_cni: &'a str,
    readiness_file: &'static str,
    cni_conf_dir: &'a str,
    cni_bin_dir: &'a str,
    /// Empty when that is Multus' default.
    additional_bin_dir: &'a str,
    /// Empty when it is Multus' default.
    other_conf_dir: &'a str,
}

fn render(profile: &Profile, facts: &Facts, _: RenderFacts) -> Result<Vec<Value>> {
    let values = Values::new(profile, facts);
    let flavour = if values.thick { "multus/thick.yaml.tera" } else { "multus/thin.yaml.tera" };
    objects_of(&["multus/crd.yaml.tera", "multus/rbac.yaml.tera", flavour], &values)
}

fn stand_in(profile: &Profile, facts: &Facts, extra: RenderFacts) -> Result<Vec<Value>> {
    if Version::parse(&profile.multus.version).is_none_or(|version| version < FIRST_OF_TODAY) {
        return objects_of(&["sandbox/multus-2018.yaml.tera"], &json!({}));
    }
    render(profile, facts, extra)
}

impl<'a> Values<'a> {
    fn new(profile: &'a Profile, facts: &'a Facts) -> Self {
        let multus = &profile.multus;
        let (conf_dir, bin_dir) = (conf_dir(profile, facts), bin_dir(profile, facts));
        let master_cni = match multus.master_cni.as_str() {
            "" if profile.flannel.enabled => &profile.flannel.conf_file,
            chosen => chosen,
        };
        let flannel_is_master = profile.flannel.enabled && master_cni == profile.flannel.conf_file;
        Self {
            thick: multus.flavour == MultusFlavour::Thick,
            image: image(profile),
            pull_policy: profile.images.pull_policy,
            memory_limit: &multus.memory_limit,
            master_cni,
            readiness_file: if flannel_is_master { FLANNEL_READY } else { "" },
            cni_conf_dir: conf_dir,
            cni_bin_dir: bin_dir,
            additional_bin_dir: if bin_dir == DEFAULT_BIN_DIR { "" } else { bin_dir },
            other_conf_dir: if conf_dir == DEFAULT_CONF_DIR { "" } else { conf_dir },
        }
    }
}

/// The releases name their images `VERSION` and `VERSION-thick`.
fn image(profile: &Profile) -> String {
    let multus = &profile.multus;
    if !multus.image.is_empty() {
        return multus.image.clone();
    }
    let suffix = if multus.flavour == MultusFlavour::Thick { "-thick" } else { "" };
    format!("ghcr.io/k8snetworkplumbingwg/multus-cni:{}{suffix}", multus.version)
}

fn traces(_: &Profile, facts: &Facts) -> Traces {
    let conf_dir = &facts.cni_conf_dir;
    let names = ["00-multus.conf", "00-multus.conflist", "70-multus.conf", "multus.d/multus.kubeconfig"];
    let mut files: Vec<_> = names.iter().map(|name| conf_dir.join(name)).collect();
    for directory in &facts.cni_bin_dirs {
        files.extend(MULTUS.workloads.plugins.iter().map(|name| directory.join(name)));
    }
    files.push("/run/multus/multus.sock".into());
    Traces {
        files,
        directories: vec![
            conf_dir.join("multus.d"),
            "/etc/cni/multus/net.d".into(),
            "/etc/cni/multus".into(),
            "/run/multus".into(),
        ],
        ..Traces::default()
    }
}
