//! What a use case works with.

use camino::Utf8Path;

use super::other_cluster::refuse_other_cluster;
use crate::cluster::ConnectOptions;
use crate::engine::context::Context;
use crate::engine::plan::{Plan, Selection};
use crate::engine::step::{AnyStep, Reach};
use crate::error::Result;
use crate::source::Component;

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
            refuse_other_cluster(self.cx.host.as_ref(), &cluster).await?;
        }
        self.cx.connect(cluster).await;
        Ok(())
    }

    /// Whether a step is selected that changes the machine.
    fn changes_nodes(&self) -> bool {
        let wanted = |step: &&dyn AnyStep| self.selection.wants(step.id()) && step.enabled(&self.cx);
        self.steps.iter().map(AsRef::as_ref).filter(wanted).any(|step| step.reach() == Reach::Node)
    }

    /// Says in the plan which manifests are stand-ins.
    pub(super) fn tell_stand_ins(&self, plan: &mut Plan<'_>) {
        for (step, text) in self.stand_ins() {
            let planned = plan.steps.iter_mut().find(|planned| planned.step.id() == step);
            if let Some(Ok(findings)) = planned.map(|planned| &mut planned.findings) {
                findings.note(text);
            }
        }
    }

    /// Steps whose manifest is a stand-in, and what people are to know about it.
    fn stand_ins(&self) -> Vec<(&'static str, String)> {
        let step = |component| match component {
            Component::Flannel => "flannel",
            Component::Multus => "multus",
            Component::OvsCni => "ovs-cni",
            Component::KubeVirt | Component::KubeVirtCr | Component::Vm => "kubevirt",
        };
        let all = self.cx.sources.stand_ins(&self.cx.profile).into_iter();
        let all = all.map(|(component, origin)| (step(component), format!("the manifest is {origin}")));
        let runs = |id: &str| self.steps.iter().any(|step| step.id() == id && step.enabled(&self.cx));
        all.filter(|(id, _)| self.selection.wants(id) && runs(id)).collect()
    }
}
