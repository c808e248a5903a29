//! Taints that keep pods off the only node.

use async_trait::async_trait;
use serde_json::Value;

use crate::context::Context;
use crate::engine::change::{Change, TaintSpec};
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::Result;
use crate::steps::kubeadm_init::taints_to_come;

const ABOUT: About =
    About { id: "taints", title: "taints of the nodes", requires: &["kubeadm-init"], reach: Reach::Anywhere };

/// Removes the taints that the profile names; the role labels stay, because `KubeVirt` places its pods by them.
pub struct Taints;

/// The only effect of which kvnet removes a taint.
const EFFECT: &str = "NoSchedule";

#[async_trait]
impl Step for Taints {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        !cx.profile.cluster.remove_taints.is_empty()
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let keys = &cx.profile.cluster.remove_taints;
        let nodes = cx.nodes().await?;
        // The step that creates the cluster reports a node that cannot be read.
        let is_new = nodes.is_empty() && cx.profile.cluster.init.enabled;
        let to_come = if is_new { taints_to_come(cx).await.unwrap_or_default() } else { Vec::new() };
        let removals = nodes.iter().flat_map(|node| removals(node, keys));
        let mut findings = Findings::of(removals.collect());
        let unwanted = to_come.iter().filter(|key| keys.iter().any(|wanted| wanted == *key));
        let node = new_node(cx);
        findings.foreseen = unwanted
            .map(|key| {
                Change::Taint {
                    node: node.clone(),
                    taint: TaintSpec { key: (*key).to_owned(), value: None, effect: EFFECT.to_owned() },
                    present: false,
                }
                .to_string()
            })
            .collect();
        Ok(findings)
    }
}

/// The name of the node that kubeadm will make.
fn new_node(cx: &Context) -> String {
    match cx.profile.cluster.init.node_name.as_str() {
        "" => cx.facts.hostname.to_lowercase(),
        name => name.to_owned(),
    }
}

fn removals(node: &Value, keys: &[String]) -> Vec<Change> {
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    let taints = taints.into_iter().filter_map(|taint| serde_json::from_value::<TaintSpec>(taint).ok());
    let unwanted = taints.filter(|taint| taint.effect == EFFECT && keys.contains(&taint.key));
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
