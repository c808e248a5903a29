//! Named checks, each for ways in which such a node breaks. It looks, at the node and through the API, and changes nothing.
//!
//! A new check is one row in [`CHECKS`] and one function from what was seen to a verdict.
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
use crate::engine::plan::{Plan, Selection};
use crate::engine::step::AnyStep;
use crate::error::{Code, Error, Result};
pub use seen::Seen;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it must be.
    Holds,
    /// It is not: something does not work.
    Broken,
    /// It works, and will not always.
    Warns,
    /// It could not be looked at.
    Unknown,
    /// There is no such thing here, and nothing asks for it.
    Absent,
}

/// What a check says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// How it ended.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// Each thing that it is about, with what is the matter with it; empty when that is not a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// What stands before them.
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
    fn new(state: State, found: impl Into<String>) -> Self {
        let (items, head) = (Vec::new(), String::new());
        Self { state, found: found.into(), items, head, code: None, hint: None }
    }

    fn holds(found: impl Into<String>) -> Self {
        Self::new(State::Holds, found)
    }

    fn broken(code: &'static Code, found: impl Into<String>) -> Self {
        Self { code: Some(code.id), hint: Some(code.fix.to_owned()), ..Self::new(State::Broken, found) }
    }

    fn warns(found: impl Into<String>) -> Self {
        Self::new(State::Warns, found)
    }

    fn unknown(why: impl Into<String>) -> Self {
        Self::new(State::Unknown, why)
    }

    fn absent(why: impl Into<String>) -> Self {
        Self::new(State::Absent, why)
    }

    /// Says something of each thing. What was seen is all of it, in one line.
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

/// What a check's function returns: a verdict either way. The `?` is for what ends the look early.
type Looked = std::result::Result<Verdict, Verdict>;

/// A check.
pub struct Check {
    /// Its name: `cni-order`.
    pub id: &'static str,
    /// What holds when all is well.
    pub promise: &'static str,
    /// Whether it only says something of the cluster on a machine that is a node of it.
    of_node: bool,
    look: fn(&Seen) -> Looked,
}

/// Every check; causes before what they cause.
pub static CHECKS: &[Check] = &[
    Check::of_cluster("api", "the API server answers", cluster::api),
    Check::of_node("kernel", "bridged packets pass iptables, and packets are forwarded", cni::kernel),
    Check::of_cluster("nodes", "every node is Ready and short of nothing", cluster::nodes),
    Check::of_cluster("room", "a node takes pods", cluster::room),
    Check::of_cluster(
        "pod-addresses",
        "every node has pod addresses out of flannel's network",
        pod_network::addresses,
    ),
    Check::of_cluster("flannel", "flannel runs, and its links fit what it wrote", pod_network::flannel),
    Check::of_node("links", "the links of this node's pods carry packets", datapath::links),
    Check::of_node("forwarding", "the node forwards the packets of its pods", datapath::forwarding),
    Check::of_node("firewall", "no packet filter drops what pods send or get", datapath::firewall),
    Check::of_node(
        "cni-plugins",
        "every plugin that a configuration or a network calls is there",
        cni::plugins,
    ),
    Check::of_node("cni-files", "every CNI configuration can be read and works", cni::files),
    Check::of_cluster("multus", "Multus runs, with memory and credentials", multus::daemon),
    Check::of_node("cni-order", "Multus is the first CNI configuration", multus::order),
    Check::of_node("open-vswitch", "Open vSwitch answers", switch::database),
    Check::of_node("bridges", "every bridge that the profile or a network names works", switch::bridges),
    Check::of_node("ports", "no port is broken or left behind", switch::ports),
    Check::of_node("ovs-fail-mode", "no bridge waits for a controller", datapath::fail_mode),
    Check::of_node("ovs-flows", "bridges pass the frames of pods", datapath::flows),
    Check::of_cluster("ovs-cni", "ovs-cni runs on every node", switch::daemon),
    Check::of_cluster("marker", "every node offers the bridges that networks use", switch::marker),
    Check::of_cluster(
        "networks",
        "every network that the profile, a pod or a VM names is there",
        multus::networks,
    ),
    Check::of_cluster("annotations", "Multus can read what pods ask for", waiting::annotations),
    Check::of_cluster("pod-subnet", "pods have addresses of the pod network", waiting::subnet),
    Check::of_cluster("duplicates", "no two pods have one address", waiting::duplicates),
    Check::of_cluster("pod-nics", "pods have the NICs that they asked for", multus::nics),
    Check::of_cluster("dns", "the cluster's DNS runs", cluster::dns),
    Check::of_cluster("system-pods", "the pods of the cluster and its networks run", cluster::pods),
    Check::of_cluster("kubevirt", "KubeVirt is deployed", machines::kubevirt),
    Check::of_cluster("virtualisation", "nodes can run VMs", machines::virtualisation),
    Check::of_cluster("machines", "VMs run", machines::machines),
    Check::of_cluster("pods-waiting", "no pod waits for what does not come", waiting::pods),
    Check::of_cluster("leftovers", "nothing waits in vain for its end", upkeep::leftovers),
    Check::of_cluster("journal", "no run of kvnet was interrupted", upkeep::journal),
    Check::of_cluster("profile", "node and cluster are as the profile says", upkeep::profile),
];

impl Check {
    const fn of_node(id: &'static str, promise: &'static str, look: fn(&Seen) -> Looked) -> Self {
        Self { id, promise, of_node: true, look }
    }

    const fn of_cluster(id: &'static str, promise: &'static str, look: fn(&Seen) -> Looked) -> Self {
        Self { id, promise, of_node: false, look }
    }

    fn verdict(&self, seen: &Seen) -> Verdict {
        match &seen.stranger {
            Some(why) if self.of_node => Verdict::unknown(format!("not looked at: {why}")),
            _ => (self.look)(seen).unwrap_or_else(|verdict| verdict),
        }
    }
}

/// A check with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// What it promises.
    pub promise: &'static str,
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What all checks say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// The checks, in their order.
    pub checks: Vec<Finding>,
}

impl Diagnosis {
    /// Lets every check judge what was seen.
    pub fn of(seen: &Seen) -> Self {
        let finding =
            |check: &Check| Finding { check: check.id, promise: check.promise, verdict: check.verdict(seen) };
        Self { checks: CHECKS.iter().map(finding).collect() }
    }

    /// Those that ended in a state.
    pub fn with(&self, state: State) -> impl Iterator<Item = &Finding> {
        self.checks.iter().filter(move |finding| finding.verdict.state == state)
    }

    /// The first broken check: what comes after it may only follow from it.
    pub fn broken(&self) -> Option<&Finding> {
        self.with(State::Broken).next()
    }
}

/// Looks at everything and judges it. What cannot be looked at is no error but a finding, and so is `refusal`: why there is
/// no cluster.
///
/// # Errors
/// Those of the node other than a refusal to look.
pub async fn examine(
    cx: &Context,
    refusal: Option<Error>,
    steps: &[Box<dyn AnyStep>],
    selection: &Selection,
) -> Result<Diagnosis> {
    let mut seen = Seen::gather(cx, refusal).await?;
    if seen.cluster.is_ok() {
        seen.look_at_steps(&Plan::make(steps, selection, cx).await?);
    }
    Ok(Diagnosis::of(&seen))
}

/// `a, b`: names alone; what has a reason is said with [`Verdict::each`].
fn listed(names: &[String]) -> String {
    names.join(", ")
}

#[cfg(test)]
mod tests;
