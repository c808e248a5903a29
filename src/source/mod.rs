//! Where manifests come from: kvnet's templates, a pinned download, a file.

mod embedded;
mod images;
mod networks;
mod objects;
mod scalar;
mod version;
mod yaml;

use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::error::Result;
use crate::facts::Facts;
use crate::profile::{Profile, Source, SourceKind};
pub use images::rewrite as rewrite_image;
pub use networks::{cni_config, network_attachment};
pub use yaml::parse_manifests;

/// Something that kvnet installs from a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// The pod network.
    Flannel,
    /// The meta plugin.
    Multus,
    /// The plugin for Open vSwitch.
    OvsCni,
    /// The operator of KubeVirt, or everything of it before v0.12.0.
    KubeVirt,
    /// The settings of KubeVirt: its custom resource, or a `ConfigMap` before v0.12.0, or nothing.
    KubeVirtCr,
    /// The sample virtual machine and its Secret.
    Vm,
}

/// Decisions that the templates need and that neither the profile nor the facts hold by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenderFacts {
    /// Whether virtual machines run without hardware virtualisation.
    pub emulation: bool,
}

/// The objects of a component.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The objects, in the order to apply them.
    pub objects: Vec<Value>,
    /// Where they come from, for people.
    pub origin: String,
    /// The digest of the bytes that were read, in hexadecimal; none for kvnet's own templates.
    pub sha256: Option<String>,
}

/// How to get at manifests that are not kvnet's own.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// Serves `https://HOST/PATH` as `MIRROR/HOST/PATH`.
    pub mirror: Option<String>,
    /// Where downloads are kept, by digest.
    pub cache_dir: Utf8PathBuf,
    /// Where the digests of downloads without a pin are kept.
    pub lock_file: Option<Utf8PathBuf>,
    /// The longest that one download may take.
    pub timeout: Duration,
}

/// Loads manifests.
pub struct Sources {
    options: SourceOptions,
}

impl Sources {
    /// Sources with these options; nothing is touched before the first [`Sources::load`].
    pub fn new(options: SourceOptions) -> Self {
        Self { options }
    }

    /// The objects of `component` as the profile wants them, with the images rewritten.
    ///
    /// # Errors
    /// `KVN104` for a source that is not possible, `KVN400` to `KVN405` for one that cannot be had or read.
    pub async fn load(
        &self,
        component: Component,
        profile: &Profile,
        facts: &Facts,
        extra: &RenderFacts,
    ) -> Result<Manifest> {
        let mut manifest = match component.source(profile) {
            Some(Source { kind: SourceKind::Upstream | SourceKind::File, .. }) => {
                return Err(crate::error::Error::new(&crate::error::code::INTERNAL, "not there yet"));
            }
            _ => Manifest {
                objects: embedded::render(component, profile, facts, extra)?,
                origin: "kvnet's own template".into(),
                sha256: None,
            },
        };
        manifest
            .objects
            .iter_mut()
            .for_each(|object| images::rewrite_object(object, &profile.images.rewrite));
        Ok(manifest)
    }
}

impl Component {
    /// What the profile says about where it comes from; none for what kvnet always makes itself.
    fn source(self, profile: &Profile) -> Option<&Source> {
        match self {
            Self::Flannel => Some(&profile.flannel.source),
            Self::Multus => Some(&profile.multus.source),
            Self::OvsCni => Some(&profile.ovs_cni.source),
            Self::KubeVirt => Some(&profile.kubevirt.source),
            Self::KubeVirtCr | Self::Vm => None,
        }
    }
}
