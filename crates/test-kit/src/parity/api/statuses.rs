//! Statuses, which are written through a path of their own.

use serde_json::{Value, json};

use super::super::step::{MERGE, OPERATIONS, Step, apply, get, patch, post, put};
use super::config_map;

const SETS: &str = "/apis/apps/v1/namespaces/statuses/daemonsets";
const PODS: &str = "/api/v1/namespaces/statuses/pods";

pub fn steps() -> Vec<Step> {
    [workloads(), pods(), others()].into_iter().flatten().collect()
}

fn set(replicas: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"},
        "spec": {
            "selector": {"matchLabels": {"app": "s"}},
            "template": {"metadata": {"labels": {"app": "s"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
        },
        "status": replicas,
    })
}

fn workloads() -> Vec<Step> {
    let (path, status) = (format!("{SETS}/s"), format!("{SETS}/s/status"));
    let ready = json!({"currentNumberScheduled": 1, "numberMisscheduled": 0, "desiredNumberScheduled": 1, "numberReady": 1, "observedGeneration": 1});
    let mut other = set(&ready);
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "other:1".into();
    other["metadata"]["labels"] = json!({"by": "status"});
    vec![
        post("a new object with a status", SETS, set(&ready)),
        get("its status", status.clone()),
        put("a status", status.clone(), set(&ready)),
        put("a status with another specification", status.clone(), other.clone()),
        put("a specification with another status", path.clone(), set(&json!({"numberReady": 9}))),
        patch(
            "a merge patch of a status",
            status.clone(),
            MERGE,
            json!({"status": {"numberReady": 0, "numberUnavailable": 1}}),
        ),
        patch(
            "operations on a status",
            status.clone(),
            OPERATIONS,
            json!([{"op": "replace", "path": "/status/numberReady", "value": 1}]),
        ),
        patch(
            "a merge patch of a status through the object",
            path.clone(),
            MERGE,
            json!({"status": {"numberReady": 5}}),
        ),
        patch(
            "a merge patch of a specification through the status",
            status.clone(),
            MERGE,
            json!({"spec": {"minReadySeconds": 5}}),
        ),
        apply(
            "an apply of a status",
            &status,
            "controller",
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"}, "status": {"conditions": [{"type": "Kvnet", "status": "True"}]}}),
        ),
        patch("a new generation", path.clone(), MERGE, json!({"spec": {"minReadySeconds": 5}})),
        patch("no new generation", path, MERGE, json!({"metadata": {"labels": {"a": "b"}}})),
        put(
            "a status of what is not there",
            format!("{SETS}/none/status"),
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "none"}}),
        ),
    ]
}

fn pods() -> Vec<Step> {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    let status = format!("{PODS}/p/status");
    vec![
        post("a pod", PODS, pod),
        patch(
            "a pod's phase",
            status.clone(),
            MERGE,
            json!({"status": {"phase": "Running", "podIP": "10.244.0.9", "podIPs": [{"ip": "10.244.0.9"}], "conditions": [{"type": "Ready", "status": "True"}]}}),
        ),
        patch(
            "another condition",
            status.clone(),
            OPERATIONS,
            json!([{"op": "add", "path": "/status/conditions/-", "value": {"type": "kvnet.dev/seen", "status": "False"}}]),
        ),
        patch(
            "an annotation through the status",
            status,
            MERGE,
            json!({"metadata": {"annotations": {"k8s.v1.cni.cncf.io/network-status": "[]"}}}),
        ),
        get("the pod", format!("{PODS}/p")),
    ]
}

fn others() -> Vec<Step> {
    vec![
        post(
            "an object without a status",
            "/api/v1/namespaces/statuses/configmaps",
            config_map("a", &json!({})),
        ),
        get("the status of a kind without one", "/api/v1/namespaces/statuses/configmaps/a/status"),
        patch(
            "a change of the status of a kind without one",
            "/api/v1/namespaces/statuses/configmaps/a/status",
            MERGE,
            json!({}),
        ),
        post(
            "a node",
            "/api/v1/nodes",
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "statuses-node", "labels": {"a": "b"}}, "spec": {"podCIDR": "10.244.7.0/24", "taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}}),
        ),
        patch(
            "a node's addresses",
            "/api/v1/nodes/statuses-node/status",
            MERGE,
            json!({"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.7"}], "conditions": [{"type": "Ready", "status": "True"}]}}),
        ),
        patch(
            "a node without taints",
            "/api/v1/nodes/statuses-node",
            OPERATIONS,
            json!([{"op": "test", "path": "/spec/taints/0/key", "value": "node-role.kubernetes.io/control-plane"}, {"op": "remove", "path": "/spec/taints/0"}]),
        ),
        patch(
            "a node's annotation",
            "/api/v1/nodes/statuses-node",
            MERGE,
            json!({"metadata": {"annotations": {"flannel.alpha.coreos.com/public-ip": "10.0.0.7"}}}),
        ),
        get("the namespace's status", "/api/v1/namespaces/statuses/status"),
    ]
}
