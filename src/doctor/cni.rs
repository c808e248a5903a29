//! The kernel's part, and the configurations and plugins of the runtime.

use std::collections::BTreeSet;

use serde_json::Value;

use super::seen::{Seen, full_name};
use super::{Looked, Verdict};
use crate::error::code;
use crate::formats::cni::{CniConf, all_types, where_from};
use crate::profile::Release;
use crate::trace::counted;

pub fn kernel(seen: &Seen) -> Looked {
    let node = &seen.node;
    let hint = "`kvnet up --only kernel` sets it, now and for every boot";
    if node.forward.as_deref().is_some_and(|value| value != "1") {
        return Ok(Verdict::broken(
            &code::KERNEL,
            "net.ipv4.ip_forward is off: no packet leaves a pod's node",
        )
        .hint(hint));
    }
    match node.bridge_filter.as_deref() {
        Some("1") if node.filter_at_boot => Ok(Verdict::holds("br_netfilter works, and is loaded at boot")),
        Some("1") => Ok(Verdict::warns("br_netfilter works, but nothing loads it at boot").hint(hint)),
        Some(_) => {
            let found =
                "net.bridge.bridge-nf-call-iptables is off: Services do not work between pods of a node";
            Ok(Verdict::broken(&code::KERNEL, found).hint(hint))
        }
        None if node.has_bridge_filter => {
            Ok(Verdict::unknown("br_netfilter is loaded; its settings cannot be seen from here"))
        }
        None => Ok(Verdict::broken(
            &code::KERNEL,
            "br_netfilter is not loaded: flannel does not start without it",
        )
        .hint(hint)),
    }
}

pub fn plugins(seen: &Seen) -> Looked {
    seen.readable("/cni/")?;
    let mut callers: Vec<(String, Value)> = Vec::new();
    for (name, content) in &seen.node.configurations {
        callers.extend(content.as_deref().and_then(parsed).map(|value| (name.clone(), value)));
    }
    if let Ok(cluster) = &seen.cluster {
        let config = |network: &Value| network["spec"]["config"].as_str().and_then(parsed);
        callers.extend(
            cluster.networks.iter().filter_map(|network| Some((full_name(network), config(network)?))),
        );
    }
    let mut missing: BTreeSet<(String, String)> = BTreeSet::new();
    let mut count = BTreeSet::new();
    for (caller, value) in &callers {
        for kind in all_types(value).into_iter().chain(implied(value)) {
            if !seen.node.plugins.contains(&kind) {
                missing.insert((kind.clone(), caller.clone()));
            }
            count.insert(kind);
        }
    }
    if missing.is_empty() {
        return Ok(match count.len() {
            0 => Verdict::absent("no configuration calls a plugin"),
            count => Verdict::holds(format!("{} called, all are there", counted(count, "plugin"))),
        });
    }
    let items = missing.iter().map(|(kind, caller)| format!("{kind}, which {caller} calls")).collect();
    let kinds: BTreeSet<String> = missing.into_iter().map(|(kind, _)| kind).collect();
    let verdict = Verdict::broken(&code::CNI_PLUGIN_MISSING, "").each("missing", items);
    Ok(verdict.hint(sources(seen, &kinds)))
}

/// What to do: pods bring some of them, and each of the others comes from somewhere else.
fn sources(seen: &Seen, kinds: &BTreeSet<String>) -> String {
    let installed = |part: &str| seen.cluster.as_ref().is_ok_and(|cluster| cluster.daemon(part).is_some());
    let brought =
        |kind: &str| brought_by(kind).filter(|(part, _)| installed(part)).map(|(_, selector)| selector);
    let selectors: BTreeSet<&str> = kinds.iter().filter_map(|kind| brought(kind)).collect();
    let node = seen.here.as_deref().unwrap_or(&seen.facts.hostname);
    let mut hints: Vec<String> = selectors
        .iter()
        .map(|selector| {
            format!(
                "a pod copies it to the node when it starts; let a new one do it: `kubectl delete pod --all-namespaces \
                 --selector {selector} --field-selector spec.nodeName={node}`"
            )
        })
        .collect();
    let others: Vec<String> = kinds.iter().filter(|kind| brought(kind).is_none()).cloned().collect();
    let directories: Vec<&str> = seen.facts.cni_bin_dirs.iter().map(|directory| directory.as_str()).collect();
    hints.extend(where_from(&others, &directories.join(" and ")));
    hints.join("; ")
}

/// What flannel's plugin calls in turn, when its configuration does not say otherwise.
fn implied(value: &Value) -> Vec<String> {
    if all_types(value).iter().any(|kind| kind == "flannel") {
        return vec!["bridge".into(), "host-local".into()];
    }
    Vec::new()
}

/// The name of the `DaemonSet` that brings a plugin, and the label of its pods.
fn brought_by(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "ovs" => Some(("ovs-cni", "app=ovs-cni")),
        "multus" | "multus-shim" | "passthru" => Some(("multus", "app=multus")),
        "flannel" => Some(("flannel", "app=flannel")),
        _ => None,
    }
}

pub fn files(seen: &Seen) -> Looked {
    let directory = &seen.facts.cni_conf_dir;
    seen.readable(directory.as_str())?;
    if seen.node.configurations.is_empty() {
        return Ok(Verdict::absent(format!("{directory} has no configuration")));
    }
    for (name, content) in &seen.node.configurations {
        let path = directory.join(name);
        let Some(content) = content else { continue };
        let Some((value, conf)) = parsed(content).zip(CniConf::parse(content)) else {
            let found = format!("{path} is no CNI configuration");
            return Ok(Verdict::broken(&code::CNI_CONFIG, found)
                .hint("mend it or move it aside; when it comes first, no pod starts"));
        };
        if conf.calls_itself() {
            let found = format!("{path}: Multus delegates to itself and forks endlessly");
            return Ok(Verdict::broken(&code::MULTUS_CONFIG, found)
                .hint("move it aside and delete the Multus pod; use Multus v4.1.0 or newer"));
        }
        if let Some((delegate, version)) = old_delegate(seen, &value, &conf) {
            let found = format!(
                "{path} is of CNI {}, and {delegate}, which it calls, of {version}: Multus refuses that",
                conf.version.unwrap_or_default()
            );
            return Ok(Verdict::broken(&code::CNI_CONFIG, found)
                .hint("make both the same version: 0.3.1, or 1.0.0 with plugins that know it"));
        }
    }
    Ok(Verdict::holds(format!("{} can be read", counted(seen.node.configurations.len(), "configuration"))))
}

/// Since CNI 0.4.0 networks are checked; what Multus calls must be able to, once Multus' own configuration says so.
fn old_delegate(seen: &Seen, value: &Value, conf: &CniConf) -> Option<(String, String)> {
    const CHECKED: (u32, u32) = (0, 4);
    let is_old = |version: &str| Release::parse(version).is_some_and(|it| (it.major, it.minor) < CHECKED);
    if !conf.is_multus() || conf.version.as_deref().is_none_or(is_old) {
        return None;
    }
    let version = |value: &Value| value["cniVersion"].as_str().map(str::to_owned);
    let named = value["clusterNetwork"].as_str().and_then(|path| path.rsplit('/').next());
    let file = seen.node.configurations.iter().find(|(name, _)| Some(name.as_str()) == named);
    let of_file =
        file.and_then(|(name, content)| Some((name.clone(), version(&parsed(content.as_deref()?)?)?)));
    let delegates = value["delegates"].as_array().into_iter().flatten();
    let own = delegates.filter_map(|delegate| {
        Some((delegate["name"].as_str().unwrap_or("a delegate").to_owned(), version(delegate)?))
    });
    own.chain(of_file).find(|(_, version)| is_old(version))
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str::<Value>(text).ok().filter(Value::is_object)
}
