//! The digests of releases that kvnet vouches for: those files were read at their tags before this version was released.

/// A file at a tag of a repository, under each name that the repository has had.
pub struct Known {
    /// The names.
    pub repositories: &'static [&'static str],
    /// The tag or commit.
    pub version: &'static str,
    /// The file.
    pub path: &'static str,
    /// Its digest in hexadecimal.
    pub sha256: &'static str,
}

/// The URL of a file at a tag.
pub fn raw(repository: &str, version: &str, path: &str) -> String {
    format!("https://raw.githubusercontent.com/{repository}/{version}/{path}")
}

/// The digest of the file at an address, when kvnet vouches for it.
pub fn digest_of(address: &str) -> Option<&'static str> {
    let is_at = |known: &&Known| {
        known.repositories.iter().any(|repository| raw(repository, known.version, known.path) == address)
    };
    let all = super::ALL.iter().filter_map(|component| component.custom()).flat_map(|custom| custom.known);
    all.into_iter().find(is_at).map(|known| known.sha256)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::{ALL, kubevirt::KUBEVIRT, multus::MULTUS};
    use crate::profile::{self, MultusFlavour};

    #[test]
    fn what_the_shipped_profiles_name_is_known_where_possible() {
        for shipped in profile::shipped() {
            let mut profile = profile::load(shipped.name, &[]).unwrap().profile;
            // KubeVirt's manifests are not files of its repository but release assets without published digests.
            for component in ALL.iter().filter(|component| **component != &KUBEVIRT) {
                let Some(custom) = component.custom() else { continue };
                let source = (custom.source)(&profile);
                let given = [&source.url, &(custom.address)(&profile)];
                let known = given.iter().find_map(|address| digest_of(address));
                let known = known.unwrap_or_else(|| panic!("{component:?} of {}", shipped.name));
                assert!(
                    source.sha256.is_empty() || source.sha256 == known,
                    "{component:?} of {}",
                    shipped.name
                );
            }
            if profile.multus.version == "v4.3.0" {
                profile.multus.flavour = MultusFlavour::Thin;
                assert!(digest_of(&(MULTUS.custom().unwrap().address)(&profile)).is_some());
            }
            assert_eq!(digest_of(&(KUBEVIRT.custom().unwrap().address)(&profile)), None);
        }
        assert_eq!(digest_of(&raw("coreos/flannel", "v0.28.8", "Documentation/kube-flannel.yml")), None);
    }

    #[test]
    fn a_digest_is_one() {
        for known in ALL.iter().filter_map(|component| component.custom()).flat_map(|custom| custom.known) {
            assert!(known.sha256.len() == 64 && known.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}
