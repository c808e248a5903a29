//! flannel's plugin: the plugin `bridge` with the node's part of the pod subnet.

use std::collections::HashMap;

use camino::Utf8Path;
use serde_json::{Value, json};

use super::nics::Nic;
use super::plugins::{self, Order};
use super::runtime::Failure;
use crate::error::Result;
use crate::sandbox::world::scene::Scene;

/// What flanneld writes when the node has its part of the subnet.
pub(in crate::sandbox::world) const SUBNET: &str = "/run/flannel/subnet.env";
const SCRATCH: &str = "/var/lib/cni/flannel";

/// Makes the NIC, and the file that the removal goes by: one for each pod, whatever number of NICs it has.
pub(super) fn add(scene: &Scene, order: &Order<'_>, plugin: &Value) -> Result<Result<Nic, Failure>> {
    let Some(text) = scene.node.text(SUBNET)? else {
        return Ok(Err(format!("loadFlannelSubnetEnv failed: open {SUBNET}: no such file or directory")));
    };
    let settings: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let delegate = delegate(&plugin["delegate"], &settings, order.network);
    let scratch = Utf8Path::new(SCRATCH).join(&order.sandbox.id);
    scene.node.put_file(&scratch, delegate.to_string().as_bytes(), 0o600)?;
    let made = plugins::bridge(scene, order, &delegate)?;
    Ok(made.map(|nic| Nic { scratch: Some(scratch), ..nic }))
}

fn delegate(given: &Value, settings: &HashMap<&str, &str>, network: &str) -> Value {
    let setting = |name: &str| settings.get(name).copied().unwrap_or_default();
    let subnet = setting("FLANNEL_SUBNET").parse::<ipnet::Ipv4Net>().map(|net| net.trunc().to_string());
    let mut delegate = json!({
        "cniVersion": "0.3.1",
        "name": network,
        "type": "bridge",
        "isGateway": true,
        "ipMasq": setting("FLANNEL_IPMASQ") != "true",
        "mtu": setting("FLANNEL_MTU").parse::<u32>().unwrap_or(1450),
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": subnet.unwrap_or_default()}]],
            "routes": [{"dst": setting("FLANNEL_NETWORK")}],
        },
    });
    for (name, value) in given.as_object().into_iter().flatten() {
        delegate[name] = value.clone();
    }
    delegate
}
