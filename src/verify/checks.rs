//! The checks themselves: each looks at the pod, not at what was meant.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::future::{join_all, try_join};
use serde_json::Value;

use super::Outcome;
use super::pods::{Link, Nic, link, nic};
use super::scenario::{Probe, Scenario};
use crate::cluster::Cluster;
use crate::engine::context::Context;
use crate::error::Result;
use crate::facts::network::Cidr;
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

/// Makes all checks at the same time; in the order of [`Scenario::checks`].
pub async fn all(
    cx: &Context,
    cluster: &Cluster,
    scenario: &Scenario,
    pods: &[Value],
) -> Result<Vec<Outcome>> {
    let namespace = cx.profile.verification.namespace.as_str();
    let looks = join_all(scenario.pods.iter().map(|probe| look(cluster, namespace, probe, pods)));
    let (seen, ovs) =
        try_join(async { looks.await.into_iter().collect::<Result<Vec<_>>>() }, ovs_state(cx)).await?;
    let by_name: BTreeMap<&str, &Seen<'_>> =
        seen.iter().map(|seen| (seen.probe.name.as_str(), seen)).collect();
    let reach = scenario
        .reach
        .iter()
        .map(|pair| (pair, true))
        .chain(scenario.isolated.iter().map(|pair| (pair, false)));
    let talks = reach.filter_map(|((one, other), expected)| {
        let (one, other) = (by_name.get(one.as_str())?, by_name.get(other.as_str())?);
        Some(talk(cluster, namespace, one, other, expected))
    });
    let talks = join_all(talks).await.into_iter().collect::<Result<Vec<_>>>()?;
    let nics = seen.iter().map(|seen| nic_check(cx, seen, ovs.as_ref()));
    let lines = scenario.checks();
    let outcomes = nics.chain(talks).zip(lines);
    Ok(outcomes.map(|((passed, detail), check)| Outcome { check, passed, detail }).collect())
}

async fn ovs_state(cx: &Context) -> Result<Option<OvsState>> {
    if cx.host.find("ovs-vsctl").await?.is_none() {
        return Ok(None);
    }
    OvsState::read(cx.host.as_ref()).await.map(Some)
}

async fn look<'a>(cluster: &Cluster, namespace: &str, probe: &'a Probe, pods: &[Value]) -> Result<Seen<'a>> {
    let pod = pods.iter().find(|pod| pod["metadata"]["name"] == probe.name.as_str()).unwrap_or(&Value::Null);
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
    Ok(Seen { probe, uid: text("/metadata/uid"), node: text("/spec/nodeName"), nic, link })
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
    let subnet = probe.subnet.as_deref().and_then(Cidr::parse);
    let holds = match (probe.address, subnet) {
        (_, Some(subnet)) => link.ips.iter().any(|ip| subnet.has(*ip)),
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
    let Some((on, port)) = found else { return (false, ", no port in Open vSwitch".into()) };
    let tag = port.tag.map_or_else(|| "untagged".into(), |tag| format!("VLAN {tag}"));
    (on == bridge && port.tag == *vlan, format!(", port {} of {on}, {tag}", port.name))
}

/// Whether one pod reaches another on layer 2, and on layer 3 when it must.
async fn talk(
    cluster: &Cluster,
    namespace: &str,
    one: &Seen<'_>,
    other: &Seen<'_>,
    expected: bool,
) -> Result<(bool, String)> {
    let ends = (first_ip(other), one.nic.as_ref());
    let (Some(target), Some(nic)) = ends else { return Ok((false, "a pod has no address to try".into())) };
    let target = target.to_string();
    // An ARP request shows whether the two share a layer 2 network, whatever their subnets and routes are.
    let arping = [
        "arping",
        "-I",
        nic.interface.as_str(),
        "-c",
        if expected { "3" } else { "2" },
        "-w",
        if expected { "5" } else { "1" },
        "-f",
        &target,
    ];
    let asked = cluster.exec(namespace, &one.probe.name, None, &arping, EXEC_TIMEOUT).await?;
    let answers = asked.status == 0;
    if !expected {
        let detail = if answers {
            format!("{target} answers an ARP request")
        } else {
            format!("{target} does not answer an ARP request")
        };
        return Ok((!answers, detail));
    }
    let ping = ["ping", "-I", nic.interface.as_str(), "-c", "1", "-W", "5", &target];
    let pinged = cluster.exec(namespace, &one.probe.name, None, &ping, EXEC_TIMEOUT).await?;
    let detail = match (answers, pinged.status == 0) {
        (true, true) => format!("{target} answers"),
        (false, _) => format!("{target} does not answer an ARP request"),
        (true, false) => format!("{target} answers an ARP request, but no ping"),
    };
    Ok((answers && pinged.status == 0, detail))
}

fn first_ip(seen: &Seen<'_>) -> Option<IpAddr> {
    seen.link.as_ref()?.ips.first().copied()
}
