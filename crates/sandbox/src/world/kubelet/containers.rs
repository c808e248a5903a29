//! The containers of a pod: init containers in order, then the others.

use serde_json::Value;

use crate::error::Result;
use crate::world::cni::nics::Sandbox;
use crate::world::objects::{items, text, uid};
use crate::world::programs::{self, ProgramState, Task};
use crate::world::scene::Scene;

/// The progress of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stage {
    /// The init containers.
    pub preparing: Vec<ContainerState>,
    /// The main containers.
    pub staying: Vec<ContainerState>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ContainerState {
    /// It waits; the reason is kubelet's.
    Waiting(&'static str),
    /// It runs, and is ready or not yet.
    Running { ready: bool },
    /// It has done its work.
    Done,
    /// It failed and is restarted.
    Failed(String),
}

impl Stage {
    /// Nothing has started.
    pub fn waiting(pod: &Value, reason: &'static str) -> Self {
        let preparing = items(pod, "/spec/initContainers").len();
        let reason = if preparing > 0 { "PodInitializing" } else { reason };
        Self {
            preparing: vec![ContainerState::Waiting("PodInitializing"); preparing],
            staying: vec![ContainerState::Waiting(reason); items(pod, "/spec/containers").len()],
        }
    }
}

/// Starts what can start now, and runs what is running.
pub(super) fn advance(scene: &Scene, pod: &Value, sandbox: &Sandbox) -> Result<Stage> {
    let mut stage = Stage::waiting(pod, "ContainerCreating");
    for (number, container) in items(pod, "/spec/initContainers").iter().enumerate() {
        stage.preparing[number] = state(scene, pod, sandbox, container, "/status/initContainerStatuses")?;
        if stage.preparing[number] != ContainerState::Done {
            return Ok(stage);
        }
    }
    for (number, container) in items(pod, "/spec/containers").iter().enumerate() {
        stage.staying[number] = state(scene, pod, sandbox, container, "/status/containerStatuses")?;
    }
    Ok(stage)
}

fn state(
    scene: &Scene,
    pod: &Value,
    sandbox: &Sandbox,
    container: &Value,
    statuses: &str,
) -> Result<ContainerState> {
    let before = items(pod, statuses).iter().find(|status| status["name"] == container["name"]);
    let is = |pointer: &str| before.is_some_and(|before| before.pointer(pointer).is_some());
    let program = programs::of(container);
    let task = Task { scene, sandbox, container };
    if is("/state/terminated") && before.is_some_and(|before| before["state"]["terminated"]["exitCode"] == 0)
    {
        return Ok(ContainerState::Done);
    }
    let begun = format!("{}/{}", uid(pod), text(container, "/name"));
    if !scene.is_over(&begun, program.seconds()) {
        return Ok(ContainerState::Waiting("ContainerCreating"));
    }
    let outcome = if is("/state/running") { program.tend(&task)? } else { program.start(&task)? };
    Ok(match outcome {
        ProgramState::Running { ready } => ContainerState::Running { ready },
        ProgramState::Completed => ContainerState::Done,
        ProgramState::Failed(complaint) => ContainerState::Failed(complaint),
    })
}
