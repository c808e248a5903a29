//! The kubelets of other nodes, which exist only in the API: no files, no commands, no Open vSwitch. Their pods get an
//! address from their node's podCIDR, and start unless they need a switch.

use serde_json::{Value, json};

use super::containers::{ContainerState, Stage};
use super::{KUBELET, MIRROR, failed_sandbox, status};
use crate::error::Result;
use crate::world::cni::elsewhere;
use crate::world::cni::nics::{Nic, Sandbox};
use crate::world::objects::{is_leaving, is_true, items, name, namespace, text, uid};
use crate::world::programs;
use crate::world::scene::Scene;

/// Advances every pod of other nodes by one step.
pub(super) fn run(scene: &Scene, pods: &[Value], own: &str) -> Result<()> {
    // An unreachable node does nothing.
    let lives = |node: &&Value| name(node) != own && is_true(node, "Ready");
    for node in scene.nodes()?.iter().filter(lives) {
        let here = pods.iter().filter(|pod| text(pod, "/spec/nodeName") == name(node));
        for pod in here.filter(|pod| pod["metadata"]["annotations"][MIRROR].is_null()) {
            if is_leaving(pod) {
                scene.forget(pod)?;
            } else if !is_true(pod, "Ready") {
                sync(scene, pod, node)?;
            }
        }
    }
    elsewhere::release(scene, pods)
}

fn sync(scene: &Scene, pod: &Value, node: &Value) -> Result<()> {
    if ["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
        return Ok(());
    }
    let mut sandbox = Sandbox {
        id: elsewhere::id(pod),
        uid: uid(pod).into(),
        spec: pod["spec"].clone(),
        ..Sandbox::default()
    };
    let networks = match elsewhere::networks(scene, pod)? {
        Ok(networks) => networks,
        Err((network, failure)) => {
            let (space, pod_name, id) = (namespace(pod), name(pod), uid(pod));
            let failure = format!(
                "[{space}/{pod_name}/{id}:{network}]: error adding container to network \"{network}\": {failure}"
            );
            let message = failed_sandbox(scene, pod, &sandbox, "multus-cni-network", &failure);
            scene.event(pod, KUBELET, "Warning", "FailedCreatePodSandBox", &message)?;
            let waiting = Stage::waiting(pod, "ContainerCreating");
            return scene.save(KUBELET, pod, status::written(scene, pod, node, None, &waiting));
        }
    };
    if !sandbox.is_on_host() {
        // List again: another pod of this round may have taken one.
        sandbox.nics = vec![first(&scene.list("v1", "Pod")?, node)];
    }
    let mut written = status::written(scene, pod, node, Some(&sandbox), &stage(pod));
    if !networks.is_empty() {
        let address = text(&written, "/status/podIP").to_owned();
        let first =
            json!({"name": "cbr0", "interface": "eth0", "ips": [address], "default": true, "dns": {}});
        let all: Vec<Value> = [first].into_iter().chain(networks).collect();
        written["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] =
            Value::from(all).to_string().into();
    }
    offer(scene, pod, node)?;
    scene.save(KUBELET, pod, written)
}

/// Programs run without effects on the node, except the marker, which fails without a switch.
fn stage(pod: &Value) -> Stage {
    let state = |container: &Value| {
        if programs::needs_switch(container) {
            ContainerState::Failed("Failed to connect to Open vSwitch".into())
        } else {
            ContainerState::Running { ready: true }
        }
    };
    Stage {
        preparing: items(pod, "/spec/initContainers").iter().map(|_| ContainerState::Done).collect(),
        staying: items(pod, "/spec/containers").iter().map(state).collect(),
    }
}

/// A NIC with the next address in the node's podCIDR.
fn first(pods: &[Value], node: &Value) -> Nic {
    let subnet = text(node, "/spec/podCIDR").parse::<ipnet::Ipv4Net>().ok();
    let is_free = |address: &std::net::Ipv4Addr| {
        let address = address.to_string();
        !pods.iter().any(|pod| text(pod, "/status/podIP") == address)
    };
    let address = subnet.and_then(|subnet| subnet.hosts().skip(1).find(is_free));
    let address = address.and_then(|address| ipnet::Ipv4Net::new(address, 24).ok());
    Nic {
        name: "eth0".into(),
        addresses: address.into_iter().map(ipnet::IpNet::V4).collect(),
        ..Nic::default()
    }
}

/// With a handler there, virtual machines may be placed on the node.
fn offer(scene: &Scene, pod: &Value, node: &Value) -> Result<()> {
    if pod["metadata"]["labels"]["kubevirt.io"] != "virt-handler" {
        return Ok(());
    }
    let mut written = node.clone();
    written["metadata"]["labels"]["kubevirt.io/schedulable"] = "true".into();
    scene.save("virt-handler", node, written)
}
