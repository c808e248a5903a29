//! Open vSwitch, and ovs-cni, which advertises its bridges.

use std::collections::BTreeSet;

use serde_json::Value;

use super::cluster::why;
use super::multus::bridges_of;
use super::seen::{Snapshot, full_name, name};
use super::{CheckResult, Verdict, listed};
use crate::cluster::rolled_out;
use crate::error::code;
use crate::facts::ovs::{OvsPort, OvsState};
use crate::steps::ovs_cni::{MARKER_DOMAIN, waits_for};
use crate::terminal::counted;

pub fn database(seen: &Snapshot) -> CheckResult {
    match &seen.node.switch {
        Some(Ok(state)) => Ok(Verdict::holds(format!("running, {}", counted(state.bridges.len(), "bridge")))),
        Some(Err(why)) if !seen.facts.root => Ok(Verdict::unknown(format!("only root may query it: {why}"))),
        Some(Err(why)) => Ok(Verdict::broken(&code::OVS_UNAVAILABLE, why)),
        None if used(seen) => {
            Ok(Verdict::broken(&code::OVS_UNAVAILABLE, "not installed, but a network names a bridge")
                .hint("`kvnet up --only ovs-package,ovs-bridges`"))
        }
        None => Ok(Verdict::absent("not installed")),
    }
}

/// Whether a network of the cluster names a bridge.
fn used(seen: &Snapshot) -> bool {
    seen.cluster.as_ref().is_ok_and(|cluster| !bridges_of(cluster).is_empty())
}

fn state(seen: &Snapshot) -> std::result::Result<&OvsState, Verdict> {
    match &seen.node.switch {
        Some(Ok(state)) => Ok(state),
        Some(Err(_)) => Err(Verdict::unknown("not checked: no answer from Open vSwitch")),
        None => Err(Verdict::absent("Open vSwitch is not installed")),
    }
}

pub fn bridges(seen: &Snapshot) -> CheckResult {
    let state = state(seen)?;
    let named = seen.cluster.as_ref().map(bridges_of).unwrap_or_default();
    // Before the first `up` nothing exists yet, and nothing is broken.
    let is_fresh = state.bridges.is_empty() && named.is_empty();
    let declared = seen.profile.ovs.bridges.iter().filter(|_| seen.profile.ovs.enabled && !is_fresh);
    let declared = declared.map(|bridge| bridge.name.as_str());
    let wanted: BTreeSet<&str> = declared.chain(named.iter().map(|(_, bridge)| bridge.as_str())).collect();
    let is_there = |bridge: &&str| state.bridge(bridge).is_some() || state.vlan_bridge(bridge).is_some();
    let missing: Vec<String> =
        wanted.iter().filter(|bridge| !is_there(bridge)).map(|bridge| (*bridge).to_owned()).collect();
    if !missing.is_empty() {
        return Ok(Verdict::broken(&code::OVS_BRIDGE, "").each("missing", missing).hint(
            "`kvnet up --only ovs-bridges`, then delete the pods that used it: new ones get new ports",
        ));
    }
    let failed = state.bridges.iter().find_map(|bridge| Some((&bridge.name, bridge.error()?)));
    if let Some((bridge, error)) = failed {
        return Ok(Verdict::broken(
            &code::OVS_BRIDGE,
            format!("Open vSwitch could not set up {bridge}: {error}"),
        )
        .hint("without the kernel module use `ovs.datapath: netdev`"));
    }
    if let Some((network, bridge)) = named.iter().find(|(_, bridge)| state.vlan_bridge(bridge).is_some())
        && !seen.profile.ovs_cni.finds_vlan_bridges()
    {
        return Ok(Verdict::warns(format!(
            "{network} names {bridge}, a VLAN bridge: ovs-cni only finds real bridges"
        ))
        .hint("name its parent bridge in the network, with `vlan`"));
    }
    Ok(match wanted.len() {
        0 => Verdict::absent("no bridge needed"),
        count => Verdict::holds(counted(count, "bridge")),
    })
}

pub fn ports(seen: &Snapshot) -> CheckResult {
    let state = state(seen)?;
    let all: Vec<(&str, &OvsPort)> = state
        .bridges
        .iter()
        .flat_map(|bridge| bridge.ports.iter().map(|port| (&*bridge.name, port)))
        .collect();
    let error = |port: &OvsPort| port.interfaces.iter().find_map(|interface| interface.error.clone());
    let failed = all.iter().filter(|(bridge, port)| port.name != *bridge);
    let failed =
        failed.filter_map(|(bridge, port)| Some(format!("{} of {bridge}: {}", port.name, error(port)?)));
    let failed: Vec<String> = failed.collect();
    if !failed.is_empty() {
        return Ok(Verdict::broken(&code::OVS_PORT, "")
            .each("", failed)
            .hint("recreate the pod that owns it; if there is none: `ovs-vsctl del-port PORT`"));
    }
    let owned =
        all.iter().filter_map(|(bridge, port)| Some((bridge, port, port.external_ids.get("contPodUid")?)));
    let owned: Vec<_> = owned.collect();
    let cluster = seen.cluster()?;
    let pods: BTreeSet<&str> =
        cluster.pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect();
    let left = owned.iter().filter(|(_, _, uid)| !pods.contains(uid.as_str()));
    let left: Vec<String> = left.map(|(bridge, port, _)| format!("{} of {bridge}", port.name)).collect();
    if owned.is_empty() && state.bridges.iter().any(|bridge| state.is_nameless(&bridge.name, None)) {
        return Ok(Verdict::unknown("this ovs-cni does not record the owners of ports"));
    }
    if left.is_empty() {
        return Ok(Verdict::holds(format!("{} of pods", counted(owned.len(), "port"))));
    }
    // A pod's object goes before its NICs do, so orphans are normal for some seconds.
    Ok(Verdict::warns("")
        .each("orphaned ports", left)
        .hint("if they are not gone in a minute: `ovs-vsctl del-port PORT`"))
}

pub fn daemon(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let Some(daemon) = cluster.daemon("ovs-cni") else {
        if bridges_of(cluster).is_empty() {
            return Ok(Verdict::absent("ovs-cni is not installed"));
        }
        return Ok(Verdict::broken(
            &code::MARKER,
            "ovs-cni DaemonSet not found, but a network names a bridge",
        )
        .hint("`kvnet up --only ovs-cni`"));
    };
    let wanted = daemon["status"]["desiredNumberScheduled"].as_u64().unwrap_or_default();
    let nodes = cluster.nodes.len() as u64;
    if wanted < nodes {
        let found = format!(
            "{} is scheduled to {wanted} of {}",
            full_name(daemon),
            counted(cluster.nodes.len(), "node")
        );
        let verdict = if wanted == 0 { Verdict::broken(&code::MARKER, found) } else { Verdict::warns(found) };
        return Ok(verdict.hint("compare its nodeSelector and tolerations with the nodes' labels and taints"));
    }
    let (ready, now) = rolled_out(daemon);
    if ready {
        return Ok(Verdict::holds(format!("{}: {now}", full_name(daemon))));
    }
    Ok(Verdict::broken(&code::MARKER, format!("{}: {now}; {}", full_name(daemon), why(cluster, daemon))))
}

pub fn marker(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let bridges: BTreeSet<String> = bridges_of(cluster).into_iter().map(|(_, bridge)| bridge).collect();
    // Other nodes' bridges are not visible from here, and may differ.
    let Some(node) = seen.this_node(cluster).filter(|_| !bridges.is_empty()) else {
        return Ok(Verdict::absent("no network names a bridge on this node"));
    };
    if !seen.profile.ovs_cni.publishes_bridges() {
        return Ok(Verdict::absent("this ovs-cni has no marker: bridges are not a scheduling resource"));
    }
    let state = state(seen)?;
    let offered = |bridge: &str| amount(node, bridge).is_some_and(|amount| amount != "0");
    let silent: Vec<String> =
        bridges.iter().filter(|bridge| state.bridge(bridge).is_some() && !offered(bridge)).cloned().collect();
    if silent.is_empty() {
        return Ok(Verdict::holds(format!("{} advertises {}", name(node), counted(bridges.len(), "bridge"))));
    }
    let found = format!("{} does not advertise {}", name(node), listed(&silent));
    let waiting = cluster.pods.iter().filter(|pod| silent.iter().any(|bridge| waits_for(pod, bridge)));
    let waiting: Vec<String> = waiting.map(full_name).collect();
    // Pods that are bound to a node have passed the scheduler, which alone needs the resource.
    let verdict = match waiting.as_slice() {
        [] => Verdict::warns(format!("{found}; no pod is waiting for it, new ones would")),
        pods => Verdict::broken(&code::MARKER, format!("{found}: {} waiting for it", listed(pods))),
    };
    Ok(verdict
        .hint("ovs-cni's marker runs every minute, and the kubelet reports it later: wait two minutes, then check the marker's log"))
}

fn amount<'a>(node: &'a Value, bridge: &str) -> Option<&'a str> {
    node["status"]["capacity"][format!("{MARKER_DOMAIN}{bridge}")].as_str()
}
