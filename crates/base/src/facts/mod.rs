//! Facts about the node, gathered before any step observes: pure parsers of tools' output, and one gathering pass.

pub mod attachments;
mod cni_files;
pub mod counters;
pub mod firewall;
pub mod gather;
pub mod identity;
pub mod images;
pub mod openflow;
pub mod os;
pub mod ovs;
pub mod packages;
pub mod routes;
pub mod runtime;
pub mod survey;
pub mod tolerant;

use camino::Utf8PathBuf;
use serde::Serialize;

use self::packages::PackageManager;
pub use cni_files::{ByFile, NamedFiles};

/// Facts about the node, gathered once for each run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    /// The distribution.
    pub os: OsRelease,
    /// The package manager; none when it is not supported.
    pub packages: Option<PackageManager>,
    /// Whether kvnet's commands run as root there.
    pub root: bool,
    /// The node's host name.
    pub hostname: String,
    /// What else identifies this machine.
    pub marks: identity::Marks,
    /// The architecture as `uname -m` names it.
    pub architecture: String,
    /// The directory that the runtime reads CNI configurations from.
    pub cni_conf_dir: Utf8PathBuf,
    /// The directories that the runtime looks for CNI plugins in, in order; never empty.
    pub cni_bin_dirs: Vec<Utf8PathBuf>,
    /// The home directory of the user.
    pub home: Utf8PathBuf,
    /// Whether /dev/kvm exists and the processor has the flags for it.
    pub kvm: bool,
}

/// The fields of os-release that kvnet uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OsRelease {
    /// `debian`, `ubuntu`, `fedora`.
    pub id: String,
    /// The distributions that it derives from.
    pub like: Vec<String>,
    /// `12`, `24.04`.
    pub version: String,
    /// For people.
    pub pretty: String,
}
