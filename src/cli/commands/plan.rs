//! `kvnet plan`: what `up` would do.

use crate::cli::PENDING;
use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::engine::plan::Plan;
use crate::error::Result;
use crate::ui;

/// Runs the command.
pub async fn run(global: &Global) -> Result<u8> {
    let session = Session::start(global).await?;
    session.connect().await?;
    let mut plan = Plan::make(&session.steps, &session.selection, &session.cx).await?.refuse_errors()?;
    session.tell_stand_ins(&mut plan);
    ui::plan::show(&plan, session.format)?;
    Ok(if plan.is_empty() { 0 } else { PENDING })
}
