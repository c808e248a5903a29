//! The live state: from the cluster, and from the node that kvnet runs on.

use std::collections::{BTreeMap, BTreeSet};

use futures::try_join;
use serde_json::Value;

use super::{
    Bridge, BridgeKind, Card, Guest, GuestKind, Network, Nic, Node, POD_NETWORK, Topology, addresses,
};
use crate::context::Context;
use crate::error::Result;
use crate::facts::attachments::{Reported, asked, pairs, reported};
use crate::facts::ovs::OvsState;
use crate::formats::cni::NetConf;
use crate::formats::net::{default_route_nics, links};
use crate::formats::object::{full_name, items};
use crate::host::{Command, Host};

/// The kernel's master of all NICs on Open vSwitch bridges.
const SWITCH: &str = "ovs-system";
/// The label of the pod that a VM runs in: its NICs are shown as the VM's.
const LAUNCHER: (&str, &str) = ("kubevirt.io", "virt-launcher");

/// The topology of the live cluster. NICs and bridges are known only of the node that kvnet runs on.
///
/// # Errors
/// Errors of the cluster and of the node's tools; a node without Open vSwitch or `ip` is none.
pub async fn live(cx: &Context) -> Result<Topology> {
    let cluster = cx.need_cluster().await?;
    let vmi = cx.profile.kubevirt.api_version();
    // Alone, before the others: it shows whether the cluster answers, and which machine this is.
    let nodes = cx.nodes().await?;
    let (pods, attachments, vmis) = try_join!(
        cluster.list("v1", "Pod", None, None),
        cluster.list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", None, None),
        cluster.list(vmi, "VirtualMachineInstance", None, None),
    )?;
    let mut nodes: Vec<Node> = nodes.iter().map(node).collect();
    let this = cx.this_node().await;
    for node in &mut nodes {
        if Some(node.name.as_str()) == this.as_deref() {
            look_at(cx.host.as_ref(), node).await?;
        } else {
            node.not_looked_at = Some(not_looked_at(this.as_deref()));
        }
    }
    // Those of a machine outside the cluster say nothing about it.
    let vlan_bridges = if this.is_some() { vlan_bridges(cx.host.as_ref()).await? } else { BTreeMap::new() };
    let networks = std::iter::once(pod_network(cx))
        .chain(attachments.iter().map(|nad| attachment(cx, nad, &vlan_bridges)));
    let mut topology = Topology { source: cluster.server().to_owned(), nodes, networks: networks.collect() };
    for (on, guest) in pods.iter().filter_map(pod).chain(vmis.iter().filter_map(vm)) {
        if let Some(node) = topology.nodes.iter_mut().find(|node| node.name == on) {
            node.guests.push(guest);
        }
    }
    Ok(topology.with_unknown_networks().sorted())
}

fn not_looked_at(this: Option<&str>) -> String {
    let place = this.map_or_else(|| "outside the cluster".into(), |this| format!("on {this} only"));
    format!("NICs and bridges not checked: kvnet runs {place}")
}

fn pod_network(cx: &Context) -> Network {
    let kind = if cx.profile.flannel.enabled { "flannel" } else { "cni" };
    let subnet = Some(cx.profile.cluster.pod_subnet.clone());
    Network { name: POD_NETWORK.into(), kind: kind.into(), subnet, ..Network::default() }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn node(object: &Value) -> Node {
    let ready = items(object, "/status/conditions").iter().find(|condition| condition["type"] == "Ready");
    let addresses = items(object, "/status/addresses").iter();
    let addresses =
        addresses.filter(|address| address["type"] != "Hostname").map(|address| text(address, "/address"));
    Node {
        name: text(object, "/metadata/name"),
        ready: ready.map(|condition| condition["status"] == "True"),
        addresses: addresses.collect(),
        ..Node::default()
    }
}

async fn look_at(host: &dyn Host, node: &mut Node) -> Result<()> {
    let ovs = match host.find("ovs-vsctl").await? {
        // Its database may be down; then the switch's state is unknown.
        Some(_) => OvsState::read(host).await.unwrap_or_default(),
        None => OvsState::default(),
    };
    let cards = cards(host).await?;
    node.bridges =
        ovs.bridges.iter().map(|bridge| ovs_bridge(bridge, cards.as_deref().unwrap_or_default())).collect();
    node.cards = cards;
    Ok(())
}

fn ovs_bridge(bridge: &crate::facts::ovs::OvsBridge, cards: &[Card]) -> Bridge {
    let vlans: BTreeSet<u16> =
        bridge.ports.iter().flat_map(|port| port.tag.iter().chain(&port.trunks)).copied().collect();
    // A bond is one port with several interfaces.
    let interfaces = bridge.ports.iter().flat_map(|port| &port.interfaces).map(|interface| &interface.name);
    let is_card = |name: &&String| cards.iter().any(|card| card.name == **name);
    let uplinks: BTreeSet<String> = interfaces.filter(is_card).cloned().collect();
    let (name, vlans) = (bridge.name.clone(), vlans.into_iter().collect());
    Bridge { name, kind: BridgeKind::OpenVswitch, vlans, uplinks: uplinks.into_iter().collect() }
}

/// The node's own NICs, without those of pods and bridges; none without `ip`.
async fn cards(host: &dyn Host) -> Result<Option<Vec<Card>>> {
    if host.find("ip").await?.is_none() {
        return Ok(None);
    }
    let (links_of, routes) = (Command::new(["ip", "-j", "-d", "addr"]), Command::new(["ip", "-j", "route"]));
    let printed = host.run(&links_of).await?.ok(&links_of)?.stdout;
    let carriers = default_route_nics(&host.run(&routes).await?.ok(&routes)?.stdout);
    let virtual_links = virtual_links(&printed);
    let own = links(&printed).into_iter().filter(|link| !virtual_links.contains(&link.name));
    Ok(Some(
        own.map(|link| Card {
            carries_node: carriers.contains(&link.name),
            name: link.name,
            addresses: link.addresses,
            up: link.up,
            part_of: link.master.filter(|master| master != SWITCH),
        })
        .collect(),
    ))
}

/// The virtual links: loopback, bridges, tunnels, and those of pods.
fn virtual_links(ip_addr: &str) -> BTreeSet<String> {
    let links: Vec<Value> = serde_json::from_str(ip_addr).unwrap_or_default();
    let carried: BTreeSet<String> =
        links.iter().filter(|link| has_global(link)).map(|link| text(link, "/ifname")).collect();
    let made = |link: &&Value| {
        let kind = text(link, "/linkinfo/info_kind");
        let loopback = link["link_type"] == "loopback";
        // A container's only NIC is a veth too: one with an address is the node's.
        let pod = kind == "veth" && !carried.contains(&text(link, "/ifname"));
        loopback
            || pod
            || ["bridge", "vxlan", "openvswitch", "dummy", "tun", "ipvs", "ip6tnl", "sit"]
                .contains(&kind.as_str())
    };
    links.iter().filter(made).map(|link| text(link, "/ifname")).collect()
}

fn has_global(link: &Value) -> bool {
    items(link, "/addr_info").iter().any(|address| address["scope"] == "global")
}

/// The VLAN bridges of the node, with their parents and VLANs.
async fn vlan_bridges(host: &dyn Host) -> Result<BTreeMap<String, (String, u16)>> {
    if host.find("ovs-vsctl").await?.is_none() {
        return Ok(BTreeMap::new());
    }
    let ovs = OvsState::read(host).await.unwrap_or_default();
    let fake = ovs.ports().filter(|(_, port)| port.fake_bridge);
    Ok(fake
        .filter_map(|(bridge, port)| Some((port.name.clone(), (bridge.name.clone(), port.tag?))))
        .collect())
}

fn attachment(cx: &Context, object: &Value, vlan_bridges: &BTreeMap<String, (String, u16)>) -> Network {
    let config: Value = serde_json::from_str(&text(object, "/spec/config")).unwrap_or_default();
    let conf = config.as_object().map(NetConf::read).unwrap_or_default();
    let named = conf.bridge().map(str::to_owned);
    let vlan = conf.maker().and_then(|plugin| plugin.vlan);
    let (bridge, vlan) = match named.as_ref().and_then(|name| vlan_bridges.get(name)) {
        Some((parent, tag)) => (Some(parent.clone()), Some(*tag)),
        None => (named, vlan),
    };
    let subnet = addresses(&conf, &cx.profile);
    let name = full_name(object);
    Network { name, kind: conf.kind().into(), bridge, vlan, subnet }
}

/// A pod with NICs of its own, and its node.
fn pod(object: &Value) -> Option<(String, Guest)> {
    let is_launcher = object["metadata"]["labels"][LAUNCHER.0] == LAUNCHER.1;
    let ended = ["Succeeded", "Failed"].contains(&text(object, "/status/phase").as_str());
    if object["spec"]["hostNetwork"] == true || is_launcher || ended {
        return None;
    }
    let owner = items(object, "/metadata/ownerReferences").first();
    let guest = Guest {
        kind: GuestKind::Pod,
        namespace: text(object, "/metadata/namespace"),
        name: text(object, "/metadata/name"),
        phase: text(object, "/status/phase"),
        owner: owner.map(|owner| text(owner, "/name")),
        nics: pod_nics(object),
    };
    Some((text(object, "/spec/nodeName"), guest))
}

fn pod_nics(object: &Value) -> Vec<Nic> {
    let (wishes, told) = (asked(object).wishes, reported(object));
    // An older Multus reports the name in a network's CNI configuration: the attachment is the one that was asked for.
    let mut networks: Vec<String> = told.iter().map(|nic| nic.network.clone()).collect();
    for (wish, place) in wishes.iter().zip(pairs(&wishes, &told, &|_| None)) {
        if let Some(network) = place.and_then(|place| networks.get_mut(place)) {
            *network = wish.network();
        }
    }
    let nic = |(nic, network): (&Reported, String)| Nic {
        name: nic.interface.clone(),
        network: if nic.default { POD_NETWORK.into() } else { network },
        mac: nic.mac.clone().unwrap_or_default(),
        addresses: nic.ips.iter().map(ToString::to_string).collect(),
    };
    let nics: Vec<Nic> = told.iter().zip(networks).map(nic).collect();
    let address = text(object, "/status/podIP");
    if nics.is_empty() && !address.is_empty() {
        let (name, network) = ("eth0".into(), POD_NETWORK.into());
        return vec![Nic { name, network, addresses: vec![address], ..Nic::default() }];
    }
    nics
}

/// A scheduled VM, and its node.
fn vm(object: &Value) -> Option<(String, Guest)> {
    let namespace = text(object, "/metadata/namespace");
    let nic = |network: &Value| {
        let name = text(network, "/name");
        let status = status_of(object, &name);
        let told = |status: &'_ Value| match items(status, "/ipAddresses") {
            [] => Some(status["ipAddress"].clone()).filter(Value::is_string).into_iter().collect(),
            several => several.to_vec(),
        };
        let addresses = status.map(told).unwrap_or_default();
        let multus = text(network, "/multus/networkName");
        Nic {
            network: match (multus.is_empty(), multus.contains('/')) {
                (true, _) => POD_NETWORK.into(),
                (false, true) => multus,
                (false, false) => format!("{namespace}/{multus}"),
            },
            mac: status.map(|status| text(status, "/mac")).unwrap_or_default(),
            addresses: addresses.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            name,
        }
    };
    let guest = Guest {
        kind: GuestKind::Vm,
        name: text(object, "/metadata/name"),
        phase: text(object, "/status/phase"),
        owner: None,
        nics: items(object, "/spec/networks").iter().map(nic).collect(),
        namespace: namespace.clone(),
    };
    let node = text(object, "/status/nodeName");
    (!node.is_empty()).then_some((node, guest))
}

/// KubeVirt's status of a NIC: by its name, or, in 2018, by the order of the NICs.
fn status_of<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let told = items(object, "/status/interfaces");
    let wanted = items(object, "/spec/domain/devices/interfaces");
    let place = wanted.iter().position(|nic| nic["name"] == name);
    let nameless = told.iter().all(|status| status["name"].is_null());
    told.iter().find(|status| status["name"] == name).or_else(|| told.get(place?).filter(|_| nameless))
}

impl Topology {
    /// Adds the networks that a NIC is on although their attachment is gone.
    fn with_unknown_networks(mut self) -> Self {
        let nics = self.nodes.iter().flat_map(|node| &node.guests).flat_map(|guest| &guest.nics);
        let known: BTreeSet<&str> = self.networks.iter().map(|network| network.name.as_str()).collect();
        let gone: BTreeSet<String> =
            nics.map(|nic| nic.network.clone()).filter(|name| !known.contains(name.as_str())).collect();
        let gone = gone.into_iter().map(|name| Network { name, kind: "gone".into(), ..Network::default() });
        self.networks.extend(gone);
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::ovs::{OvsBridge, OvsInterface, OvsPort};

    #[test]
    fn the_nics_of_a_bond_are_uplinks_and_its_trunks_are_carried() {
        let port = |name: &str, interfaces: &[&str], tag, trunks: &[u16]| OvsPort {
            name: name.into(),
            tag,
            trunks: trunks.to_vec(),
            interfaces: interfaces
                .iter()
                .map(|name| OvsInterface { name: (*name).into(), ..OvsInterface::default() })
                .collect(),
            ..OvsPort::default()
        };
        let bridge = OvsBridge {
            name: "br-ext".into(),
            ports: vec![
                port("bond0", &["eth2", "eth1"], None, &[30, 40]),
                port("veth1", &["veth1"], Some(50), &[]),
            ],
            ..OvsBridge::default()
        };
        let cards = ["eth0", "eth1", "eth2"].map(|name| Card { name: name.into(), ..Card::default() });
        let shown = ovs_bridge(&bridge, &cards);
        assert_eq!((shown.uplinks, shown.vlans), (vec!["eth1".into(), "eth2".into()], vec![30, 40, 50]));
    }

    #[test]
    fn a_vms_nics_are_told_by_name_and_in_2018_by_their_order() {
        let networks =
            json!([{"name": "default", "pod": {}}, {"name": "blue", "multus": {"networkName": "lan"}}]);
        let interfaces = json!([{"name": "blue"}, {"name": "default"}]);
        let mut vmi = json!({"metadata": {"namespace": "n", "name": "vm"}, "spec": {"networks": networks,
            "domain": {"devices": {"interfaces": interfaces}}}, "status": {"nodeName": "n1"}});
        let shown = |vmi: &Value| -> Vec<String> {
            let nics = vm(vmi).unwrap().1.nics;
            nics.iter()
                .map(|nic| format!("{} {} {}", nic.name, nic.network, nic.addresses.join(",")))
                .collect()
        };
        vmi["status"]["interfaces"] = json!([
            {"name": "blue", "ipAddresses": ["10.20.0.9", "fd00::9"]},
            {"name": "default", "ipAddress": "10.244.0.9"},
        ]);
        assert_eq!(shown(&vmi), ["default pod network 10.244.0.9", "blue n/lan 10.20.0.9,fd00::9"]);
        vmi["status"]["interfaces"] = json!([{"ipAddress": "10.20.0.9"}, {"ipAddress": "10.244.0.9"}]);
        assert_eq!(shown(&vmi), ["default pod network 10.244.0.9", "blue n/lan 10.20.0.9"]);
    }

    #[test]
    fn an_older_multus_reports_the_name_in_the_configuration() {
        let pod = json!({"metadata": {"namespace": "n", "annotations": {
            "k8s.v1.cni.cncf.io/networks": "lan",
            "k8s.v1.cni.cncf.io/networks-status":
                r#"[{"name":"cbr0","interface":"eth0","ips":["10.244.0.9"]},{"name":"","interface":"net1","ips":["10.20.0.9"]}]"#,
        }}});
        let shown: Vec<String> = pod_nics(&pod)
            .iter()
            .map(|nic| format!("{} {} {}", nic.name, nic.network, nic.addresses.join(",")))
            .collect();
        assert_eq!(shown, ["eth0 pod network 10.244.0.9", "net1 n/lan 10.20.0.9"]);
    }
}
