//! The components' own manifests: kvnet's templates differ from them only on purpose; through a local mirror the pinned ones
//! work, and a changed one is refused.

use std::fs;
use std::process::Command;

use crate::api::library_tests;
use crate::kvnet::Kvnet;
use crate::networks::{check_node, check_pods};
use crate::node::{Node, copy_tree, manifests};
use crate::see::{self, Tolerated};

/// The digests are those of the files at the releases.
pub const PROFILE: &str = "\
extends: default
flannel:
  source:
    from: upstream
    url: https://raw.githubusercontent.com/flannel-io/flannel/v0.28.10/Documentation/kube-flannel.yml
    sha256: 944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5
multus:
  source:
    from: upstream
    url: https://raw.githubusercontent.com/k8snetworkplumbingwg/multus-cni/v4.3.0/deployments/multus-daemonset-thick.yml
    sha256: 2d622f697809644a12704497bbf5c3256adc1e7f5b5504655e4993743651b585
ovsCni:
  source:
    from: upstream
    url: https://raw.githubusercontent.com/k8snetworkplumbingwg/ovs-cni/v0.39.0/examples/ovs-cni.yml
    sha256: 66589b3c5d4ec207a906df0fee7ae1b46958b3a5f37d427fb400dbf413edcf8b
";
const CHANGED: &str = "raw.githubusercontent.com/flannel-io/flannel/v0.28.10/Documentation/kube-flannel.yml";
const DIGEST: &str = "944a3c1f925f117727a1b7272a323c80965da642498397ec7e6ea9bef0f9e6c5";

pub fn story() {
    templates();
    let node = Node::start("upstream");
    node.write("/root/upstream.yaml", PROFILE);
    let options = ["--profile", "/root/upstream.yaml", "--mirror", "http://127.0.0.1:8099"];
    let kvnet = Kvnet::new(&node, &options);
    changed_manifest(&kvnet);
    node.mirror();
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
    kvnet.exits(0, &["doctor"]);
}

/// The library's tests that need the published manifests, and therefore Go.
fn templates() {
    let mut command = Command::new(library_tests());
    command.args(["--ignored", "source::upstream_tests"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("the tests run");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("test result: ok. 6 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
}

/// One byte is another: both digests are named, and nothing was touched.
fn changed_manifest(kvnet: &Kvnet) {
    let copy = tempfile::tempdir().expect("a directory");
    copy_tree(&manifests(), copy.path());
    let path = copy.path().join(CHANGED);
    let mut bytes = fs::read(&path).expect("the manifest");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("written");
    kvnet.node.mirror_of(copy.path());
    let before = see::all(kvnet.node);
    let refused = kvnet.exits(1, &["up", "--yes"]);
    for part in ["KVN400", DIGEST] {
        assert!(refused.err.contains(part), "`{part}` is not in\n{}", refused.err);
    }
    let cache = Tolerated {
        start: "file /var/lib/kvnet/",
        reason: "the other manifests are as pinned, and kept in the cache",
    };
    before.must_equal(&see::all(kvnet.node), &[cache]);
}
