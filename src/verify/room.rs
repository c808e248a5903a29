//! How many pods a verification may start at once.

use serde_json::Value;

use super::Here;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::{Error, Result, code};

/// More at once would cost more load than it saves time.
pub const MOST: usize = 48;
/// Reserved for other pods.
const SPARE: usize = 8;
/// The kubelet's default limit.
const USUAL: usize = 110;

/// How many more pods the nodes take, minus a reserve.
pub async fn places(cx: &Context, cluster: &Cluster, here: &Here) -> Result<usize> {
    let nodes = cx.nodes().await?;
    let pods = cluster.list("v1", "Pod", None, None).await?;
    Ok(free(here, &nodes, &pods).saturating_sub(SPARE))
}

/// How many pods may be started at once, on the nodes that they may go to.
/// Fails with `KVN820` when not even `least` fit.
pub async fn room(cx: &Context, cluster: &Cluster, here: &Here, least: usize) -> Result<usize> {
    let nodes = cx.nodes().await?;
    let pods = cluster.list("v1", "Pod", None, None).await?;
    let free = free(here, &nodes, &pods);
    if free < least {
        let message =
            format!("the node has room for {free} more pods, the verification needs {least} at once");
        return Err(Error::new(&code::VERIFY_ROOM, message));
    }
    Ok(free.saturating_sub(SPARE).clamp(least, MOST.max(least)))
}

/// The free capacity of the kubelets. A pod without a node may go to any.
fn free(here: &Here, nodes: &[Value], pods: &[Value]) -> usize {
    let name = |node: &Value| node["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let pinned = here.node.as_deref().filter(|_| here.pin.is_some());
    let candidate = |node: &&Value| {
        pinned.map_or(node["spec"]["unschedulable"] != true, |pinned| node["metadata"]["name"] == pinned)
    };
    let candidates: Vec<&Value> = nodes.iter().filter(candidate).collect();
    let takes: usize = candidates.iter().map(|node| allocatable(node)).sum();
    let runs = |pod: &&Value| !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let counts = |pod: &&Value| match pod["spec"]["nodeName"].as_str() {
        Some(node) => candidates.iter().any(|candidate| name(candidate) == node),
        None => true,
    };
    takes.saturating_sub(pods.iter().filter(runs).filter(counts).count())
}

fn allocatable(node: &Value) -> usize {
    let told = &node["status"]["allocatable"]["pods"];
    let number = told.as_str().and_then(|text| text.parse().ok());
    number.or_else(|| told.as_u64().and_then(|number| usize::try_from(number).ok())).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_runs_already_counts_and_what_has_ended_does_not() {
        let node = |name: &str, pods: Value| json!({"metadata": {"name": name}, "status": {"allocatable": {"pods": pods}}});
        let pod = |node: Value, phase: &str| json!({"spec": {"nodeName": node}, "status": {"phase": phase}});
        let pods = [
            pod(json!("n1"), "Running"),
            pod(json!("n1"), "Succeeded"),
            pod(json!("n2"), "Running"),
            pod(Value::Null, "Pending"),
        ];
        let nodes = [node("n1", json!("20")), node("n2", Value::Null)];
        let pinned = Here { node: Some("n1".into()), pin: Some("n1".into()) };
        assert_eq!(free(&pinned, &nodes, &pods), 18);
        assert_eq!(free(&Here::default(), &nodes, &pods), 20 + USUAL - 3);
        assert_eq!(free(&pinned, &nodes[1..], &pods), 0);
    }
}
