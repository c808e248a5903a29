//! What `crates/base/src/cluster` relies on, against the real API server: its live tests, run inside the node, because the
//! node's address leads nowhere from this machine.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::kvnet::Kvnet;
use crate::node::Node;

pub fn story() {
    let node = Node::start("api");
    node.copy(&library_tests(), "/root/library-tests");
    let kvnet = Kvnet::new(&node, &[]);
    node.sh("mkdir /root/rendered");
    for step in ["flannel", "multus", "ovs-cni"] {
        let rendered = kvnet.exits(0, &["render", "--only", step]).out;
        node.write(&format!("/root/rendered/{step}.yaml"), &rendered);
    }
    let ran = node.sh("KVNET_TEST_KUBECONFIG=/root/.kube/config KVNET_TEST_MANIFESTS=/root/rendered \\
         /root/library-tests --ignored --test-threads=1 cluster::live");
    node.say(ran.lines().rfind(|line| line.starts_with("test result")).expect("a closing line"));
    assert!(ran.contains("test result: ok. 5 passed"), "{ran}");
}

/// The program with the tests of `crates/base`, which the test command has built already: asked for alone, cargo would build
/// it with fewer features.
pub fn library_tests() -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.args([
        "test",
        "--locked",
        "--package",
        "kvnet-base",
        "--lib",
        "--no-run",
        "--message-format=json",
    ]);
    // What cargo tells this program about its own crate looks like a change to some build scripts, which build anew then.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            command.env_remove(name);
        }
    }
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        let executable = message["executable"].as_str().map(PathBuf::from);
        executable.filter(|_| message["target"]["name"] == "kvnet_base")
    });
    executables.next_back().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
