//! Taints that keep pods off the only node.

use async_trait::async_trait;
use serde_json::Value;

use crate::engine::change::{Change, TaintSpec};
use crate::engine::context::Context;
use crate::engine::step::{Findings, Reach, Step};
use crate::error::Result;

/// Removes the taints that the profile names; the role labels stay, because `KubeVirt` places its pods by them.
pub struct Taints;

#[async_trait]
impl Step for Taints {
    type Observed = Vec<Value>;
    type Desired = Vec<String>;

    const ID: &'static str = "taints";
    const TITLE: &'static str = "taints of the nodes";
    const REQUIRES: &'static [&'static str] = &["kubeadm-init"];
    const REACH: Reach = Reach::Anywhere;

    fn enabled(&self, cx: &Context) -> bool {
        !cx.profile.cluster.remove_taints.is_empty()
    }

    async fn observe(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(cx.nodes().await?.to_vec())
    }

    async fn desired(&self, cx: &Context, _nodes: &Vec<Value>) -> Result<Vec<String>> {
        Ok(cx.profile.cluster.remove_taints.clone())
    }

    fn diff(&self, _cx: &Context, nodes: &Vec<Value>, keys: &Vec<String>) -> Result<Findings> {
        Ok(Findings::of(nodes.iter().flat_map(|node| removals(node, keys)).collect()))
    }
}

fn removals(node: &Value, keys: &[String]) -> Vec<Change> {
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let taints = taints.into_iter().filter_map(|taint| serde_json::from_value::<TaintSpec>(taint).ok());
    let unwanted = taints.filter(|taint| taint.effect == "NoSchedule" && keys.contains(&taint.key));
    unwanted.map(|taint| Change::Taint { node: name.to_owned(), taint, present: false }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::profile::Profile;
    use crate::steps::testing::{find, lines};

    const KEY: &str = "node-role.kubernetes.io/control-plane";

    fn found(taints: &Value) -> Vec<String> {
        let node = json!({"metadata": {"name": "node1"}, "spec": {"taints": taints}});
        lines(&Findings::of(removals(&node, &[KEY.to_owned()])))
    }

    #[test]
    fn only_the_named_taints_go() {
        let taints = json!([
            {"key": KEY, "effect": "NoSchedule"},
            {"key": KEY, "effect": "NoExecute"},
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule", "timeAdded": "2026-01-01T00:00:00Z"},
        ]);
        assert_eq!(found(&taints), [format!("remove taint {KEY}:NoSchedule on node node1")]);
    }

    #[test]
    fn a_node_without_taints_is_left_alone() {
        assert!(found(&json!([])).is_empty());
        assert!(found(&Value::Null).is_empty());
    }

    #[tokio::test]
    async fn without_a_cluster_there_is_nothing_yet() {
        let findings = find(Taints, FakeHost::new(), Profile::default()).await.unwrap();
        assert_eq!(findings, Findings::default());
    }
}
