//! The checks themselves: each looks at the pod, not at what was meant.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use futures::try_join;
use ipnet::IpNet;
use serde_json::Value;
use tokio::sync::watch;

use super::pods::{Link, Nic, PROBE_LABEL, link, nic};
use super::scenario::{Probe, Scenario};
use super::{Outcome, SELECTOR};
use crate::cluster::{Cluster, is_ready};
use crate::engine::context::Context;
use crate::engine::execute::Progress;
use crate::error::{Error, Result, code};
use crate::facts::ovs::OvsState;

const EXEC_TIMEOUT: Duration = Duration::from_secs(20);

/// A started pod with what was found out about its NIC.
struct Seen<'a> {
    probe: &'a Probe,
    uid: String,
    node: String,
    nic: Option<Nic>,
    link: Option<Link>,
}

/// A pod that others wait for: empty until it was seen.
type Slot<'a> = watch::Sender<Option<Arc<Seen<'a>>>>;

/// Makes each check as soon as its pods run; in the order of [`Scenario::checks`].
pub async fn all(
    cx: &Context,
    cluster: &Cluster,
    scenario: &Scenario,
    timeout: Duration,
    progress: Progress<'_>,
) -> Result<Vec<Outcome>> {
    let namespace = cx.profile.verification.namespace.as_str();
    let count = scenario.pods.len();
    let started = cluster.wait_pods(namespace, SELECTOR, count, &is_ready, timeout, progress);
    let slots: BTreeMap<&str, Slot<'_>> =
        scenario.pods.iter().map(|probe| (probe.name.as_str(), Slot::new(None))).collect();
    let looks = scenario.pods.iter().map(|probe| look(cluster, namespace, probe, &slots, timeout));
    let looks = async {
        let seen = try_join_all(looks).await?;
        // Read once all ports are there: one look serves all pods.
        let ovs = ovs_state(cx).await?;
        Ok(seen.iter().map(|seen| nic_check(cx, seen, ovs.as_ref())).collect::<Vec<_>>())
    };
    let reach = scenario.reach.iter().map(|pair| (pair, true));
    let pairs = reach.chain(scenario.isolated.iter().map(|pair| (pair, false)));
    let talks = pairs.map(|(pair, expected)| talk(cluster, namespace, &slots, pair, expected));
    let (_, nics, talks) = try_join!(started, looks, try_join_all(talks))?;
    let outcomes = nics.into_iter().chain(talks).zip(scenario.checks());
    Ok(outcomes.map(|((passed, detail), check)| Outcome { check, passed, detail }).collect())
}

async fn ovs_state(cx: &Context) -> Result<Option<OvsState>> {
    if cx.host.find("ovs-vsctl").await?.is_none() {
        return Ok(None);
    }
    OvsState::read(cx.host.as_ref()).await.map(Some)
}

async fn look<'a>(
    cluster: &Cluster,
    namespace: &str,
    probe: &'a Probe,
    slots: &BTreeMap<&str, Slot<'a>>,
    timeout: Duration,
) -> Result<Arc<Seen<'a>>> {
    let selector = format!("{PROBE_LABEL}={}", probe.name);
    let pods = cluster.wait_pods(namespace, &selector, 1, &is_ready, timeout, &|_| ()).await?;
    let pod = pods.first().unwrap_or(&Value::Null);
    let network = format!("{}/{}", probe.network.namespace, probe.network.name);
    let nic = nic(pod, &network);
    let link = match &nic {
        Some(nic) => {
            let output =
                cluster.exec(namespace, &probe.name, None, &["ip", "addr", "show"], EXEC_TIMEOUT).await?;
            link(&output.stdout, &nic.interface)
        }
        None => None,
    };
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let seen = Arc::new(Seen { probe, uid: text("/metadata/uid"), node: text("/spec/nodeName"), nic, link });
    if let Some(slot) = slots.get(probe.name.as_str()) {
        slot.send_replace(Some(seen.clone()));
    }
    Ok(seen)
}

/// The pod, once it was seen.
async fn seen<'a>(slots: &BTreeMap<&str, Slot<'a>>, name: &str) -> Result<Arc<Seen<'a>>> {
    let stranger = || Error::new(&code::INTERNAL, format!("the verification has no pod {name}"));
    let mut slot = slots.get(name).ok_or_else(stranger)?.subscribe();
    let seen = slot.wait_for(Option::is_some).await.map_err(|_| stranger())?.clone();
    seen.ok_or_else(stranger)
}

/// Whether the NIC is as declared, with what was seen.
fn nic_check(cx: &Context, seen: &Seen<'_>, ovs: Option<&OvsState>) -> (bool, String) {
    let Some(nic) = &seen.nic else {
        return (false, "Multus reports no such NIC in the pod's network-status".into());
    };
    let Some(link) = &seen.link else {
        return (false, format!("the pod has no NIC {}", nic.interface));
    };
    let (address_holds, address) = address_check(seen.probe, link);
    let (port_holds, port) = port_check(cx, seen, ovs);
    let mac_holds = nic.mac.is_empty() || nic.mac.eq_ignore_ascii_case(&link.mac);
    let mac = if mac_holds { String::new() } else { format!(", but Multus reports {}", nic.mac) };
    let up = if link.up { "up" } else { "down" };
    let detail = format!("{} {up}, {}{mac}, MTU {}, {address}{port}", nic.interface, link.mac, link.mtu);
    (address_holds && port_holds && mac_holds && link.up, detail)
}

fn address_check(probe: &Probe, link: &Link) -> (bool, String) {
    let shown: Vec<String> = link.ips.iter().map(ToString::to_string).collect();
    let shown = if shown.is_empty() { "no address".into() } else { shown.join(" ") };
    let subnet = probe.subnet.as_deref().and_then(|text| text.parse::<IpNet>().ok());
    let holds = match (probe.address, subnet) {
        (_, Some(subnet)) => link.ips.iter().any(|ip| subnet.contains(ip)),
        (Some(false), None) => link.ips.is_empty(),
        (_, None) => true,
    };
    (holds, shown)
}

/// The port in Open vSwitch, when the pod runs on the node that kvnet looks at.
fn port_check(cx: &Context, seen: &Seen<'_>, ovs: Option<&OvsState>) -> (bool, String) {
    let Some((bridge, vlan)) = &seen.probe.port else { return (true, String::new()) };
    if seen.node != cx.facts.hostname {
        return (true, format!(", port not looked at: the pod runs on {}", seen.node));
    }
    let interface = seen.nic.as_ref().map(|nic| nic.interface.as_str()).unwrap_or_default();
    let found = ovs.and_then(|ovs| ovs.port_of_pod(&seen.uid, interface));
    let Some((on, port)) = found else {
        let nameless = ovs.is_some_and(|ovs| ovs.has_nameless_port(bridge, *vlan, interface));
        return if nameless {
            (true, ", port not told apart: this ovs-cni does not write whose it is".into())
        } else {
            (false, ", no port in Open vSwitch".into())
        };
    };
    let tag = port.tag.map_or_else(|| "untagged".into(), |tag| format!("VLAN {tag}"));
    (on == bridge && port.tag == *vlan, format!(", port {} of {on}, {tag}", port.name))
}

/// Whether one pod reaches another on layer 2, and on layer 3 when it must.
async fn talk(
    cluster: &Cluster,
    namespace: &str,
    slots: &BTreeMap<&str, Slot<'_>>,
    (one, other): &(String, String),
    expected: bool,
) -> Result<(bool, String)> {
    let (one, other) = try_join!(seen(slots, one), seen(slots, other))?;
    let (Some(target), Some(nic)) = (first_ip(&other), one.nic.as_ref()) else {
        return Ok((false, "a pod has no address to try".into()));
    };
    let (target, nic) = (target.to_string(), nic.interface.as_str());
    let run = async |argv: &[&str]| {
        let output = cluster.exec(namespace, &one.probe.name, None, argv, EXEC_TIMEOUT).await?;
        Ok::<_, Error>(output.status == 0)
    };
    // An ARP request shows whether the two share a layer 2 network, whatever their subnets and routes are.
    if !expected {
        let answers = run(&["arping", "-I", nic, "-c", "1", "-w", "1", &target]).await?;
        let verb = if answers { "answers" } else { "does not answer" };
        return Ok((!answers, format!("{target} {verb} an ARP request")));
    }
    let arping = ["arping", "-I", nic, "-c", "3", "-w", "5", "-f", &target];
    let ping = ["ping", "-I", nic, "-c", "1", "-W", "5", &target];
    let (answers, pings) = try_join!(run(&arping), run(&ping))?;
    let detail = match (answers, pings) {
        (true, true) => format!("{target} answers"),
        (false, _) => format!("{target} does not answer an ARP request"),
        (true, false) => format!("{target} answers an ARP request, but no ping"),
    };
    Ok((answers && pings, detail))
}

fn first_ip(seen: &Seen<'_>) -> Option<IpAddr> {
    seen.link.as_ref()?.ips.first().copied()
}
