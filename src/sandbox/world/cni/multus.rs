//! Multus: the first NIC by its master's configuration, and one for each network that the pod asks for.

use camino::Utf8Path;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Map, Value, json};

use super::nics::{Nic, Sandbox};
use super::plugins;
use super::runtime::{self, Configuration, Failure};
use crate::error::Result;
use crate::sandbox::world::objects::{items, name, namespace, text, uid};
use crate::sandbox::world::scene::Scene;

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
pub(super) const SOCKET: &str = "/run/multus/multus.sock";
/// How a container sees the node's files.
const HOST: &str = "/host";

/// A network that a pod asks for.
#[derive(Clone, Debug, Default, PartialEq)]
struct Wanted {
    namespace: String,
    name: String,
    interface: String,
    mac: Option<String>,
}

/// Makes all NICs of a pod and writes its status annotation.
pub(super) fn add(
    scene: &Scene,
    sandbox: &mut Sandbox,
    pod: &Value,
    configuration: &Configuration,
) -> Result<Result<(), Failure>> {
    let own = &configuration.plugins[0];
    let kind = text(own, "/type");
    let wrap = |failure: Failure| {
        let (name, stdin) = (&configuration.name, &configuration.whole);
        if kind != "multus-shim" {
            return format!("plugin type=\"{kind}\" name=\"{name}\" failed (add): {failure}");
        }
        format!(
            "plugin type=\"{kind}\" name=\"{name}\" failed (add): CmdAdd (shim): CNI request failed with status 400: '{failure}\n': StdinData: {stdin}"
        )
    };
    if let Err(failure) = runtime::binary(scene, kind)? {
        return Ok(Err(failure));
    }
    if kind == "multus-shim" && scene.node.status(SOCKET)?.is_none() {
        let failure =
            format!("Post \"http://dummy/cni\": dial unix {SOCKET}: connect: no such file or directory");
        return Ok(Err(format!(
            "plugin type=\"{kind}\" name=\"{}\" failed (add): CmdAdd (shim): {failure}",
            configuration.name
        )));
    }
    let generation = if is_of_2018(own) { Generation::Of2018 } else { Generation::Today };
    let made = attach(scene, sandbox, pod, own)?;
    if made.is_ok() {
        annotate(scene, sandbox, pod, generation)?;
    }
    Ok(made.map_err(wrap))
}

fn attach(scene: &Scene, sandbox: &mut Sandbox, pod: &Value, own: &Value) -> Result<Result<(), Failure>> {
    let (space, pod_name) = (namespace(pod), name(pod));
    if let Some(file) = own["readinessindicatorfile"].as_str()
        && scene.node.status(on_node(file))?.is_none()
    {
        return Ok(Err(format!(
            "Multus: [{space}/{pod_name}/{}]: PollImmediate error waiting for ReadinessIndicatorFile: timed out waiting for the condition",
            uid(pod)
        )));
    }
    let wanted = match wanted(pod) {
        Ok(wanted) => wanted,
        Err(failure) => return Ok(Err(failure)),
    };
    let mut delegates = Vec::new();
    for network in &wanted {
        match definition(scene, network, pod)? {
            Ok(configuration) => delegates.push((network, configuration)),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    let Some(master) = master(scene, own)? else {
        return Ok(Err(format!("Multus: [{space}/{pod_name}]: no master configuration can be read")));
    };
    if let Err(failure) = plugins::add(scene, sandbox, &master, "eth0", &master.name, None)? {
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
        if let Err(failure) =
            plugins::add(scene, sandbox, configuration, &interface, &shown, network.mac.as_deref())?
        {
            return Ok(Err(failed(pod, &network.name, &failure)));
        }
        tell(scene, pod, sandbox.nics.last())?;
    }
    Ok(Ok(()))
}

fn failed(pod: &Value, network: &str, failure: &str) -> Failure {
    let (space, pod_name, uid) = (namespace(pod), name(pod), uid(pod));
    format!(
        "error configuring pod [{space}/{pod_name}] networking: [{space}/{pod_name}/{uid}:{network}]: error adding container to network \"{network}\": {failure}"
    )
}

fn tell(scene: &Scene, pod: &Value, nic: Option<&Nic>) -> Result<()> {
    let Some(nic) = nic else { return Ok(()) };
    let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
    let message = format!("Add {} [{}] from {}", nic.name, addresses.join(" "), nic.network);
    scene.event(pod, "multus", "Normal", "AddedInterface", &message)
}

/// The first NIC's configuration: the thick plugin reads the file, the others have a copy of it.
fn master(scene: &Scene, own: &Value) -> Result<Option<Configuration>> {
    if let Some(path) = own["clusterNetwork"].as_str() {
        let content = scene.node.text(on_node(path))?.unwrap_or_default();
        return Ok(serde_json::from_str(&content).ok().and_then(|whole: Value| Configuration::parse(&whole)));
    }
    Ok(items(own, "/delegates").first().and_then(Configuration::parse))
}

/// A path of the daemon's container as the node has it.
fn on_node(path: &str) -> &Utf8Path {
    Utf8Path::new(path.strip_prefix(HOST).unwrap_or(path))
}

/// A fixed configuration without a CNI version: later ones are generated and have one.
fn is_of_2018(own: &Value) -> bool {
    own["cniVersion"].is_null()
}

/// The networks in the annotation, as a list of names or as JSON.
fn wanted(pod: &Value) -> Result<Vec<Wanted>, Failure> {
    let annotation = pod["metadata"]["annotations"][NETWORKS].as_str().unwrap_or_default().trim();
    let here = namespace(pod);
    if annotation.is_empty() {
        return Ok(Vec::new());
    }
    if annotation.starts_with('[') {
        let list: Vec<Value> = serde_json::from_str(annotation).map_err(|error| {
            format!("failed to parse pod Network Attachment Selection Annotation JSON format: {error}")
        })?;
        return Ok(list.iter().map(|item| from_json(item, here)).collect());
    }
    Ok(annotation.split(',').map(|item| from_name(item.trim(), here)).collect())
}

fn from_json(item: &Value, here: &str) -> Wanted {
    let text = |field: &str| text(item, field).to_owned();
    Wanted {
        namespace: Some(text("/namespace"))
            .filter(|space| !space.is_empty())
            .unwrap_or_else(|| here.to_owned()),
        name: text("/name"),
        interface: text("/interface"),
        mac: item["mac"].as_str().map(str::to_owned),
    }
}

/// `NAMESPACE/NAME@INTERFACE`, of which only the name must be there.
fn from_name(item: &str, here: &str) -> Wanted {
    let (space, rest) = item.split_once('/').unwrap_or((here, item));
    let (name, interface) = rest.split_once('@').unwrap_or((rest, ""));
    Wanted { namespace: space.into(), name: name.into(), interface: interface.into(), mac: None }
}

fn definition(scene: &Scene, network: &Wanted, pod: &Value) -> Result<Result<Configuration, Failure>> {
    let Wanted { namespace: space, name: wanted, .. } = network;
    let kind = "NetworkAttachmentDefinition";
    let Some(found) = scene.get("k8s.cni.cncf.io/v1", kind, Some(space), wanted)? else {
        let message = format!(
            "cannot find a network-attachment-definition ({wanted}) in namespace ({space}): networkattachmentdefinition.k8s.cni.cncf.io \"{wanted}\" not found"
        );
        scene.event(pod, "multus", "Warning", "NoNetworkFound", &message)?;
        let place = format!("[{}/{}/{}]", namespace(pod), name(pod), uid(pod));
        return Ok(Err(format!(
            "error configuring pod [{}/{}] networking: Multus: {place}: error loading k8s delegates k8s args: TryLoadPodDelegates: error in getting k8s network for pod: GetNetworkDelegates: failed getting the delegate: getKubernetesDelegate: {message}",
            namespace(pod),
            name(pod)
        )));
    };
    let parsed: Option<Map<String, Value>> = serde_json::from_str(text(&found, "/spec/config")).ok();
    let configuration = parsed.and_then(|mut whole| {
        whole.entry("name").or_insert_with(|| wanted.as_str().into());
        Configuration::parse(&Value::Object(whole))
    });
    Ok(configuration.ok_or_else(|| format!("the configuration of {space}/{wanted} is not one of CNI")))
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

    fn asked(annotation: &str) -> Vec<(String, String, String)> {
        let pod = json!({"metadata": {"namespace": "here", "annotations": {NETWORKS: annotation}}});
        wanted(&pod).unwrap().into_iter().map(|w| (w.namespace, w.name, w.interface)).collect()
    }

    #[test]
    fn networks_are_asked_for_by_name_or_by_json() {
        let expected =
            |space: &str, name: &str, nic: &str| (space.to_owned(), name.to_owned(), nic.to_owned());
        assert_eq!(asked("a, other/b@eth5"), [expected("here", "a", ""), expected("other", "b", "eth5")]);
        assert_eq!(asked(r#"[{"name": "a", "interface": "x"}]"#), [expected("here", "a", "x")]);
        assert_eq!(asked(""), []);
    }

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
