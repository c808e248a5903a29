//! The IPAM plugin: that there is one where the NIC's plugin needs it, and that it is one. Its ranges are checked with
//! all other subnets.

use serde_json::Value;

use super::{Found, Placed, Raw};
use crate::formats::cni::{RELEASED_PLUGINS, is_address_plugin, misspelt, named};

/// Plugins that fail without an address.
const NEED_ONE: &[&str] = &["dummy", "ipvlan", "ptp", "vlan"];

pub(super) fn check(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    let kind = placed.kind();
    let ipam = placed.get("ipam").and_then(Value::as_object);
    let by = ipam.and_then(|ipam| named(ipam, "type"));
    match (ipam, by.map(|by| by.as_str())) {
        (Some(ipam), None | Some(Some(""))) if !ipam.is_empty() => {
            let hint = "add `type: host-local`, or the plugin that is meant";
            found.add(placed.at("ipam"), "has no `type`: no plugin would assign addresses", hint);
        }
        (Some(_), Some(Some(by))) if !by.is_empty() => plugin(by, &placed.at("ipam.type"), found),
        // What is not a string is reported with the types of all fields.
        (Some(_), Some(None)) => {}
        _ if NEED_ONE.contains(&kind) && !is_chained(raw, placed) => {
            let message = format!("is missing, but `{kind}` creates no NIC without an address");
            found.add(
                placed.at("ipam"),
                message,
                "add it, as in `ipam: {type: host-local, subnet: 10.20.0.0/24}`",
            );
        }
        _ => {}
    }
    let sets = placed.plugin.ipam.as_ref().map_or(0, |ipam| ipam.sets.len().max(ipam.fixed.len()));
    if sets > 1 {
        raw.needs_version([0, 3, 0], "a NIC with several addresses needs", found);
    }
}

/// Only ipvlan takes the address of an earlier plugin.
fn is_chained(raw: &Raw<'_>, placed: Placed<'_>) -> bool {
    let first = raw.conf.plugins.first().map(|plugin| plugin.path.as_str());
    placed.kind() == "ipvlan" && first != Some(placed.plugin.path.as_str())
}

fn plugin(by: &str, at: &str, found: &mut Found) {
    let hint = "write `host-local`, `static`, `dhcp`, or another IPAM plugin";
    if by.contains('/') {
        found.add(at, "is a path", "write only the plugin's name: the runtime knows the directory");
    } else if !is_address_plugin(by)
        && (RELEASED_PLUGINS.contains(&by) || ["ovs", "flannel", "sriov"].contains(&by))
    {
        found.add(at, format!("`{by}` assigns no addresses"), hint);
    } else if let Some(right) = misspelt(by) {
        found.add(at, format!("`{by}` is not a plugin"), format!("write `{right}`"));
    }
}
