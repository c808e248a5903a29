//! What holds for every valid profile, shown with random ones in a sandbox: a plan is the same each time, `up` leaves
//! nothing to do, and `down` gives the fresh node and cluster back.
//!
//! The profiles are the same in each run; `PROPTEST_RNG_SEED=N` tries others, `PROPTEST_CASES=N` more.

mod profiles;

use std::path::Path;
use std::time::Duration;

use camino::Utf8PathBuf;
use kvnet::cluster::ConnectOptions;
use kvnet::context::Context;
use kvnet::engine::journal::FILE;
use kvnet::engine::plan::{Plan, Selection};
use kvnet::facts::Facts;
use kvnet::profile::{self, Loaded};
use kvnet::run::{self, DownOptions, Given, Job, Undo};
use kvnet::sandbox::node::Distribution;
use kvnet::sandbox::{Options, Sandbox};
use kvnet::source::{SourceOptions, Sources};
use kvnet::steps;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::profiles::any_profile;
use kvnet_test_kit::count;
use kvnet_test_kit::kept::{left_by_down, values};

const CASES: u32 = 12;
const CASES_OF_THE_GATE: u32 = 60;
const SEED: u64 = 2026;
/// Each attempt is a whole `up`.
const SHRINKS: u32 = 30;

/// A sandbox, and kvnet as a command would set it up.
struct Bench {
    directory: tempfile::TempDir,
    sandbox: Sandbox,
    loaded: Loaded,
}

impl Bench {
    fn new(text: &str, distribution: Distribution) -> Self {
        let loaded = profile::load_text(text, "random.yaml", &[]);
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}\n{text}"));
        let directory = tempfile::tempdir().unwrap();
        let kept = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        let options = Options { directory: Some(kept), distribution, ..Options::default() };
        let sandbox = Sandbox::open(&options, &loaded.profile).unwrap();
        sandbox.settle().unwrap();
        Self { directory, sandbox, loaded }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// As a new process would see it.
    async fn context(&self) -> Context {
        let (host, profile) = (self.sandbox.host(), self.loaded.profile.clone());
        let facts = Facts::gather(host.as_ref(), &profile).await.unwrap();
        let sources = Sources::new(SourceOptions {
            stand_ins: true,
            mirror: None,
            cache_dir: self.sandbox.state().path("cache"),
            lock_file: None,
            timeout: Duration::from_secs(1),
        });
        let mut cx = Context::new(host, profile, facts, sources, self.sandbox.state().clone());
        cx.digest.clone_from(&self.loaded.digest);
        cx.only = Some(self.sandbox.cluster());
        cx
    }

    async fn job(&self) -> Job {
        let (cx, steps) = (self.context().await, steps::registry());
        Job { cx, steps, selection: Selection::default(), connect: ConnectOptions::default() }
    }

    async fn up(&self) -> usize {
        let job = self.job().await;
        let plan = planned(&job).await;
        assert_eq!(listed(&plan), listed(&planned(&job).await), "planning twice");
        in_order(&plan);
        let ended = run::up(&job, &Given).await.unwrap_or_else(|error| panic!("up: {error}"));
        if let Some(error) = &ended.error {
            panic!("up: {error}: {:?}", error.cause());
        }
        assert_eq!(ended.changes, plan.change_count(), "`up` makes the changes that `plan` showed");
        let job = self.job().await;
        let again = listed(&planned(&job).await);
        assert!(again.is_empty(), "a second `up` would {again:#?}");
        ended.changes
    }

    async fn down(&self) {
        let (job, options) = (self.job().await, DownOptions::default());
        let ended = run::down(&job, options, &Given).await.unwrap_or_else(|error| panic!("down: {error}"));
        if let Some(error) = &ended.error {
            panic!("down: {error}: {:?}", error.cause());
        }
        assert!(job.cx.state.read(FILE).unwrap().is_none(), "the journal has ended");
        let job = self.job().await;
        let again = Undo::look(&job).await.unwrap();
        assert!(again.is_empty(), "a second `down` has something to do");
    }
}

async fn planned(job: &Job) -> Plan<'_> {
    run::plan(job).await.unwrap_or_else(|error| panic!("the plan: {error} {:?}", error.cause()))
}

/// Every change of a plan, in order.
fn listed(plan: &Plan<'_>) -> Vec<String> {
    let changes = plan.steps.iter().flat_map(|planned| {
        let changes = &planned.findings.as_ref().unwrap().changes;
        changes
            .iter()
            .map(|change| format!("{}: {}", planned.step.id(), serde_json::to_string(change).unwrap()))
    });
    changes.collect()
}

/// No circle: each step comes after all that it requires.
fn in_order(plan: &Plan<'_>) {
    let mut before = Vec::new();
    for planned in &plan.steps {
        let requires = plan.graph.requires(planned.step.id());
        assert!(requires.iter().all(|required| before.contains(required)), "{}", planned.step.id());
        before.push(planned.step.id());
    }
}

fn up_and_down(text: &str, distribution: Distribution) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new(text, distribution);
        let fresh = values(bench.path());
        let changes = bench.up().await;
        if changes > 0 {
            bench.down().await;
        }
        bench.sandbox.settle().unwrap();
        let left = left_by_down(&fresh, &values(bench.path()));
        assert!(left.is_empty(), "{left:#?}");
    });
}

#[test]
fn every_profile_goes_up_once_and_down_again() {
    let all = std::env::var_os("KVNET_THOROUGH").is_some_and(|value| value == "1");
    let standard = Config::default();
    let changed = standard.cases != 256;
    let mut config = Config { max_shrink_iters: SHRINKS, failure_persistence: None, ..standard };
    if !changed {
        config.cases = if all { CASES_OF_THE_GATE } else { CASES };
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    let cases = config.cases as usize;
    let profiles = (any_profile(), select(Distribution::ALL.to_vec()));
    TestRunner::new(config)
        .run(&profiles, |(text, distribution)| {
            println!("{distribution:?}: {text}");
            up_and_down(&text, distribution);
            Ok(())
        })
        .unwrap();
    count::record("random profiles taken up and down", cases);
}
