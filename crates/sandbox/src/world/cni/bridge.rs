//! The plugin `bridge`: a veth pair with one end on a Linux bridge.

use serde_json::Value;

use super::addresses;
use super::nics::{Nic, Wire, mac_address};
use super::plugins::{Order, mtu};
use super::runtime::Failure;
use crate::error::Result;
use crate::node::NetworkLink;
use crate::world::scene::Scene;

const DEFAULT: &str = "cni0";

/// Creates the pair, and the bridge if missing.
pub(super) fn add(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    if let Some(failure) = refusal(plugin) {
        return Ok(Err(failure));
    }
    let name = plugin["bridge"].as_str().unwrap_or(DEFAULT);
    let mut nic = order.nic(mtu(plugin));
    let mut link = match found(scene, name)? {
        Some(link) if link.kind != "bridge" => {
            return Ok(Err(format!(
                "failed to create bridge \"{name}\": \"{name}\" already exists but is not a bridge"
            )));
        }
        Some(link) => link,
        None => fresh(name, nic.mtu),
    };
    link.up = true;
    scene.node.put_network_link(&link)?;
    if let Err(failure) = addresses::assign(scene, order, plugin, &mut nic)? {
        return Ok(Err(failure));
    }
    if let Err(failure) = own_address(&mut link, plugin, &nic) {
        addresses::release(scene, order.sandbox, &nic)?;
        return Ok(Err(failure));
    }
    scene.node.put_network_link(&link)?;
    scene.node.put_network_link(&nic.link(Some(name)))?;
    nic.wire = Wire::Bridge(name.to_owned());
    Ok(Ok(nic))
}

fn refusal(plugin: &Value) -> Option<Failure> {
    let vlan = plugin["vlan"].as_i64().unwrap_or_default();
    if !(0..=4094).contains(&vlan) {
        return Some(format!("invalid VLAN ID {vlan} (must be between 0 and 4094)"));
    }
    if plugin["hairpinMode"] == true && plugin["promiscMode"] == true {
        return Some("cannot set hairpin mode and promiscuous mode at the same time".into());
    }
    (vlan > 0 || plugin["vlanTrunk"].is_array())
        .then(|| "not simulated: VLANs of the plugin \"bridge\"".into())
}

fn found(scene: &Scene, name: &str) -> Result<Option<NetworkLink>> {
    Ok(scene.node.links()?.into_iter().find(|link| link.name == name))
}

fn fresh(name: &str, mtu: u32) -> NetworkLink {
    NetworkLink {
        name: name.to_owned(),
        kind: "bridge".into(),
        mtu,
        mac: mac_address(name),
        ..NetworkLink::default()
    }
}

/// The gateway's address on the bridge, which has one of IPv4 only.
fn own_address(link: &mut NetworkLink, plugin: &Value, nic: &Nic) -> Result<(), Failure> {
    let is_gateway = plugin["isGateway"] == true || plugin["isDefaultGateway"] == true;
    let (true, Some(gateway), Some(address)) = (is_gateway, nic.gateway, nic.addresses.first()) else {
        return Ok(());
    };
    let own = format!("{gateway}/{}", address.prefix_len());
    if link.addresses.contains(&own) {
        return Ok(());
    }
    if plugin["forceAddress"] == true {
        link.addresses.clear();
    }
    if !link.addresses.is_empty() {
        return Err(format!(
            "failed to set bridge addr: \"{}\" already has an IP address different from {own}",
            link.name
        ));
    }
    link.addresses.push(own);
    Ok(())
}
