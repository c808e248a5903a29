//! Facts about a cluster from kubeadm's files and its configuration in the cluster.

use serde_json::{Map, Value};

/// kubeadm's configuration, from its `ConfigMap`; kubeadm 1.11 used another key.
pub fn configuration(kubeadm: &Value) -> Option<&str> {
    let names = ["ClusterConfiguration", "MasterConfiguration"];
    names.iter().find_map(|name| kubeadm["data"][*name].as_str())
}

/// The pod address range of a `ClusterConfiguration`, as it is in the `ConfigMap` of kubeadm; of two families, IPv4.
pub fn pod_subnet(configuration: &str) -> Option<String> {
    let value: Value = serde_yaml::from_str(configuration).ok()?;
    first_family(value["networking"]["podSubnet"].as_str()?)
}

/// The pod address range of a controller manager's static pod.
pub fn cluster_cidr(manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().map(|line| line.trim().trim_start_matches("- "));
    first_family(lines.find_map(|line| line.strip_prefix("--cluster-cidr="))?)
}

/// The default prefix of a node's range.
const NODE_MASK: u8 = 24;
/// The controller manager's arguments that override it; only that of IPv4 counts.
const MASKS: [&str; 2] = ["node-cidr-mask-size-ipv4", "node-cidr-mask-size"];

/// An argument that is not a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMask {
    /// Its place in the configuration.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// The prefix of the range that a controller manager gives each node, by kubeadm's configuration of it; none when it
/// does not allocate them.
pub fn node_mask(configuration: &Map<String, Value>) -> Option<Result<u8, NoMask>> {
    let arguments = arguments(configuration);
    let of = |name: &str| arguments.iter().find(|(key, ..)| *key == name);
    if of("allocate-node-cidrs").is_some_and(|(_, text, _)| text == "false") {
        return None;
    }
    let Some((_, text, path)) = MASKS.iter().find_map(|name| of(name)) else { return Some(Ok(NODE_MASK)) };
    let mask = text.parse().ok().filter(|mask| (8..=30).contains(mask));
    Some(mask.ok_or_else(|| NoMask { path: path.clone(), text: text.clone() }))
}

/// The arguments of the controller manager, with their places: a map before v1beta4, then a list.
fn arguments(configuration: &Map<String, Value>) -> Vec<(&str, String, String)> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let own = "controllerManagerExtraArgs";
    let (given, path) = match configuration.get(own) {
        Some(given) => (given, own),
        None => match configuration.get("controllerManager").and_then(|it| it.get("extraArgs")) {
            Some(given) => (given, "controllerManager.extraArgs"),
            None => return Vec::new(),
        },
    };
    match given {
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.as_str(), text(value), format!("{path}.{key}"))).collect()
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .filter_map(|(index, it)| {
                Some((it["name"].as_str()?, text(&it["value"]), format!("{path}[{index}].value")))
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// A node's shortage: its range has fewer addresses than its kubelet's pod limit.
pub fn scarce_addresses(node: &Value) -> Option<String> {
    /// The network's own, the broadcast address and the bridge's.
    const OTHERS: u64 = 3;
    let range = node["spec"]["podCIDR"].as_str()?;
    let net = range.parse::<ipnet::Ipv4Net>().ok()?;
    let pods: u64 = node["status"]["allocatable"]["pods"].as_str()?.parse().ok()?;
    let all = 1_u64.checked_shl(32 - u32::from(net.prefix_len()))?;
    let room = all.saturating_sub(OTHERS);
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    (room < pods).then(|| {
        let addresses = if room == 1 { "1 address".into() } else { format!("{room} addresses") };
        format!("{name} has {addresses} for pods ({range}), but its kubelet allows {pods} pods")
    })
}

/// The version of an API server's static pod, from its image.
pub fn version(manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().map(str::trim);
    let image = lines.find_map(|line| line.trim_start_matches("- ").strip_prefix("image:"))?;
    let (_, tag) = image.trim().trim_matches('"').rsplit_once(':')?;
    is_version(tag).then(|| tag.to_owned())
}

/// Whether a text is a version as kubeadm and the API server write it.
pub fn is_version(text: &str) -> bool {
    text.starts_with('v') && super::Release::parse(text).is_some()
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
    fn the_configuration_of_kubeadm_of_2018_is_found() {
        for name in ["ClusterConfiguration", "MasterConfiguration"] {
            assert_eq!(configuration(&serde_json::json!({"data": {name: "a: b"}})), Some("a: b"));
        }
        assert_eq!(configuration(&Value::Null), None);
    }

    #[test]
    fn a_node_whose_range_is_smaller_than_its_kubelet_is_named() {
        let node = |range: &str, pods: &str| {
            serde_json::json!({"metadata": {"name": "a"}, "spec": {"podCIDR": range},
                "status": {"allocatable": {"pods": pods}}})
        };
        assert_eq!(
            scarce_addresses(&node("10.244.0.0/26", "110")).as_deref(),
            Some("a has 61 addresses for pods (10.244.0.0/26), but its kubelet allows 110 pods")
        );
        assert_eq!(scarce_addresses(&node("10.244.0.0/30", "110")).unwrap().matches("1 address ").count(), 1);
        assert_eq!(scarce_addresses(&node("10.244.0.0/25", "110")), None);
        assert_eq!(scarce_addresses(&node("10.244.0.0/26", "60")), None);
        assert_eq!(scarce_addresses(&node("", "110")), None);
    }

    #[test]
    fn the_prefix_of_a_nodes_range_is_read_in_every_form() {
        let mask = |text: &str| node_mask(serde_yaml::from_str::<Value>(text).unwrap().as_object().unwrap());
        assert_eq!(mask("{}"), Some(Ok(24)));
        for text in [
            "controllerManager: {extraArgs: {node-cidr-mask-size: '26'}}",
            "controllerManager: {extraArgs: [{name: node-cidr-mask-size-ipv4, value: '26'}]}",
            "controllerManagerExtraArgs: {node-cidr-mask-size: '26'}",
            "controllerManager: {extraArgs: {node-cidr-mask-size: 20, node-cidr-mask-size-ipv4: 26}}",
        ] {
            assert_eq!(mask(text), Some(Ok(26)), "{text}");
        }
        assert_eq!(mask("controllerManager: {extraArgs: {allocate-node-cidrs: 'false'}}"), None);
        let wrong = mask("controllerManager: {extraArgs: [{name: node-cidr-mask-size, value: x}]}");
        assert_eq!(wrong.unwrap().unwrap_err().path, "controllerManager.extraArgs[0].value");
    }

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
