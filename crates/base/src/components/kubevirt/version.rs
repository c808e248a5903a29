//! A release of `KubeVirt`, and what its API was like.

use std::str::FromStr;

/// `vMAJOR.MINOR...`; what follows the minor number does not matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::components) struct Version(u32, u32);

impl Version {
    /// Whether an operator installs it; before, one manifest held everything.
    pub(in crate::components) fn has_operator(self) -> bool {
        self >= Self(0, 12)
    }

    /// The API version of its objects.
    pub(in crate::components) fn kubevirt_api(self) -> &'static str {
        match self {
            old if old < Self(0, 13) => "kubevirt.io/v1alpha2",
            middle if middle < Self(0, 37) => "kubevirt.io/v1alpha3",
            _ => "kubevirt.io/v1",
        }
    }

    /// The field of a volume that holds the image of a disk.
    pub(in crate::components) fn disk_source(self) -> &'static str {
        if self < Self(0, 11) { "registryDisk" } else { "containerDisk" }
    }

    /// Whether a disk uses the volume of its own name; before, it named one.
    pub(in crate::components) fn disks_are_volumes(self) -> bool {
        self >= Self(0, 13)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || parts.next()?.parse().ok();
        let version = number().zip(number()).map(|(major, minor)| Self(major, minor));
        version.ok_or_else(|| format!("`{text}` is not a version like `v1.9.0`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_follows_the_release() {
        for (text, api, disk, operator, volumes) in [
            ("v0.8.0", "kubevirt.io/v1alpha2", "registryDisk", false, false),
            ("v0.10.0", "kubevirt.io/v1alpha2", "registryDisk", false, false),
            ("v0.11.0", "kubevirt.io/v1alpha2", "containerDisk", false, false),
            ("v0.12.0", "kubevirt.io/v1alpha2", "containerDisk", true, false),
            ("v0.36.5", "kubevirt.io/v1alpha3", "containerDisk", true, true),
            ("v0.37.0", "kubevirt.io/v1", "containerDisk", true, true),
            ("1.9.0-rc.1", "kubevirt.io/v1", "containerDisk", true, true),
        ] {
            let version: Version = text.parse().unwrap();
            let found = (
                version.kubevirt_api(),
                version.disk_source(),
                version.has_operator(),
                version.disks_are_volumes(),
            );
            assert_eq!(found, (api, disk, operator, volumes), "{text}");
        }
        assert!("latest".parse::<Version>().is_err());
    }
}
