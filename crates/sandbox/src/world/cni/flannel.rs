//! flannel's plugin: the plugin `bridge` with the node's podCIDR.

use std::collections::HashMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::nics::Nic;
use super::plugins::{self, Order};
use super::runtime::Failure;
use super::{bridge, host_local};
use crate::error::Result;
use crate::world::scene::Scene;

/// What flanneld writes when the node has its part of the subnet.
pub(in crate::world) const SUBNET: &str = "/run/flannel/subnet.env";
const SCRATCH: &str = "/var/lib/cni/flannel";
/// What flanneld must have written.
const NEEDED: [&str; 4] = ["FLANNEL_NETWORK", "FLANNEL_SUBNET", "FLANNEL_MTU", "FLANNEL_IPMASQ"];

/// Creates the NIC, and the scratch file for its removal: one per container and `dataDir`, however many NICs it has, so
/// the last one overwrites the others.
pub(super) fn add(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let file = plugin["subnetFile"].as_str().unwrap_or(SUBNET);
    let Some(text) = scene.node.text(file)? else {
        return Ok(Err(format!("loadFlannelSubnetEnv failed: open {file}: no such file or directory")));
    };
    let settings: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let missing: Vec<&str> = NEEDED.into_iter().filter(|name| !settings.contains_key(name)).collect();
    if !missing.is_empty() {
        return Ok(Err(format!("loadFlannelSubnetEnv failed: {file} is missing {}", missing.join(", "))));
    }
    for field in ["name", "ipam"] {
        if !plugin["delegate"][field].is_null() {
            return Ok(Err(format!(
                "'delegate' dictionary must not have '{field}' field, it'll be set by flannel"
            )));
        }
    }
    let delegate = delegate(plugin, &settings, order.network);
    let scratch = scratch(plugin, &order.sandbox.id);
    scene.node.put_file(&scratch, delegate.to_string().as_bytes(), 0o600)?;
    let made = match delegate["type"].as_str() {
        Some("bridge") => bridge::add(scene, order, &delegate)?,
        _ => plugins::other(scene, order, &delegate)?,
    };
    if made.is_err() {
        release(scene, &scratch, &order.sandbox.id, order.interface)?;
    }
    Ok(made
        .map(|nic| Nic { scratch: Some(scratch), ..nic })
        .map_err(|f| format!("failed to delegate add: {f}")))
}

/// Releases what the file names; nothing when another NIC of the container has consumed the file.
pub(super) fn release(scene: &Scene, scratch: &Utf8Path, id: &str, interface: &str) -> Result<()> {
    let Some(text) = scene.node.text(scratch)? else { return Ok(()) };
    let delegate: Value = serde_json::from_str(&text).unwrap_or_default();
    host_local::release(scene, &delegate, id, interface)?;
    scene.node.remove_file(scratch)
}

fn scratch(plugin: &Value, id: &str) -> Utf8PathBuf {
    Utf8Path::new(plugin["dataDir"].as_str().unwrap_or(SCRATCH)).join(id)
}

fn delegate(plugin: &Value, settings: &HashMap<&str, &str>, network: &str) -> Value {
    let setting = |name: &str| settings.get(name).copied().unwrap_or_default();
    let subnet = setting("FLANNEL_SUBNET").parse::<ipnet::Ipv4Net>().map(|net| net.trunc().to_string());
    let mut delegate = json!({
        "type": "bridge",
        "isGateway": true,
        "ipMasq": setting("FLANNEL_IPMASQ") != "true",
        "mtu": setting("FLANNEL_MTU").parse::<u32>().unwrap_or(1450),
    });
    for (name, value) in plugin["delegate"].as_object().into_iter().flatten() {
        delegate[name] = value.clone();
    }
    let mut ipam = plugin["ipam"].as_object().cloned().map_or_else(|| json!({}), Value::Object);
    if ipam["type"].is_null() {
        ipam["type"] = "host-local".into();
    }
    ipam["ranges"] = json!([[{"subnet": subnet.unwrap_or_default()}]]);
    ipam["routes"] = json!([{"dst": setting("FLANNEL_NETWORK")}]);
    delegate["name"] = network.into();
    delegate["ipam"] = ipam;
    delegate
}
