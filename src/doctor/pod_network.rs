//! flannel: the nodes' pod addresses, its state file, and its links.

use ipnet::IpNet;
use serde_json::Value;

use super::cluster::why;
use super::seen::{ClusterSnapshot, Snapshot, full_name, name};
use super::{CheckResult, Verdict};
use crate::cluster::rolled_out;
use crate::error::code;
use crate::formats::kubernetes::scarce_addresses;
use crate::terminal::counted;

const PUBLIC_IP: &str = "flannel.alpha.coreos.com/public-ip";
const BACKEND: &str = "flannel.alpha.coreos.com/backend-data";

/// flannel's `DaemonSet`; without flannel its checks do not apply.
fn installed(cluster: &ClusterSnapshot) -> std::result::Result<&Value, Verdict> {
    cluster.daemon("flannel").ok_or_else(|| Verdict::absent("flannel is not installed"))
}

pub fn addresses(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    installed(cluster)?;
    let network = cluster.flannel.iter().find_map(|map| {
        let config: Value = serde_json::from_str(map["data"]["net-conf.json"].as_str()?).ok()?;
        config["Network"].as_str()?.parse::<IpNet>().ok()
    });
    for node in &cluster.nodes {
        let name = name(node);
        let Some(range) = node["spec"]["podCIDR"].as_str().filter(|range| !range.is_empty()) else {
            return Ok(Verdict::broken(&code::POD_CIDR, format!("{name} has no podCIDR"))
                .hint("the cluster was created without `kubeadm init --pod-network-cidr`: set `--cluster-cidr` and `--allocate-node-cidrs` on its controller manager"));
        };
        if let (Some(network), Ok(own)) = (network, range.parse::<IpNet>())
            && !network.contains(&own)
        {
            let found = format!("{name} has podCIDR {range}, which is not in flannel's network {network}");
            return Ok(Verdict::broken(&code::POD_CIDR, found).hint(format!(
                "set the profile's `cluster.podSubnet` to that of the cluster, which contains {range}, and run `kvnet up --only flannel`"
            )));
        }
    }
    let scarce: Vec<String> = cluster.nodes.iter().filter_map(scarce_addresses).collect();
    if !scarce.is_empty() {
        return Ok(Verdict::warns("")
            .each("pods beyond that stay Pending", scarce)
            .hint("lower `maxPods` in the kubelet's configuration; a node's podCIDR cannot be changed"));
    }
    let network = network.map(|network| format!(" in {network}")).unwrap_or_default();
    Ok(Verdict::holds(format!("{} with addresses{network}", counted(cluster.nodes.len(), "node"))))
}

pub fn flannel(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    if cluster.daemon("flannel").is_none() && seen.lost("flannel") {
        return Ok(Verdict::broken(
            &code::POD_CIDR,
            "flannel DaemonSet not found: pods cannot be created or deleted",
        )
        .hint("`kvnet up --only flannel`"));
    }
    let daemon = installed(cluster)?;
    let (ready, now) = rolled_out(daemon);
    if !ready {
        let found = format!("{}: {now}; {}", full_name(daemon), why(cluster, daemon));
        return Ok(Verdict::broken(&code::POD_CIDR, found).hint(format!(
            "check its log: `kubectl --namespace kube-flannel logs daemonset/{}`",
            name(daemon)
        )));
    }
    let subnet = seen.node.subnet.as_deref();
    if subnet.is_none() && seen.stranger.is_none() {
        return Ok(Verdict::broken(&code::POD_CIDR, "/run/flannel/subnet.env not found: no pod can start")
            .hint("flannel writes it at startup: delete its pod on the node; do not write it by hand"));
    }
    if let Some(found) = foreign_bridge(seen, subnet.unwrap_or_default()) {
        return Ok(Verdict::broken(&code::POD_CIDR, found).hint(
            "cni0 is left over from an earlier cluster: when no pod uses it, `ip link delete cni0`; the next pod recreates it",
        ));
    }
    if let Some(found) = other_address(seen, cluster) {
        return Ok(Verdict::broken(&code::POD_CIDR, found).hint(
            "something changed the MAC address of flannel.1: set `MACAddressPolicy=none` for it in systemd, and delete flannel's pod on the node",
        ));
    }
    if let Some(found) = shared_address(cluster) {
        return Ok(Verdict::broken(&code::POD_CIDR, found)
            .hint("flannel chose an interface with the same address on each node: choose another with its `--iface` option"));
    }
    Ok(Verdict::holds(format!("{}: {now}", full_name(daemon))))
}

/// cni0 has an address outside this node's subnet.
fn foreign_bridge(seen: &Snapshot, subnet: &str) -> Option<String> {
    let own = subnet.lines().find_map(|line| line.strip_prefix("FLANNEL_SUBNET="))?.trim();
    let range: IpNet = own.parse().ok()?;
    let bridge = seen.node.links.as_ref()?.iter().find(|link| link.name == "cni0")?;
    let is_four = |address: &&String| !address.contains(':');
    let address = bridge.addresses.iter().find(is_four)?;
    let fits = address.parse().is_ok_and(|address: std::net::IpAddr| range.contains(&address));
    (!fits).then(|| format!("cni0 has {address}, but this node's subnet is {}", range.trunc()))
}

/// The published MAC address is not that of flannel.1.
fn other_address(seen: &Snapshot, cluster: &ClusterSnapshot) -> Option<String> {
    let node = seen.this_node(cluster)?;
    let backend: Value = serde_json::from_str(node["metadata"]["annotations"][BACKEND].as_str()?).ok()?;
    let told = backend["VtepMAC"].as_str()?;
    let has = &seen.node.links.as_ref()?.iter().find(|link| link.name == "flannel.1")?.mac;
    (!told.eq_ignore_ascii_case(has))
        .then(|| format!("flannel.1 has {has}, but {} publishes {told}", name(node)))
}

/// Two nodes with the same address in flannel.
fn shared_address(cluster: &ClusterSnapshot) -> Option<String> {
    let address = |node: &Value| node["metadata"]["annotations"][PUBLIC_IP].as_str().map(str::to_owned);
    cluster.nodes.iter().enumerate().find_map(|(index, node)| {
        let own = address(node)?;
        let other = cluster.nodes[..index].iter().find(|other| address(other).as_ref() == Some(&own))?;
        Some(format!("{} and {} both publish the address {own}", name(other), name(node)))
    })
}
