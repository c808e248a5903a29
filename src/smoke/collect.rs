//! Diagnostics of a failed case, without secrets, in a directory of their own.
//!
//! Each part is tried separately: what could not be collected is listed in `not-collected.txt`.

use std::fmt::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use super::report::CaseResult;
use super::room::CaseContext;
use crate::cluster::STEP_LABEL;
use crate::components::{self, Component};
use crate::error::Result;
use crate::formats::object::name;
use crate::host::Command;
use crate::redact::redact_text;
use crate::state::StateDir;
use crate::sysdump::text::{containers, documents, nics, timeline};

/// How many lines of each log are kept.
const LINES: u32 = 400;
const OVS: [(&str, &[&str]); 4] = [
    ("ovs-show.txt", &["--timeout=10", "show"]),
    ("ovs-bridges.txt", &["--timeout=10", "list", "Bridge"]),
    ("ovs-ports.txt", &["--timeout=10", "list", "Port"]),
    ("ovs-interfaces.txt", &["--timeout=10", "list", "Interface"]),
];
/// Where host-local keeps its leases.
const LEASES: &str = "/var/lib/cni/networks";

/// Collects diagnostics into directories.
#[derive(Clone, Debug)]
pub struct Collector {
    /// The directory of a run; each failed case gets a subdirectory.
    pub directory: Utf8PathBuf,
}

/// The directory of one case while it is being filled.
struct CaseDirectory<'a> {
    ctx: &'a CaseContext,
    directory: StateDir,
    missing: String,
}

impl Collector {
    /// Collects diagnostics of a failed case, and returns the directory; none when it is not writable.
    pub async fn collect(&self, ctx: &CaseContext, outcome: &CaseResult) -> Option<String> {
        let place = StateDir::locate(Some(&self.directory.join(&outcome.case)), true);
        let path = place.directory().to_string();
        let mut kept = CaseDirectory { ctx, directory: place, missing: String::new() };
        let text = serde_json::to_string_pretty(outcome).unwrap_or_default();
        kept.put("result.json", &text).ok()?;
        kept.objects().await;
        kept.logs().await;
        kept.switch().await;
        kept.cni().await;
        if !kept.missing.is_empty() {
            let missing = std::mem::take(&mut kept.missing);
            kept.put("not-collected.txt", &missing).ok()?;
        }
        Some(path)
    }
}

impl CaseDirectory<'_> {
    fn put(&self, name: &str, text: &str) -> Result<()> {
        let vm = &self.ctx.cx.profile.vm;
        let known = [vm.login.password.as_str(), vm.cloud_init.user_data.as_str()];
        self.directory.write(name, &redact_text(text, &known))
    }

    /// Writes a part, or records why it is missing.
    fn keep(&mut self, name: &str, text: Result<String>) {
        if let Err(error) = text.and_then(|text| self.put(name, &text)) {
            // Writing to a string does not fail.
            let _ = writeln!(self.missing, "{name}: {error}");
        }
    }

    /// Pods, Multus' status of them, events, networks and nodes.
    async fn objects(&mut self) {
        let (cluster, namespace) = (&self.ctx.cluster, self.ctx.namespace.as_str());
        let pods = cluster.list("v1", "Pod", Some(namespace), None).await;
        let events = cluster.list("v1", "Event", Some(namespace), None).await;
        let networks = self.networks().await;
        let nodes = cluster.list("v1", "Node", None, None).await;
        let nics = pods.as_ref().map(|pods| nics(pods)).map_err(again);
        self.keep("network-status.json", nics);
        self.keep("events.txt", events.map(|events| timeline(&events)));
        self.keep("pods.yaml", pods.map(documents));
        self.keep("networks.yaml", networks.map(documents));
        self.keep("nodes.yaml", nodes.map(documents));
    }

    /// The attachments in the namespaces of the case and of its networks; others are not ours to publish.
    async fn networks(&self) -> Result<Vec<Value>> {
        let networks = &self.ctx.cx.profile.networks;
        let mut namespaces: Vec<&str> = networks.iter().map(|network| network.namespace.as_str()).collect();
        namespaces.push(&self.ctx.namespace);
        namespaces.sort_unstable();
        namespaces.dedup();
        let mut all = Vec::new();
        for namespace in namespaces.into_iter().filter(|namespace| !namespace.is_empty()) {
            let kind = "NetworkAttachmentDefinition";
            all.extend(self.ctx.cluster.list("k8s.cni.cncf.io/v1", kind, Some(namespace), None).await?);
        }
        Ok(all)
    }

    /// The logs of the case's pods, and of the components that create NICs.
    async fn logs(&mut self) {
        let (cluster, namespace) = (&self.ctx.cluster, self.ctx.namespace.as_str());
        // Their logs tell why a pod does not get its NICs.
        let makers: Vec<&Component> =
            components::ALL.iter().copied().filter(|it| !it.workloads.plugins.is_empty()).collect();
        let steps: Vec<&str> = makers.iter().map(|component| component.step).collect();
        let components = format!("{STEP_LABEL} in ({})", steps.join(","));
        let own = cluster.list("v1", "Pod", Some(namespace), None).await.unwrap_or_default();
        let labelled = cluster.list("v1", "Pod", None, Some(&components)).await.unwrap_or_default();
        let all = cluster.list("v1", "Pod", None, None).await.unwrap_or_default();
        let makes_nics = |pod: &&Value| {
            let name = name(pod);
            let mut daemons = makers.iter().map(|component| component.workloads.daemon);
            name.contains("coredns") || daemons.any(|part| name.contains(part))
        };
        let others = all.iter().filter(makes_nics).filter(|pod| !labelled.contains(pod));
        let pods: Vec<Value> = own.iter().chain(&labelled).chain(others).cloned().collect();
        for pod in &pods {
            let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
            for container in containers(pod) {
                let log = cluster.logs(text("namespace"), text("name"), Some(container), LINES).await;
                let name = format!("log-{}-{}-{container}.txt", text("namespace"), text("name"));
                // Most logs are empty.
                if log.as_ref().map_or(true, |log| !log.trim().is_empty()) {
                    self.keep(&name, log);
                }
            }
        }
    }

    async fn switch(&mut self) {
        let host = self.ctx.cx.host.clone();
        if !matches!(host.find("ovs-vsctl").await, Ok(Some(_))) {
            self.missing.push_str("ovs-show.txt: `ovs-vsctl` is not installed\n");
            return;
        }
        for (name, arguments) in OVS {
            let command = Command::new(std::iter::once("ovs-vsctl").chain(arguments.iter().copied()));
            let ran = host.run(&command).await.and_then(|output| output.ok(&command));
            self.keep(name, ran.map(|output| output.stdout));
        }
    }

    /// The runtime's network configurations, and the leased addresses.
    async fn cni(&mut self) {
        let directory = self.ctx.cx.facts.cni_conf_dir.clone();
        let files = self.files(&directory).await;
        self.keep("cni.txt", files);
        let names = self.ctx.cx.host.list(Utf8Path::new(LEASES)).await;
        let mut all = String::new();
        for name in names.ok().flatten().unwrap_or_default() {
            match self.files(&Utf8Path::new(LEASES).join(name)).await {
                Ok(text) => all.push_str(&text),
                Err(error) => _ = writeln!(self.missing, "ipam.txt: {error}"),
            }
        }
        self.keep("ipam.txt", Ok(all));
    }

    /// Every file in a directory with its content; subdirectories are only named.
    async fn files(&self, directory: &Utf8Path) -> Result<String> {
        let host = self.ctx.cx.host.as_ref();
        let mut all = String::new();
        for name in host.list(directory).await?.unwrap_or_default() {
            let path = directory.join(name);
            let is_file =
                host.stat(&path).await?.is_some_and(|stat| stat.kind == crate::host::FileKind::File);
            let content = if is_file { host.read(&path).await?.unwrap_or_default() } else { Vec::new() };
            // Redact each file separately: several files together are not a valid document.
            let content = redact_text(&String::from_utf8_lossy(&content), &[]);
            let _ = writeln!(all, "==> {path}\n{}", content.trim_end());
        }
        Ok(all)
    }
}

/// A copy of an error.
fn again(error: &crate::error::Error) -> crate::error::Error {
    crate::error::Error::new(error.code(), error.to_string())
}
