//! `kvnet up`: plan, ask, apply, wait, verify.

use std::io::IsTerminal;
use std::time::Instant;

use crate::cli::args::{Format, Global, Up};
use crate::cli::exit_code;
use crate::cli::session::Session;
use crate::engine::events::Event;
use crate::engine::journal::{Journal, Seen};
use crate::engine::plan::Plan;
use crate::engine::runner::{Report, Run};
use crate::error::{Error, Result, code};
use crate::steps::verification::RECORD;
use crate::ui;
use crate::verify::verified;

/// Runs the command.
pub async fn run(global: &Global, options: &Up) -> Result<u8> {
    let started = Instant::now();
    let mut session = Session::start(global).await?;
    session.cx.force_conflicts = options.force_conflicts;
    let seen = Seen::now(&session.cx.state)?;
    session.connect().await?;
    let plan = Plan::make(&session.steps, &session.selection, &session.cx).await?.refuse_errors()?;
    if plan.is_empty() {
        ui::notes(&plan, &session.cx.events);
        finish(&session, "nothing-to-do", 0, started)?;
        return Ok(0);
    }
    if !confirm(&session, &plan, options)? {
        ui::notes(&plan, &session.cx.events);
    }
    let report = apply(&session, &plan, seen).await?;
    let result = if report.error.is_none() { "done" } else { "failed" };
    finish(&session, result, report.changes, started)?;
    if let Some(error) = &report.error {
        ui::error(error, session.format);
    }
    Ok(exit_code(report.error.as_ref(), report.changes))
}

async fn apply(session: &Session, plan: &Plan<'_>, seen: Seen) -> Result<Report> {
    let cx = &session.cx;
    let _lock = cx.state.lock("up")?;
    seen.refuse_change(&cx.state)?;
    let cancel = super::stop_on_signal();
    let journal = Journal::open(&cx.state, "up", &cx.digest)?;
    cx.sources.keep().await?;
    if plan.change_count() > 0 {
        // What was verified before is about to change.
        cx.state.remove(RECORD)?;
    }
    let with_changes = |planned: &&crate::engine::plan::Planned<'_>| {
        planned.findings.as_ref().is_ok_and(|findings| !findings.changes.is_empty())
    };
    let steps = plan.steps.iter().filter(with_changes);
    let steps =
        steps.map(|planned| (planned.step.id().to_owned(), planned.step.title().to_owned())).collect();
    cx.events.report(Event::Started { steps });
    session.report_stand_ins();
    Ok(Run { cx, journal: &journal, events: &cx.events, cancel: &cancel }.apply(plan).await)
}

/// Shows the plan and asks, when somebody can answer; returns whether it was shown.
fn confirm(session: &Session, plan: &Plan<'_>, options: &Up) -> Result<bool> {
    let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    // A sandbox is there to be changed.
    let answered = options.yes || session.sandbox.is_some();
    if answered || !interactive || session.format != Format::Text || plan.change_count() == 0 {
        return Ok(false);
    }
    ui::plan::show(plan, session.format)?;
    let question = dialoguer::Confirm::new().with_prompt("Apply these changes?").default(false);
    match question.interact_opt() {
        Ok(Some(true)) => Ok(true),
        _ => Err(Error::new(&code::DECLINED, "the plan was not confirmed; nothing was changed")),
    }
}

fn finish(session: &Session, result: &str, changes: usize, started: Instant) -> Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    let (verified, not_checked) = match result {
        "failed" => (None, Vec::new()),
        _ => verified(&session.cx).map(|(verified, not_checked)| (Some(verified), not_checked))?,
    };
    session.cx.events.report(Event::Finished {
        result: result.into(),
        changes,
        seconds,
        verified,
        not_checked,
    });
    Ok(())
}
