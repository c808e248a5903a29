//! Everything that the links are judged by, gathered before any of them.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde_json::Value;

use super::guest::{GuestView, look};
use super::netns;
use super::target::{Attachment, Target, of_machine, of_pod};
use crate::cluster::{Cluster, ObjectKey};
use crate::components::ovs_cni::OVS_CNI;
use crate::context::Context;
use crate::error::{Error, Result, code};
use crate::facts::attachments::{MULTUS_NAMESPACE, Wish, asked_with_first, is_of_host, reported};
use crate::facts::gather::text;
use crate::facts::ovs::OvsState;
use crate::facts::routes::Wire;
use crate::facts::{ByFile, NamedFiles};
use crate::formats::cni::{CniConf, NetConf, Port, all_types, is_configuration};
use crate::profile::Profile;

/// The gathered state.
#[derive(Debug, Default)]
pub struct Evidence {
    /// The pod, or the virtual machine instance.
    pub object: Value,
    /// Whether it is a virtual machine instance.
    pub machine: bool,
    /// The pod that has the NICs: for a VM its virt-launcher pod.
    pub pod: Option<Value>,
    /// The pod's node, or the cluster's only one.
    pub node: Option<Value>,
    /// Whether that node is this machine.
    pub here: bool,
    /// Its networks.
    pub attachments: Vec<Attachment>,
    /// The pods of ovs-cni.
    pub markers: Vec<Value>,
    /// Whether the profile's ovs-cni has a marker.
    pub has_marker: bool,
    /// Open vSwitch, or why it does not answer; none when not queried.
    pub switch: Option<std::result::Result<OvsState, String>>,
    /// The path of each CNI plugin; none when not installed.
    pub plugins: BTreeMap<String, Option<Utf8PathBuf>>,
    /// The directories of plugins and of configurations.
    pub directories: (Vec<Utf8PathBuf>, Utf8PathBuf),
    /// The runtime's configurations in its order; none where a file is invalid.
    pub configurations: Vec<(String, Option<CniConf>)>,
    /// The pod's links; none when not read.
    pub links: Option<Vec<Wire>>,
    /// Why the pod is not Ready, events included.
    pub reason: Option<String>,
    /// What Multus rejects in the pod's annotations.
    pub refusal: Option<String>,
    /// What has no effect in the pod's annotations.
    pub ignored: Option<String>,
    pub guest: Option<GuestView>,
}

impl Evidence {
    /// Gathers everything.
    pub async fn gather(cx: &Context, target: &Target, console: bool) -> Result<Self> {
        let cluster = cx.need_cluster().await?;
        let Some(object) = cluster.get(&target.key(cx.profile.kubevirt.api_version())).await? else {
            return Err(Error::new(&code::TRACE_TARGET, format!("{target} not found")));
        };
        let mut seen = Self { machine: target.machine, object, ..Self::default() };
        let launcher = if target.machine { cluster.launcher(&seen.object).await? } else { None };
        seen.pod = if target.machine { launcher } else { Some(seen.object.clone()) };
        if let Some(pod) = &seen.pod {
            seen.reason = cluster.why_pod_waits(pod).await?;
        }
        seen.attachments = definitions(cx, &cluster, seen.networks(target)).await?;
        seen.judge_annotations();
        (seen.node, seen.here) = seen.place(cx, &cluster).await?;
        seen.has_marker = cx.profile.ovs_cni.publishes_bridges();
        seen.markers = cluster.list("v1", "Pod", None, Some(OVS_CNI.workloads.selector)).await?;
        if seen.here {
            seen.look_at_node(cx).await?;
        }
        if seen.machine && seen.object["status"]["phase"] == "Running" {
            seen.guest = Some(look(cx, &cluster, target, &seen.object, console).await);
        }
        Ok(seen)
    }

    /// `Running on node1`.
    pub fn now(&self) -> String {
        let phase = self.object["status"]["phase"].as_str().unwrap_or("no phase yet");
        let on = self.node_name().map(|node| format!(" on {node}")).unwrap_or_default();
        if self.is_placed() { format!("{phase}{on}") } else { phase.to_owned() }
    }

    pub fn node_name(&self) -> Option<&str> {
        self.node.as_ref()?["metadata"]["name"].as_str()
    }

    /// Why the node itself was not checked; none when it was.
    pub fn elsewhere(&self) -> Option<String> {
        (!self.here).then(|| match self.node_name() {
            Some(node) => format!("not checked: {node} is another machine; run kvnet there"),
            None => "not checked: not scheduled to a node yet".into(),
        })
    }

    /// Whether the pod has no network of its own.
    pub fn is_of_host(&self) -> bool {
        self.pod.as_ref().is_some_and(is_of_host)
    }

    /// Whether a word is a network's name is only known once the networks are.
    fn judge_annotations(&mut self) {
        let Some(pod) = &self.pod else { return };
        let defined = |network: &str| {
            self.attachments.iter().any(|it| it.defined && it.network.as_deref() == Some(network))
        };
        let asked = asked_with_first(pod, MULTUS_NAMESPACE).settled(&defined);
        (self.refusal, self.ignored) = (asked.refusal(), asked.ignored());
        // The annotation has a link of its own.
        if let (Some(reason), Some(refusal)) = (&mut self.reason, &self.refusal) {
            let told = format!("; the pod's annotation: {refusal}");
            *reason = reason.strip_suffix(&told).unwrap_or(reason).to_owned();
        }
        if !self.machine {
            let mut known: Vec<String> = asked.wishes.iter().map(Wish::network).collect();
            known.extend(reported(pod).into_iter().map(|nic| nic.network));
            self.attachments.retain(|it| it.network.as_ref().is_none_or(|network| known.contains(network)));
        }
    }

    fn is_placed(&self) -> bool {
        self.pod.as_ref().is_some_and(|pod| pod["spec"]["nodeName"].is_string())
    }

    fn networks(&self, target: &Target) -> Vec<Attachment> {
        if self.machine {
            return of_machine(&self.object, &target.namespace);
        }
        of_pod(&self.object)
    }

    async fn place(&self, cx: &Context, cluster: &Cluster) -> Result<(Option<Value>, bool)> {
        let nodes = cluster.list("v1", "Node", None, None).await?;
        let name = self.pod.as_ref().and_then(|pod| pod["spec"]["nodeName"].as_str());
        let node = match name {
            Some(name) => nodes.into_iter().find(|node| node["metadata"]["name"] == name),
            // A pending pod can only get this one.
            None if nodes.len() == 1 => nodes.into_iter().next(),
            None => None,
        };
        let this = cx.this_node().await;
        let here = node
            .as_ref()
            .is_some_and(|node| this.is_some() && node["metadata"]["name"].as_str() == this.as_deref());
        Ok((node, here))
    }

    async fn look_at_node(&mut self, cx: &Context) -> Result<()> {
        let host = cx.host.as_ref();
        self.look_for_files(cx).await?;
        if self.attachments.iter().any(|attachment| attachment.bridge.is_some()) {
            self.switch = Some(OvsState::read(host).await.map_err(|error| error.to_string()));
        }
        self.directories = (cx.facts.cni_bin_dirs.clone(), cx.facts.cni_conf_dir.clone());
        for kind in
            self.attachments.iter().filter_map(|attachment| attachment.config.as_ref()).flat_map(all_types)
        {
            self.plugins.insert(kind.clone(), place_of(cx, &kind).await?);
        }
        let mut names = host.list(&cx.facts.cni_conf_dir).await?.unwrap_or_default();
        names.sort_unstable();
        for name in names.into_iter().filter(|name| is_configuration(name)) {
            let content = text(host, cx.facts.cni_conf_dir.join(&name)).await?.unwrap_or_default();
            self.configurations.push((name, CniConf::parse(&content)));
        }
        let uid = self.pod.as_ref().and_then(|pod| pod["metadata"]["uid"].as_str());
        self.links = match uid {
            Some(uid) => netns::links(host, uid).await?,
            None => None,
        };
        Ok(())
    }
}

impl Evidence {
    /// An attachment without a configuration is configured by a file on the node.
    async fn look_for_files(&mut self, cx: &Context) -> Result<()> {
        if self.attachments.iter().all(|attachment| attachment.file.is_none()) {
            return Ok(());
        }
        let files = NamedFiles::read(cx.host.as_ref(), &cx.facts.cni_conf_dir).await?;
        for attachment in self.attachments.iter_mut().filter(|attachment| attachment.file.is_some()) {
            let name = attachment.network.as_deref().and_then(|network| network.rsplit('/').next());
            match files.of(name.unwrap_or_default()) {
                ByFile::Read(path, config) => {
                    attachment.file = Some(Ok(path.into_string()));
                    attachment.config = Some(config);
                    attachment.bridge = attachment.port().map(|port| port.bridge);
                }
                missing @ ByFile::Missing(_) => {
                    attachment.file = Some(Err(missing.missing(&files.directory).unwrap_or_default()));
                }
            }
        }
        Ok(())
    }
}

async fn place_of(cx: &Context, kind: &str) -> Result<Option<Utf8PathBuf>> {
    for directory in &cx.facts.cni_bin_dirs {
        let path = directory.join(kind);
        if cx.host.stat(&path).await?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Adds to each attachment what its definition says; for a missing one the profile may know the bridge.
async fn definitions(
    cx: &Context,
    cluster: &Cluster,
    attachments: Vec<Attachment>,
) -> Result<Vec<Attachment>> {
    let key = |network: &str| {
        let (namespace, name) = network.split_once('/').unwrap_or(("default", network));
        ObjectKey::new("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some(namespace), name)
    };
    let mut found = Vec::new();
    for mut attachment in attachments {
        if let Some(network) = attachment.network.clone() {
            let definition = cluster.get(&key(&network)).await?;
            attachment.defined = definition.is_some();
            let config = definition.as_ref().and_then(|definition| definition["spec"]["config"].as_str());
            attachment.config = config.and_then(|config| serde_json::from_str(config).ok());
            let is_empty = attachment.defined && config.unwrap_or_default().is_empty();
            attachment.file = is_empty.then(|| Err(String::new()));
            let bridge = attachment.port().map(|port| port.bridge);
            let known = || declared_bridge(&cx.profile, &network);
            attachment.bridge = if attachment.config.is_some() { bridge } else { known() };
        }
        found.push(attachment);
    }
    Ok(found)
}

fn declared_bridge(profile: &Profile, network: &str) -> Option<String> {
    let declared = profile
        .networks
        .iter()
        .find(|declared| format!("{}/{}", declared.namespace, declared.name) == network)?;
    declared.netconf().port().map(|port| port.bridge)
}

impl Attachment {
    /// The Open vSwitch port that the attachment's configuration asks for.
    pub fn port(&self) -> Option<Port> {
        self.read()?.port()
    }

    /// The Linux bridge that the attachment's configuration asks for.
    pub fn linux_bridge(&self) -> Option<String> {
        linux_bridge(&self.read()?)
    }

    /// The plugin that creates the attachment's NIC.
    pub fn maker(&self) -> Option<String> {
        Some(self.read()?.maker()?.kind.clone())
    }

    fn read(&self) -> Option<NetConf> {
        Some(NetConf::read(self.config.as_ref()?.as_object()?))
    }
}

/// The Linux bridge that a CNI configuration puts a NIC into; none for other plugins.
pub fn linux_bridge(config: &NetConf) -> Option<String> {
    config.maker().filter(|maker| maker.kind == "bridge")?.bridge.clone()
}
