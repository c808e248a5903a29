//! On a cluster with nodes that kvnet does not reach: what cannot work there is refused, or pinned to this node.

use serde_json::{Value, json};

use super::ovs_cni::MARKER_DOMAIN;
use crate::context::Context;
use crate::context::target::schedulable_elsewhere;
use crate::error::{Error, Result, code};
use crate::profile::{Network, Placement, Profile};

/// The label that kubelets give nodes.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Refuses networks that would break on schedulable nodes that kvnet does not reach: a bridge that they lack, addresses
/// that every node gives out by itself.
pub(super) async fn refuse_unreached(cx: &Context) -> Result<()> {
    if cx.profile.cluster.placement != Placement::Any {
        return Ok(());
    }
    let nodes = cx.nodes().await?;
    let own = cx.this_node().await;
    let others = schedulable_elsewhere(&nodes, own.as_deref(), &cx.profile.cluster.remove_taints);
    match others.iter().find_map(|node| Some((*node, trouble(&cx.profile, node)?))) {
        Some((node, why)) => {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            let message = format!("node {name} is schedulable, and kvnet does not reach it");
            Err(Error::new(&code::NODES_UNREACHED, message).because(why))
        }
        None => Ok(()),
    }
}

/// What would go wrong with the profile's networks on a node.
fn trouble(profile: &Profile, node: &Value) -> Option<String> {
    profile.networks.iter().find_map(|network| {
        let (name, lacks) = (&network.name, lacking_bridge(profile, network, node));
        if let Some(bridge) = lacks {
            return Some(format!("network {name} needs bridge {bridge}, which the node does not have"));
        }
        gives_addresses(network)
            .then(|| format!("network {name} uses host-local: the node gives out the same addresses again"))
    })
}

fn lacking_bridge<'a>(profile: &'a Profile, network: &Network, node: &Value) -> Option<&'a str> {
    let port = network.netconf().port()?;
    let ours = profile.ovs.bridges.iter().find(|own| own.name == port.bridge)?;
    let offered = node["status"]["capacity"].get(format!("{MARKER_DOMAIN}{}", ours.name)).is_some();
    (!offered).then_some(&ours.name)
}

fn gives_addresses(network: &Network) -> bool {
    network.netconf().ipam().is_some_and(|ipam| ipam.kind == "host-local")
}

/// Pins workloads to this node when the profile says so: their pods, and those of a virtual machine.
/// Fails with `KVN510` when this machine is not a node of the cluster.
pub(super) async fn keep_here(cx: &Context, objects: &mut [Value]) -> Result<()> {
    if cx.profile.cluster.placement == Placement::Any {
        return Ok(());
    }
    if cx.cluster().await.is_none() {
        return Ok(());
    }
    let Some(name) = cx.this_node().await else {
        let message = "`cluster.placement: this-node` only works on a node of the cluster";
        return Err(Error::new(&code::NOT_A_NODE, message));
    };
    let nodes = cx.nodes().await?;
    let node = nodes.iter().find(|node| node["metadata"]["name"].as_str() == Some(&name));
    let host = node.and_then(|node| node["metadata"]["labels"][HOSTNAME].as_str()).unwrap_or(&name);
    for object in objects {
        keep(object, host);
    }
    Ok(())
}

fn keep(object: &mut Value, host: &str) {
    let spec = match object["kind"].as_str() {
        Some("DaemonSet" | "VirtualMachine") => object.pointer_mut("/spec/template/spec"),
        Some("VirtualMachineInstance") => object.pointer_mut("/spec"),
        _ => None,
    };
    if let Some(spec) = spec.and_then(Value::as_object_mut) {
        let selector = spec.entry("nodeSelector").or_insert_with(|| json!({}));
        selector[HOSTNAME] = host.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    #[test]
    fn a_node_without_the_bridge_and_one_that_gives_addresses_again_are_trouble() {
        let load = |text: &str| profile::load_text(text, "t.yaml", &[]).unwrap().profile;
        let bare = json!({"metadata": {"name": "n2"}});
        let with = json!({"metadata": {"name": "n2"}, "status": {"capacity": {"ovs-cni.network.kubevirt.io/blue": "1k"}}});
        let layer2 =
            "extends: default\nnetworks: [{name: l2, kind: ovs, bridge: blue}]\nvm: {enabled: false}\n";
        assert_eq!(
            trouble(&load(layer2), &bare).unwrap(),
            "network l2 needs bridge blue, which the node does not have"
        );
        assert_eq!(trouble(&load(layer2), &with), None);
        let addressed = layer2.replace("bridge: blue}", "bridge: blue, ipam: {subnet: 10.20.0.0/24}}");
        assert!(trouble(&load(&addressed), &with).unwrap().contains("gives out the same addresses again"));
    }

    #[test]
    fn pods_and_machines_are_kept_to_a_node_and_what_they_select_stays() {
        let mut objects = [
            json!({"kind": "DaemonSet", "spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}}}}}),
            json!({"kind": "VirtualMachine", "spec": {"template": {"spec": {}}}}),
            json!({"kind": "ConfigMap"}),
        ];
        for object in &mut objects {
            keep(object, "n1");
        }
        let selector = |object: &Value| object["spec"]["template"]["spec"]["nodeSelector"].clone();
        assert_eq!(
            selector(&objects[0]),
            json!({"kubernetes.io/os": "linux", "kubernetes.io/hostname": "n1"})
        );
        assert_eq!(selector(&objects[1]), json!({"kubernetes.io/hostname": "n1"}));
        assert_eq!(objects[2], json!({"kind": "ConfigMap"}));
    }
}
