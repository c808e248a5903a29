//! Which pods the node takes.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::error::Result;
use crate::sandbox::world::objects::{holds, is_leaving, is_true, items, name, set_condition, text};
use crate::sandbox::world::scene::Scene;

const SCHEDULER: &str = "default-scheduler";

/// Gives the nodes the pods that they take, and says of the others why none does.
pub(in crate::sandbox::world) fn run(scene: &Scene) -> Result<()> {
    let nodes = scene.nodes()?;
    let pods = scene.list("v1", "Pod")?;
    let mut load: HashMap<&str, usize> = HashMap::new();
    for pod in pods.iter().filter(|pod| !["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))) {
        *load.entry(text(pod, "/spec/nodeName")).or_default() += 1;
    }
    for pod in pods.iter().filter(|pod| text(pod, "/spec/nodeName").is_empty() && !is_leaving(pod)) {
        let has_room = |node: &&Value| load.get(name(node)).is_none_or(|load| *load < most(node));
        let fitting = nodes.iter().filter(|node| because(scene, &pod["spec"], node).is_none());
        let node = fitting.filter(has_room).min_by_key(|node| load.get(name(node)).copied());
        if let Some(node) = node {
            *load.entry(name(node)).or_default() += 1;
        }
        place(scene, pod, node, &nodes)?;
    }
    Ok(())
}

/// How many pods a node takes.
fn most(node: &Value) -> usize {
    text(node, "/status/allocatable/pods").parse().unwrap_or(usize::MAX)
}

fn because(scene: &Scene, spec: &Value, node: &Value) -> Option<&'static str> {
    // In 2018 the scheduler looked at the condition itself.
    if scene.is_old() && !is_true(node, "Ready") {
        return Some("were not ready");
    }
    refusal(spec, node)
}

/// What the scheduler says of nodes of which none takes a pod.
fn unschedulable(scene: &Scene, spec: &Value, nodes: &[Value]) -> String {
    let count = nodes.len();
    if count == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for reason in nodes.iter().filter_map(|node| because(scene, spec, node)) {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, times)) => *times += 1,
            None => reasons.push((reason, 1)),
        }
    }
    reasons.sort_unstable();
    let full = count - reasons.iter().map(|(_, times)| times).sum::<usize>();
    let mut reasons: Vec<String> =
        reasons.iter().map(|(reason, times)| format!("{times} node(s) {reason}")).collect();
    if full > 0 {
        reasons.insert(0, format!("{full} Too many pods"));
    }
    let told = format!("0/{count} nodes are available: {}.", reasons.join(", "));
    if scene.is_old() {
        return told;
    }
    format!(
        "{told} no new claims to deallocate, preemption: 0/{count} nodes are available: {count} Preemption is not helpful for scheduling."
    )
}

fn place(scene: &Scene, pod: &Value, node: Option<&Value>, nodes: &[Value]) -> Result<()> {
    let refusal = node.is_none().then(|| unschedulable(scene, &pod["spec"], nodes));
    let mut placed = pod.clone();
    let mut conditions = items(pod, "/status/conditions").to_vec();
    let mut condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null});
    if let Some(message) = &refusal {
        condition = json!({"type": "PodScheduled", "status": "False", "lastProbeTime": null,
            "reason": "Unschedulable", "message": message});
        scene.event(pod, SCHEDULER, "Warning", "FailedScheduling", message)?;
    } else if let Some(node) = node {
        placed["spec"]["nodeName"] = node["metadata"]["name"].clone();
        let (space, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        let message = format!("Successfully assigned {space}/{name} to {}", text(node, "/metadata/name"));
        scene.event(pod, SCHEDULER, "Normal", "Scheduled", &message)?;
    }
    set_condition(&mut conditions, condition, &scene.now());
    placed["status"]["conditions"] = conditions.into();
    placed["status"]["phase"] = "Pending".into();
    scene.save(SCHEDULER, pod, placed)
}

/// Why a node does not take a pod with this `spec`; none when it does. Cpu and memory are not counted.
fn refusal(spec: &Value, node: &Value) -> Option<&'static str> {
    if !fits(spec, node) {
        return Some("didn't match Pod's node affinity/selector");
    }
    if untolerated(items(spec, "/tolerations"), node).is_some() {
        return Some("had untolerated taint(s)");
    }
    (node["spec"]["unschedulable"] == true).then_some("were unschedulable")
}

/// Whether the node has the labels that a pod asks for.
pub(in crate::sandbox::world) fn fits(spec: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selector = spec["nodeSelector"].as_object();
    let selected = selector.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let terms = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";
    let terms = items(spec, terms);
    selected && (terms.is_empty() || terms.iter().any(|term| term_fits(term, node)))
}

fn term_fits(term: &Value, node: &Value) -> bool {
    let fields = json!({"metadata.name": node["metadata"]["name"]});
    items(term, "/matchExpressions").iter().all(|expression| holds(expression, &node["metadata"]["labels"]))
        && items(term, "/matchFields").iter().all(|expression| holds(expression, &fields))
}

/// The first taint that keeps pods with these tolerations off a node.
pub(in crate::sandbox::world) fn untolerated<'a>(
    tolerations: &[Value],
    node: &'a Value,
) -> Option<&'a Value> {
    let keeps_off = |taint: &&Value| text(taint, "/effect") != "PreferNoSchedule";
    let tolerated = |taint: &Value| tolerations.iter().any(|toleration| tolerates(toleration, taint));
    items(node, "/spec/taints").iter().filter(keeps_off).find(|taint| !tolerated(taint))
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let field = |name: &str| text(toleration, name);
    let exists = field("/operator") == "Exists";
    let effect = field("/effect").is_empty() || field("/effect") == text(taint, "/effect");
    let key = field("/key") == text(taint, "/key") || (exists && field("/key").is_empty());
    effect && key && (exists || field("/value") == text(taint, "/value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: &Value) -> Value {
        json!({"metadata": {"name": "n", "labels": {"os": "linux"}}, "spec": {"taints": taints}})
    }

    #[test]
    fn a_taint_needs_a_toleration() {
        let tainted = node(&json!([{"key": "role", "effect": "NoSchedule"}]));
        for (toleration, fits) in [
            (json!({"operator": "Exists"}), true),
            (json!({"operator": "Exists", "effect": "NoExecute"}), false),
            (json!({"key": "role", "operator": "Exists", "effect": "NoSchedule"}), true),
            (json!({"key": "role"}), true),
            (json!({"key": "role", "value": "x"}), false),
            (json!({"key": "other", "operator": "Exists"}), false),
        ] {
            let spec = json!({"tolerations": [toleration]});
            assert_eq!(refusal(&spec, &tainted).is_none(), fits, "{spec}");
        }
        let preferred = node(&json!([{"key": "role", "effect": "PreferNoSchedule"}]));
        assert_eq!(refusal(&json!({}), &preferred), None);
    }

    #[test]
    fn labels_and_names_are_looked_at() {
        let affinity = |term: Value| {
            json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
                {"nodeSelectorTerms": [term]}}}})
        };
        let named = |name: &str| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]});
        for (spec, fits) in [
            (json!({"nodeSelector": {"os": "linux"}}), true),
            (json!({"nodeSelector": {"os": "other"}}), false),
            (affinity(json!({"matchExpressions": [{"key": "os", "operator": "Exists"}]})), true),
            (affinity(named("n")), true),
            (affinity(named("m")), false),
        ] {
            assert_eq!(refusal(&spec, &node(&json!([]))).is_none(), fits, "{spec}");
        }
    }
}
