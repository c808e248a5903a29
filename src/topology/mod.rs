//! What is connected to what: nodes, NICs, bridges, VLANs, attachments, and the NICs of pods and VMs.
//!
//! [`live`] and [`declared`] collect it, [`picture`] arranges it, and a file for each format draws the picture.

mod declared;
mod dot;
mod html;
mod live;
mod picture;
mod svg;
mod text;

use serde::Serialize;

use crate::formats::cni::NetConf;
use crate::profile::Profile;

pub use declared::declared;
pub use dot::dot;
pub use html::html;
pub use live::live;
pub use svg::svg;
pub use text::text;

/// The name of the pods' first network, which has no attachment.
pub const POD_NETWORK: &str = "pod network";

/// Everything that is drawn.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Topology {
    /// Where it comes from, for people: the API server's address, or a profile's name.
    pub source: String,
    /// The nodes, by name.
    pub nodes: Vec<Node>,
    /// The pod network first, then the attachments by bridge, VLAN and name.
    pub networks: Vec<Network>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    pub name: String,
    /// Whether it is Ready; none when that is not known.
    pub ready: Option<bool>,
    pub addresses: Vec<String>,
    /// Its NICs; none when kvnet did not read this node.
    pub cards: Option<Vec<Card>>,
    /// What kvnet did not check on it, and why; none when it did.
    pub not_looked_at: Option<String>,
    pub bridges: Vec<Bridge>,
    /// The pods and VMs on it that have NICs of their own, by namespace and name.
    pub guests: Vec<Guest>,
}

/// A NIC of a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Card {
    pub name: String,
    pub addresses: Vec<String>,
    pub up: bool,
    /// Whether the node's default route goes over it.
    pub carries_node: bool,
    /// The bond or Linux bridge that it is a part of.
    pub part_of: Option<String>,
}

/// What makes a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BridgeKind {
    #[default]
    OpenVswitch,
    /// The kernel.
    Linux,
}

/// A bridge of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bridge {
    pub name: String,
    /// What makes it.
    pub kind: BridgeKind,
    /// The VLANs that it carries apart from untagged traffic, as far as they are known.
    pub vlans: Vec<u16>,
    /// Its uplinks, those of bonds one by one.
    pub uplinks: Vec<String>,
}

/// What a NIC is connected to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// `NAMESPACE/NAME` of the attachment, or [`POD_NETWORK`].
    pub name: String,
    /// The type of its CNI plugin: `ovs`, `bridge`, `flannel`.
    pub kind: String,
    /// The bridge that it names.
    pub bridge: Option<String>,
    /// The VLAN that it names.
    pub vlan: Option<u16>,
    /// The source of its addresses: subnets, or the plugin that knows them; none on layer 2 only.
    pub subnet: Option<String>,
}

fn addresses(conf: &NetConf, profile: &Profile) -> Option<String> {
    let subnets = profile.subnets_by(conf).join(", ");
    let plugin = || conf.ipam().map(|ipam| ipam.kind.clone());
    Some(subnets).filter(|subnets| !subnets.is_empty()).or_else(plugin).filter(|from| !from.is_empty())
}

/// A pod or a VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Guest {
    /// Which of the two.
    pub kind: GuestKind,
    pub namespace: String,
    pub name: String,
    /// `Running`, `Pending`.
    pub phase: String,
    /// Its owner, when that owns others like it.
    pub owner: Option<String>,
    /// Its NICs, in order.
    pub nics: Vec<Nic>,
}

/// Pod or VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GuestKind {
    /// A virtual machine.
    Vm,
    #[default]
    Pod,
}

/// A NIC of a pod or a VM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nic {
    /// Its name, in a VM the name from the VM's definition.
    pub name: String,
    /// The [`Network::name`] that it is on.
    pub network: String,
    /// Its MAC address; empty when it is not known.
    pub mac: String,
    pub addresses: Vec<String>,
}

impl Topology {
    /// Puts everything into the order that its fields promise.
    fn sorted(mut self) -> Self {
        self.nodes.sort_by(|one, other| one.name.cmp(&other.name));
        for node in &mut self.nodes {
            node.bridges.sort_by(|one, other| (one.kind, &one.name).cmp(&(other.kind, &other.name)));
            node.guests.sort_by(|one, other| {
                (one.kind, &one.namespace, &one.name).cmp(&(other.kind, &other.namespace, &other.name))
            });
        }
        let place = |network: &Network| {
            let is_pod = network.name == POD_NETWORK;
            // Without a bridge last: the others are above the bridge that they share.
            let bridge = network.bridge.clone();
            (!is_pod, network.kind != "ovs", bridge.is_none(), bridge, network.vlan, network.name.clone())
        };
        self.networks.sort_by_key(place);
        self.networks.dedup_by(|one, other| one.name == other.name);
        self
    }
}
