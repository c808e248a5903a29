//! `kubeadm init` on a node without a cluster.

mod config;

use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;

use crate::cluster::ConnectOptions;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::facts::gather::{exists, text};
use crate::facts::images;
use crate::host::{Command, Host};
use crate::profile::Init;

/// The administrator's kubeconfig that kubeadm writes.
pub const ADMIN: &str = "/etc/kubernetes/admin.conf";
const API_SERVER: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";
const ETCD: &str = "/etc/kubernetes/manifests/etcd.yaml";
const ETCD_DATA: &str = "/var/lib/etcd/member";
const KUBELET: &str = "/var/lib/kubelet/config.yaml";
const KUBELET_ACCESS: &str = "/etc/kubernetes/kubelet.conf";
/// The files that show that there is a cluster.
const MARKS: [&str; 6] = [ADMIN, API_SERVER, ETCD, ETCD_DATA, KUBELET, KUBELET_ACCESS];
/// What kvnet gives to kubeadm.
const CONFIG: &str = "/etc/kubernetes/kvnet-kubeadm.yaml";

const ABOUT: About =
    About { id: "kubeadm-init", title: "cluster (kubeadm)", requires: &["kernel"], reach: Reach::Node };

/// Creates the cluster; an incomplete one is never wiped.
pub struct KubeadmInit;

/// How much of a cluster the node has.
enum Observed {
    /// All of it.
    Complete,
    /// Some of it.
    Half(Vec<&'static str>),
    /// Nothing, and this kubeadm to make it with.
    Nothing { kubeadm: String, config: Option<String> },
}

#[async_trait]
impl Step for KubeadmInit {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn tells_why_silent(&self) -> bool {
        true
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.cluster.init.enabled
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let (kubeadm, before) = match observe(cx.host.as_ref()).await? {
            Observed::Complete => return Ok(Findings::default()),
            Observed::Half(present) => return Err(half(&present)),
            Observed::Nothing { kubeadm, config } => (kubeadm, config),
        };
        refuse_unlocked(cx).await?;
        let after = config::render(&cx.profile.cluster, &kubeadm)?;
        let mut changes = Vec::new();
        if before.as_ref() != Some(&after) {
            let path = CONFIG.into();
            changes.push(Change::WriteFile { path, mode: 0o600, before, after, secret: false });
        }
        changes.push(init(&cx.profile.cluster.init, cx.profile.timeouts.kubeadm));
        Ok(Findings::of(changes))
    }

    /// The steps after this one need the connection.
    async fn after_apply(&self, cx: &Context) -> Result<()> {
        if cx.cluster().await.is_some() {
            return Ok(());
        }
        let options =
            ConnectOptions { kubeconfig: Some(Utf8PathBuf::from(ADMIN)), ..ConnectOptions::default() };
        let cluster = cx.reach(&options).await?;
        cluster.reachable().await?;
        cx.connect(cluster).await;
        Ok(())
    }
}

/// Refuses images that are not in the lock. kubeadm pulls them by tag: that they are the same is beyond kvnet.
/// Fails with `KVN442`.
async fn refuse_unlocked(cx: &Context) -> Result<()> {
    let Some(lock) = &cx.lock else { return Ok(()) };
    let init = &cx.profile.cluster.init;
    let repository = init.cluster_configuration.get("imageRepository").and_then(|value| value.as_str());
    let listed =
        images::of_kubeadm(cx.host.as_ref(), &init.kubernetes_version, repository.unwrap_or_default())
            .await?;
    let listed = listed.map_err(|why| {
        Error::new(&code::LOCK_LACKS, "it is unknown which images kubeadm would pull").because(why)
    })?;
    listed.iter().try_for_each(|image| lock.pinned(image).map(|_| ()).map_err(|error| error.at("kubeadm")))
}

/// The taints that keep pods off the node that `kubeadm init` will make, as their keys: the roles' names have changed.
pub(super) async fn taints_to_come(cx: &Context) -> Result<Vec<&'static str>> {
    let Observed::Nothing { kubeadm, .. } = observe(cx.host.as_ref()).await? else { return Ok(Vec::new()) };
    let (old, new) = ("node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane");
    Ok(match config::minor(&kubeadm) {
        None => Vec::new(),
        Some(..24) => vec![old],
        Some(24) => vec![new, old],
        Some(_) => vec![new],
    })
}

async fn observe(host: &dyn Host) -> Result<Observed> {
    let mut present = Vec::new();
    for mark in MARKS {
        if exists(host, mark).await? {
            present.push(mark);
        }
    }
    match present.as_slice() {
        [] => {
            Ok(Observed::Nothing { kubeadm: kubeadm_version(host).await?, config: text(host, CONFIG).await? })
        }
        _ if is_complete(&present) => Ok(Observed::Complete),
        _ => Ok(Observed::Half(present)),
    }
}

/// An external etcd leaves neither manifest nor data.
fn is_complete(present: &[&str]) -> bool {
    let has = |mark: &str| present.contains(&mark);
    has(ADMIN) && has(API_SERVER) && has(KUBELET) && has(ETCD) == has(ETCD_DATA)
}

async fn kubeadm_version(host: &dyn Host) -> Result<String> {
    let command = Command::new(["kubeadm", "version", "-o", "short"]);
    let output = host.run(&command).await?.ok(&command)?;
    Ok(output.stdout.trim().to_owned())
}

/// The version of the cluster that this step would make.
/// Fails when the profile sets none and kubeadm does not report its own.
pub(super) async fn version_to_be(cx: &Context) -> Result<String> {
    match cx.profile.cluster.init.kubernetes_version.as_str() {
        "" => kubeadm_version(cx.host.as_ref()).await,
        version => Ok(version.to_owned()),
    }
}

fn half(present: &[&str]) -> Error {
    let message = format!("the node has an incomplete cluster: {}", present.join(", "));
    let error = Error::new(&code::KUBEADM_HALF, message);
    error
        .hint(
            "if a `kubeadm init` or `kubeadm join` failed here, run `kubeadm reset`, which deletes its data",
        )
        .hint("if the node is a worker of a cluster, run kvnet on the control plane")
}

/// Never reverted: that would delete the cluster with everything in it.
fn init(init: &Init, seconds: u64) -> Change {
    let mut argv = vec!["kubeadm".to_owned(), "init".into(), "--config".into(), CONFIG.into()];
    if !init.ignore_preflight_errors.is_empty() {
        argv.push(format!("--ignore-preflight-errors={}", init.ignore_preflight_errors.join(",")));
    }
    let command = Command::new(argv).timeout(Duration::from_secs(seconds));
    Change::Run { purpose: "create the cluster with kubeadm".into(), before: None, command, undo: None }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::lock::{Lock, LockedImage};
    use crate::profile::Profile;
    use crate::steps::testing::{context, debian, find, lines};

    fn profile() -> Profile {
        let mut profile = Profile::default();
        profile.cluster.init.enabled = true;
        profile
    }

    fn node(marks: &[&str]) -> FakeHost {
        marks.iter().fold(FakeHost::new(), |host, mark| host.file(mark, ""))
    }

    #[tokio::test]
    async fn an_empty_node_gets_a_cluster() {
        let mut profile = profile();
        profile.cluster.init.ignore_preflight_errors = vec!["Swap".into(), "NumCPU".into()];
        let host = FakeHost::new().prints(["kubeadm", "version"], "v1.34.4\n");
        assert_eq!(
            lines(&find(KubeadmInit, host, profile).await.unwrap()),
            [
                "create file /etc/kubernetes/kvnet-kubeadm.yaml",
                "kubeadm init --config /etc/kubernetes/kvnet-kubeadm.yaml --ignore-preflight-errors=Swap,NumCPU",
            ]
        );
    }

    #[tokio::test]
    async fn with_a_lock_a_cluster_is_made_only_of_what_is_in_it() {
        let host = || {
            FakeHost::new()
                .prints(["kubeadm", "version"], "v1.34.4\n")
                .prints(["kubeadm", "config", "images", "list"], "r.example/etcd:3.6\n")
        };
        let found = |lock: Lock, host: FakeHost| async move {
            let mut cx = context(&Arc::new(host), profile(), debian());
            cx.lock = Some(Arc::new(lock));
            KubeadmInit.find(&cx).await
        };
        let mut lock = Lock::new("mine");
        let error = found(lock.clone(), host()).await.unwrap_err();
        assert!(error.code() == &code::LOCK_LACKS && error.message().contains("etcd:3.6"), "{error}");
        let silent = host().fails(["kubeadm", "config", "images", "list"], 1, "no");
        assert_eq!(found(lock.clone(), silent).await.unwrap_err().code(), &code::LOCK_LACKS);
        lock.images.push(LockedImage {
            name: "r.example/etcd".into(),
            tag: Some("3.6".into()),
            digest: format!("sha256:{}", "a".repeat(64)),
            platforms: BTreeMap::new(),
            needed_by: BTreeSet::new(),
        });
        assert_eq!(found(lock, host()).await.unwrap().changes.len(), 2);
    }

    #[tokio::test]
    async fn a_complete_cluster_is_left_alone() {
        for marks in [&[ADMIN, API_SERVER, ETCD, ETCD_DATA, KUBELET][..], &[ADMIN, API_SERVER, KUBELET]] {
            assert_eq!(find(KubeadmInit, node(marks), profile()).await.unwrap(), Findings::default());
        }
    }

    #[tokio::test]
    async fn a_half_made_cluster_is_named_and_never_wiped() {
        let error = find(KubeadmInit, node(&[API_SERVER, KUBELET]), profile()).await.unwrap_err();
        assert_eq!(error.code(), &code::KUBEADM_HALF);
        assert_eq!(
            error.message(),
            "the node has an incomplete cluster: /etc/kubernetes/manifests/kube-apiserver.yaml, \
             /var/lib/kubelet/config.yaml"
        );
    }

    #[tokio::test]
    async fn a_node_without_kubeadm_is_an_error() {
        let error = find(KubeadmInit, FakeHost::new(), profile()).await.unwrap_err();
        assert_eq!(error.code(), &code::HOST_TOOL_MISSING);
    }
}
