//! What every step works with.

pub mod cancel;
pub mod events;
pub mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::{Mutex, OnceCell, RwLock};
use tokio::time::{Duration, Instant};

use self::cancel::Cancel;
use self::events::{Events, Silent};
use crate::cluster::{Cluster, ClusterId, ConnectOptions};
use crate::components::{self, Component, RenderFacts};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::facts::identity::Identity;
use crate::host::Host;
use crate::lock::Lock;
use crate::profile::Profile;
use crate::source::{Manifest, Sources};
use crate::state::StateDir;
use crate::tape::Tape;

/// How long the nodes are cached; a change drops them at once.
const FRESH: Duration = Duration::from_secs(10);
/// How long a failure to list them is cached.
const IN_VAIN: Duration = Duration::from_secs(5);

/// The nodes or why they could not be listed, and when that was.
type Look = (Instant, Result<Arc<[Value]>>);

/// The node, the cluster, the profile and the facts. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The node.
    pub host: Arc<dyn Host>,
    /// What should be.
    pub profile: Arc<Profile>,
    /// The facts about the node, gathered at the start.
    pub facts: Arc<Facts>,
    /// The lock that everything must be in; none when anything may be installed.
    pub lock: Option<Arc<Lock>>,
    /// Where manifests come from.
    pub sources: Arc<Sources>,
    /// The profile's digest, by which a verification is remembered.
    pub digest: String,
    /// Where kvnet keeps its state.
    pub state: StateDir,
    /// Receives the events.
    pub events: Events,
    /// Whether conflicts with other field managers are forced.
    pub force_conflicts: bool,
    /// Signals that nothing new may start and that waits end.
    pub cancel: Cancel,
    /// The steps that the run leaves out by name.
    pub skipped: Arc<[String]>,
    /// The cluster of a sandbox or a dump, which takes precedence over every kubeconfig.
    pub only: Option<Cluster>,
    /// Records what the cluster answers, for a dump.
    pub tape: Option<Tape>,
    /// When the dump was taken that the run is about, in Unix seconds; none for a live node.
    pub taken: Option<i64>,
    /// The cluster, once there is one.
    cluster: Arc<RwLock<Option<Cluster>>>,
    /// Which node of it this machine is, once that is known.
    identity: Arc<OnceCell<Identity>>,
    /// The cached nodes.
    nodes: Arc<Mutex<Option<Look>>>,
    /// The cluster's identity.
    id: Arc<OnceCell<ClusterId>>,
    /// Whether changes are in progress.
    acts: Arc<AtomicBool>,
}

impl Context {
    /// A context without a cluster and without a reporter, which forces no conflicts.
    pub fn new(
        host: Arc<dyn Host>,
        profile: Profile,
        facts: Facts,
        sources: Sources,
        state: StateDir,
    ) -> Self {
        Self {
            host,
            profile: Arc::new(profile),
            facts: Arc::new(facts),
            lock: None,
            sources: Arc::new(sources),
            digest: String::new(),
            state,
            events: Arc::new(Silent),
            force_conflicts: false,
            cancel: Cancel::default(),
            skipped: Arc::default(),
            only: None,
            tape: None,
            taken: None,
            cluster: Arc::default(),
            identity: Arc::default(),
            nodes: Arc::default(),
            id: Arc::default(),
            acts: Arc::default(),
        }
    }

    /// The cluster; none when a step is going to create it.
    pub async fn cluster(&self) -> Option<Cluster> {
        self.cluster.read().await.clone()
    }

    /// The cluster; an error when there is none.
    pub async fn need_cluster(&self) -> Result<Cluster> {
        self.cluster().await.ok_or_else(|| Error::new(&code::CLUSTER_CONFIG, "there is no cluster yet"))
    }

    /// The cluster of a kubeconfig.
    pub async fn reach(&self, options: &ConnectOptions) -> Result<Cluster> {
        let cluster = match &self.only {
            Some(cluster) => cluster.clone(),
            None => Cluster::connect(options).await?,
        };
        Ok(match &self.tape {
            Some(tape) => cluster.recorded_on(tape.clone()),
            None => cluster,
        })
    }

    /// Registers a cluster that a step has just created.
    pub async fn connect(&self, cluster: Cluster) {
        if self.acts.load(Ordering::Relaxed) {
            cluster.acts();
        }
        *self.cluster.write().await = Some(cluster);
        self.forget_nodes().await;
    }

    /// Marks the start of changes: from now on each request waits for a server that is briefly unavailable.
    pub async fn acts(&self) {
        self.acts.store(true, Ordering::Relaxed);
        if let Some(cluster) = self.cluster().await {
            cluster.acts();
        }
    }

    /// The nodes of the cluster; none while there is no cluster. Concurrent callers share one request.
    pub async fn nodes(&self) -> Result<Arc<[Value]>> {
        let Some(cluster) = self.cluster().await else { return Ok(Arc::from([])) };
        let mut seen = self.nodes.lock().await;
        let is_fresh = |(at, look): &&Look| at.elapsed() < if look.is_ok() { FRESH } else { IN_VAIN };
        if let Some((_, look)) = seen.as_ref().filter(is_fresh) {
            return look.clone();
        }
        let look = cluster.list("v1", "Node", None, None).await.map(Arc::from);
        *seen = Some((Instant::now(), look.clone()));
        look
    }

    /// Drops the cached nodes.
    pub async fn forget_nodes(&self) {
        *self.nodes.lock().await = None;
    }

    /// The cluster's identity; none while it is not known.
    pub async fn cluster_id(&self) -> Option<ClusterId> {
        if let Some(id) = self.id.get() {
            return Some(id.clone());
        }
        let id = self.cluster().await?.identity().await?;
        Some(self.id.get_or_init(|| async { id }).await.clone())
    }

    /// The node that this machine is; none while there is no cluster, or when it is not one of its nodes.
    pub async fn identity(&self) -> Result<Option<Identity>> {
        if let Some(identity) = self.identity.get() {
            return Ok(Some(identity.clone()));
        }
        let nodes = self.nodes().await?;
        if nodes.is_empty() {
            return Ok(None);
        }
        Ok(Some(self.identity.get_or_init(|| async { Identity::of(&self.facts, &nodes) }).await.clone()))
    }

    /// The name of this machine's Node object; none when it is not a node of the cluster, or that is not known.
    pub async fn this_node(&self) -> Option<Arc<str>> {
        self.identity().await.ok().flatten().and_then(|identity| identity.name())
    }

    /// The objects of a component as the profile wants them.
    pub async fn manifest(&self, component: &Component) -> Result<Manifest> {
        self.manifest_with(component, RenderFacts::default()).await
    }

    /// As [`Context::manifest`], with what a step has found out about the cluster.
    pub async fn manifest_with(&self, component: &Component, extra: RenderFacts) -> Result<Manifest> {
        let mut manifest = self.unlocked(component, extra).await?;
        if let Some(lock) = &self.lock {
            if let Some(sha256) = &manifest.sha256 {
                lock.check_manifest(component.id, sha256)
                    .map_err(|error| error.at(manifest.origin.as_str()))?;
            }
            components::pin(component, &self.profile, &mut manifest.objects, lock)?;
        }
        Ok(manifest)
    }

    /// As [`Context::manifest_with`], without regard to a lock.
    pub async fn unlocked(&self, component: &Component, extra: RenderFacts) -> Result<Manifest> {
        self.sources.load(component, &self.profile, &self.facts, &extra).await
    }
}
