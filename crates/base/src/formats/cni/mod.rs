//! CNI configuration files: which of them the runtime uses, and what is in them.

mod ipam;
mod netconf;
mod plugins;

use serde_json::Value;

pub use ipam::{Ipam, Range, Route};
pub use netconf::{LAST_VLAN, NetConf, Plugin, Port, named, written};
pub use plugins::{brought_by_others, is_address_plugin, is_foreign, misspelt, nearest, where_from};

/// The annotation in which a pod requests networks from Multus.
pub const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
/// The annotation in which Multus reports a pod's NICs.
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// The plugins of a release of containernetworking/plugins.
pub const RELEASED_PLUGINS: [&str; 18] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
];

/// The order in which the runtime sees a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CniOrder {
    /// The file that makes the pod network.
    pub winner: Option<String>,
    /// The files that are shadowed by it, in order.
    pub others: Vec<String>,
}

/// Sorts the names of a directory as libcni does: by bytes, only `.conf`, `.conflist` and `.json`.
pub fn order(names: &[String]) -> CniOrder {
    let mut files: Vec<String> = names.iter().filter(|name| is_configuration(name)).cloned().collect();
    files.sort_unstable();
    let mut files = files.into_iter();
    CniOrder { winner: files.next(), others: files.collect() }
}

/// Whether libcni reads a file of that name; like Go's `filepath.Ext`, everything after the last dot counts.
pub fn is_configuration(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "conf" | "conflist" | "json")))
}

/// A CNI configuration, as far as kvnet needs to understand it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CniConf {
    /// The network's name.
    pub name: String,
    /// Its CNI version; none when the file says nothing.
    pub version: Option<String>,
    /// The plugins that the runtime calls, in order.
    pub types: Vec<String>,
    /// The plugins that Multus calls in turn.
    pub delegates: Vec<String>,
}

impl CniConf {
    /// Reads a `.conf` or `.conflist`; none when it is not a JSON object with a plugin.
    pub fn parse(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let types = plugin_types(&value);
        if types.is_empty() {
            return None;
        }
        let plugins = listed(&value, "plugins");
        let own = listed(&value, "delegates");
        let delegates = plugins.iter().flat_map(|plugin| listed(plugin, "delegates")).chain(own);
        Some(Self {
            name: text_of(&value, "name").unwrap_or_default(),
            version: text_of(&value, "cniVersion"),
            types,
            delegates: delegates.flat_map(|delegate| plugin_types(&delegate)).collect(),
        })
    }

    /// Whether it is Multus', thin or thick.
    pub fn is_multus(&self) -> bool {
        self.types.iter().any(|kind| is_multus_type(kind))
    }

    /// Whether Multus delegates to itself, which forks endlessly.
    pub fn calls_itself(&self) -> bool {
        self.is_multus() && self.delegates.iter().any(|kind| is_multus_type(kind))
    }
}

/// Every plugin that a configuration calls: its own types, its IPAM's and its delegates'.
pub fn all_types(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_types(value, &mut found);
    found.sort_unstable();
    found.dedup();
    found
}

fn collect_types(value: &Value, found: &mut Vec<String>) {
    found.extend(text_of(value, "type"));
    found.extend(value.get("ipam").and_then(|ipam| text_of(ipam, "type")));
    for key in ["plugins", "delegates"] {
        for plugin in &listed(value, key) {
            collect_types(plugin, found);
        }
    }
    if let Some(delegate @ Value::Object(_)) = value.get("delegate") {
        collect_types(delegate, found);
    }
}

fn is_multus_type(kind: &str) -> bool {
    matches!(kind, "multus" | "multus-shim")
}

fn plugin_types(value: &Value) -> Vec<String> {
    match text_of(value, "type") {
        Some(kind) => vec![kind],
        None => listed(value, "plugins").iter().filter_map(|plugin| text_of(plugin, "type")).collect(),
    }
}

fn listed(value: &Value, key: &str) -> Vec<Value> {
    value.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text_of(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_decide_the_order() {
        let names =
            ["70-multus.conf", "multus.d", "10-flannel.conflist", "100-crio-bridge.conflist", "README"];
        let found = order(&names.map(String::from));
        assert_eq!(found.winner.as_deref(), Some("10-flannel.conflist"));
        assert_eq!(found.others, ["100-crio-bridge.conflist", "70-multus.conf"]);
        assert_eq!(order(&[]), CniOrder::default());
    }

    #[test]
    fn extensions_that_libcni_ignores() {
        for (name, expected) in [
            ("a.conf", true),
            ("a.json", true),
            ("a.conf.cilium_bak", false),
            ("a.conf.kvnet-saved", false),
            ("conf", false),
        ] {
            assert_eq!(is_configuration(name), expected, "{name}");
        }
    }

    #[test]
    fn multus_and_its_delegates() {
        let text = r#"{"cniVersion":"0.3.1","name":"multus-cni-network","type":"multus-shim","delegates":[
            {"name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}]}"#;
        let conf = CniConf::parse(text).unwrap();
        assert_eq!(conf.delegates, ["flannel", "portmap"]);
        assert!(conf.is_multus() && !conf.calls_itself());
        let text = r#"{"name":"m","type":"multus","delegates":[{"type":"multus"}]}"#;
        assert!(CniConf::parse(text).unwrap().calls_itself());
    }

    #[test]
    fn lists_and_broken_files() {
        let text = r#"{"name":"cbr0","plugins":[{"type":"flannel"},{"type":"portmap"}]}"#;
        let conf = CniConf::parse(text).unwrap();
        assert_eq!((conf.types, conf.version), (vec!["flannel".to_owned(), "portmap".to_owned()], None));
        for broken in ["", "[]", "{}", "{\"plugins\":[]}"] {
            assert_eq!(CniConf::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn every_plugin_is_found() {
        let value = serde_json::json!({"plugins": [
            {"type": "bridge", "ipam": {"type": "static"}},
            {"type": "flannel", "delegate": {"type": "macvlan"}},
        ]});
        assert_eq!(all_types(&value), ["bridge", "flannel", "macvlan", "static"]);
    }
}
