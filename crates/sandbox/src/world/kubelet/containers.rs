//! The containers of a pod: init containers in order, then the others.

use serde_json::Value;

use crate::error::Result;
use crate::world::cni::nics::Sandbox;
use crate::world::objects::{items, text, uid};
use crate::world::programs::{self, Outcome, Task};
use crate::world::scene::Scene;

/// The progress of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stage {
    /// The init containers.
    pub preparing: Vec<State>,
    /// The main containers.
    pub staying: Vec<State>,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum State {
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
            preparing: vec![State::Waiting("PodInitializing"); preparing],
            staying: vec![State::Waiting(reason); items(pod, "/spec/containers").len()],
        }
    }
}

/// Starts what can start now, and runs what is running.
pub(super) fn advance(scene: &Scene, pod: &Value, sandbox: &Sandbox) -> Result<Stage> {
    let mut stage = Stage::waiting(pod, "ContainerCreating");
    for (number, container) in items(pod, "/spec/initContainers").iter().enumerate() {
        stage.preparing[number] = state(scene, pod, sandbox, container, "/status/initContainerStatuses")?;
        if stage.preparing[number] != State::Done {
            return Ok(stage);
        }
    }
    for (number, container) in items(pod, "/spec/containers").iter().enumerate() {
        stage.staying[number] = state(scene, pod, sandbox, container, "/status/containerStatuses")?;
    }
    Ok(stage)
}

fn state(scene: &Scene, pod: &Value, sandbox: &Sandbox, container: &Value, statuses: &str) -> Result<State> {
    let before = items(pod, statuses).iter().find(|status| status["name"] == container["name"]);
    let is = |pointer: &str| before.is_some_and(|before| before.pointer(pointer).is_some());
    let program = programs::of(container);
    let task = Task { scene, sandbox, container };
    if is("/state/terminated") && before.is_some_and(|before| before["state"]["terminated"]["exitCode"] == 0)
    {
        return Ok(State::Done);
    }
    let begun = format!("{}/{}", uid(pod), text(container, "/name"));
    if !scene.is_over(&begun, program.seconds()) {
        return Ok(State::Waiting("ContainerCreating"));
    }
    let outcome = if is("/state/running") { program.tend(&task)? } else { program.start(&task)? };
    Ok(match outcome {
        Outcome::Running { ready } => State::Running { ready },
        Outcome::Completed => State::Done,
        Outcome::Failed(complaint) => State::Failed(complaint),
    })
}
