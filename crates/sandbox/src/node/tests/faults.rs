//! Faults of commands and files.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use rustix::io::Errno;
use tokio::time::Instant;

use super::{printed, switch};
use crate::error::code;
use crate::facts::ovs::OvsState;
use crate::host::{Command, Host};
use crate::node::{HostFault, HostOperation, SandboxHost};

/// Lets everything whose description begins so go wrong.
fn interfere(node: &SandboxHost, start: &'static str, fault: HostFault) {
    let decide =
        move |operation: &HostOperation<'_>| operation.to_string().starts_with(start).then(|| fault.clone());
    node.interfere(Arc::new(decide));
}

const ADD: &str = "ovs-vsctl add-br blue";

#[tokio::test]
async fn a_command_fails_before_or_after_its_work() {
    for (after, left) in [(false, ""), (true, "blue\n")] {
        let node = switch().await;
        interfere(&node, ADD, HostFault::Exit { after, status: 3, stderr: "no\n".into() });
        let output = super::run(&node, ADD).await;
        assert_eq!((output.status, output.stderr.as_str()), (3, "no\n"));
        node.behave();
        assert_eq!(printed(&node, "ovs-vsctl list-br").await, left);
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_that_hangs_is_given_up_at_its_deadline() {
    for (after, left) in [(false, ""), (true, "blue\n")] {
        let node = switch().await;
        interfere(&node, ADD, HostFault::Hang { after });
        let begun = Instant::now();
        let command = Command::new(ADD.split(' ')).timeout(Duration::from_secs(40));
        let error = node.run(&command).await.unwrap_err();
        assert_eq!((error.code(), begun.elapsed()), (&code::HOST_TIMEOUT, Duration::from_secs(40)));
        assert_eq!(error.message(), "`ovs-vsctl add-br blue` timed out after 40 s");
        node.behave();
        assert_eq!(printed(&node, "ovs-vsctl list-br").await, left);
    }
}

#[tokio::test]
async fn error_numbers_become_the_codes_of_this_machines_host() {
    let node = switch().await;
    let path = Utf8Path::new("/etc/x");
    for (errno, code) in [
        (Errno::NOSPC, &code::HOST_FULL),
        (Errno::ACCESS, &code::HOST_PERMISSION),
        (Errno::ROFS, &code::HOST_READ_ONLY),
        (Errno::IO, &code::HOST_FILE),
    ] {
        interfere(&node, "write /etc/x", HostFault::Errno(errno));
        let error = node.write(path, b"", 0o600).await.unwrap_err();
        assert_eq!((error.code(), error.place()), (code, Some("/etc/x")));
        interfere(&node, "", HostFault::Errno(errno));
        for error in [
            node.read(path).await.map(|_| ()),
            node.stat(path).await.map(|_| ()),
            node.list(path).await.map(|_| ()),
            node.rename(path, Utf8Path::new("/etc/y")).await,
            node.remove(path).await,
            node.wait_for(path, Duration::ZERO).await.map(|_| ()),
        ] {
            assert_eq!(error.unwrap_err().code(), code);
        }
    }
    let output = super::run(&node, "modprobe br_netfilter").await;
    assert_eq!((output.status, output.stderr.as_str()), (1, "modprobe: Input/output error\n"));
    node.behave();
    assert!(node.writes().is_empty() && node.status(path).unwrap().is_none());
}

#[tokio::test]
async fn garbage_is_printed_and_read() {
    let node = switch().await;
    interfere(&node, "ovs-vsctl", HostFault::Garbage(b"\xff{\"data\":".to_vec()));
    assert_eq!(OvsState::read(&node).await.unwrap_err().code(), &code::OVS_UNAVAILABLE);
    interfere(&node, "read", HostFault::Garbage(b"\0".to_vec()));
    assert_eq!(node.read(Utf8Path::new("/etc/passwd")).await.unwrap().unwrap(), b"\0");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_there_is_waited_for_in_vain() {
    let node = switch().await;
    interfere(&node, "wait", HostFault::Hang { after: false });
    let begun = Instant::now();
    assert!(!node.wait_for(Utf8Path::new("/etc/passwd"), Duration::from_secs(20)).await.unwrap());
    assert_eq!(begun.elapsed(), Duration::from_secs(20));
}
