//! Deployments: a `ReplicaSet` for each template; the newest one has the pods.

use serde_json::{Value, json};

use super::{MANAGER, pods};
use crate::error::Result;
use crate::world::objects::{
    is_controlled_by, is_leaving, items, name, number, owner_reference, set_condition, uid,
};
use crate::world::scene::{Scene, versions};

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Makes and scales the `ReplicaSets` of all Deployments, and writes their status.
pub(in crate::world) fn run(scene: &Scene) -> Result<()> {
    let sets = scene.list("apps/v1", "ReplicaSet")?;
    for deployment in scene.list("apps/v1", "Deployment")?.iter() {
        let own: Vec<&Value> = sets.iter().filter(|set| is_controlled_by(set, deployment)).collect();
        if !is_leaving(deployment) {
            let depends_on = versions([deployment].into_iter().chain(own.iter().copied()));
            scene.unless_settled(uid(deployment), depends_on, || sync(scene, deployment, &own))?;
        }
    }
    Ok(())
}

fn sync(scene: &Scene, deployment: &Value, own: &[&Value]) -> Result<()> {
    let current = format!("{}-{}", name(deployment), pods::template_hash(deployment));
    let wanted = number(deployment, "/spec/replicas").unwrap_or(1);
    match own.iter().find(|set| name(set) == current) {
        None => scene.create(MANAGER, &replica_set(deployment, &current, wanted, own.len() + 1))?,
        Some(set) => {
            scale(scene, set, wanted)?;
            // Old pods go once the new ones are ready.
            if counted(set, "readyReplicas") >= wanted {
                own.iter().filter(|old| name(old) != current).try_for_each(|old| scale(scene, old, 0))?;
            }
        }
    }
    write_status(scene, deployment, own, &current, wanted)
}

fn scale(scene: &Scene, set: &Value, wanted: i64) -> Result<()> {
    let mut scaled = set.clone();
    scaled["spec"]["replicas"] = wanted.into();
    scene.save(MANAGER, set, scaled)
}

fn replica_set(deployment: &Value, name: &str, wanted: i64, revision: usize) -> Value {
    let hash = pods::template_hash(deployment);
    let mut spec = json!({
        "replicas": wanted,
        "selector": deployment["spec"]["selector"],
        "template": deployment["spec"]["template"],
    });
    spec["selector"]["matchLabels"][HASH] = hash.as_str().into();
    spec["template"]["metadata"]["labels"][HASH] = hash.as_str().into();
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": deployment["metadata"]["namespace"],
            "labels": spec["template"]["metadata"]["labels"],
            "annotations": {
                "deployment.kubernetes.io/desired-replicas": wanted.to_string(),
                REVISION: revision.to_string(),
            },
            "ownerReferences": owner_reference(deployment, "apps/v1", "Deployment"),
        },
        "spec": spec,
    })
}

fn counted(set: &Value, field: &str) -> i64 {
    number(set, &format!("/status/{field}")).unwrap_or_default()
}

fn write_status(scene: &Scene, deployment: &Value, own: &[&Value], current: &str, wanted: i64) -> Result<()> {
    let sum = |field: &str| own.iter().map(|set| counted(set, field)).sum::<i64>();
    let newest = own.iter().find(|set| name(set) == current);
    let updated = newest.map_or(0, |set| counted(set, "replicas"));
    let ready = sum("readyReplicas");
    let mut status = json!({"observedGeneration": deployment["metadata"]["generation"]});
    for (field, number) in [
        ("replicas", sum("replicas")),
        ("updatedReplicas", updated),
        ("readyReplicas", ready),
        ("availableReplicas", ready),
        ("unavailableReplicas", wanted - ready),
    ] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    status["conditions"] = conditions(deployment, current, ready >= wanted, &scene.now()).into();
    let mut written = deployment.clone();
    written["status"] = status;
    written["metadata"]["annotations"][REVISION] = own.len().max(1).to_string().into();
    scene.save(MANAGER, deployment, written)
}

fn conditions(deployment: &Value, current: &str, complete: bool, now: &str) -> Vec<Value> {
    let mut conditions = items(deployment, "/status/conditions").to_vec();
    let (available, progressing) = if complete {
        (
            json!({"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable",
                "message": "Deployment has minimum availability."}),
            json!({"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable",
                "message": format!("ReplicaSet \"{current}\" has successfully progressed.")}),
        )
    } else {
        (
            json!({"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable",
                "message": "Deployment does not have minimum availability."}),
            json!({"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated",
                "message": format!("ReplicaSet \"{current}\" is progressing.")}),
        )
    };
    set_condition(&mut conditions, available, now);
    set_condition(&mut conditions, progressing, now);
    conditions
}
