//! Which NIC a cause is about. A pod gets all its NICs or none: a failing one blocks the others, which are not broken.

use super::evidence::Evidence;
use super::target::Attachment;
use crate::formats::cni::all_types;
use crate::profile::MARKER_DOMAIN;

/// The plugins of the pod network.
const POD_NETWORK: [&str; 5] = ["flannel", "bridge", "portmap", "host-local", "loopback"];

/// The network of the NIC that blocks the pod, when that is not this one. None when it is this one, when the cause concerns
/// the whole pod, or when it is unknown.
pub(super) fn another(seen: &Evidence, attachment: &Attachment) -> Option<String> {
    let reason = seen.reason.as_deref()?;
    let blamed: Vec<&Attachment> = seen.attachments.iter().filter(|it| is_named(it, reason)).collect();
    let first = blamed.first()?;
    let is_this = blamed.iter().any(|it| it.network == attachment.network);
    (!is_this).then(|| first.network.clone().unwrap_or_else(|| "the pod network".into()))
}

fn is_named(attachment: &Attachment, reason: &str) -> bool {
    match &attachment.network {
        Some(network) => is_network(attachment, network, reason),
        // Multus' name for the pod network varies.
        None => is_of_pod_network(reason),
    }
}

fn is_network(attachment: &Attachment, network: &str, reason: &str) -> bool {
    let (namespace, name) = network.split_once('/').unwrap_or(("", network));
    let configured = attachment.config.as_ref().and_then(|config| config["name"].as_str());
    if let Some(told) = between(reason, "(network ", &[',', ')']) {
        return told == name || told == network || Some(told) == configured;
    }
    let missing = format!("network-attachment-definition ({name}) in namespace ({namespace})");
    if reason.contains("network-attachment-definition (") {
        return reason.contains(&missing);
    }
    if let Some(told) = between(reason, "its NIC on ", &[' ', ';']) {
        return told == network;
    }
    if let Some(bridge) = between(reason, MARKER_DOMAIN, &[' ', ',', '.', ';', ':', ')']) {
        return attachment.bridge.as_deref() == Some(bridge);
    }
    let Some(plugin) = between(reason, "plugin ", &[',', ')']) else { return false };
    !POD_NETWORK.contains(&plugin)
        && attachment
            .config
            .as_ref()
            .is_some_and(|config| all_types(config).iter().any(|kind| kind == plugin))
}

/// The name of flannel's network differs between releases; its plugins' names do not.
fn is_of_pod_network(reason: &str) -> bool {
    let of_network = between(reason, "(network ", &[',', ')']);
    let known = ["cbr0", "flannel.1", "flannel", "default"];
    match of_network {
        Some(network) => known.contains(&network),
        None => reason.contains("subnet.env") || between(reason, "(plugin ", &[',', ')']) == Some("flannel"),
    }
}

/// The text after `begin`, up to one of `ends`.
fn between<'a>(text: &'a str, begin: &str, ends: &[char]) -> Option<&'a str> {
    let rest = text.get(text.find(begin)? + begin.len()..)?;
    Some(rest.split(ends).next().unwrap_or(rest)).filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(reason: &str) -> Evidence {
        let of = |network: &str, bridge: &str, config: serde_json::Value| Attachment {
            network: Some(network.into()),
            bridge: Some(bridge.into()),
            config: Some(config),
            ..Attachment::default()
        };
        Evidence {
            attachments: vec![
                Attachment::default(),
                of("n/blue", "blue", json!({"type": "ovs", "bridge": "blue"})),
                of("n/red", "red", json!({"type": "macvlan", "name": "its-own", "ipam": {"type": "dhcp"}})),
            ],
            reason: Some(reason.into()),
            ..Evidence::default()
        }
    }

    /// For each of the three NICs, the network that blocks it.
    fn blamed(reason: &str) -> [Option<String>; 3] {
        let seen = seen(reason);
        [0, 1, 2].map(|index| another(&seen, &seen.attachments[index]))
    }

    #[test]
    fn a_cause_belongs_to_the_network_that_it_names() {
        let by = |network: &str| Some(network.to_owned());
        let (blue, red) = ([by("n/blue"), None, by("n/blue")], [by("n/red"), by("n/red"), None]);
        for reason in [
            "its network cannot be set up (network blue, plugin ovs): failed to find bridge blue",
            "its network cannot be set up (network n/blue): failed to find bridge blue",
            "its network cannot be set up (plugin ovs): failed to find bridge blue",
            "its network cannot be set up: cannot find a network-attachment-definition (blue) in namespace (n): not found",
            "it has no node: 0/1 nodes are available: 1 Insufficient ovs-cni.network.kubevirt.io/blue. No preemption",
            "its sandbox is being created; its NIC on n/blue is being made",
        ] {
            assert_eq!(blamed(reason), blue, "{reason}");
        }
        for reason in [
            "its network cannot be set up (network its-own, plugin macvlan): Link not found",
            "its network cannot be set up (plugin dhcp): error dialing DHCP daemon",
        ] {
            assert_eq!(blamed(reason), red, "{reason}");
        }
        let pod = [None, by("the pod network"), by("the pod network")];
        for reason in [
            "its network cannot be set up (network cbr0, plugin flannel): open /run/flannel/subnet.env: no such file",
            "its network cannot be set up (plugin flannel): open /run/flannel/subnet.env: no such file",
        ] {
            assert_eq!(blamed(reason), pod, "{reason}");
        }
    }

    #[test]
    fn a_cause_of_the_whole_pod_blames_no_nic() {
        for reason in
            ["its image cannot be pulled: not found", "0/1 nodes are available: 1 Too many pods", ""]
        {
            assert_eq!(blamed(reason), [None, None, None], "{reason}");
        }
        assert_eq!(another(&Evidence::default(), &Attachment::default()), None);
    }
}
