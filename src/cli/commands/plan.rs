//! `kvnet plan`: what `up` would do.

use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::error::{PENDING, Result};
use crate::locking::{Standing, Wanted};
use crate::{run, ui};

/// Runs the command.
pub async fn run(global: &Global) -> Result<u8> {
    let session = Session::start(global).await?;
    let plan = run::plan(&session.job).await?;
    // A manifest that cannot be had has been told, and is no reason to show no plan.
    let standing = match Wanted::of_profile(&session.cx, &session.selection).await {
        Ok(wanted) => Some(Standing::of(&wanted, &global.lock_path())?),
        Err(_) => None,
    };
    ui::plan::show_with(&plan, standing.as_ref(), session.format, session.verbose)?;
    Ok(if plan.is_empty() { 0 } else { PENDING })
}
