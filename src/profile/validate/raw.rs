//! What the plugins of a raw network would refuse, and what they would take from another step.

use serde_json::{Map, Value};

use super::Found;
use super::format;
use super::networks::{LEAST_MTU, linux_bridge, ovs_bridge};
use super::reserved::is_taken;
use crate::facts::cni::{LAST_VLAN, NetConf, Plugin};
use crate::profile::{FLANNEL_DATA, Network, Profile};

/// Where flannel keeps its notes when nobody says otherwise: for a pod's first NIC.
const FLANNEL_OWN: &str = "/var/lib/cni/flannel";
/// Nothing of a pod leaves the node through these.
const MODES: &[&str] = &["bridge", "private", "vepa", "passthru"];

/// Checks a raw configuration; `path` is its place in the profile.
pub(super) fn check(
    profile: &Profile,
    network: &Network,
    config: &Map<String, Value>,
    path: &str,
    found: &mut Found,
) {
    if !is_configuration(config, path, found) {
        return;
    }
    if let Some(version) = config.get("cniVersion") {
        let text = version.as_str().unwrap_or_default();
        found.format(format!("{path}.cniVersion"), text, &format::CNI_VERSION);
    }
    let conf = network.netconf();
    for plugin in &conf.plugins {
        let at = |field: &str| format!("{path}.{}", plugin.at(field));
        mtu(plugin, &at, found);
        match plugin.kind.as_str() {
            "ovs" => ovs(profile, plugin, &at, found),
            "bridge" => bridge(profile, plugin, &at, found),
            "macvlan" | "ipvlan" | "vlan" | "host-device" => master(profile, plugin, &at, found),
            "sriov" => vlan(plugin, "vlan", &at, found),
            "flannel" => flannel(profile, &conf, plugin, path, found),
            _ => {}
        }
    }
}

fn is_configuration(config: &Map<String, Value>, path: &str, found: &mut Found) -> bool {
    let hint = "name the CNI plugin with `type`";
    let named = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|kind| !kind.is_empty());
    match config.get("plugins") {
        None if named(config.get("type")) => true,
        None => {
            found.add(path, "has neither `type` nor `plugins`", hint);
            false
        }
        Some(Value::Array(plugins)) if !plugins.is_empty() => {
            let bad: Vec<usize> = plugins
                .iter()
                .enumerate()
                .filter(|(_, it)| !named(it.get("type")))
                .map(|(at, _)| at)
                .collect();
            for index in &bad {
                found.add(format!("{path}.plugins[{index}]"), "has no `type`", hint);
            }
            bad.is_empty()
        }
        Some(_) => {
            found.add(format!("{path}.plugins"), "is no list of plugins", hint);
            false
        }
    }
}

fn mtu(plugin: &Plugin, at: &impl Fn(&str) -> String, found: &mut Found) {
    let Some(given) = plugin.settings.get("mtu") else { return };
    let fits = |mtu: u64| mtu == 0 || (u64::from(LEAST_MTU)..=65_535).contains(&mtu);
    if !given.as_u64().is_some_and(fits) {
        let hint = format!("write {LEAST_MTU} to 65535, or leave it out");
        found.add(at("mtu"), format!("cannot be {}", shown(given)), hint);
    }
}

fn vlan(plugin: &Plugin, field: &str, at: &impl Fn(&str) -> String, found: &mut Found) {
    let Some(given) = plugin.settings.get(field) else { return };
    if given.as_u64().is_none_or(|vlan| vlan > u64::from(LAST_VLAN)) {
        let hint = format!("write a number from 0 to {LAST_VLAN}");
        found.add(at(field), format!("cannot be {}", shown(given)), hint);
    }
}

/// A list of VLANs, as `trunk` of `ovs` and `vlanTrunk` of `bridge`.
fn trunk(plugin: &Plugin, field: &str, at: &impl Fn(&str) -> String, found: &mut Found) {
    let Some(given) = plugin.settings.get(field) else { return };
    let hint = "write `[{id: 200}, {minID: 100, maxID: 104}]`, with VLANs from 0 to 4094";
    let Some(items) = given.as_array().filter(|items| !items.is_empty()) else {
        return found.add(at(field), "is no list of VLANs", hint);
    };
    for (index, item) in items.iter().enumerate() {
        let number = |key: &str| item.get(key).map(|it| it.as_u64().filter(|it| *it <= u64::from(LAST_VLAN)));
        let right = match (number("id"), number("minID"), number("maxID")) {
            (Some(id), None, None) => id.is_some(),
            (None, Some(Some(first)), Some(Some(last))) => first <= last,
            _ => false,
        };
        if !right {
            found.add(format!("{}[{index}]", at(field)), "is neither one VLAN nor a range of them", hint);
        }
    }
}

fn ovs(profile: &Profile, plugin: &Plugin, at: &impl Fn(&str) -> String, found: &mut Found) {
    vlan(plugin, "vlan", at, found);
    trunk(plugin, "trunk", at, found);
    if plugin.settings.contains_key("vlan") && !plugin.trunks.is_empty() {
        found.add(at("vlan"), "has no effect beside `trunk`", "leave one of the two out");
    }
    match plugin.bridge.as_deref().filter(|name| !name.is_empty()) {
        None => found.add(at("bridge"), "is missing, and `ovs` needs one", "name a bridge of `ovs.bridges`"),
        // Without a say in Open vSwitch the profile does not know its bridges.
        Some(name) if !profile.ovs.enabled => found.format(at("bridge"), name, &format::INTERFACE),
        Some(name) => ovs_bridge(profile, name, plugin.vlan, &at("bridge"), found),
    }
}

fn bridge(profile: &Profile, plugin: &Plugin, at: &impl Fn(&str) -> String, found: &mut Found) {
    vlan(plugin, "vlan", at, found);
    trunk(plugin, "vlanTrunk", at, found);
    linux_bridge(profile, plugin.bridge.as_deref().unwrap_or_default(), &at("bridge"), found);
    let is_gateway = ["isGateway", "isDefaultGateway"]
        .into_iter()
        .find(|it| plugin.settings.get(*it) == Some(&true.into()));
    if let Some(field) = is_gateway.filter(|_| plugin.ipam.is_none()) {
        let message = "needs `ipam`: the gateway's address is in its subnet";
        found.add(at(field), message, "add `ipam`, or leave it out");
    }
}

/// The link of the node below a NIC: one that is there, and that nothing else has taken.
fn master(profile: &Profile, plugin: &Plugin, at: &impl Fn(&str) -> String, found: &mut Found) {
    let field = if plugin.kind == "host-device" { "device" } else { "master" };
    if plugin.kind == "vlan" {
        vlan(plugin, "vlanId", at, found);
        if plugin.settings.get("vlanId").is_none() {
            found.add(at("vlanId"), "is missing, and `vlan` needs it", "write the VLAN: 1 to 4094");
        }
    }
    if let Some(mode) = plugin.settings.get("mode").filter(|_| plugin.kind == "macvlan")
        && !mode.as_str().is_some_and(|mode| MODES.contains(&mode))
    {
        found.add(
            at("mode"),
            format!("cannot be {}", shown(mode)),
            format!("write one of {}", MODES.join(", ")),
        );
    }
    match (&plugin.master, plugin.settings.get(field)) {
        (Some((_, name)), _) if name.is_empty() => {
            let or = if plugin.kind == "vlan" { "" } else { ", or leave the field out" };
            found.add(at(field), "names no card", format!("name one of the node's cards{or}"));
        }
        (Some((_, name)), _) => owned(profile, name, &at(field), found),
        (None, Some(_)) => found.add(at(field), "is not a name", "name one of the node's cards"),
        (None, None) if plugin.kind == "vlan" => {
            found.add(at(field), "is missing, and `vlan` needs one", "name one of the node's cards");
        }
        (None, None) => {}
    }
}

fn owned(profile: &Profile, name: &str, path: &str, found: &mut Found) {
    found.format(path, name, &format::INTERFACE);
    let bridges = &profile.ovs.bridges;
    let uplink = bridges.iter().find(|bridge| bridge.uplink.as_deref() == Some(name));
    let is_bridge =
        bridges.iter().any(|bridge| bridge.name == name || bridge.vlans.iter().any(|vlan| vlan.name == name));
    let owner = match uplink {
        Some(bridge) => format!("is the uplink of bridge `{}`", bridge.name),
        None if is_bridge => "is a bridge of Open vSwitch".into(),
        None if is_taken(name) => "is an interface of somebody else".into(),
        None => return,
    };
    let hint = if uplink.is_some() || is_bridge {
        "use `kind: ovs`, or name another card"
    } else {
        "name a card of the node"
    };
    found.add(path, format!("`{name}` {owner}"), hint);
}

/// A second NIC on the pod network: its lease must be where all pods have theirs, and its notes where no pod has any.
fn flannel(profile: &Profile, conf: &NetConf, plugin: &Plugin, path: &str, found: &mut Found) {
    for field in ["name", "ipam"] {
        if plugin.settings.get("delegate").is_some_and(|delegate| delegate.get(field).is_some()) {
            let at = format!("{path}.{}.{field}", plugin.at("delegate"));
            found.add(at, "is what flannel sets", "leave it out");
        }
    }
    if !profile.flannel.enabled {
        return;
    }
    let own = conf.name.as_deref().unwrap_or_default();
    if let Some(name) = profile.pod_network_name().filter(|name| *name != own) {
        let message =
            "must be the pod network's: under another name addresses are given out that other pods have";
        let hint = format!("write `name: {name}`, or use `kind: flannel`, which knows it");
        found.add(format!("{path}.name"), message, hint);
    }
    let notes = plugin.settings.get("dataDir").and_then(Value::as_str).unwrap_or(FLANNEL_OWN);
    if notes.trim_end_matches('/') == FLANNEL_OWN {
        let message =
            "must be a directory of its own: else the lease of a pod's first NIC is never given back";
        let hint = format!("write `dataDir: {FLANNEL_DATA}`, or use `kind: flannel`");
        found.add(format!("{path}.{}", plugin.at("dataDir")), message, hint);
    }
}

/// A value as it was written, short.
fn shown(value: &Value) -> String {
    crate::profile::check::shortened(&value.to_string())
}
