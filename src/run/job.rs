//! What a use case works with.

use camino::Utf8Path;

use crate::cluster::{Cluster, ConnectOptions};
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::journal::machine_digest;
use crate::engine::plan::{Plan, Selection};
use crate::engine::step::{AnyStep, Findings, Reach};
use crate::error::{Error, Result, code};
use crate::source::{Download, Voucher};

/// The administrator's kubeconfig on a control plane.
pub(super) const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// The node, the profile and the steps of a run.
pub struct Job {
    /// What every step gets.
    pub cx: Context,
    /// All steps.
    pub steps: Vec<Box<dyn AnyStep>>,
    /// Which of them to look at.
    pub selection: Selection,
    /// Where the cluster is.
    pub connect: ConnectOptions,
}

impl Job {
    /// Connects to the cluster. When the profile creates one and the node has none yet, there is nothing to connect to:
    /// a kubeconfig that is there belongs to another cluster.
    ///
    /// # Errors
    /// `KVN300`; `KVN511` when this node's own kubeconfig leads to another cluster and the run would change the node.
    pub async fn connect(&self) -> Result<()> {
        let creates = self.cx.profile.cluster.init.enabled && self.connect.kubeconfig.is_none();
        if creates && self.cx.host.stat(Utf8Path::new(ADMIN_KUBECONFIG)).await?.is_none() {
            return Ok(());
        }
        let cluster = self.cx.reach(&self.connect).await?;
        // Who names another cluster, and asks for steps of a cluster alone, means it.
        let meant = self.connect.kubeconfig.is_some() || self.connect.context.is_some();
        if self.cx.only.is_none() && (!meant || self.changes_nodes()) {
            self.refuse_other_cluster(&cluster).await?;
        }
        self.cx.connect(cluster).await;
        Ok(())
    }

    /// What journals know this machine by.
    pub(super) fn machine(&self) -> String {
        machine_digest(&self.cx.facts.marks.machine_id)
    }

    /// Refuses a cluster when this machine's own kubeconfig leads to another one.
    async fn refuse_other_cluster(&self, cluster: &Cluster) -> Result<()> {
        let admin = Utf8Path::new(ADMIN_KUBECONFIG);
        // A node without one, and one of a test, has nothing on this machine.
        if self.cx.host.stat(admin).await?.is_none() {
            return Ok(());
        }
        let Some(own) = cluster.leads_elsewhere(admin).await? else { return Ok(()) };
        let message = format!(
            "this node belongs to the cluster at {}, and kvnet would talk to {}",
            own.server,
            cluster.place()
        );
        Err(Error::new(&code::OTHER_CLUSTER, message).at(ADMIN_KUBECONFIG))
    }

    /// Whether a step is selected that changes the machine.
    fn changes_nodes(&self) -> bool {
        let wanted = |step: &&dyn AnyStep| self.selection.wants(step.id()) && step.enabled(&self.cx);
        self.steps.iter().map(AsRef::as_ref).filter(wanted).any(|step| step.reach() == Reach::Node)
    }

    /// Says in the plan where manifests come from that are not kvnet's own, and who vouches for them.
    pub(super) async fn tell_sources(&self, plan: &mut Plan<'_>) {
        for (step, text) in self.stand_ins() {
            if let Some(findings) = findings_of(plan, step) {
                findings.note(text);
            }
        }
        for download in self.cx.sources.downloads(&self.cx.profile).await {
            // What is in place was told when it was applied.
            let findings = findings_of(plan, download.component.step());
            if let Some(findings) = findings.filter(|findings| !findings.changes.is_empty()) {
                tell_download(&download, findings);
            }
        }
    }

    /// Says in the plan what an API server without server-side apply means for the run.
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

    /// Steps whose manifest is a stand-in, and what people are to know about it.
    fn stand_ins(&self) -> Vec<(&'static str, String)> {
        let all = self.cx.sources.stand_ins(&self.cx.profile).into_iter();
        let all = all.map(|(component, origin)| (component.step(), format!("the manifest is {origin}")));
        let runs = |id: &str| self.steps.iter().any(|step| step.id() == id && step.enabled(&self.cx));
        all.filter(|(id, _)| self.selection.wants(id) && runs(id)).collect()
    }
}

fn findings_of<'p>(plan: &'p mut Plan<'_>, step: &str) -> Option<&'p mut Findings> {
    let planned = plan.steps.iter_mut().find(|planned| planned.step.id() == step)?;
    planned.findings.as_mut().ok()
}

/// Where a manifest comes from; a warning for what nobody vouches for, and for each object in it that goes too far.
fn tell_download(download: &Download, findings: &mut Findings) {
    let Download { component, origin, sha256, voucher, strange } = download;
    let from = format!("the manifest is {origin}, sha256 {sha256}");
    match voucher {
        Voucher::Kvnet => findings.note(format!("{from}: known to kvnet")),
        Voucher::Profile => findings.note(format!("{from}: pinned by the profile")),
        Voucher::LockFile => {
            findings.note(format!("{from}: not known to kvnet, the same as at its first use"));
        }
        Voucher::Nobody => {
            let pin = format!("{}.source.sha256={sha256}", component.section());
            findings.warn(format!("{from}: not known to kvnet; read it, then pin it with `--set {pin}`"));
        }
    }
    if matches!(voucher, Voucher::Nobody | Voucher::LockFile) {
        for object in strange {
            findings.warn(format!("in that manifest, {object}"));
        }
    }
}
