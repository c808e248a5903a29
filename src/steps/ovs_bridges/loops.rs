//! Layer 2 loops: two uplinks of one segment without a spanning tree. Pure.

use std::collections::BTreeSet;

use super::plan::Cards;
use crate::facts::ovs::{Joins, OvsPort, OvsState};
use crate::formats::net::{Link, is_software};
use crate::profile::Profile;

/// Open vSwitch as the kernel shows it: the master of all its ports, not a bridge.
const SWITCHES: [&str; 2] = ["ovs-system", "ovs-netdev"];

/// What is known of the node's segments.
pub(super) struct Segments<'a> {
    pub profile: &'a Profile,
    pub state: &'a OvsState,
    pub cards: &'a Cards,
    pub joins: &'a Joins,
}

/// A port that leaves the node, with the VLANs that it carries; none means all.
struct Way {
    card: String,
    vlans: Option<Vec<u16>>,
}

/// One sentence for each possible loop through a bridge with an uplink of the profile. Whether two NICs lead to one
/// switch cannot be seen from here.
pub(super) fn warnings(segments: &Segments<'_>) -> Vec<String> {
    let mut told = BTreeSet::new();
    let with_uplink = segments.profile.ovs.bridges.iter().filter(|bridge| bridge.uplink.is_some());
    for bridge in with_uplink {
        let (all, joints) = segments.joined_to(&bridge.name);
        if all.iter().any(|name| segments.joins.guarded.contains(name)) {
            continue;
        }
        let named = all.iter().cloned().collect::<Vec<_>>().join(", ");
        if joints >= all.len() && all.len() > 1 {
            told.insert(format!(
                "bridges {named} are joined more than once: frames loop; remove a join, {}",
                guard(&bridge.name)
            ));
        }
        let ways: Vec<Way> = all.iter().flat_map(|name| segments.ways_out(name)).collect();
        let Some((one, other)) = meeting(&ways) else { continue };
        let where_to = if all.len() == 1 {
            format!("bridge {named} has two uplinks, {one} and {other}")
        } else {
            format!("bridges {named} are joined and have two uplinks, {one} and {other}")
        };
        told.insert(format!(
            "{where_to}: if both lead to one network, frames loop; keep one, bond them, {}",
            guard(&bridge.name)
        ));
    }
    told.into_iter().collect()
}

fn guard(bridge: &str) -> String {
    format!("or `ovs-vsctl set Bridge {bridge} rstp_enable=true`")
}

/// Two uplinks that share a VLAN.
fn meeting(ways: &[Way]) -> Option<(&str, &str)> {
    ways.iter().enumerate().find_map(|(at, one)| {
        let other = ways[at + 1..].iter().find(|other| match (&one.vlans, &other.vlans) {
            (Some(own), Some(others)) => own.iter().any(|vlan| others.contains(vlan)),
            _ => true,
        })?;
        Some((one.card.as_str(), other.card.as_str()))
    })
}

impl Segments<'_> {
    /// The bridges that are one segment with this one, and how many joins are between them.
    fn joined_to(&self, bridge: &str) -> (BTreeSet<String>, usize) {
        let joins = self.joins();
        let mut all = BTreeSet::from([bridge.to_owned()]);
        loop {
            let next = joins.iter().find_map(|(one, other)| match (all.contains(one), all.contains(other)) {
                (true, false) => Some(other.clone()),
                (false, true) => Some(one.clone()),
                _ => None,
            });
            match next {
                Some(next) => all.insert(next),
                None => break,
            };
        }
        let within = joins.iter().filter(|(one, other)| all.contains(one) && all.contains(other));
        let count = within.count();
        (all, count)
    }

    /// Pairs of bridges that patch ports or a veth pair join.
    fn joins(&self) -> Vec<(String, String)> {
        let veths = self.cards.links.iter().filter_map(|link| Some((&link.name, &self.pair(link)?.name)));
        let patches = self.joins.patches.iter().map(|(name, peer)| (name, peer));
        let mut pairs: BTreeSet<(&String, &String)> = BTreeSet::new();
        for (name, peer) in veths.chain(patches) {
            pairs.insert(if name < peer { (name, peer) } else { (peer, name) });
        }
        let joined = pairs.into_iter().filter_map(|(one, other)| Some((self.on(one)?, self.on(other)?)));
        joined.filter(|(one, other)| one != other).collect()
    }

    /// The bridge, of either kind, that a port is on.
    fn on(&self, port: &str) -> Option<String> {
        let has = |it: &OvsPort| it.interfaces.iter().any(|interface| interface.name == port);
        let switch = self.state.bridges.iter().find(|bridge| bridge.ports.iter().any(has));
        let master = || self.link(port)?.master.clone().filter(|it| !SWITCHES.contains(&it.as_str()));
        switch.map(|bridge| bridge.name.clone()).or_else(master)
    }

    /// The other end of a veth pair: each names the other. The parent of a VLAN does not name it.
    fn pair(&self, link: &Link) -> Option<&Link> {
        let other = self.link(link.peer.as_deref()?)?;
        (other.peer.as_deref() == Some(link.name.as_str())).then_some(other)
    }

    fn link(&self, name: &str) -> Option<&Link> {
        self.cards.links.iter().find(|link| link.name == name)
    }

    /// The NICs on a bridge, and the one that the profile adds to it. A bond is one uplink.
    fn ways_out(&self, bridge: &str) -> Vec<Way> {
        let is_card =
            |name: &str| !is_software(name) && self.link(name).is_some_and(|it| self.pair(it).is_none());
        let Some(switch) = self.state.bridge(bridge) else {
            let uplink = self.uplink(bridge).map(|card| Way { card, vlans: None });
            let own = self.cards.links.iter().filter(|it| it.master.as_deref() == Some(bridge));
            let own = own.filter(|it| is_card(&it.name)).map(|it| Way { card: it.name.clone(), vlans: None });
            return own.chain(uplink).collect();
        };
        let ports = switch.guest_ports().filter(|port| {
            port.interfaces.iter().any(|it| ["", "system"].contains(&it.kind.as_str()) && is_card(&it.name))
        });
        let mut ways: Vec<Way> = ports.map(way).collect();
        if let Some(card) = self.uplink(bridge).filter(|card| ways.iter().all(|way| way.card != *card)) {
            ways.push(Way { card, vlans: None });
        }
        ways
    }

    fn uplink(&self, bridge: &str) -> Option<String> {
        self.profile.ovs.bridges.iter().find(|it| it.name == bridge)?.uplink.clone()
    }
}

fn way(port: &OvsPort) -> Way {
    let vlans = match (port.tag, port.trunks.as_slice()) {
        (Some(tag), _) => Some(vec![tag]),
        (None, []) => None,
        (None, trunks) => Some(trunks.to_vec()),
    };
    Way { card: port.name.clone(), vlans }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ovs::{OvsBridge, OvsInterface};
    use crate::profile::Bridge;

    fn link(name: &str, master: Option<&str>, peer: Option<&str>) -> Link {
        let (master, peer) = (master.map(str::to_owned), peer.map(str::to_owned));
        Link { name: name.into(), master, peer, ..Link::default() }
    }

    fn port(name: &str, kind: &str, tag: Option<u16>) -> OvsPort {
        let interface = |name: &str| OvsInterface { name: name.into(), kind: kind.into(), error: None };
        let interfaces =
            if name == "bond0" { vec![interface("eth5"), interface("eth6")] } else { vec![interface(name)] };
        OvsPort { name: name.into(), tag, interfaces, ..OvsPort::default() }
    }

    /// What is said of blue with the uplink eth1, beside other ports of it and of red.
    fn told(blue: Vec<OvsPort>, red: Vec<OvsPort>, joins: &Joins) -> Vec<String> {
        let bridge = |name: &str, ports| OvsBridge { name: name.into(), ports, ..OvsBridge::default() };
        let state = OvsState { bridges: vec![bridge("blue", blue), bridge("red", red)] };
        let mut profile = Profile::default();
        let wanted = |name: &str, uplink: Option<&str>| Bridge {
            name: name.into(),
            datapath: None,
            uplink: uplink.map(str::to_owned),
            vlans: Vec::new(),
        };
        profile.ovs.bridges = vec![wanted("blue", Some("eth1")), wanted("red", None)];
        let links = vec![
            link("eth1", None, None),
            link("eth2", Some("ovs-system"), None),
            link("eth3", Some("br0"), None),
            link("eth5", Some("ovs-system"), None),
            link("eth6", Some("ovs-system"), None),
            link("v0", Some("ovs-system"), Some("v1")),
            link("v1", Some("br0"), Some("v0")),
            link("veth9", Some("ovs-system"), None),
        ];
        let cards = Cards { links, routed: Vec::new() };
        warnings(&Segments { profile: &profile, state: &state, cards: &cards, joins })
    }

    fn patched(pairs: &[(&str, &str)]) -> Joins {
        let patches = pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect();
        Joins { patches, ..Joins::default() }
    }

    #[test]
    fn a_second_way_out_of_a_bridge_is_told() {
        let none = Joins::default();
        let two = told(vec![port("eth2", "", None)], Vec::new(), &none);
        let [text] = &two[..] else { panic!("{two:?}") };
        assert!(
            text.starts_with("bridge blue has two uplinks, eth2 and eth1: if both lead to one network"),
            "{text}"
        );
        assert!(text.ends_with("or `ovs-vsctl set Bridge blue rstp_enable=true`"), "{text}");
        // A pod's port is none, and neither is the uplink itself.
        for quiet in [port("veth9", "", None), port("eth1", "", None), port("vxlan0", "vxlan", None)] {
            assert!(told(vec![quiet], Vec::new(), &none).is_empty());
        }
        // One on a VLAN of its own still has that in common with the uplink, which carries all.
        assert_eq!(told(vec![port("eth2", "", Some(7))], Vec::new(), &none).len(), 1);
        assert!(
            told(vec![port("eth1", "", Some(8)), port("eth2", "", Some(7))], Vec::new(), &none).is_empty()
        );
        let guarded = Joins { guarded: vec!["blue".into()], ..Joins::default() };
        assert!(told(vec![port("eth2", "", None)], Vec::new(), &guarded).is_empty());
        // Another segment has its own.
        assert!(told(Vec::new(), vec![port("eth2", "", None)], &none).is_empty());
    }

    #[test]
    fn bridges_that_are_joined_are_one_segment() {
        let blue = || vec![port("p0", "patch", None)];
        let red = |more: OvsPort| vec![port("p1", "patch", None), more];
        let joins = patched(&[("p0", "p1"), ("p1", "p0")]);
        let two = told(blue(), red(port("eth2", "", None)), &joins);
        let [text] = &two[..] else { panic!("{two:?}") };
        assert!(
            text.starts_with("bridges blue, red are joined and have two uplinks, eth1 and eth2"),
            "{text}"
        );
        assert!(told(blue(), red(port("veth9", "", None)), &joins).is_empty(), "one way out");
        // A bond is one uplink, though not beside a NIC.
        assert_eq!(told(blue(), red(port("bond0", "", None)), &joins).len(), 1);
        // A veth pair leads to a Linux bridge with a NIC of its own.
        let kernel = told(vec![port("v0", "", None)], Vec::new(), &Joins::default());
        assert!(
            kernel[0].starts_with("bridges blue, br0 are joined")
                || kernel[0].starts_with("bridges br0, blue"),
            "{kernel:?}"
        );
    }

    #[test]
    fn two_joins_between_two_bridges_are_a_circle() {
        let ports = |names: [&str; 2]| names.map(|name| port(name, "patch", None)).to_vec();
        let joins = patched(&[("p0", "p1"), ("p1", "p0"), ("q0", "q1"), ("q1", "q0")]);
        let told = told(ports(["p0", "q0"]), ports(["p1", "q1"]), &joins);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("bridges blue, red are joined more than once: frames loop"), "{told:?}");
    }
}
