//! Package managers of the distributions.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A package manager that kvnet can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, RHEL.
    Dnf,
    /// CentOS 7.
    Yum,
    /// openSUSE, SLE.
    Zypper,
    /// Arch.
    Pacman,
    /// Alpine.
    Apk,
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apt => "apt",
            Self::Dnf => "dnf",
            Self::Yum => "yum",
            Self::Zypper => "zypper",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
        })
    }
}
