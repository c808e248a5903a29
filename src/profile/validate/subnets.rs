//! Address ranges: each is one, lies where it should, and overlaps no other.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::Found;
use super::format;
use crate::profile::{Ipam, Network, NetworkKind, Profile};

/// kubeadm's default for services.
const SERVICES: &str = "10.96.0.0/12";
/// What flannel's configuration, the checks and the sandbox are written for.
const ONE_FAMILY: &str = "must be one IPv4 subnet: kvnet supports neither IPv6 nor dual stack";

pub(super) fn check(profile: &Profile, found: &mut Found) {
    let mut known: Vec<Known> = Vec::new();
    if let Some(subnet) = subnet("cluster.podSubnet", &profile.cluster.pod_subnet, found) {
        let what = "the pod subnet".into();
        known.push(Known { what, subnet, segment: None, range: None, network: None });
    }
    families_of_kubeadm(profile, found);
    if let Some(services) = services(profile, &known, found) {
        known.push(services);
    }
    for (index, network) in profile.networks.iter().enumerate() {
        let (segment, ipam) = match &network.kind {
            NetworkKind::Ovs { bridge, vlan, ipam: Some(ipam), .. } => {
                (("ovs", bridge.as_str(), *vlan), ipam)
            }
            NetworkKind::Bridge { bridge, ipam: Some(ipam), .. } => (("bridge", bridge.as_str(), None), ipam),
            _ => continue,
        };
        let path = format!("networks[{index}].ipam");
        let Some(subnet) = subnet(&format!("{path}.subnet"), &ipam.subnet, found) else {
            continue;
        };
        let range = addresses(ipam, subnet, &path, found);
        let what = format!("network `{}`", network.name);
        let new = Known { what, subnet, segment: Some(segment), range, network: Some(network) };
        overlaps(&new, &known, &format!("{path}.subnet"), found);
        known.push(new);
    }
}

/// A subnet that others must not overlap.
struct Known<'a> {
    what: String,
    subnet: IpNet,
    /// The plugin, bridge and VLAN that carry it.
    segment: Option<(&'static str, &'a str, Option<u16>)>,
    /// The addresses to give out, when both ends are written.
    range: Option<(IpAddr, IpAddr)>,
    /// The network that it is of.
    network: Option<&'a Network>,
}

impl Known<'_> {
    /// Whether both are one attachment in two namespaces. The plugin host-local keeps its leases by the name of the network, so
    /// the two share them, and no address is given out twice.
    fn is_copy_of(&self, other: &Self) -> bool {
        let same = |(a, b): (&Network, &Network)| a.name == b.name && a.kind == b.kind;
        self.network.zip(other.network).is_some_and(same)
    }
}

/// kubeadm takes a list for each, and its own fields replace the profile's.
fn families_of_kubeadm(profile: &Profile, found: &mut Found) {
    let Some(networking) = profile.cluster.init.cluster_configuration.get("networking") else { return };
    for field in ["podSubnet", "serviceSubnet"] {
        if networking.get(field).and_then(|text| text.as_str()).is_some_and(is_more_than_ipv4) {
            let path = format!("cluster.init.clusterConfiguration.networking.{field}");
            found.add(path, ONE_FAMILY, "write one subnet, as in 10.20.0.0/16");
        }
    }
}

/// Whether a text lists subnets or is one of IPv6.
fn is_more_than_ipv4(text: &str) -> bool {
    text.contains(',')
        || text.split('/').next().is_some_and(|address| address.trim().parse::<Ipv6Addr>().is_ok())
}

/// The service subnet, checked against the pod subnet. A profile that leaves both to the cluster has kubeadm's default.
fn services<'a>(profile: &'a Profile, known: &[Known], found: &mut Found) -> Option<Known<'a>> {
    let written =
        profile.cluster.init.cluster_configuration.get("networking").and_then(|n| n.get("serviceSubnet"));
    let text = written.and_then(|subnet| subnet.as_str()).unwrap_or(SERVICES);
    let services = Known {
        what: "the service subnet".into(),
        subnet: text.trim().parse().ok()?,
        segment: None,
        range: None,
        network: None,
    };
    for other in known.iter().filter(|other| overlap(&other.subnet, &services.subnet)) {
        let message = format!("{} overlaps the service subnet {}", other.subnet, services.subnet);
        found.add("cluster.podSubnet", message, "choose another range, for example 10.244.0.0/16");
    }
    Some(services)
}

fn subnet(path: &str, text: &str, found: &mut Found) -> Option<IpNet> {
    if is_more_than_ipv4(text) {
        found.add(path, ONE_FAMILY, "write one subnet, as in 10.20.0.0/24");
        return None;
    }
    let Ok(subnet) = text.parse::<IpNet>() else {
        found.add(path, "is not a subnet", "write it in CIDR notation, as in 10.20.0.0/24");
        return None;
    };
    if subnet.addr() != subnet.network() {
        let message = format!("{subnet} has bits behind its prefix");
        found.add(path, message, format!("write {}", subnet.trunc()));
        return None;
    }
    if subnet.max_prefix_len() - subnet.prefix_len() < 2 {
        found.add(path, format!("{subnet} has no room for pods"), "take a shorter prefix, such as /24");
        return None;
    }
    Some(subnet)
}

/// Checks gateway and range, and returns the range when both ends are written.
fn addresses(ipam: &Ipam, subnet: IpNet, path: &str, found: &mut Found) -> Option<(IpAddr, IpAddr)> {
    let mut check = |field: &str, text: Option<&String>| {
        text.and_then(|text| address(text, subnet, &format!("{path}.{field}"), found))
    };
    check("gateway", ipam.gateway.as_ref());
    let start = check("rangeStart", ipam.range_start.as_ref());
    let end = check("rangeEnd", ipam.range_end.as_ref());
    if let Some(directory) = &ipam.data_dir {
        found.format(format!("{path}.dataDir"), directory, &format::DIRECTORY);
    }
    let range = start.zip(end);
    if range.is_some_and(|(start, end)| start > end) {
        found.add(format!("{path}.rangeEnd"), "comes before `rangeStart`", "swap the two");
        return None;
    }
    range
}

/// An address that a host of the subnet can have.
fn address(text: &str, subnet: IpNet, path: &str, found: &mut Found) -> Option<IpAddr> {
    let hint = "write one of the subnet's addresses";
    let Ok(address) = text.parse::<IpAddr>() else {
        found.add(path, "is not an IP address", hint);
        return None;
    };
    let is_broadcast = subnet.addr().is_ipv4() && address == subnet.broadcast();
    if !subnet.contains(&address) || address == subnet.network() || is_broadcast {
        found.add(path, format!("is not an address for hosts of {subnet}"), hint);
        return None;
    }
    Some(address)
}

fn overlaps(new: &Known, known: &[Known], path: &str, found: &mut Found) {
    for other in known.iter().filter(|other| overlap(&other.subnet, &new.subnet)) {
        if new.is_copy_of(other) {
            continue;
        }
        let same_wire = new.segment == other.segment && new.segment.is_some() && new.subnet == other.subnet;
        if same_wire && apart(new, other) {
            continue;
        }
        let message = format!("{} overlaps {} of {}", new.subnet, other.subnet, other.what);
        // Networks with two names have two lists of leases, and would give out the same addresses.
        let hint = if same_wire {
            "give both networks a `rangeStart` and `rangeEnd`, and let the ranges not overlap"
        } else {
            "give each network its own subnet"
        };
        found.add(path, message, hint);
    }
}

fn apart(a: &Known, b: &Known) -> bool {
    a.range.zip(b.range).is_some_and(|(a, b)| a.1 < b.0 || b.1 < a.0)
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
