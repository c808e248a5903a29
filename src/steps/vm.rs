//! The sample virtual machine.

use async_trait::async_trait;
use serde_json::Value;

use super::objects::{self, Live};
use crate::cluster::{Condition, ObjectKey};
use crate::engine::change::Change;
use crate::engine::context::Context;
use crate::engine::step::{Findings, Step};
use crate::error::Result;
use crate::profile::{Binding, Vm};
use crate::source::{Component, Manifest};

/// Creates the sample virtual machine and waits until it runs.
pub struct SampleVm;

#[async_trait]
impl Step for SampleVm {
    type Observed = Live;
    type Desired = Manifest;

    const ID: &'static str = "vm";
    const TITLE: &'static str = "sample virtual machine";
    const REQUIRES: &'static [&'static str] = &["kubevirt", "networks", "ovs-cni", "cni-order"];

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.vm.enabled && cx.profile.kubevirt.enabled
    }

    async fn observe(&self, cx: &Context) -> Result<Live> {
        let manifest = cx.manifest(Component::Vm).await?;
        objects::observe(cx, &manifest.objects).await
    }

    async fn desired(&self, cx: &Context, _: &Live) -> Result<Manifest> {
        cx.manifest(Component::Vm).await
    }

    fn diff(&self, cx: &Context, live: &Live, desired: &Manifest) -> Result<Findings> {
        let timeout = cx.profile.timeouts.vm;
        let mut findings = objects::diff(Self::ID, &desired.objects, live, timeout);
        for object in desired.objects.iter().filter(|object| object["kind"] == "VirtualMachineInstance") {
            let key = ObjectKey::of(object);
            let phase =
                live.get(&key).and_then(|vmi| vmi["status"]["phase"].as_str()).unwrap_or("absent").to_owned();
            if phase != "Running" {
                let (pointer, value) = ("/status/phase".into(), "Running".into());
                let condition = Condition::Field { object: key, pointer, value };
                findings.changes.push(Change::Wait { condition, timeout, now: phase });
            }
        }
        if blocks_migration(&cx.profile.vm) {
            findings.warn("the VM binds its pod network by bridge: it cannot be migrated while it runs");
        }
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(cx.manifest(Component::Vm).await?.objects)
    }
}

fn blocks_migration(vm: &Vm) -> bool {
    vm.interfaces.iter().any(|interface| interface.network == "pod" && interface.binding == Binding::Bridge)
}
