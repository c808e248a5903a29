//! ovs-cni: the plugin for Open vSwitch, and the marker that publishes the bridges.

use serde::Serialize;
use serde_json::{Value, json};

use super::edit::{images, is_chosen};
use super::render::bin_dir;
use super::{Component, Custom, Known, Release, RenderFacts, Traces, Workloads, objects_of, raw};
use crate::error::Result;
use crate::facts::Facts;
use crate::formats::Release as Version;
use crate::profile::{Profile, PullPolicy};
use crate::support::Part;

/// The plugin for Open vSwitch.
pub static OVS_CNI: Component = Component {
    id: "ovs-cni",
    step: "ovs-cni",
    section: "ovsCni",
    is_used: |profile| profile.ovs_cni.enabled,
    render,
    traces,
    workloads: Workloads {
        namespace: |_| "kube-system",
        names: &["ovs-cni"],
        group: "k8s.cni.cncf.io",
        daemon: "ovs-cni",
        selector: "app=ovs-cni",
        plugins: &["ovs", "ovs-mirror-producer", "ovs-mirror-consumer"],
        is_needed_by: |_| false,
    },
    derived: None,
    release: Some(Release {
        part: Part::OvsCni,
        purpose: "connects pods to the bridges",
        question: "ovs-cni-version",
        field: "ovsCni.version",
        version: |profile| &profile.ovs_cni.version,
        image: "ovs-cni",
        manifest: Some(Custom {
            source: |profile| &profile.ovs_cni.source,
            address: |profile| raw(REPOSITORIES[0], &profile.ovs_cni.version, MANIFEST),
            known: KNOWN,
            repository: "/ovs-cni/",
            stand_in,
            refuse: |_, _| Ok(()),
            adapt: |profile, objects| {
                adapt(profile, objects);
                Ok(())
            },
        }),
    }),
};

const REPOSITORIES: &[&str] = &["k8snetworkplumbingwg/ovs-cni", "kubevirt/ovs-cni"];
const MANIFEST: &str = "examples/ovs-cni.yml";
const KNOWN: &[Known] = &[
    known(
        "393d3ffa91a3d1f4ea326e233fac930f79aec751",
        "61256388507db1cd7a61115564d6dc90fe66e14dc97a1de7b01fc527ef115eff",
    ),
    known("v0.39.0", "66589b3c5d4ec207a906df0fee7ae1b46958b3a5f37d427fb400dbf413edcf8b"),
];
const IMAGE: &str = "ghcr.io/k8snetworkplumbingwg/ovs-cni-plugin";
/// The first release whose objects kvnet's own manifest has.
const FIRST_OF_TODAY: Version = Version::new(0, 3, 0);

const fn known(version: &'static str, sha256: &'static str) -> Known {
    Known { repositories: REPOSITORIES, version, path: MANIFEST, sha256 }
}

#[derive(Serialize)]
struct Values<'a> {
    image: &'a str,
    pull_policy: PullPolicy,
    cni_bin_dir: &'a str,
}

fn render(profile: &Profile, facts: &Facts, _: RenderFacts) -> Result<Vec<Value>> {
    let values = Values {
        image: &profile.ovs_cni.image,
        pull_policy: profile.images.pull_policy,
        cni_bin_dir: bin_dir(profile, facts),
    };
    objects_of(&["ovs-cni/ovs-cni.yaml.tera"], &values)
}

fn stand_in(profile: &Profile, facts: &Facts, extra: RenderFacts) -> Result<Vec<Value>> {
    if Version::parse(&profile.ovs_cni.version).is_none_or(|version| version < FIRST_OF_TODAY) {
        return objects_of(&["sandbox/ovs-cni-2018.yaml.tera"], &json!({}));
    }
    render(profile, facts, extra)
}

fn adapt(profile: &Profile, objects: &mut [Value]) {
    if is_chosen(profile, "ovsCni.image", &profile.ovs_cni.image, IMAGE) {
        images(objects, "ovs-cni", &profile.ovs_cni.image);
    }
}

fn traces(_: &Profile, facts: &Facts) -> Traces {
    let plugins = OVS_CNI.workloads.plugins;
    let in_directory =
        |directory: &camino::Utf8PathBuf| plugins.iter().map(|name| directory.join(name)).collect::<Vec<_>>();
    Traces { files: facts.cni_bin_dirs.iter().flat_map(in_directory).collect(), ..Traces::default() }
}
