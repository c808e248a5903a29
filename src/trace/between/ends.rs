//! The two ends of a path, and whether a frame can be sent between them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::frame::{self, Side};
use crate::cluster::{Cluster, ObjectKey};
use crate::context::Context;
use crate::error::{Error, Result, code};
use crate::formats::names::is_subdomain;
use crate::trace::datapath::Nic;
use crate::trace::evidence::Evidence;
use crate::trace::pod_links::{carrier, is_handed_over, reported};
use crate::trace::target::{Attachment, Target};

/// The word for the network that every pod has.
const POD_NETWORK: &str = "pod";

/// An end of the path.
pub struct End {
    /// The pod or VM.
    pub target: Target,
    /// The evidence about it.
    pub seen: Evidence,
    /// The index of its attachment.
    pub place: usize,
    pub nic: Nic,
    /// The interface in the pod that carries its frames.
    pub link: String,
    /// Its addresses; none when its MAC address is unknown.
    pub side: Option<Side>,
    /// Whether its NIC is passed through (SR-IOV), so the pod has no interface for it.
    pub handed_over: bool,
}

impl End {
    /// Its attachment to the network.
    pub fn attachment(&self) -> &Attachment {
        &self.seen.attachments[self.place]
    }

    /// `pod/one`.
    pub fn shown(&self) -> String {
        format!("{}/{}", if self.target.machine { "vmi" } else { "pod" }, self.target.name)
    }
}

/// The requested network: none for the pod network, else `namespace/name`.
/// Fails with `KVN653` when it does not exist.
pub async fn network(
    cluster: &Cluster,
    wanted: Option<&str>,
    namespace: &str,
    ends: [&Evidence; 2],
) -> Result<Option<String>> {
    let Some(wanted) = wanted.filter(|wanted| *wanted != POD_NETWORK) else { return Ok(None) };
    let (namespace, name) = wanted.split_once('/').unwrap_or((namespace, wanted));
    let full = format!("{namespace}/{name}");
    let key = ObjectKey::new("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some(namespace), name);
    if is_subdomain(name) && is_subdomain(namespace) && cluster.get(&key).await?.is_some() {
        return Ok(Some(full));
    }
    let common = names(ends[0]).intersection(&names(ends[1])).cloned().collect::<Vec<_>>();
    let common = if common.is_empty() { "only the pod network".into() } else { common.join(", ") };
    Err(Error::new(&code::TRACE_NETWORK, format!("NetworkAttachmentDefinition {full} not found"))
        .hint(format!("common networks of both ends: {common}; without `--network` the pod network is used")))
}

/// The networks of an end, without the pod network.
fn names(seen: &Evidence) -> BTreeSet<String> {
    seen.attachments.iter().filter_map(|attachment| attachment.network.clone()).collect()
}

/// Rejects an end that has no NIC of its own or does not run.
pub fn runs(target: &Target, seen: &Evidence) -> Result<()> {
    let refused = |why: String| Error::new(&code::END_WITHOUT_NIC, format!("{target} {why}"));
    let reason = || seen.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let Some(pod) = &seen.pod else {
        return Err(refused(format!("has no pod: {}", seen.now())));
    };
    if pod["spec"]["hostNetwork"] == true {
        let ignored = seen.ignored.as_ref().map(|what| format!("; {what}")).unwrap_or_default();
        return Err(refused(format!(
            "uses its node's network (hostNetwork) and has no NIC of its own{ignored}"
        ))
        .hint("trace the other end alone to see its links up to the node"));
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Err(refused("is being deleted".into()));
    }
    let phase = pod["status"]["phase"].as_str().unwrap_or("Pending");
    if phase != "Running" {
        let follow = if target.machine { "vmi" } else { "pod" };
        let hint = match phase {
            "Succeeded" | "Failed" => "it has terminated, and its NICs are gone".to_owned(),
            _ => format!("to see why: `kvnet trace {follow}/{}/{}`", target.namespace, target.name),
        };
        return Err(refused(format!("is {phase}{}", reason())).hint(hint));
    }
    Ok(())
}

/// The attachments at both ends: to the network or, for an end that is not in it, to its bridge.
/// Fails with `KVN651` when an end has neither.
pub fn places(network: Option<&str>, targets: [&Target; 2], seen: [&Evidence; 2]) -> Result<[usize; 2]> {
    let of = |seen: &Evidence| {
        seen.attachments.iter().position(|attachment| attachment.network.as_deref() == network)
    };
    let own = seen.map(of);
    let bridge = own.iter().zip(seen).find_map(|(place, seen)| seen.attachments[(*place)?].bridge.clone());
    let beside = |seen: &Evidence| {
        let bridge = bridge.as_ref()?;
        seen.attachments.iter().position(|attachment| attachment.bridge.as_ref() == Some(bridge))
    };
    let mut places = [0; 2];
    for number in [0, 1] {
        let Some(place) = own[number].or_else(|| beside(seen[number])) else {
            let all: Vec<String> = names(seen[number]).into_iter().collect();
            let all = if all.is_empty() { "only the pod network".into() } else { all.join(", ") };
            let message = format!("{} is not on {}", targets[number], network.unwrap_or("the pod network"));
            return Err(Error::new(&code::TRACE_ENDS, message)
                .hint(format!("it is on {all}; a pod only gets NICs when it starts, from its annotation")));
        };
        places[number] = place;
    }
    Ok(places)
}

/// Gathers the evidence about both ends.
/// Fails on invalid ends and on errors of the host and the cluster.
pub async fn look(
    cx: &Context,
    targets: [Target; 2],
    wanted: Option<&str>,
    console: bool,
) -> Result<(Option<String>, [End; 2])> {
    let [from, to] = targets;
    if from == to {
        return Err(Error::new(&code::TRACE_ENDS, format!("both ends are {from}"))
            .hint("name another pod or VM as the second end; `kvnet trace NAME` follows a single one"));
    }
    let one = Evidence::gather(cx, &from, console).await?;
    let other = Evidence::gather(cx, &to, console).await?;
    if let (Some(pod), Some(same)) = (uid(&one), uid(&other))
        && pod == same
    {
        return Err(Error::new(&code::TRACE_ENDS, format!("{from} and {to} are the same pod"))
            .hint("a VM and its virt-launcher pod share their NICs"));
    }
    let cluster = cx.need_cluster().await?;
    let network = network(&cluster, wanted, &from.namespace, [&one, &other]).await?;
    runs(&from, &one)?;
    runs(&to, &other)?;
    let places = places(network.as_deref(), [&from, &to], [&one, &other])?;
    Ok((network, [end(from, one, places[0]), end(to, other, places[1])]))
}

fn uid(seen: &Evidence) -> Option<String> {
    seen.pod.as_ref()?["metadata"]["uid"].as_str().map(str::to_owned)
}

fn end(target: Target, seen: Evidence, place: usize) -> End {
    let pod = seen.pod.clone().unwrap_or_default();
    let attachment = &seen.attachments[place];
    let told = reported(&seen, &pod, attachment).unwrap_or_default();
    let name = Some(told.interface.clone()).filter(|name| !name.is_empty());
    let name = name.or_else(|| attachment.interface.clone()).unwrap_or_default();
    let own = seen.links.as_ref().and_then(|links| carrier(links, &name));
    let handed_over = seen.links.is_some() && own.is_none() && is_handed_over(attachment, &told);
    // With masquerade the launcher answers for the guest.
    let of_guest = attachment.mac.clone().filter(|_| !attachment.masquerade);
    let mac = of_guest.or(told.mac).or_else(|| own.map(|link| link.mac.clone())).unwrap_or_default();
    let address =
        told.ips.first().copied().or_else(|| attachment.network.is_none().then(|| address(&pod))?);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nic = Nic {
        pod: format!("{}/{}", text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"])),
        uid: text(&pod["metadata"]["uid"]),
        name: name.clone(),
        network: attachment.network.clone(),
        mac: mac.clone(),
        ip: address,
        bridge: attachment.linux_bridge(),
        carried: None,
    };
    let ip = address.and_then(|ip| match ip {
        std::net::IpAddr::V4(ip) => Some(ip),
        std::net::IpAddr::V6(_) => None,
    });
    let side = frame::mac(&mac).map(|mac| Side { mac, ip });
    let link = own.map_or(name, |link| link.name.clone());
    End { target, seen, place, nic, link, side, handed_over }
}

fn address(pod: &Value) -> Option<std::net::IpAddr> {
    pod["status"]["podIP"].as_str()?.parse().ok()
}
