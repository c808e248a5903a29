//! What is served.

use serde_json::json;

use super::super::step::{Step, get, post, put};

pub fn steps() -> Vec<Step> {
    vec![
        get("the version", "/version"),
        get("the versions of the core", "/api"),
        get("the groups", "/apis"),
        get("a group", "/apis/apps"),
        get("another group", "/apis/rbac.authorization.k8s.io"),
        get("a group that is not served", "/apis/nowhere.example.com"),
        get("the kinds of the core", "/api/v1"),
        get("the kinds of apps", "/apis/apps/v1"),
        get("the kinds of roles", "/apis/rbac.authorization.k8s.io/v1"),
        get("the kinds of definitions", "/apis/apiextensions.k8s.io/v1"),
        get("the kinds of leases", "/apis/coordination.k8s.io/v1"),
        get("the kinds of policies", "/apis/policy/v1"),
        get("the kinds of admission", "/apis/admissionregistration.k8s.io/v1"),
        get("the kinds of priorities", "/apis/scheduling.k8s.io/v1"),
        get("the kinds of jobs", "/apis/batch/v1"),
        get("the kinds of services of the API", "/apis/apiregistration.k8s.io/v1"),
        get("a version of the core that is not served", "/api/v2"),
        get("a version that is not served", "/apis/apps/v1beta1"),
        get("a version of a group that is not served", "/apis/nowhere.example.com/v1"),
        get("nowhere", "/nowhere"),
        get("objects of a kind that is not served", "/api/v1/namespaces/discovery/things"),
        get("objects of a group that is not served", "/apis/nowhere.example.com/v1/things"),
        get(
            "an object of a group that is not served",
            "/apis/nowhere.example.com/v1/namespaces/discovery/things/x",
        ),
        post(
            "a new object of a kind that is not served",
            "/apis/k8s.cni.cncf.io/v1/namespaces/discovery/network-attachment-definitions",
            json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "x"}}),
        ),
        get(
            "a path below an object that is not served",
            "/api/v1/namespaces/discovery/serviceaccounts/default/nothing",
        ),
        put("a change of a collection", "/api/v1/namespaces/discovery/configmaps", json!({})),
        post("a new object in place of another", "/api/v1/namespaces/discovery/configmaps/x", json!({})),
    ]
}
