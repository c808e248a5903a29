//! After `kvnet down` the node still starts pods.

use crate::error::{Error, Result};
use crate::smoke::room::CaseContext;
use crate::verify::plain_pod;

/// The final check of `down`. It reports its own result; its error only counts when there is none.
pub async fn run(ctx: &CaseContext) -> Result<()> {
    let run: Result<()> = plain_pod(&ctx.cx).await;
    let seen_to_fail = |_: &Error| ctx.failed_check().is_some();
    run.or_else(|error| if seen_to_fail(&error) { Ok(()) } else { Err(error) })
}
