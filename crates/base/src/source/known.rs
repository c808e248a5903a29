//! The digests of releases that kvnet vouches for: those files were read at their tags before this version was released.
//!
//! KubeVirt's manifests are not files of its repository but release assets without published digests: kvnet knows none
//! of them.

/// A file at a tag of a repository, under each name that the repository has had.
struct Known {
    repositories: &'static [&'static str],
    version: &'static str,
    path: &'static str,
    sha256: &'static str,
}

const FLANNEL: &[&str] = &["flannel-io/flannel", "coreos/flannel"];
const MULTUS: &[&str] = &["k8snetworkplumbingwg/multus-cni", "intel/multus-cni"];
const OVS_CNI: &[&str] = &["k8snetworkplumbingwg/ovs-cni", "kubevirt/ovs-cni"];

const KNOWN: &[Known] = &[
    Known {
        repositories: FLANNEL,
        version: "v0.10.0",
        path: "Documentation/kube-flannel.yml",
        sha256: "7c5ecb231940f2399f3bdcf4cedc9fcc54d09fe60f33165e1494cd6545d0a29a",
    },
    Known {
        repositories: FLANNEL,
        version: "v0.28.9",
        path: "Documentation/kube-flannel.yml",
        sha256: "e875824be2f552b45711dbda91af81b17eb961d00025d914d9fef18fad8f09c0",
    },
    Known {
        repositories: FLANNEL,
        version: "v0.28.10",
        path: "Documentation/kube-flannel.yml",
        sha256: "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5",
    },
    Known {
        repositories: MULTUS,
        version: "v3.0",
        path: "images/multus-daemonset.yml",
        sha256: "21dbf91fff0f94839255eaad1e8cd9037a90a06ddd00798ae89167d8ba01c03f",
    },
    Known {
        repositories: MULTUS,
        version: "v3.1",
        path: "images/multus-daemonset.yml",
        sha256: "21dbf91fff0f94839255eaad1e8cd9037a90a06ddd00798ae89167d8ba01c03f",
    },
    Known {
        repositories: MULTUS,
        version: "v4.3.0",
        path: "deployments/multus-daemonset.yml",
        sha256: "290c502f3923864392f0bd7dd5f03e23262565853100c0ebfd7b35cc79ec565a",
    },
    Known {
        repositories: MULTUS,
        version: "v4.3.0",
        path: "deployments/multus-daemonset-thick.yml",
        sha256: "2d622f697809644a12704497bbf5c3256adc1e7f5b5504655e4993743651b585",
    },
    Known {
        repositories: OVS_CNI,
        version: "393d3ffa91a3d1f4ea326e233fac930f79aec751",
        path: "examples/ovs-cni.yml",
        sha256: "61256388507db1cd7a61115564d6dc90fe66e14dc97a1de7b01fc527ef115eff",
    },
    Known {
        repositories: OVS_CNI,
        version: "v0.39.0",
        path: "examples/ovs-cni.yml",
        sha256: "66589b3c5d4ec207a906df0fee7ae1b46958b3a5f37d427fb400dbf413edcf8b",
    },
];

/// The URL of a file at a tag.
pub(super) fn raw(repository: &str, version: &str, path: &str) -> String {
    format!("https://raw.githubusercontent.com/{repository}/{version}/{path}")
}

/// The digest of the file at an address, when kvnet vouches for it.
pub(super) fn digest_of(address: &str) -> Option<&'static str> {
    let is_at = |known: &&Known| {
        known.repositories.iter().any(|repository| raw(repository, known.version, known.path) == address)
    };
    KNOWN.iter().find(is_at).map(|known| known.sha256)
}

#[cfg(test)]
mod tests {
    use super::super::{Component, remote::release_address};
    use super::*;
    use crate::profile::{self, MultusFlavour};

    #[test]
    fn what_the_shipped_profiles_name_is_known_where_possible() {
        for shipped in profile::shipped() {
            let mut profile = profile::load(shipped.name, &[]).unwrap().profile;
            let components = [Component::Flannel, Component::Multus, Component::OvsCni];
            for component in components {
                let source = component.source(&profile).unwrap();
                let given = [&source.url, &release_address(component, &profile)];
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
                assert!(digest_of(&release_address(Component::Multus, &profile)).is_some());
            }
            assert_eq!(digest_of(&release_address(Component::KubeVirt, &profile)), None);
        }
        assert_eq!(digest_of(&raw("coreos/flannel", "v0.28.8", "Documentation/kube-flannel.yml")), None);
    }

    #[test]
    fn a_digest_is_one() {
        for known in KNOWN {
            assert!(known.sha256.len() == 64 && known.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()));
        }
    }
}
