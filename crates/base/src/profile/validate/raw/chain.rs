//! Which plugins there are, and in which order: some create the NIC, others change the one of an earlier plugin.

use super::{Found, Placed, Raw};
use crate::formats::cni::{Plugin, is_address_plugin, misspelt};

/// Plugins that fail without the result of an earlier one.
const AFTER_OTHERS: &[&str] = &["bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf"];
/// The first CNI version that a plugin accepts, where that is not the very first.
const LEAST: &[(&str, [u32; 3])] = &[("bandwidth", [0, 3, 0]), ("firewall", [0, 4, 0]), ("vrf", [0, 3, 1])];
/// Plugins whose NIC has no other end on the node.
const NO_VETH: &[&str] = &["macvlan", "ipvlan", "vlan", "host-device", "tap", "dummy", "sriov"];

pub(super) fn check(raw: &Raw<'_>, found: &mut Found) {
    let mut maker: Option<&Plugin> = None;
    let mut is_told = false;
    for plugin in &raw.conf.plugins {
        let placed = Placed { plugin, path: raw.path };
        if !is_name(placed, found) {
            maker = maker.or(Some(plugin));
            continue;
        }
        if AFTER_OTHERS.contains(&placed.kind()) && maker.is_none() {
            if !is_told {
                before_its_nic(raw, placed, found);
            }
            is_told = true;
        }
        if let Some((kind, least)) = LEAST.iter().find(|(kind, _)| *kind == placed.kind()) {
            raw.needs_version(*least, &format!("`{kind}` needs"), found);
        }
        if let Some(earlier) = maker {
            behind(placed, earlier, found);
        }
        if !plugin.only_adjusts() && placed.kind() != "loopback" {
            maker = maker.or(Some(plugin));
        }
    }
    if raw.conf.plugins.iter().all(|plugin| plugin.kind == "loopback") {
        let message = "`loopback` sets `lo` up, which every pod has, and creates no NIC";
        found.add(format!("{}.{}", raw.path, first(raw)), message, "use the plugin that creates the NIC");
    }
    if raw.conf.gives_addresses() == Some(false) && maker.is_some() {
        raw.needs_version([0, 3, 0], "a NIC without an address needs", found);
    }
}

fn first(raw: &Raw<'_>) -> String {
    raw.conf.plugins.first().map_or_else(String::new, |plugin| plugin.at("type"))
}

/// The library looks for a file of that name, which must be a plugin of the right kind.
fn is_name(placed: Placed<'_>, found: &mut Found) -> bool {
    let (kind, at) = (placed.kind(), placed.at("type"));
    if kind.contains('/') {
        found.add(at, "is a path", "write only the plugin's name: the runtime knows the directory");
        return false;
    }
    if is_address_plugin(kind) {
        let message = format!("`{kind}` assigns addresses, and creates no NIC");
        found.add(at, message, format!("write it as `ipam: {{type: {kind}, …}}` of the plugin that does"));
        return false;
    }
    if let Some(right) = misspelt(kind) {
        found.add(at, format!("`{kind}` is not a plugin"), format!("write `{right}`"));
        return false;
    }
    true
}

fn before_its_nic(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    let kind = placed.kind();
    let makers = raw.conf.plugins.iter().find(|plugin| !plugin.only_adjusts());
    let hint = match makers {
        Some(maker) => format!("move it after `{}`", maker.kind),
        None => format!(
            "write `plugins:` with the plugin that creates the NIC, such as `bridge`, and `{kind}` after it"
        ),
    };
    let message = format!("`{kind}` changes the NIC of an earlier plugin, and there is none");
    found.add(placed.at("type"), message, hint);
}

/// What a plugin requires of the one that created the NIC.
fn behind(placed: Placed<'_>, maker: &Plugin, found: &mut Found) {
    let (kind, made_by) = (placed.kind(), maker.kind.as_str());
    // ipvlan can build on the NIC of an earlier plugin.
    let makes_another =
        placed.plugin.is_known() && maker.is_known() && !["ipvlan", "loopback"].contains(&kind);
    if makes_another {
        let message = format!("`{kind}` creates the NIC, but `{made_by}` already did");
        found.add(placed.at("type"), message, "leave one of the two out, or make them two networks");
    }
    let has_limits = ["ingressRate", "egressRate"].iter().any(|field| placed.number(field) > 0);
    if kind == "bandwidth" && has_limits && NO_VETH.contains(&made_by) {
        let message = format!("`bandwidth` limits a veth pair, but `{made_by}` creates none");
        found.add(placed.at("type"), message, "leave it out");
    }
    if kind == "sbr" && maker.is_known() && maker.ipam.is_none() && made_by != "flannel" {
        let message = format!("`sbr` routes by the NIC's addresses, but `{made_by}` assigns none");
        found.add(placed.at("type"), message, format!("add `ipam` to `{made_by}`, or leave `sbr` out"));
    }
}
