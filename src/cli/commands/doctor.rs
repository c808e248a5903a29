//! `kvnet doctor`: what is broken on this node, and how to fix it.

use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::error::Result;
use crate::{doctor, log, ui};

/// Runs the command. An unreachable cluster is a finding, not an error.
pub async fn run(global: &Global) -> Result<u8> {
    let session = Session::start(global).await?;
    let refusal = session.connect().await.err();
    let diagnosis = doctor::examine(&session.cx, refusal, &session.steps, &session.selection).await?;
    for finding in &diagnosis.checks {
        log::found(finding.check, finding.verdict.state, &finding.verdict.found);
    }
    ui::doctor::show(&diagnosis, session.format, session.verbose)?;
    if diagnosis.broken().is_none() {
        return Ok(0);
    }
    ui::name_log();
    Ok(1)
}
