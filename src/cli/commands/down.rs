//! `kvnet down`: uninstalls what `up` installed, then proves that the node can still start a pod.

use std::time::Instant;

use super::up::finish;
use crate::cli::args::{Down, Global};
use crate::cli::consent::AtTerminal;
use crate::cli::session::Session;
use crate::error::{PENDING, Result};
use crate::run::{self, DownOptions, Undo};
use crate::ui;

/// Runs the command.
pub async fn run(global: &Global, options: &Down) -> Result<u8> {
    let started = Instant::now();
    let mut session = Session::start(global).await?;
    if options.dry_run {
        let undo = Undo::look(&session.job).await?;
        ui::plan::show_down(&undo.teardown, session.format)?;
        return Ok(if undo.is_empty() { 0 } else { PENDING });
    }
    session.job.cx.cancel = super::stop_on_signal();
    let consent = AtTerminal::of(&session, options.yes);
    let how = DownOptions { no_check: options.no_check };
    let ended = session.until_it_fails(Box::pin(run::down(&session.job, how, &consent))).await?;
    Ok(finish(&session, &ended, started))
}
