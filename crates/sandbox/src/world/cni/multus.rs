//! Multus: the first NIC by its master's configuration, and one for each requested network.

use camino::Utf8Path;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::go_json;
use super::multus_request::{self, Wanted};
use super::nics::{Nic, Sandbox};
use super::plugins::{self, Wishes};
use super::runtime::{self, Configuration, Failure};
use crate::error::Result;
use crate::formats::cni::is_configuration;
use crate::world::objects::{items, name, namespace, text, uid};
use crate::world::scene::Scene;

pub(super) const SOCKET: &str = "/run/multus/multus.sock";
/// Where it looks for the configuration of an attachment that has none.
const FILES: &str = "/etc/cni/multus/net.d";
/// How a container sees the node's files.
const HOST: &str = "/host";

/// Creates all NICs of a pod and writes its status annotation.
pub(super) fn add(
    scene: &Scene,
    sandbox: &mut Sandbox,
    pod: &Value,
    configuration: &Configuration,
) -> Result<Result<(), Failure>> {
    let own = &configuration.plugins[0];
    let kind = text(own, "/type");
    if let Err(failure) = runtime::binary(scene, kind)? {
        return Ok(Err(failure));
    }
    if kind == "multus-shim" && scene.node.status(SOCKET)?.is_none() {
        // The shim retries for a minute, and its error does not name the socket.
        let failure = "CmdAdd (shim): timed out waiting for the condition";
        return Ok(Err(format!("plugin {} failed (add): {failure}", runtime::described(own))));
    }
    let generation = if is_of_2018(own) { Generation::Of2018 } else { Generation::Today };
    let made = attach(scene, sandbox, pod, own)?;
    if made.is_ok() {
        annotate(scene, sandbox, pod, generation)?;
    }
    let id = sandbox.clone();
    Ok(made.map_err(|failure| told(&id, pod, configuration, &failure)))
}

/// An error as reported by Multus' own plugin.
fn told(sandbox: &Sandbox, pod: &Value, configuration: &Configuration, failure: &str) -> Failure {
    let own = &configuration.plugins[0];
    let called = format!("plugin {} failed (add): ", runtime::described(own));
    if text(own, "/type") != "multus-shim" {
        return format!("{called}{failure}");
    }
    let (id, space, name) = (&sandbox.id, namespace(pod), name(pod));
    let arguments = format!(
        "IgnoreUnknown=1;K8S_POD_NAMESPACE={space};K8S_POD_NAME={name};K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_UID={}",
        uid(pod)
    );
    let request = format!(
        "ContainerID:\"{id}\" Netns:\"{}\" IfName:\"eth0\" Args:\"{arguments}\" Path:\"\"",
        sandbox.namespace_path()
    );
    let failure = format!("{request} ERRORED: error configuring pod [{space}/{name}] networking: {failure}");
    let mut stdin = own.clone();
    stdin.sort_all_objects();
    format!("{called}CmdAdd (shim): CNI request failed with status 400: '{failure}\n': StdinData: {stdin}")
}

fn attach(scene: &Scene, sandbox: &mut Sandbox, pod: &Value, own: &Value) -> Result<Result<(), Failure>> {
    let before =
        |failure: Failure| format!("Multus: [{}/{}/{}]: {failure}", namespace(pod), name(pod), uid(pod));
    if let Some(file) = own["readinessindicatorfile"].as_str()
        && scene.node.status(on_node(file))?.is_none()
    {
        return Ok(Err(before(format!(
            "have you checked that your default network is ready? still waiting for readinessindicatorfile @ {file}. pollimmediate error: timed out waiting for the condition"
        ))));
    }
    let master = match master(scene, own)? {
        Ok(master) => master,
        Err(failure) => {
            return Ok(Err(before(format!("failed to get clusterNetwork/defaultNetworks: {failure}"))));
        }
    };
    let loading = "error loading k8s delegates k8s args";
    let instead = match first(scene, pod)? {
        Ok(instead) => instead,
        Err(failure) => {
            let getting =
                "TryLoadPodDelegates: error in loading K8s cluster default network from pod annotation";
            return Ok(Err(before(format!("{loading}: {getting}: {failure}"))));
        }
    };
    let (master, shown) = instead.unwrap_or_else(|| (master.clone(), master.name));
    let wanted = match multus_request::of(pod) {
        Ok(wanted) => wanted,
        Err(failure) => return Ok(Err(before(format!("{loading}: {failure}")))),
    };
    let mut delegates = Vec::new();
    for network in &wanted {
        match definition(scene, network, pod)? {
            Ok(configuration) => delegates.push((network, configuration)),
            Err(failure) => {
                let getting = "TryLoadPodDelegates: error in getting k8s network for pod: GetNetworkDelegates: failed getting the delegate";
                return Ok(Err(before(format!("{loading}: {getting}: {failure}"))));
            }
        }
    }
    let none = Wishes::default();
    if let Err(failure) = plugins::add(scene, sandbox, &master, "eth0", &shown, none)? {
        return Ok(Err(failed(pod, &master.name, &failure)));
    }
    tell(scene, pod, sandbox.nics.last())?;
    for (number, (network, configuration)) in delegates.iter().enumerate() {
        let interface = if network.interface.is_empty() {
            format!("net{}", number + 1)
        } else {
            network.interface.clone()
        };
        let shown = if is_of_2018(own) {
            configuration.name.clone()
        } else {
            format!("{}/{}", network.namespace, network.name)
        };
        if sandbox.nics.iter().any(|nic| nic.name == interface) {
            let taken = format!("validateIfName: interface name {interface} already exists");
            let kind = text(&configuration.plugins[0], "/type");
            let failure =
                format!("DelegateAdd: cannot set \"{kind}\" interface name to \"{interface}\": {taken}");
            return Ok(Err(failed(pod, &configuration.name, &failure)));
        }
        let wishes = Wishes { mac: network.mac.as_deref(), ips: &network.ips };
        if let Err(failure) = plugins::add(scene, sandbox, configuration, &interface, &shown, wishes)? {
            return Ok(Err(failed(pod, &configuration.name, &failure)));
        }
        tell(scene, pod, sandbox.nics.last())?;
    }
    Ok(Ok(()))
}

fn failed(pod: &Value, network: &str, failure: &str) -> Failure {
    let (space, pod_name, uid) = (namespace(pod), name(pod), uid(pod));
    format!(
        "[{space}/{pod_name}/{uid}:{network}]: error adding container to network \"{network}\": {failure}"
    )
}

fn tell(scene: &Scene, pod: &Value, nic: Option<&Nic>) -> Result<()> {
    let Some(nic) = nic else { return Ok(()) };
    let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
    let message = format!("Add {} [{}] from {}", nic.name, addresses.join(" "), nic.network);
    scene.event(pod, "multus", "Normal", "AddedInterface", &message)
}

/// The first NIC's configuration: the thick plugin reads the file, the others have a copy of it.
fn master(scene: &Scene, own: &Value) -> Result<Result<Configuration, Failure>> {
    if let Some(path) = own["clusterNetwork"].as_str() {
        let Some(content) = scene.node.text(on_node(path))? else {
            return Ok(Err(format!("stat {path}: no such file or directory")));
        };
        let whole = go_json::parse(&content);
        return Ok(match whole.map(|whole| Configuration::parse(&whole)) {
            Ok(Some(configuration)) => Ok(configuration),
            Ok(None) => Err(format!("error loading CNI conflist file {path}: no plugin configs found")),
            Err(error) => Err(format!("error loading CNI conflist file {path}: {error}")),
        });
    }
    let copy = items(own, "/delegates").first().and_then(Configuration::parse);
    Ok(copy.ok_or_else(|| "no delegate is configured".to_owned()))
}

/// The configuration that a pod asks for in place of the first NIC's, with the network's name; none when it asks for none.
fn first(scene: &Scene, pod: &Value) -> Result<Result<Option<(Configuration, String)>, Failure>> {
    let wanted = match multus_request::first(pod) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return Ok(Ok(None)),
        Err(failure) => return Ok(Err(failure)),
    };
    let shown = format!("{}/{}", wanted.namespace, wanted.name);
    let found = definition(scene, &wanted, pod)?;
    let failed = |failure| format!("tryLoadK8sPodDefaultNetwork: failed getting the delegate: {failure}");
    Ok(found.map(|configuration| Some((configuration, shown))).map_err(failed))
}

/// A path of the daemon's container as the node has it.
fn on_node(path: &str) -> &Utf8Path {
    Utf8Path::new(path.strip_prefix(HOST).unwrap_or(path))
}

/// A fixed configuration without a CNI version: later ones are generated and have one.
fn is_of_2018(own: &Value) -> bool {
    own["cniVersion"].is_null()
}

fn definition(scene: &Scene, network: &Wanted, pod: &Value) -> Result<Result<Configuration, Failure>> {
    let Wanted { namespace: space, name: wanted, .. } = network;
    let kind = "NetworkAttachmentDefinition";
    let Some(found) = scene.get("k8s.cni.cncf.io/v1", kind, Some(space), wanted)? else {
        let message = format!(
            "cannot find a network-attachment-definition ({wanted}) in namespace ({space}): networkattachmentdefinition.k8s.cni.cncf.io \"{wanted}\" not found"
        );
        scene.event(pod, "multus", "Warning", "NoNetworkFound", &message)?;
        return Ok(Err(format!("getKubernetesDelegate: {message}")));
    };
    let config = text(&found, "/spec/config");
    if config.is_empty() {
        return by_file(scene, wanted);
    }
    let whole = match go_json::parse(config) {
        Ok(Value::Object(whole)) => whole,
        Ok(other) => {
            let kind = go_json::kind(&other);
            return Ok(Err(in_spec(&format!(
                "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
            ))));
        }
        Err(error) => return Ok(Err(in_spec(&error))),
    };
    Ok(loaded(whole, wanted))
}

/// An attachment without a configuration: a file on the node has its name.
fn by_file(scene: &Scene, wanted: &str) -> Result<Result<Configuration, Failure>> {
    let failed = |what: String| Ok(Err(format!("GetCNIConfig: err in GetCNIConfigFromFile: {what}")));
    let mut names = scene.node.names(FILES)?.unwrap_or_default();
    names.retain(|name| is_configuration(name));
    names.sort_unstable();
    if names.is_empty() {
        return failed(format!("No networks found in {FILES}"));
    }
    for name in names {
        let path = format!("{FILES}/{name}");
        let content = scene.node.text(&path)?.unwrap_or_default();
        let kind = if name.ends_with(".conflist") { "conflist" } else { "config" };
        match go_json::parse(&content) {
            Ok(Value::Object(whole)) if whole.get("name").is_some_and(|name| name == wanted) => {
                return Ok(loaded(whole, wanted));
            }
            Ok(_) => {}
            Err(error) => {
                return failed(format!(
                    "Error loading CNI {kind} file {path}: error parsing configuration: {error}"
                ));
            }
        }
    }
    failed(format!("no network available in the name {wanted} in cni dir {FILES}"))
}

fn in_spec(error: &str) -> Failure {
    format!("GetCNIConfig: err in getCNIConfigFromSpec: failed to unmarshal Spec.Config: {error}")
}

/// A configuration of CNI; without a name it gets the network's.
fn loaded(mut whole: Map<String, Value>, network: &str) -> Result<Configuration, Failure> {
    if whole.get("name").is_none_or(|name| name == "") {
        whole.insert("name".into(), network.into());
    }
    let whole = Value::Object(whole);
    Configuration::parse(&whole).ok_or_else(|| {
        let list = match items(&whole, "/plugins") {
            [] => "delegate must have the 'type' or 'plugin' field",
            _ => "a plugin delegate must have the 'type' field",
        };
        format!("LoadDelegateNetConf: failed with: LoadDelegateNetConfList: {list}")
    })
}

/// Which Multus wrote the annotation.
#[derive(Clone, Copy, PartialEq)]
enum Generation {
    Today,
    Of2018,
}

impl Generation {
    fn annotation(self) -> &'static str {
        match self {
            Self::Today => "k8s.v1.cni.cncf.io/network-status",
            Self::Of2018 => "k8s.v1.cni.cncf.io/networks-status",
        }
    }
}

fn annotate(scene: &Scene, sandbox: &Sandbox, pod: &Value, generation: Generation) -> Result<()> {
    let Some(live) =
        scene.get("v1", "Pod", Some(namespace(pod)), name(pod))?.filter(|live| uid(live) == uid(pod))
    else {
        return Ok(());
    };
    let mut written = live.clone();
    let status: Vec<String> =
        sandbox.nics.iter().enumerate().map(|(number, nic)| pretty(&entry(nic, number == 0))).collect();
    written["metadata"]["annotations"][generation.annotation()] = format!("[{}]", status.join(",")).into();
    scene.save("multus-daemon", &live, written)
}

fn entry(nic: &Nic, is_first: bool) -> Value {
    let mut entry = json!({"name": nic.network, "interface": nic.name});
    if !nic.addresses.is_empty() {
        entry["ips"] = nic.addresses.iter().map(|address| address.addr().to_string()).collect();
    }
    entry["mac"] = nic.mac.as_str().into();
    if is_first {
        entry["default"] = true.into();
    }
    entry["dns"] = json!({});
    if let Some(gateway) = nic.gateway.filter(|_| is_first) {
        entry["gateway"] = json!([gateway.to_string()]);
    }
    entry
}

/// JSON with an indentation of four, as Multus writes it.
fn pretty(value: &Value) -> String {
    let mut text = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b"    "));
    // A value in memory can always be written to memory.
    let _ = value.serialize(&mut serializer);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_reads_as_multus_writes_it() {
        let nic = Nic {
            name: "net1".into(),
            network: "default/ovs-blue".into(),
            mac: "0a:58:0a:14:00:04".into(),
            addresses: vec!["10.20.0.4/24".parse().unwrap()],
            ..Nic::default()
        };
        assert_eq!(
            pretty(&entry(&nic, false)),
            "{\n    \"name\": \"default/ovs-blue\",\n    \"interface\": \"net1\",\n    \"ips\": [\n        \"10.20.0.4\"\n    ],\n    \"mac\": \"0a:58:0a:14:00:04\",\n    \"dns\": {}\n}"
        );
    }
}
