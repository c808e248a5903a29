//! Plugins that build on a link of the node: one that exists and that nothing else uses.

use super::{Found, Placed, Raw};
use crate::profile::validate::format;
use crate::profile::validate::reserved::is_taken;

/// Checks `macvlan`, `ipvlan`, `vlan` and `host-device`.
pub(super) fn check(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    if placed.kind() == "host-device" {
        return device(raw, placed, found);
    }
    let is_vlan = placed.kind() == "vlan";
    if is_vlan && placed.get("vlanId").is_none() {
        found.add(placed.at("vlanId"), "is missing, but `vlan` needs it", "write the VLAN: 1 to 4094");
    }
    match placed.get("master") {
        Some(master) if master.as_str() == Some("") => {
            let or = if is_vlan { "" } else { ", or leave the field out" };
            found.add(placed.at("master"), "does not name a NIC", format!("give one of the node's NICs{or}"));
        }
        Some(_) => link(raw, placed, "master", found),
        None if is_vlan => {
            let message = "is missing, but `vlan` needs one";
            found.add(placed.at("master"), message, "give one of the node's NICs");
        }
        None => {}
    }
}

/// The NIC that is moved into the pod.
fn device(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    let named = ["device", "hwaddr", "kernelpath", "pciBusID"];
    if named.iter().all(|field| placed.text(field).is_empty()) && !raw.has_device() {
        let message = "names no NIC: `host-device` needs `device`, `hwaddr`, `kernelpath` or `pciBusID`";
        let hint = "write one of them, or put the resource of a device plugin into the network's annotation \
                    `k8s.v1.cni.cncf.io/resourceName`";
        found.add(placed.itself(), message, hint);
    }
    let path = placed.text("kernelpath");
    let is_device = path.starts_with("/sys/devices/") && format::is_absolute(path);
    if !(path.is_empty() || is_device) {
        found.add(placed.at("kernelpath"), "is not a kernel device", "begin it with `/sys/devices/`");
    }
    if !placed.text("device").is_empty() {
        link(raw, placed, "device", found);
    }
}

/// A link of the node that a plugin names. A pod's own link has nothing to do with the node's.
fn link(raw: &Raw<'_>, placed: Placed<'_>, field: &str, found: &mut Found) {
    let name = placed.text(field);
    if name.is_empty() {
        return;
    }
    let path = placed.at(field);
    found.format(path.as_str(), name, &format::INTERFACE);
    if placed.is_on("linkInContainer") {
        return;
    }
    let bridges = &raw.profile.ovs.bridges;
    let uplink = bridges.iter().find(|bridge| bridge.uplink.as_deref() == Some(name));
    let is_bridge =
        bridges.iter().any(|bridge| bridge.name == name || bridge.vlans.iter().any(|vlan| vlan.name == name));
    let owner = match uplink {
        Some(bridge) => format!("is the uplink of bridge `{}`", bridge.name),
        None if is_bridge => "is an Open vSwitch bridge".into(),
        None if is_taken(name) => "is another component's interface".into(),
        None => return,
    };
    let hint = if uplink.is_some() || is_bridge {
        "use `kind: ovs`, or choose another NIC"
    } else {
        "give a NIC of the node"
    };
    found.add(path, format!("`{name}` {owner}"), hint);
}
