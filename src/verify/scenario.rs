//! Which pods to start for a profile, and what must and must not reach what.

use std::collections::BTreeSet;

use super::isolation;
use crate::profile::{Network, NetworkKind, Profile};

/// The pods of a verification and the checks between them. Their number grows with the networks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// The pods.
    pub pods: Vec<Probe>,
    /// Pairs of pods, by name, that must reach each other over their second NIC.
    pub reach: Vec<(String, String)>,
    /// Pairs of pods, by name, that must not; the second one has an address.
    pub isolated: Vec<(String, String)>,
    /// Pods that only serve others: their NICs were looked at before.
    pub again: BTreeSet<String>,
}

/// A pod with one extra NIC.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The pod's name.
    pub name: String,
    /// The network that it asks for.
    pub network: Network,
    /// The subnet that its address must be in; none when it must have no address, or when it is not known.
    pub subnet: Option<String>,
    /// Whether the NIC gets an address; none when the profile does not say.
    pub address: Option<bool>,
    /// The MTU of the NIC, when the profile sets it.
    pub mtu: Option<u32>,
    /// The Open vSwitch bridge and VLAN that its port must have.
    pub port: Option<(String, Option<u16>)>,
}

impl Scenario {
    /// The scenario of a profile: two pods for each network on which two with addresses can meet, one for each other one,
    /// none for those that the profile leaves out.
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
    /// What its NIC must have.
    pub fn line(&self) -> String {
        nic_line("net1", self)
    }
}

/// What a NIC on the network of a probe must have.
pub(super) fn nic_line(nic: &str, probe: &Probe) -> String {
    let address = match (probe.address, &probe.subnet) {
        (_, Some(subnet)) => format!("an address in {subnet}"),
        (Some(false), None) => "no address".into(),
        (_, None) => "a link".into(),
    };
    let port = match &probe.port {
        Some((bridge, Some(vlan))) => format!(", a port of {bridge} with VLAN {vlan}"),
        Some((bridge, None)) => format!(", an untagged port of {bridge}"),
        None => String::new(),
    };
    format!("{nic} has {address}{port}")
}

fn probes(network: &Network, profile: &Profile) -> Vec<Probe> {
    let subnet = match &network.kind {
        NetworkKind::Ovs { ipam, .. } | NetworkKind::Bridge { ipam, .. } => {
            ipam.as_ref().map(|i| i.subnet.clone())
        }
        NetworkKind::Flannel { .. } => Some(profile.cluster.pod_subnet.clone()),
        NetworkKind::Raw { .. } => None,
    };
    let address = (!matches!(network.kind, NetworkKind::Raw { .. })).then_some(subnet.is_some());
    let port = match &network.kind {
        NetworkKind::Ovs { bridge, vlan, .. } => Some(port_of(bridge, *vlan, profile)),
        _ => None,
    };
    let meets = matches!(network.kind, NetworkKind::Ovs { .. } | NetworkKind::Bridge { .. });
    let count = if meets && subnet.is_some() { 2 } else { 1 };
    let prefix = if network.namespace == "default" {
        network.name.clone()
    } else {
        format!("{}-{}", network.namespace, network.name)
    };
    let probe = |number: usize| Probe {
        name: format!("{prefix}-{number}"),
        network: network.clone(),
        subnet: subnet.clone(),
        address,
        mtu: mtu_of(network),
        port: port.clone(),
    };
    (1..=count).map(probe).collect()
}

/// The MTU that the profile declares for a network.
fn mtu_of(network: &Network) -> Option<u32> {
    let given = |config: &serde_json::Map<String, serde_json::Value>| config.get("mtu")?.as_u64();
    let mtu = match &network.kind {
        NetworkKind::Ovs { mtu, .. } => mtu.map(u64::from),
        NetworkKind::Bridge { .. } => None,
        NetworkKind::Flannel { delegate, .. } => given(delegate),
        NetworkKind::Raw { config } => given(config),
    };
    // The plugins take 0 for "as the kernel likes".
    mtu.and_then(|mtu| u32::try_from(mtu).ok()).filter(|mtu| *mtu > 0)
}

/// A port of a VLAN bridge is a tagged port of its parent.
fn port_of(bridge: &str, vlan: Option<u16>, profile: &Profile) -> (String, Option<u16>) {
    for parent in &profile.ovs.bridges {
        if let Some(child) = parent.vlans.iter().find(|child| child.name == bridge) {
            return (parent.name.clone(), Some(child.vlan));
        }
    }
    (bridge.to_owned(), vlan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Bridge, Ipam};

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
