//! The sample virtual machine.

use std::collections::BTreeSet;

use super::Found;
use super::format;
use crate::formats::network_data::NetworkData;
use crate::profile::{Binding, Profile, VmInterface};

pub(super) fn check(profile: &Profile, found: &mut Found) {
    let vm = &profile.vm;
    if !vm.enabled {
        return;
    }
    found.format("vm.name", &vm.name, &format::LABEL);
    found.format("vm.namespace", &vm.namespace, &format::LABEL);
    found.format("vm.image", &vm.image, &format::IMAGE);
    found.format("vm.memory", &vm.memory, &format::QUANTITY);
    let network_data = &vm.cloud_init.network_data;
    if let Some(why) = (!network_data.trim().is_empty()).then(|| NetworkData::refuses(network_data)).flatten()
    {
        let hint = "write `version: 2` and `ethernets:` with the VM's NICs, or leave it out";
        found.add("vm.cloudInit.networkData", why, hint);
    }
    if !profile.kubevirt.enabled {
        found.add(
            "kubevirt.enabled",
            "is off, but the sample VM needs it",
            "set `vm.enabled` to false as well",
        );
    }
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    let mut has_pod = false;
    for (index, nic) in vm.interfaces.iter().enumerate() {
        let path = format!("vm.interfaces[{index}]");
        found.format(format!("{path}.name"), &nic.name, &format::NIC);
        if !names.insert(&nic.name) {
            found.add(
                format!("{path}.name"),
                format!("`{}` is already the name of another NIC", nic.name),
                "give each NIC its own name",
            );
        }
        if nic.network == "pod" && std::mem::replace(&mut has_pod, true) {
            found.add(
                format!("{path}.network"),
                "is `pod` a second time, but a pod has only one",
                "use one of the profile's networks",
            );
        }
        if let Some(address) = &nic.mac_address {
            found.format(format!("{path}.macAddress"), address, &format::MAC);
            if !addresses.insert(vm.mac_address(nic)) {
                let message = format!("`{address}` is already the address of another NIC");
                found.add(format!("{path}.macAddress"), message, "give each NIC its own, or leave it out");
            }
        }
        network(profile, nic, &path, found);
        carried(profile, nic, &path, found);
        binding(profile, nic, &path, found);
    }
}

fn network(profile: &Profile, nic: &VmInterface, path: &str, found: &mut Found) {
    if nic.network == "pod" || profile.network_of(nic).is_some() {
        return;
    }
    let names = profile.networks.iter().map(|network| {
        let local = network.namespace == profile.vm.namespace;
        if local { network.name.clone() } else { format!("{}/{}", network.namespace, network.name) }
    });
    let names: Vec<String> = std::iter::once("pod".to_string()).chain(names).collect();
    let hint = match names.iter().find(|known| known.ends_with(&format!("/{}", nic.network))) {
        Some(elsewhere) => format!("it is in another namespace: write `{elsewhere}`"),
        None => format!("networks are: {}", names.join(", ")),
    };
    found.add(format!("{path}.network"), format!("`{}` is not a network of the profile", nic.network), hint);
}

/// A bridge in the pod sends the guest's frames with a MAC address that macvlan and ipvlan drop.
fn carried(profile: &Profile, nic: &VmInterface, path: &str, found: &mut Found) {
    let Some(network) = profile.network_of(nic) else { return };
    let conf = network.netconf();
    let Some(maker) = conf.maker() else { return };
    let passes = maker.settings.get("mode").is_some_and(|mode| mode == "passthru");
    if maker.kind == "ipvlan" || (maker.kind == "macvlan" && !passes) {
        let message = format!("`{}` is a {} network, which carries no VM traffic", nic.network, maker.kind);
        let hint =
            "connect the VM to a network of `kind: ovs` or `bridge`, or use macvlan in the mode `passthru`";
        found.add(format!("{path}.network"), message, hint);
    }
}

fn binding(profile: &Profile, nic: &VmInterface, path: &str, found: &mut Found) {
    let path = format!("{path}.binding");
    if nic.binding != Some(Binding::Masquerade) {
        return;
    }
    if nic.network != "pod" {
        found.add(&path, "can be `masquerade` only on the network `pod`", "write `bridge`");
    }
    if !profile.kubevirt.has_masquerade() {
        found.add(
            path,
            format!(
                "can be `masquerade` only since KubeVirt v0.12.0, and this is {}",
                profile.kubevirt.version
            ),
            "write `bridge`",
        );
    }
}
