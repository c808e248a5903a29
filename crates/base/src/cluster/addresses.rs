//! The addresses of pods and guests, checked for duplicates and for the right subnet.

mod guests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::Cluster;
use crate::error::Result;
use crate::facts::attachments::{DEFAULT_NETWORK, Reported, reported};
pub use guests::GuestAddresses;

/// How often a cluster is read before an address counts as a duplicate: a restarted pod shows its old one until the
/// kubelet has reported the new one.
const LOOKS: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);
/// The label of a VM's pods with the VM. During a migration it has two, with one address where that moves along.
const MACHINE: &str = "kubevirt.io/created-by";

/// One address of one NIC of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The pod, or the VM whose guest has it, as `namespace/name`.
    pub pod: String,
    /// The node that it is on; empty before it is scheduled.
    pub node: String,
    /// The NIC in the pod.
    pub interface: String,
    /// The network as Multus reports it; none for the pod network.
    pub network: Option<String>,
    /// Its owner: the pod, or the VM whose pod it is.
    owner: String,
    /// Whether it is a guest's own.
    of_guest: bool,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = if self.of_guest { "VM" } else { "pod" };
        write!(f, "{} of {whose} {}", self.interface, self.pod)?;
        self.network.as_ref().map_or(Ok(()), |network| write!(f, " ({network})"))
    }
}

/// An address that more than one pod has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// The IP or MAC address.
    pub what: String,
    /// Its owners; at least two, of different pods or NICs.
    pub holders: Vec<Address>,
}

impl std::fmt::Display for Duplicate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let holders: Vec<String> = self.holders.iter().map(ToString::to_string).collect();
        write!(f, "{}: {}", self.what, holders.join(" and "))
    }
}

/// The result for all pods: what verification, smoke tests and diagnosis say about them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many addresses there are.
    pub count: usize,
    /// Those that two pods have on one wire.
    pub twice: Vec<Duplicate>,
}

impl Compared {
    /// Compares the addresses of pods and guests; the network attachments decide which networks are one wire.
    pub fn of(pods: &[Value], networks: &[Value], guests: &[GuestAddresses]) -> Self {
        let mut all = addresses(pods);
        all.extend(guests::beside(guests, pods, &all));
        Self { count: all.len(), twice: duplicates_on(all, pods, networks) }
    }

    /// Compares the addresses of all pods of a cluster and of guests, and returns the pods too. What is no longer a
    /// duplicate some seconds later was none.
    pub async fn in_cluster(cluster: &Cluster, guests: &[GuestAddresses]) -> Result<(Self, Vec<Value>)> {
        let mut looks = 1;
        loop {
            let pods = cluster.list("v1", "Pod", None, None).await?;
            let kind = "NetworkAttachmentDefinition";
            let networks = cluster.list("k8s.cni.cncf.io/v1", kind, None, None).await?;
            let compared = Self::of(&pods, &networks, guests);
            if compared.twice.is_empty() || looks == LOOKS {
                return Ok((compared, pods));
            }
            tokio::time::sleep(PAUSE).await;
            looks += 1;
        }
    }

    /// The result as text.
    pub fn told(&self) -> String {
        if self.twice.is_empty() {
            let what = if self.count == 1 { "address" } else { "addresses" };
            return format!("{} {what} compared", self.count);
        }
        self.twice.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }
}

/// The addresses of live pods. Pods on the host network have none of their own, finished pods have released theirs, and
/// so have terminating ones once none of their containers runs.
pub fn addresses(pods: &[Value]) -> Vec<Address> {
    pods.iter().filter(|pod| holds_addresses(pod)).flat_map(of_pod).collect()
}

/// Addresses that two have on one wire; the network attachments decide which networks are one: the same bridge, VLAN or
/// NIC, else those of one name. Nothing else may have an address of the pod network.
fn duplicates_on(all: Vec<Address>, pods: &[Value], networks: &[Value]) -> Vec<Duplicate> {
    let mut by_ip: BTreeMap<IpAddr, Vec<(Option<String>, Address)>> = BTreeMap::new();
    for address in all {
        let wire = address.network.as_ref().and_then(|network| wire_of(network, &address.node, networks));
        by_ip.entry(address.ip).or_default().push((wire, address));
    }
    let mut found = Vec::new();
    for (ip, mut holders) in by_ip {
        // Without a wire it is on the pod network, which the nodes route: there it collides with all others.
        let has_pod_network = holders.iter().any(|(wire, _)| wire.is_none());
        if has_pod_network {
            for (wire, _) in &mut holders {
                *wire = None;
            }
        }
        let mut wires: BTreeMap<Option<String>, Vec<Address>> = BTreeMap::new();
        for (wire, address) in holders {
            wires.entry(wire).or_default().push(address);
        }
        let several = wires.into_values().filter(|holders| are_several(holders));
        found.extend(several.map(|holders| Duplicate { what: ip.to_string(), holders }));
    }
    found.extend(same_macs(pods, networks));
    found
}

/// MAC addresses that NICs of several pods have on one secondary wire.
fn same_macs(pods: &[Value], networks: &[Value]) -> Vec<Duplicate> {
    let mut by_mac: BTreeMap<(String, String), Vec<Address>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| holds_addresses(pod)) {
        for nic in reported(pod).into_iter().filter(|nic| !nic.default && !nic.network.is_empty()) {
            let config = config_of(&nic.network, networks);
            // All NICs of ipvlan have their parent's.
            let is_shared =
                config.as_ref().is_some_and(|config| plugins(config).any(|it| it["type"] == "ipvlan"));
            let own =
                address(pod, IpAddr::V4(Ipv4Addr::UNSPECIFIED), &nic.interface, Some(nic.network.clone()));
            let wire = wire_of(&nic.network, &own.node, networks);
            if let (Some(mac), Some(wire)) = (nic.mac.filter(|_| !is_shared), wire) {
                by_mac.entry((wire, mac)).or_default().push(own);
            }
        }
    }
    let several = by_mac.into_iter().filter(|(_, holders)| are_several(holders));
    several.map(|((_, what), holders)| Duplicate { what, holders }).collect()
}

fn are_several(holders: &[Address]) -> bool {
    let each: BTreeSet<(&str, &str)> =
        holders.iter().map(|address| (address.owner.as_str(), address.interface.as_str())).collect();
    each.len() > 1
}

/// The pods' first addresses outside of all `subnets`. An address family without a subnet is not judged, and neither
/// are pods that request another default network.
pub fn outside(pods: &[Value], subnets: &[IpNet]) -> Vec<Address> {
    let own = |pod: &&Value| pod["metadata"]["annotations"][DEFAULT_NETWORK].is_null();
    let pods = pods.iter().filter(|pod| holds_addresses(pod)).filter(own);
    let first = pods.flat_map(|pod| first_addresses(pod, &reported(pod)));
    first.filter(|address| is_outside(address.ip, subnets)).collect()
}

fn is_outside(ip: IpAddr, subnets: &[IpNet]) -> bool {
    let mut family = subnets.iter().filter(|subnet| subnet.addr().is_ipv4() == ip.is_ipv4()).peekable();
    family.peek().is_some() && !family.any(|subnet| subnet.contains(&ip))
}

/// Whether a pod has addresses of its own that must be unique.
fn holds_addresses(pod: &Value) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let ending = !pod["metadata"]["deletionTimestamp"].is_null();
    pod["spec"]["hostNetwork"] != true && !ended && (!ending || runs(pod))
}

fn runs(pod: &Value) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array();
    statuses.into_iter().flatten().any(|status| status["state"]["running"].is_object())
}

fn of_pod(pod: &Value) -> Vec<Address> {
    let nics = reported(pod);
    let mut found = first_addresses(pod, &nics);
    for nic in nics.iter().filter(|nic| !nic.default) {
        let network = (!nic.network.is_empty()).then(|| nic.network.clone());
        let network = network.unwrap_or_else(|| format!("the network of {}", nic.interface));
        found.extend(nic.ips.iter().map(|ip| address(pod, *ip, &nic.interface, Some(network.clone()))));
    }
    found.retain(|address| is_own(address.ip));
    found
}

/// The addresses of the first NIC: from the kubelet, which is fresher than Multus.
fn first_addresses(pod: &Value, nics: &[Reported]) -> Vec<Address> {
    let first = nics.iter().find(|nic| nic.default);
    let listed = pod["status"]["podIPs"].as_array().into_iter().flatten().map(|it| &it["ip"]);
    let mut ips: Vec<IpAddr> =
        listed.chain([&pod["status"]["podIP"]]).filter_map(|ip| ip.as_str()?.parse().ok()).collect();
    if ips.is_empty() {
        ips = first.map(|nic| nic.ips.clone()).unwrap_or_default();
    }
    ips.sort_unstable();
    ips.dedup();
    let interface = first.map(|nic| nic.interface.as_str()).filter(|name| !name.is_empty());
    ips.into_iter().map(|ip| address(pod, ip, interface.unwrap_or("eth0"), None)).collect()
}

fn address(pod: &Value, ip: IpAddr, interface: &str, network: Option<String>) -> Address {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &pod["metadata"];
    let name = format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
    let node = text(&pod["spec"]["nodeName"]);
    let owner = metadata["labels"][MACHINE].as_str().map_or_else(|| name.clone(), str::to_owned);
    Address { ip, pod: name, node, interface: interface.to_owned(), network, owner, of_guest: false }
}

/// Whether an address must be unique; link-local ones need not.
fn is_own(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local() && !ip.is_unspecified(),
    }
}

/// The CNI configuration of a network as Multus reports its name; none when it is not known.
fn config_of(network: &str, networks: &[Value]) -> Option<Value> {
    let is_it = |definition: &&Value| {
        let metadata = &definition["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&metadata["name"]);
        network == format!("{}/{name}", text(&metadata["namespace"])) || network == name
    };
    serde_json::from_str(networks.iter().find(is_it)?["spec"]["config"].as_str()?).ok()
}

/// The wire of a network: none for flannel networks, which are the pod network.
fn wire_of(network: &str, node: &str, networks: &[Value]) -> Option<String> {
    config_of(network, networks)
        .as_ref()
        .map_or_else(|| Some(network.to_owned()), |config| wire(config, network, node))
}

/// The plugins of a configuration: itself, and those of its chain.
fn plugins(config: &Value) -> impl Iterator<Item = &Value> {
    std::iter::once(config).chain(config["plugins"].as_array().into_iter().flatten())
}

/// The wire of a CNI configuration; its own name when it is not connected to anything known.
fn wire(config: &Value, network: &str, node: &str) -> Option<String> {
    let text = |plugin: &Value, field: &str| plugin[field].as_str().unwrap_or_default().to_owned();
    for plugin in plugins(config) {
        let tag = plugin["vlan"].as_u64().filter(|tag| *tag != 0).unwrap_or_default();
        match plugin["type"].as_str().unwrap_or_default() {
            "flannel" => return None,
            "ovs" => return Some(format!("ovs {} {tag}", text(plugin, "bridge"))),
            "bridge" => {
                let bridge = Some(text(plugin, "bridge")).filter(|it| !it.is_empty());
                let bridge = bridge.unwrap_or_else(|| "cni0".into());
                // Every node is the gateway of such a bridge, so each node has its own.
                let own = ["isGateway", "isDefaultGateway", "ipMasq"].iter().any(|is| plugin[*is] == true);
                let place = if own { node } else { "" };
                // The pod network's own bridge.
                return (bridge != "cni0").then(|| format!("bridge {bridge} {tag} {place}"));
            }
            "macvlan" | "ipvlan" => return Some(format!("card {}", text(plugin, "master"))),
            "vlan" => {
                let id = plugin["vlanId"].as_u64().unwrap_or_default();
                return Some(format!("card {} {id}", text(plugin, "master")));
            }
            _ => {}
        }
    }
    Some(network.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::attachments::OLD_STATUS;
    use crate::formats::cni::NETWORK_STATUS;

    fn pod(name: &str, ip: &str) -> Value {
        json!({"metadata": {"namespace": "n", "name": name, "annotations": {}},
            "spec": {"nodeName": "n0"}, "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
    }

    fn with_nic(name: &str, ip: &str, network: &str, second: &str) -> Value {
        let mut pod = pod(name, ip);
        let status = json!([{"name": "cbr0", "interface": "eth0", "ips": [ip], "default": true},
            {"name": network, "interface": "net1", "ips": [second]}]);
        pod["metadata"]["annotations"][NETWORK_STATUS] = status.to_string().into();
        pod
    }

    fn with_mac(mut pod: Value, mac: &str) -> Value {
        let status = pod["metadata"]["annotations"][NETWORK_STATUS].as_str().unwrap();
        let mut status: Value = serde_json::from_str(status).unwrap();
        status[1]["mac"] = mac.into();
        pod["metadata"]["annotations"][NETWORK_STATUS] = status.to_string().into();
        pod
    }

    fn told(pods: &[Value], networks: &[Value]) -> Vec<String> {
        Compared::of(pods, networks, &[]).twice.iter().map(ToString::to_string).collect()
    }

    fn network(name: &str, config: &Value) -> Value {
        json!({"metadata": {"namespace": "n", "name": name}, "spec": {"config": config.to_string()}})
    }

    #[test]
    fn two_pods_with_one_address_are_found_on_any_network() {
        assert_eq!(
            told(&[pod("a", "10.244.0.2"), pod("b", "10.244.0.2")], &[]),
            ["10.244.0.2: eth0 of pod n/a and eth0 of pod n/b"]
        );
        // A further NIC has the address that another pod has as its first.
        assert_eq!(
            told(
                &[pod("dns", "10.244.0.2"), with_nic("b", "10.244.0.9", "n/flannel-network", "10.244.0.2")],
                &[]
            ),
            ["10.244.0.2: eth0 of pod n/dns and net1 of pod n/b (n/flannel-network)"]
        );
        let blue = |name: &str, ip: &str| with_nic(name, ip, "n/blue", "10.20.0.2");
        assert_eq!(told(&[blue("a", "10.244.0.2"), blue("b", "10.244.0.3")], &[]).len(), 1);
        let mut old = [blue("a", "10.244.0.2"), blue("b", "10.244.0.3")];
        for pod in &mut old {
            let status = pod["metadata"]["annotations"][NETWORK_STATUS].take();
            pod["metadata"]["annotations"] = json!({OLD_STATUS: status});
        }
        assert_eq!(told(&old, &[]).len(), 1);
    }

    #[test]
    fn the_same_address_on_another_wire_is_none() {
        let pods = [
            with_nic("a", "10.244.0.2", "n/a", "10.20.0.2"),
            with_nic("b", "10.244.0.3", "n/b", "10.20.0.2"),
        ];
        assert_eq!(told(&pods, &[]), Vec::<String>::new());
        let ovs = |tag: u32| json!({"type": "ovs", "bridge": "blue", "vlan": tag});
        let chain = json!({"name": "x", "plugins": [{"type": "ovs", "bridge": "blue", "vlan": 100}, {"type": "tuning"}]});
        assert_eq!(told(&pods, &[network("a", &ovs(100)), network("b", &ovs(200))]).len(), 0);
        assert_eq!(told(&pods, &[network("a", &ovs(100)), network("b", &chain)]).len(), 1);
        let bridge = |name: &str| json!({"type": "bridge", "bridge": name});
        assert_eq!(told(&pods, &[network("a", &bridge("x")), network("b", &bridge("y"))]).len(), 0);
        let card = |kind: &str| json!({"type": kind, "master": "eth1"});
        assert_eq!(told(&pods, &[network("a", &card("macvlan")), network("b", &card("ipvlan"))]).len(), 1);
    }

    #[test]
    fn two_nics_with_one_mac_address_are_found_on_one_wire() {
        let nic = |name: &str, network: &str, mac: &str| {
            let [first, second] = ["10.244.0", "10.20.0"].map(|start| format!("{start}.{}", name.len()));
            with_mac(with_nic(name, &first, network, &second), mac)
        };
        let (one, other) = ("02:00:00:00:00:01", "02:00:00:00:00:0A");
        assert_eq!(
            told(&[nic("a", "n/blue", other), nic("bb", "n/blue", other)], &[]),
            ["02:00:00:00:00:0a: net1 of pod n/a (n/blue) and net1 of pod n/bb (n/blue)"]
        );
        assert_eq!(told(&[nic("a", "n/blue", one), nic("bb", "n/blue", other)], &[]).len(), 0);
        assert_eq!(told(&[nic("a", "n/blue", one), nic("bb", "n/red", one)], &[]).len(), 0);
        let ipvlan = [network("blue", &json!({"type": "ipvlan", "master": "eth1"}))];
        assert_eq!(told(&[nic("a", "n/blue", one), nic("bb", "n/blue", one)], &ipvlan).len(), 0);
    }

    #[test]
    fn only_live_pods_with_a_network_of_their_own_count() {
        let with = |make: &dyn Fn(&mut Value)| {
            let mut other = pod("b", "10.244.0.2");
            make(&mut other);
            told(&[pod("a", "10.244.0.2"), other], &[]).len()
        };
        assert_eq!(with(&|_| ()), 1);
        assert_eq!(with(&|pod| pod["spec"]["hostNetwork"] = true.into()), 0);
        assert_eq!(with(&|pod| pod["status"]["phase"] = "Succeeded".into()), 0);
        assert_eq!(with(&|pod| pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into()), 0);
        assert_eq!(
            with(&|pod| {
                pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
                pod["status"]["containerStatuses"] = json!([{"state": {"running": {"startedAt": "x"}}}]);
            }),
            1
        );
        assert_eq!(told(&[pod("a", "fe80::1"), pod("b", "fe80::1")], &[]).len(), 0);
    }

    #[test]
    fn pods_of_the_nodes_network_and_ended_ones_share_addresses_rightly() {
        let on_host = |name: &str| {
            let mut pod = pod(name, "10.89.0.10");
            pod["spec"]["hostNetwork"] = true.into();
            pod
        };
        assert_eq!(Compared::of(&[on_host("a"), on_host("b")], &[], &[]), Compared::default());
        for phase in ["Succeeded", "Failed"] {
            let mut ended = pod("job", "10.244.0.2");
            ended["status"]["phase"] = phase.into();
            let mut evicted = ended.clone();
            evicted["metadata"]["name"] = "evicted".into();
            let compared = Compared::of(&[pod("a", "10.244.0.2"), ended, evicted], &[], &[]);
            assert_eq!((compared.count, compared.told().as_str()), (1, "1 address compared"));
        }
    }

    #[test]
    fn each_address_of_a_dual_stack_pod_is_compared() {
        let dual = |name: &str, v4: &str, v6: &str| {
            let mut pod = pod(name, v4);
            pod["status"]["podIPs"] = json!([{"ip": v4}, {"ip": v6}]);
            pod
        };
        let pods = [dual("a", "10.244.0.2", "fd00::2"), dual("b", "10.244.0.3", "fd00:0::2")];
        assert_eq!(told(&pods, &[]), ["fd00::2: eth0 of pod n/a and eth0 of pod n/b"]);
        assert_eq!(Compared::of(&pods, &[], &[]).count, 4);
        let pods = [dual("a", "10.244.0.2", "fd00::2"), dual("b", "10.244.0.2", "fd00::2")];
        assert_eq!(told(&pods, &[]).len(), 2);
    }

    #[test]
    fn a_bridge_whose_gateway_is_each_node_is_each_nodes_own() {
        let on = |node: &str, name: &str| {
            let mut pod = with_nic(name, &format!("10.244.0.{}", name.len()), "n/lan", "192.168.5.2");
            pod["spec"]["nodeName"] = node.into();
            pod
        };
        let bridge = |gateway: bool| {
            [network("lan", &json!({"type": "bridge", "bridge": "br0", "isGateway": gateway}))]
        };
        let apart = [on("n0", "a"), on("n1", "bb")];
        assert_eq!(told(&apart, &bridge(true)), Vec::<String>::new());
        assert_eq!(told(&apart, &bridge(false)).len(), 1, "its cards may be on one wire");
        assert_eq!(
            told(&[on("n0", "a"), on("n0", "bb")], &bridge(true)),
            ["192.168.5.2: net1 of pod n/a (n/lan) and net1 of pod n/bb (n/lan)"]
        );
    }

    #[test]
    fn a_vm_that_migrates_has_two_pods_with_its_address() {
        let launcher = |name: &str, machine: &str| {
            let mut pod = pod(name, "10.244.0.2");
            pod["metadata"]["labels"] = json!({MACHINE: machine});
            pod
        };
        assert_eq!(told(&[launcher("a", "u1"), launcher("b", "u1")], &[]).len(), 0);
        assert_eq!(told(&[launcher("a", "u1"), launcher("b", "u2")], &[]).len(), 1);
    }

    #[test]
    fn addresses_outside_the_pod_subnet_are_found() {
        let subnet: IpNet = "10.244.0.0/16".parse().unwrap();
        let pods = [pod("a", "10.244.0.2"), pod("b", "10.88.0.5"), pod("c", "fd00::5")];
        let names = |subnets: &[IpNet]| {
            outside(&pods, subnets).into_iter().map(|address| address.pod).collect::<Vec<_>>()
        };
        assert_eq!(names(&[subnet]), ["n/b"]);
        assert_eq!(names(&[subnet, "fd01::/64".parse().unwrap()]), ["n/b", "n/c"]);
        assert_eq!(names(&[]), Vec::<String>::new());
        let mut own = pod("d", "10.88.0.6");
        own["metadata"]["annotations"][DEFAULT_NETWORK] = "kube-system/x".into();
        assert_eq!(outside(&[own], &[subnet]), []);
    }
}
