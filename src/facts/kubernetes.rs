//! What kubeadm's files and its configuration in the cluster tell about a cluster.

use serde_json::Value;

/// The pod address range of a `ClusterConfiguration`, as it is in the `ConfigMap` of kubeadm; of two families, IPv4.
#[must_use]
pub fn pod_subnet(configuration: &str) -> Option<String> {
    let value: Value = serde_yaml::from_str(configuration).ok()?;
    first_family(value["networking"]["podSubnet"].as_str()?)
}

/// The pod address range of a controller manager's static pod.
#[must_use]
pub fn cluster_cidr(manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().map(|line| line.trim().trim_start_matches("- "));
    first_family(lines.find_map(|line| line.strip_prefix("--cluster-cidr="))?)
}

/// The version of an API server's static pod, from its image.
#[must_use]
pub fn version(manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().map(str::trim);
    let image = lines.find_map(|line| line.trim_start_matches("- ").strip_prefix("image:"))?;
    let (_, tag) = image.trim().trim_matches('"').rsplit_once(':')?;
    is_version(tag).then(|| tag.to_owned())
}

/// Whether a text is a version as kubeadm and the API server write it.
#[must_use]
pub fn is_version(text: &str) -> bool {
    text.starts_with('v') && crate::profile::Release::parse(text).is_some()
}

fn first_family(ranges: &str) -> Option<String> {
    let ranges: Vec<&str> = ranges.trim_matches('"').split(',').map(str::trim).collect();
    let found = ranges.iter().find(|range| !range.contains(':')).or(ranges.first())?;
    found.parse::<ipnet::IpNet>().is_ok().then(|| (*found).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pod_range_of_a_configuration() {
        for (text, expected) in [
            ("networking:\n  podSubnet: 10.32.0.0/16\n", Some("10.32.0.0/16")),
            ("networking:\n  podSubnet: fd00::/48,10.32.0.0/16\n", Some("10.32.0.0/16")),
            ("networking: {}\n", None),
            ("networking:\n  podSubnet: \"10.0.0.0/8\\u001b[31m\"\n", None),
            ("- nonsense", None),
        ] {
            assert_eq!(pod_subnet(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn static_pods_tell_range_and_version() {
        let text = "spec:\n  containers:\n  - command:\n    - kube-controller-manager\n    - --cluster-cidr=10.244.0.0/16\n    \
                    image: registry.k8s.io/kube-controller-manager:v1.34.4\n";
        assert_eq!(cluster_cidr(text).as_deref(), Some("10.244.0.0/16"));
        assert_eq!(version(text).as_deref(), Some("v1.34.4"));
        for nothing in ["", "image: kube-apiserver\n", "image: x:latest\n", "    - --cluster-cidr=all\n"] {
            assert_eq!((cluster_cidr(nothing), version(nothing)), (None, None), "{nothing}");
        }
    }
}
