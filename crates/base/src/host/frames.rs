//! A frame that is sent from a link, and where it is seen: by sockets alone, which are closed with the call whatever
//! happens.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, recvfrom, sendto, setsockopt,
    socket, sockopt,
};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, code};

/// A frame may be lost by chance, but hardly three times.
const COPIES: usize = 3;
/// Between two copies.
const PAUSE: Duration = Duration::from_millis(20);
/// The grace period for frames in flight after the last expected one.
const AFTERWARDS: Duration = Duration::from_millis(50);
/// Large enough for frames that a NIC has merged (GRO).
const LARGEST: usize = 1 << 16;
/// The socket buffer, for a busy node.
const BUFFER: usize = 8 << 20;
/// `sll_pkttype` of what leaves by a link.
const OUTGOING: u8 = 4;

/// The frame to send, and where to capture it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shot {
    /// Network namespaces to capture in: that of a process, or the node's own.
    pub places: Vec<Option<u32>>,
    /// The one of them that it is sent in.
    pub from: usize,
    /// The link that it leaves by.
    pub link: String,
    /// The whole frame.
    pub frame: Vec<u8>,
    /// What identifies the frame: it contains one of these.
    pub marks: Vec<Vec<u8>>,
    /// What ends the capture: a place, a link and the content of a frame that comes in there.
    pub until: Option<(usize, String, Vec<u8>)>,
    /// The capture's timeout.
    pub patience: Duration,
}

/// A frame that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The number of the place.
    pub place: usize,
    /// The link.
    pub link: String,
    /// Whether it was outgoing; else it came in.
    pub leaves: bool,
    /// The frame.
    pub frame: Vec<u8>,
}

impl Shot {
    /// Whether a frame is the one that was sent, or an answer to it.
    pub fn knows(&self, frame: &[u8]) -> bool {
        self.marks.iter().any(|mark| contains(frame, mark))
    }

    fn is_over(&self, seen: &Sighting) -> bool {
        self.until.as_ref().is_some_and(|(place, link, bytes)| {
            *place == seen.place && *link == seen.link && contains(&seen.frame, bytes)
        })
    }
}

/// Whether bytes are in a frame.
pub fn contains(frame: &[u8], bytes: &[u8]) -> bool {
    !bytes.is_empty() && frame.windows(bytes.len()).any(|window| window == bytes)
}

/// A socket that captures on all links of a place.
struct Ear {
    socket: OwnedFd,
    links: HashMap<usize, String>,
}

/// Sends the frame and captures.
/// Fails with `KVN203` without root; `KVN204` when a place is gone, or the link does not accept the frame.
pub(super) fn send(shot: &Shot) -> Result<Vec<Sighting>> {
    let mut mouth = None;
    let mut ears = Vec::new();
    for (number, place) in shot.places.iter().enumerate() {
        let speaks = Some(shot.link.as_str()).filter(|_| number == shot.from);
        // The thread ends with the namespace that it went into; the sockets stay in it.
        let opened = std::thread::scope(|scope| {
            scope.spawn(|| open(*place, speaks)).join().unwrap_or(Err((Errno::EIO, "the thread has ended")))
        });
        let (ear, own) = opened.map_err(|(error, what)| failed(error, what, *place))?;
        ears.push(ear);
        mouth = mouth.or(own);
    }
    let Some((mouth, link)) = mouth else {
        let message = format!("link {} does not exist", shot.link);
        return Err(Error::new(&code::HOST_FILE, message));
    };
    let mut seen = Vec::new();
    let end = Instant::now() + shot.patience;
    for copy in 0..COPIES {
        sendto(mouth.as_raw_fd(), &shot.frame, &link, MsgFlags::empty()).map_err(|error| {
            let message = format!("{} does not accept the frame", shot.link);
            Error::new(if error == Errno::EPERM { &code::HOST_PERMISSION } else { &code::HOST_FILE }, message)
                .because(error.desc())
        })?;
        let until = if copy + 1 < COPIES { end.min(Instant::now() + PAUSE) } else { end };
        if listen(shot, &ears, until, &mut seen) {
            listen(shot, &ears, Instant::now() + AFTERWARDS, &mut seen);
            break;
        }
    }
    Ok(seen)
}

type Opened = (Ear, Option<(OwnedFd, LinkAddr)>);

/// The capturing and the sending socket of a place.
fn open(process: Option<u32>, speaks: Option<&str>) -> std::result::Result<Opened, (Errno, &'static str)> {
    if let Some(process) = process {
        let namespace = std::fs::File::open(format!("/proc/{process}/ns/net"))
            .map_err(|error| (Errno::from_raw(error.raw_os_error().unwrap_or(5)), "its namespace is gone"))?;
        setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)
            .map_err(|error| (error, "its namespace cannot be entered"))?;
    }
    let raw = |protocol| {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socket(AddressFamily::Packet, SockType::Raw, flags, protocol)
            .map_err(|error| (error, "frames cannot be captured"))
    };
    let ear = raw(Some(SockProtocol::EthAll))?;
    // Without it, frames are lost on busy nodes only.
    let _ = setsockopt(&ear, sockopt::RcvBufForce, &BUFFER);
    let mut links = HashMap::new();
    let mut mouth = None;
    for found in getifaddrs().map_err(|error| (error, "its links cannot be listed"))? {
        let Some(address) = found.address.and_then(|address| address.as_link_addr().copied()) else {
            continue;
        };
        if speaks == Some(found.interface_name.as_str()) {
            mouth = Some((raw(None)?, address));
        }
        links.insert(address.ifindex(), found.interface_name);
    }
    Ok((Ear { socket: ear, links }, mouth))
}

/// Captures until then; true when the expected frame has come.
fn listen(shot: &Shot, ears: &[Ear], until: Instant, seen: &mut Vec<Sighting>) -> bool {
    let mut buffer = vec![0; LARGEST];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let mut waiting: Vec<PollFd> =
            ears.iter().map(|ear| PollFd::new(ear.socket.as_fd(), PollFlags::POLLIN)).collect();
        let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO);
        if left.is_zero() || poll(&mut waiting, timeout).is_err() {
            return false;
        }
        let mut over = false;
        for (place, ear) in ears.iter().enumerate() {
            while let Ok((length, Some(from))) = recvfrom::<LinkAddr>(ear.socket.as_raw_fd(), &mut buffer) {
                let frame = &buffer[..length.min(LARGEST)];
                if !shot.knows(frame) {
                    continue;
                }
                let link = ear.links.get(&from.ifindex()).cloned().unwrap_or_default();
                let leaves = from.pkttype() == OUTGOING;
                let sighting = Sighting { place, link, leaves, frame: frame.to_vec() };
                over |= shot.is_over(&sighting);
                seen.push(sighting);
                if Instant::now() > until {
                    break;
                }
            }
        }
        if over {
            return true;
        }
    }
}

fn failed(error: Errno, what: &str, process: Option<u32>) -> Error {
    let code = match error {
        Errno::EPERM | Errno::EACCES => &code::HOST_PERMISSION,
        _ => &code::HOST_FILE,
    };
    let place = process.map_or_else(|| "the node".to_owned(), |process| format!("process {process}"));
    Error::new(code, format!("cannot capture on the network of {place}: {what}")).because(error.desc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_by_what_is_in_it() {
        let shot = Shot { marks: vec![b"mark".to_vec(), Vec::new()], ..Shot::default() };
        assert!(shot.knows(b"..mark..") && !shot.knows(b"..mar") && !shot.knows(b""));
        let until = Some((1, "net1".to_owned(), b"yes".to_vec()));
        let shot = Shot { until, ..shot };
        let seen =
            |place, frame: &[u8]| Sighting { place, link: "net1".into(), leaves: false, frame: frame.into() };
        assert!(shot.is_over(&seen(1, b"mark yes")));
        assert!(!shot.is_over(&seen(0, b"mark yes")) && !shot.is_over(&seen(1, b"mark no")));
    }

    #[test]
    fn a_namespace_that_is_gone_or_not_allowed_is_told() {
        let shot = Shot { places: vec![Some(u32::MAX)], ..Shot::default() };
        assert_eq!(send(&shot).unwrap_err().code(), &code::HOST_FILE);
    }
}
