//! The links of the datapath: what carries the packets once the NIC exists.

use super::datapath::{Datapath, Judged, Part, nics_of};
use super::evidence::Evidence;
use super::target::Attachment;
use super::{Grade, Link};
use crate::context::Context;
use crate::error::Result;

const LINKS: [(Part, &str, &str); 5] = [
    (Part::FailMode, "fail-mode", "the bridges' fail mode"),
    (Part::Flows, "flows", "ports and flows of the bridges, with traced frames"),
    (Part::Links, "links", "the links on the NICs' path"),
    (Part::Forwarding, "forwarding", "forwarding and routes of the node"),
    (Part::Firewall, "firewall", "the packet filters of the node"),
];

/// Checks the node's datapath for a pod that has its NICs.
pub async fn look(cx: &Context, seen: &Evidence) -> Result<Vec<Link>> {
    let Some(pod) = &seen.pod else { return Ok(Vec::new()) };
    let mut nics = nics_of(pod);
    for nic in &mut nics {
        let own =
            |attachment: &&Attachment| attachment.network.is_some() && attachment.network == nic.network;
        nic.bridge = seen.attachments.iter().find(own).and_then(Attachment::linux_bridge);
    }
    if nics.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(why) = seen.elsewhere() {
        return Ok(vec![Link::new("datapath", None, "the NICs' datapath").unknown(why)]);
    }
    let nodes = cx.need_cluster().await?.list("v1", "Node", None, None).await?;
    let datapath = Datapath::gather(cx.host.as_ref(), nics, &nodes, seen.node_name(), true).await?;
    Ok(told_of(&datapath))
}

/// A link for each part.
pub fn told_of(datapath: &Datapath) -> Vec<Link> {
    let link =
        |(part, link, looked_at): &(Part, &'static str, &str)| told(&datapath.judge(*part), link, looked_at);
    LINKS.iter().filter_map(link).collect()
}

/// None when there is nothing to check.
fn told(judged: &Judged, link: &'static str, looked_at: &str) -> Option<Link> {
    let link = Link::new(link, None, looked_at);
    if let Some((code, what, hint)) = judged.broken.first() {
        let link = Link { state: Grade::Broken, code: Some(*code), ..link };
        return Some(Link { found: what.clone(), hint: Some(hint.clone()), ..link });
    }
    if !judged.unknown.is_empty() {
        return Some(link.unknown(format!("not checked: {}", judged.unknown.join("; "))));
    }
    let found = [&[judged.holds.clone()][..], &judged.warns].concat().join("; but ");
    (!judged.holds.is_empty()).then(|| link.holds(found))
}
