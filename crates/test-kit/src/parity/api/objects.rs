//! Making, reading and replacing objects, and what is wrong with them.

use serde_json::{Value, json};

use super::super::step::{Step, get, post, put, step};
use super::config_map;

const MAPS: &str = "/api/v1/namespaces/objects/configmaps";

pub fn steps() -> Vec<Step> {
    [made(), refused(), unreadable(), replaced(), rehearsed()].into_iter().flatten().collect()
}

fn at(name: &str) -> String {
    format!("{MAPS}/{name}")
}

fn labelled(name: &str, labels: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}})
}

fn made() -> Vec<Step> {
    vec![
        get("an object that is not there", at("a")),
        post("a new object", MAPS, config_map("a", &json!({"k": "v"}))),
        get("an object", at("a")),
        post("an object that is there", MAPS, config_map("a", &json!({"k": "w"}))),
        post(
            "an object by another manager",
            format!("{MAPS}?fieldManager=somebody"),
            labelled("managed", &json!({"a": "b"})),
        ),
        post("an object without apiVersion and kind", MAPS, json!({"metadata": {"name": "bare"}})),
        post(
            "an object with what the server sets",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "forged", "namespace": "objects", "uid": "00000000-0000-4000-8000-000000000000", "resourceVersion": "", "creationTimestamp": "2001-01-01T00:00:00Z", "generation": 7, "selfLink": "/x"}, "data": {}}),
        ),
        post(
            "a name that is made up",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "made-"}}),
        ),
        post("an object in YAML", MAPS, json!({}))
            .typed("application/yaml")
            .says("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: yaml\ndata:\n  k: v\n"),
        step("an object without a content type", "POST", MAPS)
            .says(&config_map("untyped", &json!({})).to_string()),
        post(
            "annotations and labels",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "noted", "labels": {"app.kubernetes.io/name": "x"}, "annotations": {"kvnet.dev/note": "free text: ü"}}, "binaryData": {"b": "aGFsbG8="}}),
        ),
        get("an object of the cluster that is not there", "/api/v1/nodes/none"),
        get("an object of a namespace that is not there", "/api/v1/namespaces/nowhere/configmaps/a"),
    ]
}

fn refused() -> Vec<Step> {
    vec![
        post("no name", MAPS, json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}})),
        post("a name with capitals", MAPS, config_map("Bad_Name", &json!({}))),
        post("a name that is too long", MAPS, config_map(&"x".repeat(254), &json!({}))),
        post(
            "a version that nothing has",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "versioned", "resourceVersion": "7"}}),
        ),
        post(
            "another namespace than the path's",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "default"}}),
        ),
        post(
            "a namespace that is not there",
            "/api/v1/namespaces/nowhere/configmaps",
            config_map("b", &json!({})),
        ),
        post("a label with a wrong value", MAPS, labelled("b", &json!({"a": "not this"}))),
        post("a label with a wrong name", MAPS, labelled("b", &json!({"/a": "b"}))),
        post("a key of data with a wrong name", MAPS, config_map("keyed", &json!({"not this": "v"}))),
        post(
            "another kind than the path's",
            MAPS,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}}),
        ),
        post(
            "another version than the path's",
            MAPS,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "b"}}),
        ),
        post("a manager with a wrong name", format!("{MAPS}?fieldManager=%07"), config_map("b", &json!({}))),
    ]
}

fn unreadable() -> Vec<Step> {
    vec![
        post("broken JSON", MAPS, json!({})).says("{\"apiVersion\": \"v1\", nothing"),
        post("an empty body", MAPS, json!({})).says(""),
        post("a list as an object", MAPS, json!([])),
        post("an unknown content type", MAPS, config_map("b", &json!({}))).typed("text/plain"),
        put("a replacement of an unknown content type", at("a"), config_map("a", &json!({})))
            .typed("text/plain"),
        post(
            "a field of another type",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "typed"}, "data": "text"}),
        ),
    ]
}

fn replaced() -> Vec<Step> {
    let versioned = |version: &str, value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "resourceVersion": version}, "data": {"k": value}});
    vec![
        get("the version before", at("a")).keeps("before", "/metadata/resourceVersion"),
        put("a replacement", at("a"), versioned("$before$", "w")),
        put("a replacement of an older version", at("a"), versioned("$before$", "x")),
        put("a replacement of any version", at("a"), config_map("a", &json!({"k": "y", "l": "1"})))
            .keeps("id", "/metadata/uid"),
        put("a replacement that changes nothing", at("a"), config_map("a", &json!({"k": "y", "l": "1"}))),
        put(
            "a replacement by another manager",
            format!("{}?fieldManager=somebody", at("a")),
            config_map("a", &json!({"k": "z", "l": "1"})),
        ),
        put(
            "a replacement without labels and data",
            at("managed"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "managed"}}),
        ),
        put("a replacement of what is not there", at("none"), config_map("none", &json!({}))),
        put("a replacement with another name", at("a"), config_map("b", &json!({}))),
        put(
            "a replacement without a name",
            at("a"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        ),
        put(
            "a replacement with another namespace",
            at("a"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}),
        ),
        put(
            "a replacement of another object of that name",
            at("a"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "00000000-0000-4000-8000-000000000000"}}),
        ),
        put(
            "a replacement of another kind",
            at("a"),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}}),
        ),
        put(
            "an object that is made immutable",
            at("bare"),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bare"}, "immutable": true}),
        ),
    ]
}

fn rehearsed() -> Vec<Step> {
    vec![
        post(
            "a rehearsal of a new object",
            format!("{MAPS}?dryRun=All"),
            config_map("rehearsed", &json!({})),
        ),
        get("an object of a rehearsal", at("rehearsed")),
        put(
            "a rehearsal of a replacement",
            format!("{}?dryRun=All", at("a")),
            config_map("a", &json!({"k": "rehearsed"})),
        ),
        get("an object after a rehearsal", at("a")),
        post("a rehearsal that is refused", format!("{MAPS}?dryRun=All"), config_map("a", &json!({}))),
        post("a rehearsal of another sort", format!("{MAPS}?dryRun=Some"), config_map("b", &json!({}))),
    ]
}
