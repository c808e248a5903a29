//! Versions, and what they decide.

use super::{KubeVirt, OvsCni};

/// A release: `v1.9.0`, `v3.1`, `v1.0.0-rc.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number; 0 when there is none.
    pub patch: u32,
}

impl Release {
    /// Reads a release; nothing when it is none, for example a commit. What follows `-` or `+` does not count.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = numbers.find(['-', '+']).map_or((numbers, ""), |at| numbers.split_at(at));
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?;
        let parts = numbers.split('.').map(number).collect::<Option<Vec<u32>>>()?;
        let plain = suffix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        match parts[..] {
            _ if !plain || suffix.len() == 1 => None,
            [major, minor] => Some(Self { major, minor, patch: 0 }),
            [major, minor, patch] => Some(Self { major, minor, patch }),
            _ => None,
        }
    }
}

const fn release(major: u32, minor: u32, patch: u32) -> Release {
    Release { major, minor, patch }
}

impl KubeVirt {
    /// The version of its API that VMs are written in.
    #[must_use]
    pub fn api_version(&self) -> &'static str {
        match Release::parse(&self.version) {
            Some(version) if version < release(0, 13, 0) => "kubevirt.io/v1alpha2",
            Some(version) if version < release(0, 37, 0) => "kubevirt.io/v1alpha3",
            _ => "kubevirt.io/v1",
        }
    }

    /// Whether an operator installs it; before, one manifest held everything.
    #[must_use]
    pub fn has_operator(&self) -> bool {
        self.is_at_least(release(0, 12, 0))
    }

    /// Whether disks from images are called `containerDisk`; before, `registryDisk`.
    #[must_use]
    pub fn has_container_disk(&self) -> bool {
        self.is_at_least(release(0, 11, 0))
    }

    /// Whether NICs can be bound with `masquerade`.
    #[must_use]
    pub fn has_masquerade(&self) -> bool {
        self.is_at_least(release(0, 12, 0))
    }

    fn is_at_least(&self, oldest: Release) -> bool {
        Release::parse(&self.version).is_none_or(|version| version >= oldest)
    }
}

impl OvsCni {
    /// Whether networks can name VLAN bridges: that ended when the plugin began to ask the OVS database for bridges,
    /// where a VLAN bridge is only a port. Commits count as older, for the walkthrough of 2018 uses one.
    #[must_use]
    pub fn finds_vlan_bridges(&self) -> bool {
        Release::parse(&self.version).is_none_or(|version| version < release(0, 7, 0))
    }

    /// Whether nodes offer their bridges as resources: the marker came with v0.3.0; a commit of 2018 has none.
    #[must_use]
    pub fn publishes_bridges(&self) -> bool {
        Release::parse(&self.version).is_some_and(|version| version >= release(0, 3, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_with_a_marker_publish_bridges() {
        for (version, publishes) in [
            ("v0.39.0", true),
            ("v0.3.0", true),
            ("v0.1.0", false),
            ("393d3ffa91a3", false),
            ("v1.0.0", true),
        ] {
            let ovs_cni = OvsCni { version: version.into(), ..OvsCni::default() };
            assert_eq!(ovs_cni.publishes_bridges(), publishes, "{version}");
        }
    }

    #[test]
    fn reads_releases_and_nothing_else() {
        assert_eq!(Release::parse("v0.28.10"), Some(release(0, 28, 10)));
        assert_eq!(Release::parse("v3.1"), Some(release(3, 1, 0)));
        assert_eq!(Release::parse("1.0.0-rc.1"), Some(release(1, 0, 0)));
        for text in
            ["", "v", "v1", "v1.", "v1.2.3.4", "393d3ffa", "main", "v1.2.x", "v1.2.3-", "v1.2.3-a b", "v+1.2"]
        {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_version_decides_the_api() {
        let api = |version: &str| KubeVirt { version: version.into(), ..KubeVirt::default() }.api_version();
        assert_eq!(api("v0.8.0"), "kubevirt.io/v1alpha2");
        assert_eq!(api("v0.13.0"), "kubevirt.io/v1alpha3");
        assert_eq!(api("v0.37.0"), "kubevirt.io/v1");
    }
}
