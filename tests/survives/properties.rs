//! What holds for every valid profile, shown with random ones in a sandbox: a plan is the same each time, `up` leaves
//! nothing to do, and `down` gives the fresh node and cluster back.
//!
//! The profiles are the same in each run; `PROPTEST_RNG_SEED=N` tries others, `PROPTEST_CASES=N` more.

mod profiles;

use std::path::Path;
use std::time::Duration;

use camino::Utf8PathBuf;
use kvnet::engine::cancel::Cancel;
use kvnet::engine::context::Context;
use kvnet::engine::journal::{History, Journal};
use kvnet::engine::plan::{Plan, Selection};
use kvnet::engine::runner::Run;
use kvnet::engine::step::AnyStep;
use kvnet::engine::teardown::Teardown;
use kvnet::facts::Facts;
use kvnet::profile::{self, Loaded};
use kvnet::sandbox::node::Distribution;
use kvnet::sandbox::{Options, Sandbox};
use kvnet::source::{SourceOptions, Sources};
use kvnet::steps;
use kvnet::verify;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use self::profiles::any_profile;
use crate::count;
use crate::kept::{left_by_down, values};

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
    steps: Vec<Box<dyn AnyStep>>,
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
        Self { directory, sandbox, loaded, steps: steps::registry() }
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
        cx.connect(self.sandbox.cluster()).await;
        cx
    }

    async fn plan(&self, cx: &Context) -> Plan<'_> {
        let plan = Plan::make(&self.steps, &Selection::default(), cx).await.unwrap();
        plan.refuse_errors().unwrap_or_else(|error| panic!("the plan: {error} {:?}", error.cause()))
    }

    async fn up(&self) -> usize {
        let cx = self.context().await;
        let plan = self.plan(&cx).await;
        assert_eq!(listed(&plan), listed(&self.plan(&cx).await), "planning twice");
        in_order(&plan);
        let (cancel, journal) = (Cancel::default(), Journal::open(&cx.state, "up", &cx.digest).unwrap());
        let run = Run { cx: &cx, journal: &journal, events: &cx.events, cancel: &cancel };
        let report = run.apply(&plan).await;
        if let Some(error) = &report.error {
            panic!("up: {error}: {:?}", error.cause());
        }
        let again = listed(&self.plan(&self.context().await).await);
        assert!(again.is_empty(), "a second `up` would {again:#?}");
        report.changes
    }

    async fn down(&self) {
        let cx = self.context().await;
        let history = History::read(&cx.state).unwrap();
        let mut teardown = Teardown::make(&self.steps, &cx, &history).await.unwrap();
        teardown.refuse_blocked().unwrap();
        let (cancel, journal) = (Cancel::default(), Journal::open(&cx.state, "down", &cx.digest).unwrap());
        let run = Run { cx: &cx, journal: &journal, events: &cx.events, cancel: &cancel };
        let report = teardown.apply(&run).await;
        if let Some(error) = &report.error {
            panic!("down: {error}: {:?}", error.cause());
        }
        verify::plain_pod(&cx).await.unwrap();
        journal.retire().unwrap();
        let again = Teardown::make(&self.steps, &cx, &History::default()).await.unwrap();
        assert_eq!(again.change_count(), 0, "a second `down` has something to do");
    }
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
