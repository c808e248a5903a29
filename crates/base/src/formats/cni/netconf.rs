//! A network's configuration, wherever in a chain it is: one view for profiles and for live attachments.

use std::fmt;

use serde_json::{Map, Value};

use super::ipam::Ipam;

/// Plugins that only change the NIC of another one.
const ADJUSTING: &[&str] = &["portmap", "tuning", "bandwidth", "firewall", "sbr", "vrf", "passthru"];
/// Plugins that make a NIC and that this view understands.
const KNOWN: &str = "ovs bridge flannel macvlan ipvlan vlan host-device ptp tap dummy loopback sriov";
/// The last VLAN of a frame's tag.
pub const LAST_VLAN: u16 = 4094;

/// A configuration of one plugin, or of a chain of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetConf {
    /// The network's name; without one, Multus takes that of the attachment.
    pub name: Option<String>,
    /// The plugins, in the order in which they are called.
    pub plugins: Vec<Plugin>,
}

/// One plugin of a configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plugin {
    /// Its place: empty for the configuration itself, else as `plugins[1]`.
    pub path: String,
    /// Its name.
    pub kind: String,
    /// The bridge that it connects to: Open vSwitch's for `ovs`, a Linux one for `bridge`.
    pub bridge: Option<String>,
    /// The link of the node that it builds on, with the name of the field.
    pub master: Option<(&'static str, String)>,
    /// The VLAN, when it is one.
    pub vlan: Option<u16>,
    /// The VLANs that it carries tagged.
    pub trunks: Vec<u16>,
    /// The requested MTU.
    pub mtu: Option<u32>,
    /// Where its addresses come from.
    pub ipam: Option<Ipam>,
    /// All its settings.
    pub settings: Map<String, Value>,
}

/// The port of Open vSwitch that a NIC gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// The bridge.
    pub bridge: String,
    /// The VLAN; none means untagged.
    pub vlan: Option<u16>,
    /// The VLANs that it carries tagged, in order; none means all, when there is no VLAN.
    pub trunks: Vec<u16>,
}

impl NetConf {
    /// Reads a configuration; missing fields and those of a wrong type are left out.
    pub fn read(config: &Map<String, Value>) -> Self {
        let name = config.get("name").and_then(Value::as_str).map(str::to_owned);
        // libcni treats a configuration with `plugins` as a chain, whatever else is in it.
        let plugins = match config.get("plugins").and_then(Value::as_array) {
            Some(chain) => {
                let all = chain.iter().enumerate();
                all.filter_map(|(index, it)| Some(Plugin::read(it.as_object()?, format!("plugins[{index}]"))))
                    .collect()
            }
            None => vec![Plugin::read(config, String::new())],
        };
        Self { name, plugins }
    }

    /// Reads the text of an attachment; none when it is not an object in JSON.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Value>(text).ok()?.as_object().map(Self::read)
    }

    /// The plugin that makes the NIC: the first that is known to make one, else the first that may; none when all only
    /// change one.
    pub fn maker(&self) -> Option<&Plugin> {
        let mut makers = self.plugins.iter().filter(|it| !it.only_adjusts() && !it.kind.is_empty());
        makers.clone().find(|it| it.is_known()).or_else(|| makers.next())
    }

    /// Its kind: its plugin, or `other`.
    pub fn kind(&self) -> &str {
        self.maker().map_or("other", |plugin| plugin.kind.as_str())
    }

    /// The port of Open vSwitch; none when the NIC has none, or when unknown.
    pub fn port(&self) -> Option<Port> {
        self.maker()?.port()
    }

    /// The bridge, of either kind.
    pub fn bridge(&self) -> Option<&str> {
        self.maker()?.bridge.as_deref()
    }

    /// The addresses that the main plugin assigns.
    pub fn ipam(&self) -> Option<&Ipam> {
        self.maker()?.ipam.as_ref()
    }

    /// Whether the NIC gets an address; none when its plugin is not known.
    pub fn gives_addresses(&self) -> Option<bool> {
        let maker = self.maker()?;
        match maker.kind.as_str() {
            "flannel" => Some(true),
            _ if maker.ipam.is_some() => Some(true),
            _ if maker.is_known() => Some(false),
            _ => None,
        }
    }

    /// The resulting MTU of the NIC; none when no plugin sets one. The last plugin that does decides.
    pub fn mtu(&self) -> Option<u32> {
        self.plugins.iter().rev().find_map(|plugin| plugin.mtu)
    }

    /// The unknown plugins: their effect on the NIC is unknown.
    pub fn strangers(&self) -> impl Iterator<Item = &Plugin> {
        self.plugins.iter().filter(|plugin| !plugin.only_adjusts() && !plugin.is_known())
    }
}

impl Plugin {
    fn read(settings: &Map<String, Value>, path: String) -> Self {
        let field = |key: &str| named(settings, key);
        let text = |key: &str| field(key).and_then(Value::as_str).map(str::to_owned);
        let number = |key: &str| field(key).and_then(Value::as_u64);
        let vlan = |key: &str| number(key).and_then(|vlan| u16::try_from(vlan).ok());
        let kind = text("type").unwrap_or_default();
        // The plugins take 0 for "as the kernel likes".
        let mtu = number("mtu").and_then(|mtu| u32::try_from(mtu).ok()).filter(|mtu| *mtu > 0);
        let mut plugin = Self { mtu, settings: settings.clone(), ..Self::default() };
        match kind.as_str() {
            "ovs" => {
                plugin.bridge = text("bridge");
                plugin.trunks = field("trunk").map(trunk).unwrap_or_default();
                // A trunk wins over a tag.
                plugin.vlan = vlan("vlan").filter(|_| plugin.trunks.is_empty());
            }
            "bridge" => {
                plugin.bridge = text("bridge").or_else(|| Some("cni0".into()));
                plugin.vlan = vlan("vlan").filter(|vlan| *vlan > 0);
                plugin.trunks = field("vlanTrunk").map(trunk).unwrap_or_default();
            }
            "macvlan" | "ipvlan" => plugin.master = text("master").map(|it| ("master", it)),
            "vlan" => {
                plugin.master = text("master").map(|it| ("master", it));
                plugin.vlan = vlan("vlanId");
            }
            "host-device" => plugin.master = text("device").map(|it| ("device", it)),
            "sriov" => plugin.vlan = vlan("vlan").filter(|vlan| *vlan > 0),
            "flannel" => {
                let delegate = field("delegate").map(|it| written(it, "mtu")).and_then(Value::as_u64);
                plugin.mtu = delegate.and_then(|mtu| u32::try_from(mtu).ok()).filter(|mtu| *mtu > 0);
            }
            _ => {}
        }
        plugin.ipam = field("ipam").and_then(|ipam| Ipam::read(ipam, &join(&path, "ipam")));
        Self { path, kind, ..plugin }
    }

    /// The port of Open vSwitch that it makes.
    pub fn port(&self) -> Option<Port> {
        let bridge = self.bridge.clone().filter(|_| self.kind == "ovs")?;
        Some(Port { bridge, vlan: self.vlan, trunks: self.trunks.clone() })
    }

    /// Whether it only changes another plugin's NIC.
    pub fn only_adjusts(&self) -> bool {
        ADJUSTING.contains(&self.kind.as_str())
    }

    /// The value of a field, as [`named`].
    pub fn get(&self, field: &str) -> Option<&Value> {
        named(&self.settings, field)
    }

    /// Whether a flag is set.
    pub fn is_on(&self, field: &str) -> bool {
        self.get(field) == Some(&Value::Bool(true))
    }

    /// Whether it makes a NIC, and this view understands how.
    pub fn is_known(&self) -> bool {
        KNOWN.split(' ').any(|known| known == self.kind)
    }

    /// The place of a field.
    pub fn at(&self, field: &str) -> String {
        join(&self.path, field)
    }
}

impl Port {
    /// Whether no frames pass between the two, when both are on the same bridge.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        let has_trunk = !self.trunks.is_empty() || !other.trunks.is_empty();
        self.bridge == other.bridge && self.vlan != other.vlan && !has_trunk
    }
}

impl fmt::Display for Port {
    /// `VLAN 100`, `untagged`, `VLANs 100-104, 200 tagged`; the bridge is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vlan {
            Some(vlan) if self.trunks.is_empty() => write!(f, "VLAN {vlan}"),
            Some(vlan) => write!(f, "VLAN {vlan}, and {} tagged", runs(&self.trunks)),
            None if self.trunks.is_empty() => f.write_str("untagged"),
            None => write!(f, "{} tagged", runs(&self.trunks)),
        }
    }
}

/// `VLANs 100-104, 200`.
fn runs(vlans: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for vlan in vlans {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*vlan) => *last = *vlan,
            _ => runs.push((*vlan, *vlan)),
        }
    }
    let shown = |(first, last): &(u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let word = if vlans.len() == 1 { "VLAN" } else { "VLANs" };
    format!("{word} {}", runs.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// The VLANs of a trunk, in order and once each; entries that are none are left out.
fn trunk(value: &Value) -> Vec<u16> {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut vlans: Vec<u16> = Vec::new();
    for item in items {
        let field = |key: &str| written(item, key).as_u64().and_then(|vlan| u16::try_from(vlan).ok());
        let field = |key: &str| field(key).filter(|vlan| *vlan <= LAST_VLAN);
        if let (Some(first), Some(last)) = (field("minID"), field("maxID")) {
            vlans.extend(first..=last);
        }
        vlans.extend(field("id"));
    }
    vlans.sort_unstable();
    vlans.dedup();
    vlans
}

/// A field of an object as a program in Go reads it: whatever its case, the last one counts, and null is none.
pub fn named<'a>(object: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    let mut alike = object.iter().filter(|(key, value)| key.eq_ignore_ascii_case(field) && !value.is_null());
    alike.next_back().map(|(_, value)| value)
}

/// As [`named`], of any value; null where there is none.
pub fn written<'a>(value: &'a Value, field: &str) -> &'a Value {
    value.as_object().and_then(|object| named(object, field)).unwrap_or(&Value::Null)
}

pub(super) fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(config: &Value) -> NetConf {
        NetConf::read(config.as_object().unwrap())
    }

    #[test]
    fn a_key_is_read_in_whatever_case_and_the_last_counts() {
        let conf = NetConf::parse(
            r#"{"type": "ovs", "Bridge": "br1", "vlan": 7, "Vlan": 100, "VLAN": null,
                "IPAM": {"type": "host-local", "Subnet": "10.20.0.0/24", "RangeStart": "10.20.0.9"}}"#,
        )
        .unwrap();
        assert_eq!(conf.port().unwrap().to_string(), "VLAN 100");
        assert_eq!(conf.bridge(), Some("br1"));
        let range = conf.ipam().unwrap().ranges().next().unwrap();
        assert_eq!((range.subnet.as_str(), range.first.as_deref()), ("10.20.0.0/24", Some("10.20.0.9")));
    }

    #[test]
    fn a_chain_says_the_same_as_its_plugin_alone() {
        let plugin = json!({"type": "ovs", "bridge": "blue", "vlan": 100, "mtu": 9000,
            "ipam": {"type": "host-local", "subnet": "10.20.100.0/24"}});
        let alone = read(&plugin);
        for chain in [json!([plugin, {"type": "tuning"}]), json!([{"type": "tuning"}, plugin])] {
            let chained = read(&json!({"name": "n", "plugins": chain}));
            assert_eq!(chained.port(), alone.port());
            assert_eq!((chained.kind(), chained.bridge(), chained.mtu()), ("ovs", Some("blue"), Some(9000)));
            assert_eq!(chained.gives_addresses(), Some(true));
            assert_eq!(chained.ipam().unwrap().subnets(), alone.ipam().unwrap().subnets());
            assert_eq!(chained.strangers().count(), 0);
        }
        let tuned = read(&json!({"plugins": [plugin, {"type": "tuning", "mtu": 1400}]}));
        assert_eq!(tuned.mtu(), Some(1400));
    }

    #[test]
    fn a_trunk_wins_over_a_tag() {
        let port = |config: Value| read(&config).port().unwrap();
        let trunk = port(json!({"type": "ovs", "bridge": "b", "vlan": 7,
            "trunk": [{"id": 200}, {"minID": 100, "maxID": 102}]}));
        assert_eq!((trunk.vlan, trunk.trunks.as_slice()), (None, &[100, 101, 102, 200][..]));
        assert_eq!(trunk.to_string(), "VLANs 100-102, 200 tagged");
        assert_eq!(
            port(json!({"type": "ovs", "bridge": "b", "trunk": [{"id": 7}]})).to_string(),
            "VLAN 7 tagged"
        );
        assert_eq!(port(json!({"type": "ovs", "bridge": "b", "vlan": 7})).to_string(), "VLAN 7");
        assert_eq!(
            port(json!({"type": "ovs", "bridge": "b"})),
            Port { bridge: "b".into(), ..Port::default() }
        );
    }

    #[test]
    fn an_unknown_plugin_is_a_stranger() {
        let unknown = read(&json!({"type": "kube-ovn"}));
        assert_eq!((unknown.gives_addresses(), unknown.port()), (None, None));
        assert_eq!(unknown.strangers().map(|it| it.kind.as_str()).collect::<Vec<_>>(), ["kube-ovn"]);
        let addressed = read(&json!({"type": "kube-ovn", "ipam": {"type": "static"}}));
        assert_eq!(addressed.gives_addresses(), Some(true));
        assert_eq!(read(&json!({"type": "macvlan"})).gives_addresses(), Some(false));
        assert_eq!(read(&json!({"plugins": [{"type": "tuning"}]})).kind(), "other");
    }

    #[test]
    fn masters_have_their_fields() {
        let master = |config: Value| read(&config).maker().unwrap().master.clone();
        assert_eq!(master(json!({"type": "macvlan", "master": "eth1"})), Some(("master", "eth1".into())));
        assert_eq!(master(json!({"type": "host-device", "device": "eth1"})), Some(("device", "eth1".into())));
        assert_eq!(master(json!({"type": "bridge", "master": "eth1"})), None);
    }

    #[test]
    fn nothing_makes_it_panic() {
        for config in [
            json!({}),
            json!({"type": 5, "plugins": []}),
            json!({"plugins": ["x", {"type": "ovs", "trunk": "x", "vlan": -1, "mtu": 1.5, "ipam": 3}]}),
            json!({"type": "flannel", "delegate": "x"}),
            json!({"type": "ovs", "trunk": [7, {"minID": 9, "maxID": 3}, {"id": 70000}]}),
        ] {
            let conf = read(&config);
            assert_eq!(conf.mtu(), None);
            assert!(conf.port().is_none() && conf.ipam().is_none());
        }
    }
}
