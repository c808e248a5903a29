//! A pinned manifest from elsewhere: mirror, cache, digest, lock file, and then the download.

use std::collections::BTreeMap;

use reqwest::Url;
use tokio::sync::Mutex;

use super::SourceOptions;
use super::download::{self, Backoff, shown};
use super::files::{Cache, LockFile, digest};
use crate::components;
use crate::error::{Error, Result, code};

/// Bytes with what is known about them.
#[derive(Clone)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: String,
    pub(super) origin: String,
    pub(super) voucher: Voucher,
}

/// What vouches for the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// The profile has their digest.
    Profile,
    /// kvnet ships their digest.
    Kvnet,
    /// The lock file has the digest of the first bytes that were applied.
    LockFile,
    /// Nothing: these are the first bytes.
    Nobody,
}

/// What is remembered between downloads.
pub(super) struct Remote {
    options: SourceOptions,
    backoff: Backoff,
    /// Reading, changing and writing the lock file is one action, and so is a download: one run sees one manifest.
    seen: Mutex<Seen>,
}

/// What this run has downloaded.
#[derive(Default)]
struct Seen {
    /// Whether downloads are pinned and cached: read-only commands leave no file behind.
    keeps: bool,
    /// By the key of the address and the profile's pin.
    fetched: BTreeMap<(String, String), Fetched>,
}

/// The digest that the bytes must have, and what says so.
struct Pin {
    sha256: String,
    by: String,
    voucher: Voucher,
}

/// Whether bytes are a manifest; nothing else is pinned, kept or taken from the cache.
pub(super) type Check<'a> = &'a (dyn Fn(&[u8], &str) -> Result<()> + Send + Sync);

impl Remote {
    pub(super) fn new(options: SourceOptions, backoff: Backoff) -> Self {
        Self { options, backoff, seen: Mutex::default() }
    }

    /// The manifest at `address`; `sha256` is the profile's pin and may be empty.
    pub(super) async fn load(&self, address: &str, sha256: &str, check: Check<'_>) -> Result<Fetched> {
        let url = parse(address)?;
        let mut seen = self.seen.lock().await;
        let key = (key(&url), sha256.to_owned());
        if let Some(fetched) = seen.fetched.get(&key) {
            return Ok(fetched.clone());
        }
        let mut pin = self.pin(&url, sha256)?;
        let cache = Cache::new(&self.options.cache_dir);
        if let Some((sha256, voucher, bytes)) =
            pin.as_ref().and_then(|pin| Some((pin.sha256.clone(), pin.voucher, cache.load(&pin.sha256)?)))
        {
            let origin = format!("{} (cached)", shown(&url));
            if check(&bytes, &origin).is_ok() {
                let fetched = Fetched { bytes, sha256, origin, voucher };
                seen.fetched.insert(key, fetched.clone());
                return Ok(fetched);
            }
            // An earlier release pinned whatever the first answer was: a pin of something other than a manifest does
            // not count.
            pin = pin.filter(|pin| pin.voucher != Voucher::LockFile);
        }
        let fetched = self.download(&url, pin.as_ref(), check).await?;
        if seen.keeps {
            self.keep_one(&key, &fetched)?;
        }
        seen.fetched.insert(key, fetched.clone());
        Ok(fetched)
    }

    async fn download(&self, url: &Url, pin: Option<&Pin>, check: Check<'_>) -> Result<Fetched> {
        let place = self.mirrored(url)?;
        if pin.is_none() {
            refuse_plain(&place)?;
        }
        let client = download::client(&place, self.options.timeout, pin.is_some())?;
        let bytes = download::fetch(&client, &place, self.backoff, self.options.timeout).await?;
        let (sha256, origin) = (digest(&bytes), shown(&place));
        if let Some(pin) = pin {
            pin.check_at(&sha256, &origin)?;
        }
        check(&bytes, &origin)?;
        let voucher = pin.map_or(Voucher::Nobody, |pin| pin.voucher);
        Ok(Fetched { bytes, sha256, origin, voucher })
    }

    /// Pins and keeps what was downloaded so far, and from now on.
    pub(super) async fn keep(&self) -> Result<()> {
        let mut seen = self.seen.lock().await;
        seen.keeps = true;
        seen.fetched.iter().try_for_each(|(key, fetched)| self.keep_one(key, fetched))
    }

    /// What this run has read for a URL and the profile's pin, if any.
    pub(super) async fn seen(&self, address: &str, sha256: &str) -> Option<Fetched> {
        let key = (key(&parse(address).ok()?), sha256.to_owned());
        self.seen.lock().await.fetched.get(&key).cloned()
    }

    fn keep_one(&self, (key, sha256): &(String, String), fetched: &Fetched) -> Result<()> {
        let first = matches!(fetched.voucher, Voucher::Nobody | Voucher::LockFile);
        if let Some(path) = self.options.lock_file.as_ref().filter(|_| sha256.is_empty() && first) {
            LockFile::new(path).pin(key, &fetched.sha256)?;
        }
        Cache::new(&self.options.cache_dir).store(&fetched.sha256, &fetched.bytes);
        Ok(())
    }

    fn pin(&self, url: &Url, sha256: &str) -> Result<Option<Pin>> {
        if !sha256.is_empty() {
            return Pin::of_profile(sha256).map(Some);
        }
        if let Some(sha256) = components::digest_of(url.as_str()) {
            return Ok(Some(Pin { sha256: sha256.to_owned(), by: "kvnet".into(), voucher: Voucher::Kvnet }));
        }
        let Some(path) = &self.options.lock_file else { return Ok(None) };
        let recorded = LockFile::new(path).digest_of(&key(url))?;
        let voucher = Voucher::LockFile;
        Ok(recorded.map(|sha256| Pin { sha256, by: format!("the lock file {path}"), voucher }))
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
            return Ok(Self { sha256, by: "the profile".into(), voucher: Voucher::Profile });
        }
        Err(Error::new(&code::PROFILE_VALUE, format!("`{sha256}` is not a SHA-256 digest in hexadecimal")))
    }

    fn check_at(&self, found: &str, place: &str) -> Result<()> {
        if self.sha256 == found {
            return Ok(());
        }
        let message = format!("the manifest has the digest {found}, but {} expects {}", self.by, self.sha256);
        let error = Error::new(&code::SOURCE_DIGEST, message).at(place);
        Err(match self.voucher {
            Voucher::LockFile => error.hint_also(
                "if the new one is right, forget the old one with `kvnet profile pins --forget ADDRESS`",
            ),
            Voucher::Kvnet => {
                error.hint_also("a file of your own is pinned by `source.sha256` in the profile")
            }
            Voucher::Profile | Voucher::Nobody => error,
        })
    }
}

/// Checks a file against the digest of the profile, if it has one.
pub(super) fn check_file(path: &str, found: &str, sha256: &str) -> Result<()> {
    if sha256.is_empty() { Ok(()) } else { Pin::of_profile(sha256)?.check_at(found, path) }
}

/// Plain http can be tampered with on the path; only a digest detects that.
fn refuse_plain(place: &Url) -> Result<()> {
    if place.scheme() == "https" || download::is_loopback(place) {
        return Ok(());
    }
    let message = "the manifest would come over plain http without a known digest";
    Err(Error::new(&code::SOURCE_PLAIN, message).at(shown(place)))
}

/// The key of a pinned URL: all of it, with secrets only as a digest.
fn key(url: &Url) -> String {
    let shown = shown(url);
    if shown == url.as_str() {
        shown
    } else {
        format!("{shown} ({})", &digest(url.as_str().as_bytes())[..16])
    }
}

/// A URL for people, even an invalid one.
pub(super) fn for_people(address: &str) -> String {
    Url::parse(address).map_or_else(|_| masked(address), |url| shown(&url))
}

fn parse(address: &str) -> Result<Url> {
    let wrong = |reason: &str| {
        let message = format!("`{}` is not a valid URL", masked(address));
        Error::new(&code::PROFILE_VALUE, message).because(reason)
    };
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(wrong("only http and https URLs can be downloaded")),
    }
}

/// An invalid URL, without its secrets: a password before `@`, a token after `?`.
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
