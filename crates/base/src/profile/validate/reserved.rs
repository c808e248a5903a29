//! IPv4 addresses that no pod NIC can have, and interfaces of other components.

use std::net::IpAddr;

use ipnet::IpNet;

/// Ranges with what they are for.
const RESERVED: [([u8; 4], u8, &str); 4] = [
    ([0, 0, 0, 0], 8, "not usable by NICs"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved"),
];
/// Link-local, not routed.
const LINK_LOCAL: ([u8; 4], u8) = ([169, 254, 0, 0], 16);

/// Interface names of the kernel, of Open vSwitch, of pod networks and of other runtimes.
const TAKEN: &[&str] = &[
    "lo",
    "all",
    "default",
    "cni0",
    "flannel.1",
    "ovs-system",
    "ovs-netdev",
    "docker0",
    "docker_gwbridge",
    "podman0",
    "cni-podman0",
    "kube-ipvs0",
    "nodelocaldns",
    "tunl0",
    "vxlan.calico",
    "weave",
    "antrea-gw0",
];
const TAKEN_BEGINS: &[&str] = &["veth", "cali", "cilium_", "flannel.", "vxlan_sys_", "genev_sys_", "gre_sys"];

/// Why no pod can have an address of a subnet: a part of it is reserved.
pub(super) fn of_subnet(subnet: &IpNet) -> Option<String> {
    let other = reserved().find(|(other, _)| other.contains(subnet) || subnet.contains(other));
    other.map(|(range, what)| format!("{subnet} has addresses of {range}, which are {what}"))
}

/// Why no route leads to a network: all of it is reserved. Half of all addresses are a destination.
pub(super) fn of_destination(destination: &IpNet) -> Option<String> {
    let is_everything = destination.prefix_len() == 0;
    let other = reserved().find(|(other, _)| other.contains(destination) && !is_everything);
    other.map(|(range, what)| format!("{destination} lies in {range}: {what}"))
}

/// Why no NIC can have an address.
pub(super) fn of_address(address: IpAddr) -> Option<String> {
    let other = reserved().find(|(other, _)| other.contains(&address));
    other.map(|(range, what)| format!("{address} lies in {range}: {what}"))
}

/// Whether a subnet has addresses that are not routed.
pub(in crate::profile) fn is_link_local(subnet: &IpNet) -> bool {
    let (address, prefix) = LINK_LOCAL;
    net(address, prefix).is_some_and(|it| it.contains(subnet) || subnet.contains(&it))
}

/// Whether an interface of that name is another component's.
pub(super) fn is_taken(name: &str) -> bool {
    TAKEN.contains(&name) || TAKEN_BEGINS.iter().any(|begin| name.starts_with(begin))
}

fn reserved() -> impl Iterator<Item = (IpNet, &'static str)> {
    RESERVED.iter().filter_map(|(address, prefix, what)| Some((net(*address, *prefix)?, *what)))
}

fn net(address: [u8; 4], prefix: u8) -> Option<IpNet> {
    IpNet::new(IpAddr::from(address), prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_must_have_no_such_address_and_a_destination_not_only_such() {
        for text in [
            "127.0.0.0/24",
            "0.0.0.0/0",
            "0.1.0.0/16",
            "224.0.0.0/4",
            "239.1.0.0/16",
            "255.255.255.0/24",
            "126.0.0.0/7",
        ] {
            assert!(of_subnet(&text.parse().unwrap()).is_some(), "{text}");
        }
        for text in [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.7.0/24",
            "100.64.0.0/10",
            "198.18.0.0/15",
            "169.254.0.0/16",
            "1.0.0.0/8",
        ] {
            assert_eq!(of_subnet(&text.parse().unwrap()), None, "{text}");
        }
        for text in ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.30.0.0/16", "169.254.169.254/32"] {
            assert_eq!(of_destination(&text.parse().unwrap()), None, "{text}");
        }
        for text in ["127.0.0.1/32", "224.0.0.0/4", "250.0.0.0/8", "0.0.0.0/8"] {
            assert!(of_destination(&text.parse().unwrap()).is_some(), "{text}");
        }
    }
}
