//! Address ranges that are free, as far as is known.

use ipnet::IpNet;

use super::id::Segment;
use crate::profile::{NetworkKind, Profile};
use crate::wizard::View;

/// kubeadm's default for services.
const SERVICES: &str = "10.96.0.0/12";
/// The default ranges for networks: 10.20.0.0/24 to 10.90.255.0/24.
const SECOND_OCTETS: std::ops::RangeInclusive<u8> = 20..=90;

/// A range for pods: the base's, or one that does not overlap the node's own networks.
pub fn pods(view: &View<'_>) -> String {
    let base = view.base.cluster.pod_subnet.clone();
    let others = (200..=254).map(|octet| format!("10.{octet}.0.0/16"));
    let is_free =
        |range: &String| range.parse().is_ok_and(|range: IpNet| !overlaps_any(&range, &view.survey.subnets));
    std::iter::once(base.clone()).chain(others).find(is_free).unwrap_or(base)
}

/// A range for a network: for a VLAN preferably one with its number.
pub fn proposed(view: &View<'_>, segment: &Segment) -> String {
    let mut taken: Vec<IpNet> = view.survey.subnets.clone();
    taken.extend(view.pod_subnet().parse::<IpNet>());
    taken.extend(SERVICES.parse::<IpNet>());
    taken.extend(view.answers.segments().iter().filter_map(|other| view.answers.range(other)));
    let first = segment.vlan.and_then(|vlan| u8::try_from(vlan).ok()).unwrap_or(0);
    let thirds = || std::iter::once(first).chain(0..=255);
    let all = SECOND_OCTETS.flat_map(|second| thirds().map(move |third| format!("10.{second}.{third}.0/24")));
    let is_free = |range: &String| range.parse().is_ok_and(|range: IpNet| !overlaps_any(&range, &taken));
    all.into_iter().find(is_free).unwrap_or_else(|| super::answers::LAYER_2.into())
}

/// Reads an answer as a range.
///
/// # Errors
/// How to write one.
pub fn accept(text: &str) -> Result<String, String> {
    let written = crate::terminal::cut(text, 40);
    let range: IpNet = text
        .parse()
        .map_err(|_| format!("`{written}` is not an address range: write one as in 10.20.0.0/24"))?;
    Ok(range.to_string())
}

/// The ranges of a profile's networks.
pub fn of(profile: &Profile) -> Vec<IpNet> {
    let own = profile.networks.iter().filter(|network| !matches!(network.kind, NetworkKind::Flannel { .. }));
    own.flat_map(|network| profile.subnets_of(network)).filter_map(|subnet| subnet.parse().ok()).collect()
}

pub fn overlaps_any(range: &IpNet, others: &[IpNet]) -> bool {
    others.iter().any(|other| other.contains(range) || range.contains(other))
}
