//! Registries of images: what a tag means there, and for which platforms.
//!
//! Everything that a registry says is checked against a digest, or only decides what is asked next.

mod auth;
mod client;
mod credentials;
mod document;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Result;
use crate::manifest::Reference;

use client::Client;
pub use credentials::Credentials;

/// How registries are spoken to.
#[derive(Clone, Debug, Default)]
pub struct RegistryOptions {
    /// The logins.
    pub credentials: Credentials,
    /// The longest that one request may take.
    pub timeout: Duration,
}

/// Asks registries.
pub struct Registry(Client);

/// What a name means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The digest of the index, or of the only manifest.
    pub digest: String,
    /// The platforms, as `linux/arm64`, each with the digest of its manifest.
    pub platforms: BTreeMap<String, String>,
}

impl Registry {
    /// A client; nothing is asked yet.
    pub fn new(options: RegistryOptions) -> Self {
        Self(Client::new(options))
    }

    /// What an image is now. The bytes were compared with the digest.
    ///
    /// # Errors
    /// `KVN430` when the registry does not answer, `KVN431` when it denies access, `KVN432` when it does not have the
    /// image, `KVN433` at its rate limit, `KVN434` when its answer is damaged.
    pub async fn resolve(&self, image: &Reference) -> Result<Resolved> {
        let found = self.0.manifest(image).await?;
        match document::read(image, &found)? {
            document::Content::Index(platforms) => Ok(Resolved { digest: found.digest, platforms }),
            document::Content::Single { config } => {
                let blob = self.0.blob(image, &config).await?;
                let platform = document::platform_of(image, &blob)?;
                let platforms = BTreeMap::from([(platform, found.digest.clone())]);
                Ok(Resolved { digest: found.digest, platforms })
            }
        }
    }

    /// The digest that a tag has now, as the registry says it: for a comparison, which costs no pull where the registry
    /// counts those.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub async fn digest(&self, image: &Reference) -> Result<String> {
        match self.0.head(image).await? {
            Some(digest) => Ok(digest),
            None => Ok(self.0.manifest(image).await?.digest),
        }
    }
}

#[cfg(test)]
mod tests;
