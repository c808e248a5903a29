//! Multus: the meta plugin that gives pods more than one network.

use async_trait::async_trait;
use camino::Utf8PathBuf;
use serde_json::Value;

use super::objects::{self, Live};
use crate::cluster::Condition;
use crate::components::multus::MULTUS;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{Findings, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::Result;
use crate::source::Manifest;

/// Installs Multus with its master plugin pinned.
pub struct Multus;

/// The live objects, and whether the master plugin's configuration exists.
pub struct Observed {
    live: Live,
    master: Option<Utf8PathBuf>,
    master_is_there: bool,
}

#[async_trait]
impl Step for Multus {
    type Observed = Observed;
    type Desired = Manifest;

    const ID: &'static str = "multus";
    const TITLE: &'static str = "meta plugin (Multus)";
    // Not flannel: only its configuration file is waited for, not its readiness.
    const REQUIRES: &'static [&'static str] = &["kubeadm-init", "kernel", "cni-plugins"];
    const REACH: Reach = Reach::Node;

    fn enabled(&self, cx: &Context) -> bool {
        (MULTUS.is_used)(&cx.profile)
    }

    async fn observe(&self, cx: &Context) -> Result<Observed> {
        objects::refuse_unfit(cx, &MULTUS).await?;
        let manifest = cx.manifest(&MULTUS).await?;
        let live = objects::observe(cx, &manifest.objects).await?;
        let master = master(cx);
        let master_is_there = match &master {
            Some(path) => cx.host.stat(path).await?.is_some_and(|stat| stat.size > 0),
            None => true,
        };
        Ok(Observed { live, master, master_is_there })
    }

    async fn desired(&self, cx: &Context, _: &Observed) -> Result<Manifest> {
        cx.manifest(&MULTUS).await
    }

    fn diff(&self, cx: &Context, observed: &Observed, desired: &Manifest) -> Result<Findings> {
        let timeout = cx.profile.timeouts.ready;
        let mut findings = objects::diff(Self::ID, &desired.objects, &observed.live, timeout);
        findings.version = objects::version(cx, &MULTUS, &desired.objects);
        if let Some(path) = observed.master.clone().filter(|_| !observed.master_is_there) {
            let wait = Change::Wait { condition: Condition::File { path }, timeout, now: "absent".into() };
            insert_before_daemon(&mut findings.changes, wait);
        }
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        Ok(cx.manifest(&MULTUS).await?.objects)
    }

    fn traces(&self, cx: &Context) -> Traces {
        (MULTUS.traces)(&cx.profile, &cx.facts)
    }
}

/// The configuration that makes a pod's first NIC; none when the profile leaves that to Multus.
fn master(cx: &Context) -> Option<Utf8PathBuf> {
    let (multus, flannel) = (&cx.profile.multus, &cx.profile.flannel);
    let name = match (multus.master_cni.is_empty(), flannel.enabled) {
        (false, _) => &multus.master_cni,
        (true, true) => &flannel.conf_file,
        (true, false) => return None,
    };
    Some(cx.facts.cni_conf_dir.join(name))
}

/// Multus copies the master's configuration when it starts; thin Multus exits when there is none, and then backs off
/// for long.
fn insert_before_daemon(changes: &mut Vec<Change>, wait: Change) {
    let is_daemon = |change: &Change| change.object().is_some_and(|object| object["kind"] == "DaemonSet");
    if let Some(position) = changes.iter().position(is_daemon) {
        changes.insert(position, wait);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_daemon_comes_after_the_file_that_it_copies() {
        let apply = |kind: &str| Change::Apply { object: Box::new(json!({"kind": kind})), before: None };
        let condition = Condition::File { path: "/etc/cni/net.d/10-flannel.conflist".into() };
        let wait = Change::Wait { condition, timeout: 1, now: "absent".into() };
        let mut changes = vec![apply("ConfigMap"), apply("DaemonSet")];
        insert_before_daemon(&mut changes, wait.clone());
        assert_eq!(changes, [apply("ConfigMap"), wait.clone(), apply("DaemonSet")]);
        let mut settled = vec![apply("ConfigMap")];
        insert_before_daemon(&mut settled, wait);
        assert_eq!(settled, [apply("ConfigMap")], "a daemon that runs needs no wait");
    }
}
