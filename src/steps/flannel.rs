//! flannel: the pod network.

use async_trait::async_trait;
use ipnet::IpNet;
use serde_json::Value;

use super::objects;
use crate::cluster::{Condition, ObjectKey, is_absent, rolled_out};
use crate::components::flannel::FLANNEL;
use crate::context::Context;
use crate::engine::change::{Change, TaintSpec};
use crate::engine::step::{About, Findings, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::{Error, Result, code};
use crate::formats::kubernetes::scarce_addresses;

/// Keeps new pods away from the nodes while their network is removed.
pub const LEAVING_TAINT: &str = "kvnet.dev/leaving";

const ABOUT: About = About {
    id: "flannel",
    title: "pod network (flannel)",
    requires: &["kubeadm-init", "kernel", "cni-plugins"],
    reach: Reach::Node,
};

/// Installs flannel with the cluster's own pod subnet.
pub struct Flannel;

#[async_trait]
impl Step for Flannel {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        (FLANNEL.is_used)(&cx.profile)
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        objects::refuse_unfit(cx, &FLANNEL).await?;
        let desired = cx.manifest(&FLANNEL).await?.objects;
        let (live, nodes) = futures::try_join!(objects::observe(cx, &desired), nodes(cx))?;
        let all_have_addresses = nodes.iter().all(has_addresses);
        // A node of a cluster that gives addresses may not have its own yet.
        let gives_addresses = all_have_addresses || kubeadm_gives_addresses(cx).await?;
        let addressed = nodes.iter().filter(|node| !gives_addresses || has_addresses(node));
        refuse_wrong_pod_addresses(&cx.profile.cluster.pod_subnet, addressed)?;
        let timeout = cx.profile.timeouts.ready;
        let mut findings = objects::diff(ABOUT.id, &desired, &live, timeout)?;
        if !all_have_addresses {
            // The controller manager gives them some seconds after `kubeadm init`.
            let now = "not assigned yet".into();
            findings.changes.insert(0, Change::Wait { condition: Condition::NodesAddressed, timeout, now });
        }
        let is_new = desired.iter().any(|object| !live.contains_key(&ObjectKey::of(object)));
        if is_new && let Some(now) = kube_proxy_is_late(cx).await? {
            let condition = Condition::RolledOut { object: kube_proxy() };
            findings.changes.insert(0, Change::Wait { condition, timeout, now });
        }
        let unready: Vec<&str> = nodes.iter().filter(|node| !is_ready(node)).filter_map(name).collect();
        if !unready.is_empty() || nodes.is_empty() {
            let now = if unready.is_empty() {
                "no nodes".into()
            } else {
                format!("not Ready: {}", unready.join(", "))
            };
            findings.changes.push(Change::Wait { condition: Condition::NodesReady, timeout, now });
        }
        let second = nodes.iter().filter(|node| has_second_family(node)).count();
        if second > 0 {
            let nodes = if second == 1 { "1 node has".into() } else { format!("{second} nodes have") };
            findings.warn(format!("{nodes} a second podCIDR, for IPv6: flannel is set up for IPv4 only, so pods get no IPv6 address"));
        }
        for scarce in nodes.iter().filter_map(scarce_addresses) {
            findings.warn(format!("node {scarce}: pods beyond that do not start"));
        }
        findings.version = objects::version(cx, &FLANNEL, &desired);
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(cx.manifest(&FLANNEL).await?.objects)
    }

    fn traces(&self, cx: &Context) -> Traces {
        (FLANNEL.traces)(&cx.profile, &cx.facts)
    }

    /// Pods on the network must be deleted while it can still tear down their NICs; later they would be stuck in
    /// Terminating. Their controllers start new ones once there is a network.
    async fn before_removal(&self, cx: &Context, installed: bool) -> Result<Vec<Change>> {
        let Some(cluster) = cx.cluster().await.filter(|_| installed) else { return Ok(Vec::new()) };
        let (nodes, pods) = futures::try_join!(
            cluster.list("v1", "Node", None, None),
            cluster.list("v1", "Pod", None, None)
        )?;
        let mut changes: Vec<Change> =
            nodes.iter().filter_map(name).map(|node| leaving(node, true)).collect();
        changes.extend(
            pods.iter()
                .filter(|pod| uses_pod_network(pod) && !is_out_of_reach(pod, &nodes))
                .map(|pod| Change::Delete { object: ObjectKey::of(&typed(pod)) }),
        );
        Ok(changes)
    }

    async fn after_removal(&self, cx: &Context) -> Result<Vec<Change>> {
        let nodes = nodes(cx).await?;
        let left = nodes.iter().filter(|node| is_leaving(node));
        Ok(left
            .flat_map(|node| [clean(node), name(node).map(|name| leaving(name, false))])
            .flatten()
            .collect())
    }
}

/// Removes flannel's annotations and conditions from a node.
fn clean(node: &Value) -> Option<Change> {
    let written = node["metadata"]["annotations"].as_object().into_iter().flat_map(|all| all.keys());
    let annotations: Vec<String> =
        written.filter(|name| name.starts_with("flannel.alpha.coreos.com/")).cloned().collect();
    let conditions: Vec<String> = conditions(node)
        .iter()
        .filter(|condition| condition["reason"] == "FlannelIsUp")
        .filter_map(|condition| condition["type"].as_str().map(str::to_owned))
        .collect();
    let node = name(node)?.to_owned();
    (!annotations.is_empty() || !conditions.is_empty()).then_some(Change::CleanNode {
        node,
        labels: Vec::new(),
        annotations,
        resources: Vec::new(),
        conditions,
    })
}

fn conditions(node: &Value) -> &[Value] {
    node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default()
}

async fn nodes(cx: &Context) -> Result<Vec<Value>> {
    Ok(cx.nodes().await?.to_vec())
}

fn has_addresses(node: &Value) -> bool {
    node["spec"]["podCIDR"].as_str().is_some_and(|cidr| !cidr.is_empty())
}

fn has_second_family(node: &Value) -> bool {
    let ranges = node["spec"]["podCIDRs"].as_array().map(Vec::as_slice).unwrap_or_default();
    ranges.iter().any(|range| range.as_str().is_some_and(|range| range.contains(':')))
}

fn kube_proxy() -> ObjectKey {
    ObjectKey::new("apps/v1", "DaemonSet", Some("kube-system"), "kube-proxy")
}

/// Right after `kubeadm init` the API server's Service address is not routed yet: flannel would fail and restart only
/// after a back-off.
async fn kube_proxy_is_late(cx: &Context) -> Result<Option<String>> {
    let Some(cluster) = cx.cluster().await else { return Ok(None) };
    let Some(live) = cluster.get(&kube_proxy()).await? else { return Ok(None) };
    let (ready, now) = rolled_out(&live);
    Ok((!ready).then_some(now))
}

/// Whether kubeadm was given a pod subnet: then the controller manager gives each node a part of it.
async fn kubeadm_gives_addresses(cx: &Context) -> Result<bool> {
    let Some(cluster) = cx.cluster().await else { return Ok(true) };
    let key = ObjectKey::new("v1", "ConfigMap", Some("kube-system"), "kubeadm-config");
    let config = cluster.get(&key).await?;
    let text = config.as_ref().and_then(crate::formats::kubernetes::configuration);
    let configuration: Option<Value> = text.and_then(|text| serde_yaml::from_str(text).ok());
    Ok(configuration
        .is_some_and(|c| c["networking"]["podSubnet"].as_str().is_some_and(|subnet| !subnet.is_empty())))
}

fn leaving(node: &str, present: bool) -> Change {
    let taint = TaintSpec { key: LEAVING_TAINT.into(), value: None, effect: "NoSchedule".into() };
    Change::Taint { node: node.into(), taint, present }
}

fn is_leaving(node: &Value) -> bool {
    let taints = node["spec"]["taints"].as_array().map(Vec::as_slice).unwrap_or_default();
    taints.iter().any(|taint| taint["key"] == LEAVING_TAINT)
}

/// List items carry no kind of their own.
fn typed(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod
}

/// A pod that kvnet did not make, with its own network, on a node.
fn uses_pod_network(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] != true
        && pod["spec"]["nodeName"].is_string()
        && !crate::engine::execute::is_ours(pod)
}

/// Whether a pod's node is unreachable: the pod stays, should the node come back.
fn is_out_of_reach(pod: &Value, nodes: &[Value]) -> bool {
    nodes.iter().any(|node| is_absent(node) && node["metadata"]["name"] == pod["spec"]["nodeName"])
}

fn name(object: &Value) -> Option<&str> {
    object["metadata"]["name"].as_str()
}

fn is_ready(node: &Value) -> bool {
    conditions(node).iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// flannel takes each node's addresses from its `podCIDR`: without one, or with one outside the subnet, it starts and
/// routes nothing.
fn refuse_wrong_pod_addresses<'a>(
    pod_subnet: &str,
    nodes: impl IntoIterator<Item = &'a Value>,
) -> Result<()> {
    for node in nodes {
        let node_name = name(node).unwrap_or_default();
        let Some(pod_cidr) = node["spec"]["podCIDR"].as_str().filter(|cidr| !cidr.is_empty()) else {
            return Err(Error::new(&code::POD_CIDR, format!("node {node_name} has no podCIDR"))
                .hint(format!("create the cluster with `kubeadm init --pod-network-cidr={pod_subnet}`")));
        };
        let ranges = (pod_subnet.parse::<IpNet>(), pod_cidr.parse::<IpNet>());
        if !matches!(ranges, (Ok(all), Ok(one)) if all.contains(&one)) {
            let message = format!("podCIDR {pod_cidr} of node {node_name} is not in {pod_subnet}");
            return Err(Error::new(&code::POD_CIDR, message)
                .hint("pass the cluster's own pod subnet with `--set cluster.podSubnet=`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(pod_cidr: &Value) -> Value {
        json!({"metadata": {"name": "node0"}, "spec": {"podCIDR": pod_cidr}})
    }

    #[test]
    fn a_second_family_is_noticed() {
        let node = |ranges: &[&str]| json!({"spec": {"podCIDR": ranges[0], "podCIDRs": ranges}});
        assert!(has_second_family(&node(&["10.244.0.0/24", "2001:db8:42::/64"])));
        assert!(!has_second_family(&node(&["10.244.0.0/24"])));
    }

    #[test]
    fn a_node_without_pod_addresses_is_refused() {
        let error = refuse_wrong_pod_addresses("10.244.0.0/16", &[node(&Value::Null)]).unwrap_err();
        assert_eq!(error.to_string(), "node node0 has no podCIDR");
        assert!(error.hints()[0].contains("--pod-network-cidr=10.244.0.0/16"));
    }

    #[test]
    fn pod_addresses_outside_the_subnet_are_refused() {
        let error = refuse_wrong_pod_addresses("10.244.0.0/16", &[node(&json!("10.10.0.0/24"))]).unwrap_err();
        assert_eq!(error.code().id, "KVN601");
        refuse_wrong_pod_addresses("10.244.0.0/16", &[node(&json!("10.244.3.0/24"))]).unwrap();
    }

    #[test]
    fn what_flannel_said_about_a_node_goes_and_nothing_else() {
        let said = json!({"metadata": {"name": "n", "annotations": {
                "flannel.alpha.coreos.com/public-ip": "10.0.0.1", "volumes.kubernetes.io/x": "y"}},
            "status": {"conditions": [
                {"type": "NetworkUnavailable", "status": "False", "reason": "FlannelIsUp"},
                {"type": "Ready", "status": "True", "reason": "KubeletReady"}]}});
        let line = clean(&said).unwrap().to_string();
        assert_eq!(line, "remove flannel.alpha.coreos.com/public-ip, NetworkUnavailable from node n");
        let others = json!({"metadata": {"name": "n"}, "status": {"conditions": [
            {"type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated"}]}});
        assert_eq!(clean(&others), None);
    }

    #[test]
    fn only_scheduled_pods_with_their_own_network_have_to_end() {
        let pod = |spec: Value| json!({"metadata": {"name": "p"}, "spec": spec});
        assert!(uses_pod_network(&pod(json!({"nodeName": "n"}))));
        assert!(!uses_pod_network(&pod(json!({"nodeName": "n", "hostNetwork": true}))));
        assert!(!uses_pod_network(&pod(json!({}))));
    }
}
