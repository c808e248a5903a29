//! The pods of a verification, and the reports about their NICs.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::{Value, json};

use super::scenario::{Probe, Scenario};
use super::{Here, SELECTOR};
use crate::cluster::{Cluster, Condition, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey, STEP_LABEL};
use crate::context::events::Progress;
use crate::error::Result;
use crate::facts::attachments::{self, Reported, reported};
use crate::formats::cni::NETWORKS;
use crate::formats::names::is_piece;
pub use crate::guest::Link;
use crate::guest::links;
use crate::manifest::rewrite_image;
use crate::profile::Profile;

/// The server's message for a namespace without its default service account, and how often to retry.
const NO_ACCOUNT: &str = "serviceaccount \"default\" not found";
const NEW_NAMESPACE: usize = 100;
const PAUSE: Duration = Duration::from_millis(200);
/// How long an idle pod may take to terminate.
const LEAVE: Duration = Duration::from_mins(2);

/// The label that finds one pod of a verification.
pub const PROBE_LABEL: &str = "kvnet.dev/probe";

/// The labels of everything that a verification creates.
pub fn labels() -> Value {
    json!({MANAGED_BY_LABEL: MANAGED_BY, STEP_LABEL: "verification"})
}

/// An idle pod.
#[derive(Clone, Debug)]
pub struct PodPlan<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    /// The secondary networks that it asks for, as `namespace/name`.
    pub networks: Vec<String>,
    /// The command that it runs.
    pub command: &'a [&'a str],
}

impl<'a> PodPlan<'a> {
    /// The pod of a probe; it only sleeps.
    pub fn of(probe: &'a Probe, namespace: &'a str) -> Self {
        let networks = vec![format!("{}/{}", probe.network.namespace, probe.network.name)];
        Self { namespace, name: &probe.name, networks, command: &["sleep", "3600"] }
    }

    /// The object, with the image that the profile names.
    pub fn manifest(&self, profile: &Profile) -> Value {
        let mut labels = labels();
        labels[PROBE_LABEL] = json!(self.name);
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": self.name, "namespace": self.namespace, "labels": labels},
            "spec": {
                // The pods have no state, so they may terminate quickly. Not 0: the API server would drop the object at
                // once, and a pod of the same name would meet the dying container.
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "containers": [{
                    "name": "probe",
                    "image": rewrite_image(&profile.verification.image, &profile.images.rewrite),
                    "imagePullPolicy": format!("{:?}", profile.images.pull_policy),
                    "command": self.command,
                }],
            },
        });
        if !self.networks.is_empty() {
            pod["metadata"]["annotations"] = json!({NETWORKS: asking_for(&self.networks)});
        }
        pod
    }
}

/// The networks annotation. Multus accepts names with a dot only in its JSON form.
fn asking_for(networks: &[String]) -> String {
    let parts = |network: &String| {
        let (namespace, name) = network.split_once('/').unwrap_or(("default", network));
        (namespace.to_owned(), name.to_owned())
    };
    let all: Vec<(String, String)> = networks.iter().map(parts).collect();
    if all.iter().all(|(namespace, name)| is_piece(namespace) && is_piece(name)) {
        return networks.join(",");
    }
    let list: Vec<Value> =
        all.iter().map(|(namespace, name)| json!({"namespace": namespace, "name": name})).collect();
    Value::Array(list).to_string()
}

/// Starts a pod, also in a brand-new namespace: until that has its default service account, the server rejects pods.
pub async fn start(cluster: &Cluster, pod: &Value) -> Result<()> {
    for _ in 0..NEW_NAMESPACE {
        match cluster.apply(pod, true).await {
            Err(error) if error.to_string().contains(NO_ACCOUNT) => tokio::time::sleep(PAUSE).await,
            applied => return applied.map(|_| ()),
        }
    }
    cluster.apply(pod, true).await.map(|_| ())
}

/// The pods to start.
pub fn manifests(scenario: &Scenario, profile: &Profile, here: &Here) -> Vec<Value> {
    let namespace = profile.verification.namespace.as_str();
    let manifest = |probe| {
        let mut pod = PodPlan::of(probe, namespace).manifest(profile);
        here.keep(&mut pod);
        pod
    };
    scenario.pods.iter().map(manifest).collect()
}

/// Deletes the pods of an earlier batch that this one does not need, and waits until they are gone.
pub async fn make_room(
    cluster: &Cluster,
    namespace: &str,
    wanted: &[Value],
    progress: Progress<'_>,
) -> Result<()> {
    let there = cluster.list("v1", "Pod", Some(namespace), Some(SELECTOR)).await?;
    let names: BTreeSet<&str> = wanted.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
    let stays = |pod: &&Value| pod["metadata"]["name"].as_str().is_some_and(|name| names.contains(name));
    let old: Vec<ObjectKey> = there.iter().filter(|pod| !stays(pod)).map(ObjectKey::of).collect();
    try_join_all(old.iter().map(|key| cluster.delete(key, None))).await?;
    for object in old {
        cluster.wait(&Condition::Gone { object }, LEAVE, progress).await?;
    }
    Ok(())
}

/// The NIC of a pod on a network (`namespace/name`); none when Multus reports none. Before v3.8 Multus reports only the
/// name in the CNI configuration, which usually is that of the network.
pub fn nic(pod: &Value, network: &str) -> Option<Reported> {
    let told = reported(pod);
    let bare = network.rsplit('/').next().unwrap_or(network);
    let named = |name: &str| told.iter().find(|nic| nic.network == name);
    named(network).or_else(|| named(bare)).or_else(|| in_order(pod, network, &told)).cloned()
}

/// Before v3.8 Multus reported the name in the CNI configuration, which may differ from that of the attachment: then the
/// order tells, if all requested NICs are reported.
fn in_order<'a>(pod: &Value, network: &str, told: &'a [Reported]) -> Option<&'a Reported> {
    let wishes = attachments::asked(pod).wishes;
    let position = wishes.iter().position(|wish| wish.network() == network)?;
    let is_new = told.iter().skip(1).any(|nic| nic.network.contains('/'));
    (told.len() == wishes.len() + 1 && !is_new).then(|| told.get(position + 1))?
}

/// Parses one NIC from the output of `ip addr show` of `busybox` or iproute2.
pub fn link(ip_addr: &str, interface: &str) -> Option<Link> {
    links(ip_addr).into_iter().find(|(name, _)| name == interface).map(|(_, link)| link)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::facts::attachments::OLD_STATUS;
    use crate::formats::cni::NETWORK_STATUS;
    use crate::sandbox::api::{Fault, Interference, ReceivedRequest};
    use crate::sandbox::{Options, Sandbox};

    /// Rejects the first pods, as a server does in a new namespace.
    struct New(AtomicUsize);

    impl Interference for New {
        fn fault(&self, request: &ReceivedRequest) -> Option<Fault> {
            let is_pod = request.path.contains("/pods/") && request.method != "GET";
            let left = |count: usize| count.checked_sub(1);
            (is_pod && self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok()).then(|| {
                Fault::Status {
                    code: 403,
                    reason: "Forbidden",
                    message: format!(
                        "pods \"x\" is forbidden: error looking up service account a/default: {NO_ACCOUNT}"
                    ),
                    retry_after: None,
                }
            })
        }
    }

    #[tokio::test]
    async fn a_pod_starts_in_a_namespace_that_is_new() {
        let profile = Profile::default();
        let sandbox = Sandbox::open(&Options::default(), &profile).unwrap();
        sandbox.api().interfere(Arc::new(New(AtomicUsize::new(2))));
        let plan =
            PodPlan { namespace: "default", name: "x", networks: Vec::new(), command: &["sleep", "1"] };
        start(&sandbox.cluster(), &plan.manifest(&profile)).await.unwrap();
        let key = crate::cluster::ObjectKey::new("v1", "Pod", Some("default"), "x");
        assert!(sandbox.api().get(&key).unwrap().is_some());
    }

    #[test]
    fn a_name_with_a_dot_is_asked_for_in_json() {
        let asked = |networks: &[&str]| {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            let text = asking_for(&networks);
            let pod = json!({"metadata": {"namespace": "x", "annotations": {NETWORKS: text}}});
            let asked = crate::facts::attachments::asked(&pod);
            assert_eq!(asked.refusal(), None);
            (text, asked.wishes.iter().map(crate::facts::attachments::Wish::network).collect::<Vec<_>>())
        };
        assert_eq!(asked(&["n/a", "n/b"]), ("n/a,n/b".into(), vec!["n/a".into(), "n/b".into()]));
        let (text, networks) = asked(&["n/a.b", "n/c"]);
        assert!(text.starts_with('['), "{text}");
        assert_eq!(networks, ["n/a.b", "n/c"]);
    }

    /// The default grace period would cost 30 seconds per batch; without any, the server drops a pod whose container still
    /// runs, and the next pod of that name meets it.
    #[test]
    fn a_pod_ends_soon_and_not_before_its_container() {
        let profile = Profile::default();
        let plan =
            PodPlan { namespace: "n", name: "x", networks: vec!["n/a".into()], command: &["sleep", "3600"] };
        let grace = plan.manifest(&profile)["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap();
        assert!((1..=3).contains(&grace), "{grace}");
    }

    #[test]
    fn the_nic_of_a_network_is_found_by_its_name() {
        let status = r#"[{"name":"cbr0","interface":"eth0","ips":["10.244.0.5"],"default":true},
            {"name":"default/ovs-blue","interface":"net1","ips":["10.20.0.2"],"mac":"0a:58:0a:14:00:02"}]"#;
        let pod = json!({"metadata": {"annotations": {NETWORK_STATUS: status}}});
        let found = nic(&pod, "default/ovs-blue").unwrap();
        assert_eq!((found.interface.as_str(), found.ips[0].to_string().as_str()), ("net1", "10.20.0.2"));
        assert_eq!(nic(&pod, "default/other"), None);
        let old = status.replace("default/", "");
        let pod = json!({"metadata": {"annotations": {OLD_STATUS: old}}});
        assert_eq!(nic(&pod, "default/ovs-blue").map(|nic| nic.interface).as_deref(), Some("net1"));
        let status = r#"[{"name":"flannel.1","interface":"eth0"},{"name":"flannel.1","interface":"net1"}]"#;
        let annotations = json!({OLD_STATUS: status, NETWORKS: "flannel-network"});
        let pod = json!({"metadata": {"namespace": "default", "annotations": annotations}});
        assert_eq!(nic(&pod, "default/flannel-network").map(|nic| nic.interface).as_deref(), Some("net1"));
        assert_eq!(nic(&pod, "default/other"), None);
    }
}
