//! Network attachments: what a pod or VM names to get another NIC.

mod on_node;

use std::collections::BTreeSet;

use async_trait::async_trait;
use camino::Utf8Path;
use serde_json::{Value, json};

use super::objects;
use super::placement;
use crate::components::flannel::{self, FLANNEL};
use crate::components::not_looked_into;
use crate::context::Context;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::{Error, Result, code};
use crate::facts::gather::text;
use crate::formats::cni::{CniConf, NetConf};
use crate::profile::{FLANNEL_DATA, Network, NetworkKind, Profile};
use crate::source::network_attachment;

const ABOUT: About = About {
    id: "networks",
    title: "network attachments",
    requires: &["multus", "whereabouts"],
    reach: Reach::Anywhere,
};

/// Creates the profile's NetworkAttachmentDefinitions.
pub struct Networks;

#[async_trait]
impl Step for Networks {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        !cx.profile.networks.is_empty()
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        placement::refuse_unreached(cx).await?;
        let pod_network = pod_network(cx).await?;
        refuse_other_leases(&cx.profile, &pod_network)?;
        let attachments = attachments(&cx.profile, &pod_network);
        let live = objects::observe(cx, &attachments).await?;
        let mut findings = objects::diff(ABOUT.id, &attachments, &live, cx.profile.timeouts.ready)?;
        on_node::warnings(cx).await?.into_iter().for_each(|warning| findings.warn(warning));
        cx.profile.warnings().into_iter().for_each(|sentence| findings.warn(sentence));
        for sentence in not_looked_into(&cx.profile) {
            findings.note(sentence);
        }
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        let pod_network = pod_network(cx).await?;
        refuse_other_leases(&cx.profile, &pod_network)?;
        Ok(attachments(&cx.profile, &pod_network))
    }

    /// The `bridge` plugin creates its bridge with the first pod and never removes it; `host-local` keeps a lock and
    /// the last address in the directory of its leases.
    fn traces(&self, cx: &Context) -> Traces {
        let mut traces = Traces::default();
        for network in &cx.profile.networks {
            traces.links.extend(links(network));
            let conf = network.netconf();
            if let Some(directory) = lease_directory(&conf) {
                let own = directory.join(conf.name.as_ref().unwrap_or(&network.name));
                traces.files.extend(["last_reserved_ip.0", "lock"].map(|name| own.join(name)));
                traces.directories.extend([own, directory.to_owned()]);
            }
        }
        if cx.profile.networks.iter().any(is_flannel) {
            traces.directories.push(FLANNEL_DATA.into());
        }
        traces
    }
}

fn is_flannel(network: &Network) -> bool {
    network.netconf().plugins.iter().any(|plugin| plugin.kind == "flannel")
}

/// A raw flannel network under another name has leases of its own: it would give out addresses that pods have.
fn refuse_other_leases(profile: &Profile, pod_network: &str) -> Result<()> {
    let raw = |network: &&Network| matches!(network.kind, NetworkKind::Raw { .. }) && is_flannel(network);
    let own = |network: &Network| network.netconf().name.unwrap_or_else(|| network.name.clone());
    let mut all = profile.networks.iter().enumerate().filter(|(_, network)| raw(network));
    let Some((index, network)) = all.find(|(_, it)| own(it) != pod_network) else { return Ok(()) };
    if !profile.flannel.enabled {
        return Ok(());
    }
    let message = format!(
        "network `{}` uses flannel under the name `{}`, but the pod network is `{pod_network}`: it would give out addresses that other pods have",
        network.name,
        own(network)
    );
    Err(Error::new(&code::PROFILE_VALUE, message)
        .at(profile.place_of(&format!("networks[{index}].config.name")))
        .hint(format!(
            "write `name: {pod_network}` in its configuration, or use `kind: flannel`, which knows it"
        )))
}

/// The name of the pod network: in the file that the node uses, else in the manifest that will write it.
async fn pod_network(cx: &Context) -> Result<String> {
    let usual = || cx.profile.pod_network_name().unwrap_or("cbr0").to_owned();
    if !cx.profile.networks.iter().any(is_flannel) || !cx.profile.flannel.enabled {
        return Ok(usual());
    }
    // The files of a machine outside the cluster say nothing about it.
    if cx.this_node().await.is_some() {
        let file = cx.facts.cni_conf_dir.join(&cx.profile.flannel.conf_file);
        let there = text(cx.host.as_ref(), file).await?.and_then(|text| CniConf::parse(&text));
        if let Some(there) = there.filter(|there| !there.name.is_empty()) {
            return Ok(there.name);
        }
    }
    let manifest = cx.manifest(&FLANNEL).await?;
    Ok(flannel::pod_network_name(&manifest.objects).unwrap_or_else(usual))
}

/// The bridges that the plugin `bridge` makes for a network. cni0 is the pod network's.
fn links(network: &Network) -> Vec<String> {
    let plugins = network.netconf().plugins.into_iter().filter(|plugin| plugin.kind == "bridge");
    plugins.filter_map(|plugin| plugin.bridge).filter(|name| name != "cni0").collect()
}

/// A network's lease directory, unless it is the one that all plugins share.
fn lease_directory(conf: &NetConf) -> Option<&Utf8Path> {
    let directory = Utf8Path::new(conf.ipam()?.data_dir.as_deref()?);
    (!directory.starts_with("/var/lib/cni")).then_some(directory)
}

/// The attachments, after the namespaces that they live in.
fn attachments(profile: &Profile, pod_network: &str) -> Vec<Value> {
    let namespaces: BTreeSet<&str> =
        profile.networks.iter().map(|network| network.namespace.as_str()).collect();
    let built_in = ["default", "kube-system", "kube-public"];
    let namespaces = namespaces.into_iter().filter(|name| !built_in.contains(name));
    let namespaces =
        namespaces.map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
    let attachments =
        profile.networks.iter().map(|network| network_attachment(profile, network, pod_network));
    namespaces.chain(attachments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::ObjectKey;

    #[test]
    fn a_raw_networks_bridge_is_known_also_in_a_chain() {
        let links_of = |config: Value| {
            let kind = NetworkKind::Raw { config: config.as_object().unwrap().clone() };
            links(&Network::new("n", kind))
        };
        assert_eq!(links_of(json!({"type": "bridge", "bridge": "b0"})), ["b0"]);
        assert_eq!(
            links_of(json!({"plugins": [{"type": "bridge", "bridge": "b1"}, {"type": "tuning"}]})),
            ["b1"]
        );
        for other in [
            json!({"type": "bridge", "bridge": "cni0"}),
            json!({"type": "bridge"}),
            json!({"type": "ovs", "bridge": "b"}),
        ] {
            assert!(links_of(other).is_empty());
        }
    }

    #[test]
    fn a_namespace_of_its_own_comes_before_the_attachment() {
        let kind =
            NetworkKind::Raw { config: serde_json::Map::from_iter([("type".into(), json!("macvlan"))]) };
        let network = Network { namespace: "vms".into(), ..Network::new("lan", kind) };
        let profile = Profile { networks: vec![network], ..Profile::default() };
        let names: Vec<String> =
            attachments(&profile, "cbr0").iter().map(|o| ObjectKey::of(o).to_string()).collect();
        assert_eq!(names, ["Namespace vms", "NetworkAttachmentDefinition vms/lan"]);
    }
}
