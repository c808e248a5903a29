//! KubeVirt's controller and handler: from a virtual machine to a pod, and its status.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::profile::RESOURCE_NAME;
use crate::world::cni::nics::{Nic, Sandbox};
use crate::world::guests::inside::{self, Pair};
use crate::world::objects::{
    is_controlled_by, is_leaving, is_true, items, name, namespace, number, owner_reference, set_condition,
    suffix, text, uid,
};
use crate::world::scene::Scene;

const CONTROLLER: &str = "virt-controller";
/// The option that names the image of the pods that run VMs.
pub(super) const LAUNCHER_IMAGE: &str = "--launcher-image";
const HANDLER: &str = "virt-handler";
const FINALIZER: &str = "foregroundDeleteVirtualMachine";
const INSTANCE: &str = "VirtualMachineInstance";
/// The API of today and that of 2018; a cluster serves one of them.
const TODAY: &str = "kubevirt.io/v1";
const OF_2018: &str = "kubevirt.io/v1alpha2";
const SCHEDULABLE: &str = "kubevirt.io/schedulable";
/// The resources of a node that runs virtual machines.
const DEVICES: [&str; 3] =
    ["devices.kubevirt.io/kvm", "devices.kubevirt.io/tun", "devices.kubevirt.io/vhost-net"];
/// About how long a guest takes to start.
const GUEST_SECONDS: f64 = 5.0;

/// Creates a pod for each virtual machine, and writes the phases.
pub(super) struct Controller;

impl Program for Controller {
    fn is_quiet(&self) -> bool {
        false
    }

    fn tend(&self, task: &Task<'_>) -> Result<ProgramState> {
        for version in [TODAY, OF_2018] {
            machines(task.scene, version)?;
            for instance in task.scene.list(version, INSTANCE)?.iter() {
                sync(task, instance, version)?;
            }
        }
        Ok(ProgramState::Running { ready: true })
    }

    fn seconds(&self) -> f64 {
        2.0
    }
}

/// A machine that is to run has an instance of its name.
fn machines(scene: &Scene, version: &str) -> Result<()> {
    for machine in scene.list(version, "VirtualMachine")?.iter() {
        let strategy = text(machine, "/spec/runStrategy");
        let runs =
            machine["spec"]["running"] == true || ["Always", "RerunOnFailure", "Once"].contains(&strategy);
        if is_leaving(machine) || !runs {
            continue;
        }
        let template = &machine["spec"]["template"];
        let mut metadata = template["metadata"].clone();
        metadata["name"] = name(machine).into();
        metadata["namespace"] = namespace(machine).into();
        metadata["ownerReferences"] = owner_reference(machine, version, "VirtualMachine");
        let instance =
            json!({"apiVersion": version, "kind": INSTANCE, "metadata": metadata, "spec": template["spec"]});
        scene.create(CONTROLLER, &instance)?;
        let live = scene.get(version, INSTANCE, Some(namespace(machine)), name(machine))?;
        let ready = live.is_some_and(|live| is_true(&live, "Ready"));
        let mut written = machine.clone();
        written["status"]["created"] = true.into();
        written["status"]["ready"] = ready.into();
        written["status"]["printableStatus"] = if ready { "Running" } else { "Starting" }.into();
        scene.save(CONTROLLER, machine, written)?;
    }
    Ok(())
}

fn sync(task: &Task<'_>, instance: &Value, version: &str) -> Result<()> {
    let scene = task.scene;
    let pods = scene.list("v1", "Pod")?;
    let pod = pods.iter().find(|pod| is_controlled_by(pod, instance));
    if is_leaving(instance) {
        return match pod {
            Some(pod) if !is_leaving(pod) => scene.delete(pod),
            Some(_) => Ok(()),
            None => release(scene, instance),
        };
    }
    let mut written = instance.clone();
    // In 2018 the controller wrote the defaults itself: there was no webhook that would have done it before.
    if version == OF_2018 && text(instance, "/spec/domain/machine/type").is_empty() {
        written["spec"]["domain"]["machine"]["type"] = "q35".into();
    }
    if items(instance, "/metadata/finalizers").is_empty() {
        written["metadata"]["finalizers"] = json!([FINALIZER]);
    }
    match pod {
        None => {
            scene.create(CONTROLLER, &launcher(scene, task, instance, version)?)?;
            written["status"]["phase"] = "Pending".into();
        }
        Some(pod) => tell(scene, &mut written, pod, version)?,
    }
    scene.save(CONTROLLER, instance, written)
}

fn release(scene: &Scene, instance: &Value) -> Result<()> {
    let mut written = instance.clone();
    let finalizers =
        items(instance, "/metadata/finalizers").iter().filter(|finalizer| *finalizer != FINALIZER);
    written["metadata"]["finalizers"] = finalizers.cloned().collect();
    scene.save(CONTROLLER, instance, written)
}

/// The phase and the NICs, from the pod and from whether a handler is there.
fn tell(scene: &Scene, written: &mut Value, pod: &Value, version: &str) -> Result<()> {
    let handlers = scene.list("apps/v1", "DaemonSet")?;
    let handled =
        handlers.iter().any(|set| name(set) == HANDLER && number(set, "/status/numberReady") > Some(0));
    let started = format!("{}/guest", uid(written));
    let ready = is_true(pod, "Ready");
    let phase = match (ready, handled) {
        (false, _) => "Scheduling",
        (true, true) if scene.is_over(&started, GUEST_SECONDS) => "Running",
        (true, _) => "Scheduled",
    };
    written["status"]["phase"] = phase.into();
    written["status"]["nodeName"] = pod["spec"]["nodeName"].clone();
    if version == TODAY {
        let condition = json!({"type": "Ready", "status": if phase == "Running" { "True" } else { "False" }});
        let mut conditions = items(written, "/status/conditions").to_vec();
        set_condition(&mut conditions, condition, &scene.now());
        written["status"]["conditions"] = conditions.into();
    }
    if phase == "Running"
        && let Some(mut sandbox) = Sandbox::of(scene, uid(pod))?
    {
        inside::connect(scene, written, &mut sandbox)?;
        written["status"]["interfaces"] = interfaces(written, &sandbox.nics, version).into();
    }
    Ok(())
}

/// The NICs in the status: in 2018 only addresses, today also names.
fn interfaces(instance: &Value, nics: &[Nic], version: &str) -> Vec<Value> {
    let shown = inside::pairs(instance, nics).into_iter().map(|Pair { wanted, of_pod: nic }| {
        let mac = wanted["macAddress"].as_str().unwrap_or(&nic.mac);
        let mut shown = json!({"mac": mac});
        let address = nic.addresses.first().map(|address| address.addr().to_string());
        if let Some(address) = &address {
            shown["ipAddress"] = address.as_str().into();
        }
        if version == TODAY {
            let source = if nic.name == "eth0" { "domain" } else { "domain, multus-status" };
            shown["name"] = wanted["name"].clone();
            shown["podInterfaceName"] = nic.name.as_str().into();
            shown["infoSource"] = source.into();
            shown["queueCount"] = 1.into();
            shown["linkState"] = "up".into();
            if let Some(address) = address {
                shown["ipAddresses"] = json!([address]);
            }
        }
        shown
    });
    shown.collect()
}

/// The pod of a virtual machine.
fn launcher(scene: &Scene, task: &Task<'_>, instance: &Value, version: &str) -> Result<Value> {
    let number = scene.count(&format!("launcher/{}/{}", namespace(instance), name(instance)))?;
    let made_by = format!("{}/{}/{number}", namespace(instance), name(instance));
    let words = items(task.container, "/args");
    let told =
        words.iter().position(|word| word == LAUNCHER_IMAGE).and_then(|at| words.get(at + 1)?.as_str());
    let derived = || text(task.container, "/image").replace(CONTROLLER, "virt-launcher");
    let image = told.map_or_else(derived, str::to_owned);
    let mut annotations = json!({"kubevirt.io/domain": name(instance)});
    let networks = networks(instance, version);
    if !networks.is_empty() {
        annotations["k8s.v1.cni.cncf.io/networks"] = networks.into();
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": format!("virt-launcher-{}-", name(instance)),
            "name": format!("virt-launcher-{}-{}", name(instance), suffix(&made_by, 5)),
            "namespace": namespace(instance),
            "labels": {
                "kubevirt.io": "virt-launcher",
                "kubevirt.io/created-by": uid(instance),
                "vm.kubevirt.io/name": name(instance),
            },
            "annotations": annotations,
            "ownerReferences": owner_reference(instance, version, INSTANCE),
        },
        "spec": {
            "nodeSelector": {SCHEDULABLE: "true"},
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": number_or(instance, "/spec/terminationGracePeriodSeconds", 30) + 30,
            "containers": [{
                "name": "compute",
                "image": image,
                "command": ["/usr/bin/virt-launcher"],
                "resources": resources(scene, instance, version)?,
            }],
        },
    }))
}

/// What the pod asks a node for: the resources of its networks' attachments, once for each NIC. The first KubeVirt did not look
/// for them.
fn resources(scene: &Scene, instance: &Value, version: &str) -> Result<Value> {
    let mut amounts: BTreeMap<String, u64> = BTreeMap::new();
    let named = items(instance, "/spec/networks").iter().filter(|_| version == TODAY);
    for network in named.filter_map(|network| network["multus"]["networkName"].as_str()) {
        let (space, name) = network.split_once('/').unwrap_or((namespace(instance), network));
        let found = scene.get("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some(space), name)?;
        let resource = found.as_ref().map(|it| it["metadata"]["annotations"][RESOURCE_NAME].clone());
        if let Some(resource) = resource.as_ref().and_then(Value::as_str).filter(|it| !it.is_empty()) {
            *amounts.entry(resource.to_owned()).or_default() += 1;
        }
    }
    let amounts: serde_json::Map<String, Value> =
        amounts.into_iter().map(|(resource, amount)| (resource, amount.to_string().into())).collect();
    Ok(if amounts.is_empty() { json!({}) } else { json!({"requests": amounts, "limits": amounts}) })
}

fn number_or(object: &Value, pointer: &str, default: i64) -> i64 {
    number(object, pointer).unwrap_or(default)
}

/// What the pod asks Multus for: names in 2018, today JSON with a name for each NIC that follows from the network's.
fn networks(instance: &Value, version: &str) -> String {
    let all = items(instance, "/spec/networks").iter();
    let multus: Vec<&Value> = all.filter(|network| network["multus"].is_object()).collect();
    let asked = |network: &Value| text(network, "/multus/networkName").to_owned();
    if version != TODAY {
        return multus.iter().map(|network| asked(network)).collect::<Vec<_>>().join(",");
    }
    let interfaces = items(instance, "/spec/domain/devices/interfaces");
    let entry = |network: &&Value| {
        let wanted = asked(network);
        let (space, wanted) = wanted.split_once('/').unwrap_or((namespace(instance), &wanted));
        let nic = inside::nic_name(text(network, "/name"));
        let mut entry = json!({"name": wanted, "namespace": space, "interface": nic});
        if let Some(mac) =
            interfaces.iter().find(|nic| nic["name"] == network["name"]).map(|nic| &nic["macAddress"])
            && mac.is_string()
        {
            entry["mac"] = mac.clone();
        }
        entry
    };
    match multus.as_slice() {
        [] => String::new(),
        multus => Value::from(multus.iter().map(entry).collect::<Vec<_>>()).to_string(),
    }
}

/// Makes the node schedulable for virtual machines.
pub(super) struct Handler;

impl Program for Handler {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        offer(task.scene, true)?;
        Ok(ProgramState::Running { ready: true })
    }

    /// Its resources stay on the node, with amount 0.
    fn stop(&self, task: &Task<'_>) -> Result<()> {
        offer(task.scene, false)
    }

    fn seconds(&self) -> f64 {
        3.0
    }
}

fn offer(scene: &Scene, offered: bool) -> Result<()> {
    let Some(node) = scene.own_node()? else { return Ok(()) };
    let mut written = node.clone();
    written["metadata"]["labels"][SCHEDULABLE] = offered.to_string().into();
    if written["metadata"]["annotations"]["kubevirt.io/heartbeat"].is_null() {
        written["metadata"]["annotations"]["kubevirt.io/heartbeat"] = scene.now().into();
    }
    for device in DEVICES {
        written["status"]["capacity"][device] = if offered { "1k" } else { "0" }.into();
    }
    scene.save(HANDLER, &node, written)
}
