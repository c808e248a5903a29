//! Namespaces and what happens to what is in them.

use serde_json::json;

use super::super::step::{MERGE, Step, Until, apply, delete, get, patch, post};
use super::{config_map, namespace};

const ALL: &str = "/api/v1/namespaces";

pub fn steps() -> Vec<Step> {
    let held = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["kvnet.dev/hold"]}});
    vec![
        post(
            "a namespace",
            ALL,
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "gone", "labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}),
        ),
        post("a namespace that is there", ALL, namespace("gone")),
        post("a namespace with a wrong name", ALL, namespace("a.b")),
        post("a namespace with a name that is too long", ALL, namespace(&"n".repeat(64))),
        get("a namespace that is not there", format!("{ALL}/nowhere")),
        apply("an apply of a namespace", &format!("{ALL}/applied"), "one", namespace("applied")),
        patch(
            "a label for a namespace",
            format!("{ALL}/applied"),
            MERGE,
            json!({"metadata": {"labels": {"a": "b"}}}),
        ),
        patch(
            "a name that a label must have",
            format!("{ALL}/applied"),
            MERGE,
            json!({"metadata": {"labels": {"kubernetes.io/metadata.name": "x"}}}),
        ),
        get("namespaces with a label", format!("{ALL}?labelSelector=a%3Db")),
        post("something in a namespace", format!("{ALL}/gone/configmaps"), config_map("a", &json!({}))),
        post("something that is held", format!("{ALL}/gone/configmaps"), held),
        delete("a namespace goes", format!("{ALL}/gone")),
        get("what was in it goes", format!("{ALL}/gone/configmaps/a")).until(Until::Status(404)),
        post(
            "something new in a namespace that goes",
            format!("{ALL}/gone/configmaps"),
            config_map("b", &json!({})),
        ),
        apply(
            "an apply in a namespace that goes",
            &format!("{ALL}/gone/configmaps/b"),
            "one",
            config_map("b", &json!({})),
        ),
        post("a namespace under the name of one that goes", ALL, namespace("gone")),
        get("what is held waits", format!("{ALL}/gone/configmaps/held"))
            .until(Until::Is("/metadata/finalizers/0", "kvnet.dev/hold")),
        patch(
            "what was held is let go",
            format!("{ALL}/gone/configmaps/held"),
            MERGE,
            json!({"metadata": {"finalizers": null}}),
        ),
        get("a namespace is gone", format!("{ALL}/gone")).until(Until::Status(404)),
        post(
            "something in a namespace that is gone",
            format!("{ALL}/gone/configmaps"),
            config_map("a", &json!({})),
        ),
        post("the namespace again", ALL, namespace("gone")),
        get("nothing is in it", format!("{ALL}/gone/configmaps?labelSelector=none")),
        delete("the namespace of the system", format!("{ALL}/kube-system")),
        delete("a namespace that is not there goes", format!("{ALL}/nowhere")),
    ]
}
