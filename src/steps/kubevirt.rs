//! KubeVirt: its operator and the resource that tells the operator what to run.

use async_trait::async_trait;
use serde_json::Value;

use super::objects::{self, Live};
use crate::cluster::{Condition, ObjectKey};
use crate::engine::change::Change;
use crate::engine::context::Context;
use crate::engine::step::{Findings, Step};
use crate::error::Result;
use crate::source::{Component, Manifest};

/// KubeVirt's releases with the minor versions of Kubernetes 1.x that they support, from its support matrix.
const SUPPORT: &[(&str, std::ops::RangeInclusive<u32>)] =
    &[("v1.5", 30..=32), ("v1.6", 31..=33), ("v1.7", 32..=34), ("v1.8", 33..=35), ("v1.9", 34..=36)];

/// Deploys KubeVirt.
pub struct KubeVirt;

/// The live objects and the cluster's version.
pub struct Observed {
    live: Live,
    kubernetes: Option<String>,
}

/// What is applied first, and what once that runs.
pub struct Desired {
    operator: Manifest,
    resource: Vec<Value>,
}

#[async_trait]
impl Step for KubeVirt {
    type Observed = Observed;
    type Desired = Desired;

    const ID: &'static str = "kubevirt";
    const TITLE: &'static str = "KubeVirt";
    const REQUIRES: &'static [&'static str] = &["taints", "flannel", "cni-order"];

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.kubevirt.enabled
    }

    async fn observe(&self, cx: &Context) -> Result<Observed> {
        let desired = manifests(cx).await?;
        let objects: Vec<Value> = desired.operator.objects.iter().chain(&desired.resource).cloned().collect();
        let live = objects::observe(cx, &objects).await?;
        let kubernetes = match cx.cluster().await {
            Some(cluster) => Some(cluster.version().await?.git_version),
            None => None,
        };
        Ok(Observed { live, kubernetes })
    }

    async fn desired(&self, cx: &Context, _: &Observed) -> Result<Desired> {
        manifests(cx).await
    }

    fn diff(&self, cx: &Context, observed: &Observed, desired: &Desired) -> Result<Findings> {
        let kubevirt = &cx.profile.kubevirt;
        let timeout = cx.profile.timeouts.kubevirt;
        let mut findings = objects::diff(Self::ID, &desired.operator.objects, &observed.live, timeout);
        let resource = objects::diff(Self::ID, &desired.resource, &observed.live, timeout);
        let changed = !resource.changes.is_empty() || !findings.changes.is_empty();
        findings.changes.extend(resource.changes);
        for object in desired.resource.iter().filter(|object| object["kind"] == "KubeVirt") {
            let key = ObjectKey::of(object);
            if changed || !is_available(observed.live.get(&key)) {
                let now = phase(observed.live.get(&key));
                let condition = Condition::True { object: key, kind: "Available".into() };
                findings.changes.push(Change::Wait { condition, timeout, now });
            }
        }
        if cx.emulates() {
            findings.note("VMs run in software emulation: the node has no usable KVM");
        }
        let unsupported = observed.kubernetes.as_deref().and_then(|k8s| unsupported(&kubevirt.version, k8s));
        if let Some(warning) = unsupported {
            findings.warn(warning);
        }
        findings.version = Some(kubevirt.version.clone());
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        let desired = manifests(cx).await?;
        Ok(desired.operator.objects.into_iter().chain(desired.resource).collect())
    }
}

async fn manifests(cx: &Context) -> Result<Desired> {
    let operator = cx.manifest(Component::KubeVirt).await?;
    let resource = cx.manifest(Component::KubeVirtCr).await?.objects;
    Ok(Desired { operator, resource })
}

fn is_available(kubevirt: Option<&Value>) -> bool {
    let conditions = kubevirt.and_then(|kubevirt| kubevirt["status"]["conditions"].as_array());
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Available" && c["status"] == "True"))
}

fn phase(kubevirt: Option<&Value>) -> String {
    let Some(kubevirt) = kubevirt else { return "absent".into() };
    kubevirt["status"]["phase"].as_str().unwrap_or("no phase yet").into()
}

/// A warning with both versions when KubeVirt's matrix does not have the pair.
fn unsupported(kubevirt: &str, kubernetes: &str) -> Option<String> {
    let minor: u32 = kubernetes.trim_start_matches('v').split('.').nth(1)?.parse().ok()?;
    let release = |prefix: &str| kubevirt.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    let (_, supported) = SUPPORT.iter().find(|(prefix, _)| release(prefix))?;
    (!supported.contains(&minor)).then(|| {
        let (first, last) = (supported.start(), supported.end());
        format!("KubeVirt {kubevirt} supports Kubernetes 1.{first} to 1.{last}, the cluster is {kubernetes}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_outside_the_matrix_is_a_warning_with_both_versions() {
        assert_eq!(
            unsupported("v1.5.0", "v1.34.4").unwrap(),
            "KubeVirt v1.5.0 supports Kubernetes 1.30 to 1.32, the cluster is v1.34.4"
        );
        assert_eq!(unsupported("v1.9.0", "v1.34.4"), None);
        assert_eq!(unsupported("v0.8.0", "v1.11.0"), None, "no row is no opinion");
    }
}
