//! The distributions that a node in memory can have.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::facts::packages::PackageManager;

/// A distribution of Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum Distribution {
    /// Debian 12.
    #[default]
    Debian,
    /// Ubuntu 24.04.
    Ubuntu,
    /// Fedora 42.
    Fedora,
    /// openSUSE Leap 15.6.
    OpenSuse,
    /// Arch Linux.
    Arch,
    /// Alpine 3.22.
    Alpine,
}

impl Distribution {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Debian, Self::Ubuntu, Self::Fedora, Self::OpenSuse, Self::Arch, Self::Alpine];

    /// Its package manager.
    pub fn packages(self) -> PackageManager {
        match self {
            Self::Debian | Self::Ubuntu => PackageManager::Apt,
            Self::Fedora => PackageManager::Dnf,
            Self::OpenSuse => PackageManager::Zypper,
            Self::Arch => PackageManager::Pacman,
            Self::Alpine => PackageManager::Apk,
        }
    }

    /// Whether services are started by systemd; otherwise `OpenRC` does it.
    pub fn has_systemd(self) -> bool {
        self != Self::Alpine
    }
}
