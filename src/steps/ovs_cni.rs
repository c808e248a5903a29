//! ovs-cni: the CNI plugin that connects pods to Open vSwitch bridges, and the marker that publishes the bridges.

use async_trait::async_trait;
use serde_json::Value;

use super::objects;
use super::placement;
use crate::cluster::{Condition, ObjectKey};
use crate::components::ovs_cni::OVS_CNI;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::Result;
use crate::source::Manifest;

/// The marker looks for bridges every 60 s with jitter; two rounds and some slack.
const MARKER_TIMEOUT: u64 = 180;
pub use crate::profile::MARKER_DOMAIN;

const ABOUT: About = About {
    id: "ovs-cni",
    title: "Open vSwitch CNI plugin",
    // The marker exits when it cannot reach Open vSwitch, and publishes the bridges at once when it starts.
    requires: &["kubeadm-init", "ovs-bridges"],
    reach: Reach::Anywhere,
};

/// Installs ovs-cni on every node.
pub struct OvsCni;

#[async_trait]
impl Step for OvsCni {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        (OVS_CNI.is_used)(&cx.profile)
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        objects::refuse_unfit(cx, &OVS_CNI).await?;
        let manifest = manifest(cx).await?;
        let live = objects::observe(cx, &manifest.objects).await?;
        let nodes = cx.nodes().await?;
        let mut findings = objects::diff(ABOUT.id, &manifest.objects, &live, cx.profile.timeouts.ready)?;
        findings.version = objects::version(cx, &OVS_CNI, &manifest.objects);
        if !cx.profile.ovs_cni.publishes_bridges() {
            return Ok(findings);
        }
        for bridge in &cx.profile.ovs.bridges {
            let resource = format!("{MARKER_DOMAIN}{}", bridge.name);
            if !nodes.iter().any(|node| node["status"]["capacity"].get(&resource).is_some()) {
                let condition = Condition::NodeResource { resource };
                let now = "no node offers it".into();
                findings.changes.push(Change::Wait { condition, timeout: MARKER_TIMEOUT, now });
            }
        }
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(manifest(cx).await?.objects)
    }

    fn traces(&self, cx: &Context) -> Traces {
        (OVS_CNI.traces)(&cx.profile, &cx.facts)
    }

    /// What the marker wrote stays in the nodes' capacity when the marker goes.
    async fn after_removal(&self, cx: &Context) -> Result<Vec<Change>> {
        let Some(cluster) = cx.cluster().await else { return Ok(Vec::new()) };
        let marker = ObjectKey::new("apps/v1", "DaemonSet", Some("kube-system"), "ovs-cni-amd64");
        if cluster.get(&marker).await?.is_some() {
            return Ok(Vec::new());
        }
        let nodes = cluster.list("v1", "Node", None, None).await?;
        Ok(nodes.iter().filter_map(clean).collect())
    }
}

/// The objects, pinned to this node when the profile says so.
async fn manifest(cx: &Context) -> Result<Manifest> {
    let mut manifest = cx.manifest(&OVS_CNI).await?;
    placement::keep_here(cx, &mut manifest.objects).await?;
    Ok(manifest)
}

/// Removes the marker's resources from a node.
fn clean(node: &Value) -> Option<Change> {
    let offered = node["status"]["capacity"].as_object()?.keys();
    let resources: Vec<String> = offered.filter(|name| name.starts_with(MARKER_DOMAIN)).cloned().collect();
    let node = node["metadata"]["name"].as_str()?.to_owned();
    (!resources.is_empty()).then_some(Change::CleanNode {
        node,
        labels: Vec::new(),
        annotations: Vec::new(),
        resources,
        conditions: Vec::new(),
    })
}

/// Whether an unscheduled pod asks for a bridge that a node must offer.
pub fn waits_for(pod: &Value, bridge: &str) -> bool {
    let resource = format!("{MARKER_DOMAIN}{bridge}");
    let containers = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array());
    let asks = |container: &Value| {
        ["requests", "limits"].iter().any(|part| container["resources"][part].get(&resource).is_some())
    };
    let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    !is_over && !pod["spec"]["nodeName"].is_string() && containers.into_iter().flatten().flatten().any(asks)
}
