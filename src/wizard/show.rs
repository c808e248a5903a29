//! What the wizard shows, as lines of a given width.

use crate::components;
use crate::engine::plan::Plan;
use crate::facts::survey::{Card, Presence, Survey, Switch};
use crate::formats::net::Link;
use crate::profile::{Network, NetworkKind, Profile};
use crate::terminal::{clean, cut, wrap};

/// The maximum width of text, for readability.
pub const WIDEST: usize = 80;
/// The most changes of a step that are listed.
const MOST_CHANGES: usize = 3;

/// Two columns: a name and its text, in as many lines as needed.
pub fn columns(rows: &[(String, String)], width: usize) -> String {
    let first = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).min(width / 3);
    let mut text = String::new();
    for (name, value) in rows {
        let mut name = cut(&clean(name).replace('\n', " "), first);
        for line in wrap(&clean(value), width.saturating_sub(first + 4)) {
            text.push_str(format!("  {name:first$}  {line}").trim_end());
            text.push('\n');
            name = String::new();
        }
    }
    text
}

/// What was seen on the node.
pub fn seen(survey: &Survey) -> Vec<(String, String)> {
    let facts = &survey.facts;
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let manager = facts.packages.map_or("no supported package manager", |manager| manager.program());
    let system = if facts.os.pretty.is_empty() { "unknown" } else { &facts.os.pretty };
    row("system", format!("{system}, {}, {manager}", facts.architecture));
    row("user", if facts.root { "root" } else { "not root: `up` needs root" }.into());
    let directories: Vec<&str> = facts.cni_bin_dirs.iter().map(|path| path.as_str()).collect();
    let runtime = survey.runtime.unwrap_or("not found");
    row("runtime", format!("{runtime}; CNI in {} and {}", facts.cni_conf_dir, directories.join(", ")));
    row("CNI files", configurations(survey));
    row("Kubernetes", kubernetes(survey));
    row("Open vSwitch", switch(&survey.switch));
    for card in &survey.cards {
        row(&format!("NIC {}", card.link.name), described(card));
    }
    row("KVM", if facts.kvm { "yes" } else { "no: VMs run in emulation" }.into());
    row("tools", tools(survey));
    for (what, why) in &survey.unseen {
        row("not detected", format!("{what}: {why}"));
    }
    rows
}

fn configurations(survey: &Survey) -> String {
    let one = |(name, types): &(String, Vec<String>)| format!("{name} ({})", types.join(", "));
    let all: Vec<String> = survey.configurations.iter().map(one).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

fn kubernetes(survey: &Survey) -> String {
    let seen = &survey.cluster;
    let version = seen.version.as_deref().unwrap_or("unknown version");
    let pods = seen.pod_subnet.as_ref().map(|range| format!(", pods in {range}")).unwrap_or_default();
    match seen.presence {
        Presence::Answers(1) => format!("{version}, 1 node{pods}"),
        Presence::Answers(count) => format!("{version}, {count} nodes{pods}"),
        Presence::Files => format!("{version}{pods}; the cluster does not answer"),
        Presence::Absent if seen.version.is_some() => format!("no cluster yet; kubeadm {version}"),
        Presence::Absent => "no cluster on this node".into(),
        Presence::Unknown => "unknown".into(),
    }
}

fn switch(switch: &Switch) -> String {
    match switch {
        Switch::Absent => "not installed: `up` installs it".into(),
        Switch::Stopped => "installed, not running".into(),
        Switch::Closed => "runs".into(),
        Switch::Running(state) if state.bridges.is_empty() => "running, no bridges".into(),
        Switch::Running(state) => {
            let names: Vec<&str> = state.bridges.iter().map(|bridge| bridge.name.as_str()).collect();
            format!("running, bridges: {}", names.join(", "))
        }
    }
}

fn described(card: &Card) -> String {
    let Link { addresses, up, .. } = &card.link;
    let state = if *up { "up" } else { "down" };
    let addresses = if addresses.is_empty() { "no address".into() } else { addresses.join(", ") };
    let role = match (&card.busy, &card.bridge) {
        (_, Some(bridge)) => format!("on bridge {bridge}"),
        (Some(_), None) if card.routed => "carries this node".into(),
        (Some(_), None) => "in use".into(),
        (None, None) => "free for an uplink".into(),
    };
    format!("{state}, {addresses}: {role}")
}

fn tools(survey: &Survey) -> String {
    let named = |there: bool| -> Vec<&str> {
        survey.tools.iter().filter(|(_, found)| *found == there).map(|(name, _)| *name).collect()
    };
    let (found, missing) = (named(true), named(false));
    let missing =
        if missing.is_empty() { String::new() } else { format!("; not found: {}", missing.join(", ")) };
    format!("{}{missing}", found.join(", "))
}

/// The result of a profile.
pub fn summary(profile: &Profile, base: &str) -> Vec<(String, String)> {
    let mut rows = vec![("base".to_owned(), base.to_owned())];
    let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
    let cluster = if profile.cluster.init.enabled { "created by `kubeadm init`" } else { "the existing one" };
    row("cluster", format!("{cluster}, pods in {}", profile.cluster.pod_subnet));
    let flannel = if profile.flannel.enabled { "flannel" } else { "the existing one" };
    row("pod network", flannel.into());
    for bridge in &profile.ovs.bridges {
        let uplink = bridge.uplink.as_ref().map(|card| format!("uplink {card}"));
        row(&format!("bridge {}", bridge.name), uplink.unwrap_or_else(|| "no uplink".into()));
    }
    for network in &profile.networks {
        row("network", described_network(network));
    }
    if profile.networks.is_empty() {
        row("networks", "none besides the pod network".into());
    }
    let emulation = serde_json::to_value(profile.kubevirt.emulation).unwrap_or_default();
    let emulation = emulation.as_str().unwrap_or_default();
    row(
        "KubeVirt",
        if profile.kubevirt.enabled { format!("yes, emulation {emulation}") } else { "no".into() },
    );
    let nics: Vec<&str> = profile.vm.interfaces.iter().map(|nic| nic.network.as_str()).collect();
    let vm = format!("{} on {}", profile.vm.name, nics.join(", "));
    row("sample VM", if profile.vm.enabled { vm } else { "none".into() });
    row("versions", versions(profile));
    rows
}

fn versions(profile: &Profile) -> String {
    let used = components::releases().filter(|(component, _)| (component.is_used)(profile));
    let named = used.map(|(_, release)| format!("{} {}", release.part.name(), (release.version)(profile)));
    named.collect::<Vec<_>>().join(", ")
}

fn described_network(network: &Network) -> String {
    let name = &network.name;
    let conf = network.netconf();
    let subnets = conf.ipam().map(crate::formats::cni::Ipam::subnets).unwrap_or_default();
    let subnets: Vec<String> = subnets.iter().map(ToString::to_string).collect();
    let addresses = if subnets.is_empty() { "layer 2 only".into() } else { subnets.join(", ") };
    match &network.kind {
        NetworkKind::Ovs { bridge, vlan, .. } => {
            let vlan = vlan.map(|vlan| format!(" VLAN {vlan}")).unwrap_or_default();
            format!("{name}: {bridge}{vlan}, {addresses}")
        }
        NetworkKind::Bridge { bridge, .. } => {
            format!("{name}: Linux bridge {bridge}, {addresses}")
        }
        NetworkKind::Flannel { .. } => format!("{name}: the pod network"),
        NetworkKind::Raw { .. } => format!("{name}: a CNI configuration"),
    }
}

/// The plan in short: each step with its first changes.
pub fn plan(plan: &Plan<'_>, width: usize) -> String {
    let mut text = String::new();
    for planned in &plan.steps {
        let Ok(findings) = &planned.findings else { continue };
        let changes: Vec<String> =
            findings.lines().iter().map(|line| clean(line).replace('\n', " ")).collect();
        if changes.is_empty() {
            continue;
        }
        text.push_str(&format!("  {}\n", cut(planned.step.title(), width.saturating_sub(2))));
        for change in changes.iter().take(MOST_CHANGES) {
            text.push_str(&format!("    {}\n", cut(change, width.saturating_sub(4))));
        }
        if changes.len() > MOST_CHANGES {
            text.push_str(&format!("    … and {} more\n", changes.len() - MOST_CHANGES));
        }
    }
    if text.is_empty() { "  nothing to do\n".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_only_then_within() {
        assert_eq!(wrap("a few words that break", 12), ["a few words", "that break"]);
        assert_eq!(wrap("/a/path/that/is/long x", 10), ["/a/path/th", "at/is/long", "x"]);
        assert_eq!(wrap("", 12), [""]);
    }

    #[test]
    fn columns_stay_within_the_width_and_are_clean() {
        let rows = [("name".to_owned(), "a value with\u{1b}[31m many words in it".to_owned())];
        assert_eq!(
            columns(&rows, 24),
            "  name  a value\n        with\u{fffd}[31m many\n        words in it\n"
        );
    }

    #[test]
    fn a_nic_is_described_by_what_it_is_for() {
        let card = |busy: Option<&str>, bridge: Option<&str>, routed| Card {
            link: Link { name: "eth0".into(), up: true, ..Link::default() },
            busy: busy.map(Into::into),
            bridge: bridge.map(Into::into),
            routed,
        };
        assert!(described(&card(Some("x"), None, true)).ends_with("carries this node"));
        assert!(described(&card(Some("x"), None, false)).ends_with("in use"));
        assert!(described(&card(None, Some("red"), false)).ends_with("on bridge red"));
        assert!(described(&card(None, None, false)).ends_with("free for an uplink"));
    }
}
