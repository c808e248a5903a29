//! The settings of KubeVirt: its custom resource, or a `ConfigMap` before v0.12.0, or nothing.

use serde::Serialize;
use serde_json::Value;

use super::{WORKLOADS, gates, version};
use crate::components::{Component, RenderFacts, Traces, objects_of};
use crate::error::Result;
use crate::facts::Facts;
use crate::profile::{Profile, PullPolicy};

/// The settings of KubeVirt.
pub static KUBEVIRT_CR: Component = Component {
    id: "kubevirt-cr",
    step: "kubevirt",
    section: "kubevirt",
    is_used: |profile| profile.kubevirt.enabled,
    render,
    traces: |_, _| Traces::default(),
    workloads: WORKLOADS,
    derived: None,
    release: None,
};

#[derive(Serialize)]
struct Values<'a> {
    operator: bool,
    api_version: &'static str,
    namespace: &'a str,
    pull_policy: PullPolicy,
    infra_replicas: u8,
    emulation: bool,
    gates_on: &'a [String],
    gates_off: Vec<String>,
}

fn render(profile: &Profile, _: &Facts, extra: RenderFacts) -> Result<Vec<Value>> {
    let version = version(profile)?;
    let values = Values {
        operator: version.has_operator(),
        api_version: version.kubevirt_api(),
        namespace: &profile.kubevirt.namespace,
        pull_policy: profile.images.pull_policy,
        infra_replicas: match profile.kubevirt.infra_replicas {
            0 if extra.single_node => 1,
            chosen => chosen,
        },
        emulation: extra.emulation,
        gates_on: &profile.kubevirt.feature_gates,
        gates_off: gates::off(&profile.kubevirt, extra.image_volumes),
    };
    objects_of(&["kubevirt/cr.yaml.tera"], &values)
}
