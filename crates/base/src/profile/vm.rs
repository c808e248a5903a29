//! The NICs of the sample VM: their networks, and their MAC addresses, which are fixed so that the guest, the pod and the
//! switch can be compared by them.

use sha2::{Digest, Sha256};

use super::{Binding, Network, Profile, Vm, VmInterface};

impl Profile {
    /// The network of a NIC of the VM; none for the pod network.
    pub fn network_of(&self, nic: &VmInterface) -> Option<&Network> {
        let (namespace, name) = nic.network.split_once('/').unwrap_or((&self.vm.namespace, &nic.network));
        self.networks.iter().find(|network| network.namespace == namespace && network.name == name)
    }

    /// How a NIC of the VM is bound. A bridge on the pod network would prevent live migration.
    pub fn binding_of(&self, nic: &VmInterface) -> Binding {
        let masquerades = nic.network == "pod" && self.kubevirt.has_masquerade();
        nic.binding.unwrap_or(if masquerades { Binding::Masquerade } else { Binding::Bridge })
    }
}

impl Vm {
    /// The MAC address of a NIC: the profile's, otherwise one that follows from the names of namespace, VM and NIC.
    /// Locally administered unicast, in lower case.
    pub fn mac_address(&self, nic: &VmInterface) -> String {
        if let Some(given) = &nic.mac_address {
            return given.replace('-', ":").to_ascii_lowercase();
        }
        let digest = Sha256::digest(format!("{}/{}/{}", self.namespace, self.name, nic.name));
        let bytes = digest.iter().take(5).map(|byte| format!(":{byte:02x}"));
        std::iter::once("02".to_owned()).chain(bytes).collect()
    }
}

/// Whether a string is the MAC address of a NIC: six octets, neither multicast nor zero.
pub fn is_mac_address(text: &str) -> bool {
    let octet = |part: &str| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok())?;
    let octets: Option<Vec<u8>> = text.split([':', '-']).map(octet).collect();
    octets.is_some_and(|octets| {
        octets.len() == 6 && octets[0] & 1 == 0 && octets.iter().any(|octet| *octet != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    fn nic(name: &str, mac_address: Option<&str>) -> VmInterface {
        let (name, network) = (name.to_owned(), "pod".to_owned());
        VmInterface { name, network, binding: None, mac_address: mac_address.map(str::to_owned) }
    }

    #[test]
    fn an_address_is_fixed_local_and_different_for_each_nic_and_vm() {
        let vm = Vm::default();
        let address = vm.mac_address(&nic("blue", None));
        assert_eq!(address, "02:06:80:fe:6b:62");
        assert!(is_mac_address(&address));
        let other = Vm { name: "other".into(), ..Vm::default() };
        assert_ne!(address, vm.mac_address(&nic("red", None)));
        assert_ne!(address, other.mac_address(&nic("blue", None)));
        assert_eq!(vm.mac_address(&nic("blue", Some("52-54-00-AB-CD-EF"))), "52:54:00:ab:cd:ef");
    }

    #[test]
    fn only_the_pod_network_is_masqueraded_without_a_word() {
        let mut profile = Profile::default();
        assert_eq!(profile.binding_of(&nic("a", None)), Binding::Masquerade);
        let bridged = VmInterface { binding: Some(Binding::Bridge), ..nic("a", None) };
        assert_eq!(profile.binding_of(&bridged), Binding::Bridge);
        let elsewhere = VmInterface { network: "ovs-blue".into(), ..nic("a", None) };
        assert_eq!(profile.binding_of(&elsewhere), Binding::Bridge);
        profile.kubevirt.version = "v0.8.0".into();
        assert_eq!(profile.binding_of(&nic("a", None)), Binding::Bridge);
    }

    #[test]
    fn multicast_and_nonsense_are_not_nics() {
        for text in
            ["", "02:00", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00:0g", "020000000001"]
        {
            assert!(!is_mac_address(text), "{text}");
        }
    }
}
