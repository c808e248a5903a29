//! ovs-cni: a port of an Open vSwitch bridge.

use std::collections::BTreeMap;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::host_local;
use super::nics::{Nic, Sandbox, Wire};
use super::plugins::{Order, mtu};
use super::runtime::{self, Failure};
use crate::error::Result;
use crate::facts::ovs::OvsState;
use crate::sandbox::node::SwitchPort;
use crate::sandbox::world::scene::Scene;

/// What a plugin of 2018 has in it: it calls `ovs-vsctl`, later ones speak to the database themselves.
pub(in crate::sandbox::world) const BY_COMMAND: &str = "ovs-cni by ovs-vsctl";
const CACHE: &str = "/var/lib/cni/ovs-cni/cache";
const OWNER: &str = "ovs-cni.network.kubevirt.io";

/// Makes a port with a NIC at its other end.
pub(super) fn add(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let by_command = is_by_command(scene)?;
    let Some(switch) = scene.node.open_vswitch()? else {
        return Ok(Err("failed to connect to ovsdb: dial unix /var/run/openvswitch/db.sock: connect: no such file or directory".into()));
    };
    let vlan = plugin["vlan"].as_u64().and_then(|vlan| u16::try_from(vlan).ok());
    let place = match place(&switch, plugin["bridge"].as_str().unwrap_or_default(), vlan, by_command) {
        Ok(place) => place,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut nic = order.nic(mtu(plugin));
    if let Err(failure) = host_local::assign(scene, order, plugin, &mut nic)? {
        return Ok(Err(failure));
    }
    nic.gateway = None;
    // With an address, the MAC address follows from it.
    if let (None, Some(IpAddr::V4(address))) = (order.mac, nic.addresses.first().map(ipnet::IpNet::addr)) {
        let [a, b, c, d] = address.octets();
        nic.mac = format!("0a:58:{a:02x}:{b:02x}:{c:02x}:{d:02x}");
    }
    nic.wire = Wire::Switch;
    scene.node.put_network_link(&nic.link(None))?;
    connect(scene, order, &nic, place, by_command)
}

fn connect(
    scene: &Scene,
    order: &Order<'_>,
    nic: &Nic,
    place: Place,
    by_command: bool,
) -> Result<Result<Nic, Failure>> {
    let port = SwitchPort {
        name: nic.host_link.clone(),
        bridge: place.bridge,
        tag: place.tag,
        trunks: Vec::new(),
        external_ids: external_ids(order.sandbox, order.interface, by_command),
    };
    let present = scene.node.open_vswitch()?.is_some_and(|switch| switch.port(&port.name).is_some());
    if !present && !scene.node.add_switch_port(&port)? {
        return Ok(Err(format!("failed to add port {} to bridge {}", port.name, port.bridge)));
    }
    if !by_command {
        let cached = json!({"Netconf": {"bridge": port.bridge, "vlan": port.tag}, "OrigIfName": ""});
        scene.node.put_file(cache(order.sandbox, order.interface), cached.to_string().as_bytes(), 0o600)?;
    }
    Ok(Ok(nic.clone()))
}

/// Takes the port away; fine when it is gone already.
pub(super) fn remove(scene: &Scene, sandbox: &Sandbox, nic: &Nic) -> Result<()> {
    scene.node.remove_switch_port(&nic.host_link)?;
    scene.node.remove_file(cache(sandbox, &nic.name))
}

fn cache(sandbox: &Sandbox, interface: &str) -> Utf8PathBuf {
    Utf8Path::new(CACHE).join(format!("{}-{interface}", sandbox.id))
}

/// Where a port goes.
#[derive(Debug, PartialEq)]
struct Place {
    bridge: String,
    tag: Option<u16>,
}

/// `ovs-vsctl` knows VLAN bridges; in the database only real bridges are bridges.
fn place(switch: &OvsState, bridge: &str, vlan: Option<u16>, by_command: bool) -> Result<Place, Failure> {
    if switch.bridge(bridge).is_some() {
        return Ok(Place { bridge: bridge.to_owned(), tag: vlan });
    }
    match switch.vlan_bridge(bridge).filter(|_| by_command) {
        Some((parent, port)) => Ok(Place { bridge: parent.name.clone(), tag: vlan.or(port.tag) }),
        None => Err(format!("failed to find bridge {bridge}")),
    }
}

fn is_by_command(scene: &Scene) -> Result<bool> {
    match runtime::binary(scene, "ovs")? {
        Ok(path) => Ok(scene.node.text(path)?.as_deref() == Some(BY_COMMAND)),
        Err(_) => Ok(false),
    }
}

fn external_ids(sandbox: &Sandbox, interface: &str, by_command: bool) -> BTreeMap<String, String> {
    let mut ids = BTreeMap::from([
        ("contIface".to_owned(), interface.to_owned()),
        ("contNetns".to_owned(), sandbox.namespace_path()),
    ]);
    if !by_command {
        ids.insert("contPodUid".into(), sandbox.uid.clone());
        ids.insert("owner".into(), OWNER.into());
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ovs::{OvsBridge, OvsPort};

    #[test]
    fn only_the_plugin_of_2018_knows_vlan_bridges() {
        let vlan =
            OvsPort { name: "blue100".into(), tag: Some(100), fake_bridge: true, ..OvsPort::default() };
        let blue = OvsBridge { name: "blue".into(), ports: vec![vlan], ..OvsBridge::default() };
        let switch = OvsState { bridges: vec![blue] };
        let on_blue = |tag| Ok(Place { bridge: "blue".into(), tag });
        assert_eq!(place(&switch, "blue", Some(7), false), on_blue(Some(7)));
        assert_eq!(place(&switch, "blue100", None, true), on_blue(Some(100)));
        assert_eq!(place(&switch, "blue100", None, false), Err("failed to find bridge blue100".into()));
    }
}
