//! The networks of pods on nodes that exist only in the API.

use serde_json::{Value, json};

use super::nics::Sandbox;
use super::runtime::Failure;
use super::whereabouts::Owner;
use super::{NO_DATABASE, multus_request, whereabouts};
use crate::error::Result;
use crate::world::objects::{hex, items, name, namespace, text, uid};
use crate::world::scene::Scene;

/// A network that fails, and why.
type Failed = (String, Failure);

/// The id of a pod's sandbox.
pub(in crate::world) fn id(pod: &Value) -> String {
    hex(uid(pod), 64)
}

/// Releases what pods that are gone have of the cluster's addresses: a pod of these nodes may go without a last sight.
pub(in crate::world) fn release(scene: &Scene, pods: &[Value]) -> Result<()> {
    let here = Sandbox::all(scene)?.into_iter().map(|sandbox| sandbox.id);
    whereabouts::release_others(scene, &pods.iter().map(id).chain(here).collect())
}

/// Multus' report of the secondary NICs, with addresses where the whole cluster gives them out; the error is the first
/// network that fails: one that needs Open vSwitch, which these nodes do not have, or that has no address left.
pub(in crate::world) fn networks(scene: &Scene, pod: &Value) -> Result<Result<Vec<Value>, Failed>> {
    let mut made = Vec::new();
    for (number, wanted) in multus_request::of(pod).unwrap_or_default().into_iter().enumerate() {
        let kind = "NetworkAttachmentDefinition";
        let found = scene.get("k8s.cni.cncf.io/v1", kind, Some(&wanted.namespace), &wanted.name)?;
        let config = found.map(|found| text(&found, "/spec/config").to_owned()).unwrap_or_default();
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let plugins: Vec<&Value> = items(&config, "/plugins").iter().chain([&config]).collect();
        if plugins.iter().any(|plugin| plugin["type"] == "ovs") {
            return Ok(Err((wanted.name, NO_DATABASE.to_owned())));
        }
        let interface = Some(wanted.interface).filter(|name| !name.is_empty());
        let interface = interface.unwrap_or_else(|| format!("net{}", number + 1));
        let network = format!("{}/{}", wanted.namespace, wanted.name);
        let mut report = json!({"name": network, "interface": interface, "dns": {}});
        for plugin in plugins.iter().filter(|plugin| plugin["ipam"]["type"] == "whereabouts") {
            let (id, pod) = (id(pod), format!("{}/{}", namespace(pod), name(pod)));
            let owner = Owner { id: &id, pod, interface: &interface };
            match whereabouts::take(scene, &plugin["ipam"], &owner)? {
                Ok(given) => {
                    report["ips"] = given.iter().map(|(address, _)| address.addr().to_string()).collect();
                }
                Err(failure) => return Ok(Err((wanted.name, failure))),
            }
        }
        made.push(report);
    }
    Ok(Ok(made))
}
