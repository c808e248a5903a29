//! Bridges and network attachments.

use std::collections::{BTreeMap, BTreeSet};

use super::Found;
use super::format;
use super::raw;
use super::reserved::is_taken;
use crate::profile::{Bridge, Ipam, Network, NetworkKind, Profile, Trunk, path};

/// IPv4 does not work with less.
pub(super) const LEAST_MTU: u16 = 68;

pub(super) fn check(profile: &Profile, found: &mut Found) {
    bridges(profile, found);
    let mut names = BTreeMap::new();
    for (index, network) in profile.networks.iter().enumerate() {
        let path = format!("networks[{index}]");
        found.format(format!("{path}.name"), &network.name, &format::SUBDOMAIN);
        found.format(format!("{path}.namespace"), &network.namespace, &format::LABEL);
        if let Some(earlier) = names.insert((&network.namespace, &network.name), index) {
            let message =
                format!("`{}` is also the name of networks[{earlier}] in that namespace", network.name);
            found.add(format!("{path}.name"), message, "give it another name or namespace");
        }
        annotations(network, &path, found);
        needs(profile, network, &path, found);
        kind(profile, network, &path, found);
    }
}

fn bridges(profile: &Profile, found: &mut Found) {
    let mut names = BTreeSet::new();
    let mut uplinks = BTreeSet::new();
    for (index, bridge) in profile.ovs.bridges.iter().enumerate() {
        let path = format!("ovs.bridges[{index}]");
        bridge_name(&path, &bridge.name, &mut names, found);
        if let Some(uplink) = &bridge.uplink {
            found.format(format!("{path}.uplink"), uplink, &format::INTERFACE);
            if is_taken(uplink) || ovs_names(profile).any(|name| name == uplink) {
                let message = format!("`{uplink}` is not a NIC");
                found.add(format!("{path}.uplink"), message, "give a NIC of the node, or a bond of NICs");
            }
            if !uplinks.insert(uplink) {
                found.add(
                    format!("{path}.uplink"),
                    "is already the uplink of another bridge",
                    "a NIC belongs to one bridge",
                );
            }
        }
        vlan_bridges(bridge, &path, &mut names, found);
    }
}

fn vlan_bridges<'a>(bridge: &'a Bridge, path: &str, names: &mut BTreeSet<&'a str>, found: &mut Found) {
    let mut vlans: BTreeMap<u16, &str> = BTreeMap::new();
    for (index, vlan) in bridge.vlans.iter().enumerate() {
        let path = format!("{path}.vlans[{index}]");
        bridge_name(&path, &vlan.name, names, found);
        vlan_number(&path, vlan.vlan, found);
        if let Some(earlier) = vlans.insert(vlan.vlan, &vlan.name) {
            let message = format!(
                "{} already belongs to `{earlier}`, and a VLAN can have only one bridge on `{}`",
                vlan.vlan, bridge.name
            );
            found.add(format!("{path}.vlan"), message, "remove one of the two");
        }
    }
}

fn bridge_name<'a>(path: &str, name: &'a str, names: &mut BTreeSet<&'a str>, found: &mut Found) {
    let path = format!("{path}.name");
    if is_taken(name) {
        found.add(&path, format!("`{name}` is another component's interface"), "choose another name");
    }
    if !names.insert(name) {
        found.add(
            &path,
            format!("`{name}` is already the name of another bridge"),
            "give each bridge its own name",
        );
    }
    found.format(path, name, &format::INTERFACE);
}

fn vlan_number(path: &str, vlan: u16, found: &mut Found) {
    if !(1..=4094).contains(&vlan) {
        found.add(format!("{path}.vlan"), format!("cannot be {vlan}"), "write 1 to 4094");
    }
}

/// What a network needs to work.
fn needs(profile: &Profile, network: &Network, path: &str, found: &mut Found) {
    let is_ovs = matches!(network.kind, NetworkKind::Ovs { .. });
    let is_flannel = matches!(network.kind, NetworkKind::Flannel { .. });
    let needed = [
        ("multus.enabled", true, profile.multus.enabled),
        ("ovs.enabled", is_ovs, profile.ovs.enabled),
        ("ovsCni.enabled", is_ovs, profile.ovs_cni.enabled),
        ("flannel.enabled", is_flannel, profile.flannel.enabled),
        ("whereabouts.enabled", network.is_of_whereabouts(), profile.whereabouts.enabled),
    ];
    for (field, is_needed, is_on) in needed {
        if is_needed && !is_on {
            let message = format!("needs `{field}`, which is off");
            found.add(path, message, format!("set `{field}` to true, or remove the network"));
        }
    }
}

fn kind(profile: &Profile, network: &Network, path: &str, found: &mut Found) {
    match &network.kind {
        NetworkKind::Ovs { bridge, vlan, trunk, mtu, ipam, cni_version } => {
            cni(cni_version, ipam.as_ref(), path, found);
            if let Some(vlan) = vlan {
                vlan_number(path, *vlan, found);
            }
            if mtu.is_some_and(|mtu| mtu < LEAST_MTU) {
                found.add(
                    format!("{path}.mtu"),
                    "is too small",
                    format!("write {LEAST_MTU} or more, or leave it out"),
                );
            }
            trunks(*vlan, trunk, path, found);
            ovs_bridge(profile, bridge, *vlan, &format!("{path}.bridge"), found);
        }
        NetworkKind::Bridge { bridge, is_gateway, ipam, cni_version } => {
            cni(cni_version, ipam.as_ref(), path, found);
            linux_bridge(profile, bridge, &format!("{path}.bridge"), found);
            if *is_gateway && ipam.is_none() {
                found.add(
                    format!("{path}.isGateway"),
                    "needs `ipam`: the gateway's address is in its subnet",
                    "add `ipam`, or leave `isGateway` out",
                );
            }
        }
        NetworkKind::Flannel { cni_version, delegate } => {
            found.format(format!("{path}.cniVersion"), cni_version, &format::CNI_VERSION);
            for field in ["name", "ipam"].into_iter().filter(|field| delegate.contains_key(*field)) {
                found.add(format!("{path}.delegate.{field}"), "is set by flannel", "leave it out");
            }
            raw::delegate(delegate, &format!("{path}.delegate"), found);
        }
        NetworkKind::Raw { config } => {
            raw::check(profile, network, config, &format!("{path}.config"), found);
        }
    }
}

/// The first CNI versions return exactly one address, neither none nor two.
fn cni(version: &str, ipam: Option<&Ipam>, path: &str, found: &mut Found) {
    let path = format!("{path}.cniVersion");
    let sets = ipam.map_or(0, |ipam| {
        ipam.ranges.len() + usize::from(!ipam.subnet.is_empty()) + usize::from(!ipam.range.is_empty())
    });
    if matches!(version, "0.1.0" | "0.2.0") && sets != 1 {
        let message = "is too old: a NIC without an address, or with several, needs 0.3.0 or later";
        found.add(path.as_str(), message, "write `cniVersion: 0.3.1`, or leave it out");
    }
    found.format(path, version, &format::CNI_VERSION);
}

fn trunks(vlan: Option<u16>, trunk: &[Trunk], path: &str, found: &mut Found) {
    if vlan.is_some() && !trunk.is_empty() {
        // ovs-cni makes it a trunk port and drops the tag.
        found.add(format!("{path}.vlan"), "has no effect next to `trunk`", "leave one of the two out");
    }
    for (index, item) in trunk.iter().enumerate() {
        let fits = |vlan: u16| vlan <= 4094;
        let right = match (item.id, item.min_id, item.max_id) {
            (Some(id), None, None) => fits(id),
            (None, Some(first), Some(last)) => first <= last && fits(last),
            _ => false,
        };
        if !right {
            let hint = "write `{id: 200}` or `{minID: 100, maxID: 104}`, with VLANs from 0 to 4094";
            found.add(format!("{path}.trunk[{index}]"), "is neither a VLAN nor a range of VLANs", hint);
        }
    }
}

/// What the API server accepts: anything else would stop `up` halfway.
fn annotations(network: &Network, path: &str, found: &mut Found) {
    for key in network.annotations.keys() {
        let at = path::join(&format!("{path}.annotations"), key);
        found.format(at, key, &format::ANNOTATION);
    }
}

pub(super) fn linux_bridge(profile: &Profile, bridge: &str, path: &str, found: &mut Found) {
    found.format(path, bridge, &format::INTERFACE);
    if ovs_names(profile).any(|name| name == bridge) {
        let message = format!("`{bridge}` is an Open vSwitch bridge");
        found.add(path, message, "use `kind: ovs`, or another name");
    } else if is_taken(bridge) {
        found.add(path, format!("`{bridge}` is another component's interface"), "choose another name");
    } else if let Some(other) = profile.ovs.bridges.iter().find(|it| it.uplink.as_deref() == Some(bridge)) {
        let message = format!("`{bridge}` is the uplink of bridge `{}`", other.name);
        found.add(path, message, "use `kind: ovs`, or another name");
    }
}

pub(super) fn ovs_bridge(profile: &Profile, name: &str, vlan: Option<u16>, path: &str, found: &mut Found) {
    if profile.ovs.bridges.iter().any(|bridge| bridge.name == name) {
        return;
    }
    let vlan_bridge = profile.ovs.bridges.iter().find_map(|bridge| {
        bridge.vlans.iter().find(|vlan| vlan.name == name).map(|vlan| (bridge, vlan.vlan))
    });
    match vlan_bridge {
        None => {
            let names: Vec<&str> = ovs_names(profile).collect();
            let message = format!("`{name}` is a bridge that nothing creates");
            let bridges = if names.is_empty() { "none".into() } else { names.join(", ") };
            found.add(path, message, format!("add it to `ovs.bridges`; defined: {bridges}"));
        }
        Some((parent, number)) if !profile.ovs_cni.finds_vlan_bridges() => {
            let message = format!("`{name}` is a VLAN bridge, which ovs-cni does not support since v0.7.0");
            found.add(path, message, format!("write `bridge: {}` and `vlan: {number}`", parent.name));
        }
        Some((_, number)) if vlan.is_some_and(|vlan| vlan != number) => {
            let message = format!("`{name}` is for VLAN {number}, but `vlan` says otherwise");
            found.add(path, message, format!("write `vlan: {number}`, or leave `vlan` out"));
        }
        Some(_) => {}
    }
}

fn ovs_names(profile: &Profile) -> impl Iterator<Item = &str> {
    profile.ovs.bridges.iter().flat_map(|bridge| {
        std::iter::once(bridge.name.as_str()).chain(bridge.vlans.iter().map(|vlan| vlan.name.as_str()))
    })
}
