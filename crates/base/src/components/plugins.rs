//! Which component copies a CNI plugin to nodes.

use super::{ALL, Component};
use crate::formats::cni::brought_by_others;
use crate::profile::Profile;

/// The component that copies a CNI plugin to nodes.
pub fn with_plugin(plugin: &str) -> Option<&'static Component> {
    ALL.iter().copied().find(|component| component.workloads.plugins.contains(&plugin))
}

/// Whether a component that the profile installs copies a CNI plugin to nodes.
pub fn installs(profile: &Profile, plugin: &str) -> bool {
    with_plugin(plugin).is_some_and(|component| (component.is_used)(profile))
}

/// What is not checked, one sentence each: networks with unknown plugins, and plugins that the profile does not install.
pub fn not_looked_into(profile: &Profile) -> Vec<String> {
    let of = |network: &crate::profile::Network| {
        let name = &network.name;
        let strangers: Vec<String> =
            network.netconf().strangers().map(|plugin| plugin.kind.clone()).collect();
        let brought = network.plugins().into_iter().filter(|kind| !strangers.contains(kind));
        let brought = brought.filter_map(|kind| Some(format!("network {name}: {}", absent(profile, &kind)?)));
        let told = |kind: &String| {
            format!("network {name}: plugin {kind} is unknown to kvnet, so it is not checked")
        };
        strangers.iter().map(told).chain(brought).collect::<Vec<_>>()
    };
    profile.networks.iter().flat_map(of).collect()
}

/// Why the profile does not install a plugin; none when it does, or when a release of containernetworking/plugins has it.
fn absent(profile: &Profile, plugin: &str) -> Option<String> {
    match with_plugin(plugin) {
        Some(component) if (component.is_used)(profile) => None,
        Some(component) => {
            let section = component.section;
            Some(format!("`{plugin}` comes with {}, and `{section}.enabled` is off", component.id))
        }
        None => Some(format!("{}, and kvnet does not install that", brought_by_others(plugin)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load_text;

    fn notes(config: &str, more: &str) -> Vec<String> {
        let text = format!(
            "extends: default\nnetworks: [{{name: n, kind: raw, config: {{cniVersion: 0.3.1, {config}}}}}]\nvm: {{enabled: false}}\n{more}"
        );
        not_looked_into(&load_text(&text, "p.yaml", &[]).unwrap().profile)
    }

    #[test]
    fn a_component_that_is_off_is_named_and_one_that_is_on_is_not() {
        let whereabouts = "type: macvlan, ipam: {type: whereabouts, range: 192.0.2.0/28}";
        assert_eq!(
            notes(whereabouts, ""),
            ["network n: `whereabouts` comes with whereabouts, and `whereabouts.enabled` is off"]
        );
        assert_eq!(notes(whereabouts, "whereabouts: {enabled: true}\n"), [""; 0]);
        assert_eq!(notes("type: ovs, bridge: blue", ""), [""; 0]);
    }

    #[test]
    fn plugins_of_others_and_unknown_ones_are_noted() {
        assert_eq!(
            notes("type: macvtap", ""),
            ["network n: plugin macvtap is unknown to kvnet, so it is not checked"]
        );
        let by = notes("type: sriov, deviceID: '0000:00:00.0'", "");
        assert_eq!(
            by,
            ["network n: `sriov` is provided by the DaemonSet of sriov-cni, and kvnet does not install that"]
        );
        assert_eq!(notes("type: macvlan, ipam: {type: dhcp}", ""), [""; 0]);
    }
}
