//! `kvnet down`: takes back what `up` made, then proves that the node can still start a pod.

use std::io::IsTerminal;
use std::time::Instant;

use crate::cli::args::{Down, Format, Global};
use crate::cli::session::Session;
use crate::cli::{PENDING, exit_code};
use crate::engine::events::Event;
use crate::engine::journal::{FILE, History, Journal, Seen};
use crate::engine::runner::{Report, Run};
use crate::engine::teardown::Teardown;
use crate::error::{Error, Result, code};
use crate::steps::verification::RECORD;
use crate::ui;
use crate::verify;

/// Runs the command.
pub async fn run(global: &Global, options: &Down) -> Result<u8> {
    let started = Instant::now();
    let session = Session::start(global).await?;
    session.connect().await?;
    let seen = Seen::now(&session.cx.state)?;
    let history = History::read(&session.cx.state)?;
    let mut teardown = Teardown::make(&session.steps, &session.cx, &history).await?;
    let partial = teardown.narrow(&session.selection);
    teardown.refuse_blocked()?;
    if options.dry_run {
        ui::plan::show_down(&teardown, session.format)?;
        return Ok(if teardown.change_count() == 0 { 0 } else { PENDING });
    }
    if teardown.change_count() == 0 {
        if !partial {
            end_journal(&session, seen)?;
        }
        finish(&session, "nothing-to-do", 0, started);
        return Ok(0);
    }
    confirm(&session, &teardown, options)?;
    let report = apply(&session, &teardown, seen, partial, options).await?;
    let result = if report.error.is_none() { "done" } else { "failed" };
    finish(&session, result, report.changes, started);
    if let Some(error) = &report.error {
        ui::error(error, session.format);
    }
    Ok(exit_code(report.error.as_ref(), report.changes))
}

/// A `down` that was killed after its last change has left this to the next one.
fn end_journal(session: &Session, seen: Seen) -> Result<()> {
    let state = &session.cx.state;
    if state.mark(FILE)?.is_none() {
        return Ok(());
    }
    let _lock = state.lock("down")?;
    seen.refuse_change(state)?;
    Journal::open(state, "down", &session.cx.digest)?.retire()
}

async fn apply(
    session: &Session,
    teardown: &Teardown<'_>,
    seen: Seen,
    partial: bool,
    options: &Down,
) -> Result<Report> {
    let cx = &session.cx;
    let _lock = cx.state.lock("down")?;
    seen.refuse_change(&cx.state)?;
    let cancel = super::stop_on_signal();
    let journal = Journal::open(&cx.state, "down", &cx.digest)?;
    cx.state.remove(RECORD)?;
    let steps = teardown.0.iter().filter(|removal| !removal.changes.is_empty());
    let steps =
        steps.map(|removal| (removal.step.id().to_owned(), removal.step.title().to_owned())).collect();
    cx.events.report(Event::Started { steps });
    let run = Run { cx, journal: &journal, events: &cx.events, cancel: &cancel };
    let mut report = teardown.apply(&run).await;
    if report.error.is_none() && !options.no_check && cx.cluster().await.is_some() {
        report.error = verify::plain_pod(cx).await.err();
    }
    if report.error.is_none() && !partial {
        journal.retire()?;
    }
    Ok(report)
}

fn confirm(session: &Session, teardown: &Teardown<'_>, options: &Down) -> Result<()> {
    let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if options.yes || session.sandbox.is_some() || session.format != Format::Text {
        return Ok(());
    }
    if !interactive {
        let message = "`kvnet down` takes things away and nobody can be asked";
        return Err(Error::new(&code::USAGE, message).hint("repeat with `--yes`, or look with `--dry-run`"));
    }
    ui::plan::show_down(teardown, session.format)?;
    let question = dialoguer::Confirm::new().with_prompt("Take this back?").default(false);
    match question.interact_opt() {
        Ok(Some(true)) => Ok(()),
        _ => Err(Error::new(&code::DECLINED, "not confirmed; nothing was changed")),
    }
}

fn finish(session: &Session, result: &str, changes: usize, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    let (result, verified, not_checked) = (result.into(), None, Vec::new());
    session.cx.events.report(Event::Finished { result, changes, seconds, verified, not_checked });
}
