//! host-local: addresses from ranges of the node, one file for each address that is taken.

use std::net::{IpAddr, Ipv4Addr};

use camino::{Utf8Path, Utf8PathBuf};
use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use super::nics::Nic;
use super::plugins::Order;
use super::ranges::{self, Range, Set};
use super::runtime::Failure;
use crate::error::Result;
use crate::world::objects::text;
use crate::world::scene::Scene;

const DEFAULT_DIRECTORY: &str = "/var/lib/cni/networks";

/// Gives a NIC an address from each set of ranges, or none at all.
pub(super) fn reserve(
    scene: &Scene,
    order: &Order<'_>,
    ipam: &Value,
    nic: &mut Nic,
) -> Result<Result<(), Failure>> {
    let (sets, mut asked) = match ranges::sets(ipam).and_then(|sets| Ok((sets, asked(order)?))) {
        Ok(read) => read,
        Err(failure) => return Ok(Err(failure)),
    };
    let store = Store::of(scene, ipam, order.network, &order.sandbox.id, order.interface);
    for (number, set) in sets.iter().enumerate() {
        let place = asked.iter().position(|address| ranges::holding(set, *address).is_some());
        let wanted = place.map(|place| asked.remove(place));
        match store.take(set, number, wanted)? {
            Ok((address, range)) => {
                nic.addresses.extend(Ipv4Net::new(address, range.subnet.prefix_len()).map(IpNet::V4));
                nic.gateway = nic.gateway.or(Some(IpAddr::V4(range.gateway)));
                nic.leases.push(store.directory.join(address.to_string()));
            }
            Err(failure) => {
                store.give_back()?;
                return Ok(Err(format!("failed to allocate for range {number}: {failure}")));
            }
        }
    }
    if let Some(address) = asked.first() {
        store.give_back()?;
        return Ok(Err(format!("failed to allocate all requested IPs: {address}")));
    }
    Ok(Ok(()))
}

/// Releases all addresses of a container's NIC on a network.
pub(super) fn release(scene: &Scene, plugin: &Value, id: &str, interface: &str) -> Result<()> {
    Store::of(scene, &plugin["ipam"], text(plugin, "/name"), id, interface).give_back()
}

/// The addresses that the pod asks for; the plugin's arguments have room for one.
fn asked(order: &Order<'_>) -> Result<Vec<Ipv4Addr>, Failure> {
    let all = order.ips.join(",");
    let [one] = order.ips else {
        return match order.ips {
            [] => Ok(Vec::new()),
            _ => Err(format!("ARGS: error parsing value of pair \"IP={all}\": invalid IP address {all}")),
        };
    };
    match one.split('/').next().unwrap_or_default().parse() {
        Ok(IpAddr::V4(address)) => Ok(vec![address]),
        Ok(IpAddr::V6(_)) => Err(format!("not simulated: IPv6, in the request for {one}")),
        Err(_) => Err(format!("ARGS: error parsing value of pair \"IP={all}\": invalid IP address {all}")),
    }
}

/// Addresses with their owners.
type Taken = Vec<(Ipv4Addr, String)>;

fn is_free(taken: &Taken, address: Ipv4Addr) -> bool {
    !taken.iter().any(|(other, _)| *other == address)
}

/// A requested address.
fn named(set: &Set, taken: &Taken, address: Ipv4Addr) -> Result<(Ipv4Addr, Range), Failure> {
    match ranges::holding(set, address) {
        Some(range) if range.gateway == address => Err(format!("requested ip {address} is subnet's gateway")),
        Some(range) if is_free(taken, address) => Ok((address, *range)),
        _ => {
            let shown = ranges::shown(set);
            Err(format!("requested IP address {address} is not available in range set {shown}"))
        }
    }
}

/// The directory of a network, for one NIC. Networks of one name share it, whatever their subnets are; networks of two
/// names never do.
struct Store<'a> {
    scene: &'a Scene,
    directory: Utf8PathBuf,
    id: &'a str,
    owner: String,
}

impl<'a> Store<'a> {
    fn of(scene: &'a Scene, ipam: &Value, network: &str, id: &'a str, interface: &str) -> Self {
        let base = ipam["dataDir"].as_str().filter(|base| !base.is_empty()).unwrap_or(DEFAULT_DIRECTORY);
        let directory = Utf8Path::new(base).join(network);
        Self { scene, directory, id, owner: format!("{id}\r\n{interface}") }
    }

    fn take(
        &self,
        set: &Set,
        number: usize,
        wanted: Option<Ipv4Addr>,
    ) -> Result<Result<(Ipv4Addr, Range), Failure>> {
        let last_file = self.directory.join(format!("last_reserved_ip.{number}"));
        let last = self.scene.node.text(&last_file)?.and_then(|text| text.trim().parse().ok());
        let taken = self.taken()?;
        let picked = match wanted {
            Some(address) => named(set, &taken, address),
            None => self.next(set, &taken, last),
        };
        if let Ok((address, _)) = &picked {
            let node = &self.scene.node;
            node.put_file(self.directory.join("lock"), b"", 0o600)?;
            node.put_file(self.directory.join(address.to_string()), self.owner.as_bytes(), 0o600)?;
            node.put_file(&last_file, address.to_string().as_bytes(), 0o600)?;
        }
        Ok(picked)
    }

    fn next(&self, set: &Set, taken: &Taken, last: Option<Ipv4Addr>) -> Result<(Ipv4Addr, Range), Failure> {
        let mut own = taken.iter().filter(|(_, by)| *by == self.owner);
        if let Some((own, _)) = own.find(|(own, _)| ranges::holding(set, *own).is_some()) {
            return Err(format!(
                "{own} has been allocated to {}, duplicate allocation is not allowed",
                self.id
            ));
        }
        let mut free = ranges::in_turn(set, last).into_iter().filter(|(address, _)| is_free(taken, *address));
        free.next().ok_or_else(|| format!("no IP addresses available in range set: {}", ranges::shown(set)))
    }

    /// The owner of each address.
    fn taken(&self) -> Result<Taken> {
        let mut taken = Vec::new();
        for name in self.scene.node.names(&self.directory)?.unwrap_or_default() {
            if let Ok(address) = name.parse() {
                let owner = self.scene.node.text(self.directory.join(&name))?.unwrap_or_default();
                taken.push((address, owner));
            }
        }
        Ok(taken)
    }

    fn give_back(&self) -> Result<()> {
        let own = self.taken()?.into_iter().filter(|(_, by)| *by == self.owner);
        own.map(|(address, _)| self.directory.join(address.to_string()))
            .try_for_each(|file| self.scene.node.remove_file(file))
    }
}
