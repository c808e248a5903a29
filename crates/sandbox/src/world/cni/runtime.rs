//! The container runtime: the configuration that it uses, and the setup of pods' networks.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::nics::{Nic, Sandbox};
use super::plugins::Wishes;
use super::{addresses, flannel, multus, plugins};
use crate::error::Result;
use crate::facts::runtime::{self, CniDirs};
use crate::node::NetworkLink;
use crate::world::objects::{items, text};
use crate::world::scene::Scene;

const CRIO: &str = "/etc/crio/crio.conf.d";

/// The runtime's error for a failed setup or teardown of a network.
pub(in crate::world) type Failure = String;

/// A network configuration: its name and the plugins in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::world) struct Configuration {
    pub name: String,
    pub plugins: Vec<Value>,
    /// Whether it came as a list of plugins.
    pub is_list: bool,
    /// The JSON that it was read from.
    pub whole: Value,
}

impl Configuration {
    /// Reads a `.conf` or `.conflist`; none when it is neither.
    pub fn parse(whole: &Value) -> Option<Self> {
        let plugins = match items(whole, "/plugins") {
            [] if whole["type"].is_string() => vec![whole.clone()],
            plugins => plugins.to_vec(),
        };
        let complete = !plugins.is_empty() && plugins.iter().all(|plugin| plugin["type"].is_string());
        let is_list = !items(whole, "/plugins").is_empty();
        let name = text(whole, "/name").to_owned();
        complete.then(|| Self { name, plugins, is_list, whole: whole.clone() })
    }

    /// As the runtime itself has it: a single plugin is a list of one.
    fn listed(&self) -> Self {
        Self { is_list: true, ..self.clone() }
    }
}

/// A plugin as the CNI library names it in its errors.
pub(super) fn described(plugin: &Value) -> String {
    match text(plugin, "/name") {
        "" => format!("type=\"{}\"", text(plugin, "/type")),
        name => format!("type=\"{}\" name=\"{name}\"", text(plugin, "/type")),
    }
}

/// Where the runtime reads configurations and plugins, as its own configuration says.
pub(in crate::world) fn directories(scene: &Scene) -> Result<CniDirs> {
    let mut found = CniDirs::default();
    if let Some(text) = scene.node.text("/etc/containerd/config.toml")? {
        runtime::containerd(&text, &mut found);
    }
    for name in scene.node.names(CRIO)?.unwrap_or_default() {
        if let Some(text) = scene.node.text(Utf8Path::new(CRIO).join(name))? {
            runtime::crio(&text, &mut found);
        }
    }
    Ok(found)
}

/// The first configuration of the directory in the order of bytes; none when there is none that can be read.
pub(in crate::world) fn configuration(scene: &Scene) -> Result<Option<Configuration>> {
    let directory = directories(scene)?.conf;
    let names = scene.node.names(&directory)?.unwrap_or_default();
    let extension = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let mut names: Vec<String> = names
        .into_iter()
        .filter(|name| ["conf", "conflist", "json"].contains(&extension(name).as_str()))
        .collect();
    names.sort_unstable();
    let Some(first) = names.first() else { return Ok(None) };
    let content = scene.node.text(directory.join(first))?.unwrap_or_default();
    Ok(serde_json::from_str(&content).ok().and_then(|whole: Value| Configuration::parse(&whole)))
}

/// Whether the runtime's network is ready: kubelet makes the node ready by it.
pub(in crate::world) fn is_ready(scene: &Scene) -> Result<bool> {
    Ok(configuration(scene)?.is_some())
}

/// Everything that the setup of a pod's network depends on: its request, configurations, plugins, networks, the switch,
/// links, daemons, and leases.
pub(in crate::world) fn circumstances(
    scene: &Scene,
    pod: &Value,
    configuration: &Configuration,
) -> Result<String> {
    let mut all = vec![configuration.whole.to_string(), pod["metadata"]["annotations"].to_string()];
    let directories = directories(scene)?;
    for directory in directories.bin.iter().chain([&directories.conf]) {
        all.extend(scene.node.names(directory)?.unwrap_or_default());
    }
    let networks = scene.list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition")?;
    all.extend(networks.iter().map(|network| network["metadata"]["resourceVersion"].to_string()));
    let bridges = scene.node.open_vswitch()?.map(|switch| switch.bridges);
    all.extend(bridges.into_iter().flatten().map(|bridge| bridge.name));
    let lasting = |link: &NetworkLink| link.kind != "veth";
    let links = scene.node.links()?.into_iter().filter(lasting);
    all.extend(links.map(|link| format!("{} {} {}", link.name, link.mtu, link.addresses.join(" "))));
    all.extend(Sandbox::uids(scene)?);
    all.push(scene.node.text(flannel::SUBNET)?.unwrap_or_default());
    for path in [multus::SOCKET, addresses::DHCP] {
        all.push(scene.node.status(path)?.is_some().to_string());
    }
    Ok(all.join("\n"))
}

/// Sets up the NICs of a pod and records them; a failure rolls back.
pub(in crate::world) fn set_up(
    scene: &Scene,
    sandbox: &mut Sandbox,
    pod: &Value,
    configuration: &Configuration,
) -> Result<Result<(), Failure>> {
    sandbox.ready = false;
    sandbox.nics.clear();
    let first = &configuration.plugins[0];
    let result = match text(first, "/type") {
        "multus" | "multus-shim" => multus::add(scene, sandbox, pod, configuration)?,
        _ => plugins::add(
            scene,
            sandbox,
            &configuration.listed(),
            "eth0",
            &configuration.name,
            Wishes::default(),
        )?,
    };
    if result.is_err() {
        // As in the runtime, only the first error matters.
        let _ = take_down(scene, sandbox)?;
    } else {
        sandbox.ready = true;
    }
    Ok(result)
}

/// Tears down the NICs of a pod, the last one first, and removes the sandbox's record.
pub(in crate::world) fn take_down(scene: &Scene, sandbox: &mut Sandbox) -> Result<Result<(), Failure>> {
    if !sandbox.nics.is_empty() && !is_ready(scene)? {
        return Ok(Err("cni plugin not initialized".into()));
    }
    while let Some(nic) = sandbox.nics.last() {
        if let Some(missing) = missing_plugin(scene, nic)? {
            return Ok(Err(missing));
        }
        plugins::remove(scene, sandbox, nic)?;
        sandbox.nics.pop();
        sandbox.keep(scene)?;
    }
    sandbox.forget(scene)?;
    Ok(Ok(()))
}

fn missing_plugin(scene: &Scene, nic: &Nic) -> Result<Option<Failure>> {
    for plugin in &nic.plugins {
        if let Err(failure) = binary(scene, plugin)? {
            return Ok(Some(format!("plugin type=\"{plugin}\" failed (delete): {failure}")));
        }
    }
    Ok(None)
}

pub(in crate::world) fn binary(scene: &Scene, plugin: &str) -> Result<Result<Utf8PathBuf, Failure>> {
    let directories = directories(scene)?.bin;
    for directory in &directories {
        let path = directory.join(plugin);
        if scene.node.status(&path)?.is_some() {
            return Ok(Ok(path));
        }
    }
    let all: Vec<&str> = directories.iter().map(|directory| directory.as_str()).collect();
    Ok(Err(format!("failed to find plugin \"{plugin}\" in path [{}]", all.join(" "))))
}
