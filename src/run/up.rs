//! `plan`, `status` and `up`.

use super::{Consent, Ended, Job, Question};
use crate::context::events::{Event, Events};
use crate::engine::journal::{History, Journal, Seen};
use crate::engine::plan::{Plan, Planned};
use crate::engine::runner::{Report, Run};
use crate::engine::step::{Findings, Note};
use crate::error::Result;
use crate::steps::verification::RECORD;
use crate::verify;

/// Computes what `up` would do.
/// Fails when a step cannot be checked or refuses.
pub async fn plan(job: &Job) -> Result<Plan<'_>> {
    status(job).await?.refuse_errors()
}

/// The findings of every step; a step that cannot be checked has its error there.
pub async fn status(job: &Job) -> Result<Plan<'_>> {
    job.connect().await?;
    let mut plan = Plan::make(&job.steps, &job.selection, &job.cx).await?;
    job.tell_sources(&mut plan).await;
    job.tell_apply(&mut plan).await?;
    Ok(plan)
}

/// Converges the node and the cluster to the profile: plans, asks, locks, applies, verifies.
/// Fails only before the first change; later errors are in [`Ended`].
pub async fn up(job: &Job, consent: &dyn Consent) -> Result<Ended> {
    let cx = &job.cx;
    let seen = Seen::now(&cx.state)?;
    History::read(&cx.state)?.refuse_other_machine(&job.machine(), &cx.state)?;
    let plan = plan(job).await?;
    if plan.is_empty() {
        tell_notes(&plan, &cx.events);
        return verified(job, Ended::nothing()).await;
    }
    // Waits change nothing; test pods do.
    let shown = !plan.only_waits() && consent.ask(&Question::Up(&plan))?;
    let report = apply(job, &plan, seen, shown).await?;
    verified(job, Ended::of(report.changes, report.error)).await
}

/// Adds which checks were made: a step that the profile enables and the run skips was not checked.
async fn verified(job: &Job, mut ended: Ended) -> Result<Ended> {
    if ended.error.is_none() {
        let (verified, not_checked) = verify::verified(&job.cx).await?;
        let unseen = unseen(job);
        ended.verified = Some(verified && unseen.is_none());
        ended.not_checked = not_checked.into_iter().chain(unseen).collect();
        ended.left_out = verify::left_out(&job.cx.profile);
    }
    Ok(ended)
}

/// The steps that the run skips although the profile enables them, in one line.
fn unseen(job: &Job) -> Option<String> {
    let unseen = job.steps.iter().filter(|step| step.enabled(&job.cx) && !job.selection.wants(step.id()));
    let mut unseen: Vec<&str> = unseen.map(|step| step.id()).collect();
    // Without KubeVirt nothing would run the VM.
    if job.cx.profile.vm.enabled && verify::leaves_out_vm(&job.cx) && !unseen.contains(&"vm") {
        unseen.push("vm");
    }
    let what = if unseen.len() == 1 { "step" } else { "steps" };
    (!unseen.is_empty()).then(|| format!("{what} {} (excluded by `--skip` or `--only`)", unseen.join(", ")))
}

async fn apply(job: &Job, plan: &Plan<'_>, seen: Seen, shown: bool) -> Result<Report> {
    let cx = &job.cx;
    let _lock = cx.state.lock("up")?;
    seen.refuse_change(&cx.state)?;
    let journal = Journal::open_on(&job.machine(), &cx.state, "up", &cx.digest)?;
    cx.acts().await;
    // Downloads of the plan are pinned by the run that applies them.
    cx.sources.keep().await?;
    if plan.change_count() > 0 {
        // The verified state is about to change.
        cx.state.remove(RECORD)?;
    }
    let acts = |planned: &&Planned<'_>| planned.findings.as_ref().is_ok_and(Findings::acts);
    let steps = plan.steps.iter().filter(acts).map(|planned| planned.step);
    let steps = steps.map(|step| (step.id().to_owned(), step.title().to_owned())).collect();
    cx.events.report(Event::Started { steps, target: plan.target.clone() });
    if !shown {
        tell_notes(plan, &cx.events);
    }
    Ok(Run { cx, journal: &journal, events: &cx.events, cancel: &cx.cancel }.apply(plan).await)
}

/// Reports the warnings of a plan that was not shown, and the notes of steps with changes.
fn tell_notes(plan: &Plan<'_>, events: &Events) {
    for text in plan.target.missed() {
        events.report(Event::Note { step: None, warning: true, text });
    }
    for planned in &plan.steps {
        let Ok(findings) = &planned.findings else { continue };
        let wanted = |note: &&Note| note.warning || !findings.changes.is_empty();
        for Note { warning, text } in findings.notes.iter().filter(wanted) {
            let step = Some(planned.step.id().to_owned());
            events.report(Event::Note { step, warning: *warning, text: text.clone() });
        }
    }
}
