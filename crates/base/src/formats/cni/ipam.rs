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
        if !["host-local", "whereabouts"].contains(&self.kind.as_str()) {
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

    /// Whether it is one of whereabouts.
    pub fn is_of_cluster(&self) -> bool {
        self.field == WHEREABOUTS_FIELD
    }

    /// The parts that are not given out: subnets, or single addresses; none when one of them is neither.
    pub fn excluded(&self) -> Option<Vec<IpNet>> {
        self.exclude.iter().map(|text| excluded(text)).collect()
    }

    /// The first and the last address to give out, as host-local and whereabouts take them.
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

    /// The gateway, by default the subnet's first address. host-local does not give it out.
    pub fn router(&self) -> Option<IpAddr> {
        match &self.gateway {
            Some(text) => text.parse().ok(),
            None => Some(Self { first: None, ..self.clone() }.ends()?.0),
        }
    }

    /// How many addresses it gives out: host-local without the gateway, whereabouts without what is excluded.
    fn room(&self) -> Option<u128> {
        let (first, last) = self.ends()?;
        if self.is_of_cluster() {
            return self.room_between(bits(first), bits(last));
        }
        let gateway = self.router().map(bits);
        let (first, last) = (bits(first), bits(last));
        let all = last.checked_sub(first)?.saturating_add(1);
        let taken = gateway.is_some_and(|gateway| (first..=last).contains(&gateway));
        Some(all.saturating_sub(u128::from(taken)))
    }

    fn room_between(&self, first: u128, last: u128) -> Option<u128> {
        let excluded = self.excluded()?.into_iter().map(|net| (bits(net.network()), bits(net.broadcast())));
        let mut excluded: Vec<(u128, u128)> = excluded.collect();
        excluded.sort_unstable();
        let (mut room, mut next) = (0_u128, first);
        if last < first {
            return None;
        }
        for (from, to) in excluded {
            room = room.saturating_add(from.min(last.saturating_add(1)).saturating_sub(next));
            next = next.max(to.saturating_add(1));
        }
        Some(room.saturating_add(last.saturating_add(1).saturating_sub(next)))
    }
}

/// The field of whereabouts with the subnet.
const WHEREABOUTS_FIELD: &str = "range";

/// whereabouts takes a single address for the subnet of it alone.
fn excluded(text: &str) -> Option<IpNet> {
    cidr(text).map(|net| net.trunc()).or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
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
        let whole = text("range").unwrap_or_default();
        // `FIRST-LAST/PREFIX` is a subnet with both ends, which count more than those of the other fields.
        let (subnet, first, last) = match whole.split_once('-') {
            Some((first, rest)) => {
                let last = rest.split('/').next().unwrap_or_default();
                (rest.to_owned(), Some(first.to_owned()), Some(last.to_owned()))
            }
            None => (whole, text("range_start"), text("range_end")),
        };
        vec![Range {
            path,
            field: WHEREABOUTS_FIELD,
            subnet,
            first,
            last,
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
        let elsewhere = read(&json!({"type": "whereabouts", "range": "192.0.2.18-192.0.2.20/28",
            "ipRanges": [{"range": "198.51.100.0/24"}]}));
        let subnets: Vec<String> = elsewhere.subnets().iter().map(ToString::to_string).collect();
        assert_eq!(subnets, ["192.0.2.16/28", "198.51.100.0/24"]);
        let (first, last) = elsewhere.ranges().next().unwrap().ends().unwrap();
        assert_eq!((first.to_string(), last.to_string()), ("192.0.2.18".into(), "192.0.2.20".into()));
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
        for (ipam, room) in [
            (json!({"range": "10.0.0.0/29"}), Some(6)),
            (json!({"range": "10.0.0.0/29", "gateway": "10.0.0.1"}), Some(6)),
            (json!({"range": "10.0.0.0/24", "range_start": "10.0.0.10", "range_end": "10.0.0.19"}), Some(10)),
            (
                json!({"range": "10.0.0.10-10.0.0.19/24", "exclude": ["10.0.0.12/30", "10.0.0.13", "10.0.0.40/29"]}),
                Some(6),
            ),
            (json!({"range": "10.0.0.0/29", "exclude": ["10.0.0.0/28"]}), Some(0)),
            (json!({"range": "10.0.0.0/29", "exclude": ["x"]}), None),
        ] {
            let mut with_type = ipam.clone();
            with_type["type"] = json!("whereabouts");
            assert_eq!(read(&with_type).room(), room, "{ipam}");
        }
        assert_eq!(read(&json!({"type": "dhcp"})).room(), None);
        assert_eq!(
            read(&json!({"type": "static", "addresses": [{"address": "10.0.0.5/24"}]})).room(),
            Some(1)
        );
    }
}
