//! Whether the ranges of a network have an address for each of the profile's own NICs on it.

use super::Found;
use super::subnets::{ends_of, place};
use crate::profile::{Network, Profile};

pub(super) fn check(profile: &Profile, found: &mut Found) {
    for (index, network) in profile.networks.iter().enumerate() {
        let conf = network.netconf();
        let Some(ipam) = conf.ipam() else { continue };
        let of_network = place(network, index);
        let (pods, nics) = wanted(profile, network);
        if ipam.kind == "static" && ipam.fixed.is_empty() && pods > 0 {
            let message = "assigns no address by itself, and the verification's pods request none";
            let hint = "add `addresses`, or leave the network out of the verification with `verify: false`";
            found.add(format!("{of_network}.{}", ipam.path), message, hint);
        }
        let fits = |room: u128| usize::try_from(room).map_or(true, |room| room >= pods + nics);
        let Some(room) = ipam.room().filter(|room| !fits(*room)) else { continue };
        let range = ipam.ranges().next();
        let field = range.map_or_else(
            || ipam.path.clone(),
            |range| {
                let end = if range.last.is_some() { ends_of(network, range).1 } else { range.field };
                format!("{}.{end}", range.path)
            },
        );
        let message = format!(
            "leaves {} to give out, and the profile has {} on this network: {}",
            counted(usize::try_from(room).unwrap_or(usize::MAX), "address", "addresses"),
            counted(pods + nics, "NIC", "NICs"),
            owners(pods, nics)
        );
        let hint = "widen the range, or leave the network out of the verification with `verify: false`";
        found.add(format!("{of_network}.{field}"), message, hint);
    }
}

/// The verification pods that are on a network at once, and the NICs of the VM.
fn wanted(profile: &Profile, network: &Network) -> (usize, usize) {
    let pods = if profile.verification.enabled { profile.probes_on(network) } else { 0 };
    let has_vm = profile.vm.enabled && profile.kubevirt.enabled;
    let on_it = profile.vm.interfaces.iter().filter(|nic| profile.network_of(nic) == Some(network));
    (pods, if has_vm { on_it.count() } else { 0 })
}

fn owners(pods: usize, nics: usize) -> String {
    let pods = (pods > 0).then(|| counted(pods, "verification pod", "verification pods"));
    let nics = (nics > 0).then(|| counted(nics, "NIC of the VM", "NICs of the VM"));
    pods.into_iter().chain(nics).collect::<Vec<_>>().join(" and ")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
