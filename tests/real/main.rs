//! What must be seen on the real node. Every trial takes a fresh node of `tests/rig` through one story.
//!
//! Needs root and minutes, so the trials are ignored unless `KVNET_REAL=1`; then all of them run, and none is skipped.
//! Run one with `KVNET_REAL=1 cargo test --test real -- default`. `KVNET_REAL_KEEP=1` keeps the node of a failed trial.

mod addresses;
mod adopt;
mod api;
mod between;
mod conflict;
#[path = "../survives/count.rs"]
mod count;
mod cuts;
mod datapath;
mod default;
mod doctor;
mod drift;
mod guests;
mod init;
mod injected;
mod interrupt;
mod kvnet;
mod networks;
mod node;
mod parity;
mod see;
mod smoke;
mod thin;
mod topology;
mod upstream;
mod versions;
mod vm;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A trial: its name and its story.
type Story = (&'static str, fn());

const STORIES: &[Story] = &[
    // The longest one comes first: the others run beside it.
    ("vm", vm::story),
    ("default", default::story),
    ("upstream", upstream::story),
    ("thin", thin::story),
    ("init", init::story),
    ("adopt", adopt::story),
    ("api", api::story),
    ("interrupt", interrupt::story),
    ("smoke", smoke::story),
    ("doctor", doctor::story),
    ("datapath", datapath::story),
    ("injected", injected::story),
    ("addresses", addresses::story),
    ("parity", parity::story),
];
/// Each node wants a core to itself.
const NODES_AT_ONCE: usize = 2;

fn main() -> ExitCode {
    let wanted = std::env::var_os("KVNET_REAL").is_some_and(|value| value == "1");
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(NODES_AT_ONCE).min(NODES_AT_ONCE));
    let trials = STORIES.iter().map(|&(name, story)| trial(name, story, wanted)).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, story: fn(), wanted: bool) -> Trial {
    let trial = Trial::test(name, move || {
        story();
        Ok(())
    });
    let kind = if wanted { "real node" } else { "real node: needs root and KVNET_REAL=1" };
    trial.with_kind(kind).with_ignored_flag(!wanted)
}
