//! A node in memory: files, packages, services, network links and Open vSwitch, all of them values of a store.
//!
//! Commands answer in the form of the real tools, as far as kvnet uses them; one that is not known is an error, so that a
//! test sees every command that a step runs.

mod catalogue;
mod cni;
mod distribution;
mod doors;
mod edit;
mod entry;
mod files;
mod host;
mod installation;
mod interference;
mod kernel;
mod links;
mod ovs;
mod programs;
mod seed;
#[cfg(test)]
mod tests;
mod units;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::Utf8PathBuf;

pub use self::cni::CniChoice;
pub use self::distribution::Distribution;
pub use self::interference::{HostFault, HostInterference, HostOperation};
pub use self::links::NetworkLink;
pub use self::ovs::SwitchPort;
pub use self::seed::{Runtime, Seed};
use crate::error::Result;
use crate::store::Store;

/// A node in memory. Cheap to clone; clones are the same node.
#[derive(Clone)]
pub struct SandboxHost(Arc<Shared>);

struct Shared {
    store: Store,
    /// What the node was made as.
    seed: Seed,
    /// The user id of kvnet.
    user: u32,
    interference: Mutex<Option<Arc<dyn HostInterference>>>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    commands: Vec<String>,
    writes: Vec<Utf8PathBuf>,
}

impl SandboxHost {
    /// The node that a store holds; an empty store becomes a node of that distribution as kubeadm leaves it.
    pub fn new(store: Store, distribution: Distribution, user: u32) -> Result<Self> {
        Self::seeded(store, &Seed::new(distribution), user)
    }

    /// As [`new`](Self::new), with more to choose about a new node.
    pub fn seeded(store: Store, seed: &Seed, user: u32) -> Result<Self> {
        let seed = store.write(|transaction| seed::plant(transaction, seed, user))?;
        let shared = Shared { store, seed, user, interference: Mutex::default(), log: Mutex::default() };
        Ok(Self(Arc::new(shared)))
    }

    /// What the node was made as.
    pub fn seed(&self) -> &Seed {
        &self.0.seed
    }

    /// Asks before each operation whether it goes wrong; replaces who was asked before.
    pub fn interfere(&self, interference: Arc<dyn HostInterference>) {
        *lock(&self.0.interference) = Some(interference);
    }

    /// Lets everything pass again.
    pub fn behave(&self) {
        *lock(&self.0.interference) = None;
    }

    /// The commands that ran in this process, as a person would type them.
    pub fn commands(&self) -> Vec<String> {
        lock(&self.0.log).commands.clone()
    }

    /// The paths that kvnet wrote, moved or removed in this process, in order.
    pub fn writes(&self) -> Vec<Utf8PathBuf> {
        lock(&self.0.log).writes.clone()
    }

    fn asked(&self) -> Option<Arc<dyn HostInterference>> {
        lock(&self.0.interference).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
