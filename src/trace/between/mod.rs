//! From one NIC to another: the links of both, the datapath between them, and a test frame that is sent and captured.

mod ends;
mod frame;
mod hops;
mod sent;
mod vlans;

use super::datapath::Datapath;
use super::target::Target;
use super::{Crossing, Grade, Link, Trace, datapath_links, links};
use crate::context::Context;
use crate::error::Result;
use ends::End;
use vlans::Way;

/// Follows the path between two ends over a network; none is the pod network.
/// Fails with `KVN651`, `KVN652` and `KVN653` for ends that no frame can be sent between.
pub async fn make(cx: &Context, targets: [Target; 2], wanted: Option<&str>, console: bool) -> Result<Trace> {
    let (network, [mut from, mut to]) = ends::look(cx, targets, wanted, console).await?;
    let name = network.clone().unwrap_or_else(|| "pod".into());
    let over = network.unwrap_or_else(|| "the pod network".to_owned());
    let target = format!("{} to {} over {over}", from.target, to.target);
    let now = match (from.seen.now(), to.seen.now()) {
        (one, other) if one == other => format!("both {one}"),
        (one, other) => format!("{one}; {other}"),
    };
    // The sender must be on this node: kvnet cannot send from a pod on another one.
    if !from.seen.here && to.seen.here {
        std::mem::swap(&mut from, &mut to);
    }
    let mut trace = Trace { target, now, links: chain(&from, &to), frame: None };
    if !from.seen.here {
        let reason = from.seen.elsewhere().unwrap_or_default();
        let other = to.seen.elsewhere().unwrap_or_default();
        let why = if reason == other { reason } else { format!("{reason}; {other}") };
        let looked_at = format!("a frame from {} to {}", from.shown(), to.shown());
        trace.links.push(Link::new("hop", Some(name.clone()), looked_at).unknown(why));
        trace.frame = Some(Crossing { network: name, ..Crossing::default() });
        return Ok(trace);
    }
    let datapath = gather(cx, &from, &to).await?;
    for link in datapath_links::told_of(&datapath) {
        trace.insert(link);
    }
    let way = vlans::way(from.attachment(), to.attachment());
    let back = vlans::way(to.attachment(), from.attachment());
    let (rows, crossing) = sent::send(cx.host.as_ref(), &datapath, &from, &to, [&way, &back]).await?;
    if let Way::Apart(why) = &way {
        trace.links.push(isolation(&name, &from, why, crossing.arrives));
    }
    trace.links.extend(rows);
    trace.frame = Some(Crossing { network: name, ..crossing });
    Ok(trace)
}

async fn gather(cx: &Context, from: &End, to: &End) -> Result<Datapath> {
    let nodes = cx.need_cluster().await?.list("v1", "Node", None, None).await?;
    let nics = [from, to].into_iter().filter(|end| end.seen.here).map(|end| end.nic.clone()).collect();
    let own = from.seen.node_name();
    let mut datapath = Datapath::gather(cx.host.as_ref(), nics, &nodes, own, true).await?;
    datapath.narrow(to.seen.here, from.nic.network.is_none());
    Ok(datapath)
}

/// The links of both ends on the network, without duplicates, each with the end that it belongs to.
fn chain(from: &End, to: &End) -> Vec<Link> {
    let of = |end: &End| {
        let network = end.attachment().network.clone();
        let own = network.clone().unwrap_or_else(|| "pod".into());
        let is_own = move |link: &Link| match &link.network {
            Some(name) => *name == own,
            None => link.link == "annotation" || network.is_some(),
        };
        links(&end.seen).into_iter().filter(is_own).collect::<Vec<_>>()
    };
    let mut all = of(from);
    let shared: Vec<Link> = all.clone();
    for link in &mut all {
        link.end = Some(from.shown());
    }
    for link in of(to) {
        // Both ends share bridge, plugins and definition.
        let same = shared.iter().position(|other| *other == link).filter(|_| !is_of_pod(&link));
        match same.and_then(|place| all.get_mut(place)) {
            Some(known) => known.end = None,
            None => all.push(Link { end: Some(to.shown()), ..link }),
        }
    }
    all
}

/// Whether a link belongs to one pod, even when both pods' links look the same.
fn is_of_pod(link: &Link) -> bool {
    ["pod-nic", "port", "tap", "guest-nic", "annotation"].contains(&link.link)
}

/// Whether two ends that must be isolated are.
fn isolation(network: &str, from: &End, why: &str, arrives: Option<bool>) -> Link {
    let bridge = from.attachment().bridge.as_deref().unwrap_or_default();
    let link =
        Link::new("isolation", Some(network.to_owned()), format!("the VLANs of both ports of {bridge}"));
    match arrives {
        Some(true) => link
            .broken(&crate::error::code::FRAME_LOST, format!("{why}, but a frame gets through"))
            .hint("compare the ports with their networks: `ovs-vsctl list port`; recreate the pods to recreate their ports"),
        Some(false) => link.holds(format!("{why}: isolated, as configured")),
        None => link.unknown(format!("{why}: should be isolated; no frame was sent")),
    }
}

impl Trace {
    /// Adds a link of the datapath. A broken link comes before `pod-nic`: a NIC is down when its peer is.
    pub(super) fn insert(&mut self, link: Link) {
        let cause = link.link == "links" && link.state == Grade::Broken;
        let nic = self.links.iter().position(|other| other.link == "pod-nic");
        self.links.insert(nic.filter(|_| cause).unwrap_or(self.links.len()), link);
    }
}

#[cfg(test)]
mod tests;
