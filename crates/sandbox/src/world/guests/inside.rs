//! The NICs of a virtual machine: the pod NIC behind each, and the guest's configuration of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde_json::Value;

use crate::error::Result;
use crate::formats::network_data::NetworkData;
use crate::world::cni::nics::{Nic, Sandbox};
use crate::world::objects::{hex, items, namespace, text};
use crate::world::scene::Scene;

/// KubeVirt's address for a guest with masquerade.
const MASQUERADED: &str = "10.0.2.2/24";
const GATEWAY: &str = "10.0.2.1";

/// A NIC of the machine's definition and the NIC of the pod that it is connected to.
pub(in crate::world) struct Pair<'a> {
    pub wanted: &'a Value,
    pub of_pod: &'a Nic,
}

/// The NICs of a machine in its own order. A network's NIC in the pod has a name that follows from the network's; in 2018
/// they were in the order of the networks.
pub(in crate::world) fn pairs<'a>(instance: &'a Value, of_pod: &'a [Nic]) -> Vec<Pair<'a>> {
    let wanted = items(instance, "/spec/domain/devices/interfaces").iter();
    let pair = |wanted: &'a Value| {
        let of_pod = of_network(instance, &wanted["name"], of_pod)?;
        Some(Pair { wanted, of_pod })
    };
    wanted.filter_map(pair).collect()
}

fn of_network<'a>(instance: &Value, name: &Value, of_pod: &'a [Nic]) -> Option<&'a Nic> {
    let networks = items(instance, "/spec/networks");
    let network = networks.iter().find(|network| network["name"] == *name)?;
    let named = |name: &str| of_pod.iter().find(|nic| nic.name == name);
    if !network["multus"].is_object() {
        return named("eth0");
    }
    let multus = networks.iter().filter(|network| network["multus"].is_object());
    let place = multus.into_iter().position(|network| network["name"] == *name)?;
    named(&nic_name(text(network, "/name"))).or_else(|| named(&format!("net{}", place + 1)))
}

/// KubeVirt's name for the NIC of a network in the pod.
pub(in crate::world) fn nic_name(network: &str) -> String {
    format!("pod{}", hex(network, 11))
}

/// The NICs as the guest has them, each with the name of the pod's. A bridge hands the pod's address on by DHCP, and of the
/// pod network the gateway too; behind a masquerade every guest has the same ones. Network data says whether the guest asks.
pub(in crate::world) fn nics(scene: &Scene, instance: &Value, of_pod: &[Nic]) -> Result<Vec<(Nic, String)>> {
    let told = network_data(scene, instance)?;
    let data = told.as_ref().map(|text| NetworkData::read(text).unwrap_or_default());
    let pairs = pairs(instance, of_pod).into_iter().enumerate();
    Ok(pairs.map(|(place, pair)| (nic(&pair, data.as_ref(), place), pair.of_pod.name.clone())).collect())
}

fn nic(pair: &Pair<'_>, data: Option<&NetworkData>, place: usize) -> Nic {
    let mut nic = Nic { name: format!("eth{place}"), ..pair.of_pod.clone() };
    if let Some(mac) = pair.wanted["macAddress"].as_str() {
        nic.mac = mac.to_ascii_lowercase();
    }
    if pair.wanted["masquerade"].is_object() {
        nic.addresses = MASQUERADED.parse().into_iter().collect();
        nic.gateway = GATEWAY.parse().ok();
    } else if pair.of_pod.name != "eth0" {
        nic.gateway = None;
    }
    // Without any data cloud-init asks for an address everywhere.
    let Some(data) = data else { return nic };
    let entry = data.entry(&nic.mac, place).cloned().unwrap_or_default();
    nic.name = entry.nic_name(place);
    if !entry.dhcp4 {
        (nic.addresses, nic.gateway) = (Vec::new(), None);
    }
    let fixed: Vec<IpNet> =
        entry.addresses.iter().filter(|it| !nic.addresses.contains(it)).copied().collect();
    nic.addresses.extend(fixed);
    nic.gateway = entry.gateway.or(nic.gateway);
    nic
}

/// The guest's network data; none without any.
fn network_data(scene: &Scene, instance: &Value) -> Result<Option<String>> {
    for volume in items(instance, "/spec/volumes") {
        for kind in ["cloudInitNoCloud", "cloudInitConfigDrive"] {
            let cloud_init = &volume[kind];
            if let Some(plain) = cloud_init["networkData"].as_str() {
                return Ok(Some(plain.to_owned()));
            }
            let encoded = match cloud_init["networkDataSecretRef"]["name"].as_str() {
                Some(name) => {
                    let secret =
                        scene.get("v1", "Secret", Some(namespace(instance)), name)?.unwrap_or_default();
                    let found = ["networkdata", "networkData"].map(|key| secret["data"][key].clone());
                    found.into_iter().find(Value::is_string)
                }
                None => Some(cloud_init["networkDataBase64"].clone()),
            };
            let decoded = encoded.as_ref().and_then(Value::as_str).and_then(|it| STANDARD.decode(it).ok());
            if let Some(decoded) = decoded {
                return Ok(Some(String::from_utf8_lossy(&decoded).into_owned()));
            }
        }
    }
    Ok(None)
}

/// Makes the guest reachable at its own addresses, and no longer at those that only its pod had.
pub(in crate::world) fn connect(scene: &Scene, instance: &Value, pod: &mut Sandbox) -> Result<()> {
    let inside = nics(scene, instance, &pod.nics)?;
    let masquerades = |name: &str| {
        let mut pairs = pairs(instance, &pod.nics).into_iter();
        pairs.any(|pair| pair.of_pod.name == name && pair.wanted["masquerade"].is_object())
    };
    let bridged: Vec<_> = inside.into_iter().filter(|(_, name)| !masquerades(name)).collect();
    for (guest, name) in bridged {
        if let Some(nic) = pod.nics.iter_mut().find(|nic| nic.name == name) {
            nic.guest = Some(guest.addresses);
        }
    }
    pod.keep(scene)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn instance() -> Value {
        json!({"spec": {
            "domain": {"devices": {"interfaces": [
                {"name": "zz", "bridge": {}, "macAddress": "02:00:00:00:00:0A"},
                {"name": "default", "masquerade": {}},
                {"name": "aa", "bridge": {}},
            ]}},
            "networks": [
                {"name": "default", "pod": {}},
                {"name": "aa", "multus": {"networkName": "lan"}},
                {"name": "zz", "multus": {"networkName": "lan"}},
            ],
        }})
    }

    fn of_pod(names: [&str; 3]) -> Vec<Nic> {
        let nic = |(name, address): (&str, &str)| Nic {
            name: name.into(),
            addresses: vec![address.parse().unwrap()],
            gateway: Some("10.244.0.1".parse().unwrap()),
            ..Nic::default()
        };
        names.into_iter().zip(["10.244.0.5/24", "10.20.0.7/24", "10.20.0.8/24"]).map(nic).collect()
    }

    fn shown(data: Option<&str>, nics: &[Nic]) -> Vec<String> {
        let instance = instance();
        let data = data.map(|text| NetworkData::read(text).unwrap());
        let pairs = pairs(&instance, nics);
        let inside = pairs.iter().enumerate().map(|(place, pair)| nic(pair, data.as_ref(), place));
        let line = |nic: Nic| {
            let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
            format!(
                "{} {} {}",
                nic.name,
                addresses.join(","),
                nic.gateway.map(|it| it.to_string()).unwrap_or_default()
            )
        };
        inside.map(line).collect()
    }

    #[test]
    fn a_nic_is_that_of_its_network_whatever_the_order() {
        let today = of_pod(["eth0", &nic_name("aa"), &nic_name("zz")]);
        let expected = ["eth0 10.20.0.8/24 ", "eth1 10.0.2.2/24 10.0.2.1", "eth2 10.20.0.7/24 "];
        assert_eq!(shown(None, &today), expected);
        assert_eq!(shown(None, &of_pod(["eth0", "net1", "net2"])), expected);
    }

    #[test]
    fn the_guest_does_what_its_network_data_says() {
        let nics = of_pod(["eth0", "net1", "net2"]);
        let data = "version: 2\nethernets:\n  lan: {match: {macaddress: '02:00:00:00:00:0a'}, set-name: lan0, addresses: [192.0.2.5/24]}\n  \
            enp2s0: {dhcp4: true}\n";
        assert_eq!(shown(Some(data), &nics), ["lan0 192.0.2.5/24 ", "enp2s0 10.0.2.2/24 10.0.2.1", "eth2  "]);
    }
}
