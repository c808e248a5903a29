//! Everything that the checks judge, gathered before any of them runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::Verdict;
use crate::cluster::{Cluster, Reason, reason};
use crate::context::Context;
use crate::engine::journal::History;
use crate::engine::plan::{Plan, Planned, State as StepState};
use crate::error::{Error, Result, code};
use crate::facts::gather::{exists, has_module, line, text};
use crate::facts::identity::Identity;
use crate::facts::ovs::OvsState;
use crate::facts::tolerant::Tolerant;
use crate::facts::{ByFile, Facts, NamedFiles};
use crate::formats::cni::is_configuration;
use crate::formats::net::{Link, links};
pub use crate::formats::object::{full_name, name};
use crate::host::{Command, Host};
use crate::profile::Profile;
use crate::trace::datapath::{Datapath, Nic, define, nics_of};

/// The state of node and cluster.
pub struct Snapshot {
    /// The desired state.
    pub profile: Arc<Profile>,
    /// What is known about the node.
    pub facts: Arc<Facts>,
    /// This machine's Node object; none when it is not a node of the cluster.
    pub here: Option<Arc<str>>,
    /// Why the node checks do not run here; none when this is a node, or when there is no cluster yet.
    pub stranger: Option<String>,
    /// The node that kvnet runs on.
    pub node: NodeSnapshot,
    /// The cluster, or why it does not answer.
    pub cluster: Result<ClusterSnapshot>,
    /// The datapath of this node's pods; none when not gathered.
    pub datapath: Option<Datapath>,
    /// For networks without a configuration of their own: the file on this node that has it, or why there is none.
    pub by_file: BTreeMap<String, std::result::Result<String, String>>,
    /// kvnet's journal.
    pub journal: Result<History>,
    /// The time of gathering, in Unix seconds.
    pub now: i64,
    /// The plan's steps; none when there is no plan.
    pub steps: Option<Vec<StepSnapshot>>,
}

/// The node.
#[derive(Default)]
pub struct NodeSnapshot {
    /// Everything in the directory of CNI configurations.
    pub names: Vec<String>,
    /// The configurations in the runtime's order; none where a file is not readable.
    pub configurations: Vec<(String, Option<String>)>,
    /// All plugins in the runtime's directories.
    pub plugins: BTreeSet<String>,
    /// `net.bridge.bridge-nf-call-iptables`; none when not readable.
    pub bridge_filter: Option<String>,
    /// Whether the kernel has the bridge filter.
    pub has_bridge_filter: bool,
    /// Whether it is loaded at boot.
    pub filter_at_boot: bool,
    /// `net.ipv4.ip_forward`.
    pub forward: Option<String>,
    /// `fs.inotify.max_user_instances`.
    pub inotify: Option<u64>,
    /// flannel's `subnet.env`.
    pub subnet: Option<String>,
    /// The links; none when they could not be listed.
    pub links: Option<Vec<Link>>,
    /// Open vSwitch, or why it does not answer; none when it is not installed.
    pub switch: Option<std::result::Result<OvsState, String>>,
    /// When the credentials of a thin Multus expire, in Unix seconds.
    pub multus_until: Option<i64>,
    /// Whether a VM can have a tap device.
    pub tun: bool,
    /// The paths that are not readable.
    pub refused: Vec<String>,
}

/// The cluster.
#[derive(Default)]
pub struct ClusterSnapshot {
    /// The API server's address.
    pub server: String,
    /// The version of Kubernetes.
    pub version: String,
    /// The nodes.
    pub nodes: Vec<Value>,
    /// The pods of all namespaces.
    pub pods: Vec<Value>,
    /// The `DaemonSets` of all namespaces.
    pub daemons: Vec<Value>,
    /// The Deployments of all namespaces.
    pub deployments: Vec<Value>,
    /// The namespaces.
    pub namespaces: Vec<Value>,
    /// flannel's `ConfigMaps`.
    pub flannel: Vec<Value>,
    /// The `NetworkAttachmentDefinitions`.
    pub networks: Vec<Value>,
    /// KubeVirt's own objects.
    pub kubevirts: Vec<Value>,
    /// The virtual machine instances.
    pub machines: Vec<Value>,
    /// The APIServices.
    pub services: Vec<Value>,
    /// The events; empty when not readable.
    pub events: Vec<Value>,
}

/// A step of the profile.
pub struct StepSnapshot {
    /// Its id.
    pub id: &'static str,
    /// Whether its part is in place.
    pub state: StepState,
    /// The step's first change, or why it could not be checked.
    pub why: std::result::Result<Option<String>, Error>,
}

/// The time in Unix seconds.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

impl Snapshot {
    /// Gathers everything. `refusal` is why there is no cluster.
    pub async fn gather(cx: &Context, refusal: Option<Error>) -> Result<Self> {
        let cluster = async {
            match (&refusal, cx.cluster().await) {
                (Some(error), _) => Err(error.clone()),
                (None, Some(cluster)) => {
                    ClusterSnapshot::gather(&cluster, cx.profile.kubevirt.api_version()).await
                }
                (None, None) => Err(Error::new(&code::CLUSTER_CONFIG, "there is no cluster yet")),
            }
        };
        let connected = refusal.is_none() && cx.cluster().await.is_some();
        let mut cluster = cluster.await;
        // Identify the machine before reading it.
        let stranger = if connected { stranger(cx, cluster.is_ok()).await } else { None };
        let here = if cluster.is_ok() { cx.this_node().await } else { None };
        let node =
            if stranger.is_none() { NodeSnapshot::gather(cx).await } else { Ok(NodeSnapshot::default()) };
        let by_file = match &mut cluster {
            Ok(cluster) if stranger.is_none() => look_for_files(cx, &mut cluster.networks).await?,
            _ => BTreeMap::new(),
        };
        let datapath = match &stranger {
            None => Some(datapath(cx, cluster.as_ref().ok(), here.as_deref()).await?),
            Some(_) => None,
        };
        Ok(Self {
            here,
            stranger,
            datapath,
            by_file,
            profile: cx.profile.clone(),
            facts: cx.facts.clone(),
            node: node?,
            cluster,
            journal: History::read(&cx.state),
            now: cx.taken.unwrap_or_else(now),
            steps: None,
        })
    }

    /// Adds the steps of a plan.
    pub fn look_at_steps(&mut self, plan: &Plan<'_>) {
        let step = |planned: &Planned<'_>| StepSnapshot {
            id: planned.step.id(),
            state: planned.state(),
            why: match &planned.findings {
                Ok(findings) => Ok(findings.changes.first().map(ToString::to_string)),
                Err(error) => Err(Error::new(error.code(), error.to_string())),
            },
        };
        self.steps = Some(plan.steps.iter().map(step).collect());
    }

    /// The cluster; without one the check is unknown.
    pub fn cluster(&self) -> std::result::Result<&ClusterSnapshot, Verdict> {
        self.cluster.as_ref().map_err(|_| Verdict::unknown("not checked: no answer from the API server"))
    }

    /// Whether changes of kvnet's are in effect here.
    pub fn applied(&self) -> bool {
        self.journal.as_ref().is_ok_and(|journal| journal.made().next().is_some())
    }

    /// Whether a step that kvnet applied here has lost its part.
    pub fn lost(&self, step: &str) -> bool {
        let is_open = |state: StepState| matches!(state, StepState::Missing | StepState::Drifted);
        let steps = self.steps.as_deref().unwrap_or_default();
        self.applied() && steps.iter().any(|it| it.id == step && is_open(it.state))
    }

    /// The Node object of this machine.
    pub fn this_node<'a>(&self, cluster: &'a ClusterSnapshot) -> Option<&'a Value> {
        let here = self.here.as_deref()?;
        cluster.nodes.iter().find(|node| name(node) == here)
    }

    /// Ends a check whose path only root may read.
    pub fn readable(&self, part: &str) -> std::result::Result<(), Verdict> {
        match self.node.refused.iter().find(|path| path.contains(part)) {
            Some(path) => Err(Verdict::unknown(format!("not checked: {path} is readable only by root"))),
            None => Ok(()),
        }
    }
}

impl NodeSnapshot {
    async fn gather(cx: &Context) -> Result<Self> {
        let host = &Tolerant::new(cx.host.as_ref());
        let facts = &cx.facts;
        let names = host.list(&facts.cni_conf_dir).await?.unwrap_or_default();
        let mut seen = Self {
            bridge_filter: line(host, "/proc/sys/net/bridge/bridge-nf-call-iptables").await?,
            has_bridge_filter: has_module(host, "br_netfilter").await?,
            filter_at_boot: filter_at_boot(host).await?,
            forward: line(host, "/proc/sys/net/ipv4/ip_forward").await?,
            inotify: line(host, "/proc/sys/fs/inotify/max_user_instances")
                .await?
                .and_then(|text| text.parse().ok()),
            subnet: text(host, "/run/flannel/subnet.env").await?,
            links: addresses(host).await,
            switch: switch(host).await,
            tun: exists(host, "/dev/net/tun").await?,
            ..Self::default()
        };
        for name in names.iter().filter(|name| is_configuration(name)) {
            let content = text(host, facts.cni_conf_dir.join(name)).await?;
            seen.configurations.push((name.clone(), content));
        }
        seen.configurations.sort_unstable();
        let credentials = text(host, facts.cni_conf_dir.join("multus.d/multus.kubeconfig")).await?;
        seen.multus_until = credentials.as_deref().and_then(token_ends);
        for directory in &facts.cni_bin_dirs {
            seen.plugins.extend(host.list(directory).await?.unwrap_or_default());
        }
        seen.names = names;
        seen.refused = host.refused();
        Ok(seen)
    }
}

/// Why this machine is not checked as a node of the cluster. A machine whose own kubeconfig names a cluster that does not
/// answer is checked: it may show why.
async fn stranger(cx: &Context, answers: bool) -> Option<String> {
    const OWN: [&str; 2] = ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf"];
    let no_node = |why: &str| format!("this machine is not a node of the cluster ({why})");
    match cx.identity().await {
        Ok(Some(Identity::Stranger(why))) => Some(no_node(&why)),
        Ok(None) if answers => Some(no_node("the cluster has no nodes")),
        Ok(_) => None,
        Err(_) => {
            let cluster = cx.cluster().await?;
            let known = OWN.iter().any(|own| cluster.is_named_by((*own).into()));
            (!known).then(|| "which node of the cluster this machine is could not be determined".to_owned())
        }
    }
}

/// Fills in the configuration of networks that have it in a file on the node, and returns which file that is.
async fn look_for_files(
    cx: &Context,
    networks: &mut [Value],
) -> Result<BTreeMap<String, std::result::Result<String, String>>> {
    let mut found = BTreeMap::new();
    let is_empty = |network: &&mut Value| network["spec"]["config"].as_str().unwrap_or_default().is_empty();
    let mut empty = networks.iter_mut().filter(is_empty).peekable();
    if empty.peek().is_none() {
        return Ok(found);
    }
    let files = NamedFiles::read(&Tolerant::new(cx.host.as_ref()), &cx.facts.cni_conf_dir).await?;
    for network in empty {
        let by = files.of(name(network));
        let told = match by {
            ByFile::Read(path, config) => {
                network["spec"]["config"] = config.to_string().into();
                Ok(path.into_string())
            }
            ByFile::Missing(_) => Err(by.missing(&files.directory).unwrap_or_default()),
        };
        found.insert(full_name(network), told);
    }
    Ok(found)
}

/// Without a cluster no NICs are known, and only the node is checked.
async fn datapath(cx: &Context, cluster: Option<&ClusterSnapshot>, own: Option<&str>) -> Result<Datapath> {
    let nodes = cluster.map(|cluster| cluster.nodes.as_slice()).unwrap_or_default();
    let pods = cluster.map(|cluster| cluster.pods.as_slice()).unwrap_or_default();
    let is_here = |pod: &&Value| {
        own.is_some()
            && pod["spec"]["nodeName"].as_str() == own
            && pod["status"]["phase"] == "Running"
            && pod["metadata"]["deletionTimestamp"].is_null()
    };
    let mut nics: Vec<Nic> = pods.iter().filter(is_here).flat_map(nics_of).collect();
    define(&mut nics, cluster.map(|cluster| cluster.networks.as_slice()).unwrap_or_default());
    let host = Tolerant::new(cx.host.as_ref());
    Datapath::gather(&host, nics, nodes, own, false).await
}

async fn filter_at_boot(host: &dyn Host) -> Result<bool> {
    let mut files = vec!["/etc/modules".to_owned()];
    for directory in ["/etc/modules-load.d", "/usr/lib/modules-load.d"] {
        let names = host.list(directory.into()).await?.unwrap_or_default();
        files.extend(names.iter().map(|name| format!("{directory}/{name}")));
    }
    for file in files {
        let content = text(host, file).await?.unwrap_or_default();
        if content.lines().any(|line| line.trim() == "br_netfilter") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The links; none when they cannot be listed.
async fn addresses(host: &dyn Host) -> Option<Vec<Link>> {
    let command = Command::new(["ip", "-j", "addr"]);
    let output = host.run(&command).await.ok()?.ok(&command).ok()?;
    Some(links(&output.stdout))
}

/// Open vSwitch; none when not installed.
async fn switch(host: &dyn Host) -> Option<std::result::Result<OvsState, String>> {
    host.find("ovs-vsctl").await.ok()??;
    Some(OvsState::read(host).await.map_err(|error| error.cause().unwrap_or(error.message()).to_owned()))
}

/// When the token of a kubeconfig expires. Nothing else of it is kept.
fn token_ends(kubeconfig: &str) -> Option<i64> {
    let token = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("token:"))?;
    let claims = token.trim().trim_matches(['"', '\'']).split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    claims["exp"].as_i64()
}

impl ClusterSnapshot {
    async fn gather(cluster: &Cluster, kubevirt: &str) -> Result<Self> {
        let version = cluster.reachable().await?;
        let all = |api_version: &'static str, kind: &'static str| cluster.list(api_version, kind, None, None);
        let (nodes, pods, daemons, deployments, namespaces, networks, services) = futures::try_join!(
            all("v1", "Node"),
            all("v1", "Pod"),
            all("apps/v1", "DaemonSet"),
            all("apps/v1", "Deployment"),
            all("v1", "Namespace"),
            all("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
            all("apiregistration.k8s.io/v1", "APIService"),
        )?;
        let (flannel, kubevirts, machines) = futures::try_join!(
            cluster.list("v1", "ConfigMap", None, Some("app=flannel")),
            cluster.list(kubevirt, "KubeVirt", None, None),
            cluster.list(kubevirt, "VirtualMachineInstance", None, None),
        )?;
        // Without permission to read events the rest is still checked.
        let events = cluster.list("v1", "Event", None, None).await.unwrap_or_default();
        Ok(Self {
            events,
            server: cluster.server().to_owned(),
            version: version.git_version.clone(),
            nodes,
            pods,
            daemons,
            deployments,
            namespaces,
            flannel,
            networks,
            kubevirts,
            machines,
            services,
        })
    }

    /// Why a pod waits; none when nothing holds it up.
    pub fn reason(&self, pod: &Value) -> Option<Reason> {
        reason(pod, &self.events)
    }

    /// The text of [`ClusterSnapshot::reason`].
    pub fn why_waiting(&self, pod: &Value) -> Option<String> {
        self.reason(pod).map(|reason| reason.text)
    }

    /// A component's `DaemonSet`, by part of its name.
    pub fn daemon(&self, part: &str) -> Option<&Value> {
        self.daemons.iter().find(|daemon| name(daemon).contains(part))
    }

    /// The pods of a `DaemonSet` or Deployment.
    pub fn pods_of<'a>(&'a self, workload: &'a Value) -> impl Iterator<Item = &'a Value> {
        let labels = workload["spec"]["selector"]["matchLabels"].as_object();
        self.pods.iter().filter(move |pod| {
            pod["metadata"]["namespace"] == workload["metadata"]["namespace"]
                && labels.is_some_and(|labels| {
                    labels.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value)
                })
        })
    }
}

/// Seconds since an object's `deletionTimestamp`; none when it is not terminating.
pub fn ending_for(object: &Value, now: i64) -> Option<i64> {
    let since: Timestamp = object["metadata"]["deletionTimestamp"].as_str()?.parse().ok()?;
    Some(now - since.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_expiry_of_a_token_is_read_from_a_kubeconfig() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1800000000,"sub":"x"}"#);
        let kubeconfig = format!("users:\n- user:\n    token: \"a.{claims}.b\"\n");
        assert_eq!(token_ends(&kubeconfig), Some(1_800_000_000));
        for text in ["", "token: x", "token: a.b.c", "token: a.e30.c"] {
            assert_eq!(token_ends(text), None, "{text}");
        }
    }
}
