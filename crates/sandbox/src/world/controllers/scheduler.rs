//! The scheduler.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

use crate::error::Result;
use crate::formats::object::untolerated;
use crate::world::objects::{holds, is_leaving, is_true, items, name, set_condition, text};
use crate::world::scene::Scene;

const SCHEDULER: &str = "default-scheduler";

/// Binds pods to nodes, and records why the others are unschedulable.
pub(in crate::world) fn run(scene: &Scene) -> Result<()> {
    let nodes = scene.nodes()?;
    let pods = scene.list("v1", "Pod")?;
    let mut load = Load::default();
    for pod in pods.iter().filter(|pod| !["Succeeded", "Failed"].contains(&text(pod, "/status/phase"))) {
        load.add(text(pod, "/spec/nodeName"), &pod["spec"]);
    }
    for pod in pods.iter().filter(|pod| text(pod, "/spec/nodeName").is_empty() && !is_leaving(pod)) {
        let spec = &pod["spec"];
        let fitting = nodes.iter().filter(|node| because(scene, &load, spec, node).is_empty());
        let node = fitting.min_by_key(|node| load.pods.get(name(node)).copied());
        let refusal = node.is_none().then(|| unschedulable(scene, &load, spec, &nodes));
        if let Some(node) = node {
            load.add(name(node), spec);
        }
        place(scene, pod, node, refusal.as_deref())?;
    }
    Ok(())
}

/// The resources that the pods of each node use.
#[derive(Default)]
struct Load {
    pods: HashMap<String, usize>,
    resources: HashMap<(String, String), u64>,
}

impl Load {
    fn add(&mut self, node: &str, spec: &Value) {
        *self.pods.entry(node.to_owned()).or_default() += 1;
        for (resource, amount) in extended(spec) {
            *self.resources.entry((node.to_owned(), resource)).or_default() += amount;
        }
    }

    /// The resource that a node is short of. CPU and memory are not counted.
    fn lacking(&self, spec: &Value, node: &Value) -> Vec<String> {
        let most = text(node, "/status/allocatable/pods").parse().unwrap_or(usize::MAX);
        let is_full = self.pods.get(name(node)).is_some_and(|pods| *pods >= most);
        let scarce = extended(spec).into_iter().filter(|(resource, amount)| {
            let taken = self.resources.get(&(name(node).to_owned(), resource.clone())).copied();
            let all = amount_of(&node["status"]["allocatable"][resource.as_str()]);
            taken.unwrap_or_default().saturating_add(*amount) > all
        });
        let scarce = scarce.map(|(resource, _)| format!("Insufficient {resource}"));
        is_full.then(|| "Too many pods".to_owned()).into_iter().chain(scarce).collect()
    }
}

/// The extended resources that the containers of a pod ask for: those with a domain, as `example.com/nic`. A limit without
/// a request is one.
fn extended(spec: &Value) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for container in items(spec, "/containers") {
        let resources = &container["resources"];
        let asked = ["limits", "requests"].map(|field| resources[field].as_object());
        let mut own: BTreeMap<&String, &Value> = BTreeMap::new();
        own.extend(asked.into_iter().flatten().flatten().filter(|(resource, _)| resource.contains('/')));
        for (resource, amount) in own {
            *all.entry(resource.clone()).or_default() += amount_of(amount);
        }
    }
    all
}

/// A whole number as Kubernetes writes it: `1`, `1k`.
fn amount_of(value: &Value) -> u64 {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "Ki" => 1_024,
        "Mi" => 1_048_576,
        _ => 0,
    };
    number.parse::<u64>().unwrap_or_default().saturating_mul(factor)
}

fn because(scene: &Scene, load: &Load, spec: &Value, node: &Value) -> Vec<String> {
    // In 2018 the scheduler looked at the condition itself.
    let of_old = (scene.is_old() && !is_true(node, "Ready")).then_some("were not ready");
    match of_old.or_else(|| refusal(spec, node)) {
        Some(why) => vec![format!("node(s) {why}")],
        None => load.lacking(spec, node),
    }
}

/// The scheduler's message when no node fits.
fn unschedulable(scene: &Scene, load: &Load, spec: &Value, nodes: &[Value]) -> String {
    let count = nodes.len();
    if count == 0 {
        return "no nodes available to schedule pods".into();
    }
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for reason in nodes.iter().flat_map(|node| because(scene, load, spec, node)) {
        *reasons.entry(reason).or_default() += 1;
    }
    let mut reasons: Vec<String> =
        reasons.iter().map(|(reason, times)| format!("{times} {reason}")).collect();
    reasons.sort_unstable();
    let told = format!("0/{count} nodes are available: {}.", reasons.join(", "));
    if scene.is_old() {
        return told;
    }
    format!(
        "{told} no new claims to deallocate, preemption: 0/{count} nodes are available: {count} Preemption is not helpful for scheduling."
    )
}

fn place(scene: &Scene, pod: &Value, node: Option<&Value>, refusal: Option<&str>) -> Result<()> {
    let mut placed = pod.clone();
    let mut conditions = items(pod, "/status/conditions").to_vec();
    let mut condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null});
    if let Some(message) = refusal {
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

/// Why a pod with this `spec` does not fit on a node, capacity aside; none when it does.
fn refusal(spec: &Value, node: &Value) -> Option<&'static str> {
    if !fits(spec, node) {
        return Some("didn't match Pod's node affinity/selector");
    }
    if untolerated(node, items(spec, "/tolerations")).next().is_some() {
        return Some("had untolerated taint(s)");
    }
    (node["spec"]["unschedulable"] == true).then_some("were unschedulable")
}

/// Whether the node has the labels that a pod asks for.
pub(in crate::world) fn fits(spec: &Value, node: &Value) -> bool {
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
    fn what_a_node_does_not_offer_is_insufficient() {
        let asks = |field: &str, amount: &str| {
            let amounts = json!({"example.com/nic": amount, "cpu": "100"});
            json!({"containers": [{"resources": {field: amounts}}, {}]})
        };
        let offers = |amount: Value| json!({"metadata": {"name": "n"}, "status": {"allocatable": {"pods": "2", "example.com/nic": amount}}});
        let mut load = Load::default();
        let lacking = |load: &Load, amount: Value| load.lacking(&asks("requests", "2"), &offers(amount));
        assert_eq!(lacking(&load, Value::Null), ["Insufficient example.com/nic"]);
        assert_eq!(lacking(&load, json!("1")), ["Insufficient example.com/nic"]);
        assert!(lacking(&load, json!("1k")).is_empty());
        load.add("n", &asks("limits", "1"));
        assert_eq!(lacking(&load, json!("2")), ["Insufficient example.com/nic"]);
        assert!(lacking(&load, json!("3")).is_empty());
        load.add("n", &json!({}));
        assert_eq!(lacking(&load, json!("3")), ["Too many pods"]);
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
