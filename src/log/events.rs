//! Events of a run, for the log and for whoever shows them.

use std::sync::Arc;

use crate::context::events::{Event, Events, Reporter, Verdict};
use crate::smoke::{Listener, News};

/// Logs each event, and passes it on.
pub struct Noted(pub Events);

impl Reporter for Noted {
    fn report(&self, event: Event) {
        note(&event);
        self.0.report(event);
    }
}

/// Logs the news of smoke tests, and passes them on.
pub struct Heard(pub Arc<dyn Listener>);

impl Listener for Heard {
    fn hear(&self, news: News<'_>) {
        match &news {
            News::Begins { case } => tracing::info!(target: "kvnet::event", case, "case begins"),
            News::Waits { case, reason } => tracing::info!(target: "kvnet::event", case, reason, "waiting"),
            News::Ended(result) => {
                for check in &result.checks {
                    verdict(&check.check, check.verdict, &check.detail);
                }
                let why =
                    result.failure.as_ref().map(crate::smoke::CaseFailure::line).or(result.reason.clone());
                let (case, status, why) = (&result.case, result.status, why.unwrap_or_default());
                tracing::info!(target: "kvnet::event", case, ?status, why, seconds = result.seconds, "case ended");
            }
        }
        self.0.hear(news);
    }
}

fn verdict(check: &str, verdict: Verdict, detail: &str) {
    match verdict {
        Verdict::Passed => tracing::info!(target: "kvnet::event", check, detail, "check passed"),
        Verdict::Failed => tracing::warn!(target: "kvnet::event", check, detail, "check failed"),
        Verdict::NotChecked => tracing::warn!(target: "kvnet::event", check, detail, "not checked"),
    }
}

/// Logs the state of a check of `doctor` or a link of `trace`.
pub fn found(what: &str, state: impl std::fmt::Debug, found: &str) {
    tracing::info!(target: "kvnet::event", what, ?state, found, "looked");
}

/// Logs a note or warning to the user.
pub fn told(warning: bool, step: Option<&str>, text: &str) {
    let step = step.unwrap_or_default();
    if warning {
        tracing::warn!(target: "kvnet::event", step, text, "warning");
    } else {
        tracing::info!(target: "kvnet::event", step, text, "note");
    }
}

fn note(event: &Event) {
    match event {
        Event::Started { steps, target } => {
            let steps: Vec<&str> = steps.iter().map(|(id, _)| id.as_str()).collect();
            let (steps, target) = (steps.join(","), target.lines().join("; "));
            tracing::info!(target: "kvnet::event", steps, target, "started");
        }
        Event::StepStarted { step } => tracing::info!(target: "kvnet::event", step, "step started"),
        Event::ChangeStarted { step, change } => {
            tracing::info!(target: "kvnet::event", step, change, "change started");
        }
        Event::Waiting { step, reason } => tracing::info!(target: "kvnet::event", step, reason, "waiting"),
        Event::ChangeDone { step, change, seconds } => {
            tracing::info!(target: "kvnet::event", step, change, seconds, "change done");
        }
        Event::StepDone { step, changes, seconds } => {
            tracing::info!(target: "kvnet::event", step, changes, seconds, "step done");
        }
        Event::StepFailed { step, code, message } => {
            tracing::error!(target: "kvnet::event", step, code, message, "step failed");
        }
        Event::StepStopped { step } => tracing::info!(target: "kvnet::event", step, "step stopped"),
        Event::Check { check, verdict: held, detail } => verdict(check, *held, detail),
        Event::Note { step, warning, text } => told(*warning, step.as_deref(), text),
        Event::Finished { result, changes, seconds, verified, .. } => {
            tracing::info!(target: "kvnet::event", result, changes, seconds, ?verified, "finished");
        }
    }
}
