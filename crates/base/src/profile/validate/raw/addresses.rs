//! The plugin of addresses: that there is one where the NIC's plugin cannot do without, and that it is one. What it gives out
//! is judged with all other subnets.

use serde_json::Value;

use super::{Found, Placed, Raw};
use crate::formats::cni::{RELEASED_PLUGINS, is_address_plugin, misspelt, named};

/// Plugins that end without an address.
const NEED_ONE: &[&str] = &["dummy", "ipvlan", "ptp", "vlan"];

pub(super) fn check(raw: &Raw<'_>, placed: Placed<'_>, found: &mut Found) {
    let kind = placed.kind();
    let ipam = placed.get("ipam").and_then(Value::as_object);
    let by = ipam.and_then(|ipam| named(ipam, "type"));
    match (ipam, by.map(|by| by.as_str())) {
        (Some(ipam), None | Some(Some(""))) if !ipam.is_empty() => {
            let hint = "add `type: host-local`, or the plugin that is meant";
            found.add(placed.at("ipam"), "has no `type`: no plugin would give addresses", hint);
        }
        (Some(_), Some(Some(by))) if !by.is_empty() => plugin(by, &placed.at("ipam.type"), found),
        // What is no text is told with the types of all fields.
        (Some(_), Some(None)) => {}
        _ if NEED_ONE.contains(&kind) && !is_chained(raw, placed) => {
            let message = format!("is missing, and `{kind}` makes no NIC without an address");
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

/// Only ipvlan takes the address that an earlier plugin has got.
fn is_chained(raw: &Raw<'_>, placed: Placed<'_>) -> bool {
    let first = raw.conf.plugins.first().map(|plugin| plugin.path.as_str());
    placed.kind() == "ipvlan" && first != Some(placed.plugin.path.as_str())
}

fn plugin(by: &str, at: &str, found: &mut Found) {
    let hint = "write `host-local`, `static`, `dhcp`, or another plugin of addresses";
    if by.contains('/') {
        found.add(at, "is a path", "write the name of the plugin alone: the runtime knows the directory");
    } else if !is_address_plugin(by)
        && (RELEASED_PLUGINS.contains(&by) || ["ovs", "flannel", "sriov"].contains(&by))
    {
        found.add(at, format!("`{by}` gives no addresses"), hint);
    } else if let Some(right) = misspelt(by) {
        found.add(at, format!("`{by}` is no plugin"), format!("write `{right}`"));
    }
}
