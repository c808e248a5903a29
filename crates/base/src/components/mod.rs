//! What kvnet installs: a folder for each component with its record, its manifest and what a custom one is adapted to, and
//! [`ALL`], the list of them.

pub mod flannel;
pub mod kubevirt;
pub mod multus;
pub mod ovs_cni;
pub mod vm;
pub mod whereabouts;

mod edit;
mod known;
mod locked;
mod plugins;
mod render;
#[cfg(test)]
mod tests;
mod traces;

use std::fmt;

use serde_json::Value;

use crate::error::Result;
use crate::facts::Facts;
use crate::lock::Lock;
use crate::profile::{Profile, Source};
use crate::support::Part;

pub use edit::{installed_version, refused};
pub use known::{Known, digest_of, raw};
pub use locked::{images_of, pin};
pub use plugins::{installs, not_looked_into, with_plugin};
pub use render::objects_of;
pub use traces::Traces;

/// Every component, in the order in which they are installed.
pub const ALL: &[&Component] = &[
    &flannel::FLANNEL,
    &multus::MULTUS,
    &whereabouts::WHEREABOUTS,
    &ovs_cni::OVS_CNI,
    &kubevirt::KUBEVIRT,
    &kubevirt::KUBEVIRT_CR,
    &vm::VM,
];

/// Something that kvnet installs from a manifest: all that distinguishes it from the others, but for how its step converges.
pub struct Component {
    /// Its name in messages, answers and lists.
    pub id: &'static str,
    /// The step that applies it.
    pub step: &'static str,
    /// The section of the profile that configures it.
    pub section: &'static str,
    /// Whether a profile installs it.
    pub is_used: fn(&Profile) -> bool,
    /// Its objects as kvnet makes them, in the order to apply them.
    pub render: fn(&Profile, &Facts, RenderFacts) -> Result<Vec<Value>>,
    /// What it leaves on a node by itself.
    pub traces: fn(&Profile, &Facts) -> Traces,
    /// Its pods and plugins.
    pub workloads: Workloads,
    /// The images that it derives itself; none for a component whose objects name all of them.
    pub derived: Option<Derived>,
    /// Its release; none for what comes with another component's.
    pub release: Option<Release>,
}

/// Images that no object names, because an operator derives them.
pub struct Derived {
    /// Their names.
    pub images: fn(&Profile, &[Value]) -> Vec<String>,
    /// Tells the operator each by the digest that a lock has. Fails with `KVN442` for one that it does not have.
    pub pin: fn(&Profile, &mut [Value], &Lock) -> Result<()>,
}

/// How its objects, pods and plugins are recognised, whoever installed them.
pub struct Workloads {
    /// The namespace of its workloads.
    pub namespace: fn(&Profile) -> &str,
    /// The beginnings of their names.
    pub names: &'static [&'static str],
    /// The API group of its own objects.
    pub group: &'static str,
    /// The part of the name that its `DaemonSet` has in all manifests; empty for one without.
    pub daemon: &'static str,
    /// The label of its pods on nodes; empty for one without.
    pub selector: &'static str,
    /// The CNI plugins that it copies to nodes.
    pub plugins: &'static [&'static str],
    /// Whether a network attachment that calls these plugins needs the definitions of its objects: `down` keeps them for
    /// an attachment that is not kvnet's.
    pub is_needed_by: fn(&[String]) -> bool,
}

/// A component with releases of its own.
pub struct Release {
    /// Its name in the support table, and for people.
    pub part: Part,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// The wizard's question about its version, which is also the flag.
    pub question: &'static str,
    /// The profile's field with its version.
    pub field: &'static str,
    /// The version that a profile wants.
    pub version: fn(&Profile) -> &str,
    /// The part of an image's name whose tag is the version.
    pub image: &'static str,
    /// Where a custom manifest may come from; none when kvnet has the only one.
    pub manifest: Option<Custom>,
}

/// A manifest other than kvnet's own.
pub struct Custom {
    /// The profile's source.
    pub source: fn(&Profile) -> &Source,
    /// Where the release has it.
    pub address: fn(&Profile) -> String,
    /// The releases whose digests kvnet knows.
    pub known: &'static [Known],
    /// The part of its address that tells what it is.
    pub repository: &'static str,
    /// What a sandbox applies in its place.
    pub stand_in: fn(&Profile, &Facts, RenderFacts) -> Result<Vec<Value>>,
    /// Refuses fields that it decides and that the profile has set otherwise, besides the version.
    pub refuse: fn(&Profile, &[Value]) -> Result<()>,
    /// Puts the profile's fields into its objects.
    pub adapt: fn(&Profile, &mut [Value]) -> Result<()>,
}

/// Decisions that the templates need and that follow from neither the profile nor the facts alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderFacts {
    /// Whether virtual machines run without hardware virtualisation.
    pub emulation: bool,
    /// Whether only one node runs pods.
    pub single_node: bool,
    /// Whether every node that may run VMs has image volumes.
    pub image_volumes: bool,
}

impl Component {
    /// What a profile may say about its manifest.
    pub fn custom(&self) -> Option<&Custom> {
        self.release.as_ref()?.manifest.as_ref()
    }

    /// The profile's source for it; none for what kvnet always makes itself.
    pub fn source<'a>(&self, profile: &'a Profile) -> Option<&'a Source> {
        Some((self.custom()?.source)(profile))
    }
}

impl PartialEq for Component {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Component {}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

/// The components with a release, each with that.
pub fn releases() -> impl Iterator<Item = (&'static Component, &'static Release)> {
    ALL.iter().filter_map(|component| Some((*component, component.release.as_ref()?)))
}
