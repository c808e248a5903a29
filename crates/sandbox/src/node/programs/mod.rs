//! The programs of a node in memory, each with the output and the exit codes that kvnet reads. docs/sandbox.md says which of
//! them a test compares with the real ones.

mod apt;
mod kubeadm;
mod network;
mod others;
mod rpm;
mod services;
mod tools;

use rustix::io::Errno;

use super::ovs;
use super::seed::Seed;
use crate::error::{Error, Result, code};
use crate::host::{Command, Output};
use crate::store::Transaction;

/// A program's view of the node.
pub(super) struct Invocation<'a, 't> {
    /// The node.
    pub(super) transaction: &'a mut Transaction<'t>,
    /// What the node was made as.
    pub(super) seed: &'a Seed,
    /// Who runs it.
    pub(super) user: u32,
    /// The program's arguments.
    pub(super) words: Vec<&'a str>,
}

/// Runs a program that is on the node.
/// Fails with `KVN505` for a command line that the sandbox does not know.
pub(super) fn run(
    transaction: &mut Transaction<'_>,
    seed: &Seed,
    user: u32,
    command: &Command,
) -> Result<Output> {
    if command.program() == "ovs-vsctl" {
        return ovs::run(transaction, user, command);
    }
    let words = command.argv.iter().skip(1).map(String::as_str).collect();
    let mut call = Invocation { transaction, seed, user, words };
    answer(command.program(), &mut call).ok_or_else(|| unknown(command))
}

/// None for what the sandbox does not know.
fn answer(program: &str, call: &mut Invocation<'_, '_>) -> Option<Output> {
    match program {
        "uname" => tools::uname(call),
        "mv" => tools::mv(call),
        "rmdir" => tools::rmdir(call),
        "modprobe" => tools::modprobe(call),
        "sysctl" => tools::sysctl(call),
        "containerd" => tools::containerd(call),
        "kubeadm" => kubeadm::run(call),
        "ip" => network::ip(call),
        "systemctl" => services::systemctl(call),
        "rc-service" => services::rc_service(call),
        "rc-update" => services::rc_update(call),
        "apt-get" => apt::apt_get(call),
        "dpkg" => apt::dpkg(call),
        "dpkg-query" => apt::dpkg_query(call),
        "dnf" | "yum" => rpm::dnf(call),
        "zypper" => rpm::zypper(call),
        "rpm" => rpm::rpm(call),
        "pacman" => others::pacman(call),
        "apk" => others::apk(call),
        _ => None,
    }
}

/// A program that succeeds and prints something.
#[allow(clippy::unnecessary_wraps, reason = "programs return it, and none for what they do not know")]
fn prints(stdout: impl Into<String>) -> Option<Output> {
    Some(Output { stdout: stdout.into(), ..Output::default() })
}

/// A program that fails and says why; its line end is added.
#[allow(clippy::unnecessary_wraps, reason = "programs return it, and none for what they do not know")]
fn fails(status: i32, stderr: impl Into<String>) -> Option<Output> {
    Some(Output { status, stdout: String::new(), stderr: stderr.into() + "\n" })
}

/// Texts after each other.
fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().concat()
}

/// What the C library says about an error number.
pub(super) fn reason(error: Errno) -> String {
    let text = std::io::Error::from(error).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn unknown(command: &Command) -> Error {
    Error::new(&code::INTERNAL, format!("the sandbox does not know `{}`", command.display()))
}
