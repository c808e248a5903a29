//! What helps with a failed smoke case: its namespace, the pods that make NICs, and the network of the node. What belongs to
//! others is not in it.

use serde_json::Value;

use super::cluster::logs;
use super::text::{containers, documents, nics, timeline};
use super::{Dump, all, node};
use crate::cluster::{Cluster, STEP_LABEL};
use crate::components::{self, Component};
use crate::context::Context;
use crate::error::Result;
use crate::formats::object::name;

/// Adds everything of a case whose pods are in a namespace.
pub async fn collect_case(cx: &Context, cluster: &Cluster, namespace: &str, dump: &Dump) {
    tokio::join!(objects(cx, cluster, namespace, dump), node::collect_network(cx, dump));
}

async fn objects(cx: &Context, cluster: &Cluster, namespace: &str, dump: &Dump) {
    let own = dump.part("cluster/Pod.yaml", cluster.list("v1", "Pod", Some(namespace), None)).await;
    let own = own.unwrap_or_default();
    dump.put("cluster/network-status.json", &nics(&own));
    dump.put_redacted("cluster/Pod.yaml", &documents(own.clone()));
    let events = cluster.list("v1", "Event", Some(namespace), None);
    dump.file("cluster/events.txt", async { Ok(timeline(&events.await?)) }).await;
    let name = "cluster/NetworkAttachmentDefinition.yaml";
    let networks = dump.part(name, networks(cx, cluster, namespace)).await;
    dump.put_redacted(name, &documents(networks.unwrap_or_default()));
    let nodes = dump.part("cluster/Node.yaml", cluster.list("v1", "Node", None, None)).await;
    dump.put_redacted("cluster/Node.yaml", &documents(nodes.unwrap_or_default()));
    let makers = dump.part("logs", makers_of_nics(cluster)).await.unwrap_or_default();
    let pods = own.iter().chain(&makers);
    all(pods.flat_map(|pod| containers(pod).map(move |container| logs(cluster, dump, pod, container)))).await;
}

/// The attachments in the namespaces of the case and of its networks.
async fn networks(cx: &Context, cluster: &Cluster, namespace: &str) -> Result<Vec<Value>> {
    let networks = &cx.profile.networks;
    let mut namespaces: Vec<&str> = networks.iter().map(|network| network.namespace.as_str()).collect();
    namespaces.push(namespace);
    namespaces.sort_unstable();
    namespaces.dedup();
    let mut all = Vec::new();
    for namespace in namespaces.into_iter().filter(|namespace| !namespace.is_empty()) {
        let kind = "NetworkAttachmentDefinition";
        all.extend(cluster.list("k8s.cni.cncf.io/v1", kind, Some(namespace), None).await?);
    }
    Ok(all)
}

/// The pods whose logs tell why another pod does not get its NICs, whoever installed them.
async fn makers_of_nics(cluster: &Cluster) -> Result<Vec<Value>> {
    let makers: Vec<&Component> =
        components::ALL.iter().copied().filter(|it| !it.workloads.plugins.is_empty()).collect();
    let makes_nics = |pod: &Value| {
        let step = pod["metadata"]["labels"][STEP_LABEL].as_str();
        let name = name(pod);
        name.contains("coredns")
            || makers.iter().any(|it| step == Some(it.step) || name.contains(it.workloads.daemon))
    };
    let mut pods = cluster.list("v1", "Pod", None, None).await?;
    pods.retain(makes_nics);
    Ok(pods)
}
