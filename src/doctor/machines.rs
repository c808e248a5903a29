//! KubeVirt and its virtual machines.

use serde_json::Value;

use super::seen::{ClusterSnapshot, Snapshot, full_name, name};
use super::{CheckResult, Verdict, listed};
use crate::cluster::{condition_of, rolled_out};
use crate::error::code;
use crate::terminal::counted;

/// Below this, virt-handler and libvirt may run out of inotify instances.
const WATCHERS: u64 = 512;
/// The resource that a node with hardware virtualisation advertises.
const KVM: &str = "devices.kubevirt.io/kvm";

fn installed(cluster: &ClusterSnapshot) -> std::result::Result<&Value, Verdict> {
    cluster.kubevirts.first().ok_or_else(|| Verdict::absent("KubeVirt is not installed"))
}

/// The workloads of a KubeVirt without an operator, as in 2018: it has no object with a status.
fn parts(cluster: &ClusterSnapshot) -> Vec<&Value> {
    if !cluster.kubevirts.is_empty() {
        return Vec::new();
    }
    let all = cluster.deployments.iter().chain(&cluster.daemons);
    all.filter(|set| ["virt-api", "virt-controller", "virt-handler"].contains(&name(set))).collect()
}

pub fn kubevirt(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let parts = parts(cluster);
    if !parts.is_empty() {
        let waiting = parts.iter().map(|part| (part, rolled_out(part))).find(|(_, (ready, _))| !ready);
        if let Some((part, (_, now))) = waiting {
            return Ok(Verdict::broken(&code::KUBEVIRT_BROKEN, format!("{}: {now}", full_name(part))));
        }
        let names: Vec<String> = parts.iter().map(|part| name(part).to_owned()).collect();
        return Ok(Verdict::holds(format!("ready, no operator: {}", listed(&names))));
    }
    let kubevirt = installed(cluster)?;
    let phase = kubevirt["status"]["phase"].as_str().unwrap_or("in no phase");
    let unavailable = condition_of(kubevirt, "Available").filter(|condition| condition["status"] == "False");
    if phase == "Deployed" && unavailable.is_none() {
        let version = kubevirt["status"]["observedKubeVirtVersion"].as_str().unwrap_or_default();
        return Ok(Verdict::holds(format!("Deployed {version}").trim_end().to_owned()));
    }
    let why = unavailable.and_then(|condition| condition["message"].as_str());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Ok(Verdict::broken(&code::KUBEVIRT_BROKEN, format!("{} is {phase}{why}", full_name(kubevirt))))
}

pub fn virtualisation(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let without_operator = !parts(cluster).is_empty();
    let kubevirt = if without_operator { &Value::Null } else { installed(cluster)? };
    let here = seen.this_node(cluster).is_some();
    if here && !seen.node.tun {
        return Ok(Verdict::broken(&code::KERNEL, "/dev/net/tun not found: VMs get no tap device")
            .hint("`modprobe tun`, and add it to /etc/modules-load.d"));
    }
    if without_operator {
        return Ok(Verdict::unknown("KubeVirt without an operator does not tell whether it emulates"));
    }
    let emulates = kubevirt["spec"]["configuration"]["developerConfiguration"]["useEmulation"] == true;
    let offers =
        |node: &&Value| node["status"]["allocatable"][KVM].as_str().is_some_and(|amount| amount != "0");
    let able = cluster.nodes.iter().filter(offers).count();
    if able == 0 && !emulates {
        return Ok(Verdict::broken(&code::KUBEVIRT_BROKEN, "no node advertises KVM, and software emulation is off: no VM starts")
            .hint("enable virtualisation (nested, if this is a VM), or set `kubevirt.emulation: on` in the profile and run `kvnet up`"));
    }
    if here && let Some(watchers) = seen.node.inotify.filter(|watchers| *watchers < WATCHERS) {
        return Ok(Verdict::warns(format!(
            "fs.inotify.max_user_instances is {watchers}: virt-handler may run out of them"
        ))
        .hint("set it to 8192 in /etc/sysctl.d"));
    }
    Ok(Verdict::holds(if emulates {
        "software emulation".into()
    } else {
        format!("{} with KVM", counted(able, "node"))
    }))
}

pub fn machines(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    if cluster.machines.is_empty() {
        return Ok(Verdict::absent("none"));
    }
    let ended = |machine: &&Value| machine["status"]["phase"] == "Failed";
    let failed: Vec<String> = cluster.machines.iter().filter(ended).map(full_name).collect();
    if !failed.is_empty() {
        return Ok(Verdict::broken(&code::VM_ENDED, "").each("failed", failed));
    }
    let runs =
        |machine: &&Value| matches!(machine["status"]["phase"].as_str(), Some("Running" | "Succeeded"));
    let waiting: Vec<String> = cluster
        .machines
        .iter()
        .filter(|machine| !runs(machine))
        .map(|machine| waits(cluster, machine))
        .collect();
    if waiting.is_empty() {
        return Ok(Verdict::holds(format!("running: {}", counted(cluster.machines.len(), "VM"))));
    }
    Ok(Verdict::broken(&code::VM_WAITS, "").each("", waiting))
}

/// Why a VM does not run: KubeVirt's own reason, else that of its virt-launcher pod.
fn waits(cluster: &ClusterSnapshot, machine: &Value) -> String {
    let phase = machine["status"]["phase"].as_str().unwrap_or("Pending");
    let refused = condition_of(machine, "Synchronized").filter(|condition| condition["status"] == "False");
    let launcher = || {
        let uid = &machine["metadata"]["uid"];
        cluster.pods.iter().find(|pod| pod["metadata"]["labels"]["kubevirt.io/created-by"] == *uid)
    };
    let why = refused.and_then(|condition| condition["message"].as_str()).map(str::to_owned);
    let why = why.or_else(|| {
        launcher().and_then(|pod| Some(format!("pod {}: {}", name(pod), cluster.why_waiting(pod)?)))
    });
    format!("{} is {phase}{}", full_name(machine), why.map(|why| format!(": {why}")).unwrap_or_default())
}
