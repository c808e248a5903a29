//! Why pods do not run: from their status, and from the taints and labels of unsuitable nodes.

pub mod lasting;
mod network_error;
pub mod reasons;

use serde_json::Value;

use super::conditions::{condition_of, explanation};
use crate::formats::object::{items, shown_taint, text, untolerated};

/// Taints that every DaemonSet pod tolerates without asking.
const DAEMON_TOLERATES: &str = "\
    node.kubernetes.io/not-ready node.kubernetes.io/unreachable node.kubernetes.io/disk-pressure \
    node.kubernetes.io/memory-pressure node.kubernetes.io/pid-pressure node.kubernetes.io/unschedulable \
    node.kubernetes.io/network-unavailable";

/// Whether a pod is Ready and not terminating.
pub fn is_ready(pod: &Value) -> bool {
    let ready = condition_of(pod, "Ready").is_some_and(|condition| text(condition, "/status") == "True");
    ready && text(pod, "/metadata/deletionTimestamp").is_empty()
}

/// Whether all containers of a pod ended with success.
pub fn has_succeeded(pod: &Value) -> bool {
    text(pod, "/status/phase") == "Succeeded"
}

/// Why a pod is not Ready, from its status.
enum Waits {
    Unscheduled(String),
    Ended(String),
    /// A container cannot be started, or has ended.
    Failing(String),
    /// A container runs and is not ready.
    NotReady(String),
    /// Its status shows nothing wrong.
    Starting(String),
}

/// What keeps a pod from being Ready, from its status; none when nothing does. [`reasons::reason`] also reads its
/// events, the only source about its network.
pub fn why_waiting(pod: &Value) -> Option<String> {
    reasons::reason(pod, &[]).map(|reason| reason.text)
}

fn state_of(pod: &Value) -> Option<Waits> {
    if is_ready(pod) || has_succeeded(pod) {
        return None;
    }
    if let Some(scheduled) = condition_of(pod, "PodScheduled").filter(|c| text(c, "/status") == "False") {
        return Some(Waits::Unscheduled(format!("cannot be scheduled{}", explanation(scheduled))));
    }
    if text(pod, "/status/phase") == "Unknown" {
        let why = explanation(&pod["status"]);
        return Some(Waits::Ended(format!("its node does not report it (phase Unknown){why}")));
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = statuses.iter().flat_map(|pointer| items(pod, pointer));
    let reason =
        statuses.filter_map(container_reason).min_by_key(|(rank, _)| *rank).map(|(_, reason)| reason);
    reason.or_else(|| pod_reason(pod))
}

fn pod_reason(pod: &Value) -> Option<Waits> {
    if !text(pod, "/metadata/deletionTimestamp").is_empty() {
        return Some(Waits::Ended("is terminating".into()));
    }
    let status = pod.get("status")?;
    match text(status, "/phase") {
        "Failed" => Some(Waits::Ended(format!("failed{}", explanation(status)))),
        phase => Some(phase.to_lowercase()).filter(|phase| !phase.is_empty()).map(Waits::Starting),
    }
}

/// What a container waits for; failures rank before what is only slow.
fn container_reason(status: &Value) -> Option<(u8, Waits)> {
    let (name, image) = (text(status, "/name"), text(status, "/image"));
    if let Some(waiting) = status.pointer("/state/waiting") {
        return match text(waiting, "/reason") {
            // It waits for its init containers, which have their own status.
            "" | "PodInitializing" => Some((4, Waits::Starting(format!("container {name} waits")))),
            "ContainerCreating" => Some((3, Waits::Starting(format!("container {name} is being created")))),
            reason => {
                let message = text(waiting, "/message");
                let message = if message.is_empty() { String::new() } else { format!(" ({message})") };
                let text = format!("container {name}: {reason}, image {image}{message}{}", last_end(status));
                Some((0, Waits::Failing(text)))
            }
        };
    }
    if let Some(ended) = status.pointer("/state/terminated").filter(|ended| exit_code(ended) != 0) {
        return Some((1, Waits::Failing(format!("container {name} ended: {}", ending(ended)))));
    }
    let running = status.pointer("/state/running").is_some();
    let ready = status.get("ready").and_then(Value::as_bool).unwrap_or_default();
    (running && !ready)
        .then(|| (2, Waits::NotReady(format!("container {name} runs, but is not ready{}", last_end(status)))))
}

fn last_end(status: &Value) -> String {
    status
        .pointer("/lastState/terminated")
        .map(|ended| format!(", last ended: {}", ending(ended)))
        .unwrap_or_default()
}

fn ending(ended: &Value) -> String {
    let message: String = text(ended, "/message").trim().chars().take(200).collect();
    let message = if message.is_empty() { message } else { format!(": {message}") };
    format!("{} with exit code {}{message}", text(ended, "/reason"), exit_code(ended))
}

fn exit_code(ended: &Value) -> i64 {
    ended.get("exitCode").and_then(Value::as_i64).unwrap_or_default()
}

/// Why no node fits the pods of a workload; none when one does.
pub(super) fn why_unplaced(workload: &Value, nodes: &[Value]) -> Option<String> {
    if nodes.is_empty() {
        return Some("there are no nodes".into());
    }
    let reasons: Option<Vec<String>> = nodes.iter().map(|node| refusal_of(workload, node)).collect();
    reasons.map(|reasons| reasons.join("; "))
}

fn refusal_of(workload: &Value, node: &Value) -> Option<String> {
    let name = text(node, "/metadata/name");
    let labels = &node["metadata"]["labels"];
    let selector = workload["spec"]["template"]["spec"]["nodeSelector"].as_object();
    let missing = selector.into_iter().flatten().find(|(key, value)| labels.get(*key) != Some(*value));
    if let Some((key, value)) = missing {
        let value = value.as_str().unwrap_or_default();
        return Some(format!("its node selector wants {key}={value}, which node {name} does not have"));
    }
    let tolerations = items(workload, "/spec/template/spec/tolerations");
    let mut taints = untolerated(node, tolerations);
    let taint = taints.find(|taint| !DAEMON_TOLERATES.split(' ').any(|key| key == text(taint, "/key")))?;
    Some(format!("it does not tolerate the taint {} of node {name}", shown_taint(taint)))
}

/// The label selector of a workload's pods as a query: `a=b,c in (d)`.
pub(super) fn selector_of(workload: &Value) -> Option<String> {
    let labels = workload.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(container: &Value) -> Value {
        json!({"status": {"phase": "Pending", "containerStatuses": [container]}})
    }

    #[test]
    fn a_pod_says_what_it_waits_for() {
        let table = [
            (
                pod(
                    &json!({"name": "c", "image": "ghcr.io/x:1", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "back-off"}}}),
                ),
                "container c: ImagePullBackOff, image ghcr.io/x:1 (back-off)",
            ),
            (
                pod(&json!({"name": "c", "image": "i", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}})),
                "container c: CrashLoopBackOff, image i, last ended: OOMKilled with exit code 137",
            ),
            (
                pod(
                    &json!({"name": "c", "image": "i", "state": {"waiting": {"reason": "ContainerCreating"}}}),
                ),
                "container c is being created",
            ),
            (
                json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                    "message": "0/1 nodes are available."}]}}),
                "cannot be scheduled: 0/1 nodes are available",
            ),
        ];
        for (pod, reason) in table {
            assert_eq!(why_waiting(&pod).as_deref(), Some(reason));
        }
        assert_eq!(why_waiting(&json!({"status": {"phase": "Succeeded"}})), None);
    }

    #[test]
    fn a_workload_without_a_node_names_the_taint_or_the_selector() {
        let node = json!({"metadata": {"name": "n0", "labels": {"kubernetes.io/arch": "arm64"}},
            "spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}});
        let workload = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
        let nodes = [node];
        assert_eq!(
            why_unplaced(
                &workload(
                    json!({"tolerations": [{"key": "node-role.kubernetes.io/master", "operator": "Exists"}]})
                ),
                &nodes
            )
            .unwrap(),
            "it does not tolerate the taint node-role.kubernetes.io/control-plane:NoSchedule of node n0"
        );
        assert_eq!(
            why_unplaced(&workload(json!({"nodeSelector": {"kubernetes.io/arch": "amd64"}})), &nodes)
                .unwrap(),
            "its node selector wants kubernetes.io/arch=amd64, which node n0 does not have"
        );
        assert_eq!(why_unplaced(&workload(json!({"tolerations": [{"operator": "Exists"}]})), &nodes), None);
    }
}
