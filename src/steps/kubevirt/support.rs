//! Which versions of Kubernetes a release of KubeVirt supports.

use std::ops::RangeInclusive;

use crate::profile::Release;

/// KubeVirt's releases 1.x by their minor number, with the minor versions of Kubernetes 1.x that each supports. From the
/// project's support matrix; a release supports the three versions that are current when it is made.
const MATRIX: &[(u32, RangeInclusive<u32>)] = &[
    (1, 26..=28),
    (2, 27..=29),
    (3, 28..=30),
    (4, 29..=31),
    (5, 30..=32),
    (6, 31..=33),
    (7, 32..=34),
    (8, 33..=35),
    (9, 34..=36),
];

/// A warning with both versions when the matrix does not have the pair; none for releases that it does not list.
pub fn warning(kubevirt: &str, kubernetes: &str) -> Option<String> {
    let minor = Release::parse(kubernetes)?.minor;
    let release = Release::parse(kubevirt).filter(|release| release.major == 1)?;
    let (_, supported) = MATRIX.iter().find(|(number, _)| *number == release.minor)?;
    let (first, last) = (supported.start(), supported.end());
    (!supported.contains(&minor)).then(|| {
        format!("KubeVirt {kubevirt} supports Kubernetes 1.{first} to 1.{last}, the cluster is {kubernetes}")
    })
}

/// The newest release that supports a version of Kubernetes; none when the matrix has none.
pub fn newest_for(kubernetes: &str) -> Option<String> {
    let minor = Release::parse(kubernetes)?.minor;
    let (number, _) = MATRIX.iter().rev().find(|(_, supported)| supported.contains(&minor))?;
    Some(format!("v1.{number}.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_outside_the_matrix_is_a_warning_with_both_versions() {
        assert_eq!(
            warning("v1.5.0", "v1.34.4").unwrap(),
            "KubeVirt v1.5.0 supports Kubernetes 1.30 to 1.32, the cluster is v1.34.4"
        );
        for (kubevirt, kubernetes) in
            [("v1.5.2", "v1.32.2"), ("v1.9.0", "v1.34.4+k3s1"), ("v0.8.0", "v1.11.0"), ("v1.99.0", "v1.34.4")]
        {
            assert_eq!(warning(kubevirt, kubernetes), None, "{kubevirt} on {kubernetes}");
        }
    }

    #[test]
    fn the_newest_release_for_a_cluster_supports_it() {
        for (kubernetes, release) in
            [("v1.32.2", Some("v1.7.0")), ("v1.36.0", Some("v1.9.0")), ("v1.11.0", None), ("?", None)]
        {
            assert_eq!(newest_for(kubernetes).as_deref(), release);
            assert_eq!(release.and_then(|release| warning(release, kubernetes)), None);
        }
    }
}
