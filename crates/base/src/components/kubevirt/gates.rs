//! KubeVirt's feature gates: which are disabled although a release enables them.

use crate::profile::{KubeVirt, Release};

/// Puts a VM's disk image into its pod as an image volume, which many runtimes do not have.
pub const IMAGE_VOLUME: &str = "ImageVolume";
/// Leaves the resource of an attachment, which schedules a VM to a node with its bridge, to network-resources-injector.
pub const EXTERNAL_RESOURCES: &str = "ExternalNetResourceInjection";
/// Deploys virt-template: two pods more, with images of another version.
pub const TEMPLATE: &str = "Template";

/// The first release in which Beta gates are on by default.
const BETA_IS_ON: (u32, u32) = (1, 9);

/// Whether a release has Beta gates on by itself.
pub fn has_beta_on(version: &str) -> bool {
    Release::parse(version).is_some_and(|release| (release.major, release.minor) >= BETA_IS_ON)
}

/// The gates to disable: those of the profile, then those that would not work here and that it does not list.
pub fn off(kubevirt: &KubeVirt, image_volumes: bool) -> Vec<String> {
    let mut off = kubevirt.disabled_feature_gates.clone();
    if has_beta_on(&kubevirt.version) {
        let own = [(IMAGE_VOLUME, !image_volumes), (EXTERNAL_RESOURCES, true), (TEMPLATE, true)];
        let is_named = |gate: &str| {
            kubevirt.feature_gates.iter().chain(&kubevirt.disabled_feature_gates).any(|it| it == gate)
        };
        off.extend(
            own.into_iter()
                .filter(|(gate, wanted)| *wanted && !is_named(gate))
                .map(|(gate, _)| gate.to_owned()),
        );
    }
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubevirt(version: &str, on: &[&str], off: &[&str]) -> KubeVirt {
        let owned = |gates: &[&str]| gates.iter().map(|&gate| gate.to_owned()).collect();
        KubeVirt {
            version: version.into(),
            feature_gates: owned(on),
            disabled_feature_gates: owned(off),
            ..KubeVirt::default()
        }
    }

    #[test]
    fn what_would_not_work_is_off_unless_the_profile_names_it() {
        for (version, on, disabled, image_volumes, expected) in [
            ("v1.9.0", &[][..], &[][..], false, &[IMAGE_VOLUME, EXTERNAL_RESOURCES, TEMPLATE][..]),
            ("v1.9.0", &[], &[], true, &[EXTERNAL_RESOURCES, TEMPLATE]),
            ("v1.10.1", &[IMAGE_VOLUME, TEMPLATE], &["Snapshot"], false, &["Snapshot", EXTERNAL_RESOURCES]),
            ("v1.9.0", &[], &[TEMPLATE], true, &[TEMPLATE, EXTERNAL_RESOURCES]),
            ("v1.8.2", &[], &["Snapshot"], false, &["Snapshot"]),
            ("v1.5.0", &["Snapshot"], &[], false, &[]),
            ("v0.8.0", &[], &[], false, &[]),
        ] {
            assert_eq!(off(&kubevirt(version, on, disabled), image_volumes), expected, "{version}");
        }
    }
}
