//! The links on a frame's path from one NIC to another, and where it was seen.

use super::ends::End;
use super::frame::Token;
use crate::error::code;
use crate::host::Sighting;
use crate::trace::Link;
use crate::trace::datapath::Datapath;
use crate::trace::pod_links::tap_name;

/// The namespaces to capture in: the node's, and each pod's.
pub const NODE: usize = 0;
/// The sending pod's.
pub const FROM: usize = 1;
/// The receiving pod's.
pub const TO: usize = 2;

/// A link on a frame's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The namespace that the link is in.
    pub place: usize,
    /// Its name.
    pub link: String,
    /// The pod or VM.
    pub shown: String,
}

/// The links between two NICs, as far as they are on this node.
pub fn between(seen: &Datapath, from: &End, to: &End) -> Vec<Hop> {
    let hop = |place, link: &str, shown: String| Hop { place, link: link.to_owned(), shown };
    let mut hops = vec![hop(FROM, &from.link, format!("{} of {}", from.link, from.shown()))];
    hops.extend(node_end(seen, from));
    if !to.seen.here {
        // A packet for another node leaves the bridge through flannel's tunnel.
        if from.nic.network.is_none() {
            for (link, shown) in [("cni0", "cni0, the gateway"), ("flannel.1", "flannel.1, the tunnel")] {
                hops.extend(seen.roads.wire(link).map(|_| hop(NODE, link, shown.into())));
            }
        }
        return hops;
    }
    hops.extend(node_end(seen, to));
    hops.push(hop(TO, &to.link, format!("{} of {}", to.link, to.shown())));
    if to.target.machine {
        let tap = tap_name(&to.nic.name);
        let is_there = to.seen.links.as_ref().is_some_and(|links| links.iter().any(|link| link.name == tap));
        hops.extend((is_there && to.side.is_some()).then(|| hop(TO, &tap, format!("{tap}, the VM's tap"))));
    }
    hops
}

/// The NIC's peer on the node; none when it is not a veth pair.
fn node_end(seen: &Datapath, end: &End) -> Option<Hop> {
    let own = seen.inside.get(&end.nic.uid)?.iter().find(|wire| wire.name == end.link)?;
    let peer = seen.roads.wires.iter().find(|wire| own.kind == "veth" && own.peer == Some(wire.index))?;
    let port = seen.state.as_ref().and_then(|state| state.port(&peer.name));
    let on = match (port, peer.master.as_deref()) {
        (Some((bridge, _)), _) => format!("its port on {}", bridge.name),
        (None, Some(master)) => format!("its end in {master}"),
        (None, None) => "its end on the node".into(),
    };
    let shown = format!("{}, {on}", peer.name);
    Some(Hop { place: NODE, link: peer.name.clone(), shown })
}

/// Whether a link has seen the frame, or its answer.
pub fn has(hop: &Hop, seen: &[Sighting], token: &Token, answer: bool) -> bool {
    let there = |one: &&Sighting| one.place == hop.place && one.link == hop.link;
    seen.iter().filter(there).any(|one| token.is_answer(&one.frame) == answer)
}

/// The last link that has seen the frame and the first that has not; none when all have.
pub fn lost(hops: &[Hop], has: impl Fn(&Hop) -> bool) -> Option<(Option<&Hop>, &Hop)> {
    // A frame seen later on has passed the links that did not show it.
    let last = hops.iter().rposition(&has);
    let next = hops.get(last.map_or(0, |last| last + 1))?;
    Some((last.and_then(|last| hops.get(last)), next))
}

/// `last seen at veth1, its port on blue, not at veth2, its port on blue`.
pub fn told(gap: (Option<&Hop>, &Hop)) -> String {
    match gap {
        (Some(last), next) => format!("last seen at {}, not at {}", last.shown, next.shown),
        (None, first) => format!("not seen at all, not even at {}", first.shown),
    }
}

/// A row for each link, with whether it has seen the frame.
pub fn rows(hops: &[Hop], network: &str, has: impl Fn(&Hop) -> bool, apart: bool) -> Vec<Link> {
    let lost = lost(hops, &has);
    let place = |hop: &Hop| hops.iter().position(|other| other == hop);
    let first_lost = lost.and_then(|(_, next)| place(next)).unwrap_or(hops.len());
    let row = |(number, hop): (usize, &Hop)| {
        let link = Link::new("hop", Some(network.to_owned()), hop.shown.clone());
        match number {
            number if number < first_lost && has(hop) => link.holds("the frame was seen"),
            number if number < first_lost => link.holds("the frame passed it"),
            _ if apart => link.holds("the frame was not seen, as configured"),
            number if number == first_lost => {
                link.broken(&code::FRAME_LOST, lost.map(told).unwrap_or_default())
            }
            _ => link.unknown("the frame did not get this far"),
        }
    };
    hops.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::events::Grade;

    fn hops() -> Vec<Hop> {
        let hop = |place, link: &str| Hop { place, link: link.into(), shown: format!("{link}!") };
        vec![hop(FROM, "net1"), hop(NODE, "veth1"), hop(NODE, "veth2"), hop(TO, "net1")]
    }

    fn states(seen: &[&str], apart: bool) -> Vec<Grade> {
        let rows = rows(&hops(), "n/a", |hop| seen.contains(&hop.shown.as_str()), apart);
        rows.iter().map(|row| row.state).collect()
    }

    #[test]
    fn the_first_link_that_has_not_seen_it_is_broken() {
        use Grade::{Broken, Holds, Unknown};
        assert_eq!(states(&["net1!", "veth1!", "veth2!"], false), [Holds; 4]);
        assert_eq!(states(&["veth1!"], false), [Holds, Holds, Broken, Unknown]);
        assert_eq!(states(&[], false), [Broken, Unknown, Unknown, Unknown]);
        assert_eq!(states(&["veth1!"], true), [Holds; 4]);
        let all = hops();
        let told = |seen: &str| lost(&all, |hop| hop.shown == seen).map(told);
        assert_eq!(told("veth1!").as_deref(), Some("last seen at veth1!, not at veth2!"));
        assert_eq!(told("x").as_deref(), Some("not seen at all, not even at net1!"));
    }

    #[test]
    fn an_answer_is_no_sighting_of_the_question() {
        let token = Token::new();
        let side = |last: u8| super::super::frame::Side {
            mac: [2, 0, 0, 0, 0, last],
            ip: Some([10, 0, 0, last].into()),
        };
        let mut frame = super::super::frame::packet(side(1), side(2), None, &token, 0);
        let sighting =
            |frame: &[u8]| Sighting { place: NODE, link: "veth1".into(), leaves: false, frame: frame.into() };
        let hop = &hops()[1];
        assert!(has(hop, &[sighting(&frame)], &token, false) && !has(hop, &[sighting(&frame)], &token, true));
        frame[34] = 0;
        assert!(has(hop, &[sighting(&frame)], &token, true) && !has(hop, &[sighting(&frame)], &token, false));
    }
}
