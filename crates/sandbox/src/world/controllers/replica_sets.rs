//! `ReplicaSets`: the desired number of pods from one template.

use serde_json::{Value, json};

use super::{MANAGER, pods};
use crate::error::Result;
use crate::world::objects::{is_leaving, number, uid};
use crate::world::scene::{Scene, versions};

/// Creates and deletes the pods of all `ReplicaSets`, and writes their status.
pub(in crate::world) fn run(scene: &Scene) -> Result<()> {
    let all = scene.list("v1", "Pod")?;
    for set in scene.list("apps/v1", "ReplicaSet")?.iter() {
        let staying: Vec<&Value> = pods::of(set, &all).filter(|pod| !is_leaving(pod)).collect();
        if !is_leaving(set) {
            let depends_on = versions([set].into_iter().chain(staying.iter().copied()));
            scene.unless_settled(uid(set), depends_on, || sync(scene, set, &staying))?;
        }
    }
    Ok(())
}

fn sync(scene: &Scene, set: &Value, staying: &[&Value]) -> Result<()> {
    let wanted = usize::try_from(number(set, "/spec/replicas").unwrap_or(1)).unwrap_or_default();
    for _ in staying.len()..wanted {
        let spec = set["spec"]["template"]["spec"].clone();
        pods::create(scene, set, "apps/v1", "ReplicaSet", &json!({}), &spec)?;
    }
    staying.iter().skip(wanted).try_for_each(|pod| scene.delete(pod))?;
    let ready = staying.iter().filter(|pod| pods::is_ready(pod)).count();
    let mut status = json!({"replicas": staying.len(), "observedGeneration": set["metadata"]["generation"]});
    for (field, number) in
        [("fullyLabeledReplicas", staying.len()), ("readyReplicas", ready), ("availableReplicas", ready)]
    {
        if number > 0 {
            status[field] = number.into();
        }
    }
    let mut written = set.clone();
    written["status"] = status;
    scene.save(MANAGER, set, written)
}
