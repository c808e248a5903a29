//! Addresses in network data that are not on the VM's NICs: on bridges, bonds and VLANs in the guest, and on NICs that it
//! does not have.

use ipnet::IpNet;

use super::guest::Guest;
use crate::formats::network_data::{Entry, NetworkData};
use crate::guest::Link;
use crate::profile::Vm;
use crate::verify::Found;

/// Addresses on a link that is not a NIC of the VM, as far as known before the guest runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The link's name, or the MAC address to match.
    place: String,
    /// Whether it is matched by its MAC address.
    by_mac: bool,
    addresses: Vec<IpNet>,
}

impl Beside {
    /// Finds them in a VM's network data.
    pub fn of(vm: &Vm) -> Vec<Self> {
        let Some(data) = NetworkData::read(&vm.cloud_init.network_data) else { return Vec::new() };
        let nics = vm.interfaces.iter().enumerate();
        let taken: Vec<&Entry> =
            nics.filter_map(|(place, nic)| data.entry(&vm.mac_address(nic), place)).collect();
        let left = data.entries.iter().filter(|entry| !taken.iter().any(|it| std::ptr::eq(*it, *entry)));
        // A MAC address of a link that the guest creates is assigned, not matched.
        let made = data.made.iter().map(|entry| Entry { mac: None, ..entry.clone() });
        let fixed = left.cloned().chain(made).filter(|entry| !entry.addresses.is_empty());
        fixed.map(|entry| Self::from(&entry)).collect()
    }

    /// The check, in words.
    pub fn line(&self, vm: &str) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(|it| it.addr().to_string()).collect();
        format!("{vm} has {} on {}", addresses.join(" "), self.place)
    }

    /// The outcome in the guest.
    pub fn found(&self, guest: &Guest) -> Found {
        match guest.link(&self.place) {
            _ if self.by_mac => Found::not_checked(format!("no NIC of the VM has {}", self.place)),
            Some(link) => self.judged(link),
            None if guest.speaks() => Found::not_checked(format!("the guest has no link {}", self.place)),
            None => Found::not_checked(guest.why_not()),
        }
    }

    fn judged(&self, link: &Link) -> Found {
        let holds = self.addresses.iter().all(|address| link.ips.contains(&address.addr()));
        let shown: Vec<String> = link.ips.iter().map(ToString::to_string).collect();
        let shown = if shown.is_empty() { "no address".into() } else { shown.join(" ") };
        Found::of(
            holds && link.up,
            format!("{} {}, {shown}", self.place, if link.up { "up" } else { "down" }),
        )
    }
}

impl From<&Entry> for Beside {
    fn from(entry: &Entry) -> Self {
        let by_mac = entry.mac.is_some();
        let place = entry.mac.as_ref().or(entry.set_name.as_ref()).or(entry.name.as_ref());
        let place = place.cloned().unwrap_or_else(|| "an unnamed NIC".into());
        Self { place, by_mac, addresses: entry.addresses.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::events::Verdict;
    use crate::profile;

    fn lines(text: &str) -> Vec<String> {
        let mut vm = profile::load("default", &[]).unwrap().profile.vm;
        vm.cloud_init.network_data = text.into();
        Beside::of(&vm).iter().map(|it| it.line("vm")).collect()
    }

    #[test]
    fn what_no_nic_takes_is_expected_all_the_same() {
        for (text, expected) in [
            (
                "version: 2\nethernets: {a: {match: {macaddress: '02:FF:ff:ff:ff:ff'}, addresses: [10.20.0.5/24]}}",
                "vm has 10.20.0.5 on 02:ff:ff:ff:ff:ff",
            ),
            (
                "version: 2\nethernets: {eth1: {}}\nbridges: {br0: {interfaces: [eth1], addresses: [10.20.0.60/24]}}",
                "vm has 10.20.0.60 on br0",
            ),
            (
                "version: 2\nvlans: {v9: {id: 9, link: eth1, addresses: [10.9.0.5/24, 'fd00::5/64']}}",
                "vm has 10.9.0.5 fd00::5 on v9",
            ),
            (
                "version: 1\nconfig: [{type: bond, name: bond0, subnets: [{type: static, address: 10.0.0.5/24}]}]",
                "vm has 10.0.0.5 on bond0",
            ),
            ("version: 2\nethernets: {eth7: {addresses: [10.20.0.5/24]}}", "vm has 10.20.0.5 on eth7"),
        ] {
            assert_eq!(lines(text), [expected], "{text}");
        }
        for text in [
            "",
            "version: 2\nethernets: {eth1: {addresses: [10.20.0.5/24]}}",
            "version: 2\nbridges: {br0: {dhcp4: true}}",
            "version: 1\nconfig: [{type: nameserver, address: 10.0.0.1}]",
        ] {
            assert_eq!(lines(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_link_that_the_guest_shows_must_have_the_address() {
        let text = "version: 2\nbridges: {br0: {addresses: [10.20.0.60/24]}}";
        let beside = Beside::from(&NetworkData::read(text).unwrap().made[0]);
        let link = |ips: &[&str]| Link {
            up: true,
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            ..Link::default()
        };
        assert_eq!(beside.judged(&link(&["10.20.0.60"])).verdict, Verdict::Passed);
        assert_eq!(beside.judged(&link(&[])), Found::of(false, "br0 up, no address"));
    }
}
