//! Inspects a started pod: its NIC as seen by Multus, by the pod itself and by Open vSwitch.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde_json::Value;

use super::pods::{Link, PROBE_LABEL, link, nic};
use super::scenario::Probe;
use super::{Found, Here};
use crate::cluster::{Cluster, Progress, is_ready};
use crate::context::Context;
use crate::context::events::Verdict;
use crate::error::Result;
use crate::facts::attachments::Reported;
use crate::facts::ovs::OvsState;
use crate::formats::object::text;
use crate::host::Output;

/// How long a command in a pod may take.
pub const EXEC_TIMEOUT: Duration = Duration::from_secs(20);

/// The namespace whose pods are inspected.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The node and the profile.
    pub cx: &'a Context,
    pub cluster: &'a Cluster,
    pub namespace: &'a str,
    /// This machine's place in the cluster.
    pub here: &'a Here,
}

/// A started pod with the state of its NIC.
#[derive(Clone, Debug)]
pub struct StartedPod {
    /// The desired state.
    pub probe: Probe,
    pub uid: String,
    /// The node that it runs on.
    pub node: String,
    /// The NIC as Multus reports it.
    pub nic: Option<Reported>,
    /// The NIC inside the pod.
    pub link: Option<Link>,
}

/// Whether a NIC is as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicView {
    /// Whether the NIC in the pod is as declared.
    pub nic_holds: bool,
    /// Whether its Open vSwitch port is as declared, if that could be checked.
    pub port: Verdict,
    /// What was seen.
    pub detail: String,
}

impl Place<'_> {
    /// Waits until the pod of a probe is ready, and inspects it.
    /// Fails when the pod does not become ready or the command in it fails.
    pub async fn look(&self, probe: &Probe, timeout: Duration, progress: Progress<'_>) -> Result<StartedPod> {
        let selector = format!("{PROBE_LABEL}={}", probe.name);
        let pods = self.cluster.wait_pods(self.namespace, &selector, 1, &is_ready, timeout, progress).await?;
        let pod = pods.first().unwrap_or(&Value::Null);
        let network = format!("{}/{}", probe.network.namespace, probe.network.name);
        let nic = nic(pod, &network);
        let link = match &nic {
            Some(nic) => self.link(&probe.name, &nic.interface).await?,
            None => None,
        };
        let (uid, node) = (text(pod, "/metadata/uid").to_owned(), text(pod, "/spec/nodeName").to_owned());
        Ok(StartedPod { probe: probe.clone(), uid, node, nic, link })
    }

    /// A NIC inside a pod; none when it has no such NIC.
    /// Fails when the command in the pod cannot be run.
    pub async fn link(&self, pod: &str, interface: &str) -> Result<Option<Link>> {
        Ok(link(&self.run(pod, &["ip", "addr", "show"]).await?.stdout, interface))
    }

    /// Runs a command in a pod.
    /// Fails when it cannot be run; a non-zero exit code is not an error.
    pub async fn run(&self, pod: &str, argv: &[&str]) -> Result<Output> {
        self.cluster.exec(self.namespace, pod, None, argv, EXEC_TIMEOUT).await
    }
}

impl StartedPod {
    /// The NIC's address: the one in its network, else the first.
    pub fn ip(&self) -> Option<IpAddr> {
        let ips = &self.link.as_ref()?.ips;
        let subnet = self.probe.subnet.as_deref().and_then(|text| text.parse::<IpNet>().ok());
        let own = subnet.and_then(|subnet| ips.iter().find(|ip| subnet.contains(*ip)));
        own.or(ips.first()).copied()
    }

    /// The reason not to test when another pod's address is also this pod's own: it would answer itself.
    pub fn meets_itself(&self, other: &Self) -> Option<String> {
        let target = other.ip().filter(|ip| self.link.as_ref().is_some_and(|link| link.ips.contains(ip)))?;
        Some(format!("{target} of {} is also an address of {}", other.probe.name, self.probe.name))
    }

    /// The name of the NIC in the pod.
    pub fn interface(&self) -> Option<&str> {
        self.nic.as_ref().map(|nic| nic.interface.as_str())
    }

    /// Whether the NIC is as declared, with details.
    pub fn view(&self, here: &Here, ovs: Option<&OvsState>) -> NicView {
        let without = |detail: String| NicView { nic_holds: false, port: Verdict::Passed, detail };
        let Some(nic) = &self.nic else {
            return without("Multus reports no such NIC in the pod's network-status".into());
        };
        let Some(link) = &self.link else {
            return without(format!("the pod has no NIC {}", nic.interface));
        };
        let (address_holds, address) = address_check(&self.probe, link);
        let port = port_check(here, self, ovs);
        let other = nic.mac.as_deref().filter(|mac| !mac.eq_ignore_ascii_case(&link.mac));
        let mac = other.map(|mac| format!(", but Multus reports {mac}")).unwrap_or_default();
        let wanted = self.probe.mtu.filter(|wanted| *wanted != link.mtu);
        let mtu = wanted.map(|wanted| format!(" instead of {wanted}")).unwrap_or_default();
        let up = if link.up { "up" } else { "down" };
        let detail = format!(
            "{} {up}, {}{mac}, MTU {}{mtu}, {address}{}",
            nic.interface, link.mac, link.mtu, port.detail
        );
        let nic_holds = address_holds && other.is_none() && wanted.is_none() && link.up;
        NicView { nic_holds, port: port.verdict, detail }
    }
}

impl From<NicView> for Found {
    fn from(view: NicView) -> Self {
        Self { verdict: Verdict::of(view.nic_holds).and(view.port), detail: view.detail }
    }
}

/// The state of Open vSwitch; none when not installed.
pub async fn ovs_state(cx: &Context) -> Result<Option<OvsState>> {
    if cx.host.find("ovs-vsctl").await?.is_none() {
        return Ok(None);
    }
    OvsState::read(cx.host.as_ref()).await.map(Some)
}

fn address_check(probe: &Probe, link: &Link) -> (bool, String) {
    let shown: Vec<String> = link.ips.iter().map(ToString::to_string).collect();
    let shown = if shown.is_empty() { "no address".into() } else { shown.join(" ") };
    let subnet = probe.subnet.as_deref().and_then(|text| text.parse::<IpNet>().ok());
    let holds = match (probe.address, subnet) {
        (_, Some(subnet)) => link.ips.iter().any(|ip| subnet.contains(ip)),
        // Routers on the network assign IPv6 addresses to everybody.
        (Some(false), None) => link.ips.iter().all(IpAddr::is_ipv6),
        (Some(true), None) => !link.ips.is_empty(),
        (_, None) => true,
    };
    (holds, shown)
}

/// The Open vSwitch port, when the pod runs on this machine.
fn port_check(here: &Here, seen: &StartedPod, ovs: Option<&OvsState>) -> Found {
    let Some(wanted) = &seen.probe.port else { return Found::of(true, "") };
    if here.node.as_deref() != Some(&seen.node) {
        return Found::not_checked(format!(", port not checked: {}", here.why_not(&seen.node)));
    }
    let interface = seen.interface().unwrap_or_default();
    let found = ovs.and_then(|ovs| ovs.port_of_pod(&seen.uid, interface));
    let Some((on, port)) = found else {
        let nameless = ovs.is_some_and(|ovs| ovs.has_nameless_port(&wanted.bridge, wanted.vlan, interface));
        return if nameless {
            Found::not_checked(", port not checked: this ovs-cni does not record the owners of ports")
        } else {
            Found::of(false, ", no port in Open vSwitch")
        };
    };
    let is = port.on(on);
    Found::of(is == *wanted, format!(", port {} of {on}, {is}", port.name))
}
