//! The test frames: an ARP request, a packet, and one as large as the NIC's MTU.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ends::End;
use super::frame::{self, Side, Token};
use super::hops::{self, FROM, Hop};
use super::vlans::Way;
use crate::error::{Error, Result, code};
use crate::host::{Host, Shot, Sighting};
use crate::trace::datapath::Datapath;
use crate::trace::{Crossing, Link, process_of};

/// How long to wait for a frame; one that arrives takes milliseconds.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Everything that a frame between two ends needs.
struct Pair<'a> {
    host: &'a dyn Host,
    from: &'a End,
    to: &'a End,
    sides: (Side, Side),
    hops: Vec<Hop>,
    places: Vec<Option<u32>>,
    vlan: Option<u16>,
    apart: bool,
    network: String,
}

/// Sends the frames, and reports where they were seen.
pub async fn send(
    host: &dyn Host,
    seen: &Datapath,
    from: &End,
    to: &End,
    ways: [&Way; 2],
) -> Result<(Vec<Link>, Crossing)> {
    let network = from.nic.network.clone().unwrap_or_else(|| "pod".into());
    let not = |why: String| {
        let looked_at = format!("a frame from {} to {}", from.shown(), to.shown());
        let row = Link::new("hop", Some(network.clone()), looked_at).unknown(why);
        Ok((vec![row], Crossing::default()))
    };
    if let Some(end) = [from, to].into_iter().find(|end| end.handed_over) {
        return not(format!(
            "not sent: the NIC of {} is passed through, the pod has no interface for it",
            end.shown()
        ));
    }
    let mut places = vec![None, process_of(host, &from.nic.uid).await?];
    if to.seen.here {
        places.push(process_of(host, &to.nic.uid).await?);
    }
    if places.iter().skip(1).any(Option::is_none) {
        return not("not sent: no process of a pod on this node".into());
    }
    // A packet for another node goes to the gateway first.
    let routed = !to.seen.here && from.nic.network.is_none();
    let gateway = || seen.roads.wire("cni0").and_then(|wire| frame::mac(&wire.mac));
    let target = match to.side {
        Some(side) if routed => gateway().map(|mac| Side { mac, ..side }),
        None if routed => gateway().map(|mac| Side { mac, ip: None }),
        side => side,
    };
    let (Some(source), Some(target)) = (from.side, target) else {
        return not("not sent: the MAC address of a NIC is unknown".into());
    };
    if let Some(ip) = source.ip.filter(|ip| target.ip == Some(*ip)) {
        return not(format!("not sent: both ends have the address {ip}"));
    }
    let [(vlan, apart), (tag, _)] = ways.map(|way| match way {
        Way::Open(vlan) => (*vlan, false),
        Way::Apart(_) => (None, true),
    });
    let (hops, back) = (hops::between(seen, from, to), hops::between(seen, to, from));
    let sides = (source, target);
    let back = Pair {
        hops: back,
        from: to,
        to: from,
        sides: (target, source),
        places: [places.first(), places.get(2), places.get(1)].into_iter().flatten().copied().collect(),
        host,
        vlan: tag,
        apart,
        network: network.clone(),
    };
    let pair = Pair { hops, from, to, sides, places, host, vlan, apart, network: network.clone() };
    match pair.all(&back, seen).await {
        Ok(found) => Ok(found),
        Err(error) if error.code() == &code::HOST_PERMISSION => {
            not("not sent: only root may send a frame".into())
        }
        // The sandbox does not simulate this network.
        Err(error) if error.code() == &code::INTERNAL => not("not sent: not simulated".into()),
        Err(error) => Err(error),
    }
}

impl Pair<'_> {
    async fn all(&self, back: &Self, seen: &Datapath) -> Result<(Vec<Link>, Crossing)> {
        let question = self.question().await?;
        let token = Token::new();
        let shot = self.packet(&token, 0);
        let heard = match self.shoot(&shot).await? {
            Ok(heard) => heard,
            Err(refusal) => return Ok(self.refused(&refusal)),
        };
        let has = |hop: &Hop| hops::has(hop, &heard, &token, false);
        let answered = |hop: &Hop| hops::has(hop, &heard, &token, true);
        let mut rows = hops::rows(&self.hops, &self.network, has, self.apart);
        let gap = hops::lost(&self.hops, has);
        let is_answered = self.hops.first().is_some_and(answered);
        let arrives = if self.to.seen.here { Some(gap.is_none()) } else { is_answered.then_some(true) };
        let last_seen = match gap {
            Some((last, _)) => last,
            None => self.hops.last(),
        };
        let crossing = Crossing {
            last_seen: last_seen.map(|hop| hop.shown.clone()),
            arrives,
            apart: self.apart,
            ..Crossing::default()
        };
        if self.apart {
            return Ok((rows, crossing));
        }
        if !self.to.seen.here {
            rows.push(self.beyond(is_answered));
        }
        rows.extend(question);
        if self.to.seen.here {
            rows.extend(back.question().await?);
            if gap.is_none() {
                rows.extend(self.answer(answered));
            }
            rows.push(back.whole().await?);
            if gap.is_none() {
                rows.extend(self.large(seen).await?);
            }
        }
        Ok((rows, crossing))
    }

    /// Sends a frame; the inner error is why the interface refused it.
    async fn shoot(&self, shot: &Shot) -> Result<std::result::Result<Vec<Sighting>, Error>> {
        match self.host.send_frame(shot).await {
            Ok(seen) => Ok(Ok(seen)),
            Err(error) if error.code() == &code::HOST_FILE => Ok(Err(error)),
            Err(error) => Err(error),
        }
    }

    fn row(&self, link: &'static str, looked_at: impl Into<String>) -> Link {
        Link::new(link, Some(self.network.clone()), looked_at)
    }

    /// The rows for a frame that the sender's interface refused.
    fn refused(&self, error: &Error) -> (Vec<Link>, Crossing) {
        let why = error.cause().map(|cause| format!("{}: {cause}", error.message()));
        let why = why.unwrap_or_else(|| error.message().to_owned());
        let first = self.hops.first().map(|hop| hop.shown.clone()).unwrap_or_default();
        let row = self.row("hop", first).broken(&code::FRAME_LOST, why);
        let rest = self.hops.iter().skip(1);
        let rest =
            rest.map(|hop| self.row("hop", hop.shown.clone()).unknown("the frame did not get this far"));
        let crossing = Crossing { arrives: Some(false), apart: self.apart, ..Crossing::default() };
        (std::iter::once(row).chain(rest).collect(), crossing)
    }

    fn shot(&self, frame: Vec<u8>, marks: Vec<Vec<u8>>, until: Option<(usize, String, Vec<u8>)>) -> Shot {
        let (places, link) = (self.places.clone(), self.from.link.clone());
        Shot { places, from: FROM, link, frame, marks, until, patience: PATIENCE }
    }

    fn packet(&self, token: &Token, size: usize) -> Shot {
        let (from, to) = self.sides;
        let frame = frame::packet(from, to, self.vlan, token, size);
        // An end that is isolated or has no address gives no answer to wait for.
        let answer = frame::echoed(from, to).filter(|_| self.vlan.is_none());
        let until = match answer {
            Some(answer) => Some((FROM, self.from.link.clone(), answer)),
            None => self.hops.last().map(|hop| (hop.place, hop.link.clone(), token.bytes().to_vec())),
        };
        self.shot(frame, vec![token.bytes().to_vec()], until)
    }

    /// Sends an ARP request; none where no answer is possible.
    async fn question(&self) -> Result<Option<Link>> {
        let (from, to) = self.sides;
        let (Some(_), Some(ip)) = (from.ip, to.ip) else { return Ok(None) };
        if self.vlan.is_some() || self.apart || !self.to.seen.here || !self.from.seen.here {
            return Ok(None);
        }
        let (token, answer) = (Token::new(), frame::answered(from, ip));
        let until = Some((FROM, self.from.link.clone(), answer.clone()));
        let marks = vec![token.bytes().to_vec(), answer.clone()];
        let shot = self.shot(frame::question(from, ip, None, &token), marks, until);
        let Ok(heard) = self.shoot(&shot).await? else { return Ok(None) };
        let row = self.row("question", format!("who has {ip}, asked by {}", self.from.shown()));
        let (questions, answers): (Vec<_>, Vec<_>) =
            heard.into_iter().partition(|seen| frame::answerer(&seen.frame, &answer).is_none());
        let own = |seen: &&Sighting| seen.place == FROM && seen.link == self.from.link && !seen.leaves;
        let given = answers.iter().filter(own).filter_map(|seen| frame::answerer(&seen.frame, &answer));
        let given: BTreeSet<frame::Mac> = given.collect();
        let shown = |macs: &BTreeSet<frame::Mac>| {
            macs.iter().map(|mac| frame::shown(*mac)).collect::<Vec<_>>().join(" and ")
        };
        if given.len() > 1 || given.iter().any(|mac| *mac != to.mac) {
            let whose = frame::shown(to.mac);
            let what = format!("{} answers, but the NIC of {} has {whose}", shown(&given), self.to.shown());
            return Ok(Some(row.broken(&code::FRAME_LOST, what).hint(
                "an address is in use twice, or the NIC's MAC address was changed: `kvnet doctor` names duplicate addresses",
            )));
        }
        if !given.is_empty() {
            return Ok(Some(row.holds(format!("{} answers", shown(&given)))));
        }
        let has = |hop: &Hop| questions.iter().any(|seen| seen.place == hop.place && seen.link == hop.link);
        if let Some(lost) = hops::lost(&self.hops, has) {
            return Ok(Some(row.broken(&code::FRAME_LOST, format!("it is {}", hops::told(lost)))));
        }
        let replied = |hop: &Hop| answers.iter().any(|seen| seen.place == hop.place && seen.link == hop.link);
        let back: Vec<Hop> = self.hops.iter().rev().cloned().collect();
        let what = match hops::lost(&back, replied) {
            Some((Some(last), next)) => {
                format!("the answer was last seen at {}, not at {}", last.shown, next.shown)
            }
            _ => format!("{} gets it, but sends no answer", self.to.shown()),
        };
        // Whether a guest really has the reported address is up to the guest.
        if self.to.target.machine && what.ends_with("no answer") {
            return Ok(Some(row.warns(what)));
        }
        Ok(Some(row.broken(&code::FRAME_LOST, what).hint(format!(
            "check the NIC's address and flags: `kubectl exec {} -- ip addr`",
            self.to.target.name
        ))))
    }

    /// The answer on its way back; none where none is expected.
    fn answer(&self, back: impl Fn(&Hop) -> bool) -> Option<Link> {
        frame::echoed(self.sides.0, self.sides.1).filter(|_| self.vlan.is_none())?;
        let row = self.row("answer", format!("the answer of {}", self.to.shown()));
        let reverse: Vec<Hop> = self.hops.iter().rev().cloned().collect();
        // A guest's answers first show on its NIC in the pod, not on its tap.
        Some(match hops::lost(&reverse, back) {
            None => row.holds("it arrives"),
            Some((None, _)) => {
                row.warns("the frame arrives, but is not answered: the receiver's own firewall may drop it")
            }
            Some((Some(last), next)) => row.broken(
                &code::FRAME_LOST,
                format!("it was last seen at {}, not at {}", last.shown, next.shown),
            ),
        })
    }

    /// A packet in one row: the way back has the same links.
    async fn whole(&self) -> Result<Link> {
        let row = self.row("back", format!("a frame from {} to {}", self.from.shown(), self.to.shown()));
        let token = Token::new();
        let heard = match self.shoot(&self.packet(&token, 0)).await? {
            Ok(heard) => heard,
            Err(refusal) => return Ok(row.broken(&code::FRAME_LOST, refusal.to_string())),
        };
        let answered = self.hops.first().is_some_and(|hop| hops::has(hop, &heard, &token, true));
        let asks = frame::echoed(self.sides.0, self.sides.1).is_some() && self.vlan.is_none();
        Ok(match hops::lost(&self.hops, |hop| hops::has(hop, &heard, &token, false)) {
            None if asks && !answered => {
                row.warns("it arrives, but is not answered: the receiver's own firewall may drop it")
            }
            None => row.holds("it arrives"),
            Some(gap) => row.broken(&code::FRAME_LOST, format!("it is {}", hops::told(gap))),
        })
    }

    /// A packet as large as the MTU of the sender's NIC; none when that is unknown.
    async fn large(&self, seen: &Datapath) -> Result<Option<Link>> {
        let own = seen
            .inside
            .get(&self.from.nic.uid)
            .and_then(|all| all.iter().find(|wire| wire.name == self.from.link));
        let Some(size) = own.and_then(|own| usize::try_from(own.mtu).ok()).filter(|size| *size <= 9216)
        else {
            return Ok(None);
        };
        let token = Token::new();
        let mut shot = self.packet(&token, size);
        shot.until = self.hops.last().map(|hop| (hop.place, hop.link.clone(), token.bytes().to_vec()));
        let row = self.row("large", format!("a packet of {size} bytes, the NIC's MTU"));
        let heard = match self.shoot(&shot).await? {
            Ok(heard) => heard,
            Err(refusal) => return Ok(Some(row.broken(&code::FRAME_LOST, refusal.to_string()))),
        };
        let has = |hop: &Hop| hops::has(hop, &heard, &token, false);
        Ok(Some(match hops::lost(&self.hops, has) {
            None => row.holds("it arrives"),
            Some(lost) => row
                .broken(&code::FRAME_LOST, format!("it is {}", hops::told(lost)))
                .hint("compare the MTUs along the path: `ip link`"),
        }))
    }

    /// The row for what is beyond this node.
    fn beyond(&self, answered: bool) -> Link {
        let row = self.row("hop", format!("{} on its node", self.to.shown()));
        if answered {
            return row.holds("it answers");
        }
        let reason = self.to.seen.elsewhere().unwrap_or_default();
        row.unknown(format!("no answer came; {reason}"))
    }
}
