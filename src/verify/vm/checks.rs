//! The checks of the VM.

use std::net::IpAddr;

use super::guest::{Guest, Question};
use super::plan::{Machine, NicPlan, What};
use super::seen::{Outside, Pods};
use crate::cluster::Cluster;
use crate::context::Context;
use crate::context::events::Verdict;
use crate::error::Result;
use crate::formats::cni::Port;
use crate::guest::Link;
use crate::verify::Found;
use crate::verify::look::EXEC_TIMEOUT;

/// What the checks of one NIC work with.
pub struct Look<'a> {
    pub cx: &'a Context,
    pub cluster: &'a Cluster,
    pub machine: &'a Machine,
    pub nic: &'a NicPlan,
    pub pods: &'a Pods,
}

impl Look<'_> {
    /// The question to the guest for a check; none when it does not involve the guest.
    pub fn question(&self, what: What, guest: &Guest) -> Option<Question> {
        match what {
            What::Names => Some(Question::resolves()),
            What::Reaches => {
                let (name, target) = self.target(guest, self.nic.peer.as_deref())?;
                Some(if self.nic.pings {
                    Question::pings(&name, target)
                } else {
                    Question::arpings(&name, target, true)
                })
            }
            What::Isolated => {
                let (name, target) = self.target(guest, self.nic.stranger.as_deref())?;
                Some(Question::arpings(&name, target, false))
            }
            What::Nic | What::Reached => None,
        }
    }

    /// The outcome of a check whose target has an address of the guest's own: the guest would answer itself.
    pub fn meets_itself(&self, what: What, guest: &Guest) -> Option<Found> {
        let pod = match what {
            What::Reaches => self.nic.peer.as_deref(),
            What::Isolated => self.nic.stranger.as_deref(),
            What::Nic | What::Names | What::Reached => None,
        }?;
        let target = self.pods.address(pod, self.nic.network.is_none()).filter(|ip| guest.has(*ip))?;
        let told = format!("{target} of {pod} is also an address of the guest");
        Some(if what == What::Reaches { Found::of(false, told) } else { Found::not_checked(told) })
    }

    /// The state of the NIC, in the guest and outside.
    pub fn is_like(&self, guest: &Guest, outside: &Outside) -> Option<Found> {
        let nic = self.nic;
        let mut found = Details::default();
        match guest.nic(&nic.mac) {
            Some((name, link)) => self.in_guest(name, link, guest, &mut found),
            None if guest.speaks() => found.add(false, format!("the guest has no NIC with {}", nic.mac)),
            None if nic.network.is_none() => return None,
            None => found.not_checked(format!("{} was not checked in the guest", nic.mac)),
        }
        let reported = outside.status(nic).and_then(|status| status["mac"].as_str());
        if let Some(other) = reported.filter(|mac| !mac.eq_ignore_ascii_case(&nic.mac)) {
            found.add(false, format!("KubeVirt reports {other}"));
        }
        if nic.network.is_some() && outside.multus(nic).is_none() {
            found.add(false, "Multus reports no such NIC of the virt-launcher pod".into());
        }
        if let Some(port) = nic.like.as_ref().and_then(|like| like.port.as_ref()) {
            self.port(port, outside, &mut found);
        }
        Some(found.found())
    }

    fn in_guest(&self, name: &str, link: &Link, guest: &Guest, found: &mut Details) {
        let nic = self.nic;
        let up = if link.up { "up" } else { "down" };
        found.add(link.up, format!("{name} {up}, {}", link.mac));
        let mtu = self.mtu();
        if link.mtu > 0 {
            let wanted = mtu.filter(|wanted| *wanted != link.mtu);
            let but = wanted.map(|wanted| format!(" instead of {wanted}")).unwrap_or_default();
            found.add(wanted.is_none(), format!("MTU {}{but}", link.mtu));
        }
        let (holds, shown) = nic.address(&link.ips);
        found.add(holds, shown);
        if nic.has_gateway() && guest.has_shell() {
            match guest.gateway(name) {
                Some(gateway) => found.add(true, format!("gateway {gateway}")),
                None => found.add(false, "no gateway".into()),
            }
        }
    }

    /// The MTU that the NIC must have: the profile's, else that of a pod on the same network.
    fn mtu(&self) -> Option<u32> {
        let (None, Some(peer)) = (self.nic.mtu, &self.nic.peer) else { return self.nic.mtu };
        self.pods.link(peer, &self.interface_of(peer)).map(|link| link.mtu)
    }

    /// The peer's NIC on the same network.
    fn interface_of(&self, peer: &str) -> String {
        match &self.nic.network {
            None => "eth0".to_owned(),
            Some(_) => self.pods.nic(peer).map(|nic| nic.interface).unwrap_or_default(),
        }
    }

    fn port(&self, wanted: &Port, outside: &Outside, found: &mut Details) {
        if let Some(why) = outside.elsewhere() {
            found.not_checked(format!("port not checked: {why}"));
            return;
        }
        let Some((on, port)) = outside.port(self.nic) else {
            if outside.has_nameless_port(self.nic, &wanted.bridge, wanted.vlan) {
                found
                    .not_checked("port not checked: this ovs-cni does not record the owners of ports".into());
            } else {
                found.add(false, "no port in Open vSwitch".into());
            }
            return;
        };
        let is = port.on(on);
        found.add(is == *wanted, format!("port {} of {on}, {is}", port.name));
        if let Some(counters) = outside.counters(&port.name) {
            let (received, sent) = (counters.received, counters.sent);
            found.add(received > 0, format!("{received} packets from the VM, {sent} to it"));
        }
    }

    /// The NIC's name in the guest, and the address of a pod to test.
    fn target(&self, guest: &Guest, pod: Option<&str>) -> Option<(String, IpAddr)> {
        let (name, _) = guest.nic(&self.nic.mac)?;
        let target = self.pods.address(pod?, self.nic.network.is_none())?;
        Some((name.clone(), target))
    }

    /// The address at which others reach the guest on this NIC.
    pub fn address(&self, guest: &Guest, outside: &Outside) -> Option<IpAddr> {
        let own = || guest.nic(&self.nic.mac).and_then(|(_, link)| link.ips.first().copied());
        if self.nic.masquerade { outside.address(self.nic) } else { own().or(outside.address(self.nic)) }
    }

    /// Whether the peer reaches the guest at an address.
    pub async fn is_reached(&self, address: Option<IpAddr>) -> Result<Option<Found>> {
        let (Some(peer), Some(address)) = (&self.nic.peer, address) else { return Ok(None) };
        let interface = self.interface_of(peer);
        let is_own = self.pods.link(peer, &interface).is_some_and(|link| link.ips.contains(&address));
        if is_own {
            let told = format!("{address} of {} is also an address of {peer}", self.machine.name);
            return Ok(Some(Found::of(false, told)));
        }
        let target = address.to_string();
        let ping = ["ping", "-I", &interface, "-c", "1", "-W", "5", &target];
        let namespace = self.cx.profile.verification.namespace.as_str();
        let output = self.cluster.exec(namespace, peer, None, &ping, EXEC_TIMEOUT).await?;
        let verb = if output.status == 0 { "answers" } else { "does not answer" };
        Ok(Some(Found::of(output.status == 0, format!("{target} of {} {verb}", self.machine.name))))
    }
}

/// The findings about one NIC.
#[derive(Default)]
struct Details {
    verdict: Option<Verdict>,
    details: Vec<String>,
}

impl Details {
    fn add(&mut self, holds: bool, detail: String) {
        self.note(Verdict::of(holds), detail);
    }

    fn not_checked(&mut self, why: String) {
        self.note(Verdict::NotChecked, why);
    }

    fn note(&mut self, verdict: Verdict, detail: String) {
        self.verdict = Some(self.verdict.map_or(verdict, |before| before.and(verdict)));
        self.details.push(detail);
    }

    fn found(self) -> Found {
        Found { verdict: self.verdict.unwrap_or(Verdict::NotChecked), detail: self.details.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;
    use crate::verify::scenario::Scenario;

    #[test]
    fn an_address_is_wanted_refused_or_left_open() {
        let settings = ["vm.interfaces[1].network=ovs-blue".to_owned()];
        let nics = |settings: &[String]| {
            let profile = profile::load("default", settings).unwrap().profile;
            Machine::of(&profile, &Scenario::of(&profile)).unwrap().nics
        };
        let ips =
            |text: &str| -> Vec<IpAddr> { text.split_whitespace().map(|ip| ip.parse().unwrap()).collect() };
        let (bare, addressed) = (nics(&[]), nics(&settings));
        let mut profile = profile::load("default", &[]).unwrap().profile;
        profile.vm.cloud_init.network_data =
            "version: 2\nethernets: {eth1: {addresses: [10.20.0.50/24]}}".into();
        let fixed = Machine::of(&profile, &Scenario::of(&profile)).unwrap().nics;
        for (nic, found, holds) in [
            (&bare[0], "10.0.2.2", true),
            (&bare[0], "", false),
            (&bare[1], "", true),
            (&bare[1], "10.20.0.9", true),
            (&bare[1], "2001:db8::9", true),
            (&addressed[1], "10.20.0.9", true),
            (&addressed[1], "10.20.100.9", false),
            (&addressed[1], "", false),
            (&fixed[1], "10.20.0.50", true),
            (&fixed[1], "10.20.0.50 2001:db8::9", true),
            (&fixed[1], "10.20.0.9", false),
            (&fixed[1], "", false),
            (&fixed[0], "", true),
            (&fixed[0], "192.0.2.1", true),
        ] {
            assert_eq!(nic.address(&ips(found)).0, holds, "{} {found}", nic.name);
        }
    }
}
