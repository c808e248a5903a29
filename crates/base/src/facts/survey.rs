//! Everything about a node that the wizard's questions depend on. A survey never fails: what could not be read is
//! listed.

use std::time::Duration;

use ipnet::IpNet;

use super::Facts;
use super::gather::{exists, socket, text};
use super::ovs::{OvsState, list_command};
use super::tolerant::Tolerant;
use crate::error::{Error, Result, code};
use crate::formats::cni::{CniConf, order};
use crate::formats::kubernetes;
use crate::formats::net::{self, Link};
use crate::host::{Command, Host};
use crate::profile::Profile;

/// Programs that kvnet or people use on a node.
const TOOLS: [&str; 5] = ["kubeadm", "kubectl", "ip", "modprobe", "ovs-vsctl"];
/// Where Open vSwitch's database listens.
const SWITCH: &str = "/var/run/openvswitch/db.sock";
/// The timeout of a survey.
const LOOK: Duration = Duration::from_secs(5);
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// What `kubeadm init` and `kubeadm join` leave on a node.
const CLUSTER_FILES: [&str; 2] = ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf"];

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Distribution, package manager, CNI directories, KVM.
    pub facts: Facts,
    /// The container runtime; none when nothing names one.
    pub runtime: Option<&'static str>,
    /// The CNI configurations in the order of the runtime, with the plugins that each calls.
    pub configurations: Vec<(String, Vec<String>)>,
    /// What is known about the cluster.
    pub cluster: ClusterSeen,
    /// Open vSwitch.
    pub switch: Switch,
    /// The NICs.
    pub cards: Vec<Card>,
    /// Whether the NICs could be read.
    pub saw_cards: bool,
    /// The networks that the node has addresses in.
    pub subnets: Vec<IpNet>,
    /// The names of all links.
    pub links: Vec<String>,
    /// The tools with whether they are on the PATH.
    pub tools: Vec<(&'static str, bool)>,
    /// What could not be seen, and why.
    pub unseen: Vec<(String, String)>,
}

/// What is known about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSeen {
    /// Whether there is one.
    pub presence: Presence,
    /// The version of Kubernetes, or of kubeadm when there is no cluster.
    pub version: Option<String>,
    /// The pod address range.
    pub pod_subnet: Option<String>,
}

/// Whether a cluster exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Unknown.
    #[default]
    Unknown,
    /// The node has none.
    Absent,
    /// Its files are on the node; it did not answer.
    Files,
    /// It answers, and has so many nodes.
    Answers(usize),
}

/// Open vSwitch on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Switch {
    /// Not installed.
    #[default]
    Absent,
    /// Installed, and not running.
    Stopped,
    /// Running, but not readable by this user.
    Closed,
    /// Running, with its bridges.
    Running(OvsState),
}

/// A NIC that could be an uplink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// The NIC.
    pub link: Link,
    /// What prevents it from being an uplink; none when it is free.
    pub busy: Option<String>,
    /// The Open vSwitch bridge that it is on already.
    pub bridge: Option<String>,
    /// Whether it has a default route.
    pub routed: bool,
}

impl Survey {
    /// Surveys a node; `profile` says which directories are given.
    pub async fn gather(host: &dyn Host, profile: &Profile) -> Self {
        let host = &Tolerant::new(host);
        let mut survey = Self::default();
        let facts = Facts::gather(host, profile).await;
        survey.facts = survey.or_unseen("the distribution", facts);
        let runtime = runtime(host, profile).await;
        survey.runtime = survey.or_unseen("the container runtime", runtime);
        let configurations = configurations(host, &survey.facts).await;
        survey.configurations = survey.or_unseen("CNI files", configurations);
        let cluster = cluster(host).await;
        survey.cluster = survey.or_unseen("Kubernetes", cluster);
        let switch = switch(host).await;
        survey.switch = survey.or_unseen("Open vSwitch", switch);
        if let Err(error) = survey.read_nics(host).await {
            survey.unseen.push(("NICs".into(), error.to_string()));
        }
        let tools = tools(host).await;
        survey.tools = survey.or_unseen("tools", tools);
        if survey.switch == Switch::Closed {
            survey.unseen.push(("bridges of Open vSwitch".into(), "only root may list them".into()));
        }
        for path in host.refused() {
            survey.unseen.push((path, "no permission to read it".into()));
        }
        survey
    }

    /// The result; nothing in place of an error, with a note.
    pub fn or_unseen<T: Default>(&mut self, what: &str, found: Result<T>) -> T {
        found.unwrap_or_else(|error| {
            self.unseen.push((what.to_owned(), error.to_string()));
            T::default()
        })
    }

    async fn read_nics(&mut self, host: &dyn Host) -> Result<()> {
        let addresses = printed(host, &["ip", "-j", "addr"]).await?;
        let routed = net::default_route_nics(&printed(host, &["ip", "-j", "route"]).await?);
        self.saw_cards = true;
        self.subnets = net::subnets(&addresses);
        self.links = net::links(&addresses).into_iter().map(|link| link.name).collect();
        let bridges = match &self.switch {
            Switch::Running(state) => state.clone(),
            _ => OvsState::default(),
        };
        for link in net::cards(&addresses) {
            // Bridges of the kernel and of the switch are Ethernet too.
            let port = bridges.port(&link.name);
            let internal = port.is_some_and(|(bridge, port)| port.fake_bridge || bridge.name == link.name);
            if internal || exists(host, format!("/sys/class/net/{}/bridge", link.name)).await? {
                continue;
            }
            let bridge = port.map(|(bridge, _)| bridge.name.clone());
            let busy = if bridge.is_some() { None } else { net::busy(&link, &routed) };
            self.cards.push(Card { busy, bridge, routed: routed.contains(&link.name), link });
        }
        Ok(())
    }

    /// The configuration that makes the pod network now, when it is neither flannel's nor Multus'.
    pub fn other_pod_network(&self) -> Option<&str> {
        let is_multus = |types: &[String]| types.iter().any(|kind| kind.starts_with("multus"));
        let (name, types) = self.configurations.iter().find(|(_, types)| !is_multus(types))?;
        // The runtimes' own examples make a bridge; they are no pod network of a cluster.
        let own = types.iter().any(|kind| kind == "flannel" || kind == "bridge" || kind == "loopback");
        (!own && !types.is_empty()).then_some(name)
    }
}

async fn runtime(host: &dyn Host, profile: &Profile) -> Result<Option<&'static str>> {
    let socket = socket(host, profile).await?;
    let known = [("crio", "CRI-O"), ("containerd", "containerd"), ("docker", "Docker")];
    Ok(known.into_iter().find(|(part, _)| socket.contains(part)).map(|(_, name)| name))
}

async fn configurations(host: &dyn Host, facts: &Facts) -> Result<Vec<(String, Vec<String>)>> {
    let names = host.list(&facts.cni_conf_dir).await?.unwrap_or_default();
    let order = order(&names);
    let mut found = Vec::new();
    for name in order.winner.into_iter().chain(order.others) {
        let content = text(host, facts.cni_conf_dir.join(&name)).await?.unwrap_or_default();
        found.push((name, CniConf::parse(&content).map(|conf| conf.types).unwrap_or_default()));
    }
    Ok(found)
}

/// Facts from files and kubeadm; whether a cluster answers is another question.
async fn cluster(host: &dyn Host) -> Result<ClusterSeen> {
    let manifest = async |name: &str| text(host, format!("{MANIFESTS}/{name}.yaml")).await;
    let (server, manager) = (manifest("kube-apiserver").await?, manifest("kube-controller-manager").await?);
    let mut seen = ClusterSeen {
        presence: Presence::Absent,
        version: server.as_deref().and_then(kubernetes::version),
        pod_subnet: manager.as_deref().and_then(kubernetes::cluster_cidr),
    };
    for path in CLUSTER_FILES {
        if exists(host, path).await? {
            seen.presence = Presence::Files;
        }
    }
    if seen.version.is_none() && host.find("kubeadm").await?.is_some() {
        let version = printed(host, &["kubeadm", "version", "-o", "short"]).await.unwrap_or_default();
        seen.version = Some(version.trim().to_owned()).filter(|version| kubernetes::is_version(version));
    }
    Ok(seen)
}

async fn switch(host: &dyn Host) -> Result<Switch> {
    if host.find("ovs-vsctl").await?.is_none() {
        return Ok(Switch::Absent);
    }
    if !exists(host, SWITCH).await? {
        return Ok(Switch::Stopped);
    }
    let command = list_command().timeout(LOOK);
    let output = host.run(&command).await?;
    if !output.success() && host.user_id().await? != 0 {
        return Ok(Switch::Closed);
    }
    Ok(Switch::Running(OvsState::parse(&output.ok(&command)?.stdout)?))
}

async fn tools(host: &dyn Host) -> Result<Vec<(&'static str, bool)>> {
    let mut found = Vec::new();
    for tool in TOOLS {
        found.push((tool, host.find(tool).await?.is_some()));
    }
    Ok(found)
}

async fn printed(host: &dyn Host, words: &[&str]) -> Result<String> {
    let command = Command::new(words.iter().copied()).timeout(LOOK);
    if host.find(command.program()).await?.is_none() {
        let message = format!("`{}` is not on the PATH", command.program());
        return Err(Error::new(&code::HOST_TOOL_MISSING, message));
    }
    Ok(host.run(&command).await?.ok(&command)?.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const ADDRESSES: &str = r#"[{"ifname":"lo","link_type":"loopback","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
        {"ifname":"eth0","link_type":"ether","flags":["UP"],"addr_info":[{"local":"10.0.0.10","prefixlen":24}]},
        {"ifname":"eth1","link_type":"ether","flags":[]},{"ifname":"eth2","link_type":"ether","master":"ovs-system"},
        {"ifname":"blue","link_type":"ether"},{"ifname":"br0","link_type":"ether"}]"#;
    const ROUTES: &str = r#"[{"dst":"default","dev":"eth0"}]"#;
    const BRIDGES: &str = r#"{"data":[["blue",["set",[["uuid","p1"],["uuid","p2"]]],"",["map",[]]]],"headings":["name","ports","datapath_type","external_ids"]}
{"data":[[["uuid","p1"],"blue",["set",[]],false,["uuid","i1"]],[["uuid","p2"],"eth2",["set",[]],false,["uuid","i2"]]],"headings":["_uuid","name","tag","fake_bridge","interfaces"]}
{"data":[[["uuid","i1"],"blue","internal",["set",[]]],[["uuid","i2"],"eth2","",["set",[]]]],"headings":["_uuid","name","type","error"]}
"#;

    fn node() -> FakeHost {
        FakeHost::new()
            .file("/etc/os-release", "ID=debian\nPRETTY_NAME=Debian\n")
            .file("/proc/sys/kernel/arch", "x86_64\n")
            .file("/run/containerd/containerd.sock", "")
            .file("/etc/cni/net.d/10-calico.conflist", r#"{"name":"k8s","plugins":[{"type":"calico"}]}"#)
            .file("/etc/cni/net.d/99-x.conf", "nonsense")
            .file("/etc/kubernetes/kubelet.conf", "")
            .file("/etc/kubernetes/manifests/kube-apiserver.yaml", "    image: x/kube-apiserver:v1.33.1\n")
            .file("/sys/class/net/br0/bridge/x", "")
            .file(SWITCH, "")
            .prints(["ip", "-j", "addr"], ADDRESSES)
            .prints(["ip", "-j", "route"], ROUTES)
            .prints(["ovs-vsctl"], BRIDGES)
    }

    #[tokio::test]
    async fn cards_tell_what_they_carry() {
        let survey = Survey::gather(&node(), &Profile::default()).await;
        let cards: Vec<_> = survey.cards.iter().map(|card| (card.link.name.as_str(), card)).collect();
        assert_eq!(cards.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["eth0", "eth1", "eth2"]);
        assert_eq!(cards[0].1.busy.as_deref(), Some("has the address 10.0.0.10"));
        assert!(cards[0].1.routed && cards[1].1.busy.is_none());
        assert_eq!((&cards[2].1.bridge, &cards[2].1.busy), (&Some("blue".into()), &None));
        assert_eq!(survey.subnets[0].to_string(), "10.0.0.0/24");
        assert!(survey.unseen.is_empty(), "{:?}", survey.unseen);
    }

    #[tokio::test]
    async fn files_tell_of_cluster_runtime_and_pod_network() {
        let survey = Survey::gather(&node(), &Profile::default()).await;
        assert_eq!(survey.runtime, Some("containerd"));
        assert_eq!(survey.cluster.presence, Presence::Files);
        assert_eq!(survey.cluster.version.as_deref(), Some("v1.33.1"));
        assert_eq!(survey.other_pod_network(), Some("10-calico.conflist"));
        assert!(survey.tools.contains(&("ovs-vsctl", true)) && survey.tools.contains(&("kubectl", false)));
    }

    #[tokio::test]
    async fn an_empty_node_is_no_error_and_says_what_is_not_seen() {
        let host = FakeHost::new().file("/proc/sys/kernel/arch", "x86_64\n");
        let survey = Survey::gather(&host, &Profile::default()).await;
        assert_eq!((survey.runtime, &survey.switch), (None, &Switch::Absent));
        assert_eq!(survey.cluster.presence, Presence::Absent);
        assert_eq!(survey.unseen, [("NICs".to_owned(), "`ip` is not on the PATH".to_owned())]);
    }

    #[tokio::test]
    async fn flannel_and_multus_are_no_other_pod_network() {
        for (name, text, expected) in [
            ("10-flannel.conflist", r#"{"plugins":[{"type":"flannel"}]}"#, None),
            ("00-multus.conf", r#"{"type":"multus-shim"}"#, None),
            ("87-podman.conflist", r#"{"plugins":[{"type":"bridge"}]}"#, None),
            ("05-cilium.conflist", r#"{"plugins":[{"type":"cilium-cni"}]}"#, Some("05-cilium.conflist")),
        ] {
            let host = FakeHost::new().file("/proc/sys/kernel/arch", "x86_64\n");
            let host = host.file(&format!("/etc/cni/net.d/{name}"), text);
            let survey = Survey::gather(&host, &Profile::default()).await;
            assert_eq!(survey.other_pod_network(), expected, "{name}");
        }
    }
}
