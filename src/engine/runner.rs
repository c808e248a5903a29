//! Applies a plan: independent steps at the same time, each change journaled. After the first failure nothing new starts,
//! and the waits of the other steps end.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;

use super::change::{Change, Outcome};
use super::execute::{execute, replaced_object};
use super::journal::Journal;
use super::plan::{Plan, Planned};
use super::step::{Findings, Step};
use crate::checkpoint::reached;
use crate::context::Context;
use crate::context::cancel::Cancel;
use crate::context::events::{Event, Events};
use crate::error::{Error, Result, code};
use crate::facts::identity::Identity;
use crate::verify::RECORD;

/// A step may need another pass after its changes, because a component writes files by itself; more passes than this
/// mean that it does not converge.
const PASSES: usize = 5;

/// What a run needs besides the plan.
pub struct Run<'a> {
    /// The node and the cluster.
    pub cx: &'a Context,
    /// Where changes are recorded.
    pub journal: &'a Journal,
    /// Receives the events.
    pub events: &'a Events,
    /// Whether the user wants to stop.
    pub cancel: &'a Cancel,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Report {
    /// How many changes were made; waits and checks are none.
    pub changes: usize,
    /// The first error; other steps finished the change that they were making.
    pub error: Option<Error>,
}

/// A step that ended.
struct Ended {
    id: &'static str,
    did: Did,
    /// Whether something that it builds on was changed, directly or not.
    looked_again: bool,
    result: Result<()>,
}

/// What a step did so far.
#[derive(Clone, Copy, Default)]
struct Did {
    changes: usize,
    /// Whether it changed, waited for or checked something.
    acted: bool,
}

impl Run<'_> {
    /// Applies a plan without errors.
    pub async fn apply(&self, plan: &Plan<'_>) -> Report {
        let mut report = Report::default();
        let (mut done, mut changed) = (BTreeSet::new(), BTreeSet::new());
        let mut started = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        loop {
            if !self.cancel.is_cancelled() {
                for planned in &plan.steps {
                    let id = planned.step.id();
                    let requires = plan.graph.requires(id);
                    if requires.iter().all(|required| done.contains(required)) && started.insert(id) {
                        let look_again = requires.iter().any(|required| changed.contains(required));
                        running.push(self.step(planned, look_again));
                    }
                }
            }
            let Some(ended) = running.next().await else { break };
            let ended: Ended = ended;
            report.changes += ended.did.changes;
            if ended.did.acted || ended.looked_again {
                changed.insert(ended.id);
            }
            match ended.result {
                Ok(()) => _ = done.insert(ended.id),
                Err(error) => {
                    self.cancel.fail();
                    report.error = Some(worse(report.error.take(), error));
                }
            }
        }
        if report.error.is_none() && self.cancel.is_cancelled() {
            report.error = Some(Cancel::error("up"));
        }
        report
    }

    async fn step(&self, planned: &Planned<'_>, look_again: bool) -> Ended {
        let (step, started) = (planned.step, Instant::now());
        let id = step.id();
        let mut did = Did::default();
        let result = self.converge(planned, look_again, &mut did).await;
        let seconds = started.elapsed().as_secs_f64();
        let stopped = |error: &Error| error.code() == &code::CANCELLED && !self.cancel.is_asked();
        match &result {
            Ok(()) if did.acted => {
                self.report(Event::StepDone { step: id.into(), changes: did.changes, seconds });
            }
            Ok(()) => {}
            Err(error) if stopped(error) => self.report(Event::StepStopped { step: id.into() }),
            Err(error) => {
                let (code, message) = (error.code().id.into(), error.to_string());
                self.report(Event::StepFailed { step: id.into(), code, message });
            }
        }
        Ended { id, did, looked_again: look_again, result }
    }

    /// Applies what was found and observes again until nothing is left to do.
    async fn converge(&self, planned: &Planned<'_>, look_again: bool, did: &mut Did) -> Result<()> {
        let step = planned.step;
        let mut changes = match (&planned.findings, look_again) {
            (Ok(findings), false) => findings.changes.clone(),
            _ => step.find(self.cx).await?.changes,
        };
        if changes.is_empty() {
            return Ok(());
        }
        self.report(Event::StepStarted { step: step.id().into() });
        self.record_before(step, &changes).await?;
        for _ in 0..PASSES {
            self.tell_unplanned(planned, &changes)?;
            for change in &changes {
                self.change(step.id(), change).await?;
                did.acted = true;
                did.changes += usize::from(!change.only_observes());
            }
            step.verify(self.cx).await?;
            step.after_apply(self.cx).await?;
            if changes.iter().all(Change::only_observes) {
                return Ok(());
            }
            changes = step.find(self.cx).await?.changes;
            if changes.is_empty() {
                return Ok(());
            }
        }
        let left: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let message = format!("step `{}` did not converge", step.id());
        Err(Error::new(&code::INTERNAL, message).because(left.join("; ")))
    }

    /// A change that is not in the plan is told before it is made; it invalidates the last verification, even where the
    /// plan had nothing to change.
    fn tell_unplanned(&self, planned: &Planned<'_>, changes: &[Change]) -> Result<()> {
        let none = Findings::default();
        let unplanned = unplanned(planned.findings.as_ref().unwrap_or(&none), changes);
        if !unplanned.is_empty() {
            self.cx.state.remove(RECORD)?;
        }
        for change in unplanned {
            let text = format!("not in the plan, because something changed since: {change}");
            self.report(Event::Note { step: Some(planned.step.id().into()), warning: true, text });
        }
        Ok(())
    }

    /// Records what was on the node before a step installs its component, so that `down` leaves it there. Nothing is
    /// recorded, and so nothing removed, when the component is pre-existing: then its traces are not kvnet's, even
    /// later ones.
    async fn record_before(&self, step: &dyn Step, changes: &[Change]) -> Result<()> {
        let traces = step.traces(self.cx);
        let known = self.journal.present(step.id()).is_some();
        if traces.is_empty() || known || !changes.iter().any(installs) {
            return Ok(());
        }
        // A machine outside the cluster has no traces.
        if matches!(self.cx.identity().await?, Some(Identity::Stranger(_))) {
            return Ok(());
        }
        let present = traces.present(self.cx.host.as_ref()).await?;
        self.journal.before(step.id(), present)
    }

    async fn change(&self, id: &str, change: &Change) -> Result<()> {
        if self.cancel.is_cancelled() {
            return Err(Cancel::error("up"));
        }
        let (started, line) = (Instant::now(), change.to_string());
        self.report(Event::ChangeStarted { step: id.into(), change: line.clone() });
        let progress = |reason| self.report(Event::Waiting { step: id.into(), reason });
        if change.only_observes() {
            reached(|| format!("before {id}: {line}"));
            tokio::select! {
                result = execute(self.cx, change, &progress) => { result?; }
                () = self.cancel.cancelled() => return Err(Cancel::error("up")),
            }
            reached(|| format!("after {id}: {line}"));
        } else {
            let replaces = replaced_object(self.cx, change).await?;
            journaled(self.journal, id, change, replaces, execute(self.cx, change, &progress)).await?;
        }
        let seconds = started.elapsed().as_secs_f64();
        self.report(Event::ChangeDone { step: id.into(), change: line, seconds });
        Ok(())
    }

    fn report(&self, event: Event) {
        self.events.report(event);
    }
}

/// The unplanned changes: none of the lines that were shown names them.
fn unplanned<'a>(shown: &Findings, changes: &'a [Change]) -> Vec<&'a Change> {
    let lines = shown.changes.iter().map(ToString::to_string).chain(shown.foreseen.iter().cloned());
    let lines: BTreeSet<String> = lines.collect();
    let is_new = |change: &&Change| !change.only_observes() && !lines.contains(&change.to_string());
    changes.iter().filter(is_new).collect()
}

/// Whether a change installs something that leaves traces on nodes.
fn installs(change: &Change) -> bool {
    let Change::Apply { object, before: None } = change else { return false };
    let kind = object["kind"].as_str().unwrap_or_default();
    // The operator creates virt-handler from a KubeVirt object.
    ["DaemonSet", "NetworkAttachmentDefinition", "KubeVirt"].contains(&kind)
}

/// Records the intent, makes the change, and records how it ended.
pub async fn journaled(
    journal: &Journal,
    step: &str,
    change: &Change,
    replaces: Option<Box<Value>>,
    execution: impl Future<Output = Result<Outcome>>,
) -> Result<()> {
    let seq = journal.intent(step, change, replaces)?;
    match execution.await {
        Ok(outcome) => journal.done(seq, outcome),
        Err(error) => {
            // The error of the change matters more than one of the journal.
            let _ = journal.failed(seq, &error);
            Err(error)
        }
    }
}

/// A real failure matters more than the cancellation that it may have caused.
pub(super) fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.code().id != code::CANCELLED.id => first,
        _ => second,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::engine::plan::Selection;
    use crate::engine::step::Reach;

    #[test]
    fn only_a_daemon_a_network_or_a_kubevirt_that_is_new_leaves_traces_of_kvnets() {
        let apply = |kind: &str, before| Change::Apply { object: Box::new(json!({"kind": kind})), before };
        assert!(installs(&apply("DaemonSet", None)));
        assert!(installs(&apply("NetworkAttachmentDefinition", None)));
        assert!(installs(&apply("KubeVirt", None)));
        assert!(!installs(&apply("DaemonSet", Some(Vec::new()))), "pre-existing");
        assert!(!installs(&apply("ConfigMap", None)));
    }

    #[test]
    fn what_stood_in_the_plan_is_no_surprise() {
        let file = |path: &str| Change::RemoveFile { path: path.into(), before: None };
        let wait = Change::Wait {
            condition: crate::cluster::Condition::File { path: "/x".into() },
            timeout: 1,
            now: String::new(),
        };
        let mut shown = Findings::of(vec![file("/a")]);
        shown.foreseen.push(file("/c").to_string());
        assert_eq!(unplanned(&shown, &[file("/a"), wait, file("/b"), file("/c")]), [&file("/b")]);
    }

    /// A step that waits for what never comes and then has something to change, beside one that fails at once.
    struct Slow;
    struct Failing;

    macro_rules! step {
        ($step:ident, $id:literal, $changes:expr) => {
            #[async_trait::async_trait]
            impl crate::engine::step::Step for $step {
                fn about(&self) -> &'static crate::engine::step::About {
                    const ABOUT: crate::engine::step::About = crate::engine::step::About {
                        id: $id,
                        title: $id,
                        requires: &[],
                        reach: Reach::Anywhere,
                    };
                    &ABOUT
                }

                fn enabled(&self, _: &Context) -> bool {
                    true
                }

                async fn find(&self, _: &Context) -> Result<Findings> {
                    Ok(Findings::of($changes))
                }
            }
        };
    }

    fn command(purpose: &str, words: &[&str]) -> Change {
        let command = crate::host::Command::new(words.iter().copied());
        Change::Run { purpose: purpose.into(), before: None, command, undo: None }
    }

    step!(
        Slow,
        "slow",
        vec![
            Change::Wait {
                condition: crate::cluster::Condition::File { path: "/nonexistent/kvnet".into() },
                timeout: 300,
                now: "absent".into()
            },
            command("touch what must not be touched", &["touch", "/nonexistent/kvnet"]),
        ]
    );
    step!(Failing, "failing", vec![command("fail", &["false"])]);

    #[tokio::test]
    async fn after_a_failure_nothing_new_starts_and_waits_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = camino::Utf8Path::from_path(directory.path()).unwrap().join("state");
        let state = crate::state::StateDir::locate(Some(&path), true);
        let host = Arc::new(crate::host::local::LocalHost);
        let profile = crate::profile::load("default", &[]).unwrap().profile;
        let sources = crate::source::Sources::new(crate::source::SourceOptions {
            stand_ins: true,
            mirror: None,
            cache_dir: state.path("cache"),
            lock_file: None,
            timeout: std::time::Duration::from_secs(1),
        });
        let mut cx = Context::new(host, profile, crate::facts::Facts::default(), sources, state);
        let heard = Arc::new(Heard::default());
        cx.events = heard.clone();
        let steps: Vec<Box<dyn Step>> = vec![Box::new(Slow), Box::new(Failing)];
        let plan = Plan::make(&steps, &Selection::default(), &cx).await.unwrap();
        let journal = Journal::open(&cx.state, "up", "").unwrap();
        let run = Run { cx: &cx, journal: &journal, events: &cx.events, cancel: &cx.cancel };
        let limit = std::time::Duration::from_mins(1);
        let report = tokio::time::timeout(limit, run.apply(&plan)).await.expect("the wait has not ended");
        assert_eq!(report.error.unwrap().code().id, "KVN200", "the failure, not the stop that it caused");
        assert_eq!(report.changes, 0);
        let heard = heard.0.lock().unwrap().clone();
        assert!(!heard.iter().any(|line| line.contains("must not be touched")), "{heard:?}");
        assert!(heard.iter().any(|line| line.contains("StepStopped")), "{heard:?}");
    }

    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<String>>);

    impl crate::context::events::Reporter for Heard {
        fn report(&self, event: Event) {
            self.0.lock().unwrap().push(format!("{event:?}"));
        }
    }
}
