//! Versions, and what depends on them.

use super::{KubeVirt, OvsCni};
use crate::formats::Release;

impl KubeVirt {
    /// The version of its API that VMs are written in.
    pub fn api_version(&self) -> &'static str {
        match Release::parse(&self.version) {
            Some(version) if version < Release::new(0, 13, 0) => "kubevirt.io/v1alpha2",
            Some(version) if version < Release::new(0, 37, 0) => "kubevirt.io/v1alpha3",
            _ => "kubevirt.io/v1",
        }
    }

    /// Whether an operator installs it; before, one manifest held everything.
    pub fn has_operator(&self) -> bool {
        self.is_at_least(Release::new(0, 12, 0))
    }

    /// Whether disks from images are called `containerDisk`; before, `registryDisk`.
    pub fn has_container_disk(&self) -> bool {
        self.is_at_least(Release::new(0, 11, 0))
    }

    /// Whether NICs can be bound with `masquerade`.
    pub fn has_masquerade(&self) -> bool {
        self.is_at_least(Release::new(0, 12, 0))
    }

    fn is_at_least(&self, oldest: Release) -> bool {
        Release::parse(&self.version).is_none_or(|version| version >= oldest)
    }
}

impl OvsCni {
    /// Whether networks can name VLAN bridges: that ended when the plugin began to ask the OVS database for bridges,
    /// where a VLAN bridge is only a port. Commits count as older, for the walkthrough of 2018 uses one.
    pub fn finds_vlan_bridges(&self) -> bool {
        Release::parse(&self.version).is_none_or(|version| version < Release::new(0, 7, 0))
    }

    /// Whether nodes offer their bridges as resources: the marker came with v0.3.0; a commit of 2018 has none.
    pub fn publishes_bridges(&self) -> bool {
        Release::parse(&self.version).is_some_and(|version| version >= Release::new(0, 3, 0))
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
    fn the_version_decides_the_api() {
        let api = |version: &str| KubeVirt { version: version.into(), ..KubeVirt::default() }.api_version();
        assert_eq!(api("v0.8.0"), "kubevirt.io/v1alpha2");
        assert_eq!(api("v0.13.0"), "kubevirt.io/v1alpha3");
        assert_eq!(api("v0.37.0"), "kubevirt.io/v1");
    }
}
