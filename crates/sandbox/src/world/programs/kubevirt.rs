//! KubeVirt's operator: from its custom resource to the components, and back.

use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::machines::LAUNCHER_IMAGE;
use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::manifest::parse_manifests;
use crate::template;
use crate::world::objects::{is_leaving, is_true, items, name, namespace, number, set_condition, text};
use crate::world::scene::Scene;

const MANAGER: &str = "virt-operator";
const TEMPLATE: &str = "sandbox/kubevirt-components.yaml.tera";
const FINALIZER: &str = "foregroundDeleteKubeVirt";
/// The kinds, with their plurals, singulars and short names.
const DEFINITIONS: [[&str; 4]; 5] = [
    ["VirtualMachine", "virtualmachines", "virtualmachine", "vm"],
    ["VirtualMachineInstance", "virtualmachineinstances", "virtualmachineinstance", "vmi"],
    [
        "VirtualMachineInstanceReplicaSet",
        "virtualmachineinstancereplicasets",
        "virtualmachineinstancereplicaset",
        "vmirs",
    ],
    [
        "VirtualMachineInstancePreset",
        "virtualmachineinstancepresets",
        "virtualmachineinstancepreset",
        "vmipreset",
    ],
    [
        "VirtualMachineInstanceMigration",
        "virtualmachineinstancemigrations",
        "virtualmachineinstancemigration",
        "vmim",
    ],
];

pub(super) struct Operator;

impl Program for Operator {
    fn is_quiet(&self) -> bool {
        false
    }

    fn tend(&self, task: &Task<'_>) -> Result<ProgramState> {
        for resource in task.scene.list("kubevirt.io/v1", "KubeVirt")?.iter() {
            if is_leaving(resource) { remove(task, resource)? } else { deploy(task, resource)? }
        }
        Ok(ProgramState::Running { ready: true })
    }

    fn seconds(&self) -> f64 {
        3.0
    }
}

#[derive(Serialize)]
struct Values<'a> {
    namespace: &'a str,
    replicas: i64,
    registry: &'a str,
    version: &'a str,
    definitions: Vec<Definition>,
}

#[derive(Serialize)]
struct Definition {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static str,
}

/// Everything that the operator makes for its resource, in the order of making; kept, because it is asked for in every
/// round.
fn components(task: &Task<'_>, resource: &Value) -> Result<Arc<Vec<Value>>> {
    static KEPT: Mutex<Vec<(String, Arc<Vec<Value>>)>> = Mutex::new(Vec::new());
    let replicas = number(resource, "/spec/infra/replicas").unwrap_or(2);
    let key = format!("{} {replicas} {}", namespace(resource), task.container);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, components)) = kept.iter().find(|(known, _)| *known == key) {
        return Ok(components.clone());
    }
    let components = Arc::new(rendered(task, resource, replicas)?);
    kept.push((key, components.clone()));
    Ok(components)
}

fn rendered(task: &Task<'_>, resource: &Value, replicas: i64) -> Result<Vec<Value>> {
    let image = own_image(task.container);
    let (registry, _) = image.rsplit_once('/').unwrap_or(("", image));
    let version = version(task.container);
    let values = Values {
        namespace: namespace(resource),
        replicas,
        registry,
        version,
        definitions: DEFINITIONS
            .map(|[kind, plural, singular, short]| Definition { kind, plural, singular, short })
            .into(),
    };
    let mut objects = parse_manifests(&template::render(TEMPLATE, &values)?, TEMPLATE)?;
    let containers =
        objects.iter_mut().filter_map(|object| object.pointer_mut("/spec/template/spec/containers/0"));
    for container in containers {
        let component = text(container, "/name").to_owned();
        if let Some(image) = told(task.container, &component) {
            container["image"] = image.into();
        }
        if component == "virt-controller" {
            let derived = || format!("{registry}/virt-launcher:{version}");
            let launcher = told(task.container, "virt-launcher").map_or_else(derived, str::to_owned);
            container["args"] = json!([LAUNCHER_IMAGE, launcher]);
        }
    }
    Ok(objects)
}

/// The image of a component that a variable names: `VIRT_API_IMAGE`.
fn told<'a>(operator: &'a Value, component: &str) -> Option<&'a str> {
    setting(operator, &format!("{}_IMAGE", component.to_uppercase().replace('-', "_")))
}

/// The image by which the operator knows registry and version.
fn own_image(operator: &Value) -> &str {
    setting(operator, "VIRT_OPERATOR_IMAGE").unwrap_or_else(|| text(operator, "/image"))
}

/// All that follows the colon, with a digest behind it too; the variable where there is only a digest.
fn version(operator: &Value) -> &str {
    let last = own_image(operator).rsplit('/').next().unwrap_or_default();
    match last.find([':', '@']).map(|at| last.split_at(at).1) {
        None => "latest",
        Some(tag) if tag.starts_with(':') => &tag[1..],
        Some(_) => setting(operator, "KUBEVIRT_VERSION").unwrap_or("latest"),
    }
}

fn setting<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let found = items(container, "/env").iter().find(|setting| setting["name"] == name)?;
    found["value"].as_str().filter(|value| !value.is_empty())
}

fn deploy(task: &Task<'_>, resource: &Value) -> Result<()> {
    let scene = task.scene;
    let mut written = resource.clone();
    let finalizers = items(resource, "/metadata/finalizers");
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        let mut all = finalizers.to_vec();
        all.push(FINALIZER.into());
        written["metadata"]["finalizers"] = all.into();
    }
    let components = components(task, resource)?;
    let wait = format!("{}/deploy", text(resource, "/metadata/uid"));
    if scene.is_over(&wait, 4.0) {
        components.iter().try_for_each(|component| scene.create(MANAGER, component))?;
    }
    let ready = all_ready(scene, &components)?;
    let version = version(task.container);
    let status = &mut written["status"];
    status["phase"] = if ready { "Deployed" } else { "Deploying" }.into();
    for field in ["operatorVersion", "targetKubeVirtVersion", "observedKubeVirtVersion"] {
        status[field] = version.into();
    }
    let now = scene.now();
    let mut conditions = items(resource, "/status/conditions").to_vec();
    for condition in conditions_of(ready) {
        set_condition(&mut conditions, condition, &now);
    }
    written["status"]["conditions"] = conditions.into();
    scene.save(MANAGER, resource, written)
}

fn conditions_of(ready: bool) -> [Value; 4] {
    let condition = |kind: &str, holds: bool, reason: &str, message: &str| {
        let status = if holds { "True" } else { "False" };
        json!({"type": kind, "status": status, "reason": reason, "message": message})
    };
    if ready {
        return [
            condition("Available", true, "AllComponentsReady", "All components are ready."),
            condition("Progressing", false, "AllComponentsReady", "All components are ready."),
            condition("Degraded", false, "AllComponentsReady", "All components are ready."),
            condition("Created", true, "AllResourcesCreated", "All resources were created."),
        ];
    }
    let message = "Deploying version";
    [
        condition("Available", false, "DeploymentInProgress", message),
        condition("Progressing", true, "DeploymentInProgress", message),
        condition("Degraded", false, "DeploymentInProgress", message),
        condition("Created", true, "AllResourcesCreated", "All resources were created."),
    ]
}

fn all_ready(scene: &Scene, components: &[Value]) -> Result<bool> {
    for component in components {
        let (version, kind) = (text(component, "/apiVersion"), text(component, "/kind"));
        let Some(live) = scene.get(
            version,
            kind,
            Some(namespace(component)).filter(|n| !n.is_empty()),
            name(component),
        )?
        else {
            return Ok(false);
        };
        let ready = match kind {
            "Deployment" => is_true(&live, "Available"),
            "DaemonSet" => number(&live, "/status/numberReady").is_some_and(|ready| ready > 0),
            "CustomResourceDefinition" => is_true(&live, "Established"),
            _ => true,
        };
        if !ready {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The last made goes first; the resource goes when nothing is left.
fn remove(task: &Task<'_>, resource: &Value) -> Result<()> {
    let scene = task.scene;
    let mut left = false;
    for component in components(task, resource)?.iter().rev() {
        let (version, kind) = (text(component, "/apiVersion"), text(component, "/kind"));
        let place = Some(namespace(component)).filter(|place| !place.is_empty());
        if let Some(live) = scene.get(version, kind, place, name(component))? {
            left = true;
            if !is_leaving(&live) {
                scene.delete(&live)?;
            }
        }
    }
    let mut written = resource.clone();
    if left {
        written["status"]["phase"] = "Deleting".into();
    } else {
        let finalizers =
            items(resource, "/metadata/finalizers").iter().filter(|finalizer| *finalizer != FINALIZER);
        written["metadata"]["finalizers"] = finalizers.cloned().collect();
        written["status"]["phase"] = "Deleted".into();
    }
    scene.save(MANAGER, resource, written)
}
