//! Network interfaces as listed in a pod, a guest or a network namespace.

use std::net::IpAddr;

/// A NIC as seen by its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Link {
    /// Its MAC address, in lower case.
    pub mac: String,
    /// Its MTU; 0 when unknown.
    pub mtu: u32,
    /// Whether it carries traffic.
    pub up: bool,
    /// Its addresses, without link-local ones (`fe80::`).
    pub ips: Vec<IpAddr>,
}

/// Parses every NIC, with its name, from the output of `ip addr show` of `busybox` or iproute2.
pub fn links(ip_addr: &str) -> Vec<(String, Link)> {
    let mut found: Vec<(String, Link)> = Vec::new();
    for line in ip_addr.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            found.extend(head(&words));
            continue;
        }
        let Some((_, link)) = found.last_mut() else { continue };
        match words.as_slice() {
            ["link/ether", mac, ..] => link.mac = mac.to_ascii_lowercase(),
            ["inet" | "inet6", address, ..] if !address.starts_with("fe80:") => {
                link.ips.extend(address.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok()));
            }
            _ => {}
        }
    }
    found
}

/// The addresses on a NIC, by its MAC address: includes those of a bridge or a bond over it, which share its MAC address, but
/// not those of a VLAN on it, which is another network.
pub fn ips_of(links: &[(String, Link)], mac: &str) -> Vec<IpAddr> {
    let on_wire = links.iter().filter(|(name, link)| link.mac == mac && !name.contains('.'));
    let mut ips: Vec<IpAddr> = on_wire.flat_map(|(_, link)| link.ips.iter().copied()).collect();
    ips.sort_unstable();
    ips.dedup();
    ips
}

/// `3: net1@if10: <BROADCAST,UP,LOWER_UP> mtu 1500 ...`; none for any other line, such as the kernel's own messages.
fn head(words: &[&str]) -> Option<(String, Link)> {
    let [number, name, flags, rest @ ..] = words else { return None };
    number.strip_suffix(':')?.parse::<u32>().ok()?;
    let name = name.strip_suffix(':')?.split('@').next()?;
    let flags: Vec<&str> = flags.strip_prefix('<')?.trim_end_matches('>').split(',').collect();
    let at = rest.iter().position(|word| *word == "mtu");
    let mtu = at.and_then(|at| rest.get(at + 1)?.parse().ok()).unwrap_or(0);
    let up = flags.contains(&"UP") && flags.contains(&"LOWER_UP");
    Some((name.to_owned(), Link { mtu, up, ..Link::default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSYBOX: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
2: eth0@if9: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1450 qdisc noqueue
    link/ether 5e:be:6e:a0:1d:67 brd ff:ff:ff:ff:ff:ff
    inet 10.244.0.5/24 brd 10.244.0.255 scope global eth0
[   12.345678] eth1: link becomes ready
3: net1@if10: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue
    link/ether 0A:58:0A:14:00:02 brd ff:ff:ff:ff:ff:ff
    inet 10.20.0.2/24 brd 10.20.0.255 scope global net1
    inet6 fe80::858:aff:fe14:2/64 scope link
4: eth2: <BROADCAST,MULTICAST> mtu 1500 qdisc noop qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff
";

    #[test]
    fn links_are_read_with_their_addresses_and_no_others() {
        let found = links(BUSYBOX);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["lo", "eth0", "net1", "eth2"]);
        let expected = Link {
            mac: "0a:58:0a:14:00:02".into(),
            mtu: 1500,
            up: true,
            ips: vec!["10.20.0.2".parse().unwrap()],
        };
        assert_eq!(found[2].1, expected);
        assert!(!found[3].1.up);
        assert!(links("garbage\n  inet 1.2.3.4/8\n").is_empty());
    }
}
