//! Open vSwitch, its CNI plugin, and the network attachments.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IpamType, Source};

/// The datapath of an Open vSwitch bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// The kernel's: needs the module openvswitch.
    #[default]
    System,
    /// In user space: works on every kernel, slower.
    Netdev,
    /// The kernel's when its module is available, user space otherwise.
    Auto,
}

/// Open vSwitch and its bridges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ovs {
    /// Whether kvnet manages Open vSwitch.
    pub enabled: bool,
    /// The distribution's package; `auto` knows apt, dnf, yum, zypper, pacman and apk.
    pub package: String,
    /// The service that runs it; `auto` knows the distributions.
    pub service: String,
    /// The datapath of bridges that do not set their own.
    pub datapath: Datapath,
    /// The bridges.
    pub bridges: Vec<Bridge>,
}

impl Default for Ovs {
    fn default() -> Self {
        Self {
            enabled: true,
            package: "auto".into(),
            service: "auto".into(),
            datapath: Datapath::Auto,
            bridges: Vec::new(),
        }
    }
}

/// An Open vSwitch bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bridge {
    /// Its name: at most 15 characters.
    pub name: String,
    /// Its datapath; by default that of `ovs.datapath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapath: Option<Datapath>,
    /// The NIC of the node that connects the bridge to the outside. One with an address or the default route is
    /// refused. A second uplink of the bridge, or of what patch ports and veth pairs join it to, causes a warning
    /// unless a spanning tree guards it: frames loop when both lead to one network, which kvnet cannot see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// VLAN bridges on it (`ovs-vsctl add-br NAME PARENT VLAN`), a convenience of the host.
    #[serde(default)]
    pub vlans: Vec<VlanBridge>,
}

/// A bridge for one VLAN of its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VlanBridge {
    /// Its name: at most 15 characters.
    pub name: String,
    /// The VLAN: 1 to 4094.
    pub vlan: u16,
}

/// The CNI plugin that connects pods to Open vSwitch bridges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OvsCni {
    /// Whether kvnet installs it.
    pub enabled: bool,
    /// The release, for example `v0.39.0`, or a commit. An image that no profile sets follows it. Before v0.7.0, and for
    /// commits, networks may also name VLAN bridges.
    pub version: String,
    /// The manifest.
    pub source: Source,
    /// The image.
    pub image: String,
}

impl Default for OvsCni {
    fn default() -> Self {
        Self {
            enabled: true,
            version: "v0.39.0".into(),
            source: Source::default(),
            image: "ghcr.io/k8snetworkplumbingwg/ovs-cni-plugin:v0.39.0".into(),
        }
    }
}

/// A network attachment: what a pod or VM names to get another NIC.
// serde's `deny_unknown_fields` would refuse `kind` itself here, because the flattened part borrows its fields. Loading
// checks against the schema, which refuses unknown fields for each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// The name of the `NetworkAttachmentDefinition`.
    pub name: String,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Annotations of the `NetworkAttachmentDefinition`. On a bridge of the profile kvnet adds `k8s.v1.cni.cncf.io/resourceName`:
    /// `KubeVirt` requests that resource, so that a VM is scheduled to a node with the bridge.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether the verification starts pods on it; off for a network that needs something from each pod, such as an
    /// address.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub verify: bool,
    /// What makes the NIC.
    #[serde(flatten)]
    pub kind: NetworkKind,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl Network {
    /// A network of that name, with defaults for everything else.
    pub fn new(name: impl Into<String>, kind: NetworkKind) -> Self {
        let (name, namespace) = (name.into(), default_namespace());
        Self { name, namespace, annotations: BTreeMap::new(), verify: true, kind }
    }

    /// Its `ipam`, where the kind has one of its own.
    pub fn ipam(&self) -> Option<&Ipam> {
        match &self.kind {
            NetworkKind::Ovs { ipam, .. } | NetworkKind::Bridge { ipam, .. } => ipam.as_ref(),
            NetworkKind::Flannel { .. } | NetworkKind::Raw { .. } => None,
        }
    }

    /// Whether its `ipam` names whereabouts. A raw network may use one that kvnet does not install.
    pub fn is_of_whereabouts(&self) -> bool {
        self.ipam().is_some_and(|ipam| ipam.kind == IpamType::Whereabouts)
    }

    /// `NAME`, or `NAMESPACE/NAME` outside of the namespace default.
    pub fn full_name(&self) -> String {
        if self.namespace == default_namespace() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }
}

fn default_namespace() -> String {
    "default".into()
}

/// What makes the NIC of a network attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum NetworkKind {
    /// A port of an Open vSwitch bridge.
    Ovs {
        /// The bridge, by the name of a real bridge.
        bridge: String,
        /// The VLAN of the port: 1 to 4094; none means untagged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vlan: Option<u16>,
        /// The VLANs that the port carries tagged; none, and no `vlan`, means all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        trunk: Vec<Trunk>,
        /// The MTU of the NIC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtu: Option<u16>,
        /// The address; none means layer 2 only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ipam: Option<Ipam>,
        /// The CNI version of the configuration.
        #[serde(default = "default_cni_version")]
        cni_version: String,
    },
    /// A port of a Linux bridge that the plugin creates.
    Bridge {
        /// The bridge: at most 15 characters.
        bridge: String,
        /// Whether the bridge gets the subnet's gateway address.
        #[serde(default)]
        is_gateway: bool,
        /// The address; none means layer 2 only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ipam: Option<Ipam>,
        /// The CNI version of the configuration.
        #[serde(default = "default_cni_version")]
        cni_version: String,
    },
    /// A second NIC on the pod network.
    Flannel {
        /// Fields for the bridge plugin that flannel calls.
        #[serde(default)]
        #[schemars(with = "BTreeMap<String, serde_json::Value>")]
        delegate: serde_json::Map<String, serde_json::Value>,
        /// The CNI version of the configuration.
        #[serde(default = "default_cni_version")]
        cni_version: String,
    },
    /// Any CNI configuration, taken as it is. What kvnet knows of its plugins is checked, drawn and verified as for the
    /// other kinds: ovs, bridge, flannel, macvlan, ipvlan, vlan, host-device, sriov, and their addresses; others are
    /// not checked. What a plugin of containernetworking/plugins, ovs-cni or sriov-cni refuses without reading the node
    /// is refused here, at its line: the types of its fields, what it requires with it, its place in a chain, the CNI
    /// version.
    Raw {
        /// The configuration; must have `type` or `plugins`.
        #[schemars(with = "BTreeMap<String, serde_json::Value>")]
        config: serde_json::Map<String, serde_json::Value>,
    },
}

/// VLANs of a trunk: one by `id`, or all from `minID` to `maxID`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trunk {
    /// One VLAN: 0 to 4094.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u16>,
    /// The first VLAN of a range.
    #[serde(default, rename = "minID", skip_serializing_if = "Option::is_none")]
    pub min_id: Option<u16>,
    /// The last VLAN of a range.
    #[serde(default, rename = "maxID", skip_serializing_if = "Option::is_none")]
    pub max_id: Option<u16>,
}

fn default_cni_version() -> String {
    "0.3.1".into()
}

/// Addresses from an IPAM plugin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ipam {
    /// The plugin. `whereabouts` must be enabled where a network names it.
    #[serde(default, rename = "type", skip_serializing_if = "IpamType::is_default")]
    pub kind: IpamType,
    /// For `whereabouts`: the range, as a subnet in CIDR notation, or as `FIRST-LAST/PREFIX`. Networks with the same
    /// range share its addresses; ranges that only overlap are refused.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub range: String,
    /// For `whereabouts`: subnets and addresses of the range that are not given out. It gives out the gateway's address
    /// as well, unless that is outside of the range or excluded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// For `host-local`: the subnet, in CIDR notation; only `ranges` takes its place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subnet: String,
    /// The first address to give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_start: Option<String>,
    /// The last address to give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// For `host-local`: sets of ranges; a NIC gets one address of each set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Vec<AddressRange>>,
    /// Routes of the NIC.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    /// For `host-local`: where it keeps its leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
}

/// Addresses to give out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddressRange {
    /// The subnet, in CIDR notation.
    pub subnet: String,
    /// The first address to give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_start: Option<String>,
    /// The last address to give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
}

/// A route that comes with an address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Where it leads, in CIDR notation.
    pub dst: String,
    /// The router; none means the subnet's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gw: Option<String>,
}
