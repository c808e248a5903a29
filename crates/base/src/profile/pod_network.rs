//! The name that flannel's leases are kept under. host-local has one directory for each network name: an attachment to the
//! pod network with a name of its own would give out addresses that other pods have.

use super::{MultusFlavour, Profile, Release, SourceKind};

/// The name in flannel's own configuration, of every release.
const FLANNEL: &str = "cbr0";
/// The name in the configuration that Multus' image of 2018 ships.
const MULTUS_2018: &str = "flannel.1";
/// The first release of Multus that takes the configuration of the pod network from its file.
const TAKES_THE_FILE: (u32, u32) = (3, 2);

impl Profile {
    /// The name of the pod network in its CNI configuration, where kvnet or a release decides it; none for a custom
    /// manifest.
    pub fn pod_network_name(&self) -> Option<&'static str> {
        if let Some(name) = self.pod_network_name_of_multus() {
            return Some(name);
        }
        (self.flannel.enabled && self.flannel.source.kind != SourceKind::File).then_some(FLANNEL)
    }

    /// The name that a Multus calls flannel by, when it does not take that from flannel's file. Pods from before and after
    /// such a Multus share leases only when flannel's own file has the same name.
    pub fn pod_network_name_of_multus(&self) -> Option<&'static str> {
        let multus = &self.multus;
        let is_old = Release::parse(&multus.version)
            .is_some_and(|release| (release.major, release.minor) < TAKES_THE_FILE);
        let is_fixed = multus.enabled
            && is_old
            && multus.flavour == MultusFlavour::Thin
            && multus.source.kind == SourceKind::Upstream;
        is_fixed.then_some(MULTUS_2018)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load;

    #[test]
    fn the_name_is_flannels_unless_multus_has_its_own() {
        for (profile, name) in [("default", FLANNEL), ("walkthrough-2018", MULTUS_2018)] {
            assert_eq!(load(profile, &[]).unwrap().profile.pod_network_name(), Some(name), "{profile}");
        }
        let mut profile = Profile::default();
        profile.flannel.source.kind = SourceKind::File;
        assert_eq!(profile.pod_network_name(), None);
    }
}
