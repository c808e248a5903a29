//! Multus: the meta plugin that gives pods more than one network.

use async_trait::async_trait;
use camino::Utf8PathBuf;
use serde_json::Value;

use super::objects;
use crate::cluster::Condition;
use crate::components::multus::MULTUS;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::Result;

const ABOUT: About = About {
    id: "multus",
    title: "meta plugin (Multus)",
    // Not flannel: only its configuration file is waited for, not its readiness.
    requires: &["kubeadm-init", "kernel", "cni-plugins"],
    reach: Reach::Node,
};

/// Installs Multus with its master plugin pinned.
pub struct Multus;

#[async_trait]
impl Step for Multus {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        (MULTUS.is_used)(&cx.profile)
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        objects::refuse_unfit(cx, &MULTUS).await?;
        let manifest = cx.manifest(&MULTUS).await?;
        let live = objects::observe(cx, &manifest.objects).await?;
        let timeout = cx.profile.timeouts.ready;
        let mut findings = objects::diff(ABOUT.id, &manifest.objects, &live, timeout)?;
        findings.version = objects::version(cx, &MULTUS, &manifest.objects);
        if let Some(path) = master(cx)
            && cx.host.stat(&path).await?.is_none_or(|stat| stat.size == 0)
        {
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
