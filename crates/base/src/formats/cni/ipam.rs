//! Where the addresses of a network come from.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::netconf::{join, written};
use crate::formats::net::cidr;

/// The `ipam` of a plugin.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ipam {
    /// Its place in the configuration.
    pub path: String,
    /// The IPAM plugin.
    pub kind: String,
    /// The sets of ranges: a NIC gets one address of each.
    pub sets: Vec<Vec<Range>>,
    /// Fixed addresses, with their places.
    pub fixed: Vec<(String, String)>,
    /// The routes that come with an address.
    pub routes: Vec<Route>,
    /// Where leases are kept.
    pub data_dir: Option<String>,
}

/// A route, as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// Its place in the configuration.
    pub path: String,
    /// The destination.
    pub dst: String,
    /// The router.
    pub gw: Option<String>,
}

/// Addresses to give out, as written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Range {
    /// Its place in the configuration.
    pub path: String,
    /// The name of the field with the subnet.
    pub field: &'static str,
    /// The subnet.
    pub subnet: String,
    /// The first address.
    pub first: Option<String>,
    /// The last address.
    pub last: Option<String>,
    /// The gateway.
    pub gateway: Option<String>,
    /// Parts that are not given out.
    pub exclude: Vec<String>,
}

impl Ipam {
    /// Reads an `ipam`; none without a plugin, as in `{}`.
    pub fn read(ipam: &Value, path: &str) -> Option<Self> {
        let kind = written(ipam, "type").as_str().filter(|kind| !kind.is_empty())?.to_owned();
        let sets = match kind.as_str() {
            "host-local" => host_local(ipam, path),
            "whereabouts" => whereabouts(ipam, path),
            _ => Vec::new(),
        };
        let fixed = items(ipam, "addresses").iter().enumerate().filter(|_| kind == "static");
        let fixed = fixed.map(|(index, item)| {
            let address = written(item, "address").as_str().unwrap_or_default().to_owned();
            (format!("{}[{index}].address", join(path, "addresses")), address)
        });
        let data_dir = written(ipam, "dataDir").as_str().filter(|it| !it.is_empty()).map(str::to_owned);
        let routes = items(ipam, "routes").iter().enumerate().map(|(index, route)| Route {
            path: format!("{}[{index}]", join(path, "routes")),
            dst: written(route, "dst").as_str().unwrap_or_default().to_owned(),
            gw: written(route, "gw").as_str().map(str::to_owned),
        });
        let (path, fixed, routes) = (path.to_owned(), fixed.collect(), routes.collect());
        Some(Self { path, kind, sets, fixed, routes, data_dir })
    }

    /// All ranges.
    pub fn ranges(&self) -> impl Iterator<Item = &Range> {
        self.sets.iter().flatten()
    }

    /// The subnets of its addresses that can be read.
    pub fn subnets(&self) -> Vec<IpNet> {
        let of_ranges = self.ranges().filter_map(Range::network);
        let of_fixed = self.fixed.iter().filter_map(|(_, text)| cidr(text));
        of_ranges.chain(of_fixed.map(|net| net.trunc())).collect()
    }

    /// How many NICs can have an address at once; none when that is not known.
    pub fn room(&self) -> Option<u128> {
        if self.kind == "static" && !self.fixed.is_empty() {
            return Some(1);
        }
        if self.kind != "host-local" {
            return None;
        }
        // A NIC needs an address of each set: the smallest decides.
        let of_set = |set: &Vec<Range>| {
            set.iter().map(Range::room).try_fold(0_u128, |sum, room| Some(sum.saturating_add(room?)))
        };
        self.sets.iter().map(of_set).collect::<Option<Vec<u128>>>()?.into_iter().min()
    }
}

impl Range {
    /// The subnet, when it is one.
    pub fn network(&self) -> Option<IpNet> {
        cidr(&self.subnet).map(|net| net.trunc())
    }

    /// The first and the last address to give out, as host-local takes them.
    pub fn ends(&self) -> Option<(IpAddr, IpAddr)> {
        let network = self.network()?;
        let given = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<IpAddr>().ok());
        let plain = |address: u128| match network {
            IpNet::V4(_) => u32::try_from(address).ok().map(|it| IpAddr::V4(it.into())),
            IpNet::V6(_) => Some(IpAddr::V6(address.into())),
        };
        let (begin, end) = (bits(network.network()), bits(network.broadcast()));
        let last = if network.addr().is_ipv4() { end.saturating_sub(1) } else { end };
        Some((
            given(&self.first).or_else(|| plain(begin.saturating_add(1)))?,
            given(&self.last).or_else(|| plain(last))?,
        ))
    }

    /// The gateway, by default the subnet's first address. It is not given out.
    pub fn router(&self) -> Option<IpAddr> {
        match &self.gateway {
            Some(text) => text.parse().ok(),
            None => Some(Self { first: None, ..self.clone() }.ends()?.0),
        }
    }

    /// How many addresses it gives out: without the gateway.
    fn room(&self) -> Option<u128> {
        let (first, last) = self.ends()?;
        let gateway = self.router().map(bits);
        let (first, last) = (bits(first), bits(last));
        let all = last.checked_sub(first)?.saturating_add(1);
        let taken = gateway.is_some_and(|gateway| (first..=last).contains(&gateway));
        Some(all.saturating_sub(u128::from(taken)))
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// A range of its own comes before those of the list.
fn host_local(ipam: &Value, path: &str) -> Vec<Vec<Range>> {
    let own = !written(ipam, "subnet").is_null();
    let own = own.then(|| vec![range(ipam, path.to_owned())]);
    let listed = items(ipam, "ranges").iter().enumerate().map(|(number, set)| {
        let ranges = set.as_array().map(Vec::as_slice).unwrap_or_default().iter().enumerate();
        ranges.map(|(index, it)| range(it, format!("{}[{number}][{index}]", join(path, "ranges")))).collect()
    });
    own.into_iter().chain(listed).collect()
}

fn range(value: &Value, path: String) -> Range {
    let text = |field: &str| written(value, field).as_str().map(str::to_owned);
    let subnet = text("subnet").unwrap_or_default();
    let (first, last, gateway) = (text("rangeStart"), text("rangeEnd"), text("gateway"));
    Range { path, field: "subnet", subnet, first, last, gateway, exclude: Vec::new() }
}

fn whereabouts(ipam: &Value, path: &str) -> Vec<Vec<Range>> {
    let one = |value: &Value, path: String| {
        let text = |field: &str| written(value, field).as_str().map(str::to_owned);
        let exclude = items(value, "exclude").iter().filter_map(|it| it.as_str().map(str::to_owned));
        vec![Range {
            path,
            field: "range",
            // `FIRST-LAST/PREFIX` is a range and its subnet in one.
            subnet: text("range")
                .map(|it| it.rsplit('-').next().unwrap_or(&it).to_owned())
                .unwrap_or_default(),
            first: text("range_start"),
            last: text("range_end"),
            gateway: text("gateway"),
            exclude: exclude.collect(),
        }]
    };
    let own = written(ipam, "range").is_string().then(|| one(ipam, path.to_owned()));
    let listed = items(ipam, "ipRanges").iter().enumerate();
    let listed = listed.map(|(index, it)| one(it, format!("{}[{index}]", join(path, "ipRanges"))));
    own.into_iter().chain(listed).collect()
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    written(value, field).as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(ipam: &Value) -> Ipam {
        Ipam::read(ipam, "ipam").unwrap()
    }

    #[test]
    fn every_way_to_write_ranges_is_read_with_its_place() {
        let both = read(&json!({"type": "host-local", "subnet": "10.0.0.0/24",
            "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9"}, {"subnet": "10.2.0.0/24"}]]}));
        let places: Vec<&str> = both.ranges().map(|range| range.path.as_str()).collect();
        assert_eq!(places, ["ipam", "ipam.ranges[0][0]", "ipam.ranges[0][1]"]);
        assert_eq!(both.sets.len(), 2);
        let fixed = read(&json!({"type": "static", "addresses": [{"address": "10.0.0.5/24"}]}));
        assert_eq!(fixed.subnets(), ["10.0.0.0/24".parse::<IpNet>().unwrap()]);
        assert_eq!(fixed.fixed[0].0, "ipam.addresses[0].address");
        let elsewhere = read(&json!({"type": "whereabouts", "range": "192.0.2.10-192.0.2.20/28",
            "ipRanges": [{"range": "198.51.100.0/24"}]}));
        let subnets: Vec<String> = elsewhere.subnets().iter().map(ToString::to_string).collect();
        assert_eq!(subnets, ["192.0.2.16/28", "198.51.100.0/24"]);
        assert_eq!(Ipam::read(&json!({}), "ipam"), None);
    }

    #[test]
    fn room_is_what_host_local_gives_out() {
        for (ipam, room) in [
            (json!({"subnet": "10.0.0.0/29"}), Some(5)),
            (json!({"subnet": "10.0.0.0/29", "gateway": "10.0.0.6"}), Some(5)),
            (json!({"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.10", "rangeEnd": "10.0.0.11"}), Some(2)),
            (json!({"ranges": [[{"subnet": "10.1.0.0/30"}, {"subnet": "10.2.0.0/30"}]]}), Some(2)),
            (json!({"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/30"}]]}), Some(1)),
            (json!({"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.1"}), None),
            (json!({"subnet": "fd00::/64"}), Some((1 << 64) - 2)),
            (json!({"subnet": "x"}), None),
            (json!({}), None),
        ] {
            let mut with_type = ipam.clone();
            with_type["type"] = json!("host-local");
            assert_eq!(read(&with_type).room(), room, "{ipam}");
        }
        assert_eq!(read(&json!({"type": "dhcp"})).room(), None);
        assert_eq!(
            read(&json!({"type": "static", "addresses": [{"address": "10.0.0.5/24"}]})).room(),
            Some(1)
        );
    }
}
