//! The whole job inside of this process, on a sandbox, with a clock that jumps over every wait: hundreds of runs in the
//! time of one on a real node.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use kvnet::cluster::{Cluster, ConnectOptions};
use kvnet::context::Context;
use kvnet::context::events::{Event, Reporter, Verdict};
use kvnet::engine::journal::History;
use kvnet::engine::plan::Selection;
use kvnet::error::{Error, Result, code};
use kvnet::facts::Facts;
use kvnet::profile::{self, Profile};
use kvnet::run::{self, DownOptions, Given, Job};
use kvnet::sandbox::{Options, Sandbox};
use kvnet::source::{SourceOptions, Sources};
use kvnet::state::StateDir;
use kvnet::steps::{self, verification::RECORD};
use serde_json::Value;

/// The built-in profiles.
pub const PROFILES: [&str; 2] = ["default", "walkthrough-2018"];

/// A node and a cluster, and kvnet's state about them.
pub struct Inside {
    pub sandbox: Sandbox,
    /// The way to the API server, when it is not the sandbox's own.
    pub cluster: Option<Cluster>,
    profile: Profile,
    digest: String,
    heard: Arc<Heard>,
    directory: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    pub result: &'static str,
    pub changes: usize,
    pub error: Option<Error>,
    /// What the run wanted its user to know.
    pub warnings: Vec<String>,
    /// The checks, and what came of each.
    pub checks: BTreeMap<String, Verdict>,
}

#[derive(Default)]
struct Heard {
    checks: Mutex<BTreeMap<String, Verdict>>,
    warnings: Mutex<Vec<String>>,
}

impl Reporter for Heard {
    fn report(&self, event: Event) {
        match event {
            Event::Check { check, verdict, .. } => _ = self.checks.lock().unwrap().insert(check, verdict),
            Event::Note { text, warning: true, .. } => self.warnings.lock().unwrap().push(text),
            _ => {}
        }
    }
}

/// Runs something on a runtime of its own, whose time jumps as soon as everybody waits.
pub fn without_waiting<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(work)
}

impl Inside {
    /// A fresh node. Must be called on a runtime.
    pub fn new(name: &str) -> Self {
        Self::with(name, &[], &Options::default())
    }

    /// A fresh node of another kind, for a profile with these settings. Must be called on a runtime.
    pub fn with(name: &str, settings: &[&str], options: &Options) -> Self {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let loaded = profile::load(name, &settings).unwrap();
        let sandbox = Sandbox::open(options, &loaded.profile).unwrap();
        Self {
            sandbox,
            cluster: None,
            profile: loaded.profile,
            digest: loaded.digest,
            heard: Arc::default(),
            directory: temporary(),
        }
    }

    pub fn state(&self) -> StateDir {
        let path = Utf8PathBuf::from_path_buf(self.directory.path().join("state")).unwrap();
        StateDir::locate(Some(&path), true)
    }

    async fn context(&self) -> Result<Context> {
        let host = self.sandbox.host();
        let facts = Facts::gather(host.as_ref(), &self.profile).await?;
        let state = self.state();
        let sources = Sources::new(SourceOptions {
            stand_ins: true,
            mirror: None,
            cache_dir: state.path("cache"),
            lock_file: Some(state.path("manifests.lock.json")),
            timeout: Duration::from_secs(1),
        });
        let mut cx = Context::new(host, self.profile.clone(), facts, sources, state);
        cx.digest.clone_from(&self.digest);
        cx.events = self.heard.clone();
        cx.only = Some(self.cluster.clone().unwrap_or_else(|| self.sandbox.cluster()));
        Ok(cx)
    }

    /// As a new process would have it.
    async fn job(&self) -> Result<Job> {
        let (cx, steps) = (self.context().await?, steps::registry());
        Ok(Job { cx, steps, selection: Selection::default(), connect: ConnectOptions::default() })
    }

    /// As `kvnet up --yes`.
    pub async fn up(&self) -> Ended {
        self.ended(self.try_up().await)
    }

    /// With what was heard since the last time.
    fn ended(&self, result: Result<Ended>) -> Ended {
        let mut ended = result.unwrap_or_else(|error| Ended { error: Some(error), ..Ended::default() });
        ended.checks = std::mem::take(&mut self.heard.checks.lock().unwrap());
        ended.warnings = std::mem::take(&mut self.heard.warnings.lock().unwrap());
        ended
    }

    async fn try_up(&self) -> Result<Ended> {
        let ended = patient(|| async { run::up(&self.job().await?, &Given).await }).await?;
        Ok(told_by(ended))
    }

    /// As `kvnet down --yes`.
    pub async fn down(&self) -> Ended {
        self.ended(self.try_down().await)
    }

    async fn try_down(&self) -> Result<Ended> {
        let options = DownOptions::default();
        let ended = patient(|| async { run::down(&self.job().await?, options, &Given).await }).await?;
        Ok(told_by(ended))
    }

    /// Whether the profile counts as verified.
    pub fn is_verified(&self) -> bool {
        self.state().read(RECORD).unwrap().is_some()
    }

    /// What the journal says that was made: the step, the change, and what it did.
    pub fn journaled(&self) -> Vec<String> {
        let history = History::read(&self.state()).unwrap();
        let line = |entry: &kvnet::engine::journal::Entry| {
            let outcome = format!("{:?}", entry.outcome);
            let outcome = outcome.split([' ', '(']).take(2).collect::<Vec<_>>().join(" ");
            format!("{}: {}: {outcome}", entry.step, entry.change)
        };
        let mut lines: Vec<String> = history.made().map(line).collect();
        lines.sort();
        lines
    }

    /// Nothing goes wrong any more.
    pub fn behave(&mut self) {
        self.sandbox.api().interfere(Arc::new(()));
        self.sandbox.node().behave();
        self.cluster = None;
    }

    /// Everything that node and cluster consist of.
    pub fn values(&self) -> BTreeMap<String, Value> {
        self.sandbox.settle().unwrap();
        let copy = self.sandbox.store().read(|store| {
            store.range("").map(|(key, value)| (key.to_owned(), value.as_ref().clone())).collect()
        });
        copy.unwrap()
    }
}

fn told_by(ended: run::Ended) -> Ended {
    Ended { result: ended.result, changes: ended.changes, error: ended.error, ..Ended::default() }
}

/// Tries again while the state directory is locked: a test beside this one that starts a program has, until that program
/// runs, all files of this process open, also a lock that was just given back.
async fn patient<F: Future<Output = Result<run::Ended>>>(attempt: impl Fn() -> F) -> Result<run::Ended> {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match attempt().await {
            Err(error) if error.code() == &code::STATE_LOCKED && std::time::Instant::now() < patience => {
                std::thread::yield_now();
            }
            result => return result,
        }
    }
}

impl Ended {
    /// The error in one line, with its code and its hints; empty when there is none.
    pub fn told(&self) -> String {
        let told =
            |error: &Error| format!("{}: {error} (hint: {})", error.code().id, error.hints().join("; "));
        self.error.as_ref().map(told).unwrap_or_default()
    }

    pub fn assert_well(&self, what: &str) {
        let failed: Vec<&String> = self
            .checks
            .iter()
            .filter(|(_, verdict)| **verdict == Verdict::Failed)
            .map(|(check, _)| check)
            .collect();
        assert!(self.error.is_none() && failed.is_empty(), "{what}: {} {failed:?}", self.told());
    }
}

/// Does the same with each of many, on all processors. Each is tried, also when another one fails.
pub fn for_each<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads.min(all.len()) {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = catch_unwind(AssertUnwindSafe(|| work(one)));
                    failed.fetch_add(usize::from(result.is_err()), Ordering::Relaxed);
                }
            });
        }
    });
    let failed = failed.into_inner();
    assert_eq!(failed, 0, "of {}, see above", all.len());
}

/// Whether to try everything and not only a sample.
pub fn is_thorough() -> bool {
    std::env::var_os("KVNET_THOROUGH").is_some_and(|value| value == "1")
}

/// In memory where the machine has such a place: the journal is written durably, record by record.
fn temporary() -> tempfile::TempDir {
    let shared = std::path::Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}
