//! What a pod decides about its own packets: its routes, and its reverse path filters.

use std::collections::BTreeMap;

use serde_json::Value;

use super::datapath::{Datapath, Judged, Nic};
use crate::error::{Result, code};
use crate::facts::routes::{Route, Wire, routes, wires};
use crate::host::{Command, Host};

/// A pod's network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// The IPv4 routes of all tables; none when not readable.
    pub routes: Option<Vec<Route>>,
    /// Whether policy routing is in use: then the main table does not tell the path.
    pub by_rules: bool,
    /// The interfaces with a strict reverse path filter.
    pub strict: Vec<String>,
}

/// Reads the network namespace of a process.
pub async fn look(host: &dyn Host, process: u32) -> Result<(Option<Vec<Wire>>, Inside)> {
    let links = asked(host, process, &["-json", "-details", "address", "show"]).await;
    let mut seen = Inside::default();
    if let Some(text) = asked(host, process, &["-4", "-json", "route", "show", "table", "all"]).await
        && let Ok(Value::Array(all)) = serde_json::from_str::<Value>(&text)
    {
        seen.by_rules =
            all.iter().any(|route| !matches!(route["table"].as_str(), None | Some("local" | "main")));
        seen.routes = Some(routes(&text));
    }
    if let Some(text) = asked(host, process, &["-4", "-json", "netconf", "show"]).await {
        seen.strict = strict(&text);
    }
    Ok((links.map(|text| wires(&text)), seen))
}

async fn asked(host: &dyn Host, process: u32, words: &[&str]) -> Option<String> {
    let target = format!("--target={process}");
    let before = ["nsenter", &target, "--net", "ip"];
    let output = host.run(&Command::new(before.iter().chain(words).copied())).await.ok()?;
    output.success().then_some(output.stdout)
}

/// The interfaces whose filter is strict: the larger of the interface's value and that of `all` counts; loose is largest.
fn strict(text: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    let rank = |value: &Value| ["off", "strict", "loose"].iter().position(|word| value["rp_filter"] == *word);
    let of: BTreeMap<&str, usize> =
        all.iter().filter_map(|it| Some((it["interface"].as_str()?, rank(it)?))).collect();
    let common = of.get("all").copied().unwrap_or_default();
    let links =
        of.iter().filter(|(name, own)| !["all", "default"].contains(name) && (**own).max(common) == 1);
    links.map(|(name, _)| (*name).to_owned()).collect()
}

/// Pods on flannel's network without a default route.
pub fn default_routes(seen: &Datapath, judged: &mut Judged) {
    for nic in seen.nics.iter().filter(|nic| nic.network.is_none() && seen.flannel) {
        let Some(routes) = seen.decides.get(&nic.uid).and_then(|inside| inside.routes.as_ref()) else {
            continue;
        };
        // A VM's routes are in its guest; the launcher pod may have none.
        let is_machine =
            seen.inside.get(&nic.uid).is_some_and(|all| all.iter().any(|wire| wire.kind == "tun"));
        if is_machine || routes.iter().any(|route| route.to.is_none() && route.kind == "unicast") {
            continue;
        }
        let gateway = seen.own_range.and_then(|range| range.hosts().next());
        let gateway = gateway.map_or_else(|| "GATEWAY".into(), |ip| ip.to_string());
        judged.breaks(
            &code::FORWARDING,
            format!("{} has no default route: it only reaches its own networks", nic.pod),
            format!("in the pod: `ip route add default via {gateway} dev {}`, or recreate the pod", nic.name),
        );
    }
}

/// Packets that a strict filter drops because the answer would leave by another interface.
pub fn reverse_paths(seen: &Datapath, judged: &mut Judged) {
    for nic in &seen.nics {
        let Some(inside) = seen.decides.get(&nic.uid).filter(|inside| !inside.by_rules) else { continue };
        if !inside.strict.contains(&nic.name) {
            continue;
        }
        if let Some(other) = inside.routes.as_deref().and_then(|routes| shadow(routes, nic)) {
            let (name, by) = (&nic.name, other.by.as_deref().unwrap_or(&other.kind));
            let to = other.to.map(|net| net.to_string()).unwrap_or_default();
            judged.breaks(
                &code::FORWARDING,
                format!(
                    "{name} of {} drops packets from {to}: its rp_filter is strict, and the route to {to} is via {by}",
                    nic.pod
                ),
                format!("in the pod: `sysctl -w net.ipv4.conf.{name}.rp_filter=2`, or fix the route"),
            );
        }
    }
    let through = seen.roads.wire("flannel.1").and_then(|tunnel| tunnel.through.as_deref());
    let Some(nic) = through.filter(|nic| seen.roads.strict.iter().any(|link| link == nic)) else { return };
    for tunnel in &seen.tunnels {
        let by =
            tunnel.at.parse().ok().and_then(|at| seen.roads.route(at)).and_then(|route| route.by.as_deref());
        if let Some(by) = by.filter(|by| *by != nic) {
            judged.breaks(
                &code::FORWARDING,
                format!(
                    "{nic} drops tunnel traffic from {} ({}): its rp_filter is strict, and the route there is via {by}",
                    tunnel.node, tunnel.at
                ),
                format!("`sysctl -w net.ipv4.conf.{nic}.rp_filter=2`, or fix the route"),
            );
        }
    }
}

/// A route to part of a NIC's own network via another interface.
fn shadow<'a>(routes: &'a [Route], nic: &Nic) -> Option<&'a Route> {
    let ip = nic.ip.filter(std::net::IpAddr::is_ipv4)?;
    let is_own = |route: &Route| route.kind == "unicast" && route.by.as_ref() == Some(&nic.name);
    let place =
        routes.iter().position(|route| is_own(route) && route.to.is_some_and(|net| net.contains(&ip)))?;
    let own = routes.get(place)?.to?;
    routes.iter().enumerate().find_map(|(index, route)| {
        let to = route.to.filter(|to| own.contains(to))?;
        let is_first = to.prefix_len() > own.prefix_len() || index < place;
        (is_first && route.kind == "unicast" && !is_own(route)).then_some(route)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_value_of_a_filter_counts() {
        let told = |all: &str, own: &str| {
            strict(&format!(
                r#"[{{"interface":"all","rp_filter":"{all}"}},{{"interface":"default","rp_filter":"strict"}},
                {{"interface":"net1","rp_filter":"{own}"}}]"#
            ))
        };
        for (all, own, is_strict) in [
            ("off", "strict", true),
            ("strict", "off", true),
            ("loose", "strict", false),
            ("strict", "loose", false),
            ("off", "off", false),
        ] {
            assert_eq!(told(all, own).is_empty(), !is_strict, "{all} {own}");
        }
        assert_eq!(strict("x"), [""; 0]);
    }
}
