//! Surveys node and cluster before the first question.

use crate::cluster::{Cluster, ObjectKey};
use crate::error::Result;
use crate::facts::survey::{Presence, Survey};
use crate::formats::kubernetes::{self, pod_subnet};
use crate::host::Host;
use crate::profile::Profile;

/// What can be seen of the node, and of the cluster when it is reachable.
pub async fn look(host: &dyn Host, cluster: Result<Cluster>, profile: &Profile) -> Survey {
    let mut survey = Survey::gather(host, profile).await;
    if let Err(error) = ask(&mut survey, cluster).await {
        survey.unseen.push(("the cluster".into(), format!("{error} [{}]", error.code().id)));
    }
    survey
}

async fn ask(survey: &mut Survey, cluster: Result<Cluster>) -> Result<()> {
    let cluster = cluster?;
    let version = cluster.reachable().await?.git_version;
    let nodes = cluster.list("v1", "Node", None, None).await?;
    let kubeadm = ObjectKey::new("v1", "ConfigMap", Some("kube-system"), "kubeadm-config");
    let configuration = cluster.get(&kubeadm).await?.unwrap_or_default();
    let configuration = kubernetes::configuration(&configuration);
    let seen = &mut survey.cluster;
    seen.presence = Presence::Answers(nodes.len());
    seen.version = Some(version);
    // The cluster takes precedence over a file of this node.
    seen.pod_subnet = configuration.and_then(pod_subnet).or(seen.pod_subnet.take());
    Ok(())
}
