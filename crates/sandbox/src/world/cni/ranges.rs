//! The ranges of host-local's configuration: what is allowed in them, and in which order addresses come.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use super::runtime::Failure;
use crate::world::objects::items;

/// The addresses that may be given out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub subnet: Ipv4Net,
    pub first: Ipv4Addr,
    pub last: Ipv4Addr,
    pub gateway: Ipv4Addr,
}

/// Ranges of which one address is given.
pub(super) type Set = Vec<Range>;

/// The sets of an `ipam`: a range of its own comes before those of its list.
pub(super) fn sets(ipam: &Value) -> Result<Vec<Set>, Failure> {
    let own = ipam["subnet"].is_string().then(|| vec![ipam]);
    let listed = items(ipam, "/ranges").iter();
    let listed = listed.map(|set| set.as_array().map(|set| set.iter().collect()).unwrap_or_default());
    let given: Vec<Vec<&Value>> = own.into_iter().chain(listed).collect();
    if given.is_empty() {
        return Err("no IP ranges specified".into());
    }
    let mut sets: Vec<Set> = Vec::new();
    for (number, set) in given.iter().enumerate() {
        if set.is_empty() {
            return Err(format!("invalid range set {number}: empty range set"));
        }
        let set: Set = set.iter().map(|range| one(range, number)).collect::<Result<_, _>>()?;
        if let Some(place) = sets.iter().position(|other| overlap(other, &set)) {
            return Err(format!("range set {place} overlaps with {number}"));
        }
        sets.push(set);
    }
    Ok(sets)
}

fn one(given: &Value, number: usize) -> Result<Range, Failure> {
    let subnet = given["subnet"].as_str().unwrap_or_default();
    let subnet = match subnet.parse::<IpNet>() {
        Ok(IpNet::V4(subnet)) => subnet,
        Ok(IpNet::V6(subnet)) => return Err(format!("not simulated: IPv6, in the range {subnet}")),
        Err(_) => return Err(format!("invalid CIDR address: {subnet}")),
    };
    let wrong = |what: String| Err(format!("invalid range set {number}: {what}"));
    if subnet.prefix_len() > 30 {
        return wrong(format!("Network {subnet} too small to allocate from"));
    }
    if subnet.addr() != subnet.network() {
        let (length, network) = (subnet.prefix_len(), subnet.network());
        return wrong(format!(
            "Network has host bits set. For a subnet mask of length {length} the network address is {network}"
        ));
    }
    let address = |field: &str| given[field].as_str().and_then(|text| text.parse::<Ipv4Addr>().ok());
    let next = Ipv4Addr::from(u32::from(subnet.network()).saturating_add(1));
    let end = Ipv4Addr::from(u32::from(subnet.broadcast()).saturating_sub(1));
    let first = address("rangeStart").unwrap_or(next);
    let last = address("rangeEnd").unwrap_or(end);
    if !subnet.contains(&first) {
        return wrong(format!("RangeStart {first} not in network {subnet}"));
    }
    if !subnet.contains(&last) || last < first {
        return wrong(format!("RangeEnd {last} not in network {subnet}"));
    }
    Ok(Range { subnet, first, last, gateway: address("gateway").unwrap_or(next) })
}

fn overlap(one: &Set, other: &Set) -> bool {
    let meet = |a: &Range, b: &Range| a.first <= b.last && b.first <= a.last;
    one.iter().any(|range| other.iter().any(|other| meet(range, other)))
}

pub(super) fn holding(set: &Set, address: Ipv4Addr) -> Option<&Range> {
    set.iter().find(|range| (range.first..=range.last).contains(&address))
}

/// A set as the plugin prints it.
pub(super) fn shown(set: &Set) -> String {
    let ranges: Vec<String> = set.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
    ranges.join(",")
}

/// All addresses but the gateways, beginning after the one that was given out last.
pub(super) fn in_turn(set: &Set, last: Option<Ipv4Addr>) -> Vec<(Ipv4Addr, Range)> {
    let all = set.iter().flat_map(|range| {
        (u32::from(range.first)..=u32::from(range.last)).map(|address| (Ipv4Addr::from(address), *range))
    });
    let mut all: Vec<(Ipv4Addr, Range)> = all.take(MOST).collect();
    if let Some(place) = all.iter().position(|(address, _)| Some(*address) == last) {
        all.rotate_left(place + 1);
    }
    all.retain(|(address, range)| *address != range.gateway);
    all
}

/// No sandbox has more pods than this, so that ranges of a whole /8 are not listed.
const MOST: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turn(ipam: &Value, last: Option<&str>) -> Vec<String> {
        let sets = sets(ipam).unwrap();
        let all = in_turn(&sets[0], last.map(|text| text.parse().unwrap()));
        all.into_iter().map(|(address, _)| address.to_string()).collect()
    }

    #[test]
    fn addresses_are_given_out_in_turn_without_the_gateway() {
        let ipam = json!({"subnet": "10.0.0.0/29"});
        assert_eq!(turn(&ipam, None), ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        assert_eq!(turn(&ipam, Some("10.0.0.4"))[..2], ["10.0.0.5", "10.0.0.6"]);
        assert_eq!(turn(&ipam, Some("10.0.0.6"))[0], "10.0.0.2");
        let two = json!({"ranges": [[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}]]});
        assert_eq!(turn(&two, None), ["10.1.0.2", "10.2.0.2"]);
    }

    /// Each text is what host-local 1.9.1 printed for that configuration.
    #[test]
    fn what_the_plugin_refuses_is_refused_in_its_words() {
        for (ipam, refusal) in [
            (json!({}), "no IP ranges specified"),
            (json!({"subnet": "nonsense"}), "invalid CIDR address: nonsense"),
            (
                json!({"subnet": "10.20.0.5/24"}),
                "invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 10.20.0.0",
            ),
            (
                json!({"subnet": "10.20.0.0/31"}),
                "invalid range set 0: Network 10.20.0.0/31 too small to allocate from",
            ),
            (
                json!({"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}),
                "invalid range set 0: RangeStart 10.0.1.1 not in network 10.0.0.0/24",
            ),
        ] {
            assert_eq!(sets(&ipam), Err(refusal.to_owned()));
        }
        assert!(sets(&json!({"subnet": "fd00::/64"})).unwrap_err().contains("not simulated: IPv6"));
    }
}
