//! Which addresses a guest's NIC must have: its network data says so, else its network.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::formats::network_data::NetworkData;

/// The addresses of a NIC in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promise {
    /// What its network gives.
    Network,
    /// Those that the network data fixes.
    Fixed {
        /// All of them.
        addresses: Vec<IpNet>,
        /// Whether the default route goes over the NIC.
        gateway: bool,
    },
    /// Whatever there is: the network data does not name the NIC, gives it nothing, or cannot be read.
    Nothing,
}

impl Promise {
    /// What network data says of a NIC, by its MAC address and its place. Without any, kvnet tells the guest to ask each
    /// network that gives addresses for one.
    pub fn of(network_data: &str, mac: &str, place: usize) -> Self {
        if network_data.trim().is_empty() {
            return Self::Network;
        }
        let data = NetworkData::read(network_data);
        match data.as_ref().and_then(|data| data.entry(mac, place)) {
            Some(entry) if !entry.addresses.is_empty() => {
                let gateway = entry.gateway.is_some() || entry.dhcp4;
                Self::Fixed { addresses: entry.addresses.clone(), gateway }
            }
            Some(entry) if entry.dhcp4 => Self::Network,
            _ => Self::Nothing,
        }
    }

    /// The addresses that network data fixes.
    pub fn fixed(&self) -> Vec<IpAddr> {
        match self {
            Self::Fixed { addresses, .. } => addresses.iter().map(IpNet::addr).collect(),
            Self::Network | Self::Nothing => Vec::new(),
        }
    }

    /// Whether, on the pod network, the guest has a way to others.
    pub fn leads_out(&self) -> bool {
        match self {
            Self::Network => true,
            Self::Fixed { gateway, .. } => *gateway,
            Self::Nothing => false,
        }
    }

    /// Whether a fixed address is in a subnet.
    pub fn is_in(&self, subnet: Option<&str>) -> bool {
        let subnet = subnet.and_then(|text| text.parse::<IpNet>().ok());
        let Self::Fixed { addresses, .. } = self else { return false };
        subnet.is_some_and(|subnet| addresses.iter().any(|address| subnet.contains(&address.addr())))
    }
}
