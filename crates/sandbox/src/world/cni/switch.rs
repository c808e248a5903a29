//! ovs-cni: a port of an Open vSwitch bridge.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::nics::{Nic, Sandbox, Wire};
use super::plugins::{Order, mtu};
use super::runtime::{self, Failure};
use super::{addresses, go_json};
use crate::error::Result;
use crate::facts::ovs::OvsState;
use crate::node::SwitchPort;
use crate::world::objects::{items, text};
use crate::world::scene::Scene;

/// The content of a plugin of 2018, which calls `ovs-vsctl`; later ones are clients of the database.
pub(in crate::world) const BY_COMMAND: &str = "ovs-cni by ovs-vsctl";
/// The plugin's error when the database does not listen.
pub(in crate::world) const NO_DATABASE: &str = "failed to connect to ovsdb error: failed to connect to ovsdb error: failed to connect to unix:/var/run/openvswitch/db.sock: failed to open connection: dial unix /var/run/openvswitch/db.sock: connect: no such file or directory";
const LAST_VLAN: u16 = 4095;
const CACHE: &str = "/var/lib/cni/ovs-cni/cache";
const OWNER: &str = "ovs-cni.network.kubevirt.io";

/// Makes a port with a NIC at its other end.
pub(super) fn add(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let by_command = is_by_command(scene)?;
    let asked = match asked(plugin) {
        Ok(asked) => asked,
        Err(failure) => return Ok(Err(failure)),
    };
    let Some(switch) = scene.node.open_vswitch()? else { return Ok(Err(NO_DATABASE.into())) };
    let bridge = plugin["bridge"].as_str().unwrap_or_default();
    if bridge.is_empty() {
        return Ok(Err("failed to get bridge name".into()));
    }
    let mut place = match place(&switch, bridge, asked.tag, by_command) {
        Ok(place) => place,
        Err(failure) => return Ok(Err(failure)),
    };
    place.trunks = asked.trunks;
    if let Some(vlan) = place.tag.iter().chain(&place.trunks).find(|vlan| **vlan > LAST_VLAN) {
        let details = format!("{vlan} is not in the valid range 0 to {LAST_VLAN} (inclusive)");
        return Ok(Err(format!("OVS Transaction failed err constraint violation Details: {details}")));
    }
    let mut nic = order.nic(mtu(plugin));
    if let Err(failure) = addresses::assign(scene, order, plugin, &mut nic)? {
        let kind = text(plugin, "/ipam/type");
        let is_own = failure.starts_with("IPAM plugin");
        let called = format!("failed to set up IPAM plugin type \"{kind}\": {failure}");
        return Ok(Err(if is_own { failure } else { called }));
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
        trunks: place.trunks,
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

/// Removes the port, if it still exists.
pub(super) fn remove(scene: &Scene, sandbox: &Sandbox, nic: &Nic) -> Result<()> {
    scene.node.remove_switch_port(&nic.host_link)?;
    scene.node.remove_file(cache(sandbox, &nic.name))
}

fn cache(sandbox: &Sandbox, interface: &str) -> Utf8PathBuf {
    Utf8Path::new(CACHE).join(format!("{}-{interface}", sandbox.id))
}

/// The bridge and VLAN of a port.
#[derive(Debug, PartialEq)]
struct Place {
    bridge: String,
    tag: Option<u16>,
    trunks: Vec<u16>,
}

/// The VLANs of a configuration: a trunk wins over a tag.
struct Asked {
    tag: Option<u16>,
    trunks: Vec<u16>,
}

fn asked(plugin: &Value) -> Result<Asked, Failure> {
    let tag = number("NetConf.vlan", &plugin["vlan"])?;
    let given = items(plugin, "/trunk");
    if given.is_empty() {
        return Ok(Asked { tag, trunks: Vec::new() });
    }
    let mut trunks = BTreeSet::new();
    for item in given {
        let field = |name: &str| number(&format!("NetConf.trunk.{name}"), &item[name]);
        let (least, most, id) = (field("minID")?, field("maxID")?, field("id")?);
        let is_wrong = |vlan: Option<u16>| vlan.is_some_and(|vlan| vlan > 4096);
        if is_wrong(least) {
            return Err("incorrect trunk minID parameter".into());
        }
        if is_wrong(most) {
            return Err("incorrect trunk maxID parameter".into());
        }
        if most.is_some() && most < least {
            return Err("minID is greater than maxID in trunk parameter".into());
        }
        if let (Some(least), Some(most)) = (least.filter(|vlan| *vlan > 0), most.filter(|vlan| *vlan > 0)) {
            trunks.extend(least..=most);
        }
        trunks.extend(id);
    }
    if trunks.is_empty() {
        return Err("trunk parameter is misconfigured".into());
    }
    Ok(Asked { tag: None, trunks: trunks.into_iter().collect() })
}

/// A number that is not negative; Go's decoder refuses everything else.
fn number(field: &str, value: &Value) -> Result<Option<u16>, Failure> {
    if value.is_null() {
        return Ok(None);
    }
    if let Some(number) = value.as_u64() {
        return Ok(Some(u16::try_from(number).unwrap_or(u16::MAX)));
    }
    let shown = match value {
        Value::Number(number) => format!("number {number}"),
        other => go_json::kind(other).to_owned(),
    };
    Err(format!(
        "failed to load netconf: json: cannot unmarshal {shown} into Go struct field {field} of type uint"
    ))
}

/// `ovs-vsctl` knows VLAN bridges; in the database only real bridges are bridges.
fn place(switch: &OvsState, bridge: &str, vlan: Option<u16>, by_command: bool) -> Result<Place, Failure> {
    if switch.bridge(bridge).is_some() {
        return Ok(Place { bridge: bridge.to_owned(), tag: vlan, trunks: Vec::new() });
    }
    match switch.vlan_bridge(bridge).filter(|_| by_command) {
        Some((parent, port)) => {
            Ok(Place { bridge: parent.name.clone(), tag: vlan.or(port.tag), trunks: Vec::new() })
        }
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

    /// Each text is what ovs-cni 0.39.0 printed for that configuration.
    #[test]
    fn trunks_are_lists_and_ranges_and_refused_in_the_plugins_words() {
        let trunk = |trunk: Value| asked(&json!({"trunk": trunk, "vlan": 7}));
        let both = trunk(json!([{"minID": 100, "maxID": 102}, {"id": 200}])).unwrap();
        assert_eq!((both.tag, both.trunks), (None, vec![100, 101, 102, 200]));
        for (given, refusal) in [
            (json!([{"minID": 5000, "maxID": 5001}]), "incorrect trunk minID parameter"),
            (json!([{"minID": 200, "maxID": 100}]), "minID is greater than maxID in trunk parameter"),
            (json!([{}]), "trunk parameter is misconfigured"),
        ] {
            assert_eq!(trunk(given).err().as_deref(), Some(refusal));
        }
        assert_eq!(
            asked(&json!({"vlan": -1})).err().as_deref(),
            Some(
                "failed to load netconf: json: cannot unmarshal number -1 into Go struct field NetConf.vlan of type uint"
            )
        );
    }

    #[test]
    fn only_the_plugin_of_2018_knows_vlan_bridges() {
        let vlan =
            OvsPort { name: "blue100".into(), tag: Some(100), fake_bridge: true, ..OvsPort::default() };
        let blue = OvsBridge { name: "blue".into(), ports: vec![vlan], ..OvsBridge::default() };
        let switch = OvsState { bridges: vec![blue] };
        let on_blue = |tag| Ok(Place { bridge: "blue".into(), tag, trunks: Vec::new() });
        assert_eq!(place(&switch, "blue", Some(7), false), on_blue(Some(7)));
        assert_eq!(place(&switch, "blue100", None, true), on_blue(Some(100)));
        assert_eq!(place(&switch, "blue100", None, false), Err("failed to find bridge blue100".into()));
    }
}
