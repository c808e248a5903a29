//! The record of a run that spans a reboot.

use serde::{Deserialize, Serialize};

use super::report::CaseResult;
use crate::context::Context;
use crate::error::{Error, Result, code};
use crate::state::StateDir;

/// The file in the state directory.
const RECORD: &str = "smoke.json";
/// Changes with each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// A run that continues after the boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The namespace of the case that reboots.
    pub namespace: String,
    /// The boot id before the reboot.
    pub boot: String,
    /// The results of the other cases.
    pub results: Vec<CaseResult>,
}

impl Pending {
    /// Reads the pending run, if any.
    pub fn read(state: &StateDir) -> Result<Option<Self>> {
        Ok(state.read(RECORD)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Removes the record.
    pub fn forget(state: &StateDir) -> Result<()> {
        state.remove(RECORD)
    }

    /// Writes the record, before the node reboots.
    pub fn write(&self, state: &StateDir) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::new(&code::INTERNAL, "cannot serialise the record").because(error))?;
        state.write(RECORD, &text)
    }
}

/// The current boot id.
pub async fn boot(cx: &Context) -> Result<String> {
    let text = cx.host.read(BOOT_ID.into()).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}
