//! cloud-init's network data, versions 1 and 2: how a guest configures its NICs.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_yaml::Value;

use super::network_data_v1 as v1;
use crate::formats::net::cidr;

/// The kinds of links that are not NICs of the VM.
const MADE: [&str; 6] = ["bonds", "bridges", "dummy-devices", "tunnels", "vlans", "wifis"];

/// A guest's network configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkData {
    /// One for each entry about a NIC.
    pub entries: Vec<Entry>,
    /// The links that the guest creates: bridges, bonds, VLANs.
    pub made: Vec<Entry>,
}

/// The configuration of the NICs that an entry matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The MAC address to match, in lower case.
    pub mac: Option<String>,
    /// The name to match, possibly a pattern with `*` and `?`.
    pub name: Option<String>,
    /// The name that the NIC gets.
    pub set_name: Option<String>,
    /// Its static addresses.
    pub addresses: Vec<IpNet>,
    /// The gateway of its default route.
    pub gateway: Option<IpAddr>,
    /// Whether it asks for an IPv4 address by DHCP.
    pub dhcp4: bool,
}

impl NetworkData {
    /// Reads network data, with or without `network:` around it; none when it is neither version 1 nor 2.
    pub fn read(text: &str) -> Option<Self> {
        let whole: Value = serde_yaml::from_str(text).ok()?;
        let data = whole.get("network").unwrap_or(&whole);
        let (entries, made) = match data.get("version").and_then(Value::as_u64)? {
            1 => v1::entries(data),
            2 => (entries(data, "ethernets"), MADE.iter().flat_map(|kind| entries(data, kind)).collect()),
            _ => return None,
        };
        Some(Self { entries, made })
    }

    /// Why cloud-init would reject a text; none when it accepts it. The text is never quoted, because it may hold a password.
    pub fn refuses(text: &str) -> Option<String> {
        let whole: Value = match serde_yaml::from_str(text) {
            Ok(whole) => whole,
            Err(error) => {
                let line = error.location().map(|at| format!(": line {} of it", at.line()));
                return Some(format!("is not YAML{}", line.unwrap_or_default()));
            }
        };
        let data = whole.get("network").unwrap_or(&whole);
        if !data.is_mapping() {
            return Some("is not a map".into());
        }
        if data.get("config").and_then(Value::as_str) == Some("disabled") {
            return None;
        }
        match data.get("version").map(Value::as_u64) {
            None => Some("has no `version`".into()),
            Some(Some(1)) => v1::refuses(data),
            Some(Some(2)) => refuses(data),
            Some(Some(other)) => Some(format!("has version {other}, but cloud-init only knows 1 and 2")),
            Some(None) => Some("has a `version` that is not a number".into()),
        }
    }

    /// The entry for a NIC: by its MAC address, else by its name, which is unknown before the guest has started. The second
    /// NIC is `eth1` in some guests and `enp2s0` in others.
    pub fn entry(&self, mac: &str, place: usize) -> Option<&Entry> {
        let by_mac = self.entries.iter().find(|entry| entry.mac.as_deref() == Some(mac));
        let names = names(place);
        by_mac.or_else(|| {
            let mut nameless = self.entries.iter().filter(|entry| entry.mac.is_none());
            nameless.find(|entry| {
                let pattern = entry.name.as_deref();
                pattern.is_none_or(|pattern| names.iter().any(|name| matches(pattern, name)))
            })
        })
    }
}

impl Entry {
    /// The NIC's name in a guest that the entry is written for.
    pub fn nic_name(&self, place: usize) -> String {
        let names = names(place);
        let meant =
            || self.name.as_deref().and_then(|pattern| names.iter().find(|name| matches(pattern, name)));
        self.set_name.clone().unwrap_or_else(|| meant().unwrap_or(&names[0]).clone())
    }
}

/// The possible names of the NIC with an index: by the kernel, and by systemd on KubeVirt's two machine types.
fn names(place: usize) -> [String; 3] {
    [format!("eth{place}"), format!("enp{}s0", place + 1), format!("ens{}", place + 3)]
}

/// Whether a name matches a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            matches(&pattern[1..], name)
                || name.chars().next().is_some_and(|first| matches(pattern, &name[first.len_utf8()..]))
        }
        (Some(one), Some(other)) if one == '?' || one == other => {
            matches(&pattern[one.len_utf8()..], &name[other.len_utf8()..])
        }
        _ => false,
    }
}

/// Why data is not valid version 2, where each kind of link is a map of names to settings.
fn refuses(data: &Value) -> Option<String> {
    let kinds = ["ethernets", "wifis", "bonds", "bridges", "vlans"];
    kinds.into_iter().find_map(|kind| {
        let links = data.get(kind)?;
        let are_maps = |links: &serde_yaml::Mapping| links.values().all(|it| it.is_mapping() || it.is_null());
        let wrong = links.as_mapping().is_none_or(|links| !are_maps(links)) && !links.is_null();
        wrong.then(|| format!("has `{kind}` that is not a map of names to settings"))
    })
}

/// The links of one kind of version 2.
fn entries(data: &Value, kind: &str) -> Vec<Entry> {
    let nics = data.get(kind).and_then(Value::as_mapping).into_iter().flatten();
    nics.filter_map(|(id, nic)| Some(entry(id.as_str()?, nic))).collect()
}

fn entry(id: &str, nic: &Value) -> Entry {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let matched = nic.get("match").filter(|matched| matched.is_mapping());
    let mac = matched.and_then(|matched| text(matched.get("macaddress"))).map(|mac| mac.to_ascii_lowercase());
    let name = match matched {
        // An entry without `match` matches the NIC named by its id.
        None => Some(id.to_owned()),
        Some(matched) => text(matched.get("name")),
    };
    let addresses = nic.get("addresses").and_then(Value::as_sequence).into_iter().flatten();
    let routes = nic.get("routes").and_then(Value::as_sequence).into_iter().flatten();
    let is_default =
        |route: &&Value| matches!(route.get("to").and_then(Value::as_str), Some("default" | "0.0.0.0/0"));
    let via = |route: &Value| text(route.get("via"))?.parse().ok();
    let gateway = text(nic.get("gateway4")).and_then(|gateway| gateway.parse().ok());
    Entry {
        mac,
        name,
        set_name: matched.and_then(|_| text(nic.get("set-name"))),
        addresses: addresses.filter_map(address).collect(),
        gateway: gateway.or_else(|| routes.filter(is_default).find_map(via)),
        dhcp4: is_true(nic.get("dhcp4")),
    }
}

/// `10.0.0.2/24`, or the same with settings: `{10.0.0.2/24: {label: a}}`.
fn address(value: &Value) -> Option<IpNet> {
    let text = value.as_str().or_else(|| value.as_mapping()?.keys().next()?.as_str())?;
    cidr(text)
}

/// YAML 1.1 has more words for true than 1.2.
pub(super) fn is_true(value: Option<&Value>) -> bool {
    match value {
        Some(Value::Bool(value)) => *value,
        Some(Value::String(text)) => {
            matches!(text.to_ascii_lowercase().as_str(), "yes" | "true" | "on" | "y")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "02:00:00:00:00:0a";

    fn found(text: &str, place: usize) -> Option<(Vec<String>, bool, String)> {
        let data = NetworkData::read(text).unwrap();
        let entry = data.entry(MAC, place)?;
        let addresses = entry.addresses.iter().map(ToString::to_string).collect();
        Some((addresses, entry.dhcp4, entry.nic_name(place)))
    }

    #[test]
    fn a_nic_is_found_by_its_address_or_its_name_in_both_versions() {
        let fixed =
            |address: &str, dhcp4: bool, name: &str| Some((vec![address.to_owned()], dhcp4, name.to_owned()));
        for (text, place, expected) in [
            (
                "version: 2\nethernets: {n: {match: {macaddress: '02:00:00:00:00:0A'}, addresses: [10.0.0.5/24]}}",
                3,
                fixed("10.0.0.5/24", false, "eth3"),
            ),
            (
                "network: {version: 2, ethernets: {eth1: {addresses: [10.0.0.5/24], dhcp4: yes}}}",
                1,
                fixed("10.0.0.5/24", true, "eth1"),
            ),
            (
                "version: 2\nethernets: {enp2s0: {addresses: ['fd00::5/64']}}",
                1,
                fixed("fd00::5/64", false, "enp2s0"),
            ),
            (
                "version: 2\nethernets: {a: {match: {name: 'en*'}, addresses: [{10.0.0.5/24: {label: x}}]}}",
                1,
                fixed("10.0.0.5/24", false, "enp2s0"),
            ),
            (
                "version: 2\nethernets: {a: {match: {macaddress: '02:00:00:00:00:0a'}, set-name: lan, addresses: [10.0.0.5/24]}}",
                1,
                fixed("10.0.0.5/24", false, "lan"),
            ),
            ("version: 2\nethernets: {eth0: {addresses: [10.0.0.5/24]}}", 1, None),
            (
                "version: 2\nethernets: {a: {match: {macaddress: '02:00:00:00:00:0b'}, addresses: [10.0.0.5/24]}}",
                0,
                None,
            ),
            (
                "version: 1\nconfig: [{type: physical, name: lan, mac_address: '02:00:00:00:00:0A', subnets: [{type: static, address: 10.0.0.5/24}]}]",
                1,
                fixed("10.0.0.5/24", false, "lan"),
            ),
            (
                "version: 1\nconfig: [{type: physical, name: eth1, subnets: [{type: static, address: 10.0.0.5, netmask: 255.255.255.0}, {type: dhcp}]}]",
                1,
                fixed("10.0.0.5/24", true, "eth1"),
            ),
            ("version: 1\nconfig: [{type: nameserver, address: 10.0.0.1}]", 0, None),
        ] {
            assert_eq!(found(text, place), expected, "{text}");
        }
    }

    #[test]
    fn what_a_guest_cannot_read_is_said_without_its_words() {
        for (text, why) in [
            ("version: 2\nethernets: [", "is not YAML: line"),
            ("canary", "is not a map"),
            ("- version: 2", "is not a map"),
            ("ethernets: {}", "has no `version`"),
            ("version: 3\nethernets: {}", "has version 3"),
            ("version: '2'", "is not a number"),
            ("version: 2\nethernets: [eth0]", "has `ethernets` that is not a map"),
            ("version: 2\nethernets: {eth0: dhcp}", "has `ethernets` that is not a map"),
            ("version: 1", "has no list `config`"),
            ("version: 1\nconfig: {type: physical}", "has no list `config`"),
            ("version: 1\nconfig: [{name: eth0}]", "has an entry without `type`"),
            ("auto eth0\niface eth0 inet dhcp\n", "is not a map"),
        ] {
            let told = NetworkData::refuses(text).unwrap_or_default();
            assert!(told.contains(why) && !told.contains("canary"), "{text}: {told}");
        }
        for text in [
            "version: 2\nethernets: {eth0: {dhcp4: true}}",
            "network: {version: 2}",
            "network: {config: disabled}",
            "version: 1\nconfig: [{type: physical, name: eth0}]",
        ] {
            assert_eq!(NetworkData::refuses(text), None, "{text}");
        }
    }

    #[test]
    fn a_gateway_is_that_of_the_default_route_and_nonsense_is_nothing() {
        for text in [
            "version: 2\nethernets: {eth0: {gateway4: 10.0.0.1}}",
            "version: 2\nethernets: {eth0: {routes: [{to: 10.9.0.0/16, via: 10.0.0.9}, {to: default, via: 10.0.0.1}]}}",
            "version: 1\nconfig: [{type: physical, name: eth0, subnets: [{type: static, address: 10.0.0.5/24, gateway: 10.0.0.1}]}]",
        ] {
            let gateway = NetworkData::read(text).unwrap().entries[0].gateway;
            assert_eq!(gateway.unwrap().to_string(), "10.0.0.1", "{text}");
        }
        for text in ["", "[", "version: 3", "ethernets: {}", "auto eth0\niface eth0 inet dhcp\n"] {
            assert_eq!(NetworkData::read(text), None, "{text}");
        }
    }
}
