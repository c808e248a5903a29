//! What `kvnet down` left: a node that starts pods.

use crate::error::{Error, Result};
use crate::smoke::room::Room;
use crate::verify::plain_pod;

/// The check that `down` ends with. It tells what it saw itself, so that its error only repeats it when it saw nothing.
pub async fn run(room: &Room) -> Result<()> {
    let run: Result<()> = plain_pod(&room.cx).await;
    let seen_to_fail = |_: &Error| room.failed_check().is_some();
    run.or_else(|error| if seen_to_fail(&error) { Ok(()) } else { Err(error) })
}
