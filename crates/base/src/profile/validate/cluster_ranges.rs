//! What kubeadm and the controller manager refuse of a cluster's own ranges: a range for each node must fit into the
//! pods' range, and there must not be too many of them.

use ipnet::IpNet;

use super::Found;
use crate::formats::kubernetes::node_mask;
use crate::formats::net::cidr;
use crate::profile::Profile;

const INIT: &str = "cluster.init.clusterConfiguration";
/// The longest prefix with as many addresses as kubeadm asks for: 14 for pods, 10 for Services.
const SMALLEST: u8 = 28;
/// The most bits between the pods' prefix and that of a node.
const MOST_BITS: u8 = 16;
/// The shortest prefix of Services of IPv4.
const LARGEST_SERVICES: u8 = 12;

pub(super) fn check(profile: &Profile, found: &mut Found) {
    let init = &profile.cluster.init;
    let networking = init.cluster_configuration.get("networking");
    let written = |field: &str| networking?.get(field)?.as_str().map(str::trim);
    if let Some(services) = written("serviceSubnet").and_then(ipv4) {
        services_of(&services, &format!("{INIT}.networking.serviceSubnet"), found);
    }
    let own = written("podSubnet").map(|text| (format!("{INIT}.networking.podSubnet"), text));
    let (path, text) = own.unwrap_or_else(|| ("cluster.podSubnet".into(), &profile.cluster.pod_subnet));
    let Some(pods) = ipv4(text) else { return };
    let mask = node_mask(&init.cluster_configuration);
    match mask.filter(|_| init.enabled) {
        Some(Ok(mask)) => of_each_node(&pods, mask, &path, found),
        Some(Err(value)) => {
            let at = format!("{INIT}.{}", value.path);
            let message = format!("cannot be {}", crate::profile::check::shortened(&value.text));
            found.add(at, message, "write a number from 8 to 30, in quotes");
        }
        None if pods.prefix_len() > SMALLEST => too_small(&pods, &path, found),
        None => {}
    }
}

/// What is not a subnet is reported elsewhere.
fn ipv4(text: &str) -> Option<IpNet> {
    cidr(text).filter(|net| net.addr().is_ipv4() && net.prefix_len() <= 30)
}

fn of_each_node(pods: &IpNet, mask: u8, path: &str, found: &mut Found) {
    let prefix = pods.prefix_len();
    if prefix > mask {
        let message = format!("{pods} is smaller than one node's range, a /{mask}: kubeadm refuses it");
        let hint = format!(
            "use a /{mask} or a shorter prefix, such as 10.244.0.0/16, or give each node less: `node-cidr-mask-size-ipv4` in `{INIT}.controllerManager.extraArgs`"
        );
        found.add(path, message, hint);
    } else if prefix > SMALLEST {
        too_small(pods, path, found);
    } else if mask - prefix > MOST_BITS {
        let message = format!(
            "{pods} has {} bits more than one node's range, a /{mask}: kubeadm accepts at most {MOST_BITS}",
            mask - prefix
        );
        found.add(path, message, format!("use a /{} or a longer prefix", mask - MOST_BITS));
    }
}

fn too_small(pods: &IpNet, path: &str, found: &mut Found) {
    let message = format!("{pods} has fewer than 14 addresses: too few for a cluster's pods");
    found.add(path, message, "use a shorter prefix, such as 10.244.0.0/16");
}

fn services_of(services: &IpNet, path: &str, found: &mut Found) {
    let prefix = services.prefix_len();
    if prefix > SMALLEST {
        let message = format!("{services} has fewer than 10 addresses: kubeadm refuses it");
        found.add(path, message, format!("use a /{SMALLEST} or a shorter prefix, such as 10.96.0.0/12"));
    } else if prefix < LARGEST_SERVICES {
        let message = format!("{services} is too large: kubeadm accepts at most a /{LARGEST_SERVICES}");
        found.add(path, message, "use a longer prefix, such as 10.96.0.0/12");
    }
}

#[cfg(test)]
mod tests {
    use crate::profile::load_text;

    fn told(cluster: &str) -> Option<(String, String)> {
        let text = format!("extends: default\ncluster:\n{cluster}");
        let error = load_text(&text, "p.yaml", &[]).err()?;
        assert_eq!(error.code().id, "KVN104", "{cluster}: {error}");
        Some((error.place().unwrap_or_default().to_owned(), format!("{error}; {}", error.hints().join("; "))))
    }

    fn init(subnet: &str, arguments: &str) -> String {
        let arguments = if arguments.is_empty() {
            String::new()
        } else {
            format!(", clusterConfiguration: {{controllerManager: {{extraArgs: {arguments}}}}}")
        };
        format!("  podSubnet: {subnet}\n  init: {{enabled: true{arguments}}}\n")
    }

    #[test]
    fn a_pod_subnet_has_room_for_the_range_of_a_node() {
        for (subnet, arguments, says) in [
            ("10.244.0.0/25", "", "smaller than one node's range, a /24"),
            ("10.244.0.0/30", "", "smaller than one node's range"),
            ("10.244.0.0/27", "{node-cidr-mask-size-ipv4: '26'}", "a /26"),
            ("10.244.0.0/27", "[{name: node-cidr-mask-size, value: '26'}]", "a /26"),
            ("8.0.0.0/7", "", "17 bits more"),
            ("32.0.0.0/9", "{node-cidr-mask-size-ipv4: '26'}", "use a /10 or a longer prefix"),
            ("10.244.0.0/29", "{node-cidr-mask-size-ipv4: '30'}", "fewer than 14 addresses"),
            ("10.244.0.0/29", "{allocate-node-cidrs: 'false'}", "fewer than 14 addresses"),
        ] {
            let (place, message) = told(&init(subnet, arguments)).expect(subnet);
            assert_eq!(place, "p.yaml:3:14", "{subnet}: {message}");
            assert!(message.contains(says), "{subnet}: {message}");
        }
        for (subnet, arguments) in [
            ("10.244.0.0/24", ""),
            ("32.0.0.0/8", ""),
            ("10.244.0.0/26", "{node-cidr-mask-size-ipv4: '28'}"),
            ("10.244.0.0/25", "{allocate-node-cidrs: 'false'}"),
        ] {
            assert_eq!(told(&init(subnet, arguments)), None, "{subnet} {arguments}");
        }
    }

    #[test]
    fn a_running_cluster_may_give_its_nodes_less() {
        assert_eq!(told("  podSubnet: 10.244.0.0/26\n"), None);
        assert!(told("  podSubnet: 10.244.0.0/30\n").unwrap().1.contains("fewer than 14 addresses"));
    }

    #[test]
    fn a_mask_is_a_number() {
        for value in ["x", "'33'", "'0'"] {
            let (place, message) =
                told(&init("10.244.0.0/16", &format!("{{node-cidr-mask-size-ipv4: {value}}}"))).unwrap();
            assert!(place.starts_with("p.yaml:4:") && message.contains("cannot be"), "{place}: {message}");
        }
    }

    #[test]
    fn kubeadms_own_fields_are_judged_where_they_stand() {
        let networking = |fields: &str| {
            format!("  init: {{enabled: true, clusterConfiguration: {{networking: {{{fields}}}}}}}\n")
        };
        for (fields, says) in [
            ("podSubnet: 10.244.0.0/26", "smaller than one node's range"),
            ("serviceSubnet: 10.96.0.0/29", "fewer than 10 addresses"),
            ("serviceSubnet: 11.0.0.0/8", "at most a /12"),
        ] {
            let (place, message) = told(&networking(fields)).expect(fields);
            assert!(place.starts_with("p.yaml:3:"), "{place}");
            assert!(
                message.contains(says) && message.contains("clusterConfiguration.networking"),
                "{message}"
            );
        }
    }
}
