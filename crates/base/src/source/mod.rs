//! Where manifests come from: kvnet's templates, a pinned download, a file.

mod adapt;
mod beside;
mod download;
mod embedded;
mod files;
pub mod gates;
mod images;
mod known;
mod networks;
mod objects;
mod remote;
mod scalar;
mod stand_ins;
mod strange;
mod version;
mod vm;
mod yaml;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::profile::{Profile, Source, SourceKind};
pub use adapt::{installed_version, pod_network_name};
use download::Backoff;
pub use images::rewrite as rewrite_image;
pub use networks::network_attachment;
pub use remote::Voucher;
use remote::{Fetched, Remote};
pub use scalar::reads_as_text;
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
    /// The operator of `KubeVirt`, or everything of it before v0.12.0.
    KubeVirt,
    /// The settings of `KubeVirt`: its custom resource, or a `ConfigMap` before v0.12.0, or nothing.
    KubeVirtCr,
    /// The sample virtual machine and its Secret.
    Vm,
}

impl Component {
    /// The step that applies it.
    pub fn step(self) -> &'static str {
        match self {
            Self::OvsCni => "ovs-cni",
            _ => self.section(),
        }
    }

    /// The section of the profile with its source.
    pub fn section(self) -> &'static str {
        match self {
            Self::Flannel => "flannel",
            Self::Multus => "multus",
            Self::OvsCni => "ovsCni",
            Self::KubeVirt | Self::KubeVirtCr | Self::Vm => "kubevirt",
        }
    }
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
    /// Uses kvnet's own stand-ins in place of downloads: a sandbox has no network.
    pub stand_ins: bool,
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
    remote: Remote,
    stand_ins: bool,
}

impl Sources {
    /// Sources with these options; nothing is touched before the first [`Sources::load`].
    pub fn new(options: SourceOptions) -> Self {
        let stand_ins = options.stand_ins;
        Self { remote: Remote::new(options, Backoff::default()), stand_ins }
    }

    /// Pins and caches what was downloaded without a pin, now and from now on: for commands that apply it.
    ///
    /// # Errors
    /// `KVN204` and its like when the lock file cannot be used.
    pub async fn keep(&self) -> Result<()> {
        self.remote.keep().await
    }

    /// The components of a profile that come from a stand-in here, each with a note.
    pub fn stand_ins(&self, profile: &Profile) -> Vec<(Component, String)> {
        let all = [Component::Flannel, Component::Multus, Component::OvsCni, Component::KubeVirt];
        let upstream = |component: Component| {
            let source = component.source(profile).filter(|source| source.kind == SourceKind::Upstream)?;
            Some((component, stand_ins::origin(&remote::for_people(&address(component, profile, source)))))
        };
        all.into_iter().filter(|_| self.stand_ins).filter_map(upstream).collect()
    }

    /// What this run has downloaded of a profile's components.
    pub async fn downloads(&self, profile: &Profile) -> Vec<Download> {
        let mut downloads = Vec::new();
        for component in [Component::Flannel, Component::Multus, Component::OvsCni, Component::KubeVirt] {
            let Some(source) = component.source(profile).filter(|it| it.kind == SourceKind::Upstream) else {
                continue;
            };
            let seen = self.remote.seen(&address(component, profile, source), &source.sha256).await;
            if let Some(fetched) = seen {
                let objects = objects_in(&fetched.bytes, &fetched.origin).unwrap_or_default();
                let strange = strange::look(component, profile, &objects);
                let Fetched { sha256, origin, voucher, .. } = fetched;
                downloads.push(Download { component, origin, sha256, voucher, strange });
            }
        }
        downloads
    }

    /// The objects of `component` as the profile wants them, with the images rewritten.
    ///
    /// # Errors
    /// `KVN104` for an invalid source, `KVN400` to `KVN405` for one that cannot be fetched or read.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "the facts may grow")]
    pub async fn load(
        &self,
        component: Component,
        profile: &Profile,
        facts: &Facts,
        extra: &RenderFacts,
    ) -> Result<Manifest> {
        let mut manifest = match component.source(profile) {
            Some(source) if source.kind == SourceKind::Upstream && self.stand_ins => {
                let address = remote::for_people(&address(component, profile, source));
                stand_ins::load(component, profile, facts, *extra, &address)?
            }
            Some(source) if source.kind == SourceKind::Upstream => {
                self.upstream(component, profile, source).await?
            }
            Some(source) if source.kind == SourceKind::File => file(component, profile, source)?,
            _ => Manifest {
                objects: embedded::render(component, profile, facts, *extra)?,
                origin: "kvnet's own template".into(),
                sha256: None,
            },
        };
        if component.source(profile).is_some_and(|source| source.kind != SourceKind::Embedded) {
            adapt::adapt(component, profile, &mut manifest.objects)?;
        }
        manifest
            .objects
            .iter_mut()
            .for_each(|object| images::rewrite_object(object, &profile.images.rewrite));
        Ok(manifest)
    }

    async fn upstream(&self, component: Component, profile: &Profile, source: &Source) -> Result<Manifest> {
        let address = address(component, profile, source);
        let is_manifest = |bytes: &[u8], place: &str| objects_in(bytes, place).map(|_| ());
        let fetched = self.remote.load(&address, &source.sha256, &is_manifest).await?;
        let objects = objects_in(&fetched.bytes, &fetched.origin)?;
        Ok(Manifest { objects, origin: fetched.origin, sha256: Some(fetched.sha256) })
    }
}

/// A downloaded manifest, and what vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Whose it is.
    pub component: Component,
    /// The address that it came from, for people.
    pub origin: String,
    /// The digest of its bytes, in hexadecimal.
    pub sha256: String,
    /// What vouches for them.
    pub voucher: Voucher,
    /// The objects in it that the component does not need, each with what it can do.
    pub strange: Vec<String>,
}

/// The digests that downloads without a pin must have: address to digest, in the file that `up` keeps.
pub struct Pins(files::LockFile);

impl Pins {
    /// The pins of a lock file, which need not exist.
    pub fn of(path: &Utf8Path) -> Self {
        Self(files::LockFile::new(path))
    }

    /// All of them.
    ///
    /// # Errors
    /// `KVN204` when the file is damaged or cannot be read.
    pub fn all(&self) -> Result<std::collections::BTreeMap<String, String>> {
        self.0.all()
    }

    /// Forgets one: the next `up` pins what it finds there.
    ///
    /// # Errors
    /// `KVN100` when there is no pin of that address; those of the file.
    pub fn forget(&self, address: &str) -> Result<()> {
        if self.0.forget(address)? {
            return Ok(());
        }
        let error =
            Error::new(&code::USAGE, format!("nothing is pinned for `{}`", remote::for_people(address)));
        Err(error.hint("`kvnet profile pins` lists what is"))
    }

    /// Forgets all, also when the file is damaged.
    ///
    /// # Errors
    /// Errors of the file.
    pub fn forget_all(&self) -> Result<()> {
        self.0.forget_all()
    }
}

/// Where a component's manifest is: the profile's source, else the release's.
fn address(component: Component, profile: &Profile, source: &Source) -> String {
    match source.url.as_str() {
        "" => remote::release_address(component, profile),
        given => given.to_owned(),
    }
}

/// A manifest that the profile names. Errors of the file include the field that names it: the reader of the message may
/// have written neither.
fn file(component: Component, profile: &Profile, source: &Source) -> Result<Manifest> {
    let field = format!("{}.source.path", component.section());
    let place = profile.place_of(&field);
    if source.path.is_empty() {
        let message = format!("`{field}` is missing, but a source of the kind `file` needs it");
        return Err(Error::new(&code::PROFILE_VALUE, message).at(place).hint("give the manifest's file"));
    }
    let bytes = files::read(Utf8Path::new(&source.path)).map_err(|cause| {
        let message = format!("`{field}` names {}, which cannot be read", source.path);
        Error::new(&code::PROFILE_VALUE, message)
            .at(place.as_str())
            .because(cause)
            .hint("give a YAML file that this user may read; a path is relative to the profile")
    })?;
    let named = |error: Error| error.hint_also(format!("the file is named by `{field}` at {place}"));
    let sha256 = files::digest(&bytes);
    remote::check_file(&source.path, &sha256, &source.sha256).map_err(named)?;
    let objects = objects_in(&bytes, &source.path).map_err(named)?;
    Ok(Manifest { objects, origin: source.path.clone(), sha256: Some(sha256) })
}

/// The objects of a foreign manifest, which must have some.
fn objects_in(bytes: &[u8], place: &str) -> Result<Vec<Value>> {
    let wrong = |message: &str| Error::new(&code::SOURCE_YAML, message).at(place);
    let text =
        std::str::from_utf8(bytes).map_err(|error| wrong("the manifest is not text").because(error))?;
    let objects = parse_manifests(text, place)?;
    if objects.is_empty() {
        return Err(wrong("the manifest has no objects"));
    }
    Ok(objects)
}

impl Component {
    /// The profile's source for it; none for what kvnet always makes itself.
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

#[cfg(test)]
#[path = "upstream_tests.rs"]
mod upstream_tests;
