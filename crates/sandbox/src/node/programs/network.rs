//! `ip`: links, addresses and routes.

use serde_json::{Value, json};

use super::{Invocation, fails, prints};
use crate::host::Output;
use crate::node::{NetworkLink, links};

/// `ip -j addr`, also with `-d`, `ip -j route`, `ip link delete NAME`, `ip link set NAME up|down`.
pub(super) fn ip(call: &mut Invocation<'_, '_>) -> Option<Output> {
    match call.words[..] {
        ["-j", "addr"] => prints(addresses(&links::all(call.transaction), false) + "\n"),
        ["-j", "-d", "addr"] => prints(addresses(&links::all(call.transaction), true) + "\n"),
        ["-j", "route"] => prints(routes(&links::all(call.transaction)) + "\n"),
        ["link", "delete", name] => delete(call, name),
        ["link", "set", name, state @ ("up" | "down")] => set(call, name, state == "up"),
        _ => None,
    }
}

fn delete(call: &mut Invocation<'_, '_>, name: &str) -> Option<Output> {
    let Some(link) = links::find(call.transaction, name) else {
        return fails(1, format!("Cannot find device \"{name}\""));
    };
    if call.user != 0 {
        return fails(2, "RTNETLINK answers: Operation not permitted");
    }
    // Physical NICs cannot be deleted, and a switch's own links belong to the switch.
    if matches!(link.kind.as_str(), "loopback" | "ether" | "openvswitch") {
        return fails(2, "RTNETLINK answers: Operation not supported");
    }
    links::remove(call.transaction, name);
    prints("")
}

fn set(call: &mut Invocation<'_, '_>, name: &str, up: bool) -> Option<Output> {
    let Some(link) = links::find(call.transaction, name) else {
        return fails(1, format!("Cannot find device \"{name}\""));
    };
    if call.user != 0 {
        return fails(2, "RTNETLINK answers: Operation not permitted");
    }
    links::put(call.transaction, &NetworkLink { up, ..link });
    prints("")
}

fn addresses(links: &[NetworkLink], in_detail: bool) -> String {
    let link = |(place, link): (usize, &NetworkLink)| -> Value {
        let loopback = link.kind == "loopback";
        let mut flags = if loopback { vec!["LOOPBACK"] } else { vec!["BROADCAST", "MULTICAST"] };
        if link.up {
            flags.extend(["UP", "LOWER_UP"]);
        }
        let mut value = json!({
            "ifindex": place + 1,
            "ifname": link.name,
            "flags": flags,
            "mtu": link.mtu,
            "operstate": match (loopback, link.up) { (true, _) => "UNKNOWN", (_, true) => "UP", _ => "DOWN" },
            "link_type": if loopback { "loopback" } else { "ether" },
            "address": link.mac,
            "addr_info": link.addresses.iter().map(|address| info(address, loopback)).collect::<Vec<_>>(),
        });
        if let Some(master) = &link.master {
            value["master"] = json!(master);
        }
        if in_detail && !["loopback", "ether"].contains(&link.kind.as_str()) {
            value["linkinfo"] = json!({"info_kind": link.kind});
        }
        value
    };
    let all: Vec<Value> = sorted(links).into_iter().enumerate().map(link).collect();
    Value::from(all).to_string()
}

fn info(address: &str, loopback: bool) -> Value {
    let (local, length) = address.split_once('/').unwrap_or((address, "32"));
    let scope = match (loopback, local.starts_with("fe80:")) {
        (true, _) => "host",
        (_, true) => "link",
        _ => "global",
    };
    json!({
        "family": if local.contains(':') { "inet6" } else { "inet" },
        "local": local,
        "prefixlen": length.parse::<u8>().unwrap_or(32),
        "scope": scope,
    })
}

fn routes(links: &[NetworkLink]) -> String {
    let defaults = links.iter().filter_map(|link| {
        let gateway = link.gateway.as_ref()?;
        Some(json!({"dst": "default", "gateway": gateway, "dev": link.name, "protocol": "static", "flags": []}))
    });
    let networks = links.iter().filter(|link| link.up && link.kind != "loopback").flat_map(|link| {
        link.addresses.iter().filter(|address| !address.contains(':')).filter_map(|address| {
            let network = address.parse::<ipnet::IpNet>().ok()?.trunc();
            let source = address.split('/').next()?;
            Some(json!({"dst": network.to_string(), "dev": link.name, "protocol": "kernel", "scope": "link",
                "prefsrc": source, "flags": []}))
        })
    });
    Value::from(defaults.chain(networks).collect::<Vec<_>>()).to_string()
}

/// The loopback first, as a kernel numbers them.
fn sorted(links: &[NetworkLink]) -> Vec<&NetworkLink> {
    let mut links: Vec<&NetworkLink> = links.iter().collect();
    links.sort_by_key(|link| link.kind != "loopback");
    links
}
