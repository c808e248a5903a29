//! `kvnet status`: which steps are in place.

use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::engine::plan::State;
use crate::error::{PENDING, Result};
use crate::{run, ui};

/// Runs the command.
pub async fn run(global: &Global) -> Result<u8> {
    let session = Session::start(global).await?;
    let plan = run::status(&session.job).await?;
    ui::status::show(&plan, session.format)?;
    if let Some(error) = plan.steps.iter().find_map(|planned| planned.findings.as_ref().err()) {
        ui::name_log();
        // Not 3: it is unknown whether changes are pending.
        return Ok(error.exit_code());
    }
    let in_place = plan.steps.iter().all(|planned| planned.state() == State::InPlace);
    Ok(if in_place { 0 } else { PENDING })
}
