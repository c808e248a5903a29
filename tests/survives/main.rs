//! What kvnet survives: kills, faults, hostile input. What was tried is counted in `docs/survives.md`.
#![allow(missing_docs, reason = "a test program")]

#[cfg(not(debug_assertions))]
compile_error!("a release build has no points to be killed at: run these tests without `--release`");

mod api_faults;
mod corpora;
mod count;
mod down;
mod essence;
mod expired;
mod foreign;
mod host;
mod host_faults;
mod hostile;
mod hostile_box;
#[path = "../../fuzz/inputs.rs"]
mod inputs;
mod inside;
#[path = "../it/kept.rs"]
mod kept;
mod kill;
mod local;
mod mutations;
mod properties;
#[path = "../it/run.rs"]
#[allow(dead_code, reason = "the other program's tests use the rest")]
mod run;
mod secrets;
mod secrets_box;
mod server;
mod two;
