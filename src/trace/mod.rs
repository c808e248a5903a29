//! Follows the network of a VM or a pod link by link, from Open vSwitch to its NIC, and names the first broken link.

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
use crate::context::events::Grade;
use crate::error::{Code, Result};
pub use between::make as between;
use evidence::Evidence;
pub use netns::process_of;
use target::Attachment;
pub use target::{Target, of_machine};
pub use wanted::Wanted;

/// One link of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the JSON form calls it so")]
pub struct Link {
    /// Its name: `bridge`, `port`.
    pub link: &'static str,
    /// The end of a path that the link belongs to, `pod/one`; none when it serves both, and when only one target is traced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// The network that the link belongs to; none when it serves all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    pub state: Grade,
    /// What was checked.
    pub looked_at: String,
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
    /// The traced object: `vmi/vm-two-nics in default`.
    pub target: String,
    /// Its phase and node: `Running on node1`.
    pub now: String,
    /// The links, in the order in which a NIC is set up.
    pub links: Vec<Link>,
    /// What became of the frame between two ends; none for a single target.
    pub frame: Option<Crossing>,
}

/// What became of a frame from one NIC to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Crossing {
    /// The network: `namespace/name`, or `pod`.
    pub network: String,
    /// Whether the frame arrives; none when unknown.
    pub arrives: Option<bool>,
    /// The last link that saw the frame; none when no link did, or no frame was sent.
    pub last_seen: Option<String>,
    /// Whether the two ends are isolated as configured: then the frame must not arrive.
    pub apart: bool,
}

impl Trace {
    /// Checks every link of a target.
    /// Fails with `KVN628` when the target does not exist.
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

    /// The first broken link: those after it can only be broken too.
    pub fn broken(&self) -> Option<&Link> {
        self.links.iter().find(|link| link.state == Grade::Broken)
    }
}

/// Every link; causes before their consequences.
fn links(evidence: &Evidence) -> Vec<Link> {
    let mut links = Vec::new();
    links.extend(pod_links::annotation(evidence));
    if evidence.is_of_host() {
        links.push(pod_links::of_host(evidence));
        return links;
    }
    // Several NICs on one network share its links.
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

/// Only the first link tells why the pod waits; the others refer to it.
fn tell_once(links: &mut [Link], reason: Option<&str>) {
    let Some(reason) = reason else { return };
    let told = |link: &Link| link.found.contains(reason);
    let Some(first) = links.iter().position(told) else { return };
    let above = format!("it waits, see {} above", links[first].link);
    for link in links.iter_mut().skip(first + 1).filter(|link| told(link)) {
        link.found = link.found.replace(reason, &above);
    }
}

impl Link {
    fn new(link: &'static str, network: Option<String>, looked_at: impl Into<String>) -> Self {
        let (looked_at, found) = (looked_at.into(), String::new());
        Self { link, end: None, network, state: Grade::Unknown, looked_at, found, code: None, hint: None }
    }

    fn holds(self, found: impl Into<String>) -> Self {
        Self { state: Grade::Holds, found: found.into(), ..self }
    }

    fn unknown(self, found: impl Into<String>) -> Self {
        Self { state: Grade::Unknown, found: found.into(), ..self }
    }

    fn warns(self, found: impl Into<String>) -> Self {
        Self { state: Grade::Warns, found: found.into(), ..self }
    }

    fn broken(self, code: &'static Code, found: impl Into<String>) -> Self {
        let (found, hint) = (found.into(), Some(code.fix.to_owned()));
        Self { state: Grade::Broken, found, code: Some(code.id), hint, ..self }
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
