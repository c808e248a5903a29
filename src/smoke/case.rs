//! A case: its name, its needs, its deadline, and its function.

use std::time::Duration;

use futures::future::BoxFuture;

use super::room::CaseContext;
use crate::cluster::{Cluster, ObjectKey};
use crate::context::Context;
use crate::error::Result;
use crate::profile::{NetworkKind, Profile};
use crate::verify::{Here, Scenario, places};

/// A named test.
pub struct Case {
    /// Its name: lower case, stable.
    pub name: &'static str,
    /// What it shows, in one line.
    pub title: &'static str,
    /// Words that select several cases.
    pub tags: &'static [&'static str],
    /// What the case needs to run.
    pub needs: &'static [Need],
    /// Whether it and other cases would disturb each other: then it runs alone.
    pub alone: bool,
    /// How long it may take.
    pub deadline: fn(&Profile) -> Duration,
    /// The case's function. The case fails with the returned error, or when one of its checks fails.
    pub run: for<'a> fn(&'a CaseContext) -> BoxFuture<'a, Result<()>>,
}

/// What a case needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any network in the profile.
    AnyNetwork,
    /// A network in the profile on which two pods with addresses can reach each other.
    Pairs,
    /// Two VLANs with addresses on one bridge.
    Vlans,
    /// The network of that name in the profile.
    Network(&'static str),
    /// Multus in the profile.
    Multus,
    /// That kvnet runs on a node of the cluster, for what can only be read there.
    OwnNode,
    /// KubeVirt in the cluster, and a VM in the profile.
    KubeVirt,
    /// That `kvnet down` has run.
    Down,
    /// `--allow-reboot`, and a node that can reboot.
    Reboot,
}

/// What decides whether a case can run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub struct Situation {
    /// Whether `kvnet down` has uninstalled everything.
    pub down: bool,
    /// Whether kvnet runs on a node of the cluster.
    pub own_node: bool,
    /// Whether the cluster has KubeVirt.
    pub kubevirt: bool,
    /// Whether the node is the sandbox.
    pub sandbox: bool,
    /// Whether the node may be rebooted.
    pub allow_reboot: bool,
    /// Whether `--skip` leaves out the VM.
    pub without_vm: bool,
    /// This machine; all pods go here, where kvnet can read Open vSwitch.
    pub here: Here,
    /// How many pods may be started here.
    pub places: usize,
}

impl Situation {
    /// Reads the cluster and the journal.
    pub async fn of(cx: &Context, cluster: &Cluster, allow_reboot: bool) -> Result<Self> {
        let crd = "virtualmachineinstances.kubevirt.io";
        let crd = ["apiextensions.k8s.io/v1", "apiextensions.k8s.io/v1beta1"]
            .map(|version| ObjectKey::new(version, "CustomResourceDefinition", None, crd));
        let found = cluster.get_many(&crd).await?;
        let here = Here::of(cx).await?;
        Ok(Self {
            down: is_down(cx, cluster).await?,
            own_node: here.node.is_some(),
            places: places(cx, cluster, &here).await?,
            here,
            kubevirt: found.iter().any(Option::is_some),
            sandbox: cx.only.is_some(),
            allow_reboot,
            without_vm: cx.skipped.iter().any(|step| step == "vm" || step == "kubevirt"),
        })
    }

    /// Why a case cannot run; none when it can.
    pub fn obstacle(&self, case: &Case, profile: &Profile) -> Option<String> {
        if self.down && !case.needs.contains(&Need::Down) {
            return Some("`kvnet down` removed the networks; `kvnet up` restores them".into());
        }
        case.needs.iter().find_map(|need| self.lacks(*need, profile))
    }

    fn lacks(&self, need: Need, profile: &Profile) -> Option<String> {
        let scenario = || Scenario::of(profile);
        let (holds, why) = match need {
            Need::AnyNetwork => {
                let why = if profile.networks.is_empty() {
                    "the profile has no networks"
                } else {
                    "the profile excludes all networks from verification"
                };
                (profile.networks.iter().any(|network| network.verify), why.into())
            }
            Need::Pairs => {
                let why = "the profile has no network on which two pods with addresses can reach each other";
                (!scenario().reach.is_empty(), why.into())
            }
            Need::Vlans => {
                let why = "the profile has no bridge with two VLANs with addresses";
                (!vlan_pairs(&scenario()).is_empty(), why.into())
            }
            Need::Network(name) => match profile.networks.iter().find(|network| network.name == name) {
                None => (false, format!("the profile has no network {name}")),
                Some(network) => {
                    (network.verify, format!("the profile excludes network {name} from verification"))
                }
            },
            Need::Multus => (profile.multus.enabled, "the profile has no Multus".into()),
            Need::OwnNode => (
                self.own_node,
                "kvnet is not running on a node of the cluster, where it could read Open vSwitch and the leases".into(),
            ),
            Need::KubeVirt if !profile.kubevirt.enabled || !profile.vm.enabled || self.without_vm => {
                (false, "the profile has no KubeVirt or no VM, or they are skipped".into())
            }
            Need::KubeVirt => (self.kubevirt, "KubeVirt is not installed".into()),
            Need::Down => {
                (self.down, "this case only runs after `kvnet down`".into())
            }
            Need::Reboot if !self.allow_reboot => {
                (false, "it reboots the node, and needs `--allow-reboot`".into())
            }
            Need::Reboot => (!self.sandbox, "the sandbox cannot be rebooted".into()),
        };
        (!holds).then_some(why)
    }
}

/// `down` retires the journal once everything is reverted, and a later `up` begins a new one.
async fn is_down(cx: &Context, cluster: &Cluster) -> Result<bool> {
    if cx.state.read("journal.jsonl")?.is_some() || cx.state.read("journal.last.jsonl")?.is_none() {
        return Ok(false);
    }
    let networks = cluster.list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", None, None).await?;
    Ok(networks.is_empty())
}

/// The pairs of pods that only their VLANs isolate: those on one bridge.
pub fn vlan_pairs(scenario: &Scenario) -> Vec<(String, String)> {
    let bridge = |name: &str| {
        let probe = scenario.pods.iter().find(|probe| probe.name == name);
        probe.and_then(|probe| Some(probe.port.as_ref()?.bridge.clone()))
    };
    let apart = scenario.isolated.iter().filter(|(one, other)| bridge(one) == bridge(other));
    apart.cloned().collect()
}

/// The profile's time limit for verification pods.
pub fn usual(profile: &Profile) -> Duration {
    Duration::from_secs(profile.timeouts.verification)
}

/// Whether a network's addresses are leased by files on the node.
pub fn is_counted(kind: &NetworkKind) -> bool {
    matches!(kind, NetworkKind::Ovs { .. } | NetworkKind::Bridge { .. })
}

/// Whether a network's NICs get addresses that kvnet knows about.
pub fn gives_addresses(kind: &NetworkKind) -> bool {
    match kind {
        NetworkKind::Ovs { ipam, .. } | NetworkKind::Bridge { ipam, .. } => ipam.is_some(),
        NetworkKind::Flannel { .. } => true,
        NetworkKind::Raw { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;
    use crate::smoke::CASES;

    fn skipped(situation: &Situation, settings: &[&str]) -> Vec<(&'static str, String)> {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let profile = profile::load("default", &settings).unwrap().profile;
        let all = CASES.iter().filter_map(|case| Some((case.name, situation.obstacle(case, &profile)?)));
        all.collect()
    }

    #[test]
    fn what_cannot_run_says_why() {
        let usual = Situation { own_node: true, kubevirt: true, ..Situation::default() };
        let names =
            |found: Vec<(&'static str, String)>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(skipped(&usual, &[])), ["after-down", "reboot"]);
        let bare = Situation::default();
        assert_eq!(names(skipped(&bare, &[])), ["after-down", "leaks", "reboot", "vmi"]);
        let found = skipped(&usual, &["networks=[]", "vm.enabled=false", "multus.enabled=false"]);
        assert_eq!(
            names(found),
            [
                "a-bridge-network",
                "after-down",
                "attachments",
                "flannel-network",
                "leaks",
                "multus-restart",
                "reboot",
                "same-network",
                "vlan-isolation",
                "vmi"
            ]
        );
    }

    #[test]
    fn after_down_only_one_case_runs() {
        let down = Situation { down: true, own_node: true, ..Situation::default() };
        let skipped = skipped(&down, &[]);
        assert_eq!(skipped.len(), CASES.len() - 1);
        assert!(skipped.iter().all(|(name, why)| *name != "after-down" && why.contains("`kvnet down`")));
    }
}
