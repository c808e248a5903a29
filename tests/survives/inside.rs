//! The whole job inside of this process, on a sandbox, with a clock that jumps over every wait: hundreds of runs in the
//! time of one on a real node.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use kvnet::cluster::Cluster;
use kvnet::engine::cancel::Cancel;
use kvnet::engine::context::Context;
use kvnet::engine::events::{Event, Reporter};
use kvnet::engine::journal::{History, Journal};
use kvnet::engine::plan::{Plan, Selection};
use kvnet::engine::runner::Run;
use kvnet::engine::state::StateDir;
use kvnet::engine::step::AnyStep;
use kvnet::engine::teardown::Teardown;
use kvnet::error::{Error, Result};
use kvnet::facts::Facts;
use kvnet::profile::{self, Profile};
use kvnet::sandbox::{Options, Sandbox};
use kvnet::source::{SourceOptions, Sources};
use kvnet::steps::{self, verification::RECORD};
use kvnet::verify;
use serde_json::Value;

/// A node and a cluster, and kvnet's state about them.
pub struct Inside {
    pub sandbox: Sandbox,
    /// The way to the API server, when it is not the sandbox's own.
    pub cluster: Option<Cluster>,
    profile: Profile,
    digest: String,
    steps: Vec<Box<dyn AnyStep>>,
    heard: Arc<Heard>,
    directory: tempfile::TempDir,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    pub changes: usize,
    pub error: Option<Error>,
    /// The checks that were made, and whether each passed.
    pub checks: BTreeMap<String, bool>,
}

#[derive(Default)]
struct Heard(Mutex<BTreeMap<String, bool>>);

impl Reporter for Heard {
    fn report(&self, event: Event) {
        if let Event::Check { check, passed, .. } = event {
            self.0.lock().unwrap().insert(check, passed);
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
        let loaded = profile::load(name, &[]).unwrap();
        let sandbox = Sandbox::open(&Options::default(), &loaded.profile).unwrap();
        Self {
            sandbox,
            cluster: None,
            profile: loaded.profile,
            digest: loaded.digest,
            steps: steps::registry(),
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
        let cluster = self.cluster.clone().unwrap_or_else(|| self.sandbox.cluster());
        cx.only = Some(cluster.clone());
        cx.connect(cluster).await;
        Ok(cx)
    }

    /// As `kvnet up --yes`.
    pub async fn up(&self) -> Ended {
        self.heard.0.lock().unwrap().clear();
        let mut ended = self.try_up().await.unwrap_or_else(|error| Ended { error: Some(error), ..Ended::default() });
        ended.checks.clone_from(&self.heard.0.lock().unwrap());
        ended
    }

    async fn try_up(&self) -> Result<Ended> {
        let cx = self.context().await?;
        let plan = Plan::make(&self.steps, &Selection::default(), &cx).await?.refuse_errors()?;
        if plan.is_empty() {
            return Ok(Ended::default());
        }
        let _lock = cx.state.lock("up")?;
        let journal = Journal::open(&cx.state, "up", &cx.digest)?;
        if plan.change_count() > 0 {
            cx.state.remove(RECORD)?;
        }
        let run = Run { cx: &cx, journal: &journal, events: &cx.events, cancel: &Cancel::default() };
        let report = run.apply(&plan).await;
        Ok(Ended { changes: report.changes, error: report.error, ..Ended::default() })
    }

    /// As `kvnet down --yes`.
    pub async fn down(&self) -> Ended {
        self.try_down().await.unwrap_or_else(|error| Ended { error: Some(error), ..Ended::default() })
    }

    async fn try_down(&self) -> Result<Ended> {
        let cx = self.context().await?;
        let history = History::read(&cx.state)?;
        let mut teardown = Teardown::make(&self.steps, &cx, &history).await?;
        teardown.refuse_blocked()?;
        if teardown.change_count() == 0 {
            return Ok(Ended::default());
        }
        let _lock = cx.state.lock("down")?;
        let journal = Journal::open(&cx.state, "down", &cx.digest)?;
        cx.state.remove(RECORD)?;
        let run = Run { cx: &cx, journal: &journal, events: &cx.events, cancel: &Cancel::default() };
        let mut report = teardown.apply(&run).await;
        if report.error.is_none() {
            report.error = verify::plain_pod(&cx).await.err();
        }
        if report.error.is_none() {
            journal.retire()?;
        }
        Ok(Ended { changes: report.changes, error: report.error, ..Ended::default() })
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

/// In memory where the machine has such a place: the journal is written durably, record by record.
fn temporary() -> tempfile::TempDir {
    let shared = std::path::Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}

#[test]
fn explore() {
    for name in ["default", "walkthrough-2018"] {
    let run = || without_waiting(async {
        let t = std::time::Instant::now();
        let inside = Inside::new(name);
        println!("open {:?}", t.elapsed());
        let t = std::time::Instant::now();
        let ended = inside.up().await;
        println!("up {:?} {:?} requests {}", t.elapsed(), ended.error, inside.sandbox.api().requests().len());
        let values = inside.values();
        let t = std::time::Instant::now();
        let again = inside.up().await;
        println!("again {:?} {:?} {} requests {}", t.elapsed(), again.error, again.changes, inside.sandbox.api().requests().len());
        let t = std::time::Instant::now();
        let down = inside.down().await;
        println!("down {:?} {:?} {}", t.elapsed(), down.error, down.changes);
        println!("{:#?}", ended.checks);
        values
    });
    let (a, b) = (run(), run());
    for key in a.keys().chain(b.keys()).collect::<std::collections::BTreeSet<_>>() {
        if a.get(key) != b.get(key) { println!("DIFF {key}\n  {:?}\n  {:?}", a.get(key).map(ToString::to_string), b.get(key).map(ToString::to_string)); }
    }
    std::fs::write(format!("/tmp/faults-values-{name}.json"), serde_json::to_string_pretty(&a).unwrap()).unwrap();
    }
}
