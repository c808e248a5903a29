//! The links that belong to the node and the cluster, and exist before any pod.

use serde_json::Value;

use super::Link;
use super::evidence::Evidence;
use super::pod_links::{asks_since_it_runs, reported};
use super::target::Attachment;
use crate::cluster::{is_ready, why_waiting};
use crate::error::code;
use crate::facts::ovs::OvsState;
use crate::formats::cni::{CniConf, all_types, where_from};
use crate::steps::ovs_cni::{MARKER_DOMAIN, waits_for};
use crate::terminal::counted;

/// Open vSwitch answers; none when no network uses it.
pub fn database(seen: &Evidence) -> Option<Link> {
    seen.attachments.iter().find(|attachment| attachment.bridge.is_some())?;
    let link = Link::new("ovsdb", None, "the Open vSwitch database");
    Some(match (seen.elsewhere(), &seen.switch) {
        (Some(reason), _) => link.unknown(reason),
        (None, None) => link.unknown("not checked"),
        (None, Some(Ok(state))) => link.holds(format!("running, {}", counted(state.bridges.len(), "bridge"))),
        (None, Some(Err(reason))) => link.broken(&code::OVS_UNAVAILABLE, reason),
    })
}

/// The bridge exists and works.
pub fn bridge(seen: &Evidence, attachment: &Attachment) -> Option<Link> {
    let name = attachment.bridge.as_deref()?;
    let link = Link::new("bridge", attachment.network.clone(), format!("bridge {name} in Open vSwitch"));
    let Some(state) = switch(seen) else { return Some(link.unknown(not_asked(seen))) };
    let (parent, through) = match (state.bridge(name), state.vlan_bridge(name)) {
        (Some(bridge), _) => (bridge, String::new()),
        (None, Some((parent, port))) => {
            (parent, format!("VLAN {} of {}; ", port.tag.unwrap_or_default(), parent.name))
        }
        (None, None) => {
            let known: Vec<&str> = state.bridges.iter().map(|bridge| bridge.name.as_str()).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Some(
                link.broken(&code::OVS_BRIDGE, format!("not found; existing bridges: {known}"))
                    .hint("create it with `kvnet up --only ovs-bridges`, then delete the pods that used it: new ones get new ports"),
            );
        }
    };
    Some(match parent.error() {
        Some(error) => link.broken(&code::OVS_BRIDGE, format!("Open vSwitch could not set it up: {error}")),
        None => link.holds(format!(
            "{through}datapath {}, {}",
            parent.datapath(),
            counted(parent.guest_ports().count(), "port")
        )),
    })
}

/// The node advertises the bridge, and the marker runs; none when this ovs-cni has no marker.
/// Only the scheduler needs it: it blocks pods that are not scheduled yet, and no others.
pub fn marker(seen: &Evidence, attachment: &Attachment) -> Option<Link> {
    let bridge = attachment.bridge.as_deref().filter(|_| seen.has_marker)?;
    let resource = format!("{MARKER_DOMAIN}{bridge}");
    let link = Link::new(
        "marker",
        attachment.network.clone(),
        format!("{resource} in the node's capacity, and ovs-cni's pod"),
    );
    let Some(node) = &seen.node else {
        return Some(link.unknown("not checked: not scheduled to a node yet"));
    };
    let name = seen.node_name().unwrap_or_default();
    let offered = node["status"]["capacity"][&resource].as_str().unwrap_or("0");
    let pod = seen.markers.iter().find(|pod| pod["spec"]["nodeName"] == name);
    let state = match pod {
        None => Some(format!("no ovs-cni pod on {name}")),
        Some(pod) if !is_ready(pod) => Some(format!("ovs-cni's pod on {name}: {}", why(pod))),
        Some(_) => None,
    };
    let hint =
        "check its DaemonSet: `kubectl --namespace kube-system describe daemonset --selector app=ovs-cni`";
    let lacks = |found: String| {
        if seen.pod.as_ref().is_some_and(|pod| waits_for(pod, bridge)) {
            link.clone().broken(&code::MARKER, found)
        } else {
            link.clone().warns(format!("{found}; this pod does not wait for it, new ones would"))
        }
    };
    Some(match (offered, state) {
        ("0", None) => lacks(format!("{name} does not advertise it, though the marker runs")).hint(
            "the marker runs every minute: wait, then check its log; it only publishes real bridges, not VLAN bridges",
        ),
        ("0", Some(state)) => lacks(format!("{name} does not advertise it: {state}")).hint(hint),
        (_, Some(state)) => {
            link.warns(format!("{name} still advertises it, but {state}: the value is stale")).hint(hint)
        }
        (amount, None) => link.holds(format!("{name} advertises {amount}")),
    })
}

/// The `NetworkAttachmentDefinition` exists and is valid.
pub fn definition(seen: &Evidence, attachment: &Attachment) -> Link {
    let network = attachment.network.clone().unwrap_or_default();
    let looked_at = format!("NetworkAttachmentDefinition {network}");
    let link = Link::new("network", attachment.network.clone(), looked_at);
    match &attachment.config {
        Some(config) => {
            let types: Vec<String> = all_types(config);
            let port = attachment.port().filter(|port| port.vlan.is_some() || !port.trunks.is_empty());
            let vlan = port.map(|port| format!(", {port}")).unwrap_or_default();
            let file = attachment.file.as_ref().and_then(|file| file.as_ref().ok());
            let file = file.map(|path| format!("configured by the file {path}: ")).unwrap_or_default();
            link.holds(format!("{file}uses {}{vlan}", types.join(", ")))
        }
        None if attachment.defined => unconfigured(seen, attachment, link),
        None if asks_since_it_runs(seen, attachment) => link
            .warns("not found; the running pod only asks for it since its start, a new one would not start"),
        None => link.broken(&code::NETWORK_MISSING, "not found"),
    }
}

/// The definition exists, but without a valid configuration. A pod that has its NIC proves that Multus found one.
fn unconfigured(seen: &Evidence, attachment: &Attachment, link: Link) -> Link {
    let Some(file) = &attachment.file else {
        return link
            .broken(&code::NETWORK_MISSING, "its configuration is not JSON")
            .hint("correct its `spec.config`, or run `kvnet up --only networks` if it is kvnet's");
    };
    if let Some(reason) = seen.elsewhere() {
        return link.unknown(format!("not checked: configured by a file on the node; {reason}"));
    }
    let why = file.as_ref().err().map_or("", String::as_str);
    let has_nic = seen.pod.as_ref().is_some_and(|pod| reported(seen, pod, attachment).is_some());
    if has_nic {
        return link.warns(format!("{why}; this pod has its NIC, a new one may not get it"));
    }
    link.broken(&code::NETWORK_MISSING, why)
        .hint("put the configuration into `spec.config`, or into such a file with the attachment's `name`")
}

/// The plugins that the network needs are installed.
pub fn plugins(seen: &Evidence, attachment: &Attachment) -> Option<Link> {
    let types = all_types(attachment.config.as_ref()?);
    let directories: Vec<&str> = seen.directories.0.iter().map(|directory| directory.as_str()).collect();
    let looked_at = format!("the plugins {} in {}", types.join(", "), directories.join(", "));
    let link = Link::new("cni-plugin", attachment.network.clone(), looked_at);
    if let Some(reason) = seen.elsewhere() {
        return Some(Link { looked_at: format!("the plugins {}", types.join(", ")), ..link }.unknown(reason));
    }
    let missing: Vec<String> =
        types.iter().filter(|kind| seen.plugins.get(*kind).is_none_or(Option::is_none)).cloned().collect();
    if missing.is_empty() {
        return Some(link.holds("all installed"));
    }
    let link = link.broken(&code::CNI_PLUGIN_MISSING, format!("missing: {}", missing.join(", ")));
    Some(if missing.iter().any(|kind| kind == "ovs") {
        link.hint("delete ovs-cni's pod on the node: the new one installs the plugin (`kubectl --namespace kube-system delete pod --selector app=ovs-cni`)")
    } else {
        link.hint(where_from(&missing, &directories.join(" and ")).join("; "))
    })
}

/// The runtime calls Multus.
pub fn configuration(seen: &Evidence) -> Link {
    let link = Link::new("multus", None, format!("the first CNI configuration in {}", seen.directories.1));
    if let Some(reason) = seen.elsewhere() {
        return Link { looked_at: "the first CNI configuration".into(), ..link }.unknown(reason);
    }
    let is_multus = |conf: &Option<CniConf>| conf.as_ref().is_some_and(CniConf::is_multus);
    let found = match seen.configurations.first() {
        Some((name, conf)) if is_multus(conf) => return link.holds(format!("{name} is Multus'")),
        None => "none".to_owned(),
        Some((name, _)) => match seen.configurations.iter().find(|(_, conf)| is_multus(conf)) {
            Some((multus, _)) => format!("{name} sorts before {multus}, the configuration of Multus"),
            None => format!("{name}, but Multus has no configuration"),
        },
    };
    link.broken(&code::CNI_ORDER, found)
        .hint("new pods get no secondary NICs; `kvnet up --only multus,cni-order` puts Multus first")
}

/// Open vSwitch, when it answered.
pub fn switch(seen: &Evidence) -> Option<&OvsState> {
    seen.switch.as_ref()?.as_ref().ok()
}

/// Why Open vSwitch was not checked.
pub fn not_asked(seen: &Evidence) -> String {
    seen.elsewhere().unwrap_or_else(|| "not checked: no answer from Open vSwitch".into())
}

fn why(pod: &Value) -> String {
    why_waiting(pod).unwrap_or_else(|| "it is not ready".into())
}
