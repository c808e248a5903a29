//! Where manifests come from: kvnet's templates, a pinned download, a file.

pub(crate) mod download;
mod files;
mod networks;
mod remote;
mod strange;

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::components::{self, ALL, Component, Custom, RenderFacts};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::manifest::{self, parse_manifests};
use crate::profile::{Profile, Source, SourceKind};
use download::Backoff;
pub use networks::network_attachment;
pub use remote::Voucher;
use remote::{Fetched, Remote};

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
    pub fn stand_ins(&self, profile: &Profile) -> Vec<(&'static Component, String)> {
        let upstream = upstream(profile).filter(|_| self.stand_ins);
        upstream
            .map(|(component, custom, source)| (component, stand_in_for(&address(custom, profile, source))))
            .collect()
    }

    /// Where the manifest of a component comes from, the same on every machine: its address, or the name of its file; none
    /// for kvnet's own.
    pub fn origin(component: &Component, profile: &Profile) -> Option<String> {
        let custom = component.custom()?;
        let source = (custom.source)(profile);
        match source.kind {
            SourceKind::Embedded => None,
            SourceKind::Upstream => Some(remote::for_people(&address(custom, profile, source))),
            SourceKind::File => Utf8Path::new(&source.path).file_name().map(str::to_owned),
        }
    }

    /// What this run has downloaded of a profile's components.
    pub async fn downloads(&self, profile: &Profile) -> Vec<Download> {
        let mut downloads = Vec::new();
        for (component, custom, source) in upstream(profile) {
            let seen = self.remote.seen(&address(custom, profile, source), &source.sha256).await;
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
        component: &Component,
        profile: &Profile,
        facts: &Facts,
        extra: &RenderFacts,
    ) -> Result<Manifest> {
        let custom = component.custom().map(|custom| (custom, (custom.source)(profile)));
        let custom = custom.filter(|(_, source)| source.kind != SourceKind::Embedded);
        let mut manifest = match custom {
            None => own(component, profile, facts, *extra)?,
            Some((custom, source)) => {
                let mut manifest = match source.kind {
                    SourceKind::File => file(component, profile, source)?,
                    _ if self.stand_ins => stand_in(custom, profile, facts, *extra)?,
                    _ => self.upstream(custom, profile, source).await?,
                };
                refuse_other_version(component, profile, &manifest.objects)?;
                (custom.refuse)(profile, &manifest.objects)?;
                (custom.adapt)(profile, &mut manifest.objects)?;
                manifest
            }
        };
        manifest
            .objects
            .iter_mut()
            .for_each(|object| manifest::rewrite_object(object, &profile.images.rewrite));
        Ok(manifest)
    }

    async fn upstream(&self, custom: &Custom, profile: &Profile, source: &Source) -> Result<Manifest> {
        let address = address(custom, profile, source);
        let is_manifest = |bytes: &[u8], place: &str| objects_in(bytes, place).map(|_| ());
        let fetched = self.remote.load(&address, &source.sha256, &is_manifest).await?;
        let objects = objects_in(&fetched.bytes, &fetched.origin)?;
        Ok(Manifest { objects, origin: fetched.origin, sha256: Some(fetched.sha256) })
    }
}

/// The components whose release's manifest a profile asks for.
fn upstream(profile: &Profile) -> impl Iterator<Item = (&'static Component, &'static Custom, &Source)> {
    let all = ALL.iter().filter_map(move |component| {
        let custom = component.custom()?;
        Some((*component, custom, (custom.source)(profile)))
    });
    all.filter(|(_, _, source)| source.kind == SourceKind::Upstream)
}

/// kvnet's own manifest.
fn own(component: &Component, profile: &Profile, facts: &Facts, extra: RenderFacts) -> Result<Manifest> {
    let objects = (component.render)(profile, facts, extra)?;
    Ok(Manifest { objects, origin: "kvnet's own template".into(), sha256: None })
}

/// What a sandbox, which has no network, uses in place of a download: kvnet's own small manifest with the same objects by
/// name, kind, API version and image. Its origin distinguishes it from the real one, and pins do not apply to it; outside
/// of a sandbox it is never used.
/// Fails with `KVN401` for a URL that kvnet has no stand-in for.
fn stand_in(custom: &Custom, profile: &Profile, facts: &Facts, extra: RenderFacts) -> Result<Manifest> {
    let address = address(custom, profile, (custom.source)(profile));
    if !address.contains(custom.repository) {
        let error =
            Error::new(&code::SOURCE_DOWNLOAD, "a sandbox has no network, and kvnet has no stand-in for it");
        return Err(error
            .at(remote::for_people(&address))
            .hint("use `from: file` with the manifest, or the shipped source of the component"));
    }
    let objects = (custom.stand_in)(profile, facts, extra)?;
    Ok(Manifest { objects, origin: stand_in_for(&address), sha256: None })
}

/// Where the objects of a stand-in come from, for people.
fn stand_in_for(address: &str) -> String {
    let address = remote::for_people(address);
    format!("kvnet's stand-in for {address}, because a sandbox has no network; no digest is checked")
}

/// Refuses a version that a user has set and whose release the manifest is not.
/// Fails with `KVN104` at the field.
fn refuse_other_version(component: &Component, profile: &Profile, objects: &[Value]) -> Result<()> {
    let Some(release) = &component.release else { return Ok(()) };
    let wanted = (release.version)(profile);
    let is_written =
        profile.is_written(release.field) && !profile.is_written(&format!("{}.image", component.section));
    let installed = components::installed_version(objects, release.image).filter(|_| is_written);
    match installed.filter(|installed| installed != wanted) {
        Some(other) => {
            let message = format!("is {wanted}, but the manifest is for {other}");
            Err(components::refused(profile, release.field, &message))
        }
        None => Ok(()),
    }
}

/// A downloaded manifest, and what vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Whose it is.
    pub component: &'static Component,
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
fn address(custom: &Custom, profile: &Profile, source: &Source) -> String {
    match source.url.as_str() {
        "" => (custom.address)(profile),
        given => given.to_owned(),
    }
}

/// A manifest that the profile names. Errors of the file include the field that names it: the reader of the message may
/// have written neither.
fn file(component: &Component, profile: &Profile, source: &Source) -> Result<Manifest> {
    let field = format!("{}.source.path", component.section);
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

#[cfg(test)]
mod beside_tests;
#[cfg(test)]
#[path = "upstream_tests.rs"]
mod upstream_tests;
