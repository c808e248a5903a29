//! What a run works on: the cluster, its kubeconfig, and the nodes that kvnet reaches. The plan, the prompt, the first
//! event and every report name it.

use serde::Serialize;
use serde_json::Value;

use super::Context;
use crate::cluster::Place;
use crate::error::Result;

/// Where the changes go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The cluster; none while there is none.
    pub cluster: Option<Place>,
    /// This machine's Node object; none when it is not a node of the cluster.
    pub node: Option<String>,
    /// The cluster's other nodes: kvnet reaches only the machine that it runs on.
    pub unreached: Vec<String>,
    /// Whether the cluster did not answer, so that its nodes are unknown.
    #[serde(skip)]
    pub silent: bool,
}

impl Target {
    /// Reads the cluster's nodes.
    pub async fn of(cx: &Context) -> Result<Self> {
        let Some(cluster) = cx.cluster().await else { return Ok(Self::default()) };
        let node = cx.identity().await?.and_then(|identity| identity.name()).map(|name| name.to_string());
        let nodes = cx.nodes().await?;
        let names = nodes.iter().filter_map(|node| node["metadata"]["name"].as_str());
        let others = names.filter(|name| node.as_deref() != Some(*name)).map(str::to_owned);
        let cluster = Some(cluster.place().clone());
        Ok(Self { cluster, unreached: others.collect(), node, silent: false })
    }

    /// As [`Target::of`], also for a cluster that does not answer: what steps say about that matters more.
    pub async fn of_whatever_answers(cx: &Context) -> Self {
        match (Self::of(cx).await, cx.cluster().await) {
            (Ok(target), _) => target,
            (Err(_), cluster) => {
                Self { cluster: cluster.map(|it| it.place().clone()), silent: true, ..Self::default() }
            }
        }
    }

    /// For people: the cluster and this machine, then a line for each node that kvnet does not reach.
    pub fn lines(&self) -> Vec<String> {
        let Some(cluster) = &self.cluster else {
            return vec!["no cluster yet: kvnet creates one on this machine".into()];
        };
        let machine = match &self.node {
            Some(node) => format!("this machine is its node {node}"),
            None if self.silent => "it does not answer, so its nodes are unknown".into(),
            None => "this machine is not one of its nodes".into(),
        };
        let first = format!("cluster {cluster}; {machine}");
        std::iter::once(first).chain(self.missed()).collect()
    }

    /// What is not done on each node that kvnet does not reach; nothing on a cluster of one node.
    pub fn missed(&self) -> impl Iterator<Item = String> {
        let here = self.node.as_deref().unwrap_or("a machine outside the cluster");
        let line = |name: &String| {
            format!(
                "node {name}: kernel, CNI plugins, Open vSwitch, bridges and CNI order not checked, because kvnet runs on {here}"
            )
        };
        self.unreached.iter().map(line).collect::<Vec<_>>().into_iter()
    }
}

/// The schedulable nodes other than `own`: neither cordoned nor tainted on purpose.
pub(crate) fn schedulable_elsewhere<'a>(
    nodes: &'a [Value],
    own: Option<&str>,
    removed: &[String],
) -> Vec<&'a Value> {
    let other = |node: &&Value| node["metadata"]["name"].as_str() != own;
    nodes.iter().filter(other).filter(|node| takes_pods(node, removed)).collect()
}

/// Whether a node is schedulable once `up` has removed the taints that the profile names. Taints of node conditions
/// come and go.
pub(crate) fn takes_pods(node: &Value, removed: &[String]) -> bool {
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stays = |taint: &Value| {
        let key = taint["key"].as_str().unwrap_or_default();
        taint["effect"] != "PreferNoSchedule"
            && !removed.iter().any(|removed| removed == key)
            && !key.starts_with("node.kubernetes.io/")
    };
    node["spec"]["unschedulable"] != true && !taints.iter().any(stays)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nodes_that_take_no_pods_are_left_out() {
        let nodes = [
            json!({"metadata": {"name": "own"}}),
            json!({"metadata": {"name": "free"}, "spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}}),
            json!({"metadata": {"name": "cordoned"}, "spec": {"unschedulable": true}}),
            json!({"metadata": {"name": "control"}, "spec": {"taints": [{"key": "role", "effect": "NoSchedule"}]}}),
        ];
        let names = |removed: &[String]| -> Vec<String> {
            let found = schedulable_elsewhere(&nodes, Some("own"), removed);
            found.iter().map(|node| node["metadata"]["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&[]), ["free"]);
        assert_eq!(names(&["role".into()]), ["free", "control"], "`up` removes that taint");
    }

    #[test]
    fn every_node_that_is_not_reached_has_a_line() {
        let mut target = Target {
            cluster: Some(Place::default()),
            node: Some("n1".into()),
            unreached: vec!["n2".into(), "n3".into()],
            silent: false,
        };
        let lines = target.lines();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].ends_with("this machine is its node n1"), "{lines:?}");
        assert!(lines[2].starts_with("node n3: ") && lines[2].ends_with("kvnet runs on n1"), "{lines:?}");
        target.unreached.clear();
        assert_eq!(target.lines().len(), 1);
    }
}
