//! A Kubernetes API server in memory, behind kube's client.
//!
//! It speaks real HTTP over a pipe inside the process, so that watches, upgrades and broken connections are what they are
//! elsewhere. What it answers is compared with a real API server by the tests in `tests/parity`.

mod apply;
mod asked;
mod clock;
mod crd;
mod defaults;
mod delete;
mod discovery;
mod door;
mod fields;
mod http;
mod kinds;
mod lists;
mod metadata;
mod objects;
mod options;
mod patch;
mod rehearsal;
mod route;
mod schema;
mod select;
mod status;
mod streams;
#[cfg(test)]
mod tests;
mod validate;
mod watch;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::store::Store;
pub use clock::Clock;
pub use door::{ObjectFilter, Removal};
pub use http::{Fault, Interference, ReceivedRequest};
pub use kinds::KubernetesVersion;
pub use streams::{Containers, Ran};

/// An API server. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub struct ApiServer(Arc<Server>);

struct Server {
    store: Store,
    clock: Clock,
    version: KubernetesVersion,
    interference: RwLock<Option<Arc<dyn Interference>>>,
    containers: RwLock<Option<Arc<dyn Containers>>>,
    seen: Mutex<Vec<ReceivedRequest>>,
}

impl ApiServer {
    /// A server over a store, which may hold objects already.
    pub fn new(store: Store, clock: Clock, version: KubernetesVersion) -> Self {
        Self(Arc::new(Server {
            store,
            clock,
            version,
            interference: RwLock::default(),
            containers: RwLock::default(),
            seen: Mutex::default(),
        }))
    }

    /// Sets the fault injector for all further requests.
    pub fn interfere(&self, interference: Arc<dyn Interference>) {
        *self.0.interference.write().unwrap_or_else(PoisonError::into_inner) = Some(interference);
    }

    /// Sets the backend of containers and consoles.
    pub fn serve_subresources(&self, containers: Arc<dyn Containers>) {
        *self.0.containers.write().unwrap_or_else(PoisonError::into_inner) = Some(containers);
    }

    /// The requests so far, in order.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The version that the server has.
    pub fn version(&self) -> KubernetesVersion {
        self.0.version
    }

    fn containers(&self) -> Option<Arc<dyn Containers>> {
        self.0.containers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn interference(&self) -> Option<Arc<dyn Interference>> {
        self.0.interference.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn saw(&self, seen: ReceivedRequest) {
        self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}
