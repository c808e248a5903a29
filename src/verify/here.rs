//! Pins a verification's pods to this machine, where kvnet can read their ports.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::Result;

const HOSTNAME: &str = "kubernetes.io/hostname";

/// This machine's place in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// This machine's Node; none when it is not a node of the cluster.
    pub node: Option<Arc<str>>,
    /// The label that pins pods to it; none when it is the only node.
    pub pin: Option<String>,
}

impl Here {
    /// Reads the cluster's nodes.
    pub async fn of(cx: &Context) -> Result<Self> {
        Ok(Self::among(cx.this_node().await, &cx.nodes().await?))
    }

    fn among(node: Option<Arc<str>>, nodes: &[Value]) -> Self {
        let own = nodes.iter().find(|one| one["metadata"]["name"].as_str() == node.as_deref());
        let pin = own.filter(|_| nodes.len() > 1 && node.is_some()).map(|own| {
            // The label may differ from the name of the Node.
            let label = own["metadata"]["labels"][HOSTNAME].as_str();
            label.or(node.as_deref()).unwrap_or_default().to_owned()
        });
        Self { node, pin }
    }

    /// Pins a pod to this machine.
    pub fn keep(&self, pod: &mut Value) {
        if let Some(pin) = &self.pin {
            pod["spec"]["nodeSelector"] = json!({ HOSTNAME: pin });
        }
    }

    /// Why a pod on another node cannot be inspected.
    pub fn why_not(&self, other: &str) -> String {
        match &self.node {
            Some(own) => format!("it runs on {other}, kvnet on {own}"),
            None => format!("it runs on {other}, kvnet on no node of the cluster"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_kept_here_when_they_could_go_elsewhere() {
        let node = |name: &str, label: &str| json!({"metadata": {"name": name, "labels": {HOSTNAME: label}}});
        let nodes = [node("n1", "n1.example"), node("n2", "n2")];
        let pin = |own: Option<&str>, nodes: &[Value]| Here::among(own.map(Arc::from), nodes).pin;
        assert_eq!(pin(Some("n1"), &nodes).as_deref(), Some("n1.example"));
        assert_eq!(pin(Some("n1"), &nodes[..1]), None, "there is no other");
        assert_eq!(pin(Some("laptop"), &nodes), None, "it is not a node");
        assert_eq!(pin(None, &nodes), None);
        let mut pod = json!({"spec": {}});
        Here::among(Some("n2".into()), &nodes).keep(&mut pod);
        assert_eq!(pod["spec"]["nodeSelector"][HOSTNAME], "n2");
    }
}
