//! The fields of `ipam` that belong to one IPAM plugin alone, and what whereabouts does not check itself: it gives out what
//! its range has, also a gateway.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Found;
use crate::formats::cni::Range;
use crate::profile::{Ipam, IpamType, Network, NetworkKind, Profile};

pub(super) fn check(profile: &Profile, found: &mut Found) {
    for (index, network) in profile.networks.iter().enumerate() {
        let Some(ipam) = network.ipam() else { continue };
        let path = format!("networks[{index}].ipam");
        match ipam.kind {
            IpamType::HostLocal => host_local(ipam, &path, found),
            IpamType::Whereabouts => whereabouts(network, ipam, &path, found),
        }
    }
}

fn host_local(ipam: &Ipam, path: &str, found: &mut Found) {
    if !ipam.range.is_empty() {
        let hint = "write `subnet`, or add `type: whereabouts`";
        found.add(format!("{path}.range"), "is a field of whereabouts", hint);
    }
    if !ipam.exclude.is_empty() {
        let hint = "write the ranges around it as `ranges: [[{subnet: …, rangeEnd: …}, {subnet: …, rangeStart: …}]]`, or \
                    use `type: whereabouts`";
        found.add(format!("{path}.exclude"), "is a field of whereabouts: host-local has no exclusions", hint);
    }
}

fn whereabouts(network: &Network, ipam: &Ipam, path: &str, found: &mut Found) {
    let foreign = [
        ("subnet", !ipam.subnet.is_empty(), "write `range`"),
        ("ranges", !ipam.ranges.is_empty(), "write one `range`; `kind: raw` takes whereabouts' `ipRanges`"),
        ("dataDir", ipam.data_dir.is_some(), "leave it out: whereabouts keeps its addresses in the API"),
    ];
    for (field, _, hint) in foreign.into_iter().filter(|(_, is_written, _)| *is_written) {
        found.add(format!("{path}.{field}"), "is a field of host-local", hint);
    }
    if ipam.range.is_empty() {
        found.add(path, "has no `range`", "write `range: 10.20.0.0/24`");
    }
    if ipam.range.contains('-') && (ipam.range_start.is_some() || ipam.range_end.is_some()) {
        let hint = "leave `rangeStart` and `rangeEnd` out, or write the subnet alone";
        found.add(format!("{path}.range"), "has both ends already", hint);
    }
    let conf = network.netconf();
    let Some(range) = conf.ipam().and_then(|ipam| ipam.ranges().next()) else { return };
    // A range that is none is reported with all others.
    let Some(subnet) = range.network() else { return };
    let excluded = exclusions(ipam, subnet, path, found);
    gateway(network, range, &excluded, path, found);
}

/// The parts that are not given out, each within the subnet.
fn exclusions(ipam: &Ipam, subnet: IpNet, path: &str, found: &mut Found) -> Vec<IpNet> {
    let mut good = Vec::new();
    for (index, text) in ipam.exclude.iter().enumerate() {
        let path = format!("{path}.exclude[{index}]");
        let one = Range { exclude: vec![text.clone()], ..Range::default() };
        match one.excluded().unwrap_or_default().first() {
            None => found.add(
                path,
                "is neither a subnet nor an address",
                "write it as 10.20.0.0/28, or as 10.20.0.5",
            ),
            Some(net) if !subnet.contains(net) => {
                let message = format!("is outside of {subnet}");
                found.add(path, message, "write a part of the range, or leave it out");
            }
            Some(net) => good.push(*net),
        }
    }
    good
}

/// Refuses a gateway that a pod may get. On a bridge that is one, the plugin takes the first address when none is given.
fn gateway(network: &Network, range: &Range, excluded: &[IpNet], path: &str, found: &mut Found) {
    let is_gateway = matches!(network.kind, NetworkKind::Bridge { is_gateway: true, .. });
    let (field, gateway) = match (&range.gateway, is_gateway) {
        (Some(text), _) => ("gateway", text.parse::<IpAddr>().ok()),
        (None, true) => ("range", range.router()),
        (None, false) => return,
    };
    let Some((gateway, (first, last))) = gateway.zip(range.ends()) else { return };
    if !(first..=last).contains(&gateway) || excluded.iter().any(|net| net.contains(&gateway)) {
        return;
    }
    let message = format!("lets a pod have the gateway's address {gateway}: whereabouts does not spare it");
    let hint = format!("add `exclude: [{gateway}]`, or begin `rangeStart` after it");
    found.add(format!("{path}.{field}"), message, hint);
}
