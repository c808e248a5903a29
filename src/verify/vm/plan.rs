//! The checks of the sample VM.

use std::net::IpAddr;

use ipnet::IpNet;

use super::beside::Beside;
use super::promise::Promise;
use crate::profile::{Binding, Profile, VmInterface};
use crate::verify::scenario::{Probe, Scenario, nic_line};

/// The sample VM and its NICs.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    pub namespace: String,
    pub name: String,
    /// Its NICs, in the profile's order.
    pub nics: Vec<NicPlan>,
    /// Addresses in network data that are not on its NICs.
    pub beside: Vec<Beside>,
}

/// One NIC and its desired state.
#[derive(Clone, Debug, PartialEq)]
pub struct NicPlan {
    /// Its name in the profile; the guest's may differ.
    pub name: String,
    /// Its MAC address, which identifies the guest's NIC.
    pub mac: String,
    /// Its network as `namespace/name`; none for the pod network.
    pub network: Option<String>,
    /// Whether the guest is NATed behind the pod's address.
    pub masquerade: bool,
    /// What a pod on the same network must have; none for the pod network.
    pub like: Option<Probe>,
    /// The addresses that it must have.
    pub promise: Promise,
    /// The MTU, when the profile sets it.
    pub mtu: Option<u32>,
    /// A pod on the same layer 2 network that has an address.
    pub peer: Option<String>,
    /// Whether the guest has an address that the peer can reach; else it can only send ARP requests.
    pub pings: bool,
    /// A pod on another VLAN of the same bridge.
    pub stranger: Option<String>,
}

/// A kind of check.
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

/// A check: the NIC's index, the kind, and the text.
pub type Check = (usize, What, String);

impl Machine {
    /// The profile's VM, without NICs on networks that are excluded from verification; none when it has no VM.
    pub fn of(profile: &Profile, scenario: &Scenario) -> Option<Self> {
        let vm = &profile.vm;
        let nics = vm.interfaces.iter().enumerate();
        let nics = nics.filter(|(_, nic)| profile.network_of(nic).is_none_or(|network| network.verify));
        let nics: Vec<_> = nics.map(|(place, nic)| NicPlan::of(profile, scenario, nic, place)).collect();
        let beside = if nics.is_empty() { Vec::new() } else { Beside::of(vm) };
        let (namespace, name) = (vm.namespace.clone(), vm.name.clone());
        (vm.enabled && profile.kubevirt.enabled).then_some(Self { namespace, name, nics, beside })
    }

    /// Every check, in the order of the report.
    pub fn checks(&self) -> Vec<Check> {
        self.nics.iter().enumerate().flat_map(|(index, nic)| self.checks_of(index, nic)).collect()
    }

    fn checks_of(&self, index: usize, nic: &NicPlan) -> Vec<Check> {
        let (vm, name) = (&self.name, &nic.name);
        let mut checks = vec![(What::Nic, format!("{vm}: {}", nic.line()))];
        if nic.has_gateway() {
            checks.push((What::Names, format!("{vm} resolves the names of Services")));
        }
        if let Some(peer) = &nic.peer {
            checks.push((What::Reaches, format!("{vm} reaches {peer} over {name}")));
            if nic.pings {
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
    fn of(profile: &Profile, scenario: &Scenario, nic: &VmInterface, place: usize) -> Self {
        let network = profile.network_of(nic);
        let like = network.and_then(|network| scenario.pods.iter().find(|probe| probe.network == *network));
        let mac = profile.vm.mac_address(nic);
        let promise = Promise::of(&profile.vm.cloud_init.network_data, &mac, place);
        let mtu = network.filter(|network| profile.port_of(network).is_some());
        let mtu = mtu.and_then(|network| network.netconf().mtu());
        let peer = match like {
            None => scenario.pods.first().filter(|_| promise.leads_out()),
            Some(like) => peer(scenario, like),
        };
        let pings = match (&promise, like) {
            (_, None) => true,
            (Promise::Network, Some(like)) => like.address != Some(false),
            (Promise::Fixed { .. }, Some(_)) => {
                peer.is_some_and(|peer| promise.is_in(peer.subnet.as_deref()))
            }
            (Promise::Nothing, Some(_)) => false,
        };
        let stranger = like.and_then(|like| stranger(scenario, like));
        Self {
            name: nic.name.clone(),
            mac,
            network: network.map(|network| format!("{}/{}", network.namespace, network.name)),
            masquerade: profile.binding_of(nic) == Binding::Masquerade,
            like: like.cloned(),
            promise,
            mtu,
            peer: peer.map(|probe| probe.name.clone()),
            pings,
            stranger: stranger.map(|probe| probe.name.clone()),
        }
    }

    /// Whether the guest must have an address.
    pub fn has_address(&self) -> bool {
        match &self.promise {
            Promise::Fixed { .. } => true,
            Promise::Nothing => false,
            Promise::Network => self.like.as_ref().is_none_or(|like| like.address == Some(true)),
        }
    }

    /// Whether the guest's default route is on this NIC.
    pub fn has_gateway(&self) -> bool {
        self.network.is_none() && self.promise.leads_out()
    }

    /// Whether the guest has the right addresses, with the actual ones. On a network without addresses it may have any or
    /// none: from a DHCP server or a router on the LAN.
    pub fn address(&self, ips: &[IpAddr]) -> (bool, String) {
        let shown: Vec<String> = ips.iter().map(ToString::to_string).collect();
        let shown = if shown.is_empty() { "no address".into() } else { shown.join(" ") };
        let subnet = self.like.as_ref().and_then(|like| like.subnet.as_deref()?.parse::<IpNet>().ok());
        match (&self.promise, subnet) {
            (Promise::Nothing, _) => (true, shown),
            (Promise::Fixed { addresses, .. }, _) => {
                let missing = addresses.iter().map(IpNet::addr).find(|address| !ips.contains(address));
                let but = missing.map(|missing| format!(" instead of {missing}")).unwrap_or_default();
                (missing.is_none(), shown + &but)
            }
            (Promise::Network, Some(subnet)) => (ips.iter().any(|ip| subnet.contains(ip)), shown),
            (Promise::Network, None) => (!self.has_address() || !ips.is_empty(), shown),
        }
    }

    /// What the NIC must have, in words.
    fn line(&self) -> String {
        let name = &self.name;
        let open = |like: &Probe| nic_line(name, &Probe { address: None, subnet: None, ..like.clone() });
        let bare = self.like.as_ref().map_or_else(|| format!("{name} has a link"), open);
        match (&self.promise, &self.like) {
            (Promise::Fixed { addresses, .. }, _) => {
                let shown: Vec<String> = addresses.iter().map(|it| it.addr().to_string()).collect();
                let gateway = if self.has_gateway() { " and a gateway" } else { "" };
                bare.replacen("a link", &format!("{}{gateway}", shown.join(" ")), 1)
            }
            (Promise::Nothing, _) => bare,
            (Promise::Network, None) => format!("{name} has an address and a gateway"),
            (Promise::Network, Some(like)) if like.address == Some(false) => bare,
            (Promise::Network, Some(like)) => nic_line(name, like),
        }
    }
}

/// A pod with an address on the same network, or on another one with the same layer 2.
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

    fn with_network_data(text: &str, settings: &[&str]) -> Vec<String> {
        let mut profile = {
            let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
            profile::load("default", &settings).unwrap().profile
        };
        profile.vm.cloud_init.network_data = text.into();
        let machine = Machine::of(&profile, &Scenario::of(&profile));
        machine.iter().flat_map(Machine::checks).map(|(_, _, line)| line).collect()
    }

    #[test]
    fn what_the_guest_is_told_decides_what_it_must_have() {
        let both = "version: 2\nethernets:\n  a: {match: {macaddress: '02:72:c7:4f:c2:0b'}, dhcp4: true}\n  \
            eth1: {addresses: [10.20.0.50/24]}\n";
        assert_eq!(
            with_network_data(both, &[])[4..],
            [
                "vm-two-nics: blue has 10.20.0.50, an untagged port of blue",
                "vm-two-nics reaches ovs-blue-1 over blue",
                "ovs-blue-1 reaches vm-two-nics over blue",
                "vm-two-nics does not reach ovs-blue100-1 over blue",
            ]
        );
        let elsewhere = both.replace("10.20.0.50", "192.0.2.5");
        assert!(
            !with_network_data(&elsewhere, &[]).contains(&"ovs-blue-1 reaches vm-two-nics over blue".into())
        );
        let forgotten = "version: 1\nconfig:\n- {type: physical, name: eth1, subnets: [{type: dhcp}]}\n";
        assert_eq!(
            with_network_data(forgotten, &["vm.interfaces[1].network=ovs-blue100"]),
            [
                "vm-two-nics: default has a link",
                "vm-two-nics: blue has an address in 10.20.100.0/24, a port of blue with VLAN 100",
                "vm-two-nics reaches ovs-blue100-1 over blue",
                "ovs-blue100-1 reaches vm-two-nics over blue",
                "vm-two-nics does not reach ovs-blue-1 over blue",
            ]
        );
        let fixed = "version: 2\nethernets: {eth0: {addresses: [10.0.2.2/24], gateway4: 10.0.2.1}}\n";
        assert_eq!(
            with_network_data(fixed, &[])[..3],
            [
                "vm-two-nics: default has 10.0.2.2 and a gateway",
                "vm-two-nics resolves the names of Services",
                "vm-two-nics reaches a-bridge-network-1 over default",
            ]
        );
    }

    #[test]
    fn a_nic_on_a_network_that_is_left_out_is_left_out_too() {
        let profile = {
            let mut profile = profile::load("default", &[]).unwrap().profile;
            for network in profile.networks.iter_mut().filter(|network| network.name == "ovs-blue-l2") {
                network.verify = false;
            }
            profile
        };
        let scenario = Scenario::of(&profile);
        assert!(scenario.pods.iter().all(|probe| probe.network.name != "ovs-blue-l2"));
        let nics = Machine::of(&profile, &scenario).unwrap().nics;
        assert_eq!(nics.iter().map(|nic| nic.name.as_str()).collect::<Vec<_>>(), ["default"]);
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
