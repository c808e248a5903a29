//! The addresses of guests on their VMs' networks.

use std::net::IpAddr;

use serde_json::Value;

use super::{Address, MACHINE, holds_addresses, is_own};

/// The addresses of a guest's NIC that is bridged, as opposed to behind its pod's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestAddresses {
    /// The uid of the VM's instance, by which its pod is found.
    pub machine: String,
    /// The VM as `namespace/name`.
    pub name: String,
    /// The NIC, as the VM calls it.
    pub nic: String,
    /// The network as `namespace/name`; none for the pod network.
    pub network: Option<String>,
    /// The addresses.
    pub ips: Vec<IpAddr>,
}

/// The addresses of guests whose VMs have a live pod, without those that their own pods have.
pub(super) fn beside(guests: &[GuestAddresses], pods: &[Value], known: &[Address]) -> Vec<Address> {
    let mut found: Vec<Address> = Vec::new();
    for guest in guests {
        let is_its = |pod: &&Value| pod["metadata"]["labels"][MACHINE] == guest.machine.as_str();
        let Some(pod) = pods.iter().filter(|pod| holds_addresses(pod)).find(is_its) else { continue };
        let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        for ip in guest.ips.iter().copied().filter(|ip| is_own(*ip)) {
            let of_guest = Address {
                ip,
                pod: guest.name.clone(),
                node: node.to_owned(),
                interface: guest.nic.clone(),
                network: guest.network.clone(),
                owner: guest.machine.clone(),
                of_guest: true,
            };
            let is_known = |it: &Address| it.ip == ip && it.owner == guest.machine && !it.of_guest;
            if !known.iter().any(is_known) && !found.contains(&of_guest) {
                found.push(of_guest);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Compared;
    use super::*;
    use crate::formats::cni::NETWORK_STATUS;

    fn pod(name: &str, machine: Option<&str>, network: &str, ip: &str) -> Value {
        let first = format!("10.244.0.{}", name.len());
        let status = json!([{"name": "cbr0", "interface": "eth0", "ips": [first], "default": true},
            {"name": network, "interface": "net1", "ips": [ip]}]);
        json!({"metadata": {"namespace": "n", "name": name, "labels": {MACHINE: machine},
                "annotations": {NETWORK_STATUS: status.to_string()}},
            "spec": {"nodeName": "n0"}, "status": {"phase": "Running", "podIP": first}})
    }

    fn guest(ip: &str) -> GuestAddresses {
        GuestAddresses {
            machine: "u1".into(),
            name: "n/vm".into(),
            nic: "blue".into(),
            network: Some("n/l2".into()),
            ips: vec![ip.parse().unwrap()],
        }
    }

    fn told(pods: &[Value], guest: GuestAddresses) -> Vec<String> {
        let ovs = |name: &str, vlan: u16| {
            let config = json!({"type": "ovs", "bridge": "blue", "vlan": vlan}).to_string();
            json!({"metadata": {"namespace": "n", "name": name}, "spec": {"config": config}})
        };
        let networks = [ovs("l2", 0), ovs("blue", 0), ovs("blue100", 100)];
        Compared::of(pods, &networks, &[guest]).twice.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_guest_and_a_pod_with_one_address_meet_on_the_wire_of_their_networks() {
        let launcher = pod("launcher", Some("u1"), "n/l2", "10.20.0.9");
        let with = |network: &str, ip: &str| {
            let pods = [pod("a", None, network, "10.20.0.3"), launcher.clone()];
            told(&pods, guest(ip))
        };
        assert_eq!(
            with("n/blue", "10.20.0.3"),
            ["10.20.0.3: net1 of pod n/a (n/blue) and blue of VM n/vm (n/l2)"]
        );
        assert_eq!(with("n/blue100", "10.20.0.3"), Vec::<String>::new(), "another VLAN");
        assert_eq!(with("n/blue", "10.20.0.4"), Vec::<String>::new());
        assert_eq!(with("n/blue", "10.20.0.9"), Vec::<String>::new(), "its own pod was given it");
    }

    #[test]
    fn a_vm_without_a_live_pod_has_no_address() {
        let mut launcher = pod("launcher", Some("u1"), "n/l2", "10.20.0.9");
        launcher["status"]["phase"] = "Succeeded".into();
        let pods = [pod("a", None, "n/blue", "10.20.0.3"), launcher];
        assert_eq!(told(&pods, guest("10.20.0.3")), Vec::<String>::new());
    }
}
