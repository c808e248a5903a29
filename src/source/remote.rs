//! A pinned manifest from elsewhere: mirror, cache, digest, lock file, and then the download.

use reqwest::Url;
use tokio::sync::Mutex;

use super::download::{self, Backoff, shown};
use super::files::{Cache, LockFile, digest};
use super::{Component, SourceOptions};
use crate::error::{Error, Result, code};
use crate::profile::{MultusFlavour, Profile};

/// Bytes with what is known about them.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: String,
    pub(super) origin: String,
}

/// What is remembered between downloads.
pub(super) struct Remote {
    options: SourceOptions,
    backoff: Backoff,
    /// Reading, changing and writing the lock file is one action.
    lock: Mutex<()>,
}

/// The digest that the bytes must have, and who says so.
struct Pin {
    sha256: String,
    by: String,
}

impl Remote {
    pub(super) fn new(options: SourceOptions, backoff: Backoff) -> Self {
        Self { options, backoff, lock: Mutex::new(()) }
    }

    /// The manifest at `address`; `sha256` is the profile's pin and may be empty.
    pub(super) async fn load(&self, address: &str, sha256: &str) -> Result<Fetched> {
        let url = parse(address)?;
        let pin = self.pin(&url, sha256).await?;
        let cache = Cache::new(&self.options.cache_dir);
        if let Some((pin, bytes)) = pin.as_ref().and_then(|pin| Some((pin, cache.load(&pin.sha256)?))) {
            let origin = format!("{} (cached)", shown(&url));
            return Ok(Fetched { bytes, sha256: pin.sha256.clone(), origin });
        }
        let place = self.mirrored(&url)?;
        let client = download::client(&place, self.options.timeout)?;
        let bytes = download::fetch(&client, &place, self.backoff).await?;
        let found = digest(&bytes);
        match pin {
            Some(pin) => pin.check(&found, &place)?,
            None => self.record(&url, &found).await?,
        }
        cache.store(&found, &bytes);
        Ok(Fetched { bytes, sha256: found, origin: shown(&place) })
    }

    async fn pin(&self, url: &Url, sha256: &str) -> Result<Option<Pin>> {
        if !sha256.is_empty() {
            return Pin::of_profile(sha256).map(Some);
        }
        let Some(path) = &self.options.lock_file else { return Ok(None) };
        let _guard = self.lock.lock().await;
        let recorded = LockFile::new(path).digest_of(&shown(url))?;
        Ok(recorded.map(|sha256| Pin { sha256, by: format!("the lock file {path}") }))
    }

    async fn record(&self, url: &Url, sha256: &str) -> Result<()> {
        let Some(path) = &self.options.lock_file else { return Ok(()) };
        let _guard = self.lock.lock().await;
        LockFile::new(path).record(&shown(url), sha256)
    }

    /// `https://HOST/PATH` on the mirror is `MIRROR/HOST/PATH`.
    fn mirrored(&self, url: &Url) -> Result<Url> {
        let Some(mirror) = &self.options.mirror else { return Ok(url.clone()) };
        let mirror = parse(mirror)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        parse(&format!("{}/{host}{}{query}", mirror.as_str().trim_end_matches('/'), url.path()))
    }
}

impl Pin {
    pub(super) fn of_profile(sha256: &str) -> Result<Self> {
        let sha256 = sha256.trim().trim_start_matches("sha256:").to_ascii_lowercase();
        if sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self { sha256, by: "the profile".into() });
        }
        Err(Error::new(&code::PROFILE_VALUE, format!("`{sha256}` is not a SHA-256 digest in hexadecimal")))
    }

    fn check(&self, found: &str, place: &Url) -> Result<()> {
        self.check_at(found, &shown(place))
    }

    fn check_at(&self, found: &str, place: &str) -> Result<()> {
        if self.sha256 == found {
            return Ok(());
        }
        let message = format!("the manifest has the digest {found}, but {} wants {}", self.by, self.sha256);
        Err(Error::new(&code::SOURCE_DIGEST, message).at(place))
    }
}

/// Checks a file against the digest of the profile, if it has one.
pub(super) fn check_file(path: &str, found: &str, sha256: &str) -> Result<()> {
    if sha256.is_empty() { Ok(()) } else { Pin::of_profile(sha256)?.check_at(found, path) }
}

/// Where a release has its manifest, for a profile that gives no address.
pub(super) fn release_address(component: Component, profile: &Profile) -> String {
    let raw = |repository: &str, version: &str, path: &str| {
        format!("https://raw.githubusercontent.com/{repository}/{version}/{path}")
    };
    match component {
        Component::Flannel => {
            raw("flannel-io/flannel", &profile.flannel.version, "Documentation/kube-flannel.yml")
        }
        Component::Multus => {
            let suffix = if profile.multus.flavour == MultusFlavour::Thick { "-thick" } else { "" };
            let path = format!("deployments/multus-daemonset{suffix}.yml");
            raw("k8snetworkplumbingwg/multus-cni", &profile.multus.version, &path)
        }
        Component::OvsCni => {
            raw("k8snetworkplumbingwg/ovs-cni", &profile.ovs_cni.version, "examples/ovs-cni.yml")
        }
        Component::KubeVirt | Component::KubeVirtCr | Component::Vm => format!(
            "https://github.com/kubevirt/kubevirt/releases/download/{}/kubevirt-operator.yaml",
            profile.kubevirt.version
        ),
    }
}

fn parse(address: &str) -> Result<Url> {
    let wrong = |reason: &str| {
        let message = format!("`{}` is not a possible address", masked(address));
        Error::new(&code::PROFILE_VALUE, message).because(reason)
    };
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(wrong("only http and https addresses can be downloaded")),
    }
}

/// What cannot be read as an address, without what may be secret in it: a password before `@`, a token behind `?`.
fn masked(address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let start = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?..."));
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    format!("{start}{place}{query}")
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
