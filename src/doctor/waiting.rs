//! Stuck pods in any namespace, and the addresses of running ones.

use std::collections::BTreeSet;

use ipnet::IpNet;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::seen::{ClusterSnapshot, Snapshot, ending_for, full_name, name};
use super::{CheckResult, Verdict};
use crate::cluster::addresses::{Address, Compared, outside};
use crate::cluster::{Cause, Reason};
use crate::error::code;
use crate::facts::attachments::{MULTUS_NAMESPACE, Slip, asked_with_first, has_sandbox};
use crate::formats::cni::CniConf;
use crate::terminal::counted;
use crate::verify::guests;

/// Seconds that a pod without a known problem may take to start.
const START: i64 = 60;
/// Seconds that a pod may take to terminate.
const END: i64 = 120;

/// Multus rejects no pod's annotation.
pub fn annotations(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let alive = cluster.pods.iter().filter(|pod| !has_ended(pod));
    let known = |network: &str| cluster.networks.iter().any(|definition| full_name(definition) == network);
    let asking: Vec<_> =
        alive.map(|pod| (pod, asked_with_first(pod, MULTUS_NAMESPACE).settled(&known))).collect();
    // A running pod keeps its NICs whatever becomes of its annotation.
    let of = |refused: bool| -> Vec<String> {
        let slips = asking.iter().flat_map(|(pod, asked)| asked.slips.iter().map(move |slip| (pod, slip)));
        let slips = slips.filter(|(pod, slip)| (slip.refused && !has_sandbox(pod)) == refused);
        let told = |slip: &Slip| {
            let later = if slip.refused && !refused { "; it runs, but would not start again" } else { "" };
            format!("{}{later}", slip.text)
        };
        slips.map(|(pod, slip)| format!("pod {}: {}", full_name(pod), told(slip))).collect()
    };
    let (refused, ignored) = (of(true), of(false));
    let hint = "correct `k8s.v1.cni.cncf.io/networks` in the pod's source: `a,b`, or `[{\"name\": \"a\"}]`";
    if !refused.is_empty() {
        return Ok(Verdict::broken(&code::POD_ANNOTATION, "").each("", refused).hint(hint));
    }
    if !ignored.is_empty() {
        return Ok(Verdict::warns("").each("", ignored).hint("correct or remove it in the pod's source"));
    }
    let count = asking.iter().filter(|(_, asked)| !asked.wishes.is_empty()).count();
    Ok(match count {
        0 => Verdict::absent("no pod asks for a network"),
        count => Verdict::holds(format!("{} with a valid annotation", counted(count, "pod"))),
    })
}

fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

/// No pod is stuck.
pub fn pods(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let found: Vec<(String, Reason)> = cluster
        .pods
        .iter()
        .filter(|pod| !has_ended(pod))
        .filter_map(|pod| Some((full_name(pod), keeps(seen, cluster, pod)?)))
        .collect();
    if found.is_empty() {
        return Ok(Verdict::holds(format!("none stuck of {}", counted(cluster.pods.len(), "pod"))));
    }
    let hint = |cause: Cause| match cause {
        Cause::Network => {
            "the message is the CNI plugin's own; `kvnet trace pod/NAME --namespace NAMESPACE` follows the pod's network"
        }
        Cause::Unscheduled => {
            "compare the pod's requests with the nodes: `kubectl describe pod`, `kubectl describe node`"
        }
        Cause::Ended => {
            "bring its node back, or check its finalizers; only once the node surely no longer runs it: `kubectl delete pod NAME --force`"
        }
        Cause::Image => {
            "the node cannot pull the image: check its name, proxies and the registry's rate limits"
        }
        _ => "check its events and its log: `kubectl describe pod`, `kubectl logs --previous`",
    };
    let hints: Vec<&str> = found.iter().map(|(_, reason)| hint(reason.cause)).collect();
    // Each reason once before any is repeated, so that none is cut off.
    let mut told = BTreeSet::new();
    let (first, again): (Vec<_>, Vec<_>) = found.iter().partition(|(_, reason)| told.insert(&reason.text));
    let told = first.into_iter().chain(again).map(|(pod, reason)| format!("{pod}: {}", reason.text));
    Ok(Verdict::broken(&code::POD_WAITS, "").each("", told.collect()).hint(once(hints).join("; ")))
}

/// Without duplicates, in order.
fn once(list: Vec<&str>) -> Vec<&str> {
    let mut known = BTreeSet::new();
    list.into_iter().filter(|it| known.insert(*it)).collect()
}

/// Why a pod is stuck for longer than a start or a termination takes.
fn keeps(seen: &Snapshot, cluster: &ClusterSnapshot, pod: &Value) -> Option<Reason> {
    let reason = cluster.reason(pod)?;
    if let Some(seconds) = ending_for(pod, seen.now) {
        let text = format!("stuck in Terminating for {}{}", lasted(seconds), nowhere(cluster, pod));
        return (seconds > END).then_some(Reason { cause: Cause::Ended, text });
    }
    if let Some(node) = lost_node(cluster, pod) {
        let text = format!("it is bound to node {node}, which does not exist");
        return Some(Reason { cause: Cause::Ended, text });
    }
    let age = pod["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
    let is_new = age.is_some_and(|made| seen.now - made.as_second() < START);
    // A failed container and a failed network setup are failures from the first second on.
    let failed = match reason.cause {
        Cause::Network | Cause::Ended => true,
        Cause::Container => !reason.text.contains("runs, but is not ready"),
        Cause::Image => !reason.text.starts_with("pulling"),
        Cause::Unscheduled | Cause::Volume | Cause::Starting => false,
    };
    (failed || !is_new).then_some(reason)
}

/// The node that a pod is bound to, when that node does not exist: no kubelet starts or stops the pod.
fn lost_node<'a>(cluster: &ClusterSnapshot, pod: &'a Value) -> Option<&'a str> {
    let node = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty())?;
    (!cluster.nodes.iter().any(|it| name(it) == node)).then_some(node)
}

fn nowhere(cluster: &ClusterSnapshot, pod: &Value) -> String {
    lost_node(cluster, pod).map(|node| format!(": its node {node} is gone")).unwrap_or_default()
}

/// A duration in the unit that people would use.
fn lasted(seconds: i64) -> String {
    match seconds {
        ..300 => format!("{seconds} s"),
        300..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// No two pods share an address, and no pod has a guest's.
pub fn duplicates(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let guests = guests(&seen.profile, &cluster.machines);
    let compared = Compared::of(&cluster.pods, &cluster.networks, &guests);
    if compared.twice.is_empty() {
        return Ok(Verdict::holds(compared.told()));
    }
    let found: Vec<String> = compared.twice.iter().map(ToString::to_string).collect();
    Ok(Verdict::broken(&code::DUPLICATE_ADDRESS, "").each("", found))
}

/// Pods have addresses from the cluster's pod network.
pub fn subnet(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    if cluster.daemon("flannel").is_none() {
        return Ok(Verdict::absent("flannel is not installed"));
    }
    let subnets = subnets(cluster);
    if subnets.is_empty() {
        return Ok(Verdict::unknown("not checked: flannel's network and the nodes' podCIDRs are unknown"));
    }
    let found = outside(&cluster.pods, &subnets);
    let shown: Vec<String> = subnets.iter().map(ToString::to_string).collect();
    if found.is_empty() {
        return Ok(Verdict::holds(format!("pods have addresses in {}", shown.join(", "))));
    }
    let told: Vec<String> =
        found.iter().map(|address| format!("{} of pod {}", address.ip, address.pod)).collect();
    let verdict =
        Verdict::broken(&code::ADDRESS_OUTSIDE, "").each(format!("not in {}", shown.join(", ")), told);
    Ok(match other_configuration(seen, &found) {
        Some(file) => verdict.hint(format!(
            "{} sorts before flannel's configuration: move it away, then delete these pods; new ones get other addresses",
            seen.facts.cni_conf_dir.join(file)
        )),
        None => verdict,
    })
}

/// flannel's networks, else the nodes' podCIDRs.
pub fn subnets(cluster: &ClusterSnapshot) -> Vec<IpNet> {
    let configurations = cluster.flannel.iter().filter_map(|map| map["data"]["net-conf.json"].as_str());
    let parsed: Vec<Value> = configurations.filter_map(|text| serde_json::from_str(text).ok()).collect();
    let ranges = parsed.iter().flat_map(|conf| ["Network", "IPv6Network"].map(|field| &conf[field]));
    let ranges: Vec<IpNet> = ranges.filter_map(|range| range.as_str()?.parse().ok()).collect();
    if !ranges.is_empty() {
        return ranges;
    }
    cluster.nodes.iter().filter_map(|node| node["spec"]["podCIDR"].as_str()?.parse().ok()).collect()
}

/// The configuration that gives pods their first NIC in place of flannel's.
fn other_configuration<'a>(seen: &'a Snapshot, _found: &[Address]) -> Option<&'a str> {
    let parsed = seen
        .node
        .configurations
        .iter()
        .map(|(name, content)| (name.as_str(), content.as_deref().and_then(CniConf::parse)));
    let mut own = parsed.filter(|(_, conf)| conf.as_ref().is_none_or(|conf| !conf.is_multus()));
    let (name, conf) = own.next()?;
    let is_flannel = conf.is_some_and(|conf| conf.types.iter().any(|kind| kind == "flannel"));
    (!is_flannel).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_unit_that_people_use() {
        for (seconds, told) in [(150, "150 s"), (600, "10 minutes"), (7_200, "2 hours"), (676_300, "7 days")]
        {
            assert_eq!(lasted(seconds), told);
        }
    }
}
