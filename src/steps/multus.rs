//! Multus: the meta plugin that gives pods more than one network.

use async_trait::async_trait;
use serde_json::Value;

use super::objects::{self, Live};
use crate::engine::context::Context;
use crate::engine::step::{Findings, Step};
use crate::engine::traces::Traces;
use crate::error::Result;
use crate::source::{Component, Manifest};

/// Installs Multus with its master plugin pinned.
pub struct Multus;

#[async_trait]
impl Step for Multus {
    type Observed = Live;
    type Desired = Manifest;

    const ID: &'static str = "multus";
    const TITLE: &'static str = "meta plugin (Multus)";
    // Multus copies the master plugin's configuration: before it exists there is nothing to copy.
    const REQUIRES: &'static [&'static str] = &["kubeadm-init", "flannel"];

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.multus.enabled
    }

    async fn observe(&self, cx: &Context) -> Result<Live> {
        let manifest = cx.manifest(Component::Multus).await?;
        objects::observe(cx, &manifest.objects).await
    }

    async fn desired(&self, cx: &Context, _: &Live) -> Result<Manifest> {
        cx.manifest(Component::Multus).await
    }

    fn diff(&self, cx: &Context, live: &Live, desired: &Manifest) -> Result<Findings> {
        let mut findings = objects::diff(Self::ID, &desired.objects, live, cx.profile.timeouts.ready);
        findings.version = Some(cx.profile.multus.version.clone());
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(cx.manifest(Component::Multus).await?.objects)
    }

    fn traces(&self, cx: &Context) -> Traces {
        let conf_dir = &cx.facts.cni_conf_dir;
        let names = ["00-multus.conf", "00-multus.conflist", "70-multus.conf", "multus.d/multus.kubeconfig"];
        let mut files: Vec<_> = names.iter().map(|name| conf_dir.join(name)).collect();
        for directory in &cx.facts.cni_bin_dirs {
            files.extend(["multus", "multus-shim", "passthru"].map(|name| directory.join(name)));
        }
        files.push("/run/multus/multus.sock".into());
        Traces {
            files,
            directories: vec![conf_dir.join("multus.d"), "/run/multus".into()],
            links: Vec::new(),
        }
    }
}
