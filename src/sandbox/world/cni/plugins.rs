//! The plugins of a configuration, one after the other: the first makes the NIC, those that follow only adjust it.

use serde_json::Value;

use super::host_local;
use super::nics::{Nic, Sandbox, Wire, mac_address};
use super::runtime::{self, Configuration, Failure};
use super::{flannel, switch};
use crate::error::Result;
use crate::sandbox::node::NetworkLink;
use crate::sandbox::world::objects::text;
use crate::sandbox::world::scene::Scene;

/// Plugins that change a NIC in ways that nothing here can see.
const CHAINED: [&str; 6] = ["portmap", "tuning", "bandwidth", "firewall", "sbr", "passthru"];
const DEFAULT_BRIDGE: &str = "cni0";

/// One NIC that is to be made.
pub(super) struct Order<'a> {
    pub sandbox: &'a Sandbox,
    /// The name of the network, under which addresses are filed.
    pub network: &'a str,
    /// Its name in the pod.
    pub interface: &'a str,
    pub mac: Option<&'a str>,
}

impl Order<'_> {
    /// A NIC without addresses.
    pub fn nic(&self, mtu: u32) -> Nic {
        Nic::new(self.sandbox, self.interface, mtu, self.mac)
    }
}

/// Makes a NIC, with the MAC address that the pod asks for, if it does; `shown` is the network's name in the status
/// annotation.
pub(super) fn add(
    scene: &Scene,
    sandbox: &mut Sandbox,
    configuration: &Configuration,
    interface: &str,
    shown: &str,
    mac: Option<&str>,
) -> Result<Result<(), Failure>> {
    sandbox.begin(scene, interface)?;
    let order = Order { sandbox, network: &configuration.name, interface, mac };
    let mut made = None;
    for plugin in &configuration.plugins {
        let kind = text(plugin, "/type");
        if let Err(failure) = runtime::binary(scene, kind)? {
            return Ok(Err(failure));
        }
        if !CHAINED.contains(&kind) {
            match one(scene, &order, plugin, kind)? {
                Ok(nic) => made = Some(nic),
                Err(failure) => return Ok(Err(failure)),
            }
        }
    }
    let Some(mut nic) = made else { return Ok(Err("no plugin of the configuration makes a NIC".into())) };
    shown.clone_into(&mut nic.network);
    nic.plugins = configuration.plugins.iter().map(|plugin| text(plugin, "/type").to_owned()).collect();
    sandbox.made(scene, nic)?;
    Ok(Ok(()))
}

fn one(scene: &Scene, order: &Order<'_>, plugin: &Value, kind: &str) -> Result<Result<Nic, Failure>> {
    match kind {
        "flannel" => flannel::add(scene, order, plugin),
        "ovs" => switch::add(scene, order, plugin),
        "bridge" => bridge(scene, order, plugin),
        _ => other(scene, order, plugin),
    }
}

/// A veth pair with one end on a Linux bridge, which is made when it is not there.
pub(super) fn bridge(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let name = plugin["bridge"].as_str().unwrap_or(DEFAULT_BRIDGE);
    let mut nic = order.nic(mtu(plugin));
    if let Err(failure) = host_local::assign(scene, order, plugin, &mut nic)? {
        return Ok(Err(failure));
    }
    let links = scene.node.links()?;
    let mut link = links.into_iter().find(|link| link.name == name).unwrap_or_else(|| NetworkLink {
        name: name.to_owned(),
        kind: "bridge".into(),
        up: true,
        mtu: nic.mtu,
        mac: mac_address(name),
        ..NetworkLink::default()
    });
    let is_gateway = plugin["isGateway"] == true || plugin["isDefaultGateway"] == true;
    if let (true, Some(gateway), Some(address)) = (is_gateway, nic.gateway, nic.addresses.first()) {
        let own = format!("{gateway}/{}", address.prefix_len());
        if !link.addresses.contains(&own) {
            link.addresses.push(own);
        }
    }
    scene.node.put_network_link(&link)?;
    scene.node.put_network_link(&nic.link(Some(name)))?;
    nic.wire = Wire::Bridge(name.to_owned());
    Ok(Ok(nic))
}

/// Any other plugin: a NIC with addresses, on which nobody else is.
fn other(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let mut nic = order.nic(mtu(plugin));
    Ok(host_local::assign(scene, order, plugin, &mut nic)?.map(|()| nic))
}

/// The MTU that a configuration asks for.
pub(super) fn mtu(plugin: &Value) -> u32 {
    let given = plugin["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok());
    given.filter(|mtu| *mtu > 0).unwrap_or(1500)
}

/// Takes a NIC down: its link, its port, its addresses.
pub(super) fn remove(scene: &Scene, sandbox: &Sandbox, nic: &Nic) -> Result<()> {
    if nic.wire == Wire::Switch {
        switch::remove(scene, sandbox, nic)?;
    }
    let kept = match &nic.scratch {
        Some(scratch) => scene.node.status(scratch)?.is_some(),
        None => true,
    };
    if kept {
        nic.leases.iter().try_for_each(|lease| scene.node.remove_file(lease))?;
        nic.scratch.iter().try_for_each(|scratch| scene.node.remove_file(scratch))?;
    }
    scene.node.remove_network_link(&nic.host_link)
}
