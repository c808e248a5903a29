//! Outside the guest: KubeVirt's status, the virt-launcher pod, Open vSwitch, and the VM's peers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::plan::{Machine, NicPlan};
use crate::cluster::{Cluster, ObjectKey, is_ready};
use crate::context::Context;
use crate::error::Result;
use crate::facts::attachments::{Reported, asked, pairs, reported};
use crate::facts::counters::{self, Counters};
use crate::facts::ovs::{OvsPort, OvsState};
use crate::guest::Link;
use crate::verify::Here;
use crate::verify::look::EXEC_TIMEOUT;
use crate::verify::pods::{PROBE_LABEL, link, nic};

/// KubeVirt's name for a secondary NIC in the virt-launcher pod, in releases that generate names.
fn pod_nic_name(network: &str) -> String {
    let digest = format!("{:x}", Sha256::digest(network));
    format!("pod{}", &digest[..11])
}

/// What the cluster and the node report about the VM.
pub struct Outside {
    instance: Value,
    launcher: Option<Value>,
    /// Why ports cannot be checked; none when the VM runs on this node.
    elsewhere: Option<String>,
    /// Open vSwitch, when the VM runs on this node.
    switch: Option<OvsState>,
    counters: BTreeMap<String, Counters>,
}

impl Outside {
    /// Reads everything once: ports exist before the VM starts.
    pub async fn look(cx: &Context, cluster: &Cluster, machine: &Machine, here: &Here) -> Result<Self> {
        let version = cx.profile.kubevirt.api_version();
        let namespace = Some(machine.namespace.as_str());
        let key = ObjectKey::new(version, "VirtualMachineInstance", namespace, &machine.name);
        let instance = cluster.get(&key).await?.unwrap_or_default();
        let launcher = cluster.launcher(&instance).await?;
        let node = instance["status"]["nodeName"].as_str().unwrap_or_default();
        let elsewhere = (here.node.as_deref() != Some(node)).then(|| here.why_not(node));
        let switch = match cx.host.find("ovs-vsctl").await? {
            Some(_) if elsewhere.is_none() => Some(OvsState::read(cx.host.as_ref()).await?),
            _ => None,
        };
        Ok(Self { instance, launcher, elsewhere, switch, counters: BTreeMap::new() })
    }

    /// Reads the counters of a NIC's port.
    pub async fn count(&mut self, cx: &Context, nic: &NicPlan) -> Result<()> {
        let Some(name) = self.port(nic).map(|(_, port)| port.name.clone()) else { return Ok(()) };
        if let Some(counters) = counters::read(cx.host.as_ref(), &name).await? {
            self.counters.insert(name, counters);
        }
        Ok(())
    }

    /// The packets of a port.
    pub fn counters(&self, port: &str) -> Option<Counters> {
        self.counters.get(port).copied()
    }

    /// The uid of the VM's instance.
    pub fn uid(&self) -> &str {
        self.instance["metadata"]["uid"].as_str().unwrap_or_default()
    }

    /// KubeVirt's status of a NIC.
    pub fn status(&self, nic: &NicPlan) -> Option<&Value> {
        let told = self.instance["status"]["interfaces"].as_array()?;
        if let Some(interface) = told.iter().find(|interface| interface["name"] == nic.name.as_str()) {
            return Some(interface);
        }
        // KubeVirt of 2018 reports addresses without names, in the order of the NICs.
        let wanted = self.instance["spec"]["domain"]["devices"]["interfaces"].as_array()?;
        let index = wanted.iter().position(|interface| interface["name"] == nic.name.as_str())?;
        told.get(index).filter(|_| told.iter().all(|interface| interface.get("name").is_none()))
    }

    /// The MAC address of a NIC: the requested one, else the one that KubeVirt assigned.
    pub fn mac(&self, nic: &NicPlan) -> Option<String> {
        let interfaces = self.instance["spec"]["domain"]["devices"]["interfaces"].as_array()?;
        let wanted = interfaces.iter().find(|interface| interface["name"] == nic.name.as_str());
        let wanted = wanted.and_then(|interface| interface["macAddress"].as_str());
        wanted.or_else(|| self.status(nic)?["mac"].as_str()).map(str::to_ascii_lowercase)
    }

    /// The address at which others reach the guest: its pod's, or its own.
    pub fn address(&self, nic: &NicPlan) -> Option<IpAddr> {
        let address = match &nic.network {
            None => self.launcher.as_ref()?["status"]["podIP"].as_str(),
            Some(_) => self.status(nic)?["ipAddress"].as_str(),
        };
        address?.split('/').next()?.parse().ok()
    }

    /// Multus' report about a NIC of the virt-launcher pod: by KubeVirt's name for it, else by its index among those of its
    /// network.
    pub fn multus(&self, plan: &NicPlan) -> Option<Reported> {
        let (launcher, network) = (self.launcher.as_ref()?, plan.network.as_deref()?);
        let reported = reported(launcher);
        let wishes = asked(launcher).wishes;
        let told = self.status(plan).and_then(|status| status["podInterfaceName"].as_str());
        let name = told.map_or_else(|| pod_nic_name(&plan.name), str::to_owned);
        let found = reported.iter().find(|nic| !nic.default && nic.interface == name);
        let of_network = || {
            let met = wishes.iter().zip(pairs(&wishes, &reported, &|_| None));
            let mut met = met.filter(|(wish, _)| wish.network() == network).map(|(_, place)| place);
            reported.get(met.nth(self.place_on_network(plan))??)
        };
        found.or_else(of_network).cloned().or_else(|| nic(launcher, network))
    }

    /// How many NICs of the VM before this one are on the same network.
    fn place_on_network(&self, plan: &NicPlan) -> usize {
        let networks = self.instance["spec"]["networks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let named = |network: &&Value| network["name"] == plan.name.as_str();
        let own = networks.iter().find(named).map(|network| &network["multus"]["networkName"]);
        networks
            .iter()
            .take_while(|it| !named(it))
            .filter(|it| Some(&it["multus"]["networkName"]) == own)
            .count()
    }

    /// The port of a NIC and its bridge.
    pub fn port(&self, nic: &NicPlan) -> Option<(&str, &OvsPort)> {
        let uid = self.launcher.as_ref()?["metadata"]["uid"].as_str()?;
        self.switch.as_ref()?.port_of_pod(uid, &self.multus(nic)?.interface)
    }

    /// Whether the port of a NIC may exist without an owner: older versions of ovs-cni do not record it.
    pub fn has_nameless_port(&self, nic: &NicPlan, bridge: &str, vlan: Option<u16>) -> bool {
        let interface = self.multus(nic).map(|nic| nic.interface).unwrap_or_default();
        self.switch.as_ref().is_some_and(|switch| switch.has_nameless_port(bridge, vlan, &interface))
    }

    /// Why ports cannot be checked, when the VM is on another node.
    pub fn elsewhere(&self) -> Option<&str> {
        self.elsewhere.as_deref()
    }
}

/// The VM's peers, with the NICs inside them (`ip addr show`).
pub struct Pods(BTreeMap<String, (Value, String)>);

impl Pods {
    /// Waits for the pods and reads their NICs, while the guest is starting.
    pub async fn wait(cx: &Context, cluster: &Cluster, machine: &Machine) -> Result<Self> {
        let timeout = Duration::from_secs(cx.profile.timeouts.verification);
        let namespace = cx.profile.verification.namespace.as_str();
        let names = machine.nics.iter().flat_map(|nic| nic.peer.iter().chain(&nic.stranger));
        let names: BTreeSet<&String> = names.collect();
        let waits = names.into_iter().map(async |name| {
            let selector = format!("{PROBE_LABEL}={name}");
            let pods = cluster.wait_pods(namespace, &selector, 1, &is_ready, timeout, &|_| ()).await?;
            let shown = cluster.exec(namespace, name, None, &["ip", "addr", "show"], EXEC_TIMEOUT).await?;
            let pod = pods.into_iter().next().unwrap_or_default();
            Ok::<_, crate::error::Error>((name.clone(), (pod, shown.stdout)))
        });
        Ok(Self(try_join_all(waits).await?.into_iter().collect()))
    }

    pub fn address(&self, name: &str, pod_network: bool) -> Option<IpAddr> {
        let (pod, _) = self.0.get(name)?;
        if pod_network {
            return pod["status"]["podIP"].as_str()?.parse().ok();
        }
        self.nic(name)?.ips.into_iter().next()
    }

    /// The secondary NIC of a pod.
    pub fn nic(&self, name: &str) -> Option<Reported> {
        let (pod, _) = self.0.get(name)?;
        nic(pod, &asked(pod).wishes.first()?.network())
    }

    /// A NIC inside a pod.
    pub fn link(&self, name: &str, nic: &str) -> Option<Link> {
        link(&self.0.get(name)?.1, nic)
    }
}
