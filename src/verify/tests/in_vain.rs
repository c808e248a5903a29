//! A wait for pods that are stuck for a lasting reason ends with that reason, long before its deadline; other waits go on.

use tokio::time::Instant;

use super::*;
use crate::error::Error;
use crate::host::{Command, Host};

/// Far beyond every end that these tests expect.
const DEADLINE: u64 = 600;

const PROFILE: &str = "extends: default\nvm: {enabled: false}\nkubevirt: {enabled: false}\nnetworks:\n  \
    - {name: lan, kind: ovs, bridge: blue, ipam: {subnet: 10.20.0.0/28}}\n";

struct Broken {
    name: &'static str,
    by: &'static [&'static str],
    code: &'static str,
    says: &'static str,
}

/// Commands of the node, or objects that are changed: `object KEY PATCH`, `delete KEY`, `file PATH TEXT`, `remove PATH`.
const BROKEN: &[Broken] = &[
    Broken {
        name: "the bridge is missing",
        by: &["ovs-vsctl del-br blue"],
        code: "KVN605",
        says: "failed to find bridge blue",
    },
    Broken {
        name: "no address is left",
        by: &["fill"],
        code: "KVN821",
        says: "no IP addresses available in range set: 10.20.0.1-10.20.0.14",
    },
    Broken {
        name: "the plugin is missing",
        by: &["remove /opt/cni/bin/ovs"],
        code: "KVN603",
        says: "failed to find plugin \"ovs\"",
    },
    Broken {
        name: "the attachment is missing",
        by: &["delete"],
        code: "KVN621",
        says: "cannot find a network-attachment-definition (lan)",
    },
    Broken {
        name: "the configuration is not JSON",
        by: &[r#"config {"cniVersion": "0.3.1", "type": "bridge",,}"#],
        code: "KVN635",
        says: "invalid character ','",
    },
    Broken {
        name: "the link below is missing",
        by: &[r#"config {"cniVersion": "0.3.1", "name": "lan", "type": "macvlan", "master": "eth9"}"#],
        code: "KVN660",
        says: "Link not found",
    },
    Broken {
        name: "the DHCP daemon does not run",
        by: &[
            r#"config {"cniVersion": "0.3.1", "name": "lan", "type": "bridge", "bridge": "br9", "ipam": {"type": "dhcp"}}"#,
        ],
        code: "KVN641",
        says: "dhcp.sock: connect: no such file or directory",
    },
    Broken {
        name: "no node takes pods",
        by: &["taint node-role.kubernetes.io/control-plane"],
        code: "KVN631",
        says: "cannot be scheduled",
    },
];

fn attachment() -> ObjectKey {
    ObjectKey::new("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some("default"), "lan")
}

impl Scene {
    async fn break_by(&self, how: &str) {
        let cluster = self.sandbox.cluster();
        let node = self.sandbox.node();
        let (verb, rest) = how.split_once(' ').unwrap_or((how, ""));
        match verb {
            "ovs-vsctl" => {
                let ran = node.run(&Command::new(how.split_whitespace())).await.unwrap();
                assert!(ran.success(), "{ran:?}");
            }
            "fill" => {
                for host in 1..=14 {
                    let path = format!("/var/lib/cni/networks/lan/10.20.0.{host}");
                    node.put_file(&path, b"0123456789abcdef\r\nnet1", 0o600).unwrap();
                }
            }
            "remove" => node.remove_file(rest).unwrap(),
            "delete" => assert!(cluster.delete(&attachment(), None).await.unwrap()),
            "config" => {
                let patch = json!({"spec": {"config": rest}});
                cluster.patch_merge(&attachment(), &patch).await.unwrap();
            }
            "taint" => {
                let key = ObjectKey::new("v1", "Node", None, "sandbox");
                let taints = json!([{"key": rest, "effect": "NoSchedule"}]);
                cluster.patch_merge(&key, &json!({"spec": {"taints": taints}})).await.unwrap();
            }
            other => panic!("{other}"),
        }
    }

    /// The verification alone: how long it took, and its error.
    async fn verified_in(&self) -> (u64, Option<Error>) {
        let mut job = self.job().await;
        let mut profile = self.profile.clone();
        profile.timeouts.all(DEADLINE);
        job.cx.profile = profile.into();
        job.connect().await.unwrap();
        let begun = Instant::now();
        let ended = super::super::run(&job.cx, &|_| ()).await;
        (begun.elapsed().as_secs(), ended.err())
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_by_itself_ends_the_wait_with_its_reason() {
    for Broken { name, by, code, says } in BROKEN {
        let scene = Scene::new(PROFILE);
        assert!(scene.up().await.error.is_none());
        for how in *by {
            scene.break_by(how).await;
        }
        let (seconds, error) = scene.verified_in().await;
        let error = error.unwrap_or_else(|| panic!("{name}: no error"));
        assert_eq!(error.code().id, *code, "{name}: {error}");
        assert!(error.cause().is_some_and(|cause| cause.contains(says)), "{name}: {error}");
        assert!((30..120).contains(&seconds), "{name}: {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_pass_is_waited_for() {
    for how in ["taint node.kubernetes.io/disk-pressure", "remove /run/flannel/subnet.env"] {
        let scene = Scene::new(PROFILE);
        assert!(scene.up().await.error.is_none());
        if how.contains("flannel") {
            let key = ObjectKey::new("apps/v1", "DaemonSet", Some("kube-flannel"), "kube-flannel-ds");
            assert!(scene.sandbox.cluster().delete(&key, None).await.unwrap());
        }
        scene.break_by(how).await;
        let (seconds, error) = scene.verified_in().await;
        let error = error.unwrap_or_else(|| panic!("{how}: no error"));
        assert_eq!((error.code().id, seconds), ("KVN305", DEADLINE), "{how}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_after_a_while_is_in_time() {
    let scene = Scene::new(PROFILE);
    assert!(scene.up().await.error.is_none());
    scene.break_by("ovs-vsctl del-br blue").await;
    let mends = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let made = Command::new(["ovs-vsctl", "add-br", "blue"]);
        assert!(scene.sandbox.node().run(&made).await.unwrap().success());
    };
    let ((seconds, error), ()) = tokio::join!(scene.verified_in(), mends);
    assert!(error.is_none() && seconds >= 20, "{seconds} s: {error:?}");
}
