//! The CNI configuration of a network, and its meaning.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::validate::guest;
use super::validate::raw::doubts;
use super::validate::reserved::is_link_local;
use super::{Ipam, IpamType, Network, NetworkKind, Profile};
use crate::formats::cni::{NetConf, Port, all_types, nearest};

/// The annotation of an attachment with the resource that a node must offer; KubeVirt requests it for a VM's pod.
pub const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";
/// The resource prefix under which ovs-cni's marker publishes each bridge of a node.
pub const MARKER_DOMAIN: &str = "ovs-cni.network.kubevirt.io/";

/// Where flannel keeps its state of attachments' NICs.
pub const FLANNEL_DATA: &str = "/var/lib/cni/flannel-attached";

impl Network {
    /// The CNI configuration of a network; `pod_network` is the name of the pod network in its own CNI configuration.
    ///
    /// A NIC on the pod network shares the pods' leases only under that name, and flannel loses the lease of a pod's
    /// first NIC when both keep their state in one directory.
    pub fn cni_config(&self, pod_network: &str) -> Map<String, Value> {
        match &self.kind {
            NetworkKind::Ovs { bridge, vlan, trunk, mtu, ipam, cni_version } => object([
                ("cniVersion", Some(json!(cni_version))),
                ("type", Some(json!("ovs"))),
                ("bridge", Some(json!(bridge))),
                ("vlan", vlan.map(Value::from)),
                ("trunk", (!trunk.is_empty()).then(|| json!(trunk))),
                ("mtu", mtu.map(Value::from)),
                ("ipam", ipam.as_ref().map(addresses)),
            ]),
            NetworkKind::Bridge { bridge, is_gateway, ipam, cni_version } => object([
                ("cniVersion", Some(json!(cni_version))),
                ("name", Some(json!(self.name))),
                ("type", Some(json!("bridge"))),
                ("bridge", Some(json!(bridge))),
                ("isGateway", is_gateway.then_some(json!(true))),
                ("ipam", ipam.as_ref().map(addresses)),
            ]),
            NetworkKind::Flannel { delegate, cni_version } => object([
                ("cniVersion", Some(json!(cni_version))),
                ("name", Some(json!(pod_network))),
                ("type", Some(json!("flannel"))),
                ("dataDir", Some(json!(FLANNEL_DATA))),
                ("delegate", (!delegate.is_empty()).then(|| Value::Object(delegate.clone()))),
            ]),
            NetworkKind::Raw { config } => config.clone(),
        }
    }

    /// Every plugin that it calls.
    pub fn plugins(&self) -> Vec<String> {
        all_types(&Value::Object(self.cni_config("")))
    }

    /// Its configuration, in one view for every kind.
    pub fn netconf(&self) -> NetConf {
        NetConf::read(&self.cni_config(""))
    }
}

impl Profile {
    /// The port of Open vSwitch that a NIC on a network gets: that of a VLAN bridge is a tagged port of its parent.
    pub fn port_of(&self, network: &Network) -> Option<Port> {
        let port = network.netconf().port()?;
        let child = self.ovs.bridges.iter().find_map(|parent| {
            let child = parent.vlans.iter().find(|child| child.name == port.bridge)?;
            Some(Port { bridge: parent.name.clone(), vlan: Some(child.vlan), trunks: Vec::new() })
        });
        Some(child.unwrap_or(port))
    }

    /// The annotations of a network's attachment: the profile's, and the one that schedules a VM to a node with its
    /// bridge.
    ///
    /// Only bridges of the profile count: unmanaged ones need not be published when a VM starts.
    pub fn annotations_of(&self, network: &Network) -> BTreeMap<String, String> {
        let mut annotations = network.annotations.clone();
        let bridge = self.port_of(network).map(|port| port.bridge);
        let own = bridge.filter(|name| self.ovs.bridges.iter().any(|bridge| bridge.name == *name));
        if let Some(bridge) = own.filter(|_| self.ovs_cni.enabled && self.ovs_cni.publishes_bridges()) {
            annotations.entry(RESOURCE_NAME.into()).or_insert_with(|| format!("{MARKER_DOMAIN}{bridge}"));
        }
        annotations
    }

    /// How many verification pods a network gets: two where they can reach each other, none where the profile leaves it
    /// out.
    pub fn probes_on(&self, network: &Network) -> usize {
        let conf = network.netconf();
        let is_fixed = conf.ipam().is_none_or(|ipam| ipam.kind == "static");
        let meet = conf.maker().is_some_and(|maker| match maker.kind.as_str() {
            "ovs" | "bridge" => maker.trunks.is_empty(),
            // In its other modes NICs on one link are kept apart, or need a switch that sends frames back.
            "macvlan" => {
                matches!(maker.settings.get("mode").and_then(Value::as_str), None | Some("" | "bridge"))
            }
            _ => false,
        });
        match (network.verify, meet && !is_fixed && self.subnets_of(network).len() == 1) {
            (false, _) => 0,
            (true, true) => 2,
            (true, false) => 1,
        }
    }

    /// What is valid but rarely intended, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let of = |network: &Network| {
            let subnets =
                network.netconf().ipam().map(crate::formats::cni::Ipam::subnets).unwrap_or_default();
            let told = |subnet: ipnet::IpNet| {
                format!("network {}: {subnet} is link-local, which is not routed", network.full_name())
            };
            let doubtful = network.plugins().into_iter().filter_map(|kind| {
                let meant = nearest(&kind)?;
                Some(format!("network {}: plugin `{kind}` is unknown; did you mean `{meant}`?", network.name))
            });
            let conf = network.netconf();
            let raw = conf.plugins.iter().filter(|_| matches!(network.kind, NetworkKind::Raw { .. }));
            let fields = raw.flat_map(doubts);
            let fields = fields.map(|told| format!("network {}: {told}", network.name)).collect::<Vec<_>>();
            let link_local = subnets.into_iter().filter(is_link_local).map(told);
            link_local.chain(doubtful).chain(fields).collect::<Vec<_>>()
        };
        self.networks.iter().flat_map(of).chain(guest::warnings(self)).collect()
    }

    /// The subnets that addresses of a network are in; none when it gives none, or when they are unknown.
    pub fn subnets_of(&self, network: &Network) -> Vec<String> {
        self.subnets_by(&network.netconf())
    }

    /// As [`Profile::subnets_of`], by what its attachment says.
    pub fn subnets_by(&self, conf: &NetConf) -> Vec<String> {
        if conf.kind() == "flannel" {
            return vec![self.cluster.pod_subnet.clone()];
        }
        let subnets = conf.ipam().map(crate::formats::cni::Ipam::subnets).unwrap_or_default();
        subnets.iter().map(ToString::to_string).collect()
    }
}

fn addresses(ipam: &Ipam) -> Value {
    match ipam.kind {
        IpamType::HostLocal => host_local(ipam),
        IpamType::Whereabouts => whereabouts(ipam),
    }
}

fn text(field: Option<&String>) -> Option<Value> {
    field.map(|text| json!(text))
}

/// The kubeconfig is not named: whereabouts' pods write it, and the file that names it, where the plugin looks by itself.
fn whereabouts(ipam: &Ipam) -> Value {
    Value::Object(object([
        ("type", Some(json!("whereabouts"))),
        ("range", Some(json!(ipam.range))),
        ("range_start", text(ipam.range_start.as_ref())),
        ("range_end", text(ipam.range_end.as_ref())),
        ("exclude", (!ipam.exclude.is_empty()).then(|| json!(ipam.exclude))),
        ("gateway", text(ipam.gateway.as_ref())),
        ("routes", (!ipam.routes.is_empty()).then(|| json!(ipam.routes))),
    ]))
}

fn host_local(ipam: &Ipam) -> Value {
    Value::Object(object([
        ("type", Some(json!("host-local"))),
        ("subnet", (!ipam.subnet.is_empty()).then(|| json!(ipam.subnet))),
        ("rangeStart", text(ipam.range_start.as_ref())),
        ("rangeEnd", text(ipam.range_end.as_ref())),
        ("gateway", text(ipam.gateway.as_ref())),
        ("ranges", (!ipam.ranges.is_empty()).then(|| json!(ipam.ranges))),
        ("routes", (!ipam.routes.is_empty()).then(|| json!(ipam.routes))),
        ("dataDir", text(ipam.data_dir.as_ref())),
    ]))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
