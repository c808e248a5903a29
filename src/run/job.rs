//! The context of a use case.

use camino::Utf8Path;

use crate::cluster::{Cluster, ConnectOptions};
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::journal::machine_digest;
use crate::engine::plan::{Plan, Selection};
use crate::engine::step::{Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::source::{Download, Voucher};

/// The administrator's kubeconfig on a control plane.
pub(super) const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// The node, the profile and the steps of a run.
pub struct Job {
    /// The context of every step.
    pub cx: Context,
    /// All steps.
    pub steps: Vec<Box<dyn Step>>,
    /// Which steps to run.
    pub selection: Selection,
    /// How to connect to the cluster.
    pub connect: ConnectOptions,
}

impl Job {
    /// Connects to the cluster. When the profile creates one and the node has none yet, there is nothing to connect to:
    /// an existing kubeconfig belongs to another cluster.
    /// Fails with `KVN300`; `KVN511` when this node's own kubeconfig leads to another cluster and the run would change
    /// the node.
    pub async fn connect(&self) -> Result<()> {
        let creates = self.cx.profile.cluster.init.enabled && self.connect.kubeconfig.is_none();
        if creates && self.cx.host.stat(Utf8Path::new(ADMIN_KUBECONFIG)).await?.is_none() {
            return Ok(());
        }
        let cluster = self.cx.reach(&self.connect).await?;
        // A cluster that was named explicitly is meant, unless steps change this node.
        let meant = self.connect.kubeconfig.is_some() || self.connect.context.is_some();
        if self.cx.only.is_none() && (!meant || self.changes_nodes()) {
            self.refuse_other_cluster(&cluster).await?;
        }
        self.cx.connect(cluster).await;
        Ok(())
    }

    /// The id of this machine in journals.
    pub(super) fn machine(&self) -> String {
        machine_digest(&self.cx.facts.marks.machine_id)
    }

    /// Refuses a cluster when this machine's own kubeconfig leads to another one.
    async fn refuse_other_cluster(&self, cluster: &Cluster) -> Result<()> {
        let admin = Utf8Path::new(ADMIN_KUBECONFIG);
        // A node without one, or a test's, has no cluster of its own.
        if self.cx.host.stat(admin).await?.is_none() {
            return Ok(());
        }
        let Some(own) = cluster.leads_elsewhere(admin).await? else { return Ok(()) };
        let message = format!(
            "this node belongs to the cluster at {}, but kvnet would use {}",
            own.server,
            cluster.place()
        );
        Err(Error::new(&code::OTHER_CLUSTER, message).at(ADMIN_KUBECONFIG))
    }

    /// Whether a selected step changes the machine.
    fn changes_nodes(&self) -> bool {
        let wanted = |step: &&dyn Step| self.selection.wants(step.id()) && step.enabled(&self.cx);
        self.steps.iter().map(AsRef::as_ref).filter(wanted).any(|step| step.reach() == Reach::Node)
    }

    /// Notes in the plan where manifests come from that are not kvnet's own, and who vouches for them.
    pub(super) async fn tell_sources(&self, plan: &mut Plan<'_>) {
        for (step, text) in self.stand_ins() {
            if let Some(findings) = findings_of(plan, step) {
                findings.note(text);
            }
        }
        for download in self.cx.sources.downloads(&self.cx.profile).await {
            // Noted when it was applied.
            let findings = findings_of(plan, download.component.step);
            if let Some(findings) = findings.filter(|findings| !findings.changes.is_empty()) {
                tell_download(&download, findings);
            }
        }
    }

    /// Notes in the plan what an API server without server-side apply means for the run.
    pub(super) async fn tell_apply(&self, plan: &mut Plan<'_>) -> Result<()> {
        let applies = |findings: &&mut Findings| {
            findings.changes.iter().any(|change| matches!(change, Change::Apply { .. }))
        };
        let mut all = plan.steps.iter_mut().filter_map(|planned| planned.findings.as_mut().ok());
        let Some(findings) = all.find(applies) else { return Ok(()) };
        let Some(cluster) = self.cx.cluster().await else { return Ok(()) };
        if let Some(text) = cluster.without_apply().await? {
            findings.note(text);
        }
        Ok(())
    }

    /// Steps whose manifest is a stand-in, each with a note.
    fn stand_ins(&self) -> Vec<(&'static str, String)> {
        let all = self.cx.sources.stand_ins(&self.cx.profile).into_iter();
        let all = all.map(|(component, origin)| (component.step, format!("the manifest is {origin}")));
        let runs = |id: &str| self.steps.iter().any(|step| step.id() == id && step.enabled(&self.cx));
        all.filter(|(id, _)| self.selection.wants(id) && runs(id)).collect()
    }
}

fn findings_of<'p>(plan: &'p mut Plan<'_>, step: &str) -> Option<&'p mut Findings> {
    let planned = plan.steps.iter_mut().find(|planned| planned.step.id() == step)?;
    planned.findings.as_mut().ok()
}

/// Notes where a manifest comes from; warns if nobody vouches for it, and of each object in it that reaches too far.
fn tell_download(download: &Download, findings: &mut Findings) {
    let Download { component, origin, sha256, voucher, strange } = download;
    let from = format!("the manifest is {origin}, sha256 {sha256}");
    match voucher {
        Voucher::Kvnet => findings.note(format!("{from}: known to kvnet")),
        Voucher::Profile => findings.note(format!("{from}: pinned by the profile")),
        Voucher::LockFile => {
            findings.note(format!("{from}: not known to kvnet, unchanged since its first use"));
        }
        Voucher::Nobody => {
            let pin = format!("{}.source.sha256={sha256}", component.section);
            findings.warn(format!("{from}: not known to kvnet; read it, then pin it with `--set {pin}`"));
        }
    }
    if matches!(voucher, Voucher::Nobody | Voucher::LockFile) {
        for object in strange {
            findings.warn(format!("in that manifest, {object}"));
        }
    }
}
