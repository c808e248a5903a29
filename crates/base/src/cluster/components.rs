//! What KubeVirt and its virtual machines wait for, from the pods behind them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::conditions::{Scope, condition_of, explanation};
use super::pods::is_ready;
use super::{Cluster, Condition, ObjectKey};
use crate::error::Result;
use crate::formats::object::text;

/// The label of KubeVirt's own pods, with the component's name.
const COMPONENT: &str = "kubevirt.io";
/// The label of all pods that its operator makes since 1.9, also those of virt-template, which lack the other one.
const PART_OF: (&str, &str) = ("app.kubernetes.io/component", "kubevirt");
/// The label of a launcher's pod, with the uid of its virtual machine.
const CREATED_BY: &str = "kubevirt.io/created-by";

impl Cluster {
    /// The pod that runs a virtual machine instance; none while there is none. After a migration the newest counts.
    pub async fn launcher(&self, instance: &Value) -> Result<Option<Value>> {
        let namespace = text(instance, "/metadata/namespace");
        let pods = self.list("v1", "Pod", Some(namespace), Some(&launchers(instance))).await?;
        let lives = |pod: &Value| !matches!(text(pod, "/status/phase"), "Failed" | "Succeeded");
        let made = |pod: &Value| text(pod, "/metadata/creationTimestamp").to_owned();
        Ok(pods.into_iter().filter(lives).max_by_key(made))
    }
}

/// The selector of the pods that run or ran an instance.
fn launchers(instance: &Value) -> String {
    format!("{CREATED_BY}={}", text(instance, "/metadata/uid"))
}

/// The object of a condition that has no pod selector of its own.
fn object_of(condition: &Condition) -> Option<&ObjectKey> {
    match condition {
        Condition::True { object, .. } | Condition::Field { object, .. } => Some(object),
        _ => None,
    }
}

/// Tells why a pod waits.
pub(super) type Why<'a> = &'a dyn Fn(&Value) -> Option<String>;

/// The pods that explain why KubeVirt or a virtual machine is not ready yet.
pub(super) fn pod_scope(condition: &Condition, live: Option<&Value>) -> Option<Scope> {
    let object = object_of(condition)?;
    let namespace = object.namespace.as_deref()?;
    match object.kind.as_str() {
        "KubeVirt" => Some(Scope::all_pods(namespace)),
        "VirtualMachineInstance" => Some(Scope::pods(namespace, &launchers(live?))),
        _ => None,
    }
}

/// The pods' reasons; none without any, or when the condition is about something else.
pub(super) fn explain(condition: &Condition, live: &Value, pods: &[Value], why: Why<'_>) -> Option<String> {
    match object_of(condition)?.kind.as_str() {
        "KubeVirt" => components(pods, why),
        "VirtualMachineInstance" => machine(live, pods, why),
        _ => None,
    }
}

/// Why a virtual machine that ended will not run again by itself; none while it may.
pub(super) fn ended(condition: &Condition, live: Option<&Value>) -> Option<String> {
    let Condition::Field { object, pointer, value } = condition else { return None };
    let live = live.filter(|_| object.kind == "VirtualMachineInstance" && pointer == "/status/phase")?;
    let phase = text(live, pointer);
    let ended = matches!(phase, "Failed" | "Succeeded") && phase != value;
    // An instance of a VirtualMachine is recreated.
    let is_replaced = live.pointer("/metadata/ownerReferences/0").is_some();
    let reason = condition_of(live, "Synchronized").or_else(|| condition_of(live, "Ready"));
    (ended && !is_replaced)
        .then(|| format!("its phase is {phase}{}", reason.map(explanation).unwrap_or_default()))
}

/// `virt-handler: 0 of 1 ready, virt-handler-x2x4b: container c is being created`, for each component that is not ready.
fn components(pods: &[Value], why: Why<'_>) -> Option<String> {
    let mut found: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for pod in pods {
        let labels = &pod["metadata"]["labels"];
        let label = labels[COMPONENT].as_str();
        if label.is_none() && labels[PART_OF.0] != PART_OF.1 {
            continue;
        }
        let name = label.filter(|label| !label.is_empty()).unwrap_or_else(|| text(pod, "/metadata/name"));
        found.entry(name).or_default().push(pod);
    }
    let waiting: Vec<String> = found.iter().filter_map(|(name, pods)| component(name, pods, why)).collect();
    (!waiting.is_empty()).then(|| waiting.join("; "))
}

fn component(name: &str, pods: &[&Value], why: Why<'_>) -> Option<String> {
    let waiting = pods.iter().find_map(|pod| Some((text(pod, "/metadata/name"), why(pod)?)));
    let (pod, reason) = waiting?;
    let ready = pods.iter().filter(|pod| is_ready(pod)).count();
    Some(format!("{name}: {ready} of {} ready, {pod}: {reason}", pods.len()))
}

fn machine(live: &Value, pods: &[Value], why: Why<'_>) -> Option<String> {
    let refused =
        condition_of(live, "Synchronized").filter(|condition| text(condition, "/status") == "False");
    let refused = refused.map(|condition| explanation(condition).trim_start_matches(": ").to_owned());
    let launcher =
        pods.iter().find_map(|pod| Some(format!("{}: {}", text(pod, "/metadata/name"), why(pod)?)));
    refused.filter(|reason| !reason.is_empty()).or(launcher)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::pods::why_waiting;
    use super::*;

    fn pod(component: &str, name: &str, status: &Value) -> Value {
        json!({"metadata": {"name": name, "labels": {COMPONENT: component}}, "status": status})
    }

    fn key(kind: &str) -> ObjectKey {
        ObjectKey::new("kubevirt.io/v1", kind, Some("kubevirt"), "x")
    }

    fn running() -> Condition {
        let (pointer, value) = ("/status/phase".into(), "Running".into());
        Condition::Field { object: key("VirtualMachineInstance"), pointer, value }
    }

    /// virt-template's pods have no `kubevirt.io`; other people's in the namespace have neither.
    #[test]
    fn every_pod_that_the_operator_makes_counts() {
        let waits = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}, "status": {"phase": "Pending"}});
        let pods = [
            waits("theirs", json!({"app": "web"})),
            waits("virt-template-controller-1", json!({PART_OF.0: PART_OF.1})),
        ];
        let told = components(&pods, &why_waiting).unwrap();
        assert!(told.starts_with("virt-template-controller-1: 0 of 1 ready"), "{told}");
        assert!(!told.contains("theirs"), "{told}");
    }

    #[test]
    fn a_component_is_named_with_its_count_its_pod_and_its_image() {
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        let pulls = json!({"phase": "Pending", "containerStatuses": [{"name": "virt-handler",
            "image": "quay.io/kubevirt/virt-handler:v1.5.0", "state": {"waiting": {"reason": "ContainerCreating"}}}]});
        let pods = [
            pod("virt-api", "virt-api-1", &ready),
            pod("virt-handler", "virt-handler-1", &pulls),
            pod("virt-handler", "virt-handler-2", &ready),
        ];
        let condition = Condition::True { object: key("KubeVirt"), kind: "Available".into() };
        assert_eq!(
            explain(&condition, &json!({}), &pods, &why_waiting).unwrap(),
            "virt-handler: 1 of 2 ready, virt-handler-1: container virt-handler is being created"
        );
        assert_eq!(explain(&condition, &json!({}), &pods[..1], &why_waiting), None);
    }

    #[test]
    fn a_machine_names_what_refuses_it_or_its_launcher() {
        let launcher = pod(
            "virt-launcher",
            "virt-launcher-x-abcde",
            &json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "Insufficient devices.kubevirt.io/kvm"}]}),
        );
        assert_eq!(
            explain(&running(), &json!({}), &[launcher], &why_waiting).unwrap(),
            "virt-launcher-x-abcde: cannot be scheduled: Insufficient devices.kubevirt.io/kvm"
        );
        let refused = json!({"status": {"conditions": [{"type": "Synchronized", "status": "False", "reason": "FailedCreate",
            "message": "failed to locate network attachment definition default/ovs-blue"}]}});
        assert_eq!(
            explain(&running(), &refused, &[], &why_waiting).unwrap(),
            "failed to locate network attachment definition default/ovs-blue"
        );
    }

    #[test]
    fn an_instance_that_ended_stays_ended_unless_a_machine_owns_it() {
        let mut live = json!({"status": {"phase": "Failed"}});
        assert_eq!(ended(&running(), Some(&live)).unwrap(), "its phase is Failed");
        live["metadata"]["ownerReferences"] = json!([{"kind": "VirtualMachine"}]);
        assert_eq!(ended(&running(), Some(&live)), None);
        assert_eq!(ended(&running(), Some(&json!({"status": {"phase": "Scheduling"}}))), None);
    }
}
