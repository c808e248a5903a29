//! The addresses of guests, as far as they are known without their consoles.

use serde_json::Value;

use super::vm::Promise;
use crate::cluster::addresses::GuestAddresses;
use crate::guest::{agent_nics, ips_of};
use crate::profile::Profile;

/// The addresses of running guests: from their agents, else from the network data of the profile's own VM.
pub fn guests(profile: &Profile, machines: &[Value]) -> Vec<GuestAddresses> {
    let runs = |machine: &&Value| machine["status"]["phase"] == "Running";
    machines.iter().filter(runs).flat_map(|machine| of_machine(profile, machine)).collect()
}

fn of_machine(profile: &Profile, machine: &Value) -> Vec<GuestAddresses> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&machine["metadata"]["namespace"]), text(&machine["metadata"]["name"]));
    let (vm, agent) = (&profile.vm, agent_nics(machine));
    let is_own = vm.enabled && (vm.namespace.as_str(), vm.name.as_str()) == (&namespace, &name);
    let nics = machine["spec"]["domain"]["devices"]["interfaces"].as_array().into_iter().flatten();
    let of_nic = |(place, nic): (usize, &Value)| {
        let mac = nic["macAddress"].as_str().or_else(|| mac_told(machine, &nic["name"]))?;
        let mac = mac.to_ascii_lowercase();
        let ips = match &agent {
            Some(nics) => ips_of(nics, &mac),
            None if is_own => Promise::of(&vm.cloud_init.network_data, &mac, place).fixed(),
            None => Vec::new(),
        };
        Some(GuestAddresses {
            machine: text(&machine["metadata"]["uid"]),
            name: format!("{namespace}/{name}"),
            nic: text(&nic["name"]),
            network: network_of(machine, &nic["name"], &namespace)?,
            ips,
        })
    };
    // With masquerade all guests have the same address.
    let on_wires = nics.enumerate().filter(|(_, nic)| !nic["masquerade"].is_object());
    on_wires.filter_map(of_nic).filter(|guest| !guest.ips.is_empty()).collect()
}

fn mac_told<'a>(machine: &'a Value, nic: &Value) -> Option<&'a str> {
    let told = machine["status"]["interfaces"].as_array()?;
    told.iter().find(|it| it["name"] == *nic)?["mac"].as_str()
}

/// The network of a NIC: the inner none is the pod network, the outer none an unknown network.
#[expect(clippy::option_option)]
fn network_of(machine: &Value, nic: &Value, namespace: &str) -> Option<Option<String>> {
    let networks = machine["spec"]["networks"].as_array()?;
    let network = networks.iter().find(|network| network["name"] == *nic)?;
    let Some(name) = network["multus"]["networkName"].as_str() else { return Some(None) };
    Some(Some(if name.contains('/') { name.to_owned() } else { format!("{namespace}/{name}") }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::profile;

    fn told(name: &str, status: &Value) -> Vec<(String, Option<String>, Vec<String>)> {
        let mut profile = profile::load("default", &[]).unwrap().profile;
        profile.vm.cloud_init.network_data =
            "version: 2\nethernets: {eth0: {addresses: [10.0.2.9/24]}, eth1: {addresses: [10.20.0.3/24]}}"
                .into();
        let machine = json!({
            "metadata": {"namespace": "default", "name": name, "uid": "u1"},
            "spec": {
                "domain": {"devices": {"interfaces": [
                    {"name": "default", "masquerade": {}, "macAddress": "02:00:00:00:00:01"},
                    {"name": "blue", "bridge": {}, "macAddress": "02:00:00:00:00:0A"},
                ]}},
                "networks": [{"name": "default", "pod": {}}, {"name": "blue", "multus": {"networkName": "l2"}}],
            },
            "status": status,
        });
        let shown = |guest: GuestAddresses| {
            (guest.nic, guest.network, guest.ips.iter().map(ToString::to_string).collect())
        };
        guests(&profile, &[machine]).into_iter().map(shown).collect()
    }

    #[test]
    fn network_data_tells_of_the_profiles_own_vm_and_an_agent_of_any() {
        let running = json!({"phase": "Running"});
        let blue = |ip: &str| vec![("blue".to_owned(), Some("default/l2".to_owned()), vec![ip.to_owned()])];
        assert_eq!(told("vm-two-nics", &running), blue("10.20.0.3"));
        assert_eq!(told("other", &running), []);
        assert_eq!(told("vm-two-nics", &json!({"phase": "Scheduling"})), []);
        let agent = json!({"phase": "Running", "conditions": [{"type": "AgentConnected", "status": "True"}],
            "interfaces": [{"name": "blue", "mac": "02:00:00:00:00:0a", "infoSource": "domain, guest-agent",
                "ipAddresses": ["10.20.0.7"]}]});
        assert_eq!(told("other", &agent), blue("10.20.0.7"));
        assert_eq!(
            told("vm-two-nics", &agent),
            blue("10.20.0.7"),
            "the actual address counts, not the configured one"
        );
    }
}
