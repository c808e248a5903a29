//! The pods of a verification, and what they say about their NICs.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::scenario::{Probe, Scenario};
use crate::cluster::{MANAGED_BY, MANAGED_BY_LABEL};
use crate::engine::teardown::STEP_LABEL;
use crate::profile::Profile;
use crate::source::rewrite_image;

/// The annotation in which Multus says what NICs a pod got.
const STATUS: &str = "k8s.v1.cni.cncf.io/network-status";
/// What Multus before v4 calls it.
const OLD_STATUS: &str = "k8s.v1.cni.cncf.io/networks-status";

/// The label that finds one pod of a verification.
pub const PROBE_LABEL: &str = "kvnet.dev/probe";

/// The labels of everything that a verification makes.
pub fn labels() -> Value {
    json!({MANAGED_BY_LABEL: MANAGED_BY, STEP_LABEL: "verification"})
}

/// The pods to start.
pub fn manifests(scenario: &Scenario, profile: &Profile) -> Vec<Value> {
    scenario.pods.iter().map(|probe| manifest(probe, profile)).collect()
}

fn manifest(probe: &Probe, profile: &Profile) -> Value {
    let network = format!("{}/{}", probe.network.namespace, probe.network.name);
    let mut labels = labels();
    labels[PROBE_LABEL] = json!(probe.name);
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": probe.name,
            "namespace": profile.verification.namespace,
            "labels": labels,
            "annotations": {"k8s.v1.cni.cncf.io/networks": network},
        },
        "spec": {
            // The pods hold nothing: they may end at once.
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "containers": [{
                "name": "probe",
                "image": rewrite_image(&profile.verification.image, &profile.images.rewrite),
                "imagePullPolicy": format!("{:?}", profile.images.pull_policy),
                "command": ["sleep", "3600"],
            }],
        },
    })
}

/// A NIC of a pod as Multus reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nic {
    /// Its name in the pod.
    pub interface: String,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Its MAC address.
    pub mac: String,
}

/// The NIC of a pod on a network (`namespace/name`); none when Multus reports none. Before v3.8 Multus gives only the
/// name in the CNI configuration, which is that of the network unless it has another.
pub fn nic(pod: &Value, network: &str) -> Option<Nic> {
    let annotations = &pod["metadata"]["annotations"];
    let status = annotations[STATUS].as_str().or(annotations[OLD_STATUS].as_str())?;
    let status: Value = serde_json::from_str(status).ok()?;
    let bare = network.rsplit('/').next().unwrap_or(network);
    let named = |name: &str| status.as_array()?.iter().find(|nic| nic["name"] == name);
    let found = named(network).or_else(|| named(bare))?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    let ips = found["ips"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ips = ips.iter().filter_map(|ip| ip.as_str()?.split('/').next()?.parse().ok());
    Some(Nic { interface: text("interface"), ips: ips.collect(), mac: text("mac") })
}

/// A NIC as the pod itself sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its MAC address.
    pub mac: String,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it carries traffic.
    pub up: bool,
    /// Its addresses, those of the link itself (`fe80::`) left out.
    pub ips: Vec<IpAddr>,
}

/// Reads one NIC from the output of `ip addr show` of `busybox` or iproute2.
pub fn link(ip_addr: &str, interface: &str) -> Option<Link> {
    let mut found: Option<Link> = None;
    for line in ip_addr.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with(' ') {
            if found.is_some() {
                break;
            }
            let name =
                words.get(1).map(|name| name.trim_end_matches(':').split('@').next().unwrap_or_default());
            if name == Some(interface) {
                let mtu = words
                    .iter()
                    .position(|word| *word == "mtu")
                    .and_then(|at| words.get(at + 1)?.parse().ok());
                let up = words.get(2).is_some_and(|flags| flags.contains("LOWER_UP"));
                found = Some(Link { mtu: mtu.unwrap_or(0), up, ..Link::default() });
            }
            continue;
        }
        let Some(link) = &mut found else { continue };
        match words.as_slice() {
            ["link/ether", mac, ..] => (*mac).clone_into(&mut link.mac),
            ["inet" | "inet6", address, ..] if !address.starts_with("fe80:") => {
                link.ips.extend(address.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok()));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSYBOX: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
2: eth0@if9: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1450 qdisc noqueue
    link/ether 5e:be:6e:a0:1d:67 brd ff:ff:ff:ff:ff:ff
    inet 10.244.0.5/24 brd 10.244.0.255 scope global eth0
3: net1@if10: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue
    link/ether 0a:58:0a:14:00:02 brd ff:ff:ff:ff:ff:ff
    inet 10.20.0.2/24 brd 10.20.0.255 scope global net1
    inet6 fe80::858:aff:fe14:2/64 scope link
";

    #[test]
    fn a_link_is_read_with_its_addresses_and_no_others() {
        let link = link(BUSYBOX, "net1").unwrap();
        let expected = Link {
            mac: "0a:58:0a:14:00:02".into(),
            mtu: 1500,
            up: true,
            ips: vec!["10.20.0.2".parse().unwrap()],
        };
        assert_eq!(link, expected);
        assert_eq!(super::link(BUSYBOX, "net2"), None);
    }

    #[test]
    fn the_nic_of_a_network_is_found_by_its_name() {
        let status = r#"[{"name":"cbr0","interface":"eth0","ips":["10.244.0.5"],"default":true},
            {"name":"default/ovs-blue","interface":"net1","ips":["10.20.0.2"],"mac":"0a:58:0a:14:00:02"}]"#;
        let pod = json!({"metadata": {"annotations": {STATUS: status}}});
        let found = nic(&pod, "default/ovs-blue").unwrap();
        assert_eq!((found.interface.as_str(), found.ips[0].to_string().as_str()), ("net1", "10.20.0.2"));
        assert_eq!(nic(&pod, "default/other"), None);
        let old = status.replace("default/", "");
        let pod = json!({"metadata": {"annotations": {OLD_STATUS: old}}});
        assert_eq!(nic(&pod, "default/ovs-blue").map(|nic| nic.interface).as_deref(), Some("net1"));
    }
}
