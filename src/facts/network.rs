//! Address ranges.

use std::net::IpAddr;

/// An address range in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// Reads `10.244.0.0/16` or `fd00::/64`; none when it is not a range.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let prefix: u8 = prefix.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= longest).then_some(Self { address, prefix })
    }

    /// Whether every address of `other` is in this range.
    pub fn contains(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && self.prefix <= other.prefix
            && self.network(self.address) == self.network(other.address)
    }

    /// Whether an address is in this range.
    pub fn has(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.network(self.address) == self.network(address)
    }

    fn network(&self, address: IpAddr) -> u128 {
        let (bits, width) = match address {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32),
            IpAddr::V6(v6) => (u128::from(v6), 128),
        };
        bits.checked_shr(width - u32::from(self.prefix)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_its_parts_and_nothing_else() {
        let all = Cidr::parse("10.244.0.0/16").unwrap();
        for (other, inside) in [
            ("10.244.5.0/24", true),
            ("10.244.0.0/16", true),
            ("10.0.0.0/8", false),
            ("10.245.0.0/24", false),
            ("fd00::/64", false),
        ] {
            assert_eq!(all.contains(&Cidr::parse(other).unwrap()), inside, "{other}");
        }
        assert!(Cidr::parse("0.0.0.0/0").unwrap().has("1.2.3.4".parse().unwrap()));
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", "fd00::/129"] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
