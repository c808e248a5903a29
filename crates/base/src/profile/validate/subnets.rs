//! Address ranges: each is valid, is where it should be, and overlaps no other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::format;
use super::{Found, reserved};
use crate::formats::cni::{Ipam, NetConf, Range};
use crate::formats::net::cidr;
use crate::profile::{Network, NetworkKind, Profile};

/// kubeadm's default for services.
const SERVICES: &str = "10.96.0.0/12";
/// The private ranges.
const PRIVATE: &str = "use a part of 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16";
/// What flannel's configuration, the checks and the sandbox support.
const ONE_FAMILY: &str = "must be one IPv4 subnet: kvnet supports neither IPv6 nor dual stack";

pub(super) fn check(profile: &Profile, found: &mut Found) {
    let mut known: Vec<Known> = Vec::new();
    if let Some(subnet) = subnet("cluster.podSubnet", &profile.cluster.pod_subnet, found) {
        refuse_link_local("cluster.podSubnet", &subnet, found);
        known.push(Known::of_cluster("the pod subnet", subnet));
    }
    fields_of_kubeadm(profile, found);
    if let Some(services) = services(profile, &known, found) {
        known.push(services);
    }
    for (index, network) in profile.networks.iter().enumerate() {
        let conf = network.netconf();
        // flannel takes its range from the node.
        let Some(ipam) = conf.ipam().filter(|_| conf.kind() != "flannel") else { continue };
        let (of_network, before) = (place(network, index), known.len());
        let attached = Attached::of(network, &conf, ipam);
        if ipam.kind == "host-local" && ipam.sets.is_empty() {
            let hint = "write `subnet: 10.20.0.0/24`, or `ranges`";
            found.add(format!("{of_network}.{}", ipam.path), "has neither `subnet` nor `ranges`", hint);
        }
        directory(ipam, &of_network, found);
        let uses_gateway = uses_gateway(network, &conf, ipam);
        for (path, subnet, range) in ranges(network, ipam, &of_network, uses_gateway, found) {
            let what = format!("network `{}`", network.name);
            let new = Known { what, subnet, range, attached: Some(attached.clone()) };
            overlaps(&new, &known[..before], &path, found);
            within(&new, &known[before..], &path, found);
            known.push(new);
        }
        routes(ipam, &of_network, found);
    }
}

/// The place of a network's configuration: names of fields are the same for every kind.
pub(super) fn place(network: &Network, index: usize) -> String {
    let raw = matches!(network.kind, NetworkKind::Raw { .. });
    format!("networks[{index}]{}", if raw { ".config" } else { "" })
}

fn directory(ipam: &Ipam, of_network: &str, found: &mut Found) {
    if let Some(directory) = &ipam.data_dir {
        found.format(format!("{of_network}.{}.dataDir", ipam.path), directory, &format::DIRECTORY);
    }
}

/// Whether anything is sent to the gateway: host-local takes one outside of the subnet, and the kernel takes no route by it.
fn uses_gateway(network: &Network, conf: &NetConf, ipam: &Ipam) -> bool {
    let is_on = |field: &str| conf.maker().is_some_and(|maker| maker.is_on(field));
    let is_raw = matches!(network.kind, NetworkKind::Raw { .. });
    let has_route = ipam.routes.iter().any(|route| route.gw.is_none());
    !is_raw || has_route || is_on("isGateway") || is_on("isDefaultGateway")
}

/// The subnets with the addresses that are assigned from them, each with its place.
fn ranges(
    network: &Network,
    ipam: &Ipam,
    of_network: &str,
    uses_gateway: bool,
    found: &mut Found,
) -> Vec<(String, IpNet, Option<Ends>)> {
    let mut good = Vec::new();
    for range in ipam.ranges() {
        let at = format!("{of_network}.{}", range.path);
        let path = format!("{at}.{}", range.field);
        if let Some(subnet) = subnet_of(range, &path, found) {
            let names = ends_of(network, range);
            let ends = addresses(range, subnet, (at.as_str(), names), uses_gateway, found)
                .then(|| range.ends())
                .flatten();
            good.push((path, subnet, ends));
        }
    }
    for (place, text) in &ipam.fixed {
        let path = format!("{of_network}.{place}");
        if is_more_than_ipv4(text) {
            found.add(path, ONE_FAMILY, "write one address, as in 10.20.0.5/24");
        } else if let Some(net) = cidr(text) {
            if let Some(why) = reserved::of_address(net.addr()) {
                found.add(path, why, PRIVATE);
                continue;
            }
            good.push((path, net.trunc(), Some((net.addr(), net.addr()))));
        } else {
            found.add(path, "is not an address with its prefix", "write it as 10.20.0.5/24");
        }
    }
    good
}

/// The names of the fields with the ends of a range: a raw configuration has whereabouts' own.
pub(super) fn ends_of(network: &Network, range: &Range) -> (&'static str, &'static str) {
    let is_raw = matches!(network.kind, NetworkKind::Raw { .. });
    if is_raw && range.is_of_cluster() { ("range_start", "range_end") } else { ("rangeStart", "rangeEnd") }
}

/// A range of whereabouts may start within its subnet.
fn subnet_of(range: &Range, path: &str, found: &mut Found) -> Option<IpNet> {
    match range.network().filter(|_| range.is_of_cluster() && !is_more_than_ipv4(&range.subnet)) {
        Some(network) => subnet(path, &network.to_string(), found),
        None => subnet(path, &range.subnet, found),
    }
}

/// The routes that come with an address.
fn routes(ipam: &Ipam, of_network: &str, found: &mut Found) {
    for route in &ipam.routes {
        let (to, by) =
            (format!("{of_network}.{}.dst", route.path), format!("{of_network}.{}.gw", route.path));
        match cidr(&route.dst) {
            _ if is_more_than_ipv4(&route.dst) => {
                found.add(to, ONE_FAMILY, "write a destination of IPv4, as in 10.30.0.0/16");
            }
            None => {
                let hint = "write it in CIDR notation, as in 10.30.0.0/16, or 0.0.0.0/0 for everything";
                found.add(to, "is not a destination", hint);
            }
            Some(destination) => {
                if let Some(why) = reserved::of_destination(&destination) {
                    found.add(to, why, "no route leads there: leave it out");
                }
            }
        }
        let Some(gateway) = &route.gw else { continue };
        match gateway.parse::<Ipv4Addr>() {
            Err(_) => found.add(by, "is not an IPv4 address", "write the address of a router"),
            Ok(gateway) => {
                if let Some(why) = reserved::of_address(gateway.into()) {
                    found.add(by, why, "write the address of a router");
                }
            }
        }
    }
}

/// The first and the last address that is given out.
type Ends = (IpAddr, IpAddr);

/// A subnet that others must not overlap.
struct Known {
    what: String,
    subnet: IpNet,
    /// The addresses to give out, when they are known.
    range: Option<Ends>,
    /// Its network.
    attached: Option<Attached>,
}

/// The wire of a network's addresses, and the store of their leases.
#[derive(Clone, PartialEq)]
struct Attached {
    /// The plugin, what it connects to, and the VLAN that carries it; none when unknown.
    segment: Option<(String, String, Option<u16>)>,
    /// The plugin and the directory of the leases.
    leases: (String, Option<String>, String),
    ranges: Vec<Vec<(String, Option<Ends>)>>,
    /// Whether it carries more than one VLAN.
    is_trunk: bool,
    is_verified: bool,
}

impl Attached {
    fn of(network: &Network, conf: &NetConf, ipam: &Ipam) -> Self {
        let maker = conf.maker();
        let segment = maker.and_then(|it| {
            let on = it.bridge.clone().or_else(|| it.master.clone().map(|(_, name)| name))?;
            // Two plugins on one NIC are on one wire.
            let kind = if it.master.is_some() { "card" } else { it.kind.as_str() };
            Some((kind.to_owned(), on, it.vlan))
        });
        let name = conf.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| network.name.clone());
        let range = |range: &Range| (range.subnet.clone(), range.ends());
        let ranges = ipam.sets.iter().map(|set| set.iter().map(range).collect()).collect();
        let is_trunk = maker.is_none_or(|it| !it.trunks.is_empty());
        let leases = (ipam.kind.clone(), ipam.data_dir.clone(), name);
        Self { segment, leases, ranges, is_trunk, is_verified: network.verify }
    }

    /// Whether both are on one bridge without frames passing between them.
    fn is_on_another_vlan_than(&self, other: &Self) -> bool {
        let both = self.segment.as_ref().zip(other.segment.as_ref());
        let is_apart = both.is_some_and(|((kind, on, vlan), (others, other, another))| {
            kind != "card" && kind == others && on == other && vlan != another
        });
        is_apart && !self.is_trunk && !other.is_trunk && self.leases != other.leases
    }

    /// Whether whereabouts gives out its addresses.
    fn is_of_cluster(&self) -> bool {
        self.leases.0 == "whereabouts"
    }

    /// Whether both take their addresses from one store: host-local keeps one for each name and directory, whereabouts
    /// one for each range of the cluster.
    fn shares_leases_with(&self, other: &Self) -> bool {
        let is_one_list = match self.leases.0.as_str() {
            "host-local" => self.leases == other.leases,
            // Each address is given out once in the cluster, whatever wire it is on.
            "whereabouts" => return other.is_of_cluster() && self.ranges == other.ranges,
            _ => false,
        };
        is_one_list && self.segment == other.segment && self.ranges == other.ranges
    }
}

impl Known {
    fn of_cluster(what: &str, subnet: IpNet) -> Self {
        Self { what: what.into(), subnet, range: None, attached: None }
    }

    fn is_on_the_wire_of(&self, other: &Self) -> bool {
        let segment = |it: &Self| it.attached.as_ref().and_then(|attached| attached.segment.clone());
        let (own, others) = (segment(self), segment(other));
        own.is_some() && own == others && self.subnet == other.subnet
    }
}

/// kubeadm takes a list for each, and its own fields replace the profile's.
fn fields_of_kubeadm(profile: &Profile, found: &mut Found) {
    let Some(networking) = profile.cluster.init.cluster_configuration.get("networking") else { return };
    for field in ["podSubnet", "serviceSubnet"] {
        let Some(text) = networking.get(field).and_then(|text| text.as_str()) else { continue };
        let path = format!("cluster.init.clusterConfiguration.networking.{field}");
        if let Some(subnet) = subnet(&path, text.trim(), found) {
            refuse_link_local(&path, &subnet, found);
        }
    }
}

/// A cluster's own addresses are routed.
fn refuse_link_local(path: &str, subnet: &IpNet, found: &mut Found) {
    if reserved::is_link_local(subnet) {
        found.add(path, format!("{subnet} is link-local, which is not routed"), PRIVATE);
    }
}

/// Whether a text lists subnets or is one of IPv6.
fn is_more_than_ipv4(text: &str) -> bool {
    text.contains(',')
        || text.split('/').next().is_some_and(|address| address.trim().parse::<Ipv6Addr>().is_ok())
}

/// The service subnet, checked against the pod subnet. A profile that leaves both to the cluster has kubeadm's default.
fn services(profile: &Profile, known: &[Known], found: &mut Found) -> Option<Known> {
    let written =
        profile.cluster.init.cluster_configuration.get("networking").and_then(|n| n.get("serviceSubnet"));
    let text = written.and_then(|subnet| subnet.as_str()).unwrap_or(SERVICES);
    let services = Known::of_cluster("the service subnet", cidr(text.trim())?);
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
    let Some(subnet) = cidr(text) else {
        found.add(path, "is not a subnet", "write it in CIDR notation, as in 10.20.0.0/24");
        return None;
    };
    if subnet.addr() != subnet.network() {
        let message = format!("{subnet} has host bits set");
        found.add(path, message, format!("write {}", subnet.trunc()));
        return None;
    }
    if let Some(why) = reserved::of_subnet(&subnet) {
        found.add(path, why, PRIVATE);
        return None;
    }
    if subnet.max_prefix_len() - subnet.prefix_len() < 2 {
        found.add(path, format!("{subnet} is too small for pods"), "use a shorter prefix, such as /24");
        return None;
    }
    Some(subnet)
}

/// Checks gateway and range; false when something of the range is wrong.
fn addresses(
    range: &Range,
    subnet: IpNet,
    (path, (start, end)): (&str, (&str, &str)),
    uses_gateway: bool,
    found: &mut Found,
) -> bool {
    let mut check = |field: &str, text: Option<&String>| match text {
        Some(text) => address(text, subnet, &format!("{path}.{field}"), found).map(Some),
        None => Some(None),
    };
    let is_elsewhere = |text: &str| text.parse().is_ok_and(|gateway: IpAddr| !subnet.contains(&gateway));
    check("gateway", range.gateway.as_ref().filter(|text| uses_gateway || !is_elsewhere(text)));
    let (first, last) = (check(start, range.first.as_ref()), check(end, range.last.as_ref()));
    let (Some(first), Some(last)) = (first, last) else { return false };
    if first.zip(last).is_some_and(|(first, last)| first > last) {
        found.add(format!("{path}.{end}"), format!("comes before `{start}`"), "swap the two");
        return false;
    }
    true
}

/// A host address of the subnet.
fn address(text: &str, subnet: IpNet, path: &str, found: &mut Found) -> Option<IpAddr> {
    let hint = "write one of the subnet's addresses";
    let Ok(address) = text.parse::<IpAddr>() else {
        found.add(path, "is not an IP address", hint);
        return None;
    };
    let is_broadcast = subnet.addr().is_ipv4() && address == subnet.broadcast();
    if !subnet.contains(&address) || address == subnet.network() || is_broadcast {
        found.add(path, format!("is not a host address of {subnet}"), hint);
        return None;
    }
    Some(address)
}

fn overlaps(new: &Known, known: &[Known], path: &str, found: &mut Found) {
    for other in known.iter().filter(|other| overlap(&other.subnet, &new.subnet)) {
        let both = new.attached.as_ref().zip(other.attached.as_ref());
        if both.is_some_and(|(own, others)| own.shares_leases_with(others)) {
            continue;
        }
        let is_on_another_vlan = both.is_some_and(|(own, others)| own.is_on_another_vlan_than(others));
        // The verification could not tell which of two equal addresses answers.
        let is_verified = both.is_none_or(|(own, others)| own.is_verified && others.is_verified);
        if is_on_another_vlan && (!is_verified || apart(new, other)) {
            continue;
        }
        let same_wire = new.is_on_the_wire_of(other);
        if same_wire && apart(new, other) {
            continue;
        }
        let message = format!("{} overlaps {} of {}", new.subnet, other.subnet, other.what);
        // Networks with two names have separate leases, and would give out the same addresses.
        let of_cluster = both.is_some_and(|(own, others)| [own, others].iter().all(|it| it.is_of_cluster()));
        let hint = if of_cluster {
            "give both networks the same range, whose addresses they then share, or each its own"
        } else if same_wire {
            "give both networks a `rangeStart` and `rangeEnd` that do not overlap"
        } else if is_on_another_vlan {
            "give each network its own subnet, or ranges that do not overlap; or leave one out with `verify: false`"
        } else {
            "give each network its own subnet"
        };
        found.add(path, message, hint);
    }
}

/// The ranges of one network: in one subnet they must not have an address in common.
fn within(new: &Known, known: &[Known], path: &str, found: &mut Found) {
    for other in known.iter().filter(|other| overlap(&other.subnet, &new.subnet) && !apart(new, other)) {
        let message = format!("{} overlaps another range of the same network, {}", new.subnet, other.subnet);
        found.add(path, message, "separate the ranges, or leave one out");
    }
}

fn apart(a: &Known, b: &Known) -> bool {
    a.range.zip(b.range).is_some_and(|(a, b)| a.1 < b.0 || b.1 < a.0)
}

fn overlap(a: &IpNet, b: &IpNet) -> bool {
    a.contains(b) || b.contains(a)
}
