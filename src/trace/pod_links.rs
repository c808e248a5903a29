//! The links that belong to the pod and its VM.

use serde_json::Value;

use super::evidence::Evidence;
use super::guest::GuestView;
use super::node_links::{not_asked, switch};
use super::target::Attachment;
use super::{Link, blame};
use crate::cluster::why_waiting;
use crate::error::code;
use crate::facts::attachments::{self, Reported, Wish, pairs};
use crate::facts::routes::Wire;
use crate::formats::cni::Port;

/// What Multus rejects or ignores in the pod's annotations; none when it accepts them.
pub fn annotation(seen: &Evidence) -> Option<Link> {
    let name = seen.pod.as_ref().and_then(|pod| pod["metadata"]["name"].as_str()).unwrap_or_default();
    let link = Link::new(
        "annotation",
        None,
        format!("the request of pod {name} in {}", crate::formats::cni::NETWORKS),
    );
    let has_sandbox = seen.pod.as_ref().is_some_and(attachments::has_sandbox);
    match (&seen.refusal, &seen.ignored) {
        // Multus read it once, when the pod started.
        (Some(refusal), _) if has_sandbox => {
            let what = format!("{refusal}; the pod keeps the NICs from its start, a new one would not start");
            Some(link.warns(what).hint(code::POD_ANNOTATION.fix))
        }
        (Some(refusal), _) => Some(link.broken(&code::POD_ANNOTATION, refusal)),
        (None, Some(ignored)) => Some(link.warns(ignored)),
        (None, None) => None,
    }
}

/// A `hostNetwork` pod has no NIC of its own, and needs none.
pub fn of_host(seen: &Evidence) -> Link {
    let link = Link::new("pod-nic", Some("pod".into()), "the pod's NIC on the pod network");
    let own = seen
        .pod
        .as_ref()
        .and_then(|pod| pod["status"]["podIP"].as_str().or(pod["status"]["hostIP"].as_str()));
    let address = own.map(|ip| format!(" ({ip})")).unwrap_or_default();
    let node = seen.node_name().map(|node| format!(", {node}")).unwrap_or_default();
    link.holds(format!("none of its own: hostNetwork{node}{address}"))
}

pub fn nic(seen: &Evidence, attachment: &Attachment) -> Link {
    let network = attachment.network.as_deref().unwrap_or("the pod network");
    let link = Link::new("pod-nic", Some(name_of(attachment)), format!("the pod's NIC on {network}"));
    let Some(pod) = &seen.pod else { return link.broken(&code::POD_NIC, without_pod(seen)) };
    let Some(reported) = reported(seen, pod, attachment) else {
        if let Some(why) = attachments::unreadable(pod) {
            let hint = "the NIC may exist: the annotation was overwritten, and Multus only writes it when a pod starts; check with `ip address` in the pod";
            return link.broken(&code::POD_NIC, why).hint(hint);
        }
        return match absent(seen, attachment) {
            Absent::Late => link
                .warns("Multus reports none: the pod asked for it after it had started")
                .hint("delete the pod: NICs are only created when a pod starts"),
            Absent::Kept(by) => link.unknown(kept(&by)),
            Absent::Broken => {
                let what = format!("Multus reports none in the pod's network-status{}", waits(seen, pod));
                link.broken(&code::POD_NIC, what)
            }
        };
    };
    let interface = interface(&reported, attachment);
    let Some(links) = &seen.links else {
        let reason = seen.elsewhere().unwrap_or_else(|| "no process of the pod on this node".into());
        return link.unknown(format!("{}; {reason}", told(pod, &reported, &interface)));
    };
    match carrier(links, &interface) {
        None if is_handed_over(attachment, &reported) => {
            let what = reported.device.as_deref().unwrap_or("sriov");
            link.unknown(format!(
                "Multus reports {interface}; not checked: the NIC ({what}) is passed through, the pod has no interface for it"
            ))
        }
        None => link
            .broken(&code::POD_NIC, format!("Multus reports {interface}, but the pod has no such interface")),
        Some(found) if !found.is_up() => link.broken(&code::POD_NIC, format!("{} is down", found.name)),
        Some(found) if let Some((what, hint)) = altered(seen, found, &reported) => {
            link.broken(&code::POD_NIC, format!("{} {what}", found.name)).hint(hint)
        }
        Some(found) => link.holds(format!("{} is up, {}, MTU {}", found.name, found.mac, found.mtu)),
    }
}

/// Why a NIC does not exist.
enum Absent {
    /// The pod was started before it asked for this NIC.
    Late,
    /// A NIC on another network blocks the pod.
    Kept(String),
    /// Something is wrong.
    Broken,
}

/// Whether a running pod lacks this NIC because it was requested later. Never so for VMs.
pub fn asks_since_it_runs(seen: &Evidence, attachment: &Attachment) -> bool {
    let Some(pod) = seen.pod.as_ref().filter(|_| !seen.machine && attachment.network.is_some()) else {
        return false;
    };
    attachments::runs_with_its_nics(pod) && reported(seen, pod, attachment).is_none()
}

fn absent(seen: &Evidence, attachment: &Attachment) -> Absent {
    if asks_since_it_runs(seen, attachment) {
        return Absent::Late;
    }
    blame::another(seen, attachment).map_or(Absent::Broken, Absent::Kept)
}

fn kept(by: &str) -> String {
    format!("not created: a pod gets all its NICs or none, and the one on {by} fails")
}

/// The source of what is known about a NIC.
fn told(pod: &Value, reported: &Reported, interface: &str) -> String {
    if attachments::reported(pod).is_empty() {
        let address = pod["status"]["podIP"].as_str().unwrap_or("none");
        return format!("its address is {address}, Multus reports no NIC");
    }
    let mac = reported.mac.as_deref().map(|mac| format!(", {mac}")).unwrap_or_default();
    format!("Multus reports {interface}{mac}")
}

/// Whether a NIC is passed through to a VM or a program, as with SR-IOV. The pod may have no interface for it.
pub fn is_handed_over(attachment: &Attachment, reported: &Reported) -> bool {
    let kind = attachment.maker();
    let is_card = matches!(kind.as_deref(), Some("sriov" | "ib-sriov" | "userspace"));
    reported.device.is_some() || is_card || attachment.binding.as_deref() == Some("sriov")
}

/// How a NIC differs from what Multus reported, and the fix. Not for NICs that belong to a guest or a bond.
fn altered(seen: &Evidence, found: &Wire, reported: &Reported) -> Option<(String, String)> {
    if seen.machine || found.master.is_some() {
        return None;
    }
    let name = &found.name;
    let recreate = "or recreate the pod";
    if found.silent && found.kind == "veth" {
        let what = "does not answer ARP requests: ARP is off".to_owned();
        return Some((what, format!("in the pod: `ip link set {name} arp on`, {recreate}")));
    }
    if let Some(mac) = reported.mac.as_deref().filter(|mac| !found.mac.is_empty() && *mac != found.mac) {
        let what = format!("has the MAC address {}, but Multus reported {mac}", found.mac);
        return Some((what, format!("in the pod: `ip link set {name} address {mac}`, {recreate}")));
    }
    let own = found.addresses.as_ref()?;
    let gone = reported.ips.iter().find(|ip| !own.contains(ip))?;
    Some((
        format!("lost the address {gone}, which Multus reported"),
        format!("in the pod: `ip address add {gone}/PREFIX dev {name}`, {recreate}"),
    ))
}

/// The NIC's port is on the right bridge with the right VLAN; none for networks without Open vSwitch.
pub fn port(seen: &Evidence, attachment: &Attachment) -> Option<Link> {
    let name = attachment.bridge.as_deref()?;
    let link = Link::new("port", attachment.network.clone(), format!("the NIC's port on {name}"));
    let Some(state) = switch(seen) else { return Some(link.unknown(not_asked(seen))) };
    let Some(pod) = &seen.pod else {
        return Some(link.broken(&code::OVS_PORT, "no pod, so no port"));
    };
    let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
    let reported = reported(seen, pod, attachment);
    let interface = match (&reported, &attachment.interface) {
        (Some(reported), _) => interface(reported, attachment),
        (None, Some(interface)) => interface.clone(),
        (None, None) => String::new(),
    };
    let Some((on, port)) = state.port_of_pod(uid, &interface) else {
        if reported.is_none() {
            match absent(seen, attachment) {
                Absent::Late => {
                    return Some(link.unknown("none: the pod did not ask for the NIC when it started"));
                }
                Absent::Kept(by) => return Some(link.unknown(kept(&by))),
                Absent::Broken => {}
            }
            let none = "none, because the NIC was not created: see `pod-nic`";
            return Some(
                link.broken(&code::OVS_PORT, none).hint("it is created with the NIC: fix that first"),
            );
        }
        let parent = state.vlan_bridge(name).map_or(name, |(parent, _)| &parent.name);
        if state.is_nameless(parent, Some(&interface)) {
            let why =
                format!("not checked: this ovs-cni does not record the owners of the ports on {parent}");
            return Some(link.unknown(why));
        }
        return Some(
            link.broken(&code::OVS_PORT, format!("Open vSwitch has no port for the pod's {interface}")),
        );
    };
    let errors = port.interfaces.iter().find_map(|interface| interface.error.as_deref());
    if let Some(error) = errors {
        return Some(link.broken(&code::OVS_PORT, format!("port {} does not work: {error}", port.name)));
    }
    // A network may name a VLAN bridge, which is a tagged port of its parent.
    let (bridge, tag) = match state.vlan_bridge(name) {
        Some((parent, port)) => (parent.name.as_str(), port.tag),
        None => (name, None),
    };
    let Some(wanted) = attachment.port() else {
        return Some(link.unknown(format!("port {} is on {on}; its desired state is unknown", port.name)));
    };
    let tag = if wanted.trunks.is_empty() { wanted.vlan.or(tag) } else { None };
    let wanted = Port { bridge: bridge.to_owned(), vlan: tag, trunks: wanted.trunks };
    let is = port.on(on);
    let found = format!("port {} is on {on}, {is}", port.name);
    if is == wanted {
        return Some(link.holds(found));
    }
    Some(
        link.broken(&code::OVS_PORT, format!("{found}; it should be on {bridge}, {wanted}"))
            .hint(correction(&port.name, &is, &wanted)),
    )
}

/// How to correct a port.
pub fn correction(name: &str, is: &Port, wanted: &Port) -> String {
    let mut commands = Vec::new();
    if is.vlan != wanted.vlan {
        commands.push(match wanted.vlan {
            Some(vlan) => format!("`ovs-vsctl set port {name} tag={vlan}`"),
            None => format!("`ovs-vsctl clear port {name} tag`"),
        });
    }
    if is.trunks != wanted.trunks {
        let trunks: Vec<String> = wanted.trunks.iter().map(ToString::to_string).collect();
        commands.push(match trunks.as_slice() {
            [] => format!("`ovs-vsctl clear port {name} trunks`"),
            trunks => format!("`ovs-vsctl set port {name} trunks={}`", trunks.join(",")),
        });
    }
    // Nothing moves a port to another bridge.
    if commands.is_empty() {
        "recreate the pod".into()
    } else {
        format!("recreate the pod, or fix the port: {}", commands.join(", "))
    }
}

/// The VM holds its tap, which is connected to the NIC; none for a pod.
pub fn tap(seen: &Evidence, attachment: &Attachment) -> Option<Link> {
    let nic = attachment.nic.as_deref().filter(|_| seen.machine)?;
    let link = Link::new(
        "tap",
        Some(name_of(attachment)),
        format!("the tap device of NIC {nic} in the virt-launcher pod"),
    );
    match attachment.binding.as_deref() {
        None | Some("bridge" | "masquerade") => {}
        Some("sriov") => {
            let why = "not checked: the NIC is passed through (SR-IOV), without a tap";
            return Some(link.unknown(why));
        }
        Some(binding) => {
            return Some(link.unknown(format!("not checked: the binding `{binding}` need not have a tap")));
        }
    }
    let Some(links) = &seen.links else {
        let reason =
            seen.elsewhere().unwrap_or_else(|| "not checked: no process of the pod on this node".into());
        return Some(link.unknown(reason));
    };
    let interface = attachment.interface.as_deref().unwrap_or_default();
    let name = tap_name(interface);
    let Some(tap) = links.iter().find(|link| link.name == name) else {
        return Some(link.broken(&code::VM_TAP, format!("{name} not found")));
    };
    let Some(bridge) = &tap.master else {
        return Some(link.broken(&code::VM_TAP, format!("{name} is connected to nothing")));
    };
    if !tap.is_up() {
        return Some(link.broken(&code::VM_TAP, format!("{name} is down, or no VM holds it")));
    }
    let nic = carrier(links, interface).and_then(|nic| nic.master.as_ref());
    if !attachment.masquerade && nic != Some(bridge) {
        return Some(link.broken(&code::VM_TAP, format!("{name} is on {bridge}, but the pod's NIC is not")));
    }
    Some(link.holds(format!("{name} is up, on {bridge}")))
}

/// The guest has the NIC, and it is up; none for a pod.
pub fn guest(seen: &Evidence, attachment: &Attachment) -> Option<Link> {
    let nic = attachment.nic.as_deref().filter(|_| seen.machine)?;
    let with = attachment.mac.as_ref().map(|mac| format!(" with {mac}")).unwrap_or_default();
    let link = Link::new("guest-nic", Some(name_of(attachment)), format!("the guest's NIC {nic}{with}"));
    let (nics, by) = match &seen.guest {
        None => {
            return Some(
                link.broken(&code::GUEST_NIC, format!("the VM does not run: {}", seen.now()))
                    .hint("check its events: `kubectl describe vmi`"),
            );
        }
        Some(GuestView::Silent(reason)) => return Some(link.unknown(format!("not checked: {reason}"))),
        Some(GuestView::Nics(nics, by)) => (nics, by),
    };
    let Some(mac) = attachment.mac.as_deref() else {
        let told: Vec<&str> = nics.iter().map(|(name, _)| name.as_str()).collect();
        let told = if told.is_empty() { "none".into() } else { told.join(", ") };
        let why = "not checked: KubeVirt does not report its MAC address";
        return Some(link.unknown(format!("{why}; the guest's NICs: {told} (from {by})")));
    };
    Some(match nics.iter().find(|(_, link)| link.mac == mac) {
        None => {
            link.broken(&code::GUEST_NIC, format!("the guest has no NIC with that MAC address (from {by})"))
        }
        Some((name, found)) if !found.up => link
            .broken(&code::GUEST_NIC, format!("{name} is down (from {by})"))
            .hint(format!("set it up in the guest: `ip link set {name} up`")),
        Some((name, found)) => {
            let ips: Vec<String> = found.ips.iter().map(ToString::to_string).collect();
            let ips = if ips.is_empty() { "no address".into() } else { ips.join(" ") };
            link.holds(format!("{name} is up, {ips} (from {by})"))
        }
    })
}

/// The network's name in the pod's links.
fn name_of(attachment: &Attachment) -> String {
    attachment.network.clone().unwrap_or_else(|| "pod".into())
}

/// What Multus reports about a network. Without Multus, the pod's address stands for the pod network.
pub fn reported(seen: &Evidence, pod: &Value, attachment: &Attachment) -> Option<Reported> {
    let nics = attachments::reported(pod);
    if attachment.network.is_none() {
        let own = || {
            pod["status"]["podIP"]
                .is_string()
                .then(|| Reported { interface: "eth0".into(), ..Reported::default() })
        };
        return nics.into_iter().find(|nic| nic.default).or_else(own);
    }
    let secondary: Vec<&Attachment> = seen.attachments.iter().filter(|it| it.network.is_some()).collect();
    let place = secondary.iter().position(|it| std::ptr::eq(*it, attachment))?;
    let wish = |it: &&Attachment| {
        let network = it.network.clone().unwrap_or_default();
        let (namespace, name) = network.split_once('/').unwrap_or(("", &network));
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Wish { namespace, name, interface: it.interface.clone(), mac: None }
    };
    let wishes: Vec<Wish> = secondary.iter().map(wish).collect();
    let configured = |wish: &Wish| {
        let of = secondary.iter().find(|it| it.network.as_deref() == Some(wish.network().as_str()))?;
        of.config.as_ref()?["name"].as_str().map(str::to_owned)
    };
    let found = pairs(&wishes, &nics, &configured);
    found.get(place).copied().flatten().and_then(|index| nics.get(index).cloned())
}

fn interface(reported: &Reported, attachment: &Attachment) -> String {
    let name = Some(reported.interface.clone()).filter(|name| !name.is_empty());
    name.or_else(|| attachment.interface.clone()).unwrap_or_default()
}

/// The interface that carries the traffic: KubeVirt renames a NIC that it bridges, and leaves a placeholder with its name.
pub fn carrier<'a>(links: &'a [Wire], interface: &str) -> Option<&'a Wire> {
    let by_name = |name: &str| links.iter().find(|link| link.name == name);
    by_name(&renamed(interface)).or_else(|| by_name(interface))
}

/// The name that KubeVirt gives a NIC that it bridges.
pub fn renamed(interface: &str) -> String {
    format!("{}-nic", bare(interface))
}

/// KubeVirt names devices after the NIC's name without `pod`.
fn bare(interface: &str) -> &str {
    interface.strip_prefix("pod").unwrap_or(interface)
}

/// `tap0` for eth0, `tap16477688c0e` for pod16477688c0e.
pub fn tap_name(interface: &str) -> String {
    format!(
        "tap{}",
        interface
            .strip_prefix("eth")
            .or_else(|| interface.strip_prefix("net"))
            .unwrap_or_else(|| bare(interface))
    )
}

fn without_pod(seen: &Evidence) -> String {
    let conditions = seen.object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let refused = conditions.iter().find(|one| one["type"] == "Synchronized" && one["status"] == "False");
    let reason = refused.and_then(|condition| condition["message"].as_str());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("the VM has no pod{reason}")
}

fn waits(seen: &Evidence, pod: &Value) -> String {
    seen.reason
        .clone()
        .or_else(|| why_waiting(pod))
        .map(|reason| format!("; the pod: {reason}"))
        .unwrap_or_default()
}
