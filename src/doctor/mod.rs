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

use crate::engine::context::Context;
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
    look: fn(&Seen) -> Looked,
}

/// Every check; causes before what they cause.
pub static CHECKS: &[Check] = &[
    Check { id: "api", promise: "the API server answers", look: cluster::api },
    Check {
        id: "kernel",
        promise: "bridged packets pass iptables, and packets are forwarded",
        look: cni::kernel,
    },
    Check { id: "nodes", promise: "every node is Ready and short of nothing", look: cluster::nodes },
    Check { id: "room", promise: "a node takes pods", look: cluster::room },
    Check {
        id: "pod-addresses",
        promise: "every node has pod addresses out of flannel's network",
        look: pod_network::addresses,
    },
    Check {
        id: "flannel",
        promise: "flannel runs, and its links fit what it wrote",
        look: pod_network::flannel,
    },
    Check { id: "links", promise: "the links of this node's pods carry packets", look: datapath::links },
    Check {
        id: "forwarding",
        promise: "the node forwards the packets of its pods",
        look: datapath::forwarding,
    },
    Check {
        id: "firewall",
        promise: "no packet filter drops what pods send or get",
        look: datapath::firewall,
    },
    Check {
        id: "cni-plugins",
        promise: "every plugin that a configuration or a network calls is there",
        look: cni::plugins,
    },
    Check { id: "cni-files", promise: "every CNI configuration can be read and works", look: cni::files },
    Check { id: "multus", promise: "Multus runs, with memory and credentials", look: multus::daemon },
    Check { id: "cni-order", promise: "Multus is the first CNI configuration", look: multus::order },
    Check { id: "open-vswitch", promise: "Open vSwitch answers", look: switch::database },
    Check {
        id: "bridges",
        promise: "every bridge that the profile or a network names works",
        look: switch::bridges,
    },
    Check { id: "ports", promise: "no port is broken or left behind", look: switch::ports },
    Check { id: "ovs-fail-mode", promise: "no bridge waits for a controller", look: datapath::fail_mode },
    Check { id: "ovs-flows", promise: "bridges pass the frames of pods", look: datapath::flows },
    Check { id: "ovs-cni", promise: "ovs-cni runs on every node", look: switch::daemon },
    Check { id: "marker", promise: "every node offers the bridges that networks use", look: switch::marker },
    Check {
        id: "networks",
        promise: "every network that the profile, a pod or a VM names is there",
        look: multus::networks,
    },
    Check { id: "annotations", promise: "Multus can read what pods ask for", look: waiting::annotations },
    Check { id: "pod-subnet", promise: "pods have addresses of the pod network", look: waiting::subnet },
    Check { id: "duplicates", promise: "no two pods have one address", look: waiting::duplicates },
    Check { id: "pod-nics", promise: "pods have the NICs that they asked for", look: multus::nics },
    Check { id: "dns", promise: "the cluster's DNS runs", look: cluster::dns },
    Check { id: "system-pods", promise: "the pods of the cluster and its networks run", look: cluster::pods },
    Check { id: "kubevirt", promise: "KubeVirt is deployed", look: machines::kubevirt },
    Check { id: "virtualisation", promise: "nodes can run VMs", look: machines::virtualisation },
    Check { id: "machines", promise: "VMs run", look: machines::machines },
    Check { id: "pods-waiting", promise: "no pod waits for what does not come", look: waiting::pods },
    Check { id: "leftovers", promise: "nothing waits in vain for its end", look: upkeep::leftovers },
    Check { id: "journal", promise: "no run of kvnet was interrupted", look: upkeep::journal },
    Check { id: "profile", promise: "node and cluster are as the profile says", look: upkeep::profile },
];

/// Those that only say something of the cluster on a machine that is a node of it.
const OF_THIS_NODE: [&str; 12] = [
    "kernel",
    "links",
    "forwarding",
    "firewall",
    "cni-plugins",
    "cni-files",
    "cni-order",
    "open-vswitch",
    "bridges",
    "ports",
    "ovs-fail-mode",
    "ovs-flows",
];

impl Check {
    fn verdict(&self, seen: &Seen) -> Verdict {
        match &seen.stranger {
            Some(why) if OF_THIS_NODE.contains(&self.id) => {
                Verdict::unknown(format!("not looked at: this machine is no node of the cluster ({why})"))
            }
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
