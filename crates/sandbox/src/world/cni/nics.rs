//! The runtime's record of pods' NICs.

use std::net::IpAddr;

use camino::Utf8PathBuf;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::node::NetworkLink;
use crate::world::objects::hex;
use crate::world::scene::Scene;

const KEYS: &str = "node/sandbox/";

/// A pod sandbox, until its network is torn down: the pod's object may be gone before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::world) struct Sandbox {
    /// The pod's uid.
    pub uid: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The id that the runtime gave it: 64 hexadecimal digits.
    pub id: String,
    /// What runs in it.
    pub spec: Value,
    /// Whether its network is complete.
    pub ready: bool,
    /// Its NICs, in the order in which they were made.
    pub nics: Vec<Nic>,
}

/// A NIC of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::world) struct Nic {
    /// Its name in the pod.
    pub name: String,
    /// The network, as the status annotation names it.
    pub network: String,
    /// Its MAC address.
    pub mac: String,
    /// Its addresses with their prefixes.
    pub addresses: Vec<IpNet>,
    /// The guest's own addresses on it; none without a guest.
    #[serde(default)]
    pub guest: Option<Vec<IpNet>>,
    /// The gateway that came with the address.
    pub gateway: Option<IpAddr>,
    /// Its MTU.
    pub mtu: u32,
    /// The other end on the node.
    pub host_link: String,
    /// What it is connected to.
    pub wire: Wire,
    /// Its lease files.
    pub leases: Vec<Utf8PathBuf>,
    /// The pools of whereabouts that have its addresses.
    #[serde(default)]
    pub pools: Vec<String>,
    /// The plugin's scratch file; without it nothing is released.
    pub scratch: Option<Utf8PathBuf>,
    /// The plugins that its teardown needs.
    pub plugins: Vec<String>,
}

/// What the other end of a NIC is connected to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::world) enum Wire {
    /// A Linux bridge of the node.
    Bridge(String),
    /// A port of Open vSwitch; the switch knows its bridge and VLAN.
    Switch,
    /// A `macvlan` master on the node: in mode `bridge` NICs on one master reach each other.
    Macvlan(String),
    /// Nothing shared with another pod.
    #[default]
    Nothing,
}

impl Nic {
    /// A NIC without addresses, with names that follow from the sandbox's id.
    pub fn new(sandbox: &Sandbox, name: &str, mtu: u32, mac: Option<&str>) -> Self {
        let seed = format!("{}/{name}", sandbox.id);
        Self {
            name: name.to_owned(),
            mac: mac.map_or_else(|| mac_address(&seed), str::to_owned),
            mtu,
            host_link: format!("veth{}", hex(&seed, 8)),
            ..Self::default()
        }
    }

    /// The addresses that others find at it.
    pub fn found_at(&self) -> &[IpNet] {
        self.guest.as_ref().unwrap_or(&self.addresses)
    }

    /// The link at the other end of it.
    pub fn link(&self, master: Option<&str>) -> NetworkLink {
        NetworkLink {
            name: self.host_link.clone(),
            kind: "veth".into(),
            up: true,
            mtu: self.mtu,
            mac: mac_address(&self.host_link),
            master: master.map(str::to_owned),
            ..NetworkLink::default()
        }
    }
}

/// A locally administered unicast address.
pub(in crate::world) fn mac_address(seed: &str) -> String {
    let digits = hex(seed, 12);
    let first = u8::from_str_radix(&digits[..2], 16).unwrap_or_default() & 0xfc | 2;
    let rest = (1..6).map(|octet| format!(":{}", &digits[octet * 2..octet * 2 + 2]));
    format!("{first:02x}{}", rest.collect::<String>())
}

impl Sandbox {
    /// Whether it uses the node's own network.
    pub fn is_on_host(&self) -> bool {
        self.spec["hostNetwork"] == true
    }

    /// The path of its network namespace.
    pub fn namespace_path(&self) -> String {
        let id = &self.id;
        format!(
            "/var/run/netns/cni-{}-{}-{}-{}-{}",
            &id[..8],
            &id[8..12],
            &id[12..16],
            &id[16..20],
            &id[20..32]
        )
    }

    /// All sandboxes of the node.
    pub fn all(scene: &Scene) -> Result<Vec<Self>> {
        scene.store.read(|store| {
            store.range(KEYS).filter_map(|(_, value)| Self::deserialize(value.as_ref()).ok()).collect()
        })
    }

    /// The uids of the pods that have one.
    pub fn uids(scene: &Scene) -> Result<Vec<String>> {
        let uid = |key: &str| key.strip_prefix(KEYS).unwrap_or_default().to_owned();
        scene.store.read(|store| store.range(KEYS).map(|(key, _)| uid(key)).collect())
    }

    /// The sandbox of a pod; none when it has none yet.
    pub fn of(scene: &Scene, uid: &str) -> Result<Option<Self>> {
        let key = format!("{KEYS}{uid}");
        scene.store.read(|store| store.value(&key).and_then(|value| Self::deserialize(value.as_ref()).ok()))
    }

    /// Records that a NIC is about to be created, so that it is torn down whatever happens.
    pub fn begin(&mut self, scene: &Scene, interface: &str) -> Result<()> {
        let mut begun = Nic::new(self, interface, 0, None);
        begun.wire = Wire::Switch;
        self.nics.push(begun);
        self.keep(scene)
    }

    /// Records the created NIC.
    pub fn made(&mut self, scene: &Scene, nic: Nic) -> Result<()> {
        self.nics.pop();
        self.nics.push(nic);
        self.keep(scene)
    }

    /// Remembers it as it is now.
    pub fn keep(&self, scene: &Scene) -> Result<()> {
        let value = serde_json::to_value(self).unwrap_or_default();
        let key = format!("{KEYS}{}", self.uid);
        scene.store.write(|store| {
            if store.value(&key).map(AsRef::as_ref) != Some(&value) {
                store.put(&key, value);
            }
        })
    }

    /// Forgets it.
    pub fn forget(&self, scene: &Scene) -> Result<()> {
        scene.store.write(|store| store.remove(&format!("{KEYS}{}", self.uid)))
    }
}
