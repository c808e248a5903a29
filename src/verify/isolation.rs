//! Which pods must not reach each other: the number of pairs is linear in the number of networks, not quadratic.
//!
//! A port's tag decides what it carries, and each port is compared with the profile separately: this finds a network in any
//! wrong VLAN. The pairs show what the tags do not: that the switch enforces them. Each network is paired with the untagged ports
//! of its bridge and with the next VLAN, to find frames that leak from the VLAN; and with the same VLAN on the next bridge, to
//! find bridges that are connected.

use std::collections::{BTreeMap, HashSet};

use super::scenario::Probe;

/// A bridge and a VLAN; none is the untagged one.
type Segment<'a> = (&'a str, Option<u16>);

/// Pairs of pods that must be isolated, each once: from the first pod of each network to one with an address.
pub(super) fn pairs(pods: &[Probe]) -> Vec<(String, String)> {
    let targets = Targets::among(pods);
    let first = |index: &usize| *index == 0 || pods[index - 1].network != pods[*index].network;
    let mut told = HashSet::new();
    let mut pairs = Vec::new();
    for one in (0..pods.len()).filter(first).map(|index| &pods[index]) {
        for other in segment(one).map(|own| targets.strangers(own)).unwrap_or_default() {
            let (one, other) = (one.name.as_str(), other.name.as_str());
            if told.insert((one.min(other), one.max(other))) {
                pairs.push((one.to_owned(), other.to_owned()));
            }
        }
    }
    pairs
}

/// A trunk belongs to no segment: what it carries depends on the guest's tags.
fn segment(probe: &Probe) -> Option<Segment<'_>> {
    let port = probe.port.as_ref().filter(|port| port.trunks.is_empty())?;
    Some((port.bridge.as_str(), port.vlan))
}

/// The first pod with an address of each segment, by bridge and by VLAN.
#[derive(Default)]
struct Targets<'a> {
    by_bridge: BTreeMap<Segment<'a>, &'a Probe>,
    by_vlan: BTreeMap<(Option<u16>, &'a str), &'a Probe>,
}

impl<'a> Targets<'a> {
    fn among(pods: &'a [Probe]) -> Self {
        let mut targets = Self::default();
        for probe in pods.iter().filter(|probe| probe.subnet.is_some()) {
            if let Some((bridge, vlan)) = segment(probe) {
                targets.by_bridge.entry((bridge, vlan)).or_insert(probe);
                targets.by_vlan.entry((vlan, bridge)).or_insert(probe);
            }
        }
        targets
    }

    /// The untagged ports of the bridge, its next VLAN, and the next bridge: the same VLAN there, else any.
    fn strangers(&self, (bridge, vlan): Segment<'_>) -> Vec<&'a Probe> {
        let untagged = vlan.and_then(|_| self.by_bridge.get(&(bridge, None)));
        let beside = self.vlan_after((bridge, vlan));
        let beyond = self.same_vlan_after((bridge, vlan)).or_else(|| self.bridge_after(bridge));
        untagged.copied().into_iter().chain(beside).chain(beyond).collect()
    }

    fn vlan_after(&self, own: Segment<'_>) -> Option<&'a Probe> {
        let of_bridge = self.by_bridge.range((own.0, None)..).take_while(|((bridge, _), _)| *bridge == own.0);
        let mut others = of_bridge.filter(|((_, vlan), _)| *vlan != own.1);
        let first = others.clone().next();
        others.find(|((_, vlan), _)| *vlan > own.1).or(first).map(|(_, probe)| *probe)
    }

    fn same_vlan_after(&self, own: Segment<'_>) -> Option<&'a Probe> {
        let of_vlan = self.by_vlan.range((own.1, "")..).take_while(|((vlan, _), _)| *vlan == own.1);
        let mut others = of_vlan.filter(|((_, bridge), _)| *bridge != own.0);
        let first = others.clone().next();
        others.find(|((_, bridge), _)| *bridge > own.0).or(first).map(|(_, probe)| *probe)
    }

    fn bridge_after(&self, own: &str) -> Option<&'a Probe> {
        let later = self.by_bridge.range((own, None)..).find(|((bridge, _), _)| *bridge != own);
        let later = later.or_else(|| self.by_bridge.iter().next().filter(|((bridge, _), _)| *bridge != own));
        later.map(|(_, probe)| *probe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{self, Profile};
    use crate::verify::Scenario;

    /// Networks with a VLAN each on several bridges, each of which also has an untagged network.
    fn profile(bridges: usize, vlans: usize) -> Profile {
        let bridge = |bridge: usize| format!("{{name: br{bridge}, vlans: []}}");
        let network = |bridge: usize, vlan: usize| {
            let tag = if vlan == 0 { String::new() } else { format!(" vlan: {vlan},") };
            let subnet = format!("172.{}.{}.0/24", 20 + bridge, vlan);
            format!(
                "  - {{name: n{bridge}-{vlan}, kind: ovs, bridge: br{bridge},{tag} ipam: {{subnet: {subnet}}}}}\n"
            )
        };
        let names: Vec<String> = (0..bridges).map(bridge).collect();
        let networks = (0..bridges).flat_map(|it| (0..vlans).map(move |vlan| network(it, vlan)));
        let text = format!(
            "extends: default\novs: {{bridges: [{}]}}\nvm: {{enabled: false}}\nnetworks:\n{}",
            names.join(", "),
            networks.collect::<String>()
        );
        profile::load_text(&text, "t.yaml", &[]).unwrap().profile
    }

    #[test]
    fn the_number_of_checks_grows_with_the_networks() {
        for (bridges, vlans, most) in [(1, 5, 5 * 6), (5, 10, 50 * 6), (5, 100, 500 * 6), (10, 230, 2300 * 6)]
        {
            let scenario = Scenario::of(&profile(bridges, vlans));
            let checks = scenario.checks().len();
            assert_eq!(scenario.reach.len(), bridges * vlans);
            assert!(checks <= most, "{bridges} x {vlans}: {checks} checks");
        }
        assert_eq!(Scenario::of(&profile(5, 100)).checks().len(), 500 * 3 + 985 + 500);
    }

    #[test]
    fn each_network_is_tried_against_the_untagged_ports_another_vlan_and_another_bridge() {
        let scenario = Scenario::of(&profile(3, 7));
        let segments: BTreeMap<&str, Segment<'_>> =
            scenario.pods.iter().filter_map(|probe| Some((probe.name.as_str(), segment(probe)?))).collect();
        for (name, (bridge, vlan)) in segments.iter().filter(|(name, _)| name.ends_with("-1")) {
            let others = scenario.isolated.iter().filter_map(|(one, other)| match () {
                () if one == name => Some(segments[other.as_str()]),
                () if other == name => Some(segments[one.as_str()]),
                () => None,
            });
            let others: Vec<Segment<'_>> = others.collect();
            let on_bridge = |it: &&Segment<'_>| it.0 == *bridge;
            assert!(vlan.is_none() || others.contains(&(*bridge, None)), "{name}: {others:?}");
            assert!(
                others.iter().filter(on_bridge).any(|it| it.1.is_some() && it.1 != *vlan),
                "{name}: {others:?}"
            );
            assert!(others.iter().any(|it| it.0 != *bridge && it.1 == *vlan), "{name}: {others:?}");
        }
    }

    #[test]
    fn a_network_without_addresses_asks_and_is_not_asked() {
        let mut profile = profile(1, 3);
        if let profile::NetworkKind::Ovs { ipam, .. } = &mut profile.networks[1].kind {
            *ipam = None;
        }
        let isolated = Scenario::of(&profile).isolated;
        assert!(isolated.contains(&("n0-1-1".into(), "n0-0-1".into())), "{isolated:?}");
        assert!(isolated.iter().all(|(_, asked)| asked != "n0-1-1"), "{isolated:?}");
    }
}
