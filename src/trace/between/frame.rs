//! Frames from one NIC to another, byte by byte, and the tokens that identify them.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use sha2::{Digest, Sha256};

const IPV4: [u8; 2] = [0x08, 0x00];
const ARP: [u8; 2] = [0x08, 0x06];
/// The local experimental `EtherType`.
const LOCAL: [u8; 2] = [0x88, 0xb5];
const VLAN: [u8; 2] = [0x81, 0x00];
const ECHO_REQUEST: u8 = 8;
const ECHO_REPLY: u8 = 0;
const ICMP: u8 = 1;
/// The length of the headers of IPv4 and an echo request.
const HEADERS: usize = 28;
/// The minimum payload of an Ethernet frame.
const SHORTEST: usize = 46;

/// A MAC address.
pub type Mac = [u8; 6];

/// One end of a frame's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its MAC address.
    pub mac: Mac,
    /// Its address; none on a network without addresses.
    pub ip: Option<Ipv4Addr>,
}

/// Bytes that identify a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl Token {
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let digest = Sha256::digest(format!("{} {now}", std::process::id()));
        Self([b"kvnet ", &digest[..12]].concat())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether a frame with this token is an echo reply: the ICMP header comes right before the token.
    pub fn is_answer(&self, frame: &[u8]) -> bool {
        let place = frame.windows(self.0.len()).position(|window| window == self.0);
        let header = place.and_then(|place| place.checked_sub(8)).and_then(|start| frame.get(start));
        let tagged = frame.get(12..14) == Some(&VLAN);
        let kind = if tagged { frame.get(16..18) } else { frame.get(12..14) };
        // Other frames have something else there.
        header == Some(&ECHO_REPLY) && kind == Some(&IPV4)
    }
}

/// Reads `02:00:00:00:00:01`.
pub fn mac(text: &str) -> Option<Mac> {
    let octets: Vec<u8> =
        text.split(':').map(|octet| u8::from_str_radix(octet, 16).ok()).collect::<Option<_>>()?;
    octets.try_into().ok()
}

/// Writes it.
pub fn shown(mac: Mac) -> String {
    let octets: Vec<String> = mac.iter().map(|octet| format!("{octet:02x}")).collect();
    octets.join(":")
}

/// An ARP request for the other's address, with the token in its padding.
pub fn question(from: Side, to: Ipv4Addr, vlan: Option<u16>, token: &Token) -> Vec<u8> {
    let mut body = vec![0, 1, 8, 0, 6, 4, 0, 1];
    body.extend(from.mac);
    body.extend(from.ip.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
    body.extend([0; 6]);
    body.extend(to.octets());
    body.extend(token.bytes());
    ethernet([0xff; 6], from.mac, vlan, ARP, body)
}

/// The bytes that every ARP reply contains, whoever sends it.
pub fn answered(from: Side, to: Ipv4Addr) -> Vec<u8> {
    let ip = from.ip.unwrap_or(Ipv4Addr::UNSPECIFIED);
    [&to.octets()[..], &from.mac, &ip.octets()].concat()
}

/// The sender of an ARP reply: the MAC address before the requested IP address.
pub fn answerer(frame: &[u8], answer: &[u8]) -> Option<Mac> {
    let place = frame.windows(answer.len()).position(|window| window == answer)?;
    frame.get(place.checked_sub(6)?..place)?.try_into().ok()
}

/// An echo request when both ends have addresses, else a frame that no program listens to. `size` is that of its payload.
pub fn packet(from: Side, to: Side, vlan: Option<u16>, token: &Token, size: usize) -> Vec<u8> {
    let (Some(source), Some(target)) = (from.ip, to.ip) else {
        let mut body = token.bytes().to_vec();
        body.resize(size.max(body.len()), 0);
        return ethernet(to.mac, from.mac, vlan, LOCAL, body);
    };
    let length = size.max(HEADERS + token.bytes().len());
    let mut echo = vec![ECHO_REQUEST, 0, 0, 0, 0x4b, 0x56, 0, 1];
    echo.extend(token.bytes());
    echo.resize(length - HEADERS + 8, 0);
    let sum = checksum(&echo);
    echo[2..4].copy_from_slice(&sum);
    let total = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    // Don't fragment.
    let mut header = vec![0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, ICMP, 0, 0];
    header.extend(source.octets());
    header.extend(target.octets());
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum);
    header.extend(echo);
    ethernet(to.mac, from.mac, vlan, IPV4, header)
}

/// The bytes of an echo reply that the request does not have: its addresses and type.
pub fn echoed(from: Side, to: Side) -> Option<Vec<u8>> {
    Some([&to.ip?.octets()[..], &from.ip?.octets(), &[ECHO_REPLY, 0]].concat())
}

fn ethernet(to: Mac, from: Mac, vlan: Option<u16>, kind: [u8; 2], mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().max(SHORTEST), 0);
    let tag = vlan.map(|vlan| [&VLAN[..], &vlan.to_be_bytes()].concat()).unwrap_or_default();
    [&to[..], &from, &tag, &kind, &body].concat()
}

/// The Internet checksum.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or_default()).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides() -> (Side, Side) {
        let side = |last: u8| Side { mac: [2, 0, 0, 0, 0, last], ip: Some(Ipv4Addr::new(10, 20, 0, last)) };
        (side(4), side(5))
    }

    #[test]
    fn an_echo_request_is_one_that_kernels_answer() {
        let (from, to) = sides();
        let token = Token::new();
        let frame = packet(from, to, None, &token, 0);
        assert_eq!((&frame[..6], &frame[6..12], &frame[12..14]), (&to.mac[..], &from.mac[..], &IPV4[..]));
        // A checksum over data that includes it is zero.
        assert_eq!((checksum(&frame[14..34]), checksum(&frame[34..])), ([0, 0], [0, 0]));
        assert_eq!((frame[34], &frame[42..42 + token.bytes().len()]), (ECHO_REQUEST, token.bytes()));
        assert!(!token.is_answer(&frame));
        let mut answer = frame;
        answer[34] = ECHO_REPLY;
        assert!(token.is_answer(&answer));
        assert_eq!(packet(from, to, None, &token, 1450).len(), 1464);
        assert_eq!(packet(from, to, Some(100), &token, 1450)[12..16], [0x81, 0, 0, 100]);
    }

    #[test]
    fn without_addresses_the_frame_carries_the_token_alone() {
        let (from, to) = sides();
        let (from, token) = (Side { ip: None, ..from }, Token::new());
        let frame = packet(from, to, None, &token, 0);
        assert_eq!((frame.len(), &frame[12..14]), (60, &LOCAL[..]));
        assert!(frame[14..].starts_with(token.bytes()) && !token.is_answer(&frame));
        assert_eq!(echoed(from, to), None);
        assert_ne!(Token::new(), token);
    }

    #[test]
    fn an_answer_tells_who_gives_it() {
        let (from, to) = sides();
        let token = Token::new();
        let frame = question(from, to.ip.unwrap(), None, &token);
        assert!(frame.len() >= 60 && frame[38..42] == to.ip.unwrap().octets());
        let answer = answered(from, to.ip.unwrap());
        assert_eq!(answerer(&frame, &answer), None);
        let other = [2, 0, 0, 0, 0, 9];
        let given = [&[0, 2][..], &other, &answer].concat();
        assert_eq!(answerer(&given, &answer), Some(other));
        assert_eq!((mac("02:00:00:00:00:09"), shown(other).as_str()), (Some(other), "02:00:00:00:00:09"));
        assert_eq!((mac("02:00"), mac("x")), (None, None));
    }
}
