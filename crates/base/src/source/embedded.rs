//! kvnet's own manifests: the templates' values from the profile and the facts.

use serde::Serialize;
use serde_json::Value;

use super::version::Version;
use super::yaml::parse_manifests;
use super::{Component, RenderFacts, gates, objects};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::profile::{FlannelBackend, MultusFlavour, Profile, PullPolicy};
use crate::template;

const DEFAULT_CONF_DIR: &str = "/etc/cni/net.d";
const DEFAULT_BIN_DIR: &str = "/opt/cni/bin";
/// flanneld writes it when the node has its pod addresses.
const FLANNEL_READY: &str = "/run/flannel/subnet.env";

/// Renders the objects of `component`, in the order to apply them.
pub(super) fn render(
    component: Component,
    profile: &Profile,
    facts: &Facts,
    extra: RenderFacts,
) -> Result<Vec<Value>> {
    match component {
        Component::Flannel => objects_of(&["flannel/flannel.yaml.tera"], &FlannelValues::new(profile, facts)),
        Component::Multus => multus(profile, facts),
        Component::OvsCni => objects_of(&["ovs-cni/ovs-cni.yaml.tera"], &OvsCniValues::new(profile, facts)),
        Component::KubeVirt => Err(Error::new(
            &code::PROFILE_VALUE,
            "KubeVirt has no embedded manifest: its release is one generated file",
        )
        .at("kubevirt.source.from")
        .hint("use `upstream` or `file`")),
        Component::KubeVirtCr => {
            objects_of(&["kubevirt/cr.yaml.tera"], &KubeVirtValues::new(profile, extra)?)
        }
        Component::Vm => super::vm::render(profile),
    }
}

pub(super) fn objects_of(templates: &[&str], values: &impl Serialize) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for name in templates {
        let text = template::render(name, values)?;
        let place = format!("templates/{name}");
        // What is not YAML here was made by kvnet: the user cannot fix it.
        let objects = parse_manifests(&text, &place).map_err(|error| {
            Error::new(&code::TEMPLATE, "the template does not render a manifest").at(place).because(error)
        })?;
        found.extend(objects);
    }
    objects::sort(&mut found);
    Ok(found)
}

#[derive(Serialize)]
struct FlannelValues<'a> {
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

impl<'a> FlannelValues<'a> {
    fn new(profile: &'a Profile, facts: &'a Facts) -> Self {
        let flannel = &profile.flannel;
        Self {
            namespace: &flannel.namespace,
            pod_subnet: &profile.cluster.pod_subnet,
            backend: flannel.backend,
            image: &flannel.image,
            cni_plugin_image: &flannel.cni_plugin_image,
            conf_file: &flannel.conf_file,
            pull_policy: profile.images.pull_policy,
            cni_conf_dir: conf_dir(profile, facts),
            cni_bin_dir: bin_dir(profile, facts),
        }
    }
}

#[derive(Serialize)]
struct MultusValues<'a> {
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

fn multus(profile: &Profile, facts: &Facts) -> Result<Vec<Value>> {
    let values = MultusValues::new(profile, facts);
    let flavour = if values.thick { "multus/thick.yaml.tera" } else { "multus/thin.yaml.tera" };
    objects_of(&["multus/crd.yaml.tera", "multus/rbac.yaml.tera", flavour], &values)
}

impl<'a> MultusValues<'a> {
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
            image: multus_image(profile),
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
fn multus_image(profile: &Profile) -> String {
    let multus = &profile.multus;
    if !multus.image.is_empty() {
        return multus.image.clone();
    }
    let suffix = if multus.flavour == MultusFlavour::Thick { "-thick" } else { "" };
    format!("ghcr.io/k8snetworkplumbingwg/multus-cni:{}{suffix}", multus.version)
}

#[derive(Serialize)]
struct OvsCniValues<'a> {
    image: &'a str,
    pull_policy: PullPolicy,
    cni_bin_dir: &'a str,
}

impl<'a> OvsCniValues<'a> {
    fn new(profile: &'a Profile, facts: &'a Facts) -> Self {
        Self {
            image: &profile.ovs_cni.image,
            pull_policy: profile.images.pull_policy,
            cni_bin_dir: bin_dir(profile, facts),
        }
    }
}

#[derive(Serialize)]
struct KubeVirtValues<'a> {
    operator: bool,
    api_version: &'static str,
    namespace: &'a str,
    pull_policy: PullPolicy,
    infra_replicas: u8,
    emulation: bool,
    gates_on: &'a [String],
    gates_off: Vec<String>,
}

impl<'a> KubeVirtValues<'a> {
    fn new(profile: &'a Profile, extra: RenderFacts) -> Result<Self> {
        let version = kubevirt_version(profile)?;
        Ok(Self {
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
        })
    }
}

pub(super) fn kubevirt_version(profile: &Profile) -> Result<Version> {
    profile
        .kubevirt
        .version
        .parse()
        .map_err(|reason: String| Error::new(&code::PROFILE_VALUE, reason).at("kubevirt.version"))
}

fn conf_dir<'a>(profile: &'a Profile, facts: &'a Facts) -> &'a str {
    chosen(&profile.cluster.cni_conf_dir, facts.cni_conf_dir.as_str(), DEFAULT_CONF_DIR)
}

fn bin_dir<'a>(profile: &'a Profile, facts: &'a Facts) -> &'a str {
    let first = facts.cni_bin_dirs.first().map_or("", |dir| dir.as_str());
    chosen(&profile.cluster.cni_bin_dir, first, DEFAULT_BIN_DIR)
}

/// The profile's, then the runtime's, then the usual one.
fn chosen<'a>(profile: &'a str, found: &'a str, default: &'static str) -> &'a str {
    match (profile, found) {
        ("auto" | "", "") => default,
        ("auto" | "", found) => found,
        (chosen, _) => chosen,
    }
}

#[cfg(test)]
#[path = "embedded_tests.rs"]
mod tests;
