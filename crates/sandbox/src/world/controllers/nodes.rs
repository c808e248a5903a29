//! The node's own object: its Ready condition, and the resulting taint.

use serde_json::{Value, json};

use super::MANAGER;
use crate::error::Result;
use crate::world::cni::runtime;
use crate::world::objects::{is_true, items, name, set_condition};
use crate::world::scene::Scene;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// containerd's message while it has no network configuration.
const NO_NETWORK: &str = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady \
                          message:Network plugin returns error: cni plugin not initialized";

/// Writes the condition and the taint.
pub(in crate::world) fn run(scene: &Scene) -> Result<()> {
    let Some(node) = scene.own_node()? else { return Ok(()) };
    let mut written = node.clone();
    let ready = runtime::is_ready(scene)?;
    let mut conditions = items(&node, "/status/conditions").to_vec();
    set_condition(&mut conditions, condition(ready, &scene.now(), &node), &scene.now());
    written["status"]["conditions"] = conditions.into();
    if ready && !is_true(&node, "Ready") {
        let message = format!("Node {} status is now: NodeReady", name(&node));
        scene.event(&node, "kubelet", "Normal", "NodeReady", &message)?;
    }
    // In 2018 the scheduler looked at the condition itself.
    copy_resources(&mut written["status"]);
    set_taint(&mut written, !ready && !scene.is_old());
    scene.save(MANAGER, &node, written)
}

/// The heartbeat is that of the last change: with a ticking clock the world would never converge.
fn condition(ready: bool, now: &str, node: &Value) -> Value {
    let before = items(node, "/status/conditions").iter().find(|condition| condition["type"] == "Ready");
    let status = if ready { "True" } else { "False" };
    let heartbeat = match before.filter(|before| before["status"] == status) {
        Some(before) => before["lastHeartbeatTime"].clone(),
        None => now.into(),
    };
    let (reason, message) = if ready {
        ("KubeletReady", "kubelet is posting ready status")
    } else {
        ("KubeletNotReady", NO_NETWORK)
    };
    json!({"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat, "reason": reason, "message": message})
}

/// Mirrors resources that others publish in the capacity to the allocatable ones.
fn copy_resources(status: &mut Value) {
    let is_extended = |name: &str| name.contains('/');
    let capacity = status["capacity"].as_object().cloned().unwrap_or_default();
    let Some(allocatable) = status["allocatable"].as_object_mut() else { return };
    allocatable.retain(|name, _| !is_extended(name) || capacity.contains_key(name));
    for (name, amount) in capacity.iter().filter(|(name, _)| is_extended(name)) {
        allocatable.insert(name.clone(), amount.clone());
    }
}

fn set_taint(node: &mut Value, present: bool) {
    let taints = items(node, "/spec/taints");
    let is_ours = |taint: &Value| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule";
    if taints.iter().any(is_ours) == present {
        return;
    }
    let mut taints: Vec<Value> = taints.iter().filter(|taint| !is_ours(taint)).cloned().collect();
    if present {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
    match node["spec"].as_object_mut() {
        Some(spec) if taints.is_empty() => _ = spec.shift_remove("taints"),
        _ => node["spec"]["taints"] = taints.into(),
    }
}
