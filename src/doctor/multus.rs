//! Multus: its daemon, its place among the CNI configurations, its networks, and pods' NICs.

use serde_json::Value;

use super::cluster::why;
use super::seen::{ClusterSnapshot, Snapshot, full_name, name};
use super::{CheckResult, Verdict, listed};
use crate::cluster::rolled_out;
use crate::error::code;
use crate::facts::attachments::{
    Asked, MULTUS_NAMESPACE, Wish, asked, default_network, pairs, reported, runs_with_its_nics, unreadable,
};
use crate::formats::cni::{CniConf, NetConf};
use crate::terminal::counted;
use crate::trace::of_machine;

/// Seconds before the expiry of credentials at which they should have been renewed long ago.
const SOON: i64 = 300;

pub fn daemon(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let file = seen.node.configurations.iter().find(|(_, content)| is_multus(content.as_deref()));
    let Some(daemon) = cluster.daemon("multus") else {
        let Some((name, _)) = file else { return Ok(gone(seen)) };
        let found = format!(
            "{name} calls Multus, but its DaemonSet does not exist: pods cannot be created or deleted"
        );
        return Ok(Verdict::broken(&code::MULTUS_CONFIG, found)
            .hint("`kvnet up --only multus` reinstalls it, `kvnet down` removes its configuration"));
    };
    if let Some(found) = out_of_memory(cluster, daemon) {
        return Ok(Verdict::broken(&code::MULTUS_CONFIG, found)
            .hint("raise its memory limit: plugins that it runs count towards it"));
    }
    let (ready, now) = rolled_out(daemon);
    if !ready {
        let found = format!("{}: {now}; {}", full_name(daemon), why(cluster, daemon));
        return Ok(Verdict::broken(&code::MULTUS_CONFIG, found));
    }
    match seen.node.multus_until {
        Some(until) if until <= seen.now => {
            let found = "the credentials in multus.d/multus.kubeconfig have expired: no pod can start";
            Ok(Verdict::broken(&code::MULTUS_CONFIG, found)
                .hint("delete the node's Multus pod: the new one writes new credentials"))
        }
        Some(until) if until <= seen.now + SOON => {
            Ok(Verdict::warns("the credentials in multus.d/multus.kubeconfig expire in a few minutes")
                .hint("the Multus pod should have renewed them: check its log, or use the thick flavour"))
        }
        _ => Ok(Verdict::holds(format!("{}: {now}", full_name(daemon)))),
    }
}

/// Neither Multus' daemon nor its configuration exists.
fn gone(seen: &Snapshot) -> Verdict {
    if !seen.lost("multus") {
        return Verdict::absent("Multus is not installed");
    }
    Verdict::broken(&code::MULTUS_CONFIG, "Multus DaemonSet not found: pods get only one NIC")
        .hint("`kvnet up --only multus,cni-order`")
}

/// A Multus pod that was OOM-killed, now or at its last termination.
fn out_of_memory(cluster: &ClusterSnapshot, daemon: &Value) -> Option<String> {
    cluster.pods_of(daemon).find_map(|pod| {
        let statuses = pod["status"]["containerStatuses"].as_array()?;
        let killed = |status: &&Value| {
            ["state", "lastState"].iter().any(|state| status[*state]["terminated"]["reason"] == "OOMKilled")
        };
        statuses.iter().find(killed)?;
        Some(format!("{} was OOM-killed", full_name(pod)))
    })
}

pub fn order(seen: &Snapshot) -> CheckResult {
    let directory = &seen.facts.cni_conf_dir;
    seen.readable(directory.as_str())?;
    let multus = seen.node.configurations.iter().find(|(_, content)| is_multus(content.as_deref()));
    let hint =
        "`kvnet up --only multus,cni-order` puts Multus first; recreate pods that started without their NICs";
    let Some((multus, _)) = multus else {
        if seen.cluster()?.daemon("multus").is_none() {
            return Ok(Verdict::absent("Multus is not installed"));
        }
        if let Some(taken) = seen.node.names.iter().find(|name| name.ends_with(".cilium_bak")) {
            return Ok(Verdict::broken(
                &code::CNI_ORDER,
                format!("Cilium renamed Multus' file: {directory}/{taken}"),
            )
            .hint("set Cilium's `cni.exclusive` to false"));
        }
        return Ok(
            Verdict::broken(&code::CNI_ORDER, format!("no Multus configuration in {directory}")).hint(hint)
        );
    };
    match seen.node.configurations.first() {
        Some((first, _)) if first != multus => {
            let found = format!("{first} sorts before {multus}, the configuration of Multus");
            Ok(Verdict::broken(&code::CNI_ORDER, found).hint(hint))
        }
        _ => Ok(Verdict::holds(format!("first: {multus}"))),
    }
}

fn is_multus(content: Option<&str>) -> bool {
    content.and_then(CniConf::parse).is_some_and(|conf| conf.is_multus())
}

pub fn networks(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let known = |network: &str| cluster.networks.iter().any(|definition| full_name(definition) == network);
    let declared = seen
        .profile
        .networks
        .iter()
        .map(|it| (format!("{}/{}", it.namespace, it.name), "the profile".to_owned()));
    let installed = cluster.daemon("multus").is_some();
    let asked = asked_for(cluster);
    let missing: Vec<String> = declared
        .filter(|_| installed)
        .chain(asked)
        .filter(|(network, _)| !known(network))
        .map(|(network, who)| format!("{network}, named by {who}"))
        .collect();
    if !missing.is_empty() {
        return Ok(Verdict::broken(&code::NETWORK_MISSING, "")
            .each("missing", missing)
            .hint("`kvnet up --only networks`; a name without a namespace means the pod's own"));
    }
    let unreadable = |network: &&Value| {
        let config = network["spec"]["config"].as_str().filter(|config| !config.is_empty());
        config.is_some_and(|config| {
            !serde_json::from_str::<Value>(config).is_ok_and(|config| config.is_object())
        })
    };
    let unreadable: Vec<String> = cluster.networks.iter().filter(unreadable).map(full_name).collect();
    if !unreadable.is_empty() {
        let verdict = Verdict::broken(&code::NETWORK_MISSING, "");
        return Ok(verdict
            .each("configuration is not JSON", unreadable)
            .hint("`kvnet up --only networks` rewrites kvnet's own; correct `spec.config` of the others"));
    }
    if let Some(verdict) = without_file(seen, cluster) {
        return Ok(verdict);
    }
    let asked: Vec<(&Value, Value)> = cluster
        .networks
        .iter()
        .filter(|network| on_this_node(seen, cluster, &full_name(network)))
        .filter_map(|network| {
            Some((network, serde_json::from_str(network["spec"]["config"].as_str()?).ok()?))
        })
        .collect();
    let slips: Vec<String> = asked
        .iter()
        .filter_map(|(network, config)| {
            Some(format!("{}: {}", full_name(network), without_master(seen, config)?))
        })
        .collect();
    if !slips.is_empty() {
        return Ok(Verdict::broken(&code::NETWORK_MASTER, "").each("", slips));
    }
    let nameless = asked.iter().filter(|(_, config)| without_ipam(config)).map(|(network, _)| {
        format!("`ipam` of {} has no `type`: its NICs get no address", full_name(network))
    });
    let nameless: Vec<String> = nameless.collect();
    if !nameless.is_empty() {
        return Ok(Verdict::warns("")
            .each("", nameless)
            .hint("set an IPAM plugin: `host-local`, `static`, `dhcp`"));
    }
    Ok(match cluster.networks.len() {
        0 => Verdict::absent("none"),
        count => Verdict::holds(format!("{}{}", counted(count, "network"), by_file(seen))),
    })
}

/// Networks of this node's pods with neither a configuration nor a file on this node. A pod that has its NIC proves that
/// Multus found one.
fn without_file(seen: &Snapshot, cluster: &ClusterSnapshot) -> Option<Verdict> {
    let gone = seen.by_file.iter().filter_map(|(network, file)| Some((network, file.as_ref().err()?)));
    let gone = gone.filter(|(network, _)| on_this_node(seen, cluster, network));
    let gone: Vec<(&String, &String)> = gone.collect();
    if gone.is_empty() {
        return None;
    }
    if let Err(verdict) = seen.readable("/cni/") {
        return Some(verdict);
    }
    let items: Vec<String> = gone.iter().map(|(network, why)| format!("{network}: {why}")).collect();
    let has_nic = |network: &str| {
        let asks = |pod: &&Value| wanted(cluster, pod).wishes.iter().any(|wish| wish.network() == network);
        cluster.pods.iter().filter(asks).all(|pod| lacking(cluster, pod).is_none())
    };
    let hint = "put the configuration into `spec.config`, or into such a file with the attachment's `name`";
    Some(if gone.iter().all(|(network, _)| has_nic(network)) {
        Verdict::warns("").each("", items).hint(hint)
    } else {
        Verdict::broken(&code::NETWORK_MISSING, "").each("", items).hint(hint)
    })
}

/// The networks that are configured by a file on this node.
fn by_file(seen: &Snapshot) -> String {
    let found = seen
        .by_file
        .iter()
        .filter_map(|(network, file)| Some(format!("{network} ({})", file.as_ref().ok()?)));
    let found: Vec<String> = found.collect();
    if found.is_empty() {
        String::new()
    } else {
        format!(", configured by a file on this node: {}", listed(&found))
    }
}

/// Whether a pod on this node asks for a network; other nodes may have other NICs.
fn on_this_node(seen: &Snapshot, cluster: &ClusterSnapshot, network: &str) -> bool {
    let here = |pod: &&Value| seen.here.is_some() && pod["spec"]["nodeName"].as_str() == seen.here.as_deref();
    let alive = cluster.pods.iter().filter(here).filter(|pod| is_alive(pod));
    alive.flat_map(|pod| asked(pod).wishes).any(|wish| wish.network() == network)
}

/// The plugins of a configuration: itself, or its chain.
fn plugins(config: &Value) -> impl Iterator<Item = &Value> {
    std::iter::once(config).chain(config["plugins"].as_array().into_iter().flatten())
}

/// The master interface of a network that this node does not have.
fn without_master(seen: &Snapshot, config: &Value) -> Option<String> {
    let links = seen.node.links.as_ref()?;
    let found = plugins(config).find_map(|plugin| {
        let kind = plugin["type"].as_str().filter(|kind| ["macvlan", "ipvlan", "vlan"].contains(kind))?;
        // Inside the container the master is an earlier NIC.
        let own = plugin["linkInContainer"] == true;
        let master = plugin["master"].as_str().filter(|master| !master.is_empty() && !own)?;
        (!links.iter().any(|link| link.name == master)).then_some((kind, master))
    });
    found.map(|(kind, master)| format!("{kind} needs master {master}, which this node does not have"))
}

fn without_ipam(config: &Value) -> bool {
    plugins(config).any(|plugin| {
        let ipam = plugin["ipam"].as_object().filter(|ipam| !ipam.is_empty());
        ipam.is_some_and(|ipam| ipam.get("type").and_then(Value::as_str).unwrap_or_default().is_empty())
    })
}

/// The networks that pods and VMs ask for, each with its consumer.
fn asked_for(cluster: &ClusterSnapshot) -> Vec<(String, String)> {
    let namespace = |object: &Value| object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for machine in &cluster.machines {
        let networks = of_machine(machine, &namespace(machine)).into_iter().filter_map(|it| it.network);
        found.extend(networks.map(|network| (network, format!("VM {}", full_name(machine)))));
    }
    for pod in cluster.pods.iter().filter(|pod| is_alive(pod)) {
        let first = default_network(pod, MULTUS_NAMESPACE).filter(|first| first.refusal().is_none());
        let first = first.unwrap_or_default().wishes;
        let later = if asks_since_it_runs(pod) { unmet(cluster, pod).1 } else { Vec::new() };
        let networks = first.into_iter().chain(wanted(cluster, pod).wishes).map(|wish| wish.network());
        let networks = networks.filter(|network| !later.contains(network));
        found.extend(networks.map(|network| (network, format!("pod {}", full_name(pod)))));
    }
    found
}

/// What a pod asks for; a word that cannot be a network's name is a mistake, not a missing network.
fn wanted(cluster: &ClusterSnapshot, pod: &Value) -> Asked {
    asked(pod).settled(&|network| cluster.networks.iter().any(|definition| full_name(definition) == network))
}

fn is_alive(pod: &Value) -> bool {
    !matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

pub fn nics(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let running = cluster.pods.iter().filter(|pod| pod["status"]["phase"] == "Running");
    let asking: Vec<&Value> = running.filter(|pod| !wanted(cluster, pod).wishes.is_empty()).collect();
    let (late, short): (Vec<&Value>, Vec<&Value>) =
        asking.iter().copied().partition(|pod| asks_since_it_runs(pod));
    let told =
        |pods: Vec<&Value>| pods.into_iter().filter_map(|pod| lacking(cluster, pod)).collect::<Vec<_>>();
    let (damaged, short): (Vec<&Value>, Vec<&Value>) =
        short.into_iter().partition(|pod| unreadable(pod).is_some());
    let (late, mut short) = (told(late), told(short));
    let hint = if short.is_empty() {
        "the NICs may exist: the annotation was overwritten; `kvnet trace pod/NAME` checks the rest, and a new pod gets a new report"
    } else {
        "NICs are only created when a pod starts: once the checks above pass, delete these pods"
    };
    let report = |pod: &Value| Some(format!("{}: {}", full_name(pod), unreadable(pod)?));
    short.extend(damaged.into_iter().filter_map(report));
    if short.is_empty() && !late.is_empty() {
        let hint = "NICs are only created when a pod starts: delete the pod, or revert its annotation";
        return Ok(Verdict::warns("").each("requested after the pod started", late).hint(hint));
    }
    if short.is_empty() {
        return Ok(match asking.len() {
            0 => Verdict::absent("no pod asks for a network"),
            count => Verdict::holds(format!("{}, each with all its NICs", counted(count, "pod"))),
        });
    }
    Ok(Verdict::broken(&code::POD_NIC, "").each("", short).hint(hint))
}

/// Whether the missing NICs were requested after the pod started. Nobody edits a VM's pod.
fn asks_since_it_runs(pod: &Value) -> bool {
    runs_with_its_nics(pod) && pod["metadata"]["labels"]["kubevirt.io"] != "virt-launcher"
}

/// The networks on which a pod has no NIC according to Multus.
fn lacking(cluster: &ClusterSnapshot, pod: &Value) -> Option<String> {
    let (found, missing) = unmet(cluster, pod);
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    (!missing.is_empty()).then(|| {
        let count = counted(found + missing.len(), "secondary NIC");
        format!("{} on {node} has {found} of {count}: none on {}", full_name(pod), listed(&missing))
    })
}

/// How many of its requested NICs a pod has, and the networks of the missing ones.
fn unmet(cluster: &ClusterSnapshot, pod: &Value) -> (usize, Vec<String>) {
    let (wishes, nics) = (wanted(cluster, pod).wishes, reported(pod));
    let configured = |wish: &Wish| {
        let definition = cluster.networks.iter().find(|network| full_name(network) == wish.network())?;
        let config: Value = serde_json::from_str(definition["spec"]["config"].as_str()?).ok()?;
        config["name"].as_str().map(str::to_owned)
    };
    let paired = pairs(&wishes, &nics, &configured);
    let missing = wishes.iter().zip(&paired).filter(|(_, nic)| nic.is_none());
    (paired.iter().flatten().count(), missing.map(|(wish, _)| wish.network()).collect())
}

/// The Open vSwitch networks, each with its bridge.
pub fn bridges_of(cluster: &ClusterSnapshot) -> Vec<(String, String)> {
    let bridge = |network: &Value| {
        let config: Value = serde_json::from_str(network["spec"]["config"].as_str()?).ok()?;
        Some((full_name(network), NetConf::read(config.as_object()?).port()?.bridge))
    };
    cluster.networks.iter().filter(|network| !name(network).is_empty()).filter_map(bridge).collect()
}
