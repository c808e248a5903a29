//! What every step gets to work with.

use std::sync::Arc;

use tokio::sync::RwLock;

use super::events::{Events, Silent};
use super::state::StateDir;
use crate::cluster::{Cluster, ConnectOptions};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::host::Host;
use crate::profile::Profile;
use crate::source::{Component, Manifest, RenderFacts, Sources};

/// The node, the cluster, the profile and the facts. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// The node.
    pub host: Arc<dyn Host>,
    /// What should be.
    pub profile: Arc<Profile>,
    /// What was found out about the node at the start.
    pub facts: Arc<Facts>,
    /// Where manifests come from.
    pub sources: Arc<Sources>,
    /// The profile's digest, by which a verification is remembered.
    pub digest: String,
    /// Where kvnet keeps its state.
    pub state: StateDir,
    /// Who hears what happens.
    pub events: Events,
    /// Whether conflicts with other field managers are forced.
    pub force_conflicts: bool,
    /// The only cluster that there can be, whatever kubeconfigs say: that of a sandbox.
    pub only: Option<Cluster>,
    /// The cluster, once there is one.
    cluster: Arc<RwLock<Option<Cluster>>>,
}

impl Context {
    /// A context without a cluster, that reports to nobody and forces nothing.
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
            sources: Arc::new(sources),
            digest: String::new(),
            state,
            events: Arc::new(Silent),
            force_conflicts: false,
            only: None,
            cluster: Arc::default(),
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

    /// The cluster that a kubeconfig leads to.
    pub async fn reach(&self, options: &ConnectOptions) -> Result<Cluster> {
        match &self.only {
            Some(cluster) => Ok(cluster.clone()),
            None => Cluster::connect(options).await,
        }
    }

    /// Makes a cluster known that a step has just created.
    pub async fn connect(&self, cluster: Cluster) {
        *self.cluster.write().await = Some(cluster);
    }

    /// The objects of a component as the profile wants them.
    pub async fn manifest(&self, component: Component) -> Result<Manifest> {
        self.manifest_with(component, RenderFacts::default()).await
    }

    /// As [`Context::manifest`], with what a step has found out about the cluster.
    pub async fn manifest_with(&self, component: Component, extra: RenderFacts) -> Result<Manifest> {
        self.sources.load(component, &self.profile, &self.facts, &extra).await
    }
}
