//! Server-side apply: who owns what.

use serde_json::{Value, json};

use super::super::step::{APPLY, MERGE, Step, apply, get, patch, put};
use super::config_map;

const MAPS: &str = "/api/v1/namespaces/applies/configmaps";
const SETS: &str = "/apis/apps/v1/namespaces/applies/daemonsets";

pub fn steps() -> Vec<Step> {
    [owned(), shared(), refused(), workload()].into_iter().flatten().collect()
}

fn at(name: &str) -> String {
    format!("{MAPS}/{name}")
}

fn owned() -> Vec<Step> {
    vec![
        apply(
            "an apply of what is not there",
            &at("a"),
            "one",
            config_map("a", &json!({"k": "1", "l": "1"})),
        ),
        apply("the same again", &at("a"), "one", config_map("a", &json!({"k": "1", "l": "1"}))),
        apply("another value", &at("a"), "one", config_map("a", &json!({"k": "2", "l": "1"}))),
        apply("a field less", &at("a"), "one", config_map("a", &json!({"k": "2"}))),
        apply("a field of somebody else's", &at("a"), "two", config_map("a", &json!({"k": "3"}))),
        apply(
            "two fields of somebody else's",
            &at("b"),
            "one",
            config_map("b", &json!({"k": "1", "l": "1"})),
        ),
        apply("a conflict about two fields", &at("b"), "two", config_map("b", &json!({"k": "2", "l": "2"}))),
        apply(
            "a field that is taken by force",
            &format!("{}?force=true", at("a")),
            "two",
            config_map("a", &json!({"k": "3"})),
        ),
        apply("what was taken, asked for again", &at("a"), "one", config_map("a", &json!({"k": "2"}))),
        apply("another field", &at("a"), "two", config_map("a", &json!({"k": "3", "m": "1"}))),
        apply("nothing any more", &at("a"), "two", config_map("a", &json!({}))),
        get("what is left", at("a")),
    ]
}

fn shared() -> Vec<Step> {
    let labelled = |labels: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": labels}});
    vec![
        apply("the same value by one", &at("c"), "one", config_map("c", &json!({"k": "1"}))),
        apply("the same value by another", &at("c"), "two", config_map("c", &json!({"k": "1"}))),
        apply("a conflict with two", &at("c"), "three", config_map("c", &json!({"k": "2"}))),
        apply("one lets go", &at("c"), "one", labelled(&json!({"by": "one"}))),
        apply("the other lets go", &at("c"), "two", labelled(&json!({"too": "two"}))),
        put(
            "a replacement takes over",
            format!("{}?fieldManager=editor", at("c")),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"by": "editor", "too": "two"}}, "data": {"n": "1"}}),
        ),
        apply("a conflict with a replacement", &at("c"), "one", labelled(&json!({"by": "one"}))),
        patch(
            "a merge patch takes over",
            format!("{}?fieldManager=patcher", at("c")),
            MERGE,
            json!({"data": {"n": "2"}}),
        ),
        apply(
            "a conflict with an editor and a patcher",
            &at("c"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"by": "one"}}, "data": {"n": "3"}}),
        ),
        apply(
            "force against both",
            &format!("{}?force=true", at("c")),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "labels": {"by": "one"}}, "data": {"n": "3"}}),
        ),
        apply(
            "an owner reference and a finalizer",
            &at("d"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d", "finalizers": ["kvnet.dev/one"], "annotations": {"kvnet.dev/note": "x"}}}),
        ),
        apply(
            "another finalizer",
            &at("d"),
            "two",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d", "finalizers": ["kvnet.dev/two"]}}),
        ),
        apply(
            "no finalizer",
            &at("d"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}}),
        ),
    ]
}

fn refused() -> Vec<Step> {
    vec![
        patch("an apply by nobody", at("e"), APPLY, config_map("e", &json!({}))),
        apply("an apply with another name", &at("e"), "one", config_map("f", &json!({}))),
        apply("an apply without a kind", &at("k"), "one", json!({"metadata": {"name": "k"}})),
        apply(
            "an apply of another kind",
            &at("e"),
            "one",
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "e"}}),
        ),
        apply(
            "an apply with owners",
            &at("e"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e", "managedFields": [{"manager": "x"}]}}),
        ),
        apply(
            "an apply to an older version",
            &at("a"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": "1"}}),
        ),
        apply(
            "an apply to another object of that name",
            &at("a"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "00000000-0000-4000-8000-000000000000"}}),
        ),
        apply("an apply of broken YAML", &at("e"), "one", json!({})).says("a: [b"),
        apply("an apply in YAML", &at("e"), "one", json!({}))
            .says("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: e}\ndata: {k: v}\n"),
        apply(
            "an apply to a namespace that is not there",
            "/api/v1/namespaces/nowhere/configmaps/a",
            "one",
            config_map("a", &json!({})),
        ),
        apply("an apply with a wrong name", &at("Bad_Name"), "one", config_map("Bad_Name", &json!({}))),
        apply(
            "an apply of a label with a wrong value",
            &at("e"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e", "labels": {"a": "not this"}}}),
        ),
        apply(
            "a field that the kind does not have",
            &at("e"),
            "one",
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "e"}, "colour": "red"}),
        ),
        patch(
            "force with a merge patch",
            format!("{}?force=true", at("a")),
            MERGE,
            json!({"data": {"k": "1"}}),
        ),
        apply(
            "a rehearsal of an apply",
            &format!("{}?dryRun=All", at("r")),
            "one",
            config_map("r", &json!({"k": "1"})),
        ),
        get("what a rehearsal left", at("r")),
    ]
}

fn set(container: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"},
        "spec": {
            "selector": {"matchLabels": {"app": "s"}},
            "template": {"metadata": {"labels": {"app": "s"}}, "spec": {"containers": [container]}},
        },
    })
}

fn workload() -> Vec<Step> {
    let path = format!("{SETS}/s");
    let full = json!({"name": "c", "image": "busybox:1.37.0", "args": ["-v"],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "ports": [{"containerPort": 80}], "resources": {"limits": {"memory": "10Mi"}},
        "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN"]}},
        "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let mut whole = set(&full);
    whole["spec"]["template"]["spec"]["volumes"] =
        json!([{"name": "v", "hostPath": {"path": "/opt"}}, {"name": "m", "configMap": {"name": "m"}}]);
    whole["spec"]["template"]["spec"]["tolerations"] =
        json!([{"operator": "Exists", "effect": "NoSchedule"}]);
    let mut smaller = whole.clone();
    smaller["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "A", "value": "2"}]);
    let added = set(&json!({"name": "c", "env": [{"name": "C", "value": "3"}]}));
    vec![
        apply("an apply of a DaemonSet", &path, "one", whole.clone()),
        apply("the same DaemonSet again", &path, "one", whole),
        apply("an environment with less", &path, "one", smaller),
        apply("an environment with more by another", &path, "two", added),
        apply("a conflict about an image", &path, "two", set(&json!({"name": "c", "image": "other"}))),
        apply(
            "a selector that changes",
            &format!("{path}?force=true"),
            "one",
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"}, "spec": {"selector": {"matchLabels": {"app": "t"}}, "template": {"metadata": {"labels": {"app": "t"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}),
        ),
        apply(
            "a status that is not taken",
            &path,
            "one",
            json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"}, "spec": {"selector": {"matchLabels": {"app": "s"}}, "template": {"metadata": {"labels": {"app": "s"}}, "spec": {"containers": [{"name": "c", "image": "busybox:1.37.0"}]}}}, "status": {"numberReady": 7}}),
        ),
        get("the DaemonSet", path),
    ]
}
