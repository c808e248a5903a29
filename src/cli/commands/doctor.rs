//! `kvnet doctor`: what is broken on this node, and what to do about it.

use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::doctor;
use crate::error::Result;
use crate::log;
use crate::ui;

/// Runs the command. A cluster that does not answer is what it is there for, and no error.
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
