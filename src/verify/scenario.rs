//! The pods to start for a profile, and which of them must and must not reach each other.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::isolation;
use crate::formats::cni::Port;
use crate::profile::{Network, Profile};

/// The pods of a verification and the checks between them. Their number is linear in that of the networks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    pub pods: Vec<Probe>,
    /// Pairs of pods, by name, that must reach each other over their second NIC.
    pub reach: Vec<(String, String)>,
    /// Pairs of pods, by name, that must not reach each other; the second one has an address.
    pub isolated: Vec<(String, String)>,
    /// Pods that only serve as peers: their NICs were checked before.
    pub again: BTreeSet<String>,
}

/// A pod with one extra NIC.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The pod's name.
    pub name: String,
    /// The network that it asks for.
    pub network: Network,
    /// The subnet that its address must be in; none for no address, for one of several subnets, or when unknown.
    pub subnet: Option<String>,
    /// Whether the NIC gets an address; none when the profile does not say.
    pub address: Option<bool>,
    /// The MTU of the NIC, when the profile sets it.
    pub mtu: Option<u32>,
    /// The Open vSwitch port that it must have.
    pub port: Option<Port>,
}

impl Scenario {
    /// The scenario of a profile: two pods for each network on which two with addresses can reach each other, one for each
    /// other network, none for those that the profile excludes.
    pub fn of(profile: &Profile) -> Self {
        let verified = profile.networks.iter().filter(|network| network.verify);
        let pods: Vec<Probe> = verified.flat_map(|network| probes(network, profile)).collect();
        let (reach, isolated) = (reach(&pods), isolation::pairs(&pods));
        Self { pods, reach, isolated, again: BTreeSet::new() }
    }

    /// The pods whose NICs are checked.
    pub fn looked_at(&self) -> impl Iterator<Item = &Probe> {
        self.pods.iter().filter(|probe| !self.again.contains(&probe.name))
    }

    /// One line for each check.
    pub fn checks(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.looked_at().map(|probe| format!("{}: {}", probe.name, probe.line())).collect();
        lines.extend(self.reach.iter().map(|(one, other)| format!("{one} reaches {other}")));
        lines.extend(self.isolated.iter().map(|(one, other)| format!("{one} does not reach {other}")));
        lines
    }
}

/// The two pods of each network that has two.
fn reach(pods: &[Probe]) -> Vec<(String, String)> {
    let on_one = pods.windows(2).filter(|pair| pair[0].network == pair[1].network);
    on_one.map(|pair| (pair[0].name.clone(), pair[1].name.clone())).collect()
}

impl Probe {
    /// What the NIC must have, in words.
    pub fn line(&self) -> String {
        nic_line("net1", self)
    }
}

/// What a NIC on a probe's network must have, in words.
pub(super) fn nic_line(nic: &str, probe: &Probe) -> String {
    let address = match (probe.address, &probe.subnet) {
        (_, Some(subnet)) => format!("an address in {subnet}"),
        (Some(false), None) => "no address".into(),
        (Some(true), None) => "an address".into(),
        (None, None) => "a link".into(),
    };
    let port = match &probe.port {
        Some(Port { bridge, vlan: None, trunks }) if trunks.is_empty() => {
            format!(", an untagged port of {bridge}")
        }
        Some(port) => format!(", a port of {} with {port}", port.bridge),
        None => String::new(),
    };
    format!("{nic} has {address}{port}")
}

fn probes(network: &Network, profile: &Profile) -> Vec<Probe> {
    let conf = network.netconf();
    let (address, port) = (conf.gives_addresses(), profile.port_of(network));
    let mut subnets = profile.subnets_of(network);
    let subnet = if subnets.len() == 1 { subnets.pop() } else { None };
    let count = profile.probes_on(network);
    let prefix = prefix(network, profile);
    let probe = |number: usize| Probe {
        name: format!("{prefix}-{number}"),
        network: network.clone(),
        subnet: subnet.clone(),
        address,
        mtu: conf.mtu(),
        port: port.clone(),
    };
    (1..=count).map(probe).collect()
}

/// The longest prefix of a pod's name, which is also a label value.
const LONGEST: usize = 60;

/// The prefix of the names of a network's pods. Prefixes that are too long or not unique end in a digest.
fn prefix(network: &Network, profile: &Profile) -> String {
    const DIGITS: usize = 8;
    let plain = plain_prefix(network);
    let same = profile.networks.iter().filter(|other| plain_prefix(other) == plain).count();
    if plain.len() <= LONGEST && same <= 1 {
        return plain;
    }
    let digest = format!("{:x}", Sha256::digest(network.full_name()));
    let kept: String = plain.chars().take(LONGEST - DIGITS - 1).collect();
    format!("{}-{}", kept.trim_end_matches(['-', '.']), &digest[..DIGITS])
}

fn plain_prefix(network: &Network) -> String {
    match network.namespace.as_str() {
        "default" => network.name.clone(),
        namespace => format!("{namespace}-{}", network.name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile::{Bridge, Ipam, NetworkKind};

    fn ovs(name: &str, vlan: Option<u16>, subnet: Option<&str>) -> Network {
        let ipam = subnet.map(|subnet| Ipam { subnet: subnet.into(), ..Ipam::default() });
        let kind = NetworkKind::Ovs {
            bridge: "blue".into(),
            vlan,
            trunk: Vec::new(),
            mtu: None,
            ipam,
            cni_version: "0.3.1".into(),
        };
        Network::new(name, kind)
    }

    #[test]
    fn pods_have_valid_and_unique_names() {
        let in_namespace =
            |namespace: &str, name: &str| Network { namespace: namespace.into(), ..ovs(name, None, None) };
        let long = format!("{}.b", "a".repeat(200));
        let networks = vec![
            ovs("short", None, None),
            in_namespace("default", &long),
            in_namespace("other", &long),
            in_namespace("a-b", "c"),
            in_namespace("a", "b-c"),
        ];
        let profile = Profile { networks: networks.clone(), ..Profile::default() };
        let names: Vec<String> =
            networks.iter().flat_map(|network| probes(network, &profile)).map(|probe| probe.name).collect();
        assert_eq!(names[0], "short-1");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        for name in &names {
            assert!(crate::formats::names::is_label(name), "{name}");
        }
    }

    fn raw(name: &str, config: serde_json::Value) -> Network {
        let serde_json::Value::Object(config) = config else { panic!("an object") };
        Network::new(name, NetworkKind::Raw { config })
    }

    #[test]
    fn a_raw_network_is_checked_as_the_same_one_of_a_kind() {
        let mut profile = Profile::default();
        profile.ovs.bridges = vec![Bridge { name: "blue".into(), ..Bridge::default() }];
        let plugin = json!({"type": "ovs", "bridge": "blue", "vlan": 100, "mtu": 1400,
            "ipam": {"type": "host-local", "subnet": "10.20.100.0/24"}});
        let checks = |networks: Vec<Network>| Scenario::of(&Profile { networks, ..profile.clone() });
        let kind = checks(vec![ovs("n", Some(100), Some("10.20.100.0/24"))]).checks();
        for config in [plugin.clone(), json!({"plugins": [plugin, {"type": "tuning"}]})] {
            let scenario = checks(vec![raw("n", config)]);
            assert_eq!(scenario.checks(), kind);
            assert_eq!(scenario.pods[0].mtu, Some(1400));
        }
    }

    #[test]
    fn what_is_not_known_of_a_network_is_not_expected() {
        let line = |config| {
            let networks = vec![raw("n", config)];
            Scenario::of(&Profile { networks, ..Profile::default() }).checks().join("; ")
        };
        assert_eq!(line(json!({"type": "kube-ovn"})), "n-1: net1 has a link");
        assert_eq!(line(json!({"type": "macvlan"})), "n-1: net1 has no address");
        assert_eq!(line(json!({"type": "macvlan", "ipam": {"type": "dhcp"}})), "n-1: net1 has an address");
        assert_eq!(
            line(json!({"type": "ovs", "bridge": "b", "trunk": [{"minID": 100, "maxID": 104}, {"id": 200}]})),
            "n-1: net1 has no address, a port of b with VLANs 100-104, 200 tagged"
        );
        assert_eq!(
            line(
                json!({"type": "ovs", "bridge": "b", "ipam": {"type": "static", "addresses": [{"address": "10.9.0.5/24"}]}})
            ),
            "n-1: net1 has an address in 10.9.0.0/24, an untagged port of b"
        );
    }

    #[test]
    fn same_vlan_reaches_another_does_not_and_a_bare_link_is_only_looked_at() {
        let mut profile = Profile::default();
        profile.ovs.bridges = vec![Bridge { name: "blue".into(), ..Bridge::default() }];
        profile.networks = vec![
            ovs("blue", None, Some("10.20.0.0/24")),
            ovs("blue100", Some(100), Some("10.20.100.0/24")),
            ovs("l2", None, None),
        ];
        assert_eq!(
            Scenario::of(&profile).checks(),
            [
                "blue-1: net1 has an address in 10.20.0.0/24, an untagged port of blue",
                "blue-2: net1 has an address in 10.20.0.0/24, an untagged port of blue",
                "blue100-1: net1 has an address in 10.20.100.0/24, a port of blue with VLAN 100",
                "blue100-2: net1 has an address in 10.20.100.0/24, a port of blue with VLAN 100",
                "l2-1: net1 has no address, an untagged port of blue",
                "blue-1 reaches blue-2",
                "blue100-1 reaches blue100-2",
                "blue-1 does not reach blue100-1",
                "l2-1 does not reach blue100-1",
            ]
        );
    }
}
