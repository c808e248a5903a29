//! flannel: its plugin, its configuration, and its daemon.

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::node::NetworkLink;
use crate::profile::Release;
use crate::world::cni::nics::mac_address;
use crate::world::objects::{items, name, set_condition, text};

const SUBNET: &str = "/run/flannel/subnet.env";
const CONFIGURATION: &str = "/etc/kube-flannel/net-conf.json";
/// The setting that only the loaded module `br_netfilter` has.
const BRIDGE_FILTER: &str = "/proc/sys/net/bridge/bridge-nf-call-iptables";
/// The first release that ends without it: 0.26.
const CHECKS_FILTER: u32 = 26;
const LINK: &str = "flannel.1";

/// Copies flannel's CNI plugin to the node.
pub(super) struct InstallPlugin;

impl Program for InstallPlugin {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let target = last_argument(task.container);
        if let Some(path) = task.on_node(target) {
            task.scene.node.put_file(path, b"flannel's plugin", 0o755)?;
        }
        Ok(ProgramState::Completed)
    }
}

/// Copies flannel's CNI configuration from its `ConfigMap` to the node.
pub(super) struct InstallConfiguration;

impl Program for InstallConfiguration {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let arguments = items(task.container, "/args");
        let source = arguments.iter().rev().nth(1).and_then(Value::as_str).unwrap_or_default();
        let Some(content) = task.configured(source)? else {
            return Ok(ProgramState::Failed(format!(
                "cp: cannot stat '{source}': No such file or directory"
            )));
        };
        if let Some(path) = task.on_node(last_argument(task.container)) {
            task.scene.node.put_file(path, content.as_bytes(), 0o644)?;
        }
        Ok(ProgramState::Completed)
    }
}

fn last_argument(container: &Value) -> &str {
    items(container, "/args").last().and_then(Value::as_str).unwrap_or_default()
}

/// flanneld.
pub(super) struct Daemon;

impl Program for Daemon {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let Some(node) = task.scene.own_node()? else { return Ok(ProgramState::Failed("no node".into())) };
        if checks_filter(text(task.container, "/image")) && task.scene.node.status(BRIDGE_FILTER)?.is_none() {
            let cause = format!("stat {BRIDGE_FILTER}: no such file or directory");
            return Ok(ProgramState::Failed(format!("Failed to check br_netfilter: {cause}")));
        }
        let Ok(subnet) = text(&node, "/spec/podCIDR").parse::<Ipv4Net>() else {
            let cause = format!("failed to acquire lease: node \"{}\" pod cidr not assigned", name(&node));
            return Ok(ProgramState::Failed(format!("Error registering network: {cause}")));
        };
        let settings = task.configured(CONFIGURATION)?.unwrap_or_default();
        let settings: Value = serde_json::from_str(&settings).unwrap_or_default();
        let backend = settings.pointer("/Backend/Type").and_then(Value::as_str).unwrap_or("vxlan");
        if backend == "vxlan" {
            task.scene.node.put_network_link(&link(subnet))?;
        }
        write_subnet(task, &settings, subnet, if backend == "vxlan" { 1450 } else { 1500 })?;
        tell(task, &node, backend)?;
        Ok(ProgramState::Running { ready: true })
    }

    fn seconds(&self) -> f64 {
        2.0
    }
}

fn checks_filter(image: &str) -> bool {
    let tag =
        image.split('@').next().and_then(|name| name.rsplit('/').next()?.split_once(':')).map(|(_, tag)| tag);
    let release = tag.and_then(|tag| Release::parse(tag.split('-').next().unwrap_or(tag)));
    release.is_none_or(|release| release.major > 0 || release.minor >= CHECKS_FILTER)
}

fn link(subnet: Ipv4Net) -> NetworkLink {
    NetworkLink {
        name: LINK.into(),
        kind: "vxlan".into(),
        up: true,
        mtu: 1450,
        addresses: vec![format!("{}/32", subnet.network())],
        mac: mac_address(LINK),
        ..NetworkLink::default()
    }
}

fn write_subnet(task: &Task<'_>, settings: &Value, subnet: Ipv4Net, mtu: u32) -> Result<()> {
    let Some(path) = task.on_node(SUBNET) else { return Ok(()) };
    let first = subnet.hosts().next().unwrap_or_else(|| subnet.network());
    let masquerades = items(task.container, "/args").iter().any(|word| word == "--ip-masq");
    let text = format!(
        "FLANNEL_NETWORK={}\nFLANNEL_SUBNET={first}/{}\nFLANNEL_MTU={mtu}\nFLANNEL_IPMASQ={masquerades}\n",
        settings["Network"].as_str().unwrap_or_default(),
        subnet.prefix_len()
    );
    task.scene.node.put_file(path, text.as_bytes(), 0o644)
}

/// Publishes the backend data in the node's annotations.
fn tell(task: &Task<'_>, node: &Value, backend: &str) -> Result<()> {
    let mut written = node.clone();
    let address = items(node, "/status/addresses").iter().find(|address| address["type"] == "InternalIP");
    let data = match backend {
        "vxlan" => json!({"VNI": 1, "VtepMAC": mac_address(LINK)}).to_string(),
        _ => "null".into(),
    };
    for (key, value) in [
        ("backend-data", data.as_str()),
        ("backend-type", backend),
        ("kube-subnet-manager", "true"),
        ("public-ip", address.map(|address| text(address, "/address")).unwrap_or_default()),
    ] {
        written["metadata"]["annotations"][format!("flannel.alpha.coreos.com/{key}")] = value.into();
    }
    let now = task.scene.now();
    let mut conditions = items(node, "/status/conditions").to_vec();
    let up = json!({"type": "NetworkUnavailable", "status": "False", "reason": "FlannelIsUp",
        "message": "Flannel is running on this node", "lastHeartbeatTime": now});
    if !conditions
        .iter()
        .any(|condition| condition["type"] == "NetworkUnavailable" && condition["status"] == "False")
    {
        set_condition(&mut conditions, up, &now);
    }
    written["status"]["conditions"] = conditions.into();
    task.scene.save("flanneld", node, written)
}
