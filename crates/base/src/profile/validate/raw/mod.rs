//! What the plugins of a raw network would refuse, and what would conflict with another step.

mod addresses;
mod chain;
mod fields;
mod links;
mod rules;

pub(super) use fields::delegate;
pub(in crate::profile) use fields::doubts;

use serde_json::{Map, Value};

use super::Found;
use super::format;
use crate::formats::cni::{NetConf, Plugin};
use crate::profile::{Network, Profile};

/// The configuration of one network, at its place in the profile.
struct Raw<'a> {
    profile: &'a Profile,
    network: &'a Network,
    config: &'a Map<String, Value>,
    conf: &'a NetConf,
    path: &'a str,
}

/// One of its plugins.
#[derive(Clone, Copy)]
struct Placed<'a> {
    plugin: &'a Plugin,
    path: &'a str,
}

/// Checks a raw configuration; `path` is its place in the profile.
pub(super) fn check(
    profile: &Profile,
    network: &Network,
    config: &Map<String, Value>,
    path: &str,
    found: &mut Found,
) {
    if !is_configuration(config, path, found) {
        return;
    }
    if let Some(version) = config.get("cniVersion") {
        let text = version.as_str().unwrap_or_default();
        found.format(format!("{path}.cniVersion"), text, &format::CNI_VERSION);
    }
    let conf = network.netconf();
    let raw = Raw { profile, network, config, conf: &conf, path };
    raw.name(found);
    chain::check(&raw, found);
    for plugin in &conf.plugins {
        let placed = Placed { plugin, path };
        fields::check(placed, found);
        addresses::check(&raw, placed, found);
        match plugin.kind.as_str() {
            "macvlan" | "ipvlan" | "vlan" | "host-device" => links::check(&raw, placed, found),
            _ => rules::check(&raw, placed, found),
        }
    }
}

fn is_configuration(config: &Map<String, Value>, path: &str, found: &mut Found) -> bool {
    let hint = "set the CNI plugin with `type`";
    let named = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|kind| !kind.is_empty());
    match config.get("plugins") {
        None if named(config.get("type")) => true,
        None => {
            found.add(path, "has neither `type` nor `plugins`", hint);
            false
        }
        // Multus calls that plugin alone, and never sees the list.
        Some(_) if named(config.get("type")) => {
            found.add(format!("{path}.type"), "has no effect next to `plugins`", "leave one of the two out");
            false
        }
        Some(Value::Array(plugins)) if !plugins.is_empty() => {
            let bad: Vec<usize> = plugins
                .iter()
                .enumerate()
                .filter(|(_, it)| !named(it.get("type")))
                .map(|(at, _)| at)
                .collect();
            for index in &bad {
                found.add(format!("{path}.plugins[{index}]"), "has no `type`", hint);
            }
            bad.is_empty()
        }
        Some(_) => {
            found.add(format!("{path}.plugins"), "is not a list of plugins", hint);
            false
        }
    }
}

impl Raw<'_> {
    /// The CNI library uses the name as a part of a path.
    fn name(&self, found: &mut Found) {
        let name = self.conf.name.as_deref().unwrap_or_default();
        found.format_unless_empty(format!("{}.name", self.path), name, &format::CNI_NAME);
    }

    /// Whether Multus gives the plugins a device: one that the kubelet has for the pod by the resource of the attachment.
    fn has_device(&self) -> bool {
        self.network.annotations.contains_key(crate::profile::RESOURCE_NAME)
    }

    /// The CNI version of the plugins' results: without one they use the first.
    fn version(&self) -> [u32; 3] {
        let text = self.config.get("cniVersion").and_then(Value::as_str).unwrap_or_default();
        let mut parts = text.split('.').map(|part| part.parse().unwrap_or_default());
        match [parts.next(), parts.next(), parts.next()] {
            [Some(major), Some(minor), Some(patch)] => [major, minor, patch],
            _ => [0, 1, 0],
        }
    }

    /// Refuses a version that does not support something.
    fn needs_version(&self, least: [u32; 3], why: &str, found: &mut Found) {
        if self.version() >= least {
            return;
        }
        let [major, minor, patch] = least;
        let is = if self.config.contains_key("cniVersion") { "is too old" } else { "is missing" };
        let message = format!("{is}: {why} {major}.{minor}.{patch} or later");
        let hint = format!("write `cniVersion: {}`", if minor > 3 { "0.4.0" } else { "0.3.1" });
        found.add(format!("{}.cniVersion", self.path), message, hint);
    }
}

impl<'a> Placed<'a> {
    fn kind(self) -> &'a str {
        &self.plugin.kind
    }

    /// The place of the plugin itself.
    fn itself(self) -> String {
        let own = &self.plugin.path;
        if own.is_empty() { self.path.to_owned() } else { format!("{}.{own}", self.path) }
    }

    /// The place of a field.
    fn at(self, field: &str) -> String {
        format!("{}.{}", self.path, self.plugin.at(field))
    }

    /// The value of a field; Go takes null for nothing, and a name in any case.
    fn get(self, field: &str) -> Option<&'a Value> {
        self.plugin.get(field)
    }

    fn text(self, field: &str) -> &'a str {
        self.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    fn is_on(self, field: &str) -> bool {
        self.plugin.is_on(field)
    }

    fn number(self, field: &str) -> u64 {
        self.get(field).and_then(Value::as_u64).unwrap_or_default()
    }
}

/// A value as it was written, short.
fn shown(value: &Value) -> String {
    crate::profile::check::shortened(&value.to_string())
}
