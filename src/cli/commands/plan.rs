//! `kvnet plan`: what `up` would do.

use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::error::{PENDING, Result};
use crate::{run, ui};

/// Runs the command.
pub async fn run(global: &Global) -> Result<u8> {
    let session = Session::start(global).await?;
    let plan = run::plan(&session.job).await?;
    ui::plan::show(&plan, session.format, session.verbose)?;
    Ok(if plan.is_empty() { 0 } else { PENDING })
}
