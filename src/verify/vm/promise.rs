//! The addresses that a guest's NIC must have: from its network data, else from its network.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::formats::network_data::NetworkData;

/// The addresses of a NIC in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Those that its network assigns.
    Network,
    /// Static addresses in the network data.
    Fixed {
        /// All of them.
        addresses: Vec<IpNet>,
        /// Whether the default route goes over the NIC.
        gateway: bool,
    },
    /// Any: the network data does not name the NIC, assigns it nothing, or is invalid.
    Nothing,
}

impl Promise {
    /// What network data says about a NIC, by its MAC address and its index. Without network data, kvnet configures DHCP on
    /// each network with addresses.
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

    /// The static addresses in network data.
    pub fn fixed(&self) -> Vec<IpAddr> {
        match self {
            Self::Fixed { addresses, .. } => addresses.iter().map(IpNet::addr).collect(),
            Self::Network | Self::Nothing => Vec::new(),
        }
    }

    /// Whether, on the pod network, the guest has a default route.
    pub fn leads_out(&self) -> bool {
        match self {
            Self::Network => true,
            Self::Fixed { gateway, .. } => *gateway,
            Self::Nothing => false,
        }
    }

    /// Whether a static address is in a subnet.
    pub fn is_in(&self, subnet: Option<&str>) -> bool {
        let subnet = subnet.and_then(|text| text.parse::<IpNet>().ok());
        let Self::Fixed { addresses, .. } = self else { return false };
        subnet.is_some_and(|subnet| addresses.iter().any(|address| subnet.contains(&address.addr())))
    }
}
