//! The status of a pod, from how far it is.

use serde_json::{Value, json};

use super::containers::{ContainerState, Stage};
use crate::world::cni::nics::Sandbox;
use crate::world::objects::{hex, items, set_condition, text, uid};
use crate::world::scene::Scene;

/// The pod with the status that follows from its stage.
pub(super) fn written(
    scene: &Scene,
    pod: &Value,
    node: &Value,
    sandbox: Option<&Sandbox>,
    stage: &Stage,
) -> Value {
    let now = scene.now();
    let mut written = pod.clone();
    let status = &mut written["status"];
    let host = items(node, "/status/addresses").iter().find(|address| address["type"] == "InternalIP");
    let host = host.map(|address| text(address, "/address")).unwrap_or_default();
    status["phase"] = phase(pod, stage).into();
    status["hostIP"] = host.into();
    status["hostIPs"] = json!([{"ip": host}]);
    if status["startTime"].is_null() {
        status["startTime"] = now.as_str().into();
    }
    if let Some(address) = sandbox.and_then(|sandbox| address(sandbox, host)) {
        status["podIP"] = address.as_str().into();
        status["podIPs"] = json!([{"ip": address}]);
    }
    for (kind, states) in [("init", &stage.preparing), ("", &stage.staying)] {
        let (specs, field) = match kind {
            "init" => ("/spec/initContainers", "initContainerStatuses"),
            _ => ("/spec/containers", "containerStatuses"),
        };
        if !states.is_empty() {
            let all = items(pod, specs).iter().zip(states.iter());
            let all = all.map(|(container, state)| container_status(pod, container, state, field, &now));
            status[field] = all.collect();
        }
    }
    let mut conditions = items(pod, "/status/conditions").to_vec();
    for condition in conditions_of(pod, sandbox.is_some(), stage) {
        set_condition(&mut conditions, condition, &now);
    }
    written["status"]["conditions"] = conditions.into();
    written
}

fn phase(pod: &Value, stage: &Stage) -> &'static str {
    let never_again = text(pod, "/spec/restartPolicy") == "Never";
    let all =
        |fits: &dyn Fn(&ContainerState) -> bool| !stage.staying.is_empty() && stage.staying.iter().all(fits);
    if all(&|state| *state == ContainerState::Done) && text(pod, "/spec/restartPolicy") != "Always" {
        return "Succeeded";
    }
    if never_again && stage.staying.iter().any(|state| matches!(state, ContainerState::Failed(_))) {
        return "Failed";
    }
    let prepared = stage.preparing.iter().all(|state| *state == ContainerState::Done);
    let begun = stage.staying.iter().any(|state| !matches!(state, ContainerState::Waiting(_)));
    if prepared && begun { "Running" } else { "Pending" }
}

fn address(sandbox: &Sandbox, host: &str) -> Option<String> {
    if sandbox.is_on_host() {
        return Some(host.to_owned());
    }
    sandbox.nics.first()?.addresses.first().map(|address| address.addr().to_string())
}

fn container_status(pod: &Value, container: &Value, state: &ContainerState, field: &str, now: &str) -> Value {
    let (name, image) = (text(container, "/name"), text(container, "/image"));
    let before = items(&pod["status"], &format!("/{field}")).iter().find(|status| status["name"] == name);
    let since =
        |pointer: &str| before.and_then(|before| before.pointer(pointer)?.as_str()).unwrap_or(now).to_owned();
    let id = format!("containerd://{}", hex(&format!("{}/{name}", uid(pod)), 64));
    let prepares = field == "initContainerStatuses";
    let ready = matches!(state, ContainerState::Running { ready: true })
        || (prepares && *state == ContainerState::Done);
    let started = matches!(state, ContainerState::Running { .. });
    let restarts = before.and_then(|before| before["restartCount"].as_u64()).unwrap_or_default();
    let mut status = json!({
        "name": name,
        "image": image,
        "imageID": "",
        "lastState": {},
        "ready": ready,
        "restartCount": restarts,
        "started": started,
    });
    if !matches!(state, ContainerState::Waiting(_)) {
        status["containerID"] = id.as_str().into();
        status["imageID"] = format!("sha256:{}", hex(image, 64)).into();
    }
    status["state"] = match state {
        ContainerState::Waiting(reason) => json!({"waiting": {"reason": reason}}),
        ContainerState::Running { .. } => {
            json!({"running": {"startedAt": since("/state/running/startedAt")}})
        }
        ContainerState::Done => {
            let begun = since("/state/terminated/startedAt");
            ended(&id, 0, "Completed", "", &begun, &since("/state/terminated/finishedAt"))
        }
        ContainerState::Failed(complaint) => {
            let (begun, over) =
                (since("/lastState/terminated/startedAt"), since("/lastState/terminated/finishedAt"));
            status["lastState"] = ended(&id, 1, "Error", complaint, &begun, &over);
            status["restartCount"] = restarts.max(1).into();
            let message = format!(
                "back-off 10s restarting failed container={name} pod={}",
                text(pod, "/metadata/name")
            );
            json!({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
        }
    };
    status
}

fn ended(id: &str, code: i32, reason: &str, message: &str, begun: &str, over: &str) -> Value {
    let mut terminated = json!({"containerID": id, "exitCode": code, "reason": reason, "startedAt": begun, "finishedAt": over});
    if !message.is_empty() {
        terminated["message"] = message.into();
    }
    json!({"terminated": terminated})
}

fn conditions_of(pod: &Value, has_sandbox: bool, stage: &Stage) -> Vec<Value> {
    let unready = |states: &[ContainerState], specs: &str| -> Vec<String> {
        let all = items(pod, specs).iter().zip(states);
        let waiting = all.filter(|(_, state)| {
            !matches!(state, ContainerState::Running { ready: true } | ContainerState::Done)
        });
        waiting.map(|(container, _)| text(container, "/name").to_owned()).collect()
    };
    let (preparing, staying) =
        (unready(&stage.preparing, "/spec/initContainers"), unready(&stage.staying, "/spec/containers"));
    let completed = stage.staying.iter().all(|state| *state == ContainerState::Done);
    let ready = |kind: &str| {
        if completed {
            json!({"type": kind, "status": "False", "lastProbeTime": null, "reason": "PodCompleted"})
        } else {
            condition(
                kind,
                staying.is_empty(),
                "ContainersNotReady",
                "containers with unready status",
                &staying,
            )
        }
    };
    vec![
        // It says this too: whoever has put the pod here may have ended before it could.
        condition("PodScheduled", true, "", "", &[]),
        condition("PodReadyToStartContainers", has_sandbox, "", "", &[]),
        condition(
            "Initialized",
            preparing.is_empty(),
            "ContainersNotInitialized",
            "containers with incomplete status",
            &preparing,
        ),
        ready("Ready"),
        ready("ContainersReady"),
    ]
}

fn condition(kind: &str, holds: bool, reason: &str, message: &str, names: &[String]) -> Value {
    let mut condition =
        json!({"type": kind, "status": if holds { "True" } else { "False" }, "lastProbeTime": null});
    if !holds && !reason.is_empty() {
        condition["reason"] = reason.into();
        condition["message"] = format!("{message}: [{}]", names.join(" ")).into();
    }
    condition
}
