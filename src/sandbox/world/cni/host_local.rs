//! Addresses from a range of the node: one file for each address that is taken.

use std::net::{IpAddr, Ipv4Addr};

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use super::nics::Nic;
use super::plugins::Order;
use super::runtime::{self, Failure};
use crate::error::Result;
use crate::sandbox::world::objects::{items, text};
use crate::sandbox::world::scene::Scene;

const DEFAULT_DIRECTORY: &str = "/var/lib/cni/networks";
const LAST: &str = "last_reserved_ip.0";

/// The addresses that may be given out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Range {
    subnet: Ipv4Net,
    first: Ipv4Addr,
    last: Ipv4Addr,
    gateway: Ipv4Addr,
}

/// Gives a NIC its addresses, if its plugin has an `ipam`.
pub(super) fn assign(
    scene: &Scene,
    order: &Order<'_>,
    plugin: &Value,
    nic: &mut Nic,
) -> Result<Result<(), Failure>> {
    let ipam = &plugin["ipam"];
    let kind = text(ipam, "/type");
    if kind.is_empty() {
        return Ok(Ok(()));
    }
    if let Err(failure) = runtime::binary(scene, kind)? {
        return Ok(Err(failure));
    }
    match kind {
        "host-local" => reserve(scene, order, ipam, nic),
        "static" => {
            let addresses = items(ipam, "/addresses").iter();
            nic.addresses = addresses.filter_map(|item| item["address"].as_str()?.parse().ok()).collect();
            Ok(Ok(()))
        }
        other => Ok(Err(format!("the sandbox has no server for the address plugin \"{other}\""))),
    }
}

fn reserve(scene: &Scene, order: &Order<'_>, ipam: &Value, nic: &mut Nic) -> Result<Result<(), Failure>> {
    let Some(range) = range(ipam) else { return Ok(Err("no IP ranges specified".into())) };
    let directory = Utf8Path::new(ipam["dataDir"].as_str().unwrap_or(DEFAULT_DIRECTORY)).join(order.network);
    let owner = format!("{}\r\n{}", order.sandbox.id, order.interface);
    let taken = taken(scene, &directory)?;
    let own = taken.iter().find(|(_, by)| *by == owner).map(|(address, _)| *address);
    let last = scene.node.text(directory.join(LAST))?.and_then(|text| text.trim().parse().ok());
    let free =
        |address: &Ipv4Addr| *address != range.gateway && !taken.iter().any(|(other, _)| other == address);
    let Some(address) = own.or_else(|| candidates(&range, last).find(free)) else {
        return Ok(Err(format!("no IP addresses available in range set: {}-{}", range.first, range.last)));
    };
    let file = directory.join(address.to_string());
    scene.node.put_file(directory.join("lock"), b"", 0o750)?;
    scene.node.put_file(&file, owner.as_bytes(), 0o600)?;
    scene.node.put_file(directory.join(LAST), address.to_string().as_bytes(), 0o600)?;
    if let Ok(net) = Ipv4Net::new(address, range.subnet.prefix_len()) {
        nic.addresses.push(IpNet::V4(net));
    }
    nic.gateway = Some(IpAddr::V4(range.gateway));
    nic.leases.push(file);
    Ok(Ok(()))
}

/// Who has which address.
fn taken(scene: &Scene, directory: &Utf8PathBuf) -> Result<Vec<(Ipv4Addr, String)>> {
    let mut taken = Vec::new();
    for name in scene.node.names(directory)?.unwrap_or_default() {
        if let Ok(address) = name.parse() {
            taken.push((address, scene.node.text(directory.join(&name))?.unwrap_or_default()));
        }
    }
    Ok(taken)
}

/// The range of an `ipam`, in either of its two forms.
fn range(ipam: &Value) -> Option<Range> {
    let given = ipam.pointer("/ranges/0/0").unwrap_or(ipam);
    let subnet: Ipv4Net = given["subnet"].as_str()?.parse().ok()?;
    let subnet = subnet.trunc();
    let address = |field: &str| given[field].as_str().and_then(|text| text.parse().ok());
    let (first, last) = (next(subnet.network()), before(subnet.broadcast()));
    Some(Range {
        subnet,
        first: address("rangeStart").unwrap_or(first),
        last: address("rangeEnd").unwrap_or(last),
        gateway: address("gateway").unwrap_or(first),
    })
}

/// All addresses once, beginning after the one that was given out last.
fn candidates(range: &Range, last: Option<Ipv4Addr>) -> impl Iterator<Item = Ipv4Addr> {
    let (first, end) = (u32::from(range.first), u32::from(range.last));
    let last = last.map(u32::from).filter(|last| (first..end).contains(last));
    let from = last.map_or(first, |last| last + 1);
    (from..=end).chain(first..from).map(Ipv4Addr::from)
}

fn next(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address).saturating_add(1))
}

fn before(address: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(address).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_range_leaves_out_network_and_broadcast() {
        let range = range(&json!({"subnet": "10.20.0.0/24"})).unwrap();
        assert_eq!(
            (range.first, range.last, range.gateway),
            ("10.20.0.1".parse().unwrap(), "10.20.0.254".parse().unwrap(), "10.20.0.1".parse().unwrap())
        );
        let nested = super::range(&json!({"ranges": [[{"subnet": "10.244.0.0/24"}]]})).unwrap();
        assert_eq!(nested.subnet, "10.244.0.0/24".parse().unwrap());
    }

    #[test]
    fn addresses_are_given_out_in_turn() {
        let range = range(&json!({"subnet": "10.0.0.0/29", "rangeStart": "10.0.0.2"})).unwrap();
        let all = |last: Option<&str>| -> Vec<String> {
            candidates(&range, last.map(|text| text.parse().unwrap()))
                .map(|address| address.to_string())
                .collect()
        };
        assert_eq!(all(None), ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        assert_eq!(all(Some("10.0.0.4")), ["10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(all(Some("10.0.0.6"))[0], "10.0.0.2");
    }
}
