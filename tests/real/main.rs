//! What must be seen on the real node. Every trial takes a fresh node of `tests/rig` through one story.
//!
//! Needs root and minutes, so the trials are ignored unless `KVNET_REAL=1`; then all of them run, and none is skipped but
//! the VM's, which wants `KVNET_REAL_VM=1` besides.
//! Run one with `KVNET_REAL=1 cargo test --test real -- default`. `KVNET_REAL_KEEP=1` keeps the node of a failed trial.

mod adopt;
mod api;
mod conflict;
#[path = "../survives/count.rs"]
mod count;
mod cuts;
mod default;
mod drift;
mod guests;
mod init;
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

/// The story that needs `KVNET_REAL_VM=1` besides.
const VM: &str = "vm";
const STORIES: &[Story] = &[
    // The longest one comes first: the others run beside it.
    (VM, vm::story),
    ("default", default::story),
    ("upstream", upstream::story),
    ("thin", thin::story),
    ("init", init::story),
    ("adopt", adopt::story),
    ("api", api::story),
    ("interrupt", interrupt::story),
    ("smoke", smoke::story),
    ("parity", parity::story),
];
/// Each node wants a core to itself.
const NODES_AT_ONCE: usize = 2;

fn main() -> ExitCode {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| value == "1");
    // The story of the VM has been seen in parts only, and wants a second Kubernetes to be built.
    let wanted = |name: &str| is_set("KVNET_REAL") && (name != VM || is_set("KVNET_REAL_VM"));
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(NODES_AT_ONCE).min(NODES_AT_ONCE));
    let trials = STORIES.iter().map(|&(name, story)| trial(name, story, wanted(name))).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, story: fn(), wanted: bool) -> Trial {
    let trial = Trial::test(name, move || {
        story();
        Ok(())
    });
    let kind = match (wanted, name) {
        (true, _) => "real node",
        (false, VM) => "real node: needs root, KVNET_REAL=1 and KVNET_REAL_VM=1",
        (false, _) => "real node: needs root and KVNET_REAL=1",
    };
    trial.with_kind(kind).with_ignored_flag(!wanted)
}
