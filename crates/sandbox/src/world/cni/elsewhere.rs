//! The networks of pods on nodes that exist only in the API.

use serde_json::{Value, json};

use super::multus_request;
use crate::error::Result;
use crate::world::objects::{items, text};
use crate::world::scene::Scene;

/// Multus' report of the secondary NICs, without addresses; the error is the first network that needs Open vSwitch, which
/// these nodes do not have.
pub(in crate::world) fn networks(scene: &Scene, pod: &Value) -> Result<Result<Vec<Value>, String>> {
    let mut made = Vec::new();
    for (number, wanted) in multus_request::of(pod).unwrap_or_default().into_iter().enumerate() {
        let kind = "NetworkAttachmentDefinition";
        let found = scene.get("k8s.cni.cncf.io/v1", kind, Some(&wanted.namespace), &wanted.name)?;
        let config = found.map(|found| text(&found, "/spec/config").to_owned()).unwrap_or_default();
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let plugins = items(&config, "/plugins").iter().chain([&config]);
        if plugins.into_iter().any(|plugin| plugin["type"] == "ovs") {
            return Ok(Err(wanted.name));
        }
        let interface = Some(wanted.interface).filter(|name| !name.is_empty());
        let interface = interface.unwrap_or_else(|| format!("net{}", number + 1));
        let name = format!("{}/{}", wanted.namespace, wanted.name);
        made.push(json!({"name": name, "interface": interface, "dns": {}}));
    }
    Ok(Ok(made))
}
