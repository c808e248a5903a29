//! Patches.

use serde_json::{Value, json};

use super::super::step::{JSON, MERGE, OPERATIONS, STRATEGIC, Step, get, patch, post};
use super::config_map;

const MAPS: &str = "/api/v1/namespaces/patches/configmaps";
const SETS: &str = "/apis/apps/v1/namespaces/patches/daemonsets";

pub fn steps() -> Vec<Step> {
    [merged(), operated(), refused(), strategic()].into_iter().flatten().collect()
}

fn a() -> String {
    format!("{MAPS}/a")
}

fn merged() -> Vec<Step> {
    let merge = |name: &'static str, body: Value| patch(name, a(), MERGE, body);
    vec![
        post("an object to patch", MAPS, config_map("a", &json!({"k": "1", "l": "1"}))),
        merge("a merge patch", json!({"data": {"k": "2", "m": "1"}, "metadata": {"labels": {"x": "y"}}})),
        merge("a merge patch that removes", json!({"data": {"l": null}, "metadata": {"labels": null}})),
        merge("a merge patch that changes nothing", json!({"data": {"k": "2"}})),
        merge("an empty merge patch", json!({})),
        merge(
            "a merge patch of what the server sets",
            json!({"metadata": {"uid": null, "creationTimestamp": null, "generation": 5}}),
        ),
        merge(
            "a merge patch of an older version",
            json!({"metadata": {"resourceVersion": "1"}, "data": {"k": "3"}}),
        ),
        merge("a merge patch with another name", json!({"metadata": {"name": "b"}})),
        merge("a merge patch with another kind", json!({"kind": "Secret"})),
        merge("a merge patch with a wrong label", json!({"metadata": {"labels": {"a": "not this"}}})),
        patch(
            "a merge patch of what is not there",
            format!("{MAPS}/none"),
            MERGE,
            json!({"data": {"k": "1"}}),
        ),
        patch(
            "a rehearsal of a merge patch",
            format!("{}?dryRun=All", a()),
            MERGE,
            json!({"data": {"k": "rehearsed"}}),
        ),
        patch(
            "a merge patch by another manager",
            format!("{}?fieldManager=two", a()),
            MERGE,
            json!({"data": {"k": "4"}}),
        ),
        get("the object after merge patches", a()),
    ]
}

fn operated() -> Vec<Step> {
    let operate = |name: &'static str, body: Value| patch(name, a(), OPERATIONS, body);
    vec![
        operate(
            "operations",
            json!([{"op": "add", "path": "/data/n", "value": "1"}, {"op": "replace", "path": "/data/k", "value": "5"}, {"op": "remove", "path": "/data/m"}]),
        ),
        operate(
            "a test that holds",
            json!([{"op": "test", "path": "/data/k", "value": "5"}, {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]),
        ),
        operate(
            "a test that does not hold",
            json!([{"op": "test", "path": "/data/k", "value": "6"}, {"op": "replace", "path": "/data/k", "value": "7"}]),
        ),
        operate("a test of what is not there", json!([{"op": "test", "path": "/data/none", "value": "6"}])),
        operate("a removal of what is not there", json!([{"op": "remove", "path": "/data/none"}])),
        operate(
            "a replacement of what is not there",
            json!([{"op": "replace", "path": "/data/none", "value": "1"}]),
        ),
        operate(
            "an addition below what is not there",
            json!([{"op": "add", "path": "/none/below", "value": "1"}]),
        ),
        operate(
            "a copy and a move",
            json!([{"op": "copy", "from": "/data/k", "path": "/data/o"}, {"op": "move", "from": "/data/n", "path": "/data/q"}]),
        ),
        operate(
            "an escaped name",
            json!([{"op": "add", "path": "/metadata/annotations", "value": {}}, {"op": "add", "path": "/metadata/annotations/kvnet.dev~1a", "value": "1"}]),
        ),
        operate("no operations", json!([])),
        operate("operations that are none", json!({"op": "add"})),
        operate("an operation that there is not", json!([{"op": "dance", "path": "/data/k"}])),
        patch("operations on what is not there", format!("{MAPS}/none"), OPERATIONS, json!([])),
        get("the object after operations", a()),
    ]
}

fn refused() -> Vec<Step> {
    vec![
        patch("a patch of an unknown type", a(), "text/plain", json!({})),
        patch("a patch as JSON", a(), JSON, json!({})),
        patch("a patch of broken JSON", a(), MERGE, json!({})).says("{\"data\": nothing"),
        patch("operations of broken JSON", a(), OPERATIONS, json!({})).says("[nothing"),
        patch("a patch that is a text", a(), MERGE, json!("text")),
        patch("a patch that is empty", a(), MERGE, json!({})).says(""),
    ]
}

fn strategic() -> Vec<Step> {
    let set = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "s"},
        "spec": {
            "selector": {"matchLabels": {"app": "s"}},
            "template": {"metadata": {"labels": {"app": "s"}}, "spec": {"containers": [
                {"name": "c", "image": "one:1", "env": [{"name": "A", "value": "1"}]},
                {"name": "d", "image": "two:1"},
            ]}},
        },
    });
    let strategic = |name: &'static str, body: Value| patch(name, format!("{SETS}/s"), STRATEGIC, body);
    let spec = |spec: Value| json!({"spec": {"template": {"spec": spec}}});
    vec![
        post("a DaemonSet to patch", SETS, set),
        strategic("a container by its name", spec(json!({"containers": [{"name": "c", "image": "one:2"}]}))),
        strategic(
            "a variable by its name",
            spec(json!({"containers": [{"name": "c", "env": [{"name": "B", "value": "2"}]}]})),
        ),
        strategic("a new container", spec(json!({"containers": [{"name": "e", "image": "three:1"}]}))),
        strategic("a container that goes", spec(json!({"containers": [{"name": "d", "$patch": "delete"}]}))),
        strategic(
            "a selector of nodes",
            spec(json!({"nodeSelector": {"a": "b"}, "tolerations": [{"operator": "Exists"}]})),
        ),
        strategic("a strategic patch that removes", spec(json!({"nodeSelector": null}))),
        patch(
            "a merge patch of a list",
            format!("{SETS}/s"),
            MERGE,
            spec(json!({"containers": [{"name": "c", "image": "one:3"}]})),
        ),
        patch(
            "operations on a list",
            format!("{SETS}/s"),
            OPERATIONS,
            json!([{"op": "add", "path": "/spec/template/spec/containers/0/env", "value": [{"name": "A", "value": "1"}]}, {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "z", "image": "z:1"}}]),
        ),
    ]
}
