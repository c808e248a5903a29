//! A node and a cluster in memory, for the same engine and the same steps.

// Unused dependencies are found by the compiler; of a test build those of other tests would be told.
#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::expect_used, clippy::panic, clippy::unwrap_used)
)]

pub mod api;
pub mod node;
pub mod store;
pub mod world;
mod world_host;

use kvnet_base::{cluster, error, facts, formats, host, manifest, profile, state, template, terminal};

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use camino::Utf8PathBuf;
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinHandle};

use self::api::{ApiServer, Clock, KubernetesVersion};
use self::node::{Distribution, SandboxHost, Seed};
use self::store::Store;
use self::world::{Pace, World};
use self::world_host::WorldHost;
use crate::cluster::Cluster;
use crate::error::{Error, Result, code};
use crate::host::Host;
use crate::profile::{Profile, Release};
use crate::state::{StateDir, file_error};

/// In a sandbox kvnet runs as root.
const ROOT: u32 = 0;
/// The first KubeVirt of the API `kubevirt.io/v1alpha3`; those before it are of clusters of 2018.
const FIRST_OF_TODAY: (u32, u32) = (0, 13);
/// Plugins of the `kubernetes-cni` package of 2018 that are not among today's reference plugins.
const PLUGIN_OF_2018: &str = "/opt/cni/bin/flannel";

/// Options of a sandbox.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its directory; none for one in memory.
    pub directory: Option<Utf8PathBuf>,
    /// The distribution of a new node.
    pub distribution: Distribution,
    /// The simulated latency.
    pub pace: Pace,
    /// The name of a new node's Node object; none for its host name.
    pub node_name: Option<String>,
    /// How many additional nodes a new cluster has.
    pub other_nodes: u8,
}

/// A node with a cluster, as left by kubeadm or by the last command.
pub struct Sandbox {
    api: ApiServer,
    node: SandboxHost,
    store: Store,
    world: World,
    pace: Pace,
    state: StateDir,
    /// The background work; it ends when the sandbox can no longer be stored.
    task: Mutex<JoinHandle<Error>>,
    abort: AbortHandle,
    /// Removed with the sandbox.
    _temporary: Option<tempfile::TempDir>,
}

impl Sandbox {
    /// Opens a sandbox; a new one gets the Kubernetes of the profile's day.
    pub fn open(options: &Options, profile: &Profile) -> Result<Self> {
        refuse_odd_clock(SystemTime::now())?;
        let (store, state, temporary) = if let Some(directory) = &options.directory {
            (Store::on_disk(directory)?, directory.join("state"), None)
        } else {
            let (directory, path) = temporary()?;
            (Store::in_memory(), path, Some(directory))
        };
        let node = SandboxHost::seeded(store.clone(), &seed(options, profile), ROOT)?;
        let version = if node.seed().kubernetes.starts_with("v1.11.") {
            node.put_file(PLUGIN_OF_2018, b"flannel's plugin", 0o755)?;
            KubernetesVersion::V1_11
        } else {
            KubernetesVersion::V1_34
        };
        let clock = Clock::system();
        let api = ApiServer::new(store.clone(), clock.clone(), version);
        // Pending work of the last command has had time to complete.
        World::new(&api, &node, &store, &clock, Pace::INSTANT).reconcile()?;
        let world = World::new(&api, &node, &store, &clock, options.pace);
        let task = tokio::spawn(world.clone().run());
        let state = StateDir::locate(Some(&state), true);
        let (abort, task) = (task.abort_handle(), Mutex::new(task));
        Ok(Self { abort, api, node, store, world, pace: options.pace, state, task, _temporary: temporary })
    }

    /// The node for the engine.
    pub fn host(&self) -> Arc<dyn Host> {
        Arc::new(WorldHost::new(self.node.clone(), self.world.clone(), self.pace))
    }

    /// The node itself, for tests.
    pub fn node(&self) -> &SandboxHost {
        &self.node
    }

    /// The API server, for tests.
    pub fn api(&self) -> &ApiServer {
        &self.api
    }

    /// Everything that node and cluster consist of, for tests.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// A connection to the cluster.
    pub fn cluster(&self) -> Cluster {
        Cluster::from_client(self.api.client())
    }

    /// Where kvnet keeps its state about this node.
    pub fn state(&self) -> &StateDir {
        &self.state
    }

    /// Returns when the sandbox can no longer be stored, with the reason: a run would wait forever.
    pub async fn fails(&self) -> Error {
        let mut task = self.task.lock().await;
        let lost = |error| Error::new(&code::INTERNAL, "the sandbox stopped").because(error);
        (&mut *task).await.unwrap_or_else(lost)
    }

    /// Runs all background work now.
    pub fn settle(&self) -> Result<()> {
        self.world.reconcile()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// HTTP dates only have these years, and the HTTP server panics on others.
fn refuse_odd_clock(now: SystemTime) -> Result<()> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = now.duration_since(UNIX_EPOCH).map(|since| since.as_secs());
    if seconds.is_ok_and(|seconds| seconds < YEAR_10000) {
        return Ok(());
    }
    Err(Error::new(&code::CLOCK, "a sandbox needs a clock between 1970 and 9999"))
}

fn seed(options: &Options, profile: &Profile) -> Seed {
    let mut seed = Seed::new(options.distribution);
    seed.node_name.clone_from(&options.node_name);
    seed.other_nodes = options.other_nodes;
    let release = Release::parse(&profile.kubevirt.version);
    if release.is_some_and(|release| (release.major, release.minor) < FIRST_OF_TODAY) {
        seed.kubernetes = KubernetesVersion::V1_11.git().into();
    }
    seed.cluster = !profile.cluster.init.enabled;
    seed
}

fn temporary() -> Result<(tempfile::TempDir, Utf8PathBuf)> {
    let made = tempfile::Builder::new().prefix("kvnet-sandbox-").tempdir();
    let directory = made.map_err(|error| {
        let place = Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap_or_else(|_| "/tmp".into());
        file_error(&place, &error).hint("set TMPDIR to a writable directory")
    })?;
    let path = Utf8PathBuf::from_path_buf(directory.path().join("state"));
    let path =
        path.map_err(|_| Error::new(&code::HOST_FILE, "the path of the temporary directory is not UTF-8"))?;
    Ok((directory, path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_far_off_is_a_sentence() {
        let seconds = Duration::from_secs;
        for good in [UNIX_EPOCH, UNIX_EPOCH + seconds(4_102_444_800), SystemTime::now()] {
            refuse_odd_clock(good).unwrap();
        }
        for bad in [UNIX_EPOCH - seconds(1), UNIX_EPOCH + seconds(253_402_300_800)] {
            assert_eq!(refuse_odd_clock(bad).unwrap_err().code().id, "KVN423");
        }
    }
}
