//! Nodes for the tests of this folder, and their commands.

mod faults;
mod files;
mod hostile;
mod programs;
mod switch;

use super::{Distribution, SandboxHost, Seed};
use crate::facts::packages::PackageManager;
use crate::host::{Command, Host, Output};
use crate::store::Store;

/// A new node of that distribution, as root.
fn node(distribution: Distribution) -> SandboxHost {
    SandboxHost::new(Store::in_memory(), distribution, 0).unwrap()
}

/// A new Debian node that was made otherwise than usual.
fn seeded(change: impl FnOnce(&mut Seed)) -> SandboxHost {
    let mut seed = Seed::new(Distribution::Debian);
    change(&mut seed);
    SandboxHost::seeded(Store::in_memory(), &seed, 0).unwrap()
}

/// A Debian node on which Open vSwitch runs.
async fn switch() -> SandboxHost {
    let node = node(Distribution::Debian);
    let output = node.run(&PackageManager::Apt.install("openvswitch-switch", 60)).await.unwrap();
    assert!(output.success(), "{output:?}");
    node
}

/// Runs a command of words without blanks.
async fn run(node: &SandboxHost, line: &str) -> Output {
    node.run(&Command::new(line.split_whitespace())).await.unwrap()
}

/// What a command of words without blanks prints; it has to succeed.
async fn printed(node: &SandboxHost, line: &str) -> String {
    let output = run(node, line).await;
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{line}");
    output.stdout
}

/// The exit code and the first line that a failing command says.
async fn failure(node: &SandboxHost, line: &str) -> (i32, String) {
    let output = run(node, line).await;
    (output.status, output.stderr.lines().next().unwrap_or_default().to_owned())
}
