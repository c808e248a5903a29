//! What deleted pods left on the node: Open vSwitch ports, and leased addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Result;
use crate::facts::attachments::reported;
use crate::facts::ovs::OvsState;
use crate::profile::Network;
use crate::verify::{Found, ovs_state};

/// Where host-local keeps its leases by default.
const DIRECTORY: &str = "/var/lib/cni/networks";

/// Leaked ports and leases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaks {
    /// `PORT of BRIDGE`.
    ports: Vec<String>,
    /// Paths of lease files, each named after its address.
    addresses: Vec<Utf8PathBuf>,
}

impl Leaks {
    /// Compares the node with the existing pods.
    pub async fn look(cx: &Context, cluster: &Cluster, networks: &[Network]) -> Result<Self> {
        // Read the node first: a pod listed before it would miss the newest ports.
        let switch = ovs_state(cx).await?;
        let mut taken = Vec::new();
        for directory in directories(networks) {
            let names = cx.host.list(&directory).await?.unwrap_or_default();
            let is_address = |name: &&String| name.parse::<IpAddr>().is_ok();
            taken.extend(names.iter().filter(is_address).map(|name| directory.join(name)));
        }
        let pods = cluster.list("v1", "Pod", None, None).await?;
        Ok(Self::of(&pods, switch.as_ref(), taken))
    }

    fn of(pods: &[Value], switch: Option<&OvsState>, taken: Vec<Utf8PathBuf>) -> Self {
        let uids: BTreeSet<&str> = pods.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect();
        let held: BTreeSet<IpAddr> = pods.iter().flat_map(addresses_of).collect();
        let all = switch.into_iter().flat_map(OvsState::ports);
        let is_left = |ids: &std::collections::BTreeMap<String, String>| {
            ids.get("contPodUid").is_some_and(|uid| !uids.contains(uid.as_str()))
        };
        let ports = all.filter(|(_, port)| is_left(&port.external_ids));
        let ports = ports.map(|(bridge, port)| format!("{} of {}", port.name, bridge.name)).collect();
        let is_free = |path: &Utf8PathBuf| {
            path.file_name().and_then(|name| name.parse().ok()).is_some_and(|ip: IpAddr| !held.contains(&ip))
        };
        Self { ports, addresses: taken.into_iter().filter(is_free).collect() }
    }

    /// Whether nothing leaked.
    pub fn is_nothing(&self) -> bool {
        self.ports.is_empty() && self.addresses.is_empty()
    }

    /// The counts, for progress messages.
    pub fn summary(&self) -> String {
        format!("{} ports, {} addresses", self.ports.len(), self.addresses.len())
    }

    /// The check of the ports.
    pub fn ports(&self) -> Found {
        if self.ports.is_empty() {
            return Found::of(true, "none");
        }
        Found::of(false, format!("orphaned ports: {}", self.ports.join(", ")))
    }

    /// The check of the addresses.
    pub fn addresses(&self) -> Found {
        if self.addresses.is_empty() {
            return Found::of(true, "none");
        }
        let paths: Vec<&str> = self.addresses.iter().map(|path| path.as_str()).collect();
        Found::of(false, format!("leased to deleted pods: {}", paths.join(", ")))
    }
}

/// Every address of a pod according to Multus and the kubelet.
fn addresses_of(pod: &Value) -> Vec<IpAddr> {
    let parse = |ip: &Value| ip.as_str()?.split('/').next()?.parse().ok();
    let own = pod["status"]["podIPs"].as_array().into_iter().flatten().filter_map(|ip| parse(&ip["ip"]));
    let own = own.chain(parse(&pod["status"]["podIP"]));
    own.chain(reported(pod).into_iter().flat_map(|nic| nic.ips)).collect()
}

/// The lease directories of the networks.
fn directories(networks: &[Network]) -> BTreeSet<Utf8PathBuf> {
    let directory = |network: &Network| {
        let conf = network.netconf();
        let ipam = conf.ipam().filter(|ipam| ipam.kind == "host-local")?;
        let name = conf.name.clone().filter(|name| !name.is_empty());
        let base = Utf8Path::new(ipam.data_dir.as_deref().unwrap_or(DIRECTORY));
        Some(base.join(name.unwrap_or_else(|| network.name.clone())))
    };
    networks.iter().filter_map(directory).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::facts::ovs::{OvsBridge, OvsPort};
    use crate::profile;

    #[test]
    fn what_no_pod_has_is_leaked() {
        let status = r#"[{"name":"default/x","interface":"net1","ips":["10.20.0.2"]}]"#;
        let pod = json!({"metadata": {"uid": "a", "annotations": {"k8s.v1.cni.cncf.io/network-status": status}},
            "status": {"podIP": "10.244.0.9"}});
        let port = |name: &str, uid: Option<&str>| {
            let ids = uid
                .map(|uid| ("contPodUid".to_owned(), uid.to_owned()))
                .into_iter()
                .collect::<BTreeMap<_, _>>();
            OvsPort { name: name.into(), external_ids: ids, ..OvsPort::default() }
        };
        let ports = vec![port("blue", None), port("veth1", Some("a")), port("veth2", Some("gone"))];
        let switch =
            OvsState { bridges: vec![OvsBridge { name: "blue".into(), ports, ..OvsBridge::default() }] };
        let taken =
            ["10.20.0.2", "10.20.0.3", "10.244.0.9"].map(|ip| Utf8PathBuf::from("/x").join(ip)).to_vec();
        let left = Leaks::of(&[pod], Some(&switch), taken);
        assert_eq!(left.ports, ["veth2 of blue"]);
        assert_eq!(left.addresses, ["/x/10.20.0.3"]);
        assert!(!left.ports().holds() && left.addresses().detail.contains("10.20.0.3"));
        assert!(Leaks::of(&[], None, Vec::new()).is_nothing());
    }

    #[test]
    fn each_network_has_its_own_directory() {
        let networks = profile::load("default", &[]).unwrap().profile.networks;
        let found: Vec<String> = directories(&networks).into_iter().map(Utf8PathBuf::into_string).collect();
        assert_eq!(
            found,
            ["a-bridge-network", "ovs-blue", "ovs-blue100"].map(|name| format!("{DIRECTORY}/{name}"))
        );
    }
}
