//! The node's links, routes and forwarding, in the detail that a packet's path needs.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value;

use super::gather::{line, printed};
use crate::error::Result;
use crate::host::Host;

/// A queue with less than these bytes a second drops more than it sends.
const SLOWEST: u64 = 8_000;

/// A link.
#[allow(clippy::struct_excessive_bools, reason = "the kernel has one flag for each")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Its name.
    pub name: String,
    /// Its number.
    pub index: u64,
    /// The number of its other end, in another namespace.
    pub peer: Option<u64>,
    /// `veth`, `bridge`, `vxlan`; empty for hardware.
    pub kind: String,
    /// Its MAC address.
    pub mac: String,
    /// Its MTU.
    pub mtu: u64,
    /// Whether it is up.
    pub on: bool,
    /// Whether it has carrier.
    pub carrier: bool,
    /// The bridge that it belongs to.
    pub master: Option<String>,
    /// As a port of a bridge: `forwarding`, `blocking`.
    pub port_state: Option<String>,
    /// As a port of a bridge: whether it reaches no other isolated port.
    pub isolated: bool,
    /// As a bridge: whether its frames pass iptables by its own setting.
    pub filtered: bool,
    /// Whether a BPF program filters its packets.
    pub program: bool,
    /// As a port of a bridge: the disabled features that most frames need.
    pub lacks: Vec<&'static str>,
    /// Whether ARP is off.
    pub silent: bool,
    /// As a bridge: whether each of its ports has a list of VLANs.
    pub sorts_vlans: bool,
    /// The link that a tunnel's packets leave by.
    pub through: Option<String>,
    /// Its addresses; none when they were not read.
    pub addresses: Option<Vec<std::net::IpAddr>>,
}

impl Wire {
    /// Whether it is up and has a carrier: a tap has one while a VM holds it.
    pub fn is_up(&self) -> bool {
        self.on && self.carrier
    }

    /// Its addresses, as far as they were read.
    pub fn known_addresses(&self) -> &[std::net::IpAddr] {
        self.addresses.as_deref().unwrap_or_default()
    }
}

/// Where flannel's tunnel finds another node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Neighbour {
    /// The address to resolve: that of a node's part of the pod network, or a MAC address.
    pub of: String,
    /// The result: a MAC address, or the address of a node.
    pub at: String,
}

/// A route of IPv4 in the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; none for the default route.
    pub to: Option<IpNet>,
    /// `unicast`, `blackhole`, `unreachable`, `prohibit`.
    pub kind: String,
    /// By which link.
    pub by: Option<String>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roads {
    /// The links.
    pub wires: Vec<Wire>,
    /// The routes.
    pub routes: Vec<Route>,
    /// What routing rules reject.
    pub refusals: Vec<String>,
    /// `net.ipv4.ip_forward`.
    pub forward: Option<String>,
    /// `forwarding` of each link.
    pub forwarding: BTreeMap<String, String>,
    /// The links that drop packets on asymmetric paths (`rp_filter`).
    pub strict: Vec<String>,
    /// `net.bridge.bridge-nf-call-iptables`.
    pub bridge_filter: Option<String>,
    /// What queues or filters drop everything, by link.
    pub dropping: Vec<(String, String)>,
    /// The filters that could not be evaluated or read.
    pub unseen: Vec<String>,
    /// Tracked connections, and their limit.
    pub connections: Option<(u64, u64)>,
    /// Which MAC address an address behind flannel's tunnel has.
    pub tunnel_neighbours: Vec<Neighbour>,
    /// Behind which node a MAC address is.
    pub tunnel_forwards: Vec<Neighbour>,
}

impl Roads {
    /// Reads the node.
    pub async fn read(host: &dyn Host) -> Result<Self> {
        let mut roads = Self {
            forward: line(host, "/proc/sys/net/ipv4/ip_forward").await?,
            bridge_filter: line(host, "/proc/sys/net/bridge/bridge-nf-call-iptables").await?,
            ..Self::default()
        };
        match printed(host, &["ip", "-json", "-details", "address", "show"]).await? {
            Ok(text) => roads.wires = wires(&text),
            Err(why) => roads.unseen.push(format!("the links: {why}")),
        }
        match printed(host, &["ip", "-json", "route", "show"]).await? {
            Ok(text) => roads.routes = routes(&text),
            Err(why) => roads.unseen.push(format!("the routes: {why}")),
        }
        if let Ok(text) = printed(host, &["ip", "-json", "rule", "show"]).await? {
            roads.refusals = refusals(&text);
        }
        let names: Vec<String> = roads.wires.iter().map(|wire| wire.name.clone()).collect();
        for name in &names {
            if let Some(value) = line(host, &format!("/proc/sys/net/ipv4/conf/{name}/forwarding")).await? {
                roads.forwarding.insert(name.clone(), value);
            }
        }
        let filter =
            async |name: &str| line(host, &format!("/proc/sys/net/ipv4/conf/{name}/rp_filter")).await;
        // The larger of both counts, and 2 is loose.
        let common = filter("all").await?.unwrap_or_default();
        for name in names {
            if filter(&name).await?.is_some_and(|own| own.max(common.clone()) == "1") {
                roads.strict.push(name);
            }
        }
        let number = async |name: &str| -> Result<Option<u64>> {
            let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
            Ok(line(host, &path).await?.and_then(|text| text.trim().parse().ok()))
        };
        roads.connections = number("count").await?.zip(number("max").await?);
        roads.look_at_queues(host).await?;
        Ok(roads)
    }

    /// Reads what flannel's tunnel knows about other nodes.
    pub async fn look_at_tunnel(&mut self, host: &dyn Host, tunnel: &str) -> Result<()> {
        match printed(host, &["ip", "-json", "neigh", "show", "dev", tunnel]).await? {
            Ok(text) => self.tunnel_neighbours = neighbours(&text, "dst", "lladdr"),
            Err(why) => self.unseen.push(format!("the neighbours behind {tunnel}: {why}")),
        }
        match printed(host, &["bridge", "-json", "fdb", "show", "dev", tunnel]).await? {
            Ok(text) => self.tunnel_forwards = neighbours(&text, "mac", "dst"),
            Err(why) => self.unseen.push(format!("the nodes behind {tunnel}: {why}")),
        }
        Ok(())
    }

    /// Only links with a queue for it can have filters.
    async fn look_at_queues(&mut self, host: &dyn Host) -> Result<()> {
        let text = match printed(host, &["tc", "-json", "qdisc", "show"]).await? {
            Ok(text) => text,
            Err(why) => {
                self.unseen.push(format!("filters of traffic control: {why}"));
                return Ok(());
            }
        };
        let queues: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        for queue in queues {
            let (kind, device) = (said(&queue["kind"]), said(&queue["dev"]));
            let lost = queue["options"]["loss-random"]["loss"].as_f64();
            if kind == "netem" && lost.is_some_and(|lost| lost > 0.0) {
                self.dropping.push((device.into(), "a `netem` queue loses packets".into()));
            } else if kind == "tbf" && queue["options"]["rate"].as_u64().is_some_and(|rate| rate < SLOWEST) {
                self.dropping.push((device.into(), "a `tbf` queue lets almost nothing through".into()));
            } else if ["ingress", "clsact"].contains(&kind) {
                for side in ["ingress", "egress"] {
                    let words = ["tc", "-json", "filter", "show", "dev", device, side];
                    let filters = printed(host, &words).await?.unwrap_or_default();
                    self.add_filters(device, side, &filters);
                }
            }
        }
        Ok(())
    }

    fn add_filters(&mut self, device: &str, side: &str, text: &str) {
        let filters: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
        let drops = |filter: &&Value| {
            let actions = filter["options"]["actions"].as_array();
            actions.into_iter().flatten().any(|action| action["control_action"]["type"] == "drop")
        };
        for filter in filters.iter().filter(drops) {
            let kind = said(&filter["kind"]);
            let keys = &filter["options"]["keys"];
            let matched = &filter["options"]["match"];
            let all = kind == "matchall"
                || kind == "flower" && keys.as_object().is_none_or(serde_json::Map::is_empty)
                || kind == "u32" && (matched.is_null() || matched["mask"] == "0" && matched["value"] == "0");
            let shown = format!("a {kind} filter of `tc` on its {side} drops");
            if all {
                self.dropping.push((device.to_owned(), format!("{shown} everything")));
            } else {
                self.unseen.push(format!("{device}: {shown} what it matches"));
            }
        }
        if filters.iter().any(|filter| filter["kind"] == "bpf") {
            self.unseen.push(format!("{device}: a BPF program filters its {side}"));
        }
    }

    /// A link.
    pub fn wire(&self, name: &str) -> Option<&Wire> {
        self.wires.iter().find(|wire| wire.name == name)
    }

    /// The route that packets to an address take.
    pub fn route(&self, to: std::net::IpAddr) -> Option<&Route> {
        let fits = |route: &&Route| route.to.is_none_or(|net| net.contains(&to));
        self.routes
            .iter()
            .filter(fits)
            .max_by_key(|route| route.to.map_or(0, |net| 1 + u16::from(net.prefix_len())))
    }
}

/// Reads `ip -json -details address show`, or what `link show` has of it.
pub fn wires(text: &str) -> Vec<Wire> {
    objects(text).iter().filter_map(wire).collect()
}

fn wire(value: &Value) -> Option<Wire> {
    let flags = value["flags"].as_array()?;
    let has = |flag: &str| flags.iter().any(|one| one == flag);
    let (info, slave) = (&value["linkinfo"]["info_data"], &value["linkinfo"]["info_slave_data"]);
    Some(Wire {
        name: value["ifname"].as_str()?.to_owned(),
        index: value["ifindex"].as_u64().unwrap_or_default(),
        peer: value["link_index"].as_u64(),
        kind: said(&value["linkinfo"]["info_kind"]).to_owned(),
        mac: said(&value["address"]).to_owned(),
        mtu: value["mtu"].as_u64().unwrap_or_default(),
        on: has("UP"),
        carrier: has("LOWER_UP"),
        master: value["master"].as_str().map(str::to_owned),
        port_state: slave["state"].as_str().map(str::to_owned),
        isolated: slave["isolated"] == true,
        filtered: info["nf_call_iptables"] == 1,
        program: value.get("xdp").is_some(),
        lacks: lacks(slave),
        silent: has("NOARP"),
        sorts_vlans: info["vlan_filtering"] == 1,
        through: info["link"].as_str().map(str::to_owned),
        addresses: value["addr_info"].as_array().map(|all| all.iter().filter_map(address).collect()),
    })
}

fn address(info: &Value) -> Option<std::net::IpAddr> {
    info["local"].as_str()?.parse().ok()
}

/// A port that neither learns nor floods receives nothing, one without broadcast no ARP request.
fn lacks(port: &Value) -> Vec<&'static str> {
    let off = |flag: &str| port[flag] == false;
    let mut lacks = Vec::new();
    if off("learning") && off("flood") {
        lacks.push("learning and flood");
    }
    if off("bcast_flood") {
        lacks.push("bcast_flood");
    }
    lacks
}

fn neighbours(text: &str, of: &str, at: &str) -> Vec<Neighbour> {
    let neighbour = |value: &Value| {
        let (of, at) = (value[of].as_str()?.to_ascii_lowercase(), value[at].as_str()?.to_ascii_lowercase());
        Some(Neighbour { of, at })
    };
    objects(text).iter().filter_map(neighbour).collect()
}

/// Reads `ip -json route show`.
pub fn routes(text: &str) -> Vec<Route> {
    let route = |value: &Value| {
        let to = said(&value["dst"]);
        let net = to.parse().ok().or_else(|| to.parse::<std::net::IpAddr>().ok().map(IpNet::from));
        (net.is_some() || to == "default").then(|| Route {
            to: net,
            kind: value["type"].as_str().unwrap_or("unicast").to_owned(),
            by: value["dev"].as_str().map(str::to_owned),
        })
    };
    objects(text).iter().filter_map(route).collect()
}

fn refusals(text: &str) -> Vec<String> {
    let refusal = |value: &Value| {
        let action = value["action"].as_str()?;
        let from = value["src"].as_str().filter(|from| *from != "all");
        let to = value["dst"].as_str().filter(|to| *to != "all");
        let side =
            |word: &str, net: Option<&str>| net.map(|net| format!(" {word} {net}")).unwrap_or_default();
        ["blackhole", "unreachable", "prohibit"]
            .contains(&action)
            .then(|| format!("{action}{}{}", side("from", from), side("to", to)))
    };
    objects(text).iter().filter_map(refusal).collect()
}

fn objects(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap_or_default()
}

fn said(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_with_their_ends_and_bridges() {
        let text = r#"[{"ifindex":22,"link_index":2,"ifname":"veth1","flags":["UP"],"mtu":1450,"master":"cni0",
            "address":"02:00:00:00:00:01","linkinfo":{"info_kind":"veth","info_slave_data":{"state":"blocking","isolated":false}}},
            {"ifindex":6,"ifname":"cni0","flags":["UP","LOWER_UP"],"mtu":1450,"linkinfo":{"info_kind":"bridge","info_data":{"nf_call_iptables":1}}}]"#;
        let wires = wires(text);
        let veth = &wires[0];
        assert_eq!((veth.index, veth.peer, veth.on, veth.carrier), (22, Some(2), true, false));
        assert_eq!(veth.port_state.as_deref(), Some("blocking"));
        assert!(wires[1].filtered && wires[1].kind == "bridge");
    }

    #[test]
    fn ports_that_are_given_nothing_and_neighbours_of_a_tunnel() {
        let port = |flags: &str| {
            let text =
                format!(r#"[{{"ifname":"v","flags":[],"linkinfo":{{"info_slave_data":{{{flags}}}}}}}]"#);
            wires(&text)[0].lacks.clone()
        };
        assert_eq!(port(r#""learning":true,"flood":true,"bcast_flood":true"#), [""; 0]);
        assert_eq!(port(r#""learning":false,"flood":true"#), [""; 0]);
        assert_eq!(
            port(r#""learning":false,"flood":false,"bcast_flood":false"#),
            ["learning and flood", "bcast_flood"]
        );
        let text = r#"[{"dst":"10.244.1.0","lladdr":"0A:00:00:00:00:01","state":["PERMANENT"]},{"dst":"10.244.2.0","state":["FAILED"]}]"#;
        let known = neighbours(text, "dst", "lladdr");
        assert_eq!((known.len(), known[0].at.as_str()), (1, "0a:00:00:00:00:01"));
    }

    #[test]
    fn the_longest_route_is_taken() {
        let text = r#"[{"dst":"default","gateway":"10.89.0.1","dev":"eth0"},{"dst":"10.244.0.0/24","dev":"cni0"},
            {"type":"blackhole","dst":"10.244.0.7"}]"#;
        let roads = Roads { routes: routes(text), ..Roads::default() };
        let by = |to: &str| {
            roads.route(to.parse().unwrap()).map(|route| (route.kind.as_str(), route.by.as_deref()))
        };
        assert_eq!(by("10.244.0.8"), Some(("unicast", Some("cni0"))));
        assert_eq!(by("10.244.0.7"), Some(("blackhole", None)));
        assert_eq!(by("1.1.1.1"), Some(("unicast", Some("eth0"))));
        let rules = r#"[{"priority":0,"src":"all","table":"local"},{"priority":9,"src":"10.244.0.0","srclen":16,"action":"blackhole"}]"#;
        assert_eq!(refusals(rules), ["blackhole from 10.244.0.0"]);
    }

    #[test]
    fn filters_drop_all_or_something() {
        let mut roads = Roads::default();
        let filter = |kind: &str, options: &str| {
            format!(
                r#"[{{"kind":"{kind}","options":{{{options}"actions":[{{"kind":"gact","control_action":{{"type":"drop"}}}}]}}}}]"#
            )
        };
        roads.add_filters("cni0", "ingress", &filter("matchall", ""));
        roads.add_filters("cni0", "ingress", &filter("u32", r#""match":{"value":"0","mask":"0"},"#));
        roads.add_filters("cni0", "ingress", &filter("flower", r#""keys":{"src_ip":"10.0.0.1"},"#));
        assert_eq!((roads.dropping.len(), roads.unseen.len()), (2, 1));
    }
}
