//! What is checked about the sample VM.

use crate::profile::{Binding, Profile, VmInterface};
use crate::verify::scenario::{Probe, Scenario, nic_line};

/// The sample VM and its NICs.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its NICs, in the profile's order.
    pub nics: Vec<NicPlan>,
}

/// One NIC and what it must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct NicPlan {
    /// Its name in the profile; the guest calls it as it likes.
    pub name: String,
    /// Its MAC address, by which the guest's NIC is found.
    pub mac: String,
    /// Its network as `namespace/name`; none for the pod network.
    pub network: Option<String>,
    /// Whether the guest is behind the pod's address.
    pub masquerade: bool,
    /// What a pod on the same network must have; none for the pod network.
    pub like: Option<Probe>,
    /// The MTU, when the profile sets it.
    pub mtu: Option<u32>,
    /// A pod on the same layer 2 network that has an address.
    pub peer: Option<String>,
    /// A pod on another VLAN of the same bridge.
    pub stranger: Option<String>,
}

/// One thing that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The NIC is as declared.
    Nic,
    /// The guest resolves names.
    Names,
    /// The guest reaches the peer.
    Reaches,
    /// The peer reaches the guest.
    Reached,
    /// The guest does not reach the stranger.
    Isolated,
}

/// A check: the NIC by its index, what, and the line for people.
pub type Check = (usize, What, String);

impl Machine {
    /// The profile's VM; none when it has none.
    pub fn of(profile: &Profile, scenario: &Scenario) -> Option<Self> {
        let vm = &profile.vm;
        let nics = vm.interfaces.iter().map(|nic| NicPlan::of(profile, scenario, nic)).collect();
        let (namespace, name) = (vm.namespace.clone(), vm.name.clone());
        (vm.enabled && profile.kubevirt.enabled).then_some(Self { namespace, name, nics })
    }

    /// Every check, in the order in which they are told.
    pub fn checks(&self) -> Vec<Check> {
        self.nics.iter().enumerate().flat_map(|(index, nic)| self.checks_of(index, nic)).collect()
    }

    fn checks_of(&self, index: usize, nic: &NicPlan) -> Vec<Check> {
        let (vm, name) = (&self.name, &nic.name);
        let mut checks = match &nic.like {
            None => vec![
                (What::Nic, format!("{vm}: {name} has an address and a gateway")),
                (What::Names, format!("{vm} resolves the names of Services")),
            ],
            Some(like) => vec![(What::Nic, format!("{vm}: {}", guest_line(name, like)))],
        };
        if let Some(peer) = &nic.peer {
            checks.push((What::Reaches, format!("{vm} reaches {peer} over {name}")));
            if nic.has_address() != Some(false) {
                checks.push((What::Reached, format!("{peer} reaches {vm} over {name}")));
            }
        }
        if let Some(stranger) = &nic.stranger {
            checks.push((What::Isolated, format!("{vm} does not reach {stranger} over {name}")));
        }
        checks.into_iter().map(|(what, line)| (index, what, line)).collect()
    }
}

impl NicPlan {
    fn of(profile: &Profile, scenario: &Scenario, nic: &VmInterface) -> Self {
        let network = profile.network_of(nic);
        let like = network.and_then(|network| scenario.pods.iter().find(|probe| probe.network == *network));
        let mtu = network.filter(|network| profile.port_of(network).is_some());
        let mtu = mtu.and_then(|network| network.netconf().mtu());
        let peer = match like {
            None => scenario.pods.first(),
            Some(like) => peer(scenario, like),
        };
        let stranger = like.and_then(|like| stranger(scenario, like));
        Self {
            name: nic.name.clone(),
            mac: profile.vm.mac_address(nic),
            network: network.map(|network| format!("{}/{}", network.namespace, network.name)),
            masquerade: profile.binding_of(nic) == Binding::Masquerade,
            like: like.cloned(),
            mtu,
            peer: peer.map(|probe| probe.name.clone()),
            stranger: stranger.map(|probe| probe.name.clone()),
        }
    }

    /// Whether the guest gets an address; none when the profile does not say.
    pub fn has_address(&self) -> Option<bool> {
        match &self.like {
            None => Some(true),
            Some(like) => like.address,
        }
    }
}

/// What the guest's NIC must have: on a network that gives no address it may bring its own.
fn guest_line(name: &str, like: &Probe) -> String {
    match (like.address, &like.subnet) {
        (Some(false), None) => nic_line(name, &Probe { address: None, ..like.clone() }),
        _ => nic_line(name, like),
    }
}

/// A pod with an address on the same network, or on another one that is the same on layer 2.
fn peer<'a>(scenario: &'a Scenario, like: &Probe) -> Option<&'a Probe> {
    let mut addressed = scenario.pods.iter().filter(|probe| probe.subnet.is_some());
    let on_network = addressed.clone().find(|probe| probe.network == like.network);
    on_network.or_else(|| addressed.find(|probe| probe.port.is_some() && probe.port == like.port))
}

fn stranger<'a>(scenario: &'a Scenario, like: &Probe) -> Option<&'a Probe> {
    let port = like.port.as_ref().filter(|port| port.trunks.is_empty())?;
    scenario.pods.iter().find(|probe| {
        probe.subnet.is_some() && probe.port.as_ref().is_some_and(|other| other.is_apart_from(port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    fn lines(settings: &[&str]) -> Vec<String> {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let profile = profile::load("default", &settings).unwrap().profile;
        let machine = Machine::of(&profile, &Scenario::of(&profile));
        machine.iter().flat_map(Machine::checks).map(|(_, _, line)| line).collect()
    }

    #[test]
    fn each_nic_is_checked_against_the_pods_that_are_there_anyway() {
        assert_eq!(
            lines(&[]),
            [
                "vm-two-nics: default has an address and a gateway",
                "vm-two-nics resolves the names of Services",
                "vm-two-nics reaches a-bridge-network-1 over default",
                "a-bridge-network-1 reaches vm-two-nics over default",
                "vm-two-nics: blue has a link, an untagged port of blue",
                "vm-two-nics reaches ovs-blue-1 over blue",
                "vm-two-nics does not reach ovs-blue100-1 over blue",
            ]
        );
    }

    #[test]
    fn a_network_with_addresses_is_tried_in_both_directions() {
        let found = lines(&["vm.interfaces[1].network=ovs-blue100"]);
        assert_eq!(
            found[4..],
            [
                "vm-two-nics: blue has an address in 10.20.100.0/24, a port of blue with VLAN 100",
                "vm-two-nics reaches ovs-blue100-1 over blue",
                "ovs-blue100-1 reaches vm-two-nics over blue",
                "vm-two-nics does not reach ovs-blue-1 over blue",
            ]
        );
        assert!(lines(&["vm.enabled=false"]).is_empty());
    }
}
