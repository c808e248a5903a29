//! What `ip -j addr` and `ip -j route` print.

use serde_json::Value;

/// A network card.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its addresses other than link-local ones of IPv6.
    pub addresses: Vec<String>,
    /// Whether it is switched on.
    pub up: bool,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
}

/// Reads `ip -j addr`.
#[must_use]
pub fn links(text: &str) -> Vec<Link> {
    objects(text).iter().filter_map(link).collect()
}

/// The cards that have a default route, from `ip -j route`.
#[must_use]
pub fn default_route_cards(text: &str) -> Vec<String> {
    let is_default = |route: &&Value| route.get("dst").and_then(Value::as_str) == Some("default");
    objects(text).iter().filter(is_default).flat_map(cards_of_route).collect()
}

fn objects(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn link(value: &Value) -> Option<Link> {
    let addresses = value.get("addr_info").and_then(Value::as_array).cloned().unwrap_or_default();
    let flags = value.get("flags").and_then(Value::as_array);
    Some(Link {
        up: flags.is_some_and(|flags| flags.iter().any(|flag| flag == "UP")),
        name: value.get("ifname")?.as_str()?.to_owned(),
        addresses: addresses.iter().filter_map(address).collect(),
        master: value.get("master").and_then(Value::as_str).map(str::to_owned),
    })
}

/// A link-local address is on every card that is up; it is no sign of the node's own traffic.
fn address(info: &Value) -> Option<String> {
    let local = info.get("local")?.as_str()?;
    let is_link = info.get("scope").and_then(Value::as_str) == Some("link") && local.contains(':');
    (!is_link).then(|| local.to_owned())
}

/// A route over several cards has them in `nexthops`.
fn cards_of_route(route: &Value) -> Vec<String> {
    let hops = route.get("nexthops").and_then(Value::as_array).cloned().unwrap_or_default();
    let routes = hops.iter().chain(std::iter::once(route));
    routes.filter_map(|route| Some(route.get("dev")?.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_link_local_ones() {
        let text = r#"[{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","UP"],"addr_info":[{"family":"inet","local":"10.0.0.2","scope":"global"},
            {"family":"inet6","local":"fe80::1","scope":"link"}]},{},{"ifname":"eth1","master":"br0","addr_info":[{}]}]"#;
        let expected = [
            Link { name: "eth0".into(), addresses: vec!["10.0.0.2".into()], up: true, master: None },
            Link { name: "eth1".into(), addresses: vec![], up: false, master: Some("br0".into()) },
        ];
        assert_eq!(links(text), expected);
        assert!(links("nonsense").is_empty());
    }

    #[test]
    fn default_routes_also_over_several_cards() {
        let text = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.0.0.0/24","dev":"eth9"},
            {"dst":"default","nexthops":[{"dev":"eth1"},{"dev":"eth2"}]}]"#;
        assert_eq!(default_route_cards(text), ["eth0", "eth1", "eth2"]);
    }
}
