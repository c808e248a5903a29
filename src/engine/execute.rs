//! Makes a change. Everything that kvnet does to a node or a cluster goes through here.

use std::time::Duration;

use serde_json::{Value, json};

use super::change::{Change, Outcome, TaintSpec};
use super::on_node::apply_telling;
use crate::checkpoint::reached;
use crate::cluster::{Cluster, Condition, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey};
use crate::context::Context;
use crate::context::cancel::Cancel;
use crate::context::events::{Event, Progress};
use crate::error::{Error, Result, code};

/// How long a deleted object may take to disappear.
const DELETE_TIMEOUT: Duration = Duration::from_mins(5);

/// How often a taint is tried when the node keeps changing.
const TAINT_ATTEMPTS: usize = 10;

/// Makes one change and returns what it did. Repeating a change is harmless.
pub async fn execute(cx: &Context, change: &Change, progress: Progress<'_>) -> Result<Outcome> {
    let outcome = attempt(cx, change, progress).await;
    cx.forget_nodes().await;
    outcome
}

async fn attempt(cx: &Context, change: &Change, progress: Progress<'_>) -> Result<Outcome> {
    match change {
        Change::Apply { object, .. } => apply(cx, object).await,
        Change::Delete { object } => delete(cx, object, progress).await,
        Change::Restore { object } => restore(&cx.need_cluster().await?, object).await,
        Change::Taint { node, taint, present } => {
            set_taint(&cx.need_cluster().await?, node, taint, *present).await
        }
        Change::CleanNode { node, labels, annotations, resources, conditions } => {
            let names = [labels, annotations, resources, conditions].map(Vec::as_slice);
            clean_node(&cx.need_cluster().await?, node, names).await
        }
        Change::Wait { condition, timeout, .. } => wait(cx, condition, *timeout, progress).await,
        Change::Verify { .. } => crate::verify::run(cx, progress).await.map(|()| Outcome::Transient),
        host_change => {
            let tell = |text| cx.events.report(Event::Note { step: None, warning: true, text });
            apply_telling(cx.host.as_ref(), host_change, &tell).await
        }
    }
}

async fn apply(cx: &Context, object: &Value) -> Result<Outcome> {
    let cluster = cx.need_cluster().await?;
    let live = cluster.get(&ObjectKey::of(object)).await?;
    cluster.apply(object, cx.force_conflicts).await?;
    // A cluster that the run created did not exist when it was planned.
    if let Some(text) = cluster.applied_here() {
        cx.events.report(Event::Note { step: None, warning: false, text: text.into() });
    }
    Ok(match live {
        None => Outcome::Created,
        Some(live) if is_ours(&live) => Outcome::Transient,
        Some(live) => Outcome::Replaced { before: Some(Box::new(without_status(live))) },
    })
}

/// The pre-existing object that a change is going to modify, as it is now, without its secrets.
pub async fn replaced_object(cx: &Context, change: &Change) -> Result<Option<Box<Value>>> {
    let Change::Apply { object, before: Some(_) } = change else { return Ok(None) };
    let live = cx.need_cluster().await?.get(&ObjectKey::of(object)).await?;
    Ok(live.filter(|live| !is_ours(live)).map(|live| Box::new(without_status(live))))
}

/// Whether kvnet created the object.
pub fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED_BY_LABEL] == MANAGED_BY
}

fn without_status(mut object: Value) -> Value {
    crate::redact::redact_object(&mut object);
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["managedFields", "resourceVersion", "uid", "generation", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
    object
}

/// The deletion itself is finished; the wait for the end of the object stops with the run.
async fn delete(cx: &Context, key: &ObjectKey, progress: Progress<'_>) -> Result<Outcome> {
    let cluster = cx.need_cluster().await?;
    cluster.delete(key, None).await?;
    reached(|| format!("within the deletion of {key}"));
    let gone = Condition::Gone { object: key.clone() };
    tokio::select! {
        result = cluster.wait(&gone, DELETE_TIMEOUT, progress) => result.map(|()| Outcome::Transient),
        never = cluster.end_on_absent_nodes(key) => match never {},
        () = cx.cancel.cancelled() => Err(Cancel::error("down")),
    }
}

async fn restore(cluster: &Cluster, object: &Value) -> Result<Outcome> {
    let key = ObjectKey::of(object);
    let Some(live) = cluster.get(&key).await? else { return Ok(Outcome::Adopted) };
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("resourceVersion".into(), live["metadata"]["resourceVersion"].clone());
    }
    cluster.replace(&object).await?;
    Ok(Outcome::Transient)
}

/// Adds or removes one taint. Kubelet and controllers write to nodes all the time: on a conflict the node is read
/// again.
async fn set_taint(cluster: &Cluster, node: &str, taint: &TaintSpec, present: bool) -> Result<Outcome> {
    let mut tried = false;
    for _ in 1..TAINT_ATTEMPTS {
        match set_taint_once(cluster, node, taint, present).await {
            Err(error) if error.code() == &code::CLUSTER_CONFLICT => tried = true,
            // The conflict is kvnet's own: the first attempt worked, but its answer was lost.
            Ok(Outcome::Adopted) if tried => return Ok(Outcome::Created),
            result => return result,
        }
    }
    set_taint_once(cluster, node, taint, present).await
}

/// The resource version in the patch makes a concurrent change a conflict instead of a loss.
async fn set_taint_once(cluster: &Cluster, node: &str, taint: &TaintSpec, present: bool) -> Result<Outcome> {
    let key = ObjectKey::new("v1", "Node", None, node);
    // A node that was removed has no taints.
    let Some(live) = cluster.get(&key).await? else { return Ok(Outcome::Adopted) };
    let same = |other: &Value| other["key"] == taint.key.as_str() && other["effect"] == taint.effect.as_str();
    let mut taints = live["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let was_present = taints.iter().any(same);
    if was_present == present {
        return Ok(Outcome::Adopted);
    }
    taints.retain(|other| !same(other));
    if present {
        taints.push(json!(taint));
    }
    let version = &live["metadata"]["resourceVersion"];
    // A node without taints has no list of them.
    let taints = if taints.is_empty() { Value::Null } else { taints.into() };
    cluster
        .patch_merge(&key, &json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}}))
        .await?;
    Ok(Outcome::Created)
}

/// Removes what a component left at a node. Removing what is gone already is refused, also when an earlier attempt of
/// this change did it and its answer was lost: then the node is read again.
async fn clean_node(cluster: &Cluster, node: &str, names: [&[String]; 4]) -> Result<Outcome> {
    match clean_node_once(cluster, node, names).await {
        Err(error) if error.code() == &code::CLUSTER_REJECTED => clean_node_once(cluster, node, names).await,
        result => result,
    }
}

async fn clean_node_once(
    cluster: &Cluster,
    node: &str,
    [labels, annotations, resources, conditions]: [&[String]; 4],
) -> Result<Outcome> {
    let key = ObjectKey::new("v1", "Node", None, node);
    let Some(live) = cluster.get(&key).await? else { return Ok(Outcome::Adopted) };
    if !labels.is_empty() || !annotations.is_empty() {
        let nothing = |names: &[String]| -> serde_json::Map<_, _> {
            names.iter().map(|name| (name.clone(), Value::Null)).collect()
        };
        let metadata = json!({"labels": nothing(labels), "annotations": nothing(annotations)});
        cluster.patch_merge(&key, &json!({ "metadata": metadata })).await?;
        reached(|| format!("within the cleaning of node {node}"));
    }
    let there = resources.iter().filter(|name| live["status"]["capacity"].get(name.as_str()).is_some());
    let mut removals: Vec<Value> = there
        .map(|name| json!({"op": "remove", "path": format!("/status/capacity/{}", name.replace('/', "~1"))}))
        .collect();
    removals.extend(removals_of_conditions(&live, conditions));
    if !removals.is_empty() {
        cluster.patch_status(&key, &Value::Array(removals)).await?;
    }
    Ok(Outcome::Transient)
}

/// By index, from the end of the list; each only when the type is still at that index.
fn removals_of_conditions(node: &Value, kinds: &[String]) -> Vec<Value> {
    let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let there = conditions.iter().enumerate().rev();
    there
        .filter(|(_, condition)| kinds.iter().any(|kind| condition["type"] == kind.as_str()))
        .flat_map(|(place, condition)| {
            let path = format!("/status/conditions/{place}");
            [
                json!({"op": "test", "path": format!("{path}/type"), "value": condition["type"]}),
                json!({"op": "remove", "path": path}),
            ]
        })
        .collect()
}

async fn wait(cx: &Context, condition: &Condition, timeout: u64, progress: Progress<'_>) -> Result<Outcome> {
    let timeout = Duration::from_secs(timeout);
    if let Condition::File { path } = condition {
        if !cx.host.wait_for(path, timeout).await? {
            let message = format!("waited {} s for {condition}", timeout.as_secs());
            return Err(Error::new(&code::CLUSTER_TIMEOUT, message));
        }
        return Ok(Outcome::Transient);
    }
    cx.need_cluster().await?.wait(condition, timeout, progress).await?;
    Ok(Outcome::Transient)
}
