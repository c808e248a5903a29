//! Kernel settings, and the runtime's CNI configurations and plugins.

use std::collections::BTreeSet;

use serde_json::Value;

use super::seen::{Snapshot, full_name};
use super::{CheckResult, Verdict};
use crate::components::with_plugin;
use crate::error::code;
use crate::formats::cni::{CniConf, all_types, where_from};
use crate::profile::Release;
use crate::terminal::counted;

pub fn kernel(seen: &Snapshot) -> CheckResult {
    let node = &seen.node;
    let hint = "`kvnet up --only kernel` sets it now and at boot";
    if node.forward.as_deref().is_some_and(|value| value != "1") {
        return Ok(Verdict::broken(
            &code::KERNEL,
            "net.ipv4.ip_forward is off: pod traffic does not leave the node",
        )
        .hint(hint));
    }
    match node.bridge_filter.as_deref() {
        Some("1") if node.filter_at_boot => Ok(Verdict::holds("br_netfilter is active, and loaded at boot")),
        Some("1") => Ok(Verdict::warns("br_netfilter is active, but not loaded at boot").hint(hint)),
        Some(_) => {
            let found = "net.bridge.bridge-nf-call-iptables is off: Services do not work between pods on the same node";
            Ok(Verdict::broken(&code::KERNEL, found).hint(hint))
        }
        None if node.has_bridge_filter => {
            Ok(Verdict::unknown("br_netfilter is loaded; its settings are not readable in this namespace"))
        }
        None => Ok(Verdict::broken(
            &code::KERNEL,
            "br_netfilter is not loaded: flannel does not start without it",
        )
        .hint(hint)),
    }
}

pub fn plugins(seen: &Snapshot) -> CheckResult {
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
            0 => Verdict::absent("no configuration uses a plugin"),
            count => Verdict::holds(format!("{} in use, all installed", counted(count, "plugin"))),
        });
    }
    let items = missing.iter().map(|(kind, caller)| format!("{kind}, used by {caller}")).collect();
    let kinds: BTreeSet<String> = missing.into_iter().map(|(kind, _)| kind).collect();
    let verdict = Verdict::broken(&code::CNI_PLUGIN_MISSING, "").each("missing", items);
    Ok(verdict.hint(sources(seen, &kinds)))
}

/// What to do: some plugins are installed by pods, the others come from a release or another DaemonSet.
fn sources(seen: &Snapshot, kinds: &BTreeSet<String>) -> String {
    let installed = |part: &str| seen.cluster.as_ref().is_ok_and(|cluster| cluster.daemon(part).is_some());
    let workloads = |kind: &str| Some(&with_plugin(kind)?.workloads).filter(|it| installed(it.daemon));
    let brought = |kind: &str| workloads(kind).map(|workloads| workloads.selector);
    let selectors: BTreeSet<&str> = kinds.iter().filter_map(|kind| brought(kind)).collect();
    let node = seen.here.as_deref().unwrap_or(&seen.facts.hostname);
    let mut hints: Vec<String> = selectors
        .iter()
        .map(|selector| {
            format!(
                "a pod installs it when it starts; restart that pod: `kubectl delete pod --all-namespaces \
                 --selector {selector} --field-selector spec.nodeName={node}`"
            )
        })
        .collect();
    let others: Vec<String> = kinds.iter().filter(|kind| brought(kind).is_none()).cloned().collect();
    let directories: Vec<&str> = seen.facts.cni_bin_dirs.iter().map(|directory| directory.as_str()).collect();
    hints.extend(where_from(&others, &directories.join(" and ")));
    hints.join("; ")
}

/// The plugins that flannel's plugin delegates to by default.
fn implied(value: &Value) -> Vec<String> {
    if all_types(value).iter().any(|kind| kind == "flannel") {
        return vec!["bridge".into(), "host-local".into()];
    }
    Vec::new()
}

pub fn files(seen: &Snapshot) -> CheckResult {
    let directory = &seen.facts.cni_conf_dir;
    seen.readable(directory.as_str())?;
    if seen.node.configurations.is_empty() {
        return Ok(Verdict::absent(format!("no configuration in {directory}")));
    }
    for (name, content) in &seen.node.configurations {
        let path = directory.join(name);
        let Some(content) = content else { continue };
        let Some((value, conf)) = parsed(content).zip(CniConf::parse(content)) else {
            let found = format!("{path} is not a CNI configuration");
            return Ok(Verdict::broken(&code::CNI_CONFIG, found)
                .hint("fix it or move it away; if it sorts first, no pod starts"));
        };
        if conf.calls_itself() {
            let found = format!("{path}: Multus delegates to itself and forks endlessly");
            return Ok(Verdict::broken(&code::MULTUS_CONFIG, found)
                .hint("move it away and delete the Multus pod; use Multus v4.1.0 or newer"));
        }
        if let Some((delegate, version)) = old_delegate(seen, &value, &conf) {
            let found = format!(
                "{path} has cniVersion {}, its delegate {delegate} has {version}: Multus rejects that",
                conf.version.unwrap_or_default()
            );
            return Ok(Verdict::broken(&code::CNI_CONFIG, found)
                .hint("use the same cniVersion in both: 0.3.1, or 1.0.0 if the plugins support it"));
        }
    }
    Ok(Verdict::holds(format!("{} valid", counted(seen.node.configurations.len(), "configuration"))))
}

/// A delegate too old for CHECK, which CNI 0.4.0 introduced: Multus requires it once its own configuration is that new.
fn old_delegate(seen: &Snapshot, value: &Value, conf: &CniConf) -> Option<(String, String)> {
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
