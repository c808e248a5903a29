//! The IPAM plugins: `host-local`, `whereabouts`, `static`, and `dhcp` without a daemon.

use serde_json::Value;

use super::nics::{Nic, Sandbox};
use super::plugins::Order;
use super::runtime::{self, Failure};
use super::{host_local, whereabouts};
use crate::error::Result;
use crate::world::objects::{items, text};
use crate::world::scene::Scene;

pub(super) const DHCP: &str = "/run/cni/dhcp.sock";

/// Gives a NIC its addresses, if its plugin has an `ipam`; one with an `ipam` must get some.
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
    let given = match kind {
        "host-local" => host_local::reserve(scene, order, ipam, nic)?,
        "whereabouts" => whereabouts::reserve(scene, order, ipam, nic)?,
        "static" => fixed(order, ipam).map(|addresses| nic.addresses = addresses),
        "dhcp" if scene.node.status(DHCP)?.is_none() => {
            Err(format!("error dialing DHCP daemon: dial unix {DHCP}: connect: no such file or directory"))
        }
        other => Err(format!("not simulated: the IPAM plugin \"{other}\"")),
    };
    let missing = || Err("IPAM plugin returned missing IP config".to_owned());
    Ok(given.and_then(|()| if nic.addresses.is_empty() { missing() } else { Ok(()) }))
}

/// Releases the addresses of a NIC.
pub(super) fn release(scene: &Scene, sandbox: &Sandbox, nic: &Nic) -> Result<()> {
    nic.leases.iter().try_for_each(|lease| scene.node.remove_file(lease))?;
    nic.pools.iter().try_for_each(|pool| whereabouts::release(scene, pool, &sandbox.id, &nic.name))
}

/// Static addresses: from the configuration, and as requested by the pod.
fn fixed(order: &Order<'_>, ipam: &Value) -> Result<Vec<ipnet::IpNet>, Failure> {
    let given = items(ipam, "/addresses").iter().map(|item| ("address", text(item, "/address")));
    let asked = order.ips.iter().map(|address| ("ip", address.as_str()));
    let parsed = given.chain(asked).map(|(field, address)| {
        let wrong = || format!("the '{field}' field is expected to be in CIDR notation, got: '{address}'");
        match address.parse::<ipnet::IpNet>() {
            Ok(ipnet::IpNet::V6(_)) => Err(format!("not simulated: IPv6, in the address {address}")),
            Ok(four) => Ok(four),
            Err(_) => Err(wrong()),
        }
    });
    parsed.collect()
}
