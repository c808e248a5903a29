//! After `down`: a plain pod shows that the node still starts pods.

use std::time::Duration;

use serde_json::{Value, json};

use super::pods::{PodPlan, start};
use super::{Here, SELECTOR, clean, namespace, remove};
use crate::checkpoint::reached;
use crate::context::Context;
use crate::context::events::{Event, Verdict};
use crate::error::{Result, code};
use crate::formats::cni::is_configuration;

/// Starts a pod on the pod network, or with `hostNetwork` when no pod network is left, and deletes it.
pub async fn plain_pod(cx: &Context) -> Result<()> {
    let cluster = cx.need_cluster().await?;
    let names = cx.host.list(&cx.facts.cni_conf_dir).await?.unwrap_or_default();
    let has_network = names.iter().any(|name| is_configuration(name));
    let timeout = Duration::from_secs(cx.profile.timeouts.verification);
    clean(cx, &cluster, &|_| ()).await?;
    cluster.apply(&namespace(&cx.profile.verification.namespace), true).await?;
    reached(|| "within the check of the node: a namespace without a pod".into());
    let here = Here::of(cx).await?;
    let mut pod = pod(cx, has_network, here.node.as_deref());
    // The pod tolerates every taint, also those of unreachable nodes.
    here.keep(&mut pod);
    start(&cluster, &pod).await?;
    reached(|| "within the check of the node: a pod that starts".into());
    let namespace = cx.profile.verification.namespace.as_str();
    let started =
        cluster.wait_pods(namespace, SELECTOR, 1, &crate::cluster::is_ready, timeout, &|_| ()).await;
    let check = if has_network {
        "a plain pod starts on the pod network"
    } else {
        "a pod starts on the node's network; no pod network exists, as before `up`"
    };
    let detail = started.as_ref().map_or_else(ToString::to_string, |_| "running".into());
    let verdict = Verdict::of(started.is_ok());
    cx.events.report(Event::Check { check: check.into(), verdict, detail });
    remove(cx, &cluster).await?;
    reached(|| "within the check of the node: a pod that ends".into());
    clean(cx, &cluster, &|_| ()).await?;
    started.map(|_| ()).map_err(|error| {
        crate::error::Error::new(&code::VERIFY_FAILED, "the node no longer starts pods").because(error)
    })
}

fn pod(cx: &Context, has_network: bool, node: Option<&str>) -> Value {
    let namespace = cx.profile.verification.namespace.as_str();
    let plan = PodPlan { namespace, name: "plain", networks: Vec::new(), command: &["sleep", "3600"] };
    let mut pod = plan.manifest(&cx.profile);
    pod["spec"]["hostNetwork"] = (!has_network).into();
    // The taints that `up` removed are restored, and without a pod network the node is NotReady.
    pod["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    if let Some(node) = node.filter(|_| !has_network) {
        // Schedulers before v1.12 skip a NotReady node; its kubelet still runs pods that are bound to it.
        pod["spec"]["nodeName"] = node.into();
    }
    pod
}
