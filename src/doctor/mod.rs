//! Named checks, each for ways in which such a node breaks. They read the node and the API, and change nothing.
//!
//! A new check is one row in [`CHECKS`] and one function from [`Snapshot`] to a verdict.
#![allow(clippy::unnecessary_wraps, reason = "the functions of all checks have one type")]

mod cluster;
mod cni;
mod datapath;
mod machines;
mod multus;
mod pod_network;
mod seen;
mod switch;
mod upkeep;
mod waiting;

use serde::Serialize;

use crate::context::Context;
use crate::context::events::Grade;
use crate::engine::plan::{Plan, Selection};
use crate::engine::step::Step;
use crate::error::{Code, Error, Result};
pub use seen::Snapshot;

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// How it ended.
    pub state: Grade,
    /// What was seen.
    pub found: String,
    /// The objects concerned, each with its problem; empty when there is no list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// The words before the list.
    #[serde(skip)]
    pub head: String,
    /// The error's code when it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Verdict {
    fn new(state: Grade, found: impl Into<String>) -> Self {
        let (items, head) = (Vec::new(), String::new());
        Self { state, found: found.into(), items, head, code: None, hint: None }
    }

    fn holds(found: impl Into<String>) -> Self {
        Self::new(Grade::Holds, found)
    }

    fn broken(code: &'static Code, found: impl Into<String>) -> Self {
        Self { code: Some(code.id), hint: Some(code.fix.to_owned()), ..Self::new(Grade::Broken, found) }
    }

    fn warns(found: impl Into<String>) -> Self {
        Self::new(Grade::Warns, found)
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::new(Grade::Unknown, why)
    }

    fn absent(why: impl Into<String>) -> Self {
        Self::new(Grade::Absent, why)
    }

    /// Reports a list; `found` becomes all of it in one line.
    fn each(self, head: impl Into<String>, items: Vec<String>) -> Self {
        let head = head.into();
        let all = items.join("; ");
        let found = if head.is_empty() { all } else { format!("{head}: {all}") };
        Self { found, items, head, ..self }
    }

    /// Replaces the code's own fix.
    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What a check's function returns: a verdict either way. `?` ends the check early.
type CheckResult = std::result::Result<Verdict, Verdict>;

/// A check.
pub struct Check {
    /// Its name: `cni-order`.
    pub id: &'static str,
    /// What holds on a healthy node.
    pub promise: &'static str,
    /// Whether the check needs this machine to be a node of the cluster.
    of_node: bool,
    look: fn(&Snapshot) -> CheckResult,
}

/// Every check; causes before their consequences.
pub static CHECKS: &[Check] = &[
    Check::of_cluster("api", "the API server answers", cluster::api),
    Check::of_node("kernel", "IP forwarding is on, and bridged packets pass iptables", cni::kernel),
    Check::of_cluster("nodes", "every node is Ready, no memory, disk or PID pressure", cluster::nodes),
    Check::of_cluster("room", "a node is schedulable", cluster::room),
    Check::of_cluster(
        "pod-addresses",
        "every node's podCIDR is in flannel's network",
        pod_network::addresses,
    ),
    Check::of_cluster("flannel", "flannel runs, and its links match what it published", pod_network::flannel),
    Check::of_node("links", "the links of this node's pods pass packets", datapath::links),
    Check::of_node("forwarding", "the node forwards pod traffic", datapath::forwarding),
    Check::of_node("firewall", "no packet filter drops pod traffic", datapath::firewall),
    Check::of_node("cni-plugins", "every CNI plugin in use is installed", cni::plugins),
    Check::of_node("cni-files", "every CNI configuration is valid", cni::files),
    Check::of_cluster("multus", "Multus runs, with enough memory and valid credentials", multus::daemon),
    Check::of_node("cni-order", "Multus is the first CNI configuration", multus::order),
    Check::of_node("open-vswitch", "Open vSwitch answers", switch::database),
    Check::of_node("bridges", "every bridge that the profile or a network names works", switch::bridges),
    Check::of_node("ports", "no port is broken or orphaned", switch::ports),
    Check::of_node("ovs-fail-mode", "no bridge waits for a controller", datapath::fail_mode),
    Check::of_node("ovs-flows", "bridges forward pod traffic", datapath::flows),
    Check::of_cluster("ovs-cni", "ovs-cni runs on every node", switch::daemon),
    Check::of_cluster("marker", "every node advertises the bridges that networks use", switch::marker),
    Check::of_cluster(
        "networks",
        "every network that the profile, a pod or a VM names exists",
        multus::networks,
    ),
    Check::of_cluster("annotations", "Multus can parse pods' network annotations", waiting::annotations),
    Check::of_cluster("pod-subnet", "pods have addresses from the pod network", waiting::subnet),
    Check::of_cluster("duplicates", "no two pods share an address", waiting::duplicates),
    Check::of_cluster("pod-nics", "pods have the NICs that they ask for", multus::nics),
    Check::of_cluster("dns", "the cluster's DNS runs", cluster::dns),
    Check::of_cluster("system-pods", "the cluster's own pods run", cluster::pods),
    Check::of_cluster("kubevirt", "KubeVirt is deployed", machines::kubevirt),
    Check::of_cluster("virtualisation", "nodes can run VMs", machines::virtualisation),
    Check::of_cluster("machines", "VMs run", machines::machines),
    Check::of_cluster("pods-waiting", "no pod is stuck", waiting::pods),
    Check::of_cluster("leftovers", "no objects stuck in Terminating", upkeep::leftovers),
    Check::of_cluster("journal", "no run of kvnet was interrupted", upkeep::journal),
    Check::of_cluster("profile", "node and cluster match the profile", upkeep::profile),
];

impl Check {
    const fn of_node(id: &'static str, promise: &'static str, look: fn(&Snapshot) -> CheckResult) -> Self {
        Self { id, promise, of_node: true, look }
    }

    const fn of_cluster(id: &'static str, promise: &'static str, look: fn(&Snapshot) -> CheckResult) -> Self {
        Self { id, promise, of_node: false, look }
    }

    fn verdict(&self, seen: &Snapshot) -> Verdict {
        match &seen.stranger {
            Some(why) if self.of_node => Verdict::unknown(format!("not checked: {why}")),
            _ => (self.look)(seen).unwrap_or_else(|verdict| verdict),
        }
    }
}

/// A check with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// The check's promise.
    pub promise: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// The results of all checks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The checks, in their order.
    pub checks: Vec<Finding>,
}

impl Diagnosis {
    /// Runs every check.
    pub fn of(seen: &Snapshot) -> Self {
        let finding =
            |check: &Check| Finding { check: check.id, promise: check.promise, verdict: check.verdict(seen) };
        Self { checks: CHECKS.iter().map(finding).collect() }
    }

    /// The findings in a state.
    pub fn with(&self, state: Grade) -> impl Iterator<Item = &Finding> {
        self.checks.iter().filter(move |finding| finding.verdict.state == state)
    }

    /// The first broken check: it may be the root cause of the others.
    pub fn broken(&self) -> Option<&Finding> {
        self.with(Grade::Broken).next()
    }
}

/// Gathers and judges. What is not readable is a finding, not an error, and so is `refusal`: why there is no cluster.
pub async fn examine(
    cx: &Context,
    refusal: Option<Error>,
    steps: &[Box<dyn Step>],
    selection: &Selection,
) -> Result<Diagnosis> {
    let mut seen = Snapshot::gather(cx, refusal).await?;
    if seen.cluster.is_ok() {
        seen.look_at_steps(&Plan::make(steps, selection, cx).await?);
    }
    Ok(Diagnosis::of(&seen))
}

/// `a, b`: plain names; names with reasons go through [`Verdict::each`].
fn listed(names: &[String]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests;
