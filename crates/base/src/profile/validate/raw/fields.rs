//! The types of the plugins' fields. They unmarshal their configuration in Go, which refuses all of it for one field of
//! another type.

use serde_json::{Map, Value};

use super::{Found, Placed, shown};
use crate::formats::cni::{LAST_VLAN, Plugin, named, written};
use crate::formats::names::is_mac;
use crate::profile::nearest::nearest;
use crate::profile::path;
use crate::profile::validate::networks::LEAST_MTU;

/// What a field accepts.
#[derive(Clone, Copy)]
enum Takes {
    Text,
    Flag,
    Whole(u64, u64),
    One(&'static [&'static str]),
    Mtu,
    Mac,
    Texts,
    TextOfEach,
    FlagOfEach,
    Object,
    Objects,
    ListsOfObjects,
}

use Takes::{
    Flag, FlagOfEach, ListsOfObjects, Mac, Mtu, Object, Objects, One, Text, TextOfEach, Texts, Whole,
};

type Field = (&'static str, Takes);

const VLAN: Takes = Whole(0, LAST_VLAN as u64);
const UNSIGNED: Takes = Whole(0, u32::MAX as u64);
const BACKEND: Takes = One(&["iptables", "nftables"]);

/// What the CNI library reads, whatever the plugin is.
const COMMON: &[Field] = &[
    ("name", Text),
    ("capabilities", FlagOfEach),
    ("ipam", Object),
    ("dns", Object),
    ("prevResult", Object),
];

/// The fields of the known plugins, by the newest release of each.
const OF: &[(&str, &[Field])] = &[
    (
        "bridge",
        &[
            ("bridge", Text),
            ("isGateway", Flag),
            ("isDefaultGateway", Flag),
            ("forceAddress", Flag),
            ("ipMasq", Flag),
            ("ipMasqBackend", BACKEND),
            ("mtu", Mtu),
            ("hairpinMode", Flag),
            ("promiscMode", Flag),
            ("vlan", VLAN),
            ("preserveDefaultVlan", Flag),
            ("macspoofchk", Flag),
            ("enabledad", Flag),
            ("disableContainerInterface", Flag),
            ("portIsolation", Flag),
        ],
    ),
    (
        "ovs",
        &[
            ("bridge", Text),
            ("vlan", VLAN),
            ("mtu", Mtu),
            ("deviceID", Text),
            ("ofport_request", Whole(1, 65_279)),
            ("interface_type", Text),
            ("configuration_path", Text),
            ("socket_file", Text),
            ("link_state_check_retries", UNSIGNED),
            ("link_state_check_interval", UNSIGNED),
        ],
    ),
    (
        "macvlan",
        &[
            ("master", Text),
            ("mode", One(&["", "bridge", "private", "vepa", "passthru"])),
            ("mtu", Mtu),
            ("mac", Mac),
            ("linkInContainer", Flag),
            ("bcqueuelen", UNSIGNED),
        ],
    ),
    (
        "ipvlan",
        &[("master", Text), ("mode", One(&["", "l2", "l3", "l3s"])), ("mtu", Mtu), ("linkInContainer", Flag)],
    ),
    ("vlan", &[("master", Text), ("vlanId", VLAN), ("mtu", Mtu), ("linkInContainer", Flag)]),
    ("ptp", &[("ipMasq", Flag), ("ipMasqBackend", BACKEND), ("mtu", Mtu)]),
    (
        "tap",
        &[
            ("multiQueue", Flag),
            ("mtu", Mtu),
            ("mac", Mac),
            ("owner", UNSIGNED),
            ("group", UNSIGNED),
            ("selinuxContext", Text),
            ("bridge", Text),
        ],
    ),
    (
        "host-device",
        &[("device", Text), ("hwaddr", Mac), ("kernelpath", Text), ("pciBusID", Text), ("mtu", Mtu)],
    ),
    (
        "sriov",
        &[
            ("deviceID", Text),
            ("vlan", VLAN),
            ("vlanQoS", Whole(0, 7)),
            ("vlanProto", Text),
            ("mac", Mac),
            ("spoofchk", Text),
            ("trust", Text),
            ("link_state", One(&["", "auto", "enable", "disable"])),
            ("min_tx_rate", UNSIGNED),
            ("max_tx_rate", UNSIGNED),
        ],
    ),
    ("flannel", &[("subnetFile", Text), ("dataDir", Text), ("delegate", Object)]),
    (
        "bandwidth",
        &[
            ("ingressRate", Whole(0, u64::MAX)),
            ("ingressBurst", Whole(0, u64::MAX)),
            ("egressRate", Whole(0, u64::MAX)),
            ("egressBurst", Whole(0, u64::MAX)),
            ("shapedSubnets", Texts),
            ("unshapedSubnets", Texts),
        ],
    ),
    (
        "firewall",
        &[
            ("backend", Text),
            ("iptablesAdminChainName", Text),
            ("firewalldZone", Text),
            ("ingressPolicy", One(&["", "open", "same-bridge", "isolated"])),
        ],
    ),
    (
        "portmap",
        &[
            ("backend", BACKEND),
            ("snat", Flag),
            ("masqAll", Flag),
            ("conditionsV4", Texts),
            ("conditionsV6", Texts),
            ("markMasqBit", Whole(0, 31)),
            ("externalSetMarkChain", Text),
        ],
    ),
    ("sbr", &[("table", UNSIGNED)]),
    (
        "tuning",
        &[
            ("dataDir", Text),
            ("sysctl", TextOfEach),
            ("mac", Mac),
            ("promisc", Flag),
            ("mtu", Mtu),
            ("txQLen", UNSIGNED),
            ("allmulti", Flag),
        ],
    ),
    ("vrf", &[("vrfname", Text), ("table", UNSIGNED)]),
];

/// The fields of `ipam`, for each IPAM plugin.
const OF_IPAM: &[(&str, &[Field])] = &[
    (
        "host-local",
        &[
            ("subnet", Text),
            ("rangeStart", Text),
            ("rangeEnd", Text),
            ("gateway", Text),
            ("ranges", ListsOfObjects),
            ("routes", Objects),
            ("dataDir", Text),
            ("resolvConf", Text),
        ],
    ),
    ("static", &[("addresses", Objects), ("routes", Objects), ("dns", Object)]),
    ("dhcp", &[("daemonSocketPath", Text), ("provide", Objects), ("request", Objects)]),
    (
        "whereabouts",
        &[
            ("range", Text),
            ("range_start", Text),
            ("range_end", Text),
            ("gateway", Text),
            ("exclude", Texts),
            ("ipRanges", Objects),
            ("routes", Objects),
        ],
    ),
];

/// Checks the types of a plugin's fields, and of those of its `ipam`.
pub(super) fn check(placed: Placed<'_>, found: &mut Found) {
    let own = of(OF, placed.kind());
    for (field, takes) in COMMON.iter().chain(own) {
        one(placed.get(field), *takes, &placed.at(field), found);
    }
    let Some(ipam) = placed.get("ipam").filter(|ipam| ipam.is_object()) else { return };
    let kind = Some(written(ipam, "type"));
    one(kind, Text, &placed.at("ipam.type"), found);
    for (field, takes) in of(OF_IPAM, kind.and_then(Value::as_str).unwrap_or_default()) {
        one(Some(written(ipam, field)), *takes, &placed.at(&format!("ipam.{field}")), found);
    }
}

/// Fields beside those of [`COMMON`] and [`OF`] that something reads.
const ALSO: [&str; 9] = [
    "type",
    "cniVersion",
    "plugins",
    "args",
    "runtimeConfig",
    "disableCheck",
    "trunk",
    "vlanTrunk",
    "delegate",
];

/// Likely mistakes in a plugin's configuration: the same field twice, and an unknown field with nearly the name of a
/// known one.
pub(in crate::profile) fn doubts(plugin: &Plugin) -> Vec<String> {
    let own = of(OF, &plugin.kind);
    let others: Vec<&str> = COMMON.iter().map(|field| field.0).chain(ALSO).collect();
    let mut told = doubts_in(&plugin.settings, own, &others);
    if let Some(ipam) = named(&plugin.settings, "ipam").and_then(Value::as_object) {
        let kind = named(ipam, "type").and_then(Value::as_str).unwrap_or_default();
        told.extend(doubts_in(ipam, of(OF_IPAM, kind), &["type"]));
    }
    told
}

fn doubts_in(written: &Map<String, Value>, own: &[Field], others: &[&'static str]) -> Vec<String> {
    let known: Vec<&str> = own.iter().map(|field| field.0).chain(others.iter().copied()).collect();
    let keys: Vec<&String> = written.keys().collect();
    let doubt = |(index, key): (usize, &&String)| {
        let is = |other: &str| other.eq_ignore_ascii_case(key);
        if keys[..index].iter().any(|other| is(other)) {
            return Some(format!("`{key}` is given twice, in different case; the last one counts"));
        }
        if own.is_empty() || known.iter().any(|field| is(field)) {
            return None;
        }
        let meant = nearest(key, &known)?;
        Some(format!("`{key}` has no effect; did you mean `{meant}`?"))
    };
    keys.iter().enumerate().filter_map(doubt).collect()
}

/// Checks what flannel delegates: the bridge plugin reads it, unless another is named.
pub(in crate::profile::validate) fn delegate(settings: &Map<String, Value>, at: &str, found: &mut Found) {
    let kind = named(settings, "type").and_then(Value::as_str).unwrap_or("bridge");
    one(named(settings, "type"), Text, &format!("{at}.type"), found);
    for (field, takes) in COMMON.iter().chain(of(OF, kind)) {
        one(named(settings, field), *takes, &format!("{at}.{field}"), found);
    }
}

fn of(table: &'static [(&str, &'static [Field])], kind: &str) -> &'static [Field] {
    table.iter().find(|(name, _)| *name == kind).map_or(&[], |(_, fields)| fields)
}

/// Checks a value and its content: an element is reported at its own place.
fn one(value: Option<&Value>, takes: Takes, at: &str, found: &mut Found) {
    let Some(value) = value.filter(|value| !value.is_null()) else { return };
    match (takes.each(), value) {
        (Some(each), Value::Array(items)) if takes.is_list() => {
            for (index, item) in items.iter().enumerate() {
                one(Some(item), each, &format!("{at}[{index}]"), found);
            }
        }
        (Some(each), Value::Object(map)) if !takes.is_list() => {
            for (key, item) in map {
                one(Some(item), each, &path::join(at, key), found);
            }
        }
        _ => itself(value, takes, at, found),
    }
}

fn itself(value: &Value, takes: Takes, at: &str, found: &mut Found) {
    if takes.fits(value) {
        return;
    }
    let message = match takes.name() {
        Some(name) => format!("must be {name}, not {}", kind_of(value)),
        None => format!("cannot be {}", shown(value)),
    };
    found.add(at, message, takes.hint());
}

impl Takes {
    /// What is in it.
    fn each(self) -> Option<Self> {
        Some(match self {
            Texts | TextOfEach => Text,
            FlagOfEach => Flag,
            Objects => Object,
            ListsOfObjects => Objects,
            _ => return None,
        })
    }

    fn is_list(self) -> bool {
        matches!(self, Texts | Objects | ListsOfObjects)
    }

    /// Whether the value itself is one; the content of a list or map is checked separately.
    fn fits(self, value: &Value) -> bool {
        match self {
            Text => value.is_string(),
            Flag => value.is_boolean(),
            Whole(from, to) => value.as_u64().is_some_and(|number| (from..=to).contains(&number)),
            One(choices) => value.as_str().is_some_and(|text| choices.contains(&text)),
            Mtu => {
                let fits = |mtu: u64| mtu == 0 || (u64::from(LEAST_MTU)..=65_535).contains(&mtu);
                value.as_u64().is_some_and(fits)
            }
            Mac => value.as_str().is_some_and(|text| text.is_empty() || is_mac(text)),
            Texts | Objects | ListsOfObjects => value.is_array(),
            TextOfEach | FlagOfEach | Object => value.is_object(),
        }
    }

    /// What it must be; none where the message names the value.
    fn name(self) -> Option<&'static str> {
        Some(match self {
            Text => "a string",
            Flag => "true or false",
            Texts => "a list of strings",
            TextOfEach => "a map of strings",
            FlagOfEach => "a map of true and false",
            Object => "a map",
            Objects => "a list of maps",
            ListsOfObjects => "a list of lists of maps",
            Whole(..) | One(_) | Mtu | Mac => return None,
        })
    }

    fn hint(self) -> String {
        match self {
            Text => "put it in quotes".into(),
            Flag => "write `true` or `false`, without quotes".into(),
            TextOfEach | FlagOfEach => "write each on a line of its own, as `KEY: VALUE`".into(),
            Whole(from, u64::MAX) => format!("write a whole number, {from} or more"),
            Whole(from, to) => format!("write a number from {from} to {to}"),
            One(choices) => {
                let named: Vec<&str> = choices.iter().copied().filter(|choice| !choice.is_empty()).collect();
                format!("write one of {}", named.join(", "))
            }
            Mtu => format!("write {LEAST_MTU} to 65535, or leave it out"),
            Mac => "write it as `02:00:00:00:00:01`".into(),
            Object => "write it as `{type: host-local, …}` or as lines below it".into(),
            Objects | Texts => "begin each element with `- `".into(),
            ListsOfObjects => "write `[[{subnet: 10.20.0.0/24}]]`: a list of sets of ranges".into(),
        }
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
