//! What must be seen on the real node. Every trial takes a fresh node of `tests/rig` through one story.
//!
//! Needs root and minutes, so the trials are ignored unless `KVNET_REAL=1`; then those run that need one Kubernetes and one
//! KubeVirt, the newest. `KVNET_REAL=all` runs those of older versions as well, `older` them alone. None of the wanted
//! ones is skipped. Run one with `KVNET_REAL=1 cargo test --test real -- default`. `KVNET_REAL_KEEP=1` keeps the node of a
//! failed trial.

mod addresses;
mod adopt;
mod api;
mod between;
mod conflict;
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
mod newest;
mod node;
mod packages;
mod parity;
mod see;
mod smoke;
mod thin;
mod topology;
mod upgrade;
mod upstream;
mod versions;
mod vm;
mod walkthrough;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// A trial: its name and its story.
type Story = (&'static str, fn());

const STORIES: &[Story] = &[
    // The longest ones come first, so that two nodes have work until the end.
    ("vm", vm::story),
    ("default", default::story),
    ("smoke", smoke::story),
    ("injected", injected::story),
    ("newest", newest::story),
    ("interrupt", interrupt::story),
    ("containerd1", newest::on_containerd_1),
    ("datapath", datapath::story),
    ("doctor", doctor::story),
    ("thin", thin::story),
    ("adopt", adopt::story),
    ("upstream", upstream::story),
    ("addresses", addresses::story),
    ("init", init::story),
    ("api", api::story),
    // Needs no node.
    ("packages", packages::story),
];
/// What needs older versions, which take long to build.
const OLDER: &[Story] = &[
    ("vm15", vm::of_1_5),
    ("upgrade", upgrade::story),
    ("parity", parity::story),
    ("parity2018", parity::of_2018),
    ("kubernetes136", newest::on_1_36),
    ("walkthrough", walkthrough::story),
];
/// Each node wants a core to itself.
const NODES_AT_ONCE: usize = 2;

fn main() -> ExitCode {
    if packages::inside().is_some() {
        return ExitCode::SUCCESS;
    }
    let wanted = std::env::var("KVNET_REAL").unwrap_or_default();
    let (newest, older) =
        (matches!(wanted.as_str(), "1" | "all"), matches!(wanted.as_str(), "older" | "all"));
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(NODES_AT_ONCE).min(NODES_AT_ONCE));
    let trials = STORIES.iter().map(|&(name, story)| trial(name, story, newest, "1"));
    let of_older = OLDER.iter().map(|&(name, story)| trial(name, story, older, "all"));
    let trials = trials.chain(of_older).collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trial(name: &str, story: fn(), wanted: bool, by: &str) -> Trial {
    let trial = Trial::test(name, move || {
        story();
        Ok(())
    });
    let kind = if wanted { "real node".into() } else { format!("real node: needs root and KVNET_REAL={by}") };
    trial.with_kind(kind).with_ignored_flag(!wanted)
}
