//! Plugins with a master interface on the node: `macvlan`, `ipvlan`, `vlan`, `host-device`.

use serde_json::Value;

use super::nics::{Nic, Wire};
use super::plugins::{self, Order};
use super::runtime::Failure;
use crate::error::Result;
use crate::node::NetworkLink;
use crate::world::objects::text;
use crate::world::scene::Scene;

const MODES: [&str; 5] = ["", "bridge", "private", "vepa", "passthru"];

/// Creates a NIC on its master; rejects what the plugins reject.
pub(super) fn add(
    scene: &Scene,
    order: &Order<'_>,
    plugin: &Value,
    kind: &str,
) -> Result<Result<Nic, Failure>> {
    let links = scene.node.links()?;
    match master(&links, plugin, kind) {
        Ok(master) => {
            let mut plugin = plugin.clone();
            if plugin["mtu"].as_u64().unwrap_or_default() == 0 {
                plugin["mtu"] = master.mtu.into();
            }
            let name = master.name.clone();
            let bridged = kind == "macvlan" && ["", "bridge"].contains(&text(&plugin, "/mode"));
            let made = plugins::other(scene, order, &plugin)?;
            Ok(made.map(|nic| if bridged { Nic { wire: Wire::Macvlan(name), ..nic } } else { nic }))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

fn master<'a>(links: &'a [NetworkLink], plugin: &Value, kind: &str) -> Result<&'a NetworkLink, Failure> {
    let given = text(plugin, if kind == "host-device" { "/device" } else { "/master" });
    let named = links.iter().find(|link| link.name == given);
    let vlan = plugin["vlanId"].as_i64().unwrap_or_default();
    match (kind, given) {
        ("host-device", "") => {
            return Err("specify either \"device\", \"hwaddr\", \"kernelpath\" or \"pciBusID\"".into());
        }
        ("host-device", _) if named.is_some() => {
            return Err("not simulated: the plugin \"host-device\"".into());
        }
        ("host-device", _) => return Err("failed to find host device: Link not found".into()),
        ("vlan", "") => {
            return Err(
                "\"master\" field is required. It specifies the host interface name to create the VLAN for"
                    .into(),
            );
        }
        ("vlan", _) if !(0..=4095).contains(&vlan) => {
            return Err(format!("invalid VLAN ID {vlan} (must be between 0 and 4095 inclusive)"));
        }
        _ => {}
    }
    let found = if given.is_empty() {
        let routed = links.iter().find(|link| link.gateway.is_some());
        routed.ok_or_else(|| "no default route interface found".to_owned())?
    } else {
        named.ok_or_else(|| match kind {
            "ipvlan" => format!("failed to lookup master \"{given}\": Link not found"),
            _ => "Link not found".to_owned(),
        })?
    };
    let mtu = plugin["mtu"].as_i64().unwrap_or_default();
    if mtu < 0 || mtu > i64::from(found.mtu) {
        return Err(format!("invalid MTU {mtu}, must be [0, master MTU({})]", found.mtu));
    }
    let mode = text(plugin, "/mode");
    if kind == "macvlan" && !MODES.contains(&mode) {
        return Err(format!("unknown macvlan mode: \"{mode}\""));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Each text is what the plugins of 1.9.1 printed for that configuration.
    #[test]
    fn a_master_that_is_not_there_is_refused_in_the_plugins_words() {
        let card = NetworkLink { name: "eth0".into(), mtu: 1500, ..NetworkLink::default() };
        for (kind, plugin, refusal) in [
            ("macvlan", json!({"master": "eth9"}), "Link not found"),
            ("ipvlan", json!({"master": "eth9"}), "failed to lookup master \"eth9\": Link not found"),
            ("vlan", json!({"master": "eth9", "vlanId": 5}), "Link not found"),
            (
                "vlan",
                json!({"master": "eth0", "vlanId": 5000}),
                "invalid VLAN ID 5000 (must be between 0 and 4095 inclusive)",
            ),
            ("host-device", json!({"device": "eth9"}), "failed to find host device: Link not found"),
            ("macvlan", json!({"master": "eth0", "mode": "weird"}), "unknown macvlan mode: \"weird\""),
            ("macvlan", json!({}), "no default route interface found"),
        ] {
            assert_eq!(master(std::slice::from_ref(&card), &plugin, kind).err().as_deref(), Some(refusal));
        }
        assert!(master(&[card], &json!({"master": "eth0", "mode": "bridge"}), "macvlan").is_ok());
    }
}
