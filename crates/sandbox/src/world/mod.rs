//! The active parts of a cluster: controllers, kubelet, CNI plugins, and the components that kvnet installs.
//!
//! Level-triggered: each part compares objects, files and links with the desired state and corrects them, until nothing
//! changes. It can be killed at any point and resumes from the state.

mod cluster;
mod cni;
mod controllers;
mod guests;
mod kubelet;
mod objects;
mod pace;
mod programs;
mod scene;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::guests::Guests;
pub use self::pace::Pace;
use self::scene::Scene;
use super::api::{ApiServer, Clock};
use super::node::SandboxHost;
use super::store::Store;
use crate::error::{Error, Result, code};
use crate::host::{Shot, Sighting};

/// More rounds than this mean that parts undo each other's work.
const MOST_ROUNDS: usize = 500;

/// The active parts of a cluster. Cheap to clone.
#[derive(Clone)]
pub struct World(Scene);

impl World {
    /// The world of a cluster and its node; answers for the insides of containers from now on.
    pub fn new(api: &ApiServer, node: &SandboxHost, store: &Store, clock: &Clock, pace: Pace) -> Self {
        let scene = Scene::new(api.clone(), node.clone(), store.clone(), clock.clone(), pace);
        api.serve_subresources(Arc::new(Guests(scene.clone())));
        Self(scene)
    }

    /// Reconciles until nothing changes.
    /// Fails on errors of the store, and with `KVN505` when two parts undo each other's work; other errors are retried
    /// in the next round.
    pub fn reconcile(&self) -> Result<()> {
        let _turn = self.0.store.turn()?;
        for _ in 0..MOST_ROUNDS {
            let before = self.0.revision()?;
            self.round()?;
            if self.0.revision()? == before {
                return Ok(());
            }
        }
        Err(Error::new(&code::INTERNAL, "the sandbox does not converge"))
    }

    /// Reconciles on every change, until the task is aborted or the directory is no longer writable.
    pub async fn run(self) -> Error {
        let mut revisions = self.0.store.revisions();
        loop {
            revisions.mark_unchanged();
            if let Err(error) = self.reconcile() {
                if cannot_be_kept(&error) {
                    return error;
                }
                tracing::debug!(%error, "the sandbox is stalled");
            }
            let due = self.0.next_due();
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() {
                    return Error::new(&code::INTERNAL, "the sandbox is gone");
                },
                () = wait(due) => {}
            }
        }
    }

    /// The processes of pods on the node.
    pub(super) fn processes(&self) -> Result<Vec<u32>> {
        guests::frames::processes(&self.0)
    }

    /// The control group of a process.
    pub(super) fn cgroup(&self, process: &str) -> Result<Option<String>> {
        guests::frames::cgroup(&self.0, process)
    }

    /// The links of a process's network, as `ip` prints them.
    pub(super) fn links_of(&self, process: &str) -> Result<Option<String>> {
        guests::frames::links(&self.0, process)
    }

    /// Where a frame from a pod is seen.
    pub(super) fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        guests::frames::send(&self.0, shot)
    }

    fn round(&self) -> Result<()> {
        for part in PARTS {
            match part(&self.0) {
                Err(error) if cannot_be_kept(&error) => return Err(error),
                Err(error) => tracing::debug!(%error, "tried again in the next round"),
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// Whether the directory of a sandbox is no longer writable.
fn cannot_be_kept(error: &Error) -> bool {
    [&code::HOST_FULL, &code::HOST_READ_ONLY].contains(&error.code())
}

/// All parts, in dependency order.
const PARTS: [fn(&Scene) -> Result<()>; 8] = [
    cluster::run,
    controllers::namespaces::run,
    controllers::deployments::run,
    controllers::replica_sets::run,
    controllers::daemon_sets::run,
    controllers::scheduler::run,
    kubelet::run,
    controllers::nodes::run,
];

async fn wait(due: Option<std::time::Duration>) {
    match due {
        Some(due) => tokio::time::sleep(due).await,
        None => std::future::pending().await,
    }
}
