//! The sample virtual machine.

use async_trait::async_trait;
use serde_json::Value;

use super::objects::{self, Live};
use super::placement;
use crate::cluster::{Condition, ObjectKey, differences};
use crate::components::vm::VM;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::execute::is_ours;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::Result;
use crate::profile::{Binding, Profile};
use crate::source::Manifest;

const INSTANCE: &str = "VirtualMachineInstance";

const ABOUT: About = About {
    id: "vm",
    title: "sample virtual machine",
    requires: &["kubevirt", "networks", "ovs-cni", "cni-order"],
    reach: Reach::Anywhere,
};

/// Creates the sample virtual machine and waits until it runs.
pub struct SampleVm;

#[async_trait]
impl Step for SampleVm {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        let without_kubevirt = cx.skipped.iter().any(|step| step == "kubevirt");
        (VM.is_used)(&cx.profile) && !without_kubevirt
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let desired = manifest(cx).await?.objects;
        let mut objects = desired.clone();
        // A VirtualMachine creates an instance of the same name, and that is what runs.
        let wrapped = |object: &&Value| object["kind"] == "VirtualMachine";
        let instances: Vec<Value> = objects.iter().filter(wrapped).map(instance).collect();
        objects.extend(instances);
        diff(&cx.profile, objects::observe(cx, &objects).await?, &desired)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(manifest(cx).await?.objects)
    }
}

fn diff(profile: &Profile, mut live: Live, desired: &[Value]) -> Result<Findings> {
    let timeout = profile.timeouts.vm;
    let replaced = replaced(&mut live, desired);
    let mut findings = objects::diff(ABOUT.id, desired, &live, timeout)?;
    findings.changes.splice(0..0, replaced.into_iter().map(|object| Change::Delete { object }));
    for machine in desired.iter().filter(|object| is_machine(object)) {
        let object = ObjectKey::of(&instance(machine));
        let now = live.get(&object).map_or("absent", phase).to_owned();
        if now != "Running" {
            let (pointer, value) = ("/status/phase".into(), "Running".into());
            let condition = Condition::Field { object, pointer, value };
            findings.changes.push(Change::Wait { condition, timeout, now });
        }
    }
    if blocks_migration(profile) {
        findings.warn("the VM uses bridge binding on the pod network: it cannot be live-migrated");
    }
    Ok(findings)
}

/// The objects, pinned to this node when the profile says so.
async fn manifest(cx: &Context) -> Result<Manifest> {
    let mut manifest = cx.manifest(&VM).await?;
    placement::keep_here(cx, &mut manifest.objects).await?;
    Ok(manifest)
}

fn is_machine(object: &Value) -> bool {
    object["kind"] == INSTANCE || object["kind"] == "VirtualMachine"
}

/// The name of the instance that is or belongs to a machine, as an object.
fn instance(machine: &Value) -> Value {
    let mut instance = machine.clone();
    instance["kind"] = INSTANCE.into();
    instance
}

fn phase(instance: &Value) -> &str {
    instance["status"]["phase"].as_str().unwrap_or("no phase yet")
}

/// Removes from `live` the instances that have to be recreated: KubeVirt does not change an instance, one that ended
/// does not restart, and a guest reads its cloud-init only at its first start.
fn replaced(live: &mut Live, desired: &[Value]) -> Vec<ObjectKey> {
    let differs = |object: &Value| {
        // With the labels that it was applied with: an owned field that is no longer wanted is drift.
        let differs_from =
            |found: &Value| !differences(&objects::marked(object, ABOUT.id, Some(found)), found).is_empty();
        live.get(&ObjectKey::of(object)).is_some_and(differs_from)
    };
    let changed = desired.iter().filter(|object| object["kind"] == "Secret").any(differs);
    let outdated = |object: &&Value| {
        let Some(found) = live.get(&ObjectKey::of(object)).filter(|found| is_ours(found)) else {
            return false;
        };
        changed || differs(object) || matches!(phase(found), "Failed" | "Succeeded")
    };
    let instances = desired.iter().filter(|object| object["kind"] == INSTANCE);
    let keys: Vec<ObjectKey> = instances.filter(outdated).map(ObjectKey::of).collect();
    live.retain(|key, _| !keys.contains(key));
    keys
}

fn blocks_migration(profile: &Profile) -> bool {
    let mut nics = profile.vm.interfaces.iter();
    nics.any(|nic| nic.network == "pod" && profile.binding_of(nic) == Binding::Bridge)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::profile::{self, RunStrategy};
    use crate::steps::testing::{context, debian, lines};

    fn shipped() -> Profile {
        profile::load("default", &[]).unwrap().profile
    }

    /// What is found when the objects of `applied` are there, the instance in a phase.
    async fn found(applied: &Profile, phase: &str, wanted: &Profile) -> Findings {
        let objects = |profile: &Profile| context(&Arc::new(FakeHost::new()), profile.clone(), debian());
        let manifest = objects(applied).manifest(&VM).await.unwrap();
        let mut live = Live::new();
        for mut object in manifest.objects {
            object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("kvnet");
            object["metadata"]["labels"]["kvnet.dev/step"] = json!("vm");
            // As the API server notes it: the labels were applied too.
            object["metadata"]["managedFields"] = json!([{"manager": "kvnet", "operation": "Apply", "fieldsV1": {
                "f:metadata": {"f:labels": {"f:app.kubernetes.io/managed-by": {}, "f:kvnet.dev/step": {}}},
            }}]);
            let mut instance = instance(&object);
            instance["status"] = json!({"phase": phase});
            if object["kind"] != "Secret" {
                live.insert(ObjectKey::of(&instance), instance.clone());
            }
            if object["kind"] == INSTANCE {
                object = instance;
            }
            live.insert(ObjectKey::of(&object), object);
        }
        let cx = objects(wanted);
        let desired = super::manifest(&cx).await.unwrap();
        diff(wanted, live, &desired.objects).unwrap()
    }

    #[tokio::test]
    async fn a_running_vm_is_left_alone_and_a_starting_one_is_waited_for() {
        let profile = shipped();
        assert_eq!(lines(&found(&profile, "Running", &profile).await), [] as [&str; 0]);
        let wait =
            "wait for VirtualMachineInstance default/vm-two-nics to have phase Running (now: Scheduling)";
        assert_eq!(lines(&found(&profile, "Scheduling", &profile).await), [wait]);
        let mut machine = shipped();
        machine.vm.run_strategy = Some(RunStrategy::Always);
        assert_eq!(lines(&found(&machine, "Running", &machine).await), [] as [&str; 0]);
        assert_eq!(lines(&found(&machine, "Scheduling", &machine).await), [wait]);
    }

    #[tokio::test]
    async fn an_instance_is_recreated_because_it_cannot_be_changed() {
        let delete = "delete VirtualMachineInstance default/vm-two-nics";
        let create = "create VirtualMachineInstance default/vm-two-nics";
        let wait = "wait for VirtualMachineInstance default/vm-two-nics to have phase Running (now: absent)";
        let (mut bigger, mut secret) = (shipped(), shipped());
        bigger.vm.memory = "2048M".into();
        assert_eq!(lines(&found(&shipped(), "Running", &bigger).await), [delete, create, wait]);
        assert_eq!(lines(&found(&shipped(), "Failed", &shipped()).await), [delete, create, wait]);
        secret.vm.cloud_init.user_data = "#cloud-config\n".into();
        let change = "change Secret default/vm-two-nics-cloud-init";
        assert_eq!(lines(&found(&secret, "Running", &secret).await), [] as [&str; 0]);
        let mut other = secret.clone();
        other.vm.cloud_init.user_data = "#cloud-config\n{}\n".into();
        assert_eq!(lines(&found(&secret, "Running", &other).await), [delete, change, create, wait]);
    }

    #[tokio::test]
    async fn a_bridge_on_the_pod_network_is_possible_with_a_warning() {
        let mut profile = shipped();
        profile.vm.interfaces[0].binding = Some(Binding::Bridge);
        let findings = found(&profile, "Running", &profile).await;
        assert!(findings.notes[0].warning && findings.notes[0].text.contains("cannot be live-migrated"));
    }
}
