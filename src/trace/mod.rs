//! Follows the network of a VM or a pod, link by link, from Open vSwitch to its NIC, and names the first that is broken.

mod between;
mod blame;
pub mod datapath;
mod datapath_firewall;
mod datapath_inside;
mod datapath_links;
mod datapath_ovs;
mod datapath_pods;
mod evidence;
mod guest;
mod netns;
mod node_links;
mod pod_links;
mod target;
mod wanted;

use serde::Serialize;

use crate::context::Context;
use crate::error::{Code, Result};
pub use between::make as between;
use evidence::Evidence;
pub use netns::process_of;
pub use node_links::counted;
use target::Attachment;
pub use target::{Target, of_machine, of_pod};
pub use wanted::Wanted;

/// How a link was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is as it must be.
    Holds,
    /// It is not.
    Broken,
    /// It is not, and this target does without.
    Warns,
    /// It could not be looked at.
    Unknown,
}

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// Its name: `bridge`, `port`.
    pub link: &'static str,
    /// Which end of a way it belongs to, `pod/one`; none when it serves both, and in the chain of one alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The network that it belongs to; none when it serves all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// How it was found.
    pub state: State,
    /// What was looked at.
    pub looked_at: String,
    /// What was seen there.
    pub found: String,
    /// The error's code when it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What to do when it is broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The whole chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// What was followed: `vmi/vm-two-nics in default`.
    pub target: String,
    /// How it is now: `Running on node1`.
    pub now: String,
    /// The links, in the order in which a NIC comes to be.
    pub links: Vec<Link>,
    /// What became of the frame between two ends; none for one alone.
    pub frame: Option<Crossing>,
}

/// What became of a frame from one NIC to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Crossing {
    /// The network: `namespace/name`, or `pod`.
    pub network: String,
    /// Whether it arrives; none when that is not known.
    pub arrives: Option<bool>,
    /// The last link that has seen it; none when no link has, or none was sent.
    pub last_seen: Option<String>,
    /// Whether the two are apart as configured: then it must not arrive.
    pub apart: bool,
}

impl Trace {
    /// Looks at every link of a target.
    ///
    /// # Errors
    /// `KVN628` when there is no such target, and those of the host and the cluster.
    pub async fn make(cx: &Context, target: &Target, console: bool) -> Result<Self> {
        let evidence = Evidence::gather(cx, target, console).await?;
        let mut links = links(&evidence);
        tell_once(&mut links, evidence.reason.as_deref());
        let mut trace = Self { target: target.to_string(), now: evidence.now(), links, frame: None };
        for link in datapath_links::look(cx, &evidence).await? {
            trace.insert(link);
        }
        Ok(trace)
    }

    /// The first broken link: what comes after it can only be broken too.
    pub fn broken(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.state == State::Broken)
    }
}

/// Every link; causes before what they cause.
fn links(evidence: &Evidence) -> Vec<Link> {
    let mut links = Vec::new();
    links.extend(pod_links::annotation(evidence));
    if evidence.is_of_host() {
        links.push(pod_links::of_host(evidence));
        return links;
    }
    // Several NICs of one network share all that is not theirs alone.
    let mut networks = std::collections::BTreeSet::new();
    let secondary = evidence.attachments.iter().filter(|it| it.network.is_some());
    let secondary: Vec<&Attachment> = secondary.filter(|it| networks.insert(it.network.clone())).collect();
    links.extend(node_links::database(evidence));
    for attachment in &secondary {
        links.extend(node_links::bridge(evidence, attachment));
        links.extend(node_links::marker(evidence, attachment));
        links.push(node_links::definition(evidence, attachment));
        links.extend(node_links::plugins(evidence, attachment));
    }
    if !secondary.is_empty() {
        links.push(node_links::configuration(evidence));
    }
    for attachment in &evidence.attachments {
        links.push(pod_links::nic(evidence, attachment));
        links.extend(pod_links::port(evidence, attachment));
        links.extend(pod_links::tap(evidence, attachment));
        links.extend(pod_links::guest(evidence, attachment));
    }
    links
}

/// Why the pod waits is told by the first link that says so; the others refer to it.
fn tell_once(links: &mut [Link], reason: Option<&str>) {
    let Some(reason) = reason else { return };
    let told = |link: &Link| link.found.contains(reason);
    let Some(first) = links.iter().position(told) else { return };
    let above = format!("it waits, as told above at {}", links[first].link);
    for link in links.iter_mut().skip(first + 1).filter(|link| told(link)) {
        link.found = link.found.replace(reason, &above);
    }
}

impl Link {
    fn new(link: &'static str, network: Option<String>, looked_at: impl Into<String>) -> Self {
        let (looked_at, found) = (looked_at.into(), String::new());
        Self { link, end: None, network, state: State::Unknown, looked_at, found, code: None, hint: None }
    }

    fn holds(self, found: impl Into<String>) -> Self {
        Self { state: State::Holds, found: found.into(), ..self }
    }

    fn unknown(self, found: impl Into<String>) -> Self {
        Self { state: State::Unknown, found: found.into(), ..self }
    }

    fn warns(self, found: impl Into<String>) -> Self {
        Self { state: State::Warns, found: found.into(), ..self }
    }

    fn broken(self, code: &'static Code, found: impl Into<String>) -> Self {
        let (found, hint) = (found.into(), Some(code.fix.to_owned()));
        Self { state: State::Broken, found, code: Some(code.id), hint, ..self }
    }

    /// Replaces the code's own fix.
    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
mod recorded_tests;
