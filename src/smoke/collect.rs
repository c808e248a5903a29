//! Diagnostics of a failed case, in a directory of their own: what `kvnet sysdump` collects, as far as it is the case's.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::report::CaseResult;
use super::room::CaseContext;
use crate::error::Result;
use crate::state::StateDir;
use crate::sysdump::{Dump, Limits, collect_case};

/// How long the diagnostics of a case may take.
const TIME: Duration = Duration::from_mins(1);
/// The most bytes that they may have.
const BYTES: usize = 32 << 20;

/// Collects diagnostics into directories.
#[derive(Clone, Debug)]
pub struct Collector {
    /// The directory of a run; each failed case gets a subdirectory.
    pub directory: Utf8PathBuf,
}

impl Collector {
    /// Collects diagnostics of a failed case, and returns the directory; none when it is not writable.
    pub async fn collect(&self, ctx: &CaseContext, outcome: &CaseResult) -> Option<String> {
        let directory = self.directory.join(&outcome.case);
        let dump = Dump::new(&ctx.cx.profile, Limits::new(TIME, BYTES));
        dump.put("result.json", &serde_json::to_string_pretty(outcome).unwrap_or_default());
        collect_case(&ctx.cx, &ctx.cluster, &ctx.namespace, &dump).await;
        let (files, _) = dump.finish();
        files.iter().try_for_each(|(name, text)| write(&directory.join(name), text)).ok()?;
        Some(directory.to_string())
    }
}

fn write(path: &Utf8Path, text: &str) -> Result<()> {
    let name = path.file_name().unwrap_or_default();
    StateDir::locate(path.parent(), true).write(name, text)
}
