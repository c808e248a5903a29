//! The sample virtual machine: its object, and the Secret with its cloud-init.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::kubevirt::version;
use super::{Component, RenderFacts, Traces, Workloads, objects_of};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::profile::{Binding, Login, Profile, PullPolicy, RunStrategy, VmInterface};

/// The sample virtual machine and its Secret.
pub static VM: Component = Component {
    id: "vm",
    step: "vm",
    section: "vm",
    is_used: |profile| profile.vm.enabled && profile.kubevirt.enabled,
    render,
    traces: |_, _| Traces::default(),
    workloads: Workloads {
        namespace: |profile| &profile.vm.namespace,
        names: &["virt-launcher"],
        group: "kubevirt.io",
        daemon: "",
        selector: "",
        plugins: &[],
        is_needed_by: |_| false,
    },
    derived: None,
    release: None,
};

#[derive(Serialize)]
struct VmValues<'a> {
    api_version: &'static str,
    /// The field of the volume that names the disk's image.
    disk_source: &'static str,
    name: &'a str,
    namespace: &'a str,
    image: &'a str,
    pull_policy: PullPolicy,
    memory: &'a str,
    interfaces: Vec<InterfaceValues<'a>>,
    cloud_init_secret: String,
    user_data: String,
    network_data: String,
}

#[derive(Serialize)]
struct InterfaceValues<'a> {
    name: &'a str,
    masquerade: bool,
    /// Empty for the pod network.
    network: &'a str,
    mac_address: String,
}

/// The objects of the sample VM, in the order to apply them.
fn render(profile: &Profile, _: &Facts, _: RenderFacts) -> Result<Vec<Value>> {
    let (vm, version) = (&profile.vm, version(profile)?);
    let modern = version.disks_are_volumes();
    if !modern && !vm.cloud_init.network_data.is_empty() {
        let message = format!("KubeVirt {} does not support network data", profile.kubevirt.version);
        return Err(Error::new(&code::PROFILE_VALUE, message).at("vm.cloudInit.networkData"));
    }
    let (user_data, network_data) =
        (user_data(profile), if modern { network_data(profile) } else { String::new() });
    let has_cloud_init = !user_data.is_empty() || !network_data.is_empty();
    // A Secret holds base64; the old object holds the text itself.
    let data = |text: &str| if modern { STANDARD.encode(text) } else { text.to_owned() };
    let values = VmValues {
        api_version: version.kubevirt_api(),
        disk_source: version.disk_source(),
        name: &vm.name,
        namespace: &vm.namespace,
        image: &vm.image,
        pull_policy: profile.images.pull_policy,
        memory: &vm.memory,
        interfaces: vm.interfaces.iter().map(|nic| interface(profile, nic)).collect(),
        cloud_init_secret: if has_cloud_init { format!("{}-cloud-init", vm.name) } else { String::new() },
        user_data: data(&user_data),
        network_data: data(&network_data),
    };
    let mut objects =
        objects_of(&[if modern { "vm/vmi.yaml.tera" } else { "vm/vmi-2018.yaml.tera" }], &values)?;
    if let Some(strategy) = vm.run_strategy {
        objects.iter_mut().filter(|object| object["kind"] == "VirtualMachineInstance").for_each(|object| {
            *object = kept_running(object, strategy);
        });
    }
    Ok(objects)
}

fn interface<'a>(profile: &Profile, nic: &'a VmInterface) -> InterfaceValues<'a> {
    InterfaceValues {
        name: &nic.name,
        masquerade: profile.binding_of(nic) == Binding::Masquerade,
        network: if nic.network == "pod" { "" } else { &nic.network },
        mac_address: profile.vm.mac_address(nic),
    }
}

/// The `VirtualMachine` that restarts an instance.
fn kept_running(instance: &Value, strategy: RunStrategy) -> Value {
    let metadata = &instance["metadata"];
    json!({
        "apiVersion": instance["apiVersion"],
        "kind": "VirtualMachine",
        "metadata": metadata,
        "spec": {
            "runStrategy": strategy,
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": instance["spec"]},
        },
    })
}

/// The profile's user data, otherwise what lets its user log in. JSON is YAML, so nothing can break out of a string.
fn user_data(profile: &Profile) -> String {
    let Login { user, password, ssh_keys } = &profile.vm.login;
    let given = &profile.vm.cloud_init.user_data;
    if !given.is_empty() || (password.is_empty() && ssh_keys.is_empty()) {
        return given.clone();
    }
    let mut config = json!({});
    if !user.is_empty() {
        config["user"] = json!(user);
    }
    if !password.is_empty() {
        config["password"] = json!(password);
        config["chpasswd"] = json!({"expire": false});
    }
    if !ssh_keys.is_empty() {
        config["ssh_authorized_keys"] = json!(ssh_keys);
    }
    format!("#cloud-config\n{config:#}\n")
}

/// The profile's network data, otherwise one entry for each NIC, found by its MAC address: its name in the guest depends
/// on the guest.
fn network_data(profile: &Profile) -> String {
    let vm = &profile.vm;
    if !vm.cloud_init.network_data.is_empty() || vm.interfaces.is_empty() {
        return vm.cloud_init.network_data.clone();
    }
    let entry = |nic: &VmInterface| {
        let (name, address) = (json!(nic.name), vm.mac_address(nic));
        let dhcp = gives_addresses(profile, nic);
        // Without an address the guest must not wait for one at boot.
        let optional = if dhcp { "" } else { "    optional: true\n" };
        format!("  {name}:\n    match:\n      macaddress: \"{address}\"\n    dhcp4: {dhcp}\n{optional}")
    };
    let entries: String = vm.interfaces.iter().map(entry).collect();
    format!("version: 2\nethernets:\n{entries}")
}

/// Whether a NIC's network gives it an address, which KubeVirt hands to the guest by DHCP.
fn gives_addresses(profile: &Profile, nic: &VmInterface) -> bool {
    profile.network_of(nic).is_none_or(|network| network.netconf().gives_addresses() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{self, NetworkKind};

    fn rendered(profile: &Profile) -> Result<Vec<Value>> {
        render(profile, &Facts::default(), RenderFacts::default())
    }

    fn shipped() -> Profile {
        profile::load("default", &[]).unwrap().profile
    }

    fn secret(profile: &Profile, field: &str) -> String {
        let objects = rendered(profile).unwrap();
        let data = objects[0]["data"][field].as_str().unwrap_or_default();
        String::from_utf8(STANDARD.decode(data).unwrap()).unwrap()
    }

    #[test]
    fn nics_are_found_by_their_mac_and_only_those_with_addresses_ask_for_one() {
        assert_eq!(
            secret(&shipped(), "networkdata"),
            "version: 2\nethernets:\n  \"default\":\n    match:\n      macaddress: \"02:72:c7:4f:c2:0b\"\n    \
             dhcp4: true\n  \"blue\":\n    match:\n      macaddress: \"02:06:80:fe:6b:62\"\n    dhcp4: false\n    \
             optional: true\n"
        );
    }

    #[test]
    fn a_chain_with_addresses_is_asked_by_dhcp() {
        let ipam = json!({"type": "host-local", "subnet": "10.20.100.0/24"});
        for (config, dhcp) in [
            (json!({"plugins": [{"type": "ovs", "bridge": "blue", "ipam": ipam}, {"type": "tuning"}]}), true),
            (json!({"plugins": [{"type": "tuning"}, {"type": "ovs", "bridge": "blue", "ipam": ipam}]}), true),
            (json!({"type": "flannel", "name": "cbr0"}), true),
            (json!({"plugins": [{"type": "ovs", "bridge": "blue"}, {"type": "tuning"}]}), false),
            (json!({"type": "ovs", "bridge": "blue", "ipam": {}}), false),
        ] {
            let mut profile = shipped();
            let kind = NetworkKind::Raw { config: config.as_object().unwrap().clone() };
            profile.networks = vec![crate::profile::Network::new("ovs-blue-l2", kind)];
            let data = secret(&profile, "networkdata");
            assert!(data.contains(&format!("02:06:80:fe:6b:62\"\n    dhcp4: {dhcp}")), "{config}: {data}");
        }
    }

    #[test]
    fn a_login_becomes_user_data_unless_there_is_some() {
        let mut profile = shipped();
        profile.vm.login = Login {
            user: "me".into(),
            password: "a: \"b\"\nc".into(),
            ssh_keys: vec!["ssh-ed25519 AAAA".into()],
        };
        let text = secret(&profile, "userdata");
        let yaml: Value = serde_yaml::from_str(text.strip_prefix("#cloud-config\n").unwrap()).unwrap();
        assert_eq!(
            yaml,
            json!({"user": "me", "password": "a: \"b\"\nc", "chpasswd": {"expire": false},
                "ssh_authorized_keys": ["ssh-ed25519 AAAA"]})
        );
        profile.vm.cloud_init.user_data = "#!/bin/sh\n".into();
        assert_eq!(secret(&profile, "userdata"), "#!/bin/sh\n");
    }

    #[test]
    fn a_run_strategy_wraps_the_same_instance() {
        let mut profile = shipped();
        let instance = rendered(&profile).unwrap().pop().unwrap();
        profile.vm.run_strategy = Some(RunStrategy::RerunOnFailure);
        let machine = rendered(&profile).unwrap().pop().unwrap();
        assert_eq!(
            (machine["kind"].as_str(), machine["spec"]["runStrategy"].as_str()),
            (Some("VirtualMachine"), Some("RerunOnFailure"))
        );
        assert_eq!(machine["spec"]["template"]["spec"], instance["spec"]);
        assert_eq!(machine["metadata"], instance["metadata"]);
    }
}
