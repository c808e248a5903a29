//! kvnet's own state: the journals and the logs of its runs, which have no secrets.

use super::Dump;
use crate::context::Context;
use crate::engine::journal;
use crate::state::LOGS;

/// The files of the state directory.
const FILES: [&str; 3] = [journal::FILE, "journal.last.jsonl", "manifests.lock.json"];
/// How many logs of runs are added, the last ones.
const RUNS: usize = 10;

/// Adds what there is.
pub fn collect(cx: &Context, dump: &Dump) {
    for file in FILES {
        keep(cx, dump, file);
    }
    match cx.state.list(LOGS) {
        Ok(names) => names.iter().rev().take(RUNS).for_each(|name| keep(cx, dump, &format!("{LOGS}/{name}"))),
        Err(error) => dump.lacks("kvnet/logs", &format!("[{}] {error}", error.code().id)),
    }
}

fn keep(cx: &Context, dump: &Dump, file: &str) {
    let name = format!("kvnet/{file}");
    match cx.state.read(file) {
        Ok(text) => dump.put(&name, &text.unwrap_or_default()),
        Err(error) => dump.lacks(&name, &format!("[{}] {error}", error.code().id)),
    }
}
