//! The tests that need no node, no cluster and no root, as one program: it is linked once.
#![allow(missing_docs, reason = "a test program")]

#[cfg(not(debug_assertions))]
compile_error!("a release build has no points to be killed at: run these tests without `--release`");

/// The binary as its users see it.
mod it;
/// The sandbox compared with the recorded answers of the real thing.
mod parity;
/// Kills, faults, hostile input.
mod survives;

/// The binary, which [`kvnet_test_kit::run::Place`] finds by itself.
const KVNET: &str = env!("CARGO_BIN_EXE_kvnet");
