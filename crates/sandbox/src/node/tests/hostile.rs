//! No input makes the node panic.

use camino::Utf8Path;
use proptest::prelude::*;

use super::{node, switch};
use crate::error::code;
use crate::facts::ovs::OvsState;
use crate::host::{Command, Host};
use crate::node::{Distribution, SandboxHost};

/// Words that get further into `ovs-vsctl` than random ones.
const WORDS: [&str; 48] = [
    "--",
    "--may-exist",
    "--if-exists",
    "--real",
    "--columns=name,ports",
    "--columns=",
    "--format=json",
    "--format=table",
    "--format=csv",
    "--data=bare",
    "--data=json",
    "--bare",
    "--oneline",
    "--no-headings",
    "--timeout=5",
    "-t",
    "add-br",
    "del-br",
    "br-exists",
    "br-to-vlan",
    "list-br",
    "list-ports",
    "add-port",
    "del-port",
    "port-to-br",
    "show",
    "list",
    "find",
    "get",
    "set",
    "add",
    "remove",
    "clear",
    "br-set-external-id",
    "br-get-external-id",
    "Bridge",
    "port",
    "Interface",
    "o",
    ".",
    "blue",
    "blue100",
    "100",
    "tag=7",
    "trunks=[1,2-4]",
    "external_ids:a=\"b\"",
    "external_ids",
    "tag{>=}1",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => prop::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => ".{0,12}",
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        1 => "[a-z_]{0,9}[:]?[a-z\"]{0,3}[=!<>{}in]{0,4}[\\[{\"]?[a-z0-9,=\"\\\\-]{0,8}[\\]}\"]?",
    ]
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

async fn never_panics(node: &SandboxHost, argv: Vec<String>) {
    match node.run(&Command::new(argv)).await {
        Ok(output) if output.success() => {}
        Ok(output) => assert!(output.stdout.is_empty() || output.status != 1, "{output:?}"),
        Err(error) => assert_eq!(error.code(), &code::INTERNAL),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_words_break_the_switch(lines in prop::collection::vec(prop::collection::vec(word(), 0..9), 1..6)) {
        runtime().block_on(async {
            let node = switch().await;
            super::printed(&node, "ovs-vsctl add-br blue -- add-br blue100 blue 100").await;
            for words in lines {
                never_panics(&node, std::iter::once("ovs-vsctl".to_owned()).chain(words).collect()).await;
                // Whatever was done, kvnet can read it, and it is what is there.
                prop_assert_eq!(OvsState::read(&node).await.unwrap(), node.open_vswitch().unwrap().unwrap());
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_words_break_another_program(
        distribution in prop::sample::select(&Distribution::ALL[..]),
        program in prop::sample::select(&["ip", "mv", "rmdir", "sysctl", "modprobe", "systemctl", "apt-get", "dpkg", "dnf",
            "zypper", "rpm", "pacman", "apk", "rc-service", "rc-update", "kubeadm", "uname"][..]),
        first in prop::sample::select(&["--", "-w", "link", "start", "install", "--purge", "init", "add", "--erase", "del"][..]),
        rest in prop::collection::vec(".{0,12}", 0..4),
    ) {
        runtime().block_on(async {
            let node = node(distribution);
            let argv = [program.to_owned(), first.to_owned()].into_iter().chain(rest).collect::<Vec<_>>();
            // Programs of other distributions do not exist.
            let _ = node.run(&Command::new(argv)).await;
        });
    }

    #[test]
    fn no_path_breaks_the_files(parts in prop::collection::vec(prop_oneof!["[a-z]{0,3}", Just("..".to_owned()), ".{0,6}"], 0..6)) {
        runtime().block_on(async {
            let node = node(Distribution::Debian);
            let text = format!("/srv/{}", parts.join("/"));
            let path = Utf8Path::new(&text);
            let written = node.write(path, b"x", 0o600).await;
            let read = node.read(path).await;
            if written.is_ok() {
                prop_assert_eq!(read.unwrap().unwrap(), b"x");
            }
            let _ = node.list(path).await;
            let _ = node.rename(path, Utf8Path::new("/srv/moved")).await;
            let _ = node.remove(path).await;
            Ok(())
        })?;
    }
}
