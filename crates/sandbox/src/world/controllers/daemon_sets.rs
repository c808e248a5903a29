//! DaemonSets: one pod on each eligible node.

use serde_json::{Map, Value, json};

use super::{MANAGER, pods, scheduler};
use crate::error::Result;
use crate::formats::object::untolerated;
use crate::world::objects::{is_leaving, items, name, number, owner_reference, text, uid};
use crate::world::scene::{Scene, label, versions};

const HASH: &str = "controller-revision-hash";
/// The taints that every daemon tolerates: effect and key.
const TOLERATED: [(&str, &str); 7] = [
    ("NoExecute", "node.kubernetes.io/not-ready"),
    ("NoExecute", "node.kubernetes.io/unreachable"),
    ("NoSchedule", "node.kubernetes.io/disk-pressure"),
    ("NoSchedule", "node.kubernetes.io/memory-pressure"),
    ("NoSchedule", "node.kubernetes.io/pid-pressure"),
    ("NoSchedule", "node.kubernetes.io/unschedulable"),
    ("NoSchedule", "node.kubernetes.io/network-unavailable"),
];

/// Creates, replaces and deletes the pods of all DaemonSets, and writes their status.
pub(in crate::world) fn run(scene: &Scene) -> Result<()> {
    let nodes = scene.nodes()?;
    let all = scene.list("v1", "Pod")?;
    let place = |node: &Value| format!("{}{}", node["metadata"]["labels"], node["spec"]);
    let places = nodes.iter().map(place).collect::<Vec<_>>().concat();
    for set in scene.list("apps/v1", "DaemonSet")?.iter() {
        let own: Vec<&Value> = pods::of(set, &all).collect();
        if !is_leaving(set) {
            let depends_on = versions([set].into_iter().chain(own.iter().copied())) + &places;
            scene.unless_settled(uid(set), depends_on, || sync(scene, set, &own, &nodes))?;
        }
    }
    Ok(())
}

fn sync(scene: &Scene, set: &Value, own: &[&Value], nodes: &[Value]) -> Result<()> {
    let mut wanted = 0;
    for node in nodes {
        let here: Vec<&Value> = own.iter().filter(|pod| place_of(pod) == name(node)).copied().collect();
        wanted += i64::from(sync_node(scene, set, &here, node)?);
    }
    write_status(scene, set, own, wanted)
}

/// The node that a pod is of, also while it is not scheduled yet.
fn place_of(pod: &Value) -> &str {
    let terms =
        "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    match text(pod, "/spec/nodeName") {
        "" => text(pod, &format!("{terms}/0/matchFields/0/values/0")),
        name => name,
    }
}

/// Reconciles one node; returns whether the node should have a pod.
fn sync_node(scene: &Scene, set: &Value, own: &[&Value], node: &Value) -> Result<bool> {
    let spec = pod_spec(set, name(node));
    let wanted = takes(&spec, node);
    let hash = pods::template_hash(set);
    let staying: Vec<&&Value> = own.iter().filter(|pod| !is_leaving(pod)).collect();
    if wanted && own.is_empty() {
        keep_revision(scene, set, &hash)?;
        let templates = &set["spec"]["templateGeneration"];
        let generation =
            if templates.is_null() { &set["metadata"]["generation"] } else { templates }.to_string();
        let labels = json!({HASH: hash, "pod-template-generation": generation});
        pods::create(scene, set, "apps/v1", "DaemonSet", &labels, &bound(scene, spec, node))?;
    } else if let Some(old) =
        staying.iter().find(|pod| must_go(pod, node) || (label(pod, HASH) != hash && rolls(set)))
    {
        scene.delete(old)?;
    }
    Ok(wanted)
}

fn rolls(set: &Value) -> bool {
    text(set, "/spec/updateStrategy/type") != "OnDelete"
}

/// The controller's own check of the node: it does not ask the scheduler.
fn takes(spec: &Value, node: &Value) -> bool {
    scheduler::fits(spec, node) && untolerated(node, items(spec, "/tolerations")).next().is_none()
}

/// A running pod is only removed when the node changes or evicts it.
fn must_go(pod: &Value, node: &Value) -> bool {
    let mut driving = node.clone();
    let taints = items(node, "/spec/taints").iter().filter(|taint| taint["effect"] == "NoExecute");
    driving["spec"]["taints"] = taints.cloned().collect();
    !takes(&pod["spec"], &driving)
}

/// In 2018 the controller placed the pods itself.
fn bound(scene: &Scene, mut spec: Value, node: &Value) -> Value {
    if scene.is_old() {
        spec["nodeName"] = node["metadata"]["name"].clone();
    }
    spec
}

/// The template, bound to the node by its name.
fn pod_spec(set: &Value, node: &str) -> Value {
    let mut spec = set["spec"]["template"]["spec"].clone();
    let field = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let mut term = Map::new();
    let terms = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    if let Some(expressions) = items(&spec, terms).first().and_then(|term| term.get("matchExpressions")) {
        term.insert("matchExpressions".into(), expressions.clone());
    }
    term.insert("matchFields".into(), json!([field]));
    spec["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        {"nodeSelectorTerms": [term]}}});
    let mut tolerations = items(&spec, "/tolerations").to_vec();
    tolerations
        .extend(TOLERATED.map(|(effect, key)| json!({"key": key, "operator": "Exists", "effect": effect})));
    spec["tolerations"] = tolerations.into();
    spec
}

/// Every template that pods were made from is kept as an object.
fn keep_revision(scene: &Scene, set: &Value, hash: &str) -> Result<()> {
    let mut labels = set["spec"]["template"]["metadata"]["labels"].clone();
    labels[HASH] = hash.into();
    scene.create(
        MANAGER,
        &json!({
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": format!("{}-{hash}", name(set)),
                "namespace": set["metadata"]["namespace"],
                "labels": labels,
                "ownerReferences": owner_reference(set, "apps/v1", "DaemonSet"),
            },
            "data": {"spec": {"template": set["spec"]["template"]}},
            "revision": number(set, "/metadata/generation").unwrap_or(1),
        }),
    )
}

fn write_status(scene: &Scene, set: &Value, own: &[&Value], wanted: i64) -> Result<()> {
    let hash = pods::template_hash(set);
    let count = |fits: &dyn Fn(&Value) -> bool| {
        wanted.min(i64::try_from(own.iter().filter(|pod| fits(pod)).count()).unwrap_or(i64::MAX))
    };
    let ready = count(&pods::is_ready);
    let mut status = json!({
        "currentNumberScheduled": count(&|_| true),
        "desiredNumberScheduled": wanted,
        "numberMisscheduled": 0,
        "numberReady": ready,
        "observedGeneration": set["metadata"]["generation"],
    });
    for (field, number) in [
        ("updatedNumberScheduled", count(&|pod| label(pod, HASH) == hash)),
        ("numberAvailable", ready),
        ("numberUnavailable", wanted - ready),
    ] {
        if number > 0 {
            status[field] = number.into();
        }
    }
    let mut written = set.clone();
    written["status"] = status;
    scene.save(MANAGER, set, written)
}
