//! The plugins of a configuration in order: the first creates the NIC, the others only adjust it.

use serde_json::Value;

use super::nics::{Nic, Sandbox, Wire};
use super::runtime::{self, Configuration, Failure};
use super::{addresses, bridge, flannel, masters, switch};
use crate::error::Result;
use crate::world::objects::text;
use crate::world::scene::Scene;

/// Plugins whose changes to a NIC are not modelled.
const CHAINED: [&str; 6] = ["portmap", "tuning", "bandwidth", "firewall", "sbr", "passthru"];

/// A NIC to create.
pub(super) struct Order<'a> {
    pub sandbox: &'a Sandbox,
    /// The name of the network, under which addresses are filed.
    pub network: &'a str,
    /// Its name in the pod.
    pub interface: &'a str,
    pub mac: Option<&'a str>,
    /// The addresses that the pod asks for.
    pub ips: &'a [String],
}

/// What a pod wishes for one of its NICs.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wishes<'a> {
    pub mac: Option<&'a str>,
    pub ips: &'a [String],
}

impl Order<'_> {
    /// A NIC without addresses.
    pub fn nic(&self, mtu: u32) -> Nic {
        Nic::new(self.sandbox, self.interface, mtu, self.mac)
    }
}

/// Creates a NIC as the pod requests; `shown` is the network's name in the status annotation. In a list of plugins the error
/// names the plugin, as in the CNI library.
pub(super) fn add(
    scene: &Scene,
    sandbox: &mut Sandbox,
    configuration: &Configuration,
    interface: &str,
    shown: &str,
    wishes: Wishes<'_>,
) -> Result<Result<(), Failure>> {
    sandbox.begin(scene, interface)?;
    let Wishes { mac, ips } = wishes;
    let order = Order { sandbox, network: &configuration.name, interface, mac, ips };
    let wrapped = |plugin: &Value, failure: Failure| {
        let called =
            configuration.is_list.then(|| format!("plugin {} failed (add): ", runtime::described(plugin)));
        called.unwrap_or_default() + &failure
    };
    let mut made = None;
    for plugin in &configuration.plugins {
        let kind = text(plugin, "/type");
        if let Err(failure) = runtime::binary(scene, kind)? {
            return Ok(Err(wrapped(plugin, failure)));
        }
        if !CHAINED.contains(&kind) {
            match one(scene, &order, plugin, kind)? {
                Ok(nic) => made = Some(nic),
                Err(failure) => return Ok(Err(wrapped(plugin, failure))),
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
        "bridge" => bridge::add(scene, order, plugin),
        "macvlan" | "ipvlan" | "vlan" | "host-device" => masters::add(scene, order, plugin, kind),
        _ => other(scene, order, plugin),
    }
}

/// Any other plugin: a NIC with addresses on a network of its own.
pub(super) fn other(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let mut nic = order.nic(mtu(plugin));
    Ok(addresses::assign(scene, order, plugin, &mut nic)?.map(|()| nic))
}

/// The MTU that a configuration asks for.
pub(super) fn mtu(plugin: &Value) -> u32 {
    let given = plugin["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok());
    given.filter(|mtu| *mtu > 0).unwrap_or(1500)
}

/// Tears down a NIC: its link, its port, its addresses.
pub(super) fn remove(scene: &Scene, sandbox: &Sandbox, nic: &Nic) -> Result<()> {
    if nic.wire == Wire::Switch {
        switch::remove(scene, sandbox, nic)?;
    }
    match &nic.scratch {
        Some(scratch) => flannel::release(scene, scratch, &sandbox.id, &nic.name)?,
        None => addresses::release(scene, sandbox, nic)?,
    }
    scene.node.remove_network_link(&nic.host_link)
}
