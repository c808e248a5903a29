//! What a sandbox, which has no network, uses in place of a download: kvnet's own small manifests with the same objects
//! by name, kind, API version and image. Their origin distinguishes them from the real ones, and pins do not apply to
//! them; outside of a sandbox they are never used.

use serde::Serialize;

use super::version::Version;
use super::{Component, Manifest, RenderFacts, embedded};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::profile::{Profile, Release};

/// The kinds of KubeVirt v0.8.0: plural, singular and short name.
const DEFINITIONS: [[&str; 4]; 4] = [
    ["VirtualMachine", "virtualmachines", "virtualmachine", "vm"],
    ["VirtualMachineInstance", "virtualmachineinstances", "virtualmachineinstance", "vmi"],
    [
        "VirtualMachineInstanceReplicaSet",
        "virtualmachineinstancereplicasets",
        "virtualmachineinstancereplicaset",
        "vmirs",
    ],
    [
        "VirtualMachineInstancePreset",
        "virtualmachineinstancepresets",
        "virtualmachineinstancepreset",
        "vmipreset",
    ],
];
/// The part of a known manifest's URL, for each component.
const REPOSITORIES: [(Component, &str); 4] = [
    (Component::Flannel, "/flannel/"),
    (Component::Multus, "/multus-cni/"),
    (Component::OvsCni, "/ovs-cni/"),
    (Component::KubeVirt, "/kubevirt/"),
];

#[derive(Serialize)]
struct Values<'a> {
    version: &'a str,
    namespace: &'a str,
    definitions: Vec<Definition>,
}

#[derive(Serialize)]
struct Definition {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static str,
}

/// Where the objects of a stand-in come from, for people.
pub(super) fn origin(address: &str) -> String {
    format!("kvnet's stand-in for {address}, because a sandbox has no network; no digest is checked")
}

/// The stand-in for what is at `address`.
///
/// # Errors
/// `KVN401` for a URL that kvnet has no stand-in for.
pub(super) fn load(
    component: Component,
    profile: &Profile,
    facts: &Facts,
    extra: RenderFacts,
    address: &str,
) -> Result<Manifest> {
    let known = REPOSITORIES.iter().any(|(of, part)| *of == component && address.contains(part));
    if !known {
        let error =
            Error::new(&code::SOURCE_DOWNLOAD, "a sandbox has no network, and kvnet has no stand-in for it");
        return Err(error
            .at(address)
            .hint("use `from: file` with the manifest, or the shipped source of the component"));
    }
    let objects = match template(component, profile) {
        Some(name) => embedded::objects_of(&[name], &values(profile))?,
        None => embedded::render(component, profile, facts, extra)?,
    };
    Ok(Manifest { objects, origin: origin(address), sha256: None })
}

/// The template of a stand-in; none where kvnet's own manifest has the objects of the release.
fn template(component: Component, profile: &Profile) -> Option<&'static str> {
    let release = |version: &str| Release::parse(version).map(|release| (release.major, release.minor));
    match component {
        Component::Flannel => {
            (release(&profile.flannel.version) < Some((0, 20))).then_some("sandbox/flannel-2018.yaml.tera")
        }
        Component::Multus => {
            (release(&profile.multus.version) < Some((4, 0))).then_some("sandbox/multus-2018.yaml.tera")
        }
        Component::OvsCni => {
            (release(&profile.ovs_cni.version) < Some((0, 3))).then_some("sandbox/ovs-cni-2018.yaml.tera")
        }
        Component::KubeVirt | Component::KubeVirtCr | Component::Vm => {
            let operator = profile.kubevirt.version.parse().is_ok_and(Version::has_operator);
            Some(if operator {
                "sandbox/kubevirt-operator.yaml.tera"
            } else {
                "sandbox/kubevirt-2018.yaml.tera"
            })
        }
    }
}

fn values(profile: &Profile) -> Values<'_> {
    Values {
        version: &profile.kubevirt.version,
        namespace: &profile.kubevirt.namespace,
        definitions: DEFINITIONS
            .map(|[kind, plural, singular, short]| Definition { kind, plural, singular, short })
            .into(),
    }
}
