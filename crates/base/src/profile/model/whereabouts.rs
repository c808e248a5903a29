//! whereabouts, and the choice of the plugin that gives out addresses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Source;

/// The IPAM plugin that gives out addresses across the cluster, off by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Whereabouts {
    /// Whether kvnet installs it. Networks with `ipam.type: whereabouts` need it: they are refused while it is off.
    pub enabled: bool,
    /// The release, for example `v0.9.2`.
    pub version: String,
    /// The manifest. The release has its definitions in files of their own: kvnet adds those that the manifest lacks.
    pub source: Source,
    /// The image; empty means the release's.
    pub image: String,
}

impl Default for Whereabouts {
    fn default() -> Self {
        Self { enabled: false, version: "v0.9.2".into(), source: Source::default(), image: String::new() }
    }
}

/// Which plugin gives out addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IpamType {
    /// Each node by itself, from files: two nodes give out the same addresses.
    #[default]
    HostLocal,
    /// All nodes of the cluster from one pool, kept in the API.
    Whereabouts,
}

impl IpamType {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
