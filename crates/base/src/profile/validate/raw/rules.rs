//! What else each plugin refuses: fields that need or exclude each other.

use serde_json::Value;

use super::{Found, Placed, Raw};
use crate::formats::cni::{LAST_VLAN, NetConf, named, written};
use crate::profile::validate::format;
use crate::profile::validate::networks::{linux_bridge, ovs_bridge};
use crate::profile::{FLANNEL_DATA, Profile};

/// Where flannel keeps its state by default: for a pod's first NIC.
const FLANNEL_OWN: &str = "/var/lib/cni/flannel";

pub(super) fn check(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    match placed.kind() {
        "ovs" => ovs(raw, placed, found),
        "bridge" => bridge(raw.profile, placed, found),
        "flannel" => flannel(raw.profile, raw.conf, placed, found),
        "sriov" => sriov(raw, placed, found),
        "tap" if !placed.text("bridge").is_empty() => {
            found.format(placed.at("bridge"), placed.text("bridge"), &format::INTERFACE);
        }
        "bandwidth" => bandwidth(placed, found),
        "portmap" => portmap(placed, found),
        "tuning" => tuning(placed, found),
        "vrf" => vrf(placed, found),
        _ => {}
    }
}

/// A list of VLANs, as `trunk` of `ovs` and `vlanTrunk` of `bridge`; `from` is the first that may be in it.
fn trunk(placed: Placed<'_>, field: &str, from: u64, found: &mut Found) {
    let Some(given) = placed.get(field) else { return };
    let hint = format!("write `[{{id: 200}}, {{minID: 100, maxID: 104}}]`, with VLANs from {from} to 4094");
    let Some(items) = given.as_array() else {
        return found.add(placed.at(field), "is not a list of VLANs", hint);
    };
    for (index, item) in items.iter().enumerate() {
        let fits = |vlan: &u64| (from..=u64::from(LAST_VLAN)).contains(vlan);
        let number = |key: &str| {
            let given = Some(written(item, key)).filter(|it| !it.is_null())?;
            Some(given.as_u64().filter(fits))
        };
        let right = match (number("id"), number("minID"), number("maxID")) {
            (Some(id), None, None) => id.is_some(),
            (None, Some(Some(first)), Some(Some(last))) => first <= last,
            _ => false,
        };
        if !right {
            let at = format!("{}[{index}]", placed.at(field));
            found.add(at, "is neither a VLAN nor a range of VLANs", hint.as_str());
        }
    }
}

fn ovs(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    trunk(placed, "trunk", 0, found);
    let plugin = placed.plugin;
    if placed.get("vlan").is_some() && !plugin.trunks.is_empty() {
        found.add(placed.at("vlan"), "has no effect next to `trunk`", "leave one of the two out");
    }
    match plugin.bridge.as_deref().filter(|name| !name.is_empty()) {
        // It finds the bridge by the device's NIC.
        None if raw.has_device() || !placed.text("deviceID").is_empty() => {}
        None => {
            let message = "is missing, but `ovs` needs one";
            found.add(placed.at("bridge"), message, "give a bridge of `ovs.bridges`");
        }
        // When kvnet does not manage Open vSwitch, the profile does not know its bridges.
        Some(name) if !raw.profile.ovs.enabled => {
            found.format(placed.at("bridge"), name, &format::INTERFACE);
        }
        Some(name) => ovs_bridge(raw.profile, name, plugin.vlan, &placed.at("bridge"), found),
    }
}

fn bridge(profile: &Profile, placed: Placed<'_>, found: &mut Found) {
    trunk(placed, "vlanTrunk", 1, found);
    let plugin = placed.plugin;
    linux_bridge(profile, plugin.bridge.as_deref().unwrap_or_default(), &placed.at("bridge"), found);
    let is_gateway = ["isGateway", "isDefaultGateway"].into_iter().find(|field| placed.is_on(field));
    if let Some(field) = is_gateway.filter(|_| plugin.ipam.is_none()) {
        let message = "needs `ipam`: the gateway's address is in its subnet";
        found.add(placed.at(field), message, "add `ipam`, or leave it out");
    }
    if plugin.vlan.is_some() && !plugin.trunks.is_empty() {
        let message = "is refused next to `vlanTrunk`: a port has one VLAN or a trunk";
        found.add(placed.at("vlan"), message, "leave one of the two out");
    }
    if placed.is_on("hairpinMode") && placed.is_on("promiscMode") {
        let message = "is refused next to `hairpinMode`: frames would be duplicated";
        found.add(placed.at("promiscMode"), message, "leave one of the two out");
    }
    if placed.is_on("disableContainerInterface") && plugin.ipam.is_some() {
        let message = "is refused next to `ipam`: a NIC that is down gets no address";
        found.add(placed.at("disableContainerInterface"), message, "leave one of the two out");
    }
}

/// A virtual function of a NIC, which the device plugin chooses.
fn sriov(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    if placed.text("deviceID").is_empty() && !raw.has_device() {
        let message = "has no device: Multus gives `sriov` one by the attachment's resource";
        let hint = "add `annotations: {k8s.v1.cni.cncf.io/resourceName: DOMAIN/NAME}` to the network, as the device \
                    plugin calls the resource";
        found.add(placed.itself(), message, hint);
    }
    let vlan = placed.number("vlan");
    let protocol = placed.text("vlanProto").to_lowercase();
    if !["", "802.1q", "802.1ad"].contains(&protocol.as_str()) {
        found.add(placed.at("vlanProto"), "is not a VLAN protocol", "write `802.1q` or `802.1ad`");
    }
    let needing = [("vlanQoS", placed.number("vlanQoS") > 0), ("vlanProto", protocol == "802.1ad")];
    for (field, _) in needing.into_iter().filter(|(_, is_used)| *is_used && vlan == 0) {
        found.add(placed.at(field), "needs a `vlan`", "add `vlan: 1` to 4094, or leave it out");
    }
}

fn bandwidth(placed: Placed<'_>, found: &mut Found) {
    /// The kernel counts a burst in 32 bits of bytes.
    const MOST: u64 = (u32::MAX as u64) * 8;
    for (rate, burst) in [("ingressRate", "ingressBurst"), ("egressRate", "egressBurst")] {
        for (field, other) in [(rate, burst), (burst, rate)] {
            if placed.number(field) > 0 && placed.number(other) == 0 && placed.get(field).is_some() {
                found.add(placed.at(field), format!("needs `{other}`"), format!("add `{other}`, in bits"));
            }
        }
        if placed.number(burst) >= MOST {
            found.add(placed.at(burst), "is 4 GB or more", "write fewer bits");
        }
    }
    let lists = ["shapedSubnets", "unshapedSubnets"];
    let of = |field: &str| placed.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if lists.iter().all(|field| !of(field).is_empty()) {
        let message = "is refused next to `shapedSubnets`";
        found.add(placed.at("unshapedSubnets"), message, "leave one of the two out");
    }
    for field in lists {
        for (index, text) in of(field).iter().enumerate().filter_map(|(at, it)| Some((at, it.as_str()?))) {
            if crate::formats::net::cidr(text).is_none() {
                let at = format!("{}[{index}]", placed.at(field));
                found.add(at, "is not a subnet", "write it in CIDR notation, as in 10.20.0.0/24");
            }
        }
    }
}

fn portmap(placed: Placed<'_>, found: &mut Found) {
    if placed.get("externalSetMarkChain").is_none() {
        return;
    }
    if placed.get("markMasqBit").is_some() {
        let message = "is refused next to `externalSetMarkChain`";
        found.add(placed.at("markMasqBit"), message, "leave one of the two out");
    }
    if placed.text("backend") == "nftables" {
        let message = "is for iptables, but `backend` is nftables";
        found.add(placed.at("externalSetMarkChain"), message, "leave one of the two out");
    }
}

/// It writes below /proc/sys/net alone.
fn tuning(placed: Placed<'_>, found: &mut Found) {
    let Some(settings) = placed.get("sysctl").and_then(Value::as_object) else { return };
    for key in settings.keys() {
        if !key.replace('.', "/").trim_start_matches('/').starts_with("net/") {
            let at = crate::profile::path::join(&placed.at("sysctl"), key);
            found.add(at, "is not a network sysctl", "`tuning` accepts those that begin with `net.`");
        }
    }
}

fn vrf(placed: Placed<'_>, found: &mut Found) {
    let name = placed.text("vrfname");
    if name.is_empty() {
        found.add(
            placed.at("vrfname"),
            "is missing, but `vrf` needs it",
            "give the VRF's name, as in `blue`",
        );
    } else {
        found.format(placed.at("vrfname"), name, &format::INTERFACE);
    }
}

/// A second NIC on the pod network: its lease must be in the pods' directory, and its state in one of its own.
fn flannel(profile: &Profile, conf: &NetConf, placed: Placed<'_>, found: &mut Found) {
    if let Some(delegate) = placed.get("delegate").and_then(Value::as_object) {
        let at = placed.at("delegate");
        for field in ["name", "ipam"].into_iter().filter(|field| named(delegate, field).is_some()) {
            found.add(format!("{at}.{field}"), "is set by flannel", "leave it out");
        }
        super::delegate(delegate, &at, found);
    }
    if !profile.flannel.enabled {
        return;
    }
    let own = conf.name.as_deref().unwrap_or_default();
    if let Some(name) = profile.pod_network_name().filter(|name| *name != own) {
        let message = "must be the pod network's: another name would give out addresses that other pods have";
        let hint = format!("write `name: {name}`, or use `kind: flannel`, which knows it");
        found.add(format!("{}.name", placed.path), message, hint);
    }
    let notes = placed.get("dataDir").and_then(Value::as_str).unwrap_or(FLANNEL_OWN);
    if notes.trim_end_matches('/') == FLANNEL_OWN {
        let message = "must be a directory of its own: else the lease of a pod's first NIC is never released";
        let hint = format!("write `dataDir: {FLANNEL_DATA}`, or use `kind: flannel`");
        found.add(placed.at("dataDir"), message, hint);
    }
}
