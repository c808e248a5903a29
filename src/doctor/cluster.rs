//! The API server, the nodes, and the pods that belong to the cluster itself.

use serde_json::Value;

use super::seen::{ClusterSnapshot, Snapshot, full_name, name};
use super::{CheckResult, Verdict, listed};
use crate::cluster::condition_of;
use crate::components;
use crate::error::code;
use crate::formats::object::{items, shown_taint, untolerated};
use crate::steps::flannel::LEAVING_TAINT;
use crate::terminal::counted;

/// The conditions of a node that runs short of something.
const SHORT: [&str; 3] = ["MemoryPressure", "DiskPressure", "PIDPressure"];

pub fn api(seen: &Snapshot) -> CheckResult {
    match &seen.cluster {
        Ok(cluster) => {
            Ok(Verdict::holds(format!("{} answers, Kubernetes {}", cluster.server, cluster.version)))
        }
        Err(error) => {
            let verdict = Verdict::broken(error.code(), error.to_string());
            Ok(match error.hints().first() {
                Some(hint) => verdict.hint(*hint),
                None => verdict,
            })
        }
    }
}

pub fn nodes(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let troubles: Vec<String> = cluster.nodes.iter().filter_map(trouble).collect();
    if troubles.is_empty() {
        return Ok(Verdict::holds(format!("{} Ready", counted(cluster.nodes.len(), "node"))));
    }
    let verdict = Verdict::broken(&code::NODE_NOT_READY, "").each("", troubles);
    let told = &verdict.found;
    let unread = told.contains("cni plugin not initialized") || told.contains("NetworkPluginNotReady");
    Ok(if unread && !seen.node.configurations.is_empty() {
        verdict.hint(
            "the runtime has not loaded its configuration: restart it (`systemctl restart containerd`); it stops watching \
             a directory that was removed and recreated",
        )
    } else if unread {
        verdict.hint("the node has no CNI configuration: `kvnet up` installs the pod network")
    } else {
        verdict
    })
}

fn trouble(node: &Value) -> Option<String> {
    let said = |condition: &Value| condition["message"].as_str().unwrap_or("no reason given").to_owned();
    let ready = condition_of(node, "Ready");
    if let Some(ready) = ready.filter(|ready| ready["status"] != "True") {
        return Some(format!("{}: {}", name(node), said(ready)));
    }
    if ready.is_none() {
        return Some(format!("{} has not reported yet", name(node)));
    }
    let short = SHORT.iter().filter_map(|kind| condition_of(node, kind).map(|condition| (kind, condition)));
    let mut short = short.filter(|(_, condition)| condition["status"] == "True");
    short.next().map(|(kind, condition)| format!("{} has {kind}: {}", name(node), said(condition)))
}

pub fn room(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let leaving =
        |node: &&Value| items(node, "/spec/taints").iter().any(|taint| taint["key"] == LEAVING_TAINT);
    if let Some(node) = cluster.nodes.iter().find(leaving) {
        let node = name(node);
        let found = format!("{node} has the taint {LEAVING_TAINT}: a `kvnet down` was interrupted");
        return Ok(Verdict::broken(&code::NO_ROOM, found).hint("finish `kvnet down`, or run `kvnet up`"));
    }
    let free = cluster.nodes.iter().filter(|node| refusal(node).is_none());
    let free: Vec<String> = free.map(|node| name(node).to_owned()).collect();
    if !free.is_empty() {
        return Ok(Verdict::holds(format!("schedulable: {}", listed(&free))));
    }
    let refusals: Vec<String> = cluster.nodes.iter().filter_map(refusal).collect();
    let verdict = Verdict::broken(&code::NO_ROOM, "").each("", refusals);
    let cordoned = cluster.nodes.iter().find(|node| node["spec"]["unschedulable"] == true);
    Ok(match cordoned {
        Some(node) => verdict.hint(format!("`kubectl uncordon {}`", name(node))),
        None => verdict,
    })
}

/// Why ordinary pods cannot be scheduled to a node.
fn refusal(node: &Value) -> Option<String> {
    if node["spec"]["unschedulable"] == true {
        return Some(format!("{} is cordoned", name(node)));
    }
    let taint = untolerated(node, &[]).next()?;
    Some(format!("{} has the taint {}", name(node), shown_taint(taint)))
}

pub fn dns(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let is_dns = |deployment: &&Value| {
        deployment["metadata"]["namespace"] == "kube-system"
            && deployment["metadata"]["labels"]["k8s-app"] == "kube-dns"
    };
    let Some(deployment) = cluster.deployments.iter().find(is_dns) else {
        return Ok(Verdict::absent("no DNS Deployment in kube-system"));
    };
    let ready = deployment["status"]["readyReplicas"].as_u64().unwrap_or_default();
    if ready > 0 {
        return Ok(Verdict::holds(format!("{}: {ready} ready", name(deployment))));
    }
    if deployment["spec"]["replicas"] == 0 {
        return Ok(Verdict::broken(&code::SMOKE_DNS, format!("{} is scaled to 0", name(deployment))).hint(
            format!("`kubectl --namespace kube-system scale deployment {} --replicas 2`", name(deployment)),
        ));
    }
    Ok(Verdict::broken(&code::SMOKE_DNS, format!("{}: {}", name(deployment), why(cluster, deployment))))
}

pub fn pods(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let own = components::releases().map(|(component, _)| (component.workloads.namespace)(&seen.profile));
    let namespaces: Vec<&str> = own.chain(["kube-system"]).collect();
    let is_system = |pod: &&Value| namespaces.iter().any(|name| pod["metadata"]["namespace"] == *name);
    let system: Vec<&Value> = cluster.pods.iter().filter(is_system).collect();
    let waiting =
        system.iter().filter_map(|pod| Some(format!("{}: {}", full_name(pod), cluster.why_waiting(pod)?)));
    let waiting: Vec<String> = waiting.collect();
    if waiting.is_empty() {
        return Ok(match floating(&cluster.daemons) {
            Some(found) => Verdict::warns(found).hint("pin the version: such a tag moves"),
            None => Verdict::holds(format!("running: {}", counted(system.len(), "pod"))),
        });
    }
    let verdict = Verdict::broken(&code::SYSTEM_POD, "").each("", waiting);
    let why = &verdict.found;
    Ok(if why.contains("ImagePull") {
        verdict.hint("the node cannot pull the image: check the events (`kubectl describe pod`), proxies and the registry's rate limits")
    } else if why.contains("OOMKilled") {
        verdict.hint("raise the container's memory limit")
    } else {
        verdict
    })
}

/// A network component whose image tag moves.
fn floating(daemons: &[Value]) -> Option<String> {
    const FLOATING: [&str; 6] =
        [":latest", ":stable", ":snapshot", ":latest-thick", ":stable-thick", ":snapshot-thick"];
    let containers = |daemon: &Value| daemon["spec"]["template"]["spec"]["containers"].as_array().cloned();
    daemons.iter().find_map(|daemon| {
        let containers = containers(daemon)?;
        let mut images = containers.iter().filter_map(|container| container["image"].as_str());
        let image = images.find(|image| FLOATING.iter().any(|tag| image.ends_with(tag)))?;
        Some(format!("{} uses {image}", full_name(daemon)))
    })
}

/// Why a workload's pods are not ready: the reason of one of its pods, or that it has none.
pub fn why(cluster: &ClusterSnapshot, workload: &Value) -> String {
    let mut pods = cluster.pods_of(workload).peekable();
    if pods.peek().is_none() {
        return "it has no pods".into();
    }
    pods.find_map(|pod| cluster.why_waiting(pod)).unwrap_or_else(|| "its pods are not ready".into())
}
