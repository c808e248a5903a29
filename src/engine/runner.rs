//! Applies a plan: independent steps at the same time, each change journaled, nothing new after the first failure.

use std::collections::BTreeSet;
use std::time::Instant;

use futures::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;

use super::cancel::Cancel;
use super::change::{Change, Outcome};
use super::checkpoint::reached;
use super::context::Context;
use super::events::{Event, Events};
use super::execute::{execute, replaced_object};
use super::journal::Journal;
use super::plan::{Plan, Planned};
use super::step::AnyStep;
use crate::error::{Error, Result, code};

/// A step may need to look again after its changes, because a component writes files by itself; more often than this
/// means that it does not converge.
const PASSES: usize = 5;

/// What a run needs besides the plan.
pub struct Run<'a> {
    /// The node and the cluster.
    pub cx: &'a Context,
    /// Where changes are recorded.
    pub journal: &'a Journal,
    /// Who hears what happens.
    pub events: &'a Events,
    /// Whether the user wants to stop.
    pub cancel: &'a Cancel,
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Report {
    /// How many changes were made.
    pub changes: usize,
    /// The first error; other steps were allowed to finish their change in hand.
    pub error: Option<Error>,
}

/// A step that ended, with the number of its changes.
struct Ended {
    id: &'static str,
    changes: usize,
    /// Whether something that it builds on was changed, however far below.
    looked_again: bool,
    result: Result<()>,
}

impl Run<'_> {
    /// Applies a plan without errors.
    pub async fn apply(&self, plan: &Plan<'_>) -> Report {
        let mut report = Report::default();
        let (mut done, mut changed) = (BTreeSet::new(), BTreeSet::new());
        let mut started = BTreeSet::new();
        let mut running = FuturesUnordered::new();
        loop {
            let stopping = report.error.is_some() || self.cancel.is_cancelled();
            if !stopping {
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
            report.changes += ended.changes;
            if ended.changes > 0 || ended.looked_again {
                changed.insert(ended.id);
            }
            match ended.result {
                Ok(()) => _ = done.insert(ended.id),
                Err(error) => report.error = Some(worse(report.error.take(), error)),
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
        let mut changes = 0;
        let result = self.converge(planned, look_again, &mut changes).await;
        let seconds = started.elapsed().as_secs_f64();
        match &result {
            Ok(()) if changes > 0 => self.report(Event::StepDone { step: id.into(), changes, seconds }),
            Ok(()) => {}
            Err(error) => {
                let (code, message) = (error.code().id.into(), error.to_string());
                self.report(Event::StepFailed { step: id.into(), code, message });
            }
        }
        Ended { id, changes, looked_again: look_again, result }
    }

    /// Applies what was found and looks again until nothing is left to do.
    async fn converge(&self, planned: &Planned<'_>, look_again: bool, count: &mut usize) -> Result<()> {
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
            for change in &changes {
                self.change(step.id(), change).await?;
                *count += 1;
            }
            step.verify(self.cx).await?;
            if changes.iter().all(Change::only_observes) {
                return Ok(());
            }
            changes = step.find(self.cx).await?.changes;
            if changes.is_empty() {
                return Ok(());
            }
        }
        let left: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let message = format!("step `{}` does not come to rest", step.id());
        Err(Error::new(&code::INTERNAL, message).because(left.join("; ")))
    }

    /// Notes what was on the node before a step installs its component, so that `down` leaves it there. Nothing is noted,
    /// and so nothing removed, when somebody else installed the component: its traces are theirs, also those that come
    /// later.
    async fn record_before(&self, step: &dyn AnyStep, changes: &[Change]) -> Result<()> {
        let traces = step.traces(self.cx);
        let known = self.journal.present(step.id()).is_some();
        if traces.is_empty() || known || !changes.iter().any(installs) {
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

/// Whether a change brings something to the cluster that leaves traces on nodes.
fn installs(change: &Change) -> bool {
    let Change::Apply { object, before: None } = change else { return false };
    let kind = object["kind"].as_str().unwrap_or_default();
    // A KubeVirt is what its operator makes virt-handler from.
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

/// A real failure says more than the cancellation that it may have caused.
fn worse(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.code().id != code::CANCELLED.id => first,
        _ => second,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_daemon_a_network_or_a_kubevirt_that_is_new_leaves_traces_of_kvnets() {
        let apply = |kind: &str, before| Change::Apply { object: Box::new(json!({"kind": kind})), before };
        assert!(installs(&apply("DaemonSet", None)));
        assert!(installs(&apply("NetworkAttachmentDefinition", None)));
        assert!(installs(&apply("KubeVirt", None)));
        assert!(!installs(&apply("DaemonSet", Some(Vec::new()))), "somebody else's");
        assert!(!installs(&apply("ConfigMap", None)));
    }
}
