//! Arranges a topology: networks are columns, guests are rows, and each node is a card of rows.
//!
//! A large topology is grouped, step by step, until it is readable: pods of one owner, then all guests on the
//! same networks, then all nodes.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Bridge, BridgeKind, Guest, GuestKind, Network, Node, Topology};

/// More cards than this are not read but skimmed.
const MOST_CARDS: usize = 8;
/// As many rows fit on a page or two.
const MOST_ROWS: usize = 60;

/// An arranged topology.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Picture {
    /// What it shows, in a sentence.
    pub summary: String,
    pub columns: Vec<Column>,
    pub cards: Vec<NodeCard>,
}

/// A network.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Column {
    pub name: String,
    /// What it is on: `blue, VLAN 100`.
    pub on: String,
    /// `10.20.0.0/24`, or `layer 2 only`.
    pub addresses: String,
}

/// A node, or several that are alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NodeCard {
    pub title: String,
    /// Its addresses and NICs.
    pub lines: Vec<String>,
    pub rows: Vec<Row>,
    pub bars: Vec<Bar>,
}

/// A guest, or several that are alike.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Row {
    pub kind: GuestKind,
    pub label: String,
    /// `3 pods`, or the phase of one that does not run.
    pub detail: String,
    /// For each column: what the NIC on it is, none without one.
    pub cells: Vec<Option<String>>,
}

/// A bridge under the columns of its networks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bar {
    pub text: String,
    /// The first and the last column; none when no network uses the bridge.
    pub columns: Option<(usize, usize)>,
}

/// How far guests are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    Each,
    Owner,
    Networks,
    OneNode,
}

impl Picture {
    pub(super) fn of(topology: &Topology) -> Self {
        let columns: Vec<Column> = topology.networks.iter().map(column).collect();
        let mut cards = Vec::new();
        for detail in [Detail::Each, Detail::Owner, Detail::Networks, Detail::OneNode] {
            cards = arranged(topology, detail);
            let rows: usize = cards.iter().map(|card| card.rows.len()).sum();
            if cards.len() <= MOST_CARDS && rows <= MOST_ROWS {
                break;
            }
        }
        Self { summary: summary(topology), columns, cards }
    }
}

fn summary(topology: &Topology) -> String {
    let guests = || topology.nodes.iter().flat_map(|node| &node.guests);
    let vms = guests().filter(|guest| guest.kind == GuestKind::Vm).count();
    let parts = [
        count(topology.nodes.len(), "node"),
        count(topology.networks.len(), "network"),
        count(guests().count() - vms, "pod"),
        count(vms, "VM"),
    ];
    parts.join(", ")
}

/// `1 pod`, `2 pods`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn column(network: &Network) -> Column {
    let mut on = network.bridge.clone().unwrap_or_else(|| network.kind.clone());
    if let Some(vlan) = network.vlan {
        let _ = write!(on, ", VLAN {vlan}");
    }
    let addresses = network.subnet.clone().unwrap_or_else(|| "layer 2 only".into());
    // The default namespace is omitted.
    let name = network.name.strip_prefix("default/").unwrap_or(&network.name);
    Column { name: name.to_owned(), on, addresses }
}

/// Nodes whose cards would look the same, apart from numbers and names, share one.
fn arranged(topology: &Topology, detail: Detail) -> Vec<NodeCard> {
    let mut alike: Vec<(Shape, Vec<&Node>)> = Vec::new();
    for node in &topology.nodes {
        let shape = shape(node, detail);
        match alike.iter_mut().find(|(other, _)| *other == shape) {
            Some((_, nodes)) if detail != Detail::Each => nodes.push(node),
            _ => alike.push((shape, vec![node])),
        }
    }
    alike.iter().map(|(_, nodes)| card(topology, nodes, detail)).collect()
}

/// What makes two cards the same.
type Shape = (Option<bool>, Vec<Bridge>, Vec<GroupKey>);

fn shape(node: &Node, detail: Detail) -> Shape {
    if detail == Detail::OneNode {
        return Shape::default();
    }
    (node.ready, node.bridges.clone(), groups(&[node], detail).into_keys().collect())
}

/// VMs before pods; then by name, or by networks when there are no names.
type GroupKey = (GuestKind, String, Vec<String>);

fn groups<'a>(nodes: &[&'a Node], detail: Detail) -> BTreeMap<GroupKey, Vec<&'a Guest>> {
    let mut groups: BTreeMap<GroupKey, Vec<&Guest>> = BTreeMap::new();
    for guest in nodes.iter().flat_map(|node| &node.guests) {
        let own = format!("{}/{}", guest.namespace, guest.name);
        let name = match (detail, &guest.owner) {
            (Detail::Each, _) | (Detail::Owner, None) => own,
            (Detail::Owner, Some(owner)) => format!("{}/{owner}", guest.namespace),
            _ => String::new(),
        };
        let mut networks: Vec<String> = guest.nics.iter().map(|nic| nic.network.clone()).collect();
        networks.sort_unstable();
        groups.entry((guest.kind, name, networks)).or_default().push(guest);
    }
    groups
}

fn card(topology: &Topology, nodes: &[&Node], detail: Detail) -> NodeCard {
    let rows = groups(nodes, detail).iter().map(|(key, guests)| row(topology, key, guests)).collect();
    let mut bridges: Vec<Bridge> = nodes.iter().flat_map(|node| node.bridges.clone()).collect();
    bridges.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
    bridges.dedup();
    let bars = bridges.iter().map(|bridge| bar(topology, bridge)).collect();
    NodeCard { title: title(nodes), lines: lines(nodes), rows, bars }
}

fn title(nodes: &[&Node]) -> String {
    let state = match nodes.first().and_then(|node| node.ready) {
        Some(false) => ", not ready",
        _ => "",
    };
    match nodes {
        [one] => format!("{}{state}", one.name),
        [first, .., last] => format!("{} … {} ({} nodes{state})", first.name, last.name, nodes.len()),
        [] => String::new(),
    }
}

fn lines(nodes: &[&Node]) -> Vec<String> {
    let unseen = nodes.first().and_then(|node| node.not_looked_at.clone());
    let [node] = nodes else { return unseen.into_iter().collect() };
    let addresses = (!node.addresses.is_empty()).then(|| node.addresses.join(", "));
    let cards = node.cards.iter().flatten().map(|card| {
        let uplink = node.bridges.iter().find(|bridge| bridge.uplinks.contains(&card.name));
        let mut text = format!("NIC {}", card.name);
        if !card.addresses.is_empty() {
            let _ = write!(text, " {}", card.addresses.join(" "));
        }
        if !card.up {
            text.push_str(", down");
        }
        if let Some(whole) = &card.part_of {
            let _ = write!(text, ", part of {whole}");
        }
        match (card.carries_node, uplink) {
            (true, _) => text.push_str(", carries the node's traffic"),
            (false, Some(bridge)) => _ = write!(text, ", uplink of {}", bridge.name),
            (false, None) => {}
        }
        text
    });
    addresses.into_iter().chain(cards).chain(unseen).collect()
}

fn row(topology: &Topology, (kind, name, networks): &GroupKey, guests: &[&Guest]) -> Row {
    let what = if *kind == GuestKind::Vm { "VM" } else { "pod" };
    let label = match (name.as_str(), networks.as_slice()) {
        ("", []) => format!("{} without a NIC", count(guests.len(), what)),
        ("", [one]) => format!("{} on {one}", count(guests.len(), what)),
        ("", several) => format!("{} on {} networks", count(guests.len(), what), several.len()),
        (name, _) => name.to_owned(),
    };
    let waiting = guests.iter().find(|guest| guest.phase != "Running");
    let detail = match (guests, waiting) {
        ([_], None) => what.to_owned(),
        ([_], Some(guest)) => format!("{what}, {}", guest.phase),
        (_, None) if name.is_empty() => String::new(),
        (all, None) => count(all.len(), what),
        (all, Some(_)) => {
            let running = all.iter().filter(|guest| guest.phase == "Running").count();
            format!("{}, {running} running", count(all.len(), what))
        }
    };
    let cells = topology.networks.iter().map(|network| cell(guests, network)).collect();
    Row { kind: *kind, label, detail, cells }
}

fn cell(guests: &[&Guest], network: &Network) -> Option<String> {
    let mut nics = guests.iter().flat_map(|guest| &guest.nics).filter(|nic| nic.network == network.name);
    let first = nics.next()?;
    let more = nics.count();
    if more > 0 || guests.len() > 1 {
        return Some(count(more + 1, "NIC"));
    }
    let address = first.addresses.first().map_or(first.mac.as_str(), String::as_str);
    Some(if address.is_empty() { first.name.clone() } else { address.to_owned() })
}

fn bar(topology: &Topology, bridge: &Bridge) -> Bar {
    let uses = |network: &Network| network.bridge.as_ref() == Some(&bridge.name);
    let first = topology.networks.iter().position(uses);
    let last = topology.networks.iter().rposition(uses);
    let mut text = match bridge.kind {
        BridgeKind::OpenVswitch => format!("bridge {}", bridge.name),
        BridgeKind::Linux => format!("Linux bridge {}", bridge.name),
    };
    if !bridge.vlans.is_empty() {
        let vlans: Vec<String> = bridge.vlans.iter().map(u16::to_string).collect();
        let _ = write!(text, ", VLAN {}", vlans.join(", "));
    }
    match bridge.uplinks.as_slice() {
        [] => {}
        uplinks => _ = write!(text, ", uplink {}", uplinks.join(", ")),
    }
    Bar { text, columns: first.zip(last) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{Nic, POD_NETWORK};
    use super::*;

    /// Nodes with pods of one owner each, on the pod network and, every second, on another one.
    pub(in super::super) fn cluster(nodes: usize, pods: usize) -> Topology {
        let nic = |network: &str, address: String| Nic {
            name: "eth0".into(),
            network: network.into(),
            addresses: vec![address],
            ..Nic::default()
        };
        let guest = |node: usize, pod: usize| {
            let mut nics = vec![nic(POD_NETWORK, format!("10.244.{node}.{pod}"))];
            if pod.is_multiple_of(2) {
                nics.push(nic("default/ovs-blue", format!("10.20.{node}.{pod}")));
            }
            Guest {
                namespace: "shop".into(),
                name: format!("web-{node:02}-{pod:02}"),
                phase: "Running".into(),
                owner: Some(format!("web-{}", pod % 3)),
                nics,
                ..Guest::default()
            }
        };
        let bridge = Bridge { name: "blue".into(), vlans: vec![100], ..Bridge::default() };
        let node = |node: usize| Node {
            name: format!("n{node:02}"),
            ready: Some(true),
            addresses: vec![format!("192.0.2.{node}")],
            bridges: vec![bridge.clone()],
            guests: (0..pods).map(|pod| guest(node, pod)).collect(),
            cards: None,
            not_looked_at: None,
        };
        let pod = Network { name: POD_NETWORK.into(), kind: "flannel".into(), ..Network::default() };
        let blue = Network {
            name: "default/ovs-blue".into(),
            kind: "ovs".into(),
            bridge: Some("blue".into()),
            ..Network::default()
        };
        Topology { source: "test".into(), nodes: (0..nodes).map(node).collect(), networks: vec![pod, blue] }
    }

    #[test]
    fn a_small_cluster_shows_each_pod_with_its_addresses() {
        let picture = Picture::of(&cluster(2, 3));
        assert_eq!((picture.cards.len(), picture.cards[0].rows.len()), (2, 3));
        let row = &picture.cards[1].rows[0];
        assert_eq!(row.label, "shop/web-01-00");
        assert_eq!(row.cells, [Some("10.244.1.0".to_owned()), Some("10.20.1.0".to_owned())]);
        assert_eq!(picture.cards[0].bars[0].columns, Some((1, 1)));
        assert_eq!(picture.summary, "2 nodes, 2 networks, 6 pods, 0 VMs");
    }

    #[test]
    fn five_hundred_pods_on_fifty_nodes_become_a_few_rows_that_count_them_all() {
        let picture = Picture::of(&cluster(50, 10));
        assert_eq!(picture.cards.len(), 1);
        assert_eq!(picture.cards[0].title, "n00 … n49 (50 nodes)");
        let details: Vec<&str> = picture.cards[0].rows.iter().map(|row| row.detail.as_str()).collect();
        let pods: usize =
            details.iter().map(|detail| detail.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
        assert_eq!(pods, 500);
    }

    #[test]
    fn nodes_that_all_differ_are_drawn_as_one() {
        let mut topology = cluster(50, 10);
        for (index, node) in topology.nodes.iter_mut().enumerate() {
            node.bridges[0].vlans = vec![u16::try_from(index).unwrap() + 1];
            node.guests.truncate(index % 10 + 1);
        }
        let picture = Picture::of(&topology);
        assert_eq!(picture.cards.len(), 1);
        assert!(picture.cards[0].rows.len() <= MOST_ROWS);
    }

    #[test]
    fn what_was_not_looked_at_is_said_of_one_node_and_of_many() {
        for (nodes, said) in [(2, "n01"), (50, "n00 … n49 (50 nodes)")] {
            let mut topology = cluster(nodes, 10);
            for node in topology.nodes.iter_mut().skip(usize::from(nodes == 2)) {
                node.not_looked_at = Some("NICs and bridges not checked".into());
            }
            let cards = Picture::of(&topology).cards;
            let told = cards.iter().filter(|card| card.lines.iter().any(|line| line.contains("not checked")));
            assert_eq!(told.map(|card| card.title.as_str()).collect::<Vec<_>>(), [said]);
        }
    }

    #[test]
    fn a_pod_that_does_not_run_says_so() {
        let mut topology = cluster(1, 2);
        topology.nodes[0].guests[1].phase = "Pending".into();
        assert_eq!(Picture::of(&topology).cards[0].rows[1].detail, "pod, Pending");
    }
}
