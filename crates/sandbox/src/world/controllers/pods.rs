//! Pods that controllers make from templates.

use serde_json::{Value, json};

use super::MANAGER;
use crate::error::Result;
use crate::world::objects::{
    is_controlled_by, is_leaving, is_true, name, namespace, owner_reference, suffix,
};
use crate::world::scene::Scene;

/// Makes the next pod of an owner: the template with more labels.
pub(super) fn create(
    scene: &Scene,
    owner: &Value,
    api_version: &str,
    kind: &str,
    labels: &Value,
    spec: &Value,
) -> Result<()> {
    let template = &owner["spec"]["template"]["metadata"];
    let mut all = template["labels"].as_object().cloned().unwrap_or_default();
    all.extend(labels.as_object().cloned().unwrap_or_default());
    let (place, base) = (namespace(owner), name(owner));
    let number = scene.count(&format!("{kind}/{place}/{base}"))?;
    let pod = format!("{base}-{}", suffix(&format!("{kind}/{place}/{base}/{number}"), 5));
    let mut metadata = json!({
        "name": pod,
        "generateName": format!("{base}-"),
        "namespace": place,
        "labels": all,
        "ownerReferences": owner_reference(owner, api_version, kind),
    });
    if template["annotations"].is_object() {
        metadata["annotations"] = template["annotations"].clone();
    }
    scene.create(MANAGER, &json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))?;
    scene.event(owner, MANAGER, "Normal", "SuccessfulCreate", &format!("Created pod: {pod}"))
}

/// The pods that an owner controls.
pub(super) fn of<'a>(owner: &'a Value, pods: &'a [Value]) -> impl Iterator<Item = &'a Value> {
    pods.iter().filter(|pod| is_controlled_by(pod, owner))
}

/// Whether a pod is Ready and not terminating.
pub(super) fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready") && !is_leaving(pod)
}

/// What distinguishes one template from another.
pub(super) fn template_hash(owner: &Value) -> String {
    suffix(&owner["spec"]["template"].to_string(), 10)
}
