//! The addresses that network data fixes for the VM's guest: no other NIC on the wire may get them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Found;
use crate::formats::cni::{Ipam, NetConf, Range};
use crate::formats::net::cidr;
use crate::formats::network_data::NetworkData;
use crate::profile::{Network, Profile, VmInterface};

const PATH: &str = "vm.cloudInit.networkData";

/// Refuses the address that the node itself has on a network's bridge.
pub(super) fn check(profile: &Profile, found: &mut Found) {
    for (nic, address, network) in fixed(profile) {
        if gateways(&network.netconf()).contains(&address) {
            let message = format!(
                "gives `{}` {address}, which every node has as the gateway of network `{}`",
                nic.name, network.name
            );
            found.add(
                PATH,
                message,
                "write another address of the subnet, outside of `rangeStart` to `rangeEnd`",
            );
        }
    }
}

/// Addresses that pods may get too, and MAC addresses that no NIC has; one sentence each.
pub(in crate::profile) fn warnings(profile: &Profile) -> Vec<String> {
    let pools = fixed(profile).into_iter().filter_map(|(nic, address, network)| {
        let is_own = profile.network_of(nic) == Some(network);
        let (first, last) = pool(&network.netconf(), address, is_own)?;
        let network = network.full_name();
        Some(format!(
            "{PATH}: {address} of NIC {} is one that network {network} gives to pods ({first} to {last}): a pod will get it too; exclude it with `rangeStart` and `rangeEnd`, or choose another one",
            nic.name
        ))
    });
    pools.chain(strangers(profile)).collect()
}

/// The MAC addresses in the network data that no NIC has.
fn strangers(profile: &Profile) -> Vec<String> {
    let vm = &profile.vm;
    let Some(data) = read(profile) else { return Vec::new() };
    let own: Vec<String> = vm.interfaces.iter().map(|nic| vm.mac_address(nic)).collect();
    let wanted = data.entries.iter().filter_map(|entry| entry.mac.as_ref());
    let in_vain = wanted.filter(|mac| !own.contains(mac));
    let told = |mac: &String| {
        let has: Vec<String> =
            vm.interfaces.iter().zip(&own).map(|(nic, mac)| format!("{} {mac}", nic.name)).collect();
        format!("{PATH}: no NIC of the VM has {mac}, so nothing gets its addresses ({})", has.join(", "))
    };
    in_vain.map(told).collect()
}

fn read(profile: &Profile) -> Option<NetworkData> {
    let vm = &profile.vm;
    vm.enabled.then(|| NetworkData::read(&vm.cloud_init.network_data))?
}

/// Each fixed address with its NIC and each network on its wire.
fn fixed(profile: &Profile) -> Vec<(&VmInterface, IpAddr, &Network)> {
    let Some(data) = read(profile) else { return Vec::new() };
    let mut found = Vec::new();
    for (place, nic) in profile.vm.interfaces.iter().enumerate() {
        let entry = data.entry(&profile.vm.mac_address(nic), place);
        let Some((entry, own)) = entry.zip(profile.network_of(nic)) else { continue };
        for address in entry.addresses.iter().map(IpNet::addr) {
            let on_wire = profile.networks.iter().filter(|it| *it == own || is_one_wire(profile, own, it));
            found.extend(on_wire.map(|network| (nic, address, network)));
        }
    }
    found
}

/// Whether two networks share layer 2: the same untagged or tagged port of a bridge, or the same NIC.
fn is_one_wire(profile: &Profile, one: &Network, other: &Network) -> bool {
    let ports = profile.port_of(one).zip(profile.port_of(other));
    if let Some((one, other)) = ports {
        return one.bridge == other.bridge && one.vlan == other.vlan;
    }
    let on = |network: &Network| {
        let conf = network.netconf();
        let maker = conf.maker()?;
        let card = maker.master.as_ref().map(|(_, name)| ("card", name.clone()));
        let bridge = || maker.bridge.clone().filter(|_| maker.kind == "bridge").map(|name| ("bridge", name));
        Some((card.or_else(bridge)?, maker.vlan))
    };
    on(one).is_some_and(|it| on(other) == Some(it))
}

/// The addresses that the node itself has on a network's bridge.
fn gateways(conf: &NetConf) -> Vec<IpAddr> {
    let maker = conf.maker().filter(|maker| maker.kind == "bridge");
    if !maker.is_some_and(|maker| maker.is_on("isGateway") || maker.is_on("isDefaultGateway")) {
        return Vec::new();
    }
    conf.ipam().into_iter().flat_map(Ipam::ranges).filter_map(Range::router).collect()
}

/// The range that gives out an address; none when none does.
fn pool(conf: &NetConf, address: IpAddr, is_own: bool) -> Option<(IpAddr, IpAddr)> {
    let ipam = conf.ipam().filter(|_| conf.kind() != "flannel")?;
    // Pods on a network with fixed addresses have all of them.
    let mut fixed = ipam.fixed.iter().filter_map(|(_, text)| cidr(text));
    if !is_own && fixed.any(|net| net.addr() == address) {
        return Some((address, address));
    }
    let gives = |range: &&Range| {
        let mut left_out = range.exclude.iter().filter_map(|text| cidr(text));
        let is_in = range.ends().is_some_and(|(first, last)| (first..=last).contains(&address));
        is_in && range.router() != Some(address) && !left_out.any(|net| net.contains(&address))
    };
    ipam.ranges().find(gives)?.ends()
}

#[cfg(test)]
mod tests {
    use crate::profile::{Profile, load_text};

    /// A profile with a guest that has an address on one of the networks.
    fn with(networks: &str, network: &str, address: &str) -> crate::error::Result<Profile> {
        let text = format!(
            "extends: default\nnetworks:\n{networks}vm:\n  interfaces: [{{name: default, network: pod}}, {{name: blue, network: {network}}}]\n  \
             cloudInit:\n    networkData: '{{version: 2, ethernets: {{eth1: {{addresses: [{address}/24]}}}}}}'\n"
        );
        load_text(&text, "p.yaml", &[]).map(|loaded| loaded.profile)
    }

    const WIRE: &str = "- {name: pool, kind: ovs, bridge: blue, ipam: {subnet: 10.20.0.0/24, rangeStart: 10.20.0.10, rangeEnd: 10.20.0.99}}\n\
        - {name: l2, kind: ovs, bridge: blue}\n\
        - {name: fixed, kind: raw, verify: false, config: {cniVersion: 0.3.1, type: ovs, bridge: blue, ipam: {type: static, addresses: [{address: 10.20.0.5/24}]}}}\n- {name: tagged, kind: ovs, bridge: blue, vlan: 100}\n";

    #[test]
    fn an_address_that_pods_on_the_wire_are_given_is_warned_of() {
        let warned = |network: &str, address: &str| {
            let warnings = with(WIRE, network, address).unwrap().warnings();
            warnings.iter().any(|told| told.contains(&format!("{address} of NIC blue is one that network")))
        };
        for (network, address, expected) in [
            ("pool", "10.20.0.10", true),
            ("l2", "10.20.0.99", true),
            ("l2", "10.20.0.9", false),
            ("l2", "10.20.0.5", true),
            ("fixed", "10.20.0.5", false),
            ("l2", "10.20.0.100", false),
            // The gateway is not given out: the guest may be the router.
            ("l2", "10.20.0.1", false),
            ("tagged", "10.20.0.50", false),
        ] {
            assert_eq!(warned(network, address), expected, "{network} {address}");
        }
    }

    #[test]
    fn the_address_of_the_bridge_itself_is_refused() {
        let bridge = |more: &str| {
            format!(
                "- {{name: lan, kind: bridge, bridge: br9{more}, ipam: {{subnet: 10.20.0.0/24, rangeStart: 10.20.0.10}}}}\n"
            )
        };
        let refused = |more: &str, address: &str| with(&bridge(more), "lan", address).err();
        let error = refused(", isGateway: true", "10.20.0.1").unwrap();
        let told = format!("{:?}", error.problems());
        assert!(told.contains("networkData") && told.contains("10.20.0.1"), "{told}");
        assert!(refused(", isGateway: true", "10.20.0.2").is_none());
        assert!(refused("", "10.20.0.1").is_none(), "no node has it");
    }

    #[test]
    fn a_mac_address_that_no_nic_has_is_warned_of() {
        let warnings = |mac: &str| {
            let mut profile = crate::profile::load("default", &[]).unwrap().profile;
            let data =
                format!("version: 2\nethernets: {{a: {{match: {{macaddress: '{mac}'}}, dhcp4: true}}}}");
            profile.vm.cloud_init.network_data = data;
            profile.warnings()
        };
        assert!(warnings("02:06:80:fe:6b:62").is_empty());
        let told = warnings("02:FF:ff:ff:ff:ff").join("\n");
        assert!(
            told.contains("no NIC of the VM has 02:ff:ff:ff:ff:ff") && told.contains("02:06:80:fe:6b:62"),
            "{told}"
        );
    }
}
