//! `kvnet up`: converges the node and the cluster to the profile.

use std::time::Instant;

use crate::cli::args::{Global, Up};
use crate::cli::consent::AtTerminal;
use crate::cli::exit_code;
use crate::cli::session::Session;
use crate::context::events::Event;
use crate::error::Result;
use crate::run::{self, Ended};
use crate::ui;

/// Runs the command.
pub async fn run(global: &Global, options: &Up) -> Result<u8> {
    let started = Instant::now();
    let mut session = Session::start(global).await?;
    session.job.cx.force_conflicts = options.force_conflicts;
    session.job.cx.cancel = super::stop_on_signal();
    let consent = AtTerminal::of(&session, options.yes);
    let ended = session.until_it_fails(Box::pin(run::up(&session.job, &consent))).await?;
    Ok(finish(&session, &ended, started))
}

/// Reports how a run ended; returns the exit code.
pub fn finish(session: &Session, ended: &Ended, started: Instant) -> u8 {
    let (result, seconds) = (ended.result.into(), started.elapsed().as_secs_f64());
    let (verified, not_checked) = (ended.verified, ended.not_checked.clone());
    session.cx.events.report(Event::Finished {
        result,
        changes: ended.changes,
        seconds,
        verified,
        not_checked,
        left_out: ended.left_out.clone(),
    });
    if let Some(error) = &ended.error {
        ui::error(error, session.format);
    }
    exit_code(ended.error.as_ref(), ended.changes)
}
