//! `down` where it cannot see, or cannot reach, all that there is.

use std::sync::Arc;
use std::time::Duration;

use kvnet::cluster::ObjectKey;
use kvnet::sandbox::Options;
use kvnet::sandbox::api::{Fault, Interference, ReceivedRequest};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::survives::inside::{Inside, without_waiting};

const SMALL: &[&str] = &["kubevirt.enabled=false", "vm.enabled=false", "networks=[]"];
const GROUP: &str = "dead.example";

/// Nobody serves one group.
struct Dead;

impl Interference for Dead {
    fn fault(&self, request: &ReceivedRequest) -> Option<Fault> {
        let message = "service unavailable".to_owned();
        request.path.starts_with("/apis/dead.example/").then_some(Fault::Status {
            code: 503,
            reason: "ServiceUnavailable",
            message,
            retry_after: None,
        })
    }
}

fn widget() -> Value {
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "w", "namespace": "default",
        "labels": {"app.kubernetes.io/managed-by": "kvnet", "kvnet.dev/step": "multus"}}})
}

/// A group of somebody's, with an object of kvnet's in it.
async fn extend(inside: &Inside) {
    let cluster = inside.sandbox.cluster();
    let names =
        json!({"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"});
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let versions = json!([{"name": "v1", "served": true, "storage": true, "schema": schema}]);
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("widgets.{GROUP}")},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": versions}});
    cluster.apply(&definition, true).await.unwrap();
    let service = json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("v1.{GROUP}")}, "spec": {"group": GROUP, "version": "v1", "groupPriorityMinimum": 100,
            "versionPriority": 100, "service": {"name": "gone", "namespace": "default"}}});
    cluster.apply(&service, true).await.unwrap();
    cluster.apply(&widget(), true).await.unwrap();
}

#[test]
fn what_nobody_serves_is_named_and_the_journal_stays_until_it_was_seen() {
    without_waiting(async {
        let mut inside = Inside::with("default", SMALL, &Options::default());
        inside.up().await.assert_well("up");
        extend(&inside).await;
        let journal = || inside.state().read("journal.jsonl").unwrap().is_some();
        inside.sandbox.api().interfere(Arc::new(Dead));
        for result in ["done", "nothing-to-do"] {
            let down = inside.down().await;
            assert_eq!((down.result, down.told().as_str()), (result, ""));
            let told = down.warnings.join("\n");
            assert!(told.contains("API dead.example/v1 is currently unavailable"), "{told}");
            assert!(journal(), "{result}: something may be left");
        }
        inside.behave();
        let down = inside.down().await;
        assert_eq!((down.changes, down.told().as_str()), (1, ""), "the one that was not seen");
        assert_eq!(inside.sandbox.api().get(&ObjectKey::of(&widget())).unwrap(), None);
        assert!(inside.state().read("journal.jsonl").unwrap().is_none());
    });
}

/// A pod of somebody's on a node.
fn theirs(node: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "theirs", "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": "docker.io/library/busybox:1.37.0"}]}})
}

#[test]
fn a_node_that_does_not_answer_holds_nothing_up() {
    without_waiting(async {
        let options = Options { other_nodes: 1, ..Options::default() };
        let settings = [SMALL, &["cluster.placement=this-node"]].concat();
        let inside = Inside::with("default", &settings, &options);
        inside.up().await.assert_well("up");
        let cluster = inside.sandbox.cluster();
        cluster.apply(&theirs("worker-1"), true).await.unwrap();
        let pods = cluster.list("v1", "Pod", Some("kube-flannel"), None).await.unwrap();
        assert!(
            pods.iter().any(|pod| pod["spec"]["nodeName"] == "worker-1"),
            "nothing of kvnet's runs there"
        );
        let worker = ObjectKey::new("v1", "Node", None, "worker-1");
        let live = cluster.get(&worker).await.unwrap().unwrap();
        let all = live["status"]["conditions"].as_array().unwrap();
        let place = all.iter().position(|condition| condition["type"] == "Ready").unwrap();
        let field = format!("/status/conditions/{place}/status");
        let patch = json!([{"op": "replace", "path": field, "value": "Unknown"}]);
        cluster.patch_status(&worker, &patch).await.unwrap();
        let begun = Instant::now();
        let down = inside.down().await;
        assert_eq!((down.result, down.told().as_str()), ("done", ""));
        assert!(
            begun.elapsed() < Duration::from_mins(4),
            "it waited {:?} for what cannot come",
            begun.elapsed()
        );
        let told = down.warnings.join("\n");
        assert!(told.contains("node worker-1 is unreachable"), "{told}");
        let pods = cluster.list("v1", "Pod", None, None).await.unwrap();
        let on_worker = pods.iter().filter(|pod| pod["spec"]["nodeName"] == "worker-1");
        let names: Vec<&str> = on_worker.filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        let ours =
            names.iter().filter(|name| ["kube-flannel", "kube-multus"].iter().any(|it| name.starts_with(it)));
        assert_eq!(ours.collect::<Vec<_>>(), [] as [&&str; 0], "kvnet's pods are gone");
        assert!(names.contains(&"theirs"), "those of others stay: {names:?}");
        assert!(inside.state().read("journal.jsonl").unwrap().is_none());
    });
}

/// flannel's pod copies its plugin to the node, where there may be one: what was there is the user's.
#[test]
fn a_plugin_of_the_users_own_stays() {
    const PLUGIN: &str = "/opt/cni/bin/flannel";
    for own in [true, false] {
        without_waiting(async {
            let inside = Inside::with("default", SMALL, &Options::default());
            if own {
                inside.sandbox.node().put_file(PLUGIN, b"a plugin of the user's", 0o755).unwrap();
            }
            inside.up().await.assert_well("up");
            assert!(inside.values().keys().any(|key| key.ends_with(PLUGIN)), "flannel's pod brings it");
            inside.down().await.assert_well("down");
            assert_eq!(inside.values().keys().any(|key| key.ends_with(PLUGIN)), own, "theirs: {own}");
        });
    }
}
