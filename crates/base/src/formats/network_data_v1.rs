//! Network data version 1: a list of NICs with their subnets.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_yaml::Value;

use super::network_data::Entry;
use crate::formats::net::cidr;

/// The NICs of the list, and the links that the guest creates: bonds, VLANs and the like.
pub(super) fn entries(data: &Value) -> (Vec<Entry>, Vec<Entry>) {
    let config = data.get("config").and_then(Value::as_sequence).into_iter().flatten();
    let (nics, others): (Vec<&Value>, Vec<&Value>) =
        config.partition(|item| text(item, "type") == Some("physical"));
    let made = others.into_iter().filter(|item| item.get("subnets").is_some()).map(entry);
    (nics.into_iter().map(entry).collect(), made.collect())
}

/// Why data is not valid version 1.
pub(super) fn refuses(data: &Value) -> Option<String> {
    let Some(config) = data.get("config").and_then(Value::as_sequence) else {
        return Some("has no list `config`, which version 1 requires".into());
    };
    let named = |item: &Value| text(item, "type").is_some();
    (!config.iter().all(named)).then(|| "has an entry without `type`".into())
}

fn entry(nic: &Value) -> Entry {
    let mac = text(nic, "mac_address").map(str::to_ascii_lowercase);
    let name = text(nic, "name").map(str::to_owned);
    let subnets: Vec<&Value> =
        nic.get("subnets").and_then(Value::as_sequence).into_iter().flatten().collect();
    let mut fixed = subnets.iter().filter(|subnet| kind(subnet).starts_with("static"));
    Entry {
        // With a MAC address the name is the one that the NIC gets.
        set_name: mac.as_ref().and(name.clone()),
        name: name.filter(|_| mac.is_none()),
        mac,
        addresses: fixed.clone().filter_map(|subnet| address(subnet)).collect(),
        gateway: fixed.find_map(|subnet| text(subnet, "gateway")?.parse().ok()),
        dhcp4: subnets.iter().any(|subnet| matches!(kind(subnet), "dhcp" | "dhcp4")),
    }
}

fn kind(subnet: &Value) -> &str {
    text(subnet, "type").unwrap_or_default()
}

/// The prefix is part of the address, or a field of its own, as a number or as a mask.
fn address(subnet: &Value) -> Option<IpNet> {
    let own = text(subnet, "address")?;
    if own.contains('/') {
        return cidr(own);
    }
    let own: IpAddr = own.parse().ok()?;
    let mask = subnet.get("netmask");
    let number = mask.and_then(Value::as_u64).and_then(|number| u8::try_from(number).ok());
    let mask = || mask.and_then(Value::as_str).unwrap_or_default();
    let prefix = number.or_else(|| mask().parse().ok());
    let prefix = prefix.or_else(|| ipnet::ip_mask_to_prefix(mask().parse().ok()?).ok());
    let whole = if own.is_ipv4() { 32 } else { 128 };
    IpNet::new(own, prefix.unwrap_or(whole)).ok()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}
