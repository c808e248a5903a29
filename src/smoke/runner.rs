//! Runs cases: several at once, each with a time limit, and each cleaned up however it ends.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::case::{Case, Situation};
use super::cases::{CASES, finish_reboot};
use super::collect::Collector;
use super::diagnose::refused;
use super::report::{CaseFailure, CaseResult, Status};
use super::resume::{Pending, boot};
use super::room::{CASE_LABEL, CaseContext, RUNNER_LABEL, runner};
use crate::cluster::{Cluster, Condition, ObjectKey};
use crate::context::Context;
use crate::context::cancel::Cancel;
use crate::error::{Error, Result, code};

/// How long a namespace may take to terminate.
const CLEAN_UP: Duration = Duration::from_mins(2);
/// The case that needs a second command.
const REBOOT: &str = "reboot";

/// An event of a run.
pub enum News<'a> {
    /// A case starts.
    Begins {
        /// Its name.
        case: &'a str,
    },
    /// What a case waits for has changed.
    Waits {
        /// Its name.
        case: &'a str,
        /// What for.
        reason: String,
    },
    /// A case has ended and was cleaned up.
    Ended(&'a CaseResult),
}

/// Receives the events of a run.
pub trait Listener: Send + Sync {
    /// Receives an event.
    fn hear(&self, news: News<'_>);
}

/// A run of cases.
pub struct Run {
    /// The node and the profile.
    pub cx: Context,
    /// The cluster.
    pub cluster: Cluster,
    /// Decides which cases can run.
    pub situation: Situation,
    /// Collects diagnostics of failures.
    pub collector: Collector,
    /// Whether to stop.
    pub cancel: Cancel,
    /// How many cases may run at once.
    pub jobs: usize,
    /// The part of the namespaces' names that is unique to this run.
    pub id: String,
    /// The receiver of events.
    pub listener: Arc<dyn Listener>,
}

/// How the work of a case ended.
enum Ending {
    Done(Result<()>),
    Late,
    Stopped,
}

impl Run {
    /// Runs cases; the results are in the order of the list.
    /// Fails when the leftovers of an earlier run cannot be removed; failures of a case are its result.
    pub async fn all(&self, cases: &[&'static Case]) -> Result<Vec<CaseResult>> {
        self.remove_leftovers().await?;
        let (alone, together): (Vec<&'static Case>, Vec<_>) =
            cases.iter().copied().partition(|case| case.alone);
        let mut results = bounded(self.jobs, together.iter().map(|case| self.one(case)).collect()).await;
        // The reboot is last: nothing comes after it in this process.
        let (last, alone): (Vec<_>, Vec<_>) = alone.into_iter().partition(|case| case.name == REBOOT);
        for case in alone.into_iter().chain(last) {
            let result =
                if case.name == REBOOT { self.reboot(case, &results).await } else { self.one(case).await };
            results.push(result);
        }
        sort(&mut results);
        Ok(results)
    }

    /// Continues a pending run after the boot.
    pub async fn resume(&self, pending: Pending) -> Result<Vec<CaseResult>> {
        let mut results = pending.results;
        if let Some(case) = CASES.iter().find(|case| case.name == REBOOT) {
            let ctx = self.context(case, pending.namespace);
            results.push(self.run(case, &ctx, Box::pin(finish_reboot(&ctx))).await);
        }
        Pending::forget(&self.cx.state)?;
        sort(&mut results);
        Ok(results)
    }

    async fn one(&self, case: &'static Case) -> CaseResult {
        let ctx = self.context(case, format!("kvnet-smoke-{}-{}", case.name, self.id));
        self.run(case, &ctx, (case.run)(&ctx)).await
    }

    /// Records the results so far, because the process ends with the reboot.
    async fn reboot(&self, case: &'static Case, before: &[CaseResult]) -> CaseResult {
        let namespace = format!("kvnet-smoke-{}-{}", case.name, self.id);
        let can_run = self.situation.obstacle(case, &self.cx.profile).is_none();
        if can_run && !self.cancel.is_cancelled() {
            let remember = async {
                let (boot, results) = (boot(&self.cx).await?, before.to_vec());
                Pending { namespace: namespace.clone(), boot, results }.write(&self.cx.state)
            };
            if let Err(error) = remember.await {
                return self.tell(outcome(case, Status::Failed, None, Some(&error)));
            }
        }
        let ctx = self.context(case, namespace);
        let result = self.run(case, &ctx, (case.run)(&ctx)).await;
        if result.status != Status::Pending {
            // No reboot is under way; a stale record would only confuse `--resume`.
            let _ = Pending::forget(&self.cx.state);
        }
        result
    }

    fn context(&self, case: &'static Case, namespace: String) -> CaseContext {
        let at_once = if case.alone { 1 } else { self.jobs.max(1) };
        let places = self.situation.places / at_once;
        let here = self.situation.here.clone();
        CaseContext::new(&self.cx, &self.cluster, case, namespace, (here, places), self.listener.clone())
    }

    async fn run(
        &self,
        case: &'static Case,
        ctx: &CaseContext,
        work: BoxFuture<'_, Result<()>>,
    ) -> CaseResult {
        if let Some(reason) = self.situation.obstacle(case, &self.cx.profile) {
            return self.tell(outcome(case, Status::Skipped, Some(reason), None));
        }
        if self.cancel.is_cancelled() {
            return self.tell(outcome(case, Status::Stopped, Some("not started".into()), None));
        }
        self.listener.hear(News::Begins { case: case.name });
        let started = Instant::now();
        // An unschedulable pod does not start later either.
        let work = async {
            tokio::select! {
                done = work => done,
                error = refused(ctx) => Err(error),
            }
        };
        let ending = race(work, ctx.ends(), &self.cancel).await;
        let mut result = self.result(case, ctx, ending);
        result.seconds = started.elapsed().as_secs_f64();
        (result.checks, result.notes) = ctx.seen();
        if result.status == Status::Failed {
            result.collected = self.collector.collect(ctx, &result).await;
        }
        if result.status != Status::Pending {
            self.clean_up(ctx, &mut result).await;
        }
        self.tell(result)
    }

    fn result(&self, case: &'static Case, ctx: &CaseContext, ending: Ending) -> CaseResult {
        match ending {
            Ending::Done(Err(error)) if error.code() == &code::SMOKE_PENDING => pending(case),
            // systemd terminates every process, this one too.
            Ending::Stopped if ctx.is_rebooting() => pending(case),
            // A failed check says more than the error that followed.
            Ending::Done(done) => match ctx.failed_check().or(done.err()) {
                None => match ctx.left_out() {
                    None => outcome(case, Status::Passed, None, None),
                    left_out => outcome(case, Status::NotChecked, left_out, None),
                },
                Some(error) => outcome(case, Status::Failed, None, Some(&error)),
            },
            Ending::Late => {
                let seconds = (case.deadline)(&self.cx.profile).as_secs();
                let message = format!("did not finish in {seconds} s");
                let waits_for = ctx.waits_for();
                let error = Error::new(&code::SMOKE_DEADLINE, message);
                let error = if waits_for.is_empty() { error } else { error.because(waits_for) };
                outcome(case, Status::Failed, None, Some(&error))
            }
            Ending::Stopped => outcome(case, Status::Stopped, Some("interrupted".into()), None),
        }
    }

    /// Deletes the namespace; one that is stuck is a failure of the cluster too.
    async fn clean_up(&self, ctx: &CaseContext, result: &mut CaseResult) {
        let Err(error) = remove(&self.cluster, &ctx.namespace).await else { return };
        let message = format!("namespace {} is stuck in Terminating", ctx.namespace);
        let error = Error::new(&code::SMOKE_CLEAN, message).because(error);
        if [Status::Passed, Status::NotChecked].contains(&result.status) {
            result.status = Status::Failed;
            result.failure = Some(CaseFailure::from(&error));
            result.collected = self.collector.collect(ctx, result).await;
        } else {
            result.notes.push(error.to_string());
        }
    }

    /// Removes what a killed run on this machine left behind.
    async fn remove_leftovers(&self) -> Result<()> {
        let selector = format!("{CASE_LABEL},{RUNNER_LABEL}={}", runner(&self.cx).await);
        let left = self.cluster.list("v1", "Namespace", None, Some(&selector)).await?;
        let names: Vec<&str> = left.iter().filter_map(|left| left["metadata"]["name"].as_str()).collect();
        futures::future::try_join_all(names.into_iter().map(|name| remove(&self.cluster, name))).await?;
        Ok(())
    }

    fn tell(&self, result: CaseResult) -> CaseResult {
        self.listener.hear(News::Ended(&result));
        result
    }
}

fn outcome(case: &Case, status: Status, reason: Option<String>, error: Option<&Error>) -> CaseResult {
    CaseResult {
        case: case.name.into(),
        title: case.title.into(),
        tags: case.tags.iter().map(ToString::to_string).collect(),
        status,
        reason,
        failure: error.map(CaseFailure::from),
        checks: Vec::new(),
        notes: Vec::new(),
        seconds: 0.0,
        collected: None,
    }
}

fn pending(case: &Case) -> CaseResult {
    let reason = "the node is rebooting; `kvnet smoke --resume` completes the case after the boot";
    outcome(case, Status::Pending, Some(reason.into()), None)
}

/// Deletes a namespace, if it exists, and waits until it is gone.
async fn remove(cluster: &Cluster, namespace: &str) -> Result<()> {
    let key = ObjectKey::new("v1", "Namespace", None, namespace);
    if cluster.delete(&key, None).await? {
        cluster.wait(&Condition::Gone { object: key }, CLEAN_UP, &|_| ()).await?;
    }
    Ok(())
}

/// Sorts results in the order of the list.
fn sort(results: &mut [CaseResult]) {
    results.sort_by_key(|result| CASES.iter().position(|case| case.name == result.case));
}

/// Runs futures, at most `jobs` at once.
async fn bounded<T>(jobs: usize, futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    futures::stream::iter(futures).buffer_unordered(jobs.max(1)).collect().await
}

/// The work, unless its deadline or a cancellation comes first.
async fn race(work: impl Future<Output = Result<()>>, ends: Instant, cancel: &Cancel) -> Ending {
    tokio::select! {
        done = work => Ending::Done(done),
        () = tokio::time::sleep_until(ends) => Ending::Late,
        () = cancel.cancelled() => Ending::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn never_more_run_at_once_than_allowed() {
        for jobs in [1, 3] {
            let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let work = |_| async {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
            };
            let started = Instant::now();
            assert_eq!(bounded(jobs, (0..9).map(work).collect()).await.len(), 9);
            assert_eq!(most.load(Ordering::SeqCst), jobs);
            assert_eq!(started.elapsed().as_secs(), 9 / u64::try_from(jobs).unwrap());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_late_or_stopped() {
        let cancel = Cancel::default();
        let ends = Instant::now() + Duration::from_secs(5);
        let never = || std::future::pending::<Result<()>>();
        assert!(matches!(race(never(), ends, &cancel).await, Ending::Late));
        assert!(matches!(
            race(async { Ok(()) }, Instant::now() + Duration::from_secs(1), &cancel).await,
            Ending::Done(Ok(()))
        ));
        cancel.cancel();
        let ends = Instant::now() + Duration::from_secs(5);
        assert!(matches!(race(never(), ends, &cancel).await, Ending::Stopped));
    }
}
