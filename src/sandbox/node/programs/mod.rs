//! The programs of a node in memory, each with the output and the exit codes of the real one.

use rustix::io::Errno;

use super::ovs;
use super::seed::Seed;
use crate::error::{Error, Result, code};
use crate::host::{Command, Output};
use crate::sandbox::store::Transaction;

/// Runs a program that is on the node.
///
/// # Errors
/// `KVN505` for a command line that the sandbox does not know.
pub(super) fn run(
    transaction: &mut Transaction<'_>,
    seed: &Seed,
    user: u32,
    command: &Command,
) -> Result<Output> {
    match command.program() {
        "ovs-vsctl" => ovs::run(transaction, user, command),
        _ => Err(unknown(command)),
    }
}

/// What the C library says about an error number.
pub(super) fn reason(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn unknown(command: &Command) -> Error {
    Error::new(&code::INTERNAL, format!("the sandbox does not know `{}`", command.display()))
}
