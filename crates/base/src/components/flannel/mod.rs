//! flannel: the pod network.

mod adapt;

use serde::Serialize;
use serde_json::{Value, json};

use super::render::{bin_dir, conf_dir};
use super::{Component, Custom, Known, Release, RenderFacts, Traces, Workloads, objects_of, raw};
use crate::error::Result;
use crate::facts::Facts;
use crate::formats::Release as Version;
use crate::profile::{FlannelBackend, Profile, PullPolicy};
use crate::support::Part;

/// The pod network.
pub static FLANNEL: Component = Component {
    id: "flannel",
    step: "flannel",
    section: "flannel",
    is_used: |profile| profile.flannel.enabled,
    render,
    traces,
    workloads: Workloads {
        namespace: |profile| &profile.flannel.namespace,
        names: &["kube-flannel"],
        group: "flannel.com",
        daemon: "flannel",
        selector: "app=flannel",
        plugins: &["flannel"],
        is_needed_by: |_| false,
    },
    derived: None,
    release: Some(Release {
        part: Part::Flannel,
        purpose: "the pod network",
        question: "flannel-version",
        field: "flannel.version",
        version: |profile| &profile.flannel.version,
        image: "flannel",
        manifest: Some(Custom {
            source: |profile| &profile.flannel.source,
            address: |profile| raw(REPOSITORIES[0], &profile.flannel.version, MANIFEST),
            known: KNOWN,
            repository: "/flannel/",
            stand_in,
            refuse: adapt::refuse,
            adapt: adapt::adapt,
        }),
    }),
};

const REPOSITORIES: &[&str] = &["flannel-io/flannel", "coreos/flannel"];
const MANIFEST: &str = "Documentation/kube-flannel.yml";
const KNOWN: &[Known] = &[
    known("v0.10.0", "7c5ecb231940f2399f3bdcf4cedc9fcc54d09fe60f33165e1494cd6545d0a29a"),
    known("v0.28.9", "e875824be2f552b45711dbda91af81b17eb961d00025d914d9fef18fad8f09c0"),
    known("v0.28.10", "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5"),
];

const fn known(version: &'static str, sha256: &'static str) -> Known {
    Known { repositories: REPOSITORIES, version, path: MANIFEST, sha256 }
}

/// The first release whose objects kvnet's own manifest has.
const FIRST_OF_TODAY: Version = Version::new(0, 20, 0);

/// The name of the pod network in flannel's `ConfigMap`.
pub fn pod_network_name(objects: &[Value]) -> Option<String> {
    let texts = objects.iter().filter_map(|object| object["data"]["cni-conf.json"].as_str());
    let names = texts.filter_map(|text| {
        let config: Value = serde_json::from_str(text).ok()?;
        Some(config["name"].as_str()?.to_owned())
    });
    names.into_iter().next()
}

/// Whether flannel's own pods copy its CNI plugin to the node; in 2018 it came with the reference plugins.
pub fn brings_plugin(profile: &Profile) -> bool {
    !profile.flannel.cni_plugin_image.is_empty()
}

#[derive(Serialize)]
struct Values<'a> {
    namespace: &'a str,
    pod_subnet: &'a str,
    backend: FlannelBackend,
    image: &'a str,
    cni_plugin_image: &'a str,
    conf_file: &'a str,
    pull_policy: PullPolicy,
    cni_conf_dir: &'a str,
    cni_bin_dir: &'a str,
}

fn render(profile: &Profile, facts: &Facts, _: RenderFacts) -> Result<Vec<Value>> {
    let flannel = &profile.flannel;
    let values = Values {
        namespace: &flannel.namespace,
        pod_subnet: &profile.cluster.pod_subnet,
        backend: flannel.backend,
        image: &flannel.image,
        cni_plugin_image: &flannel.cni_plugin_image,
        conf_file: &flannel.conf_file,
        pull_policy: profile.images.pull_policy,
        cni_conf_dir: conf_dir(profile, facts),
        cni_bin_dir: bin_dir(profile, facts),
    };
    objects_of(&["flannel/flannel.yaml.tera"], &values)
}

fn stand_in(profile: &Profile, facts: &Facts, extra: RenderFacts) -> Result<Vec<Value>> {
    if Version::parse(&profile.flannel.version).is_none_or(|version| version < FIRST_OF_TODAY) {
        return objects_of(&["sandbox/flannel-2018.yaml.tera"], &json!({}));
    }
    render(profile, facts, extra)
}

fn traces(profile: &Profile, facts: &Facts) -> Traces {
    let mut files = vec![facts.cni_conf_dir.join(&profile.flannel.conf_file)];
    if brings_plugin(profile) {
        files.extend(facts.cni_bin_dirs.iter().map(|directory| directory.join("flannel")));
    }
    files.push("/run/flannel/subnet.env".into());
    Traces {
        files,
        directories: vec!["/run/flannel".into()],
        links: vec!["flannel.1".into(), "cni0".into()],
        ..Traces::default()
    }
}
