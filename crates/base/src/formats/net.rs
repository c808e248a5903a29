//! What `ip -j addr` and `ip -j route` print.

use ipnet::IpNet;
use serde_json::Value;

/// Name prefixes of virtual links: none of them leaves the node.
const SOFTWARE: &str = "\
    br- cali cilium cni docker dummy flannel genev_sys gre ifb ip6tnl kube- lxc nodelocaldns ovs- sit tap \
    tun veth virbr vnet vxlan wg";

/// A NIC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its MAC address; empty when it has none.
    pub mac: String,
    /// Its addresses other than link-local ones of IPv6.
    pub addresses: Vec<String>,
    /// Whether it is up.
    pub up: bool,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    /// Its veth peer or its parent: a veth peer in the same network namespace names it too.
    pub peer: Option<String>,
}

/// Reads `ip -j addr`.
pub fn links(text: &str) -> Vec<Link> {
    objects(text).iter().filter_map(link).collect()
}

/// The NICs that have a default route, from `ip -j route`.
pub fn default_route_nics(text: &str) -> Vec<String> {
    let is_default = |route: &&Value| route.get("dst").and_then(Value::as_str) == Some("default");
    objects(text).iter().filter(is_default).flat_map(cards_of_route).collect()
}

/// The links of `ip -j addr` that could connect a bridge to a network outside of the node: Ethernet, and not made by
/// container or VM software as far as the name tells.
pub fn cards(text: &str) -> Vec<Link> {
    let is_ethernet = |value: &&Value| value.get("link_type").and_then(Value::as_str) == Some("ether");
    let found = objects(text).iter().filter(is_ethernet).filter_map(link).collect::<Vec<_>>();
    found.into_iter().filter(|link| !is_software(&link.name)).collect()
}

/// Whether a link is virtual, as far as its name tells.
pub fn is_software(name: &str) -> bool {
    SOFTWARE.split(' ').any(|start| name.starts_with(start))
}

/// An address with its prefix in CIDR notation, as the programs of a node read it: a part with a leading zero is none,
/// because some take it for octal.
pub fn cidr(text: &str) -> Option<IpNet> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse().ok())??;
    IpNet::new(address.parse().ok()?, prefix).ok()
}

/// The networks that the node has addresses in, from `ip -j addr`, without loopback.
pub fn subnets(text: &str) -> Vec<IpNet> {
    let infos = |value: &Value| value.get("addr_info").and_then(Value::as_array).cloned().unwrap_or_default();
    let subnet = |info: &Value| {
        let (address, length) = (info.get("local")?.as_str()?, info.get("prefixlen")?.as_u64()?);
        let subnet = IpNet::new(address.parse().ok()?, u8::try_from(length).ok()?).ok()?;
        (!subnet.addr().is_loopback()).then(|| subnet.trunc())
    };
    objects(text).iter().flat_map(infos).filter_map(|info| subnet(&info)).collect()
}

/// What prevents a NIC from being an uplink, to be read after its name: its traffic would be cut off. None when it is
/// free. `routed` are the NICs with a default route.
pub fn busy(card: &Link, routed: &[String]) -> Option<String> {
    if let Some(address) = card.addresses.first() {
        return Some(format!("has the address {address}"));
    }
    if routed.contains(&card.name) {
        return Some("carries the default route".into());
    }
    card.master.as_ref().map(|master| format!("belongs to {master}"))
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
        mac: value.get("address").and_then(Value::as_str).unwrap_or_default().to_owned(),
        addresses: addresses.iter().filter_map(address).collect(),
        master: value.get("master").and_then(Value::as_str).map(str::to_owned),
        peer: value.get("link").and_then(Value::as_str).map(str::to_owned),
    })
}

/// A link-local address is on every NIC that is up; it is no sign of the node's own traffic.
fn address(info: &Value) -> Option<String> {
    let local = info.get("local")?.as_str()?;
    let is_link = info.get("scope").and_then(Value::as_str) == Some("link") && local.contains(':');
    (!is_link).then(|| local.to_owned())
}

/// A multipath route has its NICs in `nexthops`.
fn cards_of_route(route: &Value) -> Vec<String> {
    let hops = route.get("nexthops").and_then(Value::as_array).cloned().unwrap_or_default();
    let routes = hops.iter().chain(std::iter::once(route));
    routes.filter_map(|route| Some(route.get("dev")?.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_read_as_programs_in_go_read_it() {
        assert_eq!(cidr("10.0.0.5/8").unwrap().to_string(), "10.0.0.5/8");
        assert_eq!(cidr("fd00::/64").unwrap().prefix_len(), 64);
        for text in [
            "010.0.0.0/8",
            "10.00.0.0/8",
            "10.0.0.09/8",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/33",
        ] {
            assert_eq!(cidr(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_without_link_local_ones() {
        let text = r#"[{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","UP"],"addr_info":[{"family":"inet","local":"10.0.0.2","scope":"global"},
            {"family":"inet6","local":"fe80::1","scope":"link"}]},{},{"ifname":"eth1","master":"br0","addr_info":[{}]}]"#;
        let expected = [
            Link { name: "eth0".into(), addresses: vec!["10.0.0.2".into()], up: true, ..Link::default() },
            Link { name: "eth1".into(), master: Some("br0".into()), ..Link::default() },
        ];
        assert_eq!(links(text), expected);
        assert!(links("nonsense").is_empty());
    }

    #[test]
    fn default_routes_also_over_several_nics() {
        let text = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"eth0"},{"dst":"10.0.0.0/24","dev":"eth9"},
            {"dst":"default","nexthops":[{"dev":"eth1"},{"dev":"eth2"}]}]"#;
        assert_eq!(default_route_nics(text), ["eth0", "eth1", "eth2"]);
    }

    #[test]
    fn cards_lead_out_of_the_node_and_the_rest_does_not() {
        let text = r#"[{"ifname":"lo","link_type":"loopback"},{"ifname":"eth0","link_type":"ether"},{"ifname":"enp1s0f1","link_type":"ether"},
            {"ifname":"veth12","link_type":"ether"},{"ifname":"cni0","link_type":"ether"},{"ifname":"wg0","link_type":"none"},{"ifname":"ovs-system","link_type":"ether"}]"#;
        let names: Vec<String> = cards(text).into_iter().map(|card| card.name).collect();
        assert_eq!(names, ["eth0", "enp1s0f1"]);
    }

    #[test]
    fn networks_of_the_node() {
        let text = r#"[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
            {"ifname":"eth0","addr_info":[{"local":"10.0.0.10","prefixlen":24},{"local":"fd00::5","prefixlen":64},{"local":"x","prefixlen":1}]}]"#;
        let found: Vec<String> = subnets(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.0/24", "fd00::/64"]);
    }

    #[test]
    fn what_a_nic_carries_prevents_it_from_being_an_uplink() {
        let card = |addresses: &[&str], master: Option<&str>| Link {
            name: "eth0".into(),
            addresses: addresses.iter().map(|&address| address.into()).collect(),
            up: true,
            master: master.map(Into::into),
            ..Link::default()
        };
        for (card, routed, expected) in [
            (card(&["10.0.0.2"], None), &["eth0".to_owned()][..], Some("has the address 10.0.0.2")),
            (card(&[], None), &["eth0".to_owned()], Some("carries the default route")),
            (card(&[], Some("bond0")), &["bond0".to_owned()], Some("belongs to bond0")),
            (card(&[], None), &["eth1".to_owned()], None),
        ] {
            assert_eq!(busy(&card, routed).as_deref(), expected);
        }
    }
}
