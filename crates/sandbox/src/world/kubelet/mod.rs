//! kubelet: starts the node's pods, reports their status, and tears them down.

mod containers;
mod elsewhere;
mod status;
mod volumes;

use serde_json::{Value, json};

use self::containers::Stage;
use crate::error::Result;
use crate::node::Runtime;
use crate::world::cni::nics::Sandbox;
use crate::world::cni::runtime;
use crate::world::objects::{hex, is_leaving, is_true, name, namespace, text, uid};
use crate::world::programs::{self, Task};
use crate::world::scene::{Scene, containers as containers_of, versions};

const KUBELET: &str = "kubelet";
/// Pods of files: they are there as kubeadm left them.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// How long a runtime takes to make a sandbox, and to end one.
const SANDBOX_SECONDS: f64 = 0.6;
const END_SECONDS: f64 = 0.8;

/// Advances every pod of the node by one step, and tears down what has no pod.
pub(super) fn run(scene: &Scene) -> Result<()> {
    let Some(node) = scene.own_node()? else { return Ok(()) };
    let pods = scene.list("v1", "Pod")?;
    let is_here = |pod: &&Value| text(pod, "/spec/nodeName") == name(&node);
    for pod in pods.iter().filter(is_here).filter(|pod| pod["metadata"]["annotations"][MIRROR].is_null()) {
        match (is_leaving(pod), programs::are_quiet(pod)) {
            (true, _) => end(scene, pod)?,
            (false, true) if is_ready(pod) => {
                scene.unless_settled(uid(pod), versions([pod]), || sync(scene, pod, &node))?;
            }
            (false, _) => sync(scene, pod, &node)?,
        }
    }
    elsewhere::run(scene, &pods, name(&node))?;
    let orphans =
        Sandbox::uids(scene)?.into_iter().filter(|orphan| !pods.iter().any(|pod| uid(pod) == *orphan));
    for orphan in orphans {
        if let Some(mut sandbox) = Sandbox::of(scene, &orphan)? {
            stop(scene, &sandbox)?;
            // The pod that could report a failure is gone; the next round retries.
            let _ = runtime::take_down(scene, &mut sandbox)?;
        }
    }
    Ok(())
}

fn is_ready(pod: &Value) -> bool {
    is_true(pod, "Ready")
}

fn sync(scene: &Scene, pod: &Value, node: &Value) -> Result<()> {
    if ["Succeeded", "Failed"].contains(&text(pod, "/status/phase")) {
        return Ok(());
    }
    let stage = match sandbox(scene, pod)? {
        Some(sandbox) => {
            let stage = containers::advance(scene, pod, &sandbox)?;
            (Some(sandbox), stage)
        }
        None => (None, Stage::waiting(pod, "ContainerCreating")),
    };
    // Multus may have written to the pod meanwhile.
    let pods = scene.list("v1", "Pod")?;
    let Some(live) = pods.iter().find(|live| uid(live) == uid(pod) && !is_leaving(live)) else {
        return Ok(());
    };
    let written = status::written(scene, live, node, stage.0.as_ref(), &stage.1);
    scene.save(KUBELET, live, written)
}

/// The pod's sandbox with its network; none while something is missing, which an event tells.
fn sandbox(scene: &Scene, pod: &Value) -> Result<Option<Sandbox>> {
    if let Some(sandbox) = Sandbox::of(scene, uid(pod))?.filter(|sandbox| sandbox.ready) {
        return Ok(Some(sandbox));
    }
    if !scene.is_over(&format!("{}/sandbox", uid(pod)), SANDBOX_SECONDS) {
        return Ok(None);
    }
    if let Some(missing) = volumes::missing(scene, pod)? {
        scene.event(pod, KUBELET, "Warning", "FailedMount", &missing)?;
        return Ok(None);
    }
    let mut sandbox = Sandbox {
        uid: uid(pod).into(),
        namespace: namespace(pod).into(),
        pod: name(pod).into(),
        id: container_id(scene, pod)?,
        spec: pod["spec"].clone(),
        ready: true,
        ..Sandbox::default()
    };
    if !sandbox.is_on_host() && !connect(scene, pod, &mut sandbox)? {
        return Ok(None);
    }
    volumes::make(scene, &sandbox.spec)?;
    sandbox.keep(scene)?;
    Ok(Some(sandbox))
}

fn connect(scene: &Scene, pod: &Value, sandbox: &mut Sandbox) -> Result<bool> {
    let Some(configuration) = runtime::configuration(scene)? else {
        let message = "network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
        scene.event(pod, KUBELET, "Warning", "NetworkNotReady", message)?;
        return Ok(false);
    };
    let depends_on = runtime::circumstances(scene, pod, &configuration)?;
    if scene.has_failed(uid(pod), &depends_on) {
        return Ok(false);
    }
    let Err(failure) = runtime::set_up(scene, sandbox, pod, &configuration)? else { return Ok(true) };
    scene.failed(uid(pod), depends_on);
    let message = failed_sandbox(scene, pod, sandbox, &configuration.name, &failure);
    scene.count(&attempts(pod))?;
    scene.event(pod, KUBELET, "Warning", "FailedCreatePodSandBox", &message)?;
    Ok(false)
}

/// The kubelet's event for the runtime's error.
fn failed_sandbox(scene: &Scene, pod: &Value, sandbox: &Sandbox, network: &str, failure: &str) -> String {
    let (space, name, id) = (namespace(pod), name(pod), &sandbox.id);
    if scene.is_old() {
        return format!(
            "Failed create pod sandbox: rpc error: code = Unknown desc = failed to set up sandbox container \"{id}\" network for pod \"{name}\": NetworkPlugin cni failed to set up pod \"{name}_{space}\" network: {failure}"
        );
    }
    let called = "Failed to create pod sandbox: rpc error: code = Unknown desc =";
    match scene.node.seed().runtime {
        Runtime::Containerd => format!("{called} failed to setup network for sandbox \"{id}\": {failure}"),
        Runtime::Crio => {
            let place = format!("k8s_{name}_{space}_{}_0({id})", uid(pod));
            format!(
                "{called} failed to create pod network sandbox {place}: error adding pod {space}_{name} to CNI network \"{network}\": {failure}"
            )
        }
    }
}

/// Each attempt to start a pod is a container of its own for the plugins.
fn container_id(scene: &Scene, pod: &Value) -> Result<String> {
    Ok(match scene.counted(&attempts(pod))? {
        0 => hex(uid(pod), 64),
        number => hex(&format!("{}/{number}", uid(pod)), 64),
    })
}

fn attempts(pod: &Value) -> String {
    format!("attempt/{}", uid(pod))
}

/// Tears down a pod: its programs, its network, then its object.
fn end(scene: &Scene, pod: &Value) -> Result<()> {
    if !scene.is_over(&format!("{}/end", uid(pod)), END_SECONDS) {
        return Ok(());
    }
    if let Some(mut sandbox) = Sandbox::of(scene, uid(pod))? {
        stop(scene, &sandbox)?;
        if let Err(failure) = runtime::take_down(scene, &mut sandbox)? {
            let message = format!(
                "error killing pod: failed to \"KillPodSandbox\" for \"{}\" with KillPodSandboxError: \"rpc error: code = Unknown desc = failed to destroy network for sandbox \\\"{}\\\": {failure}\"",
                uid(pod),
                sandbox.id
            );
            return scene.event(pod, KUBELET, "Warning", "FailedKillPod", &message);
        }
    }
    scene.forget(pod)
}

/// Stops the programs of a pod; idempotent.
fn stop(scene: &Scene, sandbox: &Sandbox) -> Result<()> {
    let whole = json!({"spec": sandbox.spec});
    containers_of(&whole).try_for_each(|container| {
        let task = Task { scene, sandbox, container };
        programs::of(container).stop(&task)
    })
}
