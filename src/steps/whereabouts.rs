//! whereabouts: the IPAM plugin that gives out addresses across the cluster.

use async_trait::async_trait;
use serde_json::Value;

use super::objects;
use crate::cluster::ObjectKey;
use crate::components::whereabouts::{NAMESPACE, WHEREABOUTS, add_definitions};
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::execute::is_ours;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::Result;
use crate::source::Manifest;

const ABOUT: About = About {
    id: "whereabouts",
    title: "IPAM plugin (whereabouts)",
    // Its pods use the node's network, and watch the attachments, whose definition comes with Multus.
    requires: &["kubeadm-init", "multus"],
    reach: Reach::Anywhere,
};

/// Installs whereabouts on every node.
pub struct Whereabouts;

#[async_trait]
impl Step for Whereabouts {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        (WHEREABOUTS.is_used)(&cx.profile)
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        objects::refuse_unfit(cx, &WHEREABOUTS).await?;
        let desired = manifest(cx).await?.objects;
        let live = objects::observe(cx, &desired).await?;
        let mut findings = objects::diff(ABOUT.id, &desired, &live, cx.profile.timeouts.ready)?;
        findings.version = objects::version(cx, &WHEREABOUTS, &desired);
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(manifest(cx).await?.objects)
    }

    fn traces(&self, cx: &Context) -> Traces {
        (WHEREABOUTS.traces)(&cx.profile, &cx.facts)
    }

    /// The plugin's calls take turns by a Lease that the first of them creates, and nothing removes. The pools need no
    /// step of their own: they go with their definition.
    async fn before_removal(&self, cx: &Context, installed: bool) -> Result<Vec<Change>> {
        let Some(cluster) = cx.cluster().await.filter(|_| installed) else { return Ok(Vec::new()) };
        let daemon = ObjectKey::new("apps/v1", "DaemonSet", Some(NAMESPACE), "whereabouts");
        let lease = ObjectKey::new("coordination.k8s.io/v1", "Lease", Some(NAMESPACE), "whereabouts");
        let is_own = cluster.get(&daemon).await?.is_some_and(|live| is_ours(&live));
        let is_there = is_own && cluster.get(&lease).await?.is_some();
        Ok(is_there.then_some(Change::Delete { object: lease }).into_iter().collect())
    }
}

/// The objects, with the definitions that the release's manifest lacks.
async fn manifest(cx: &Context) -> Result<Manifest> {
    let mut manifest = cx.manifest(&WHEREABOUTS).await?;
    add_definitions(&mut manifest.objects)?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::profile::Profile;
    use crate::steps::testing::{cluster, context, debian, lines};

    const DAEMON: &str = "/apis/apps/v1/namespaces/kube-system/daemonsets/whereabouts";
    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/whereabouts";

    fn profile() -> Profile {
        let mut profile = Profile::default();
        profile.whereabouts.enabled = true;
        profile
    }

    #[tokio::test]
    async fn definitions_are_established_before_the_pods_that_use_them() {
        let cx = context(&Arc::new(FakeHost::new()), profile(), debian());
        let found = lines(&Whereabouts.find(&cx).await.unwrap());
        let place = |line: &str| found.iter().position(|it| it.starts_with(line)).unwrap();
        let daemon = place("create DaemonSet kube-system/whereabouts");
        for kind in ["ippools", "overlappingrangeipreservations", "nodeslicepools"] {
            let wait = format!("wait for CustomResourceDefinition {kind}.whereabouts.cni.cncf.io");
            assert!(place(&wait) < daemon, "{found:?}");
        }
        assert!(place("wait for DaemonSet kube-system/whereabouts") > daemon, "{found:?}");
    }

    async fn removed(labels: Value, has_lease: bool) -> Vec<String> {
        let daemon = json!({"metadata": {"name": "whereabouts", "labels": labels}});
        let mut answers = vec![(DAEMON, daemon)];
        if has_lease {
            answers.push((LEASE, json!({"metadata": {"name": "whereabouts"}})));
        }
        let cx = context(&Arc::new(FakeHost::new()), profile(), debian());
        cx.connect(cluster(&answers)).await;
        let changes = Whereabouts.before_removal(&cx, true).await.unwrap();
        changes.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn the_lease_goes_only_with_the_whereabouts_that_made_it() {
        let ours = json!({"app.kubernetes.io/managed-by": "kvnet"});
        assert_eq!(removed(ours.clone(), true).await, ["delete Lease kube-system/whereabouts"]);
        assert_eq!(removed(ours, false).await, [""; 0]);
        assert_eq!(removed(json!({}), true).await, [""; 0]);
    }
}
