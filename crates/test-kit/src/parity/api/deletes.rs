//! Deletions: preconditions, finalizers, grace.

use serde_json::{Value, json};

use super::super::step::{MERGE, OPERATIONS, Step, apply, delete, delete_with, get, patch, post, put};
use super::config_map;

const MAPS: &str = "/api/v1/namespaces/deletes/configmaps";
const PODS: &str = "/api/v1/namespaces/deletes/pods";

pub fn steps() -> Vec<Step> {
    [plain(), held(), pods(), many()].into_iter().flatten().collect()
}

fn at(name: &str) -> String {
    format!("{MAPS}/{name}")
}

fn options(preconditions: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": preconditions})
}

fn plain() -> Vec<Step> {
    vec![
        delete("what is not there", at("none")),
        post("an object", MAPS, config_map("a", &json!({})))
            .keeps("id", "/metadata/uid")
            .keeps("version", "/metadata/resourceVersion"),
        delete_with(
            "another object of that name",
            at("a"),
            options(json!({"uid": "00000000-0000-4000-8000-000000000000"})),
        ),
        delete_with(
            "another version of it",
            at("a"),
            options(json!({"uid": "$id$", "resourceVersion": "1"})),
        ),
        delete_with(
            "a propagation that there is not",
            at("a"),
            json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Slowly"}),
        ),
        delete_with("options that are none", at("a"), json!([])),
        delete("a rehearsal of a deletion", format!("{}?dryRun=All", at("a"))),
        delete_with(
            "exactly this one",
            at("a"),
            options(json!({"uid": "$id$", "resourceVersion": "$version$"})),
        ),
        get("what is gone", at("a")),
        delete("what is gone already", at("a")),
        post("an object of the same name", MAPS, config_map("a", &json!({}))),
        delete("without options", at("a")),
        delete(
            "the kind that is not served",
            "/apis/k8s.cni.cncf.io/v1/namespaces/deletes/network-attachment-definitions/x",
        ),
        post(
            "a role",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles",
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "kvnet-deletes"}, "rules": []}),
        ),
        delete(
            "an object of a group and of the cluster",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/kvnet-deletes?propagationPolicy=Background",
        ),
    ]
}

fn held() -> Vec<Step> {
    let held = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "finalizers": ["kvnet.dev/hold", "kvnet.dev/hold-too"]}});
    vec![
        post(
            "a finalizer without a domain",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "finalizers": ["hold"]}}),
        ),
        post("an object with finalizers", MAPS, held("b")),
        delete("an object with finalizers is only marked", at("b")),
        delete("once more", at("b")),
        get("a marked object", at("b")),
        post("a new object under the name of a marked one", MAPS, config_map("b", &json!({}))),
        patch("a change of a marked object", at("b"), MERGE, json!({"data": {"k": "v"}})),
        apply("an apply to a marked object", &at("b"), "one", config_map("b", &json!({"l": "v"}))),
        patch(
            "another finalizer for a marked object",
            at("b"),
            OPERATIONS,
            json!([{"op": "add", "path": "/metadata/finalizers/-", "value": "kvnet.dev/third"}]),
        ),
        patch(
            "a finalizer less",
            at("b"),
            OPERATIONS,
            json!([{"op": "remove", "path": "/metadata/finalizers/0"}]),
        ),
        patch("the last finalizer", at("b"), MERGE, json!({"metadata": {"finalizers": null}})),
        get("an object without finalizers", at("b")),
        post("an object that nobody deletes", MAPS, held("c")),
        patch("its finalizers go", at("c"), MERGE, json!({"metadata": {"finalizers": []}})),
        get("it stays", at("c")),
        put(
            "a time of deletion is nobody's to set",
            at("c"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "deletionTimestamp": "2001-01-01T00:00:00Z"}}),
        ),
        delete_with(
            "a foreground deletion of what owns nothing",
            at("c"),
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"}),
        ),
    ]
}

fn pods() -> Vec<Step> {
    let pod = |name: &str, node: Option<&str>| {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
        if let Some(node) = node {
            pod["spec"]["nodeName"] = node.into();
        }
        pod
    };
    vec![
        post("a pod without a node", PODS, pod("p", None)),
        delete("a pod without a node goes at once", format!("{PODS}/p")),
        get("a pod that is gone", format!("{PODS}/p")),
        post(
            "a node",
            "/api/v1/nodes",
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "deletes-node"}}),
        ),
        post("a pod on a node", PODS, pod("q", Some("deletes-node"))),
        delete("a pod on a node gets time", format!("{PODS}/q")),
        delete_with(
            "less time",
            format!("{PODS}/q"),
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 5}),
        ),
        delete("no time at all", format!("{PODS}/q?gracePeriodSeconds=0")),
        get("a pod without time", format!("{PODS}/q")),
        post("another pod on a node", PODS, pod("r", Some("deletes-node"))),
        delete("a pod that gets two seconds", format!("{PODS}/r?gracePeriodSeconds=2")),
        delete("the kubelet is done", format!("{PODS}/r?gracePeriodSeconds=0")),
    ]
}

fn many() -> Vec<Step> {
    let map = |name: &str, set: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"set": set}}});
    vec![
        post("object x", MAPS, map("x", "go")),
        post("object y", MAPS, map("y", "go")),
        post("object z", MAPS, map("z", "stay")),
        delete("all of a selector", format!("{MAPS}?labelSelector=set%3Dgo")),
        get("the others", format!("{MAPS}?labelSelector=set")),
        delete("all of a namespace that is not there", "/api/v1/namespaces/nowhere/configmaps"),
    ]
}
