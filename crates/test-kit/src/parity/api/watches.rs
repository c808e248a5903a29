//! Watches, and what a server has forgotten.

use base64::Engine as _;
use serde_json::{Value, json};

use super::super::step::{MERGE, Step, compact, delete, get, patch, post};
use super::config_map;

const MAPS: &str = "/api/v1/namespaces/watches/configmaps";

pub fn steps() -> Vec<Step> {
    [happened(), followed(), refused(), forgotten()].into_iter().flatten().collect()
}

fn labelled(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"watch": value}}})
}

/// Something for the watches to tell.
fn happened() -> Vec<Step> {
    vec![
        post("an object before", MAPS, labelled("before", "yes")),
        get("the version before", MAPS).keeps("start", "/metadata/resourceVersion"),
        post("an object comes", MAPS, labelled("a", "yes")),
        post("another object comes", MAPS, labelled("b", "no")),
        patch("an object changes", format!("{MAPS}/a"), MERGE, json!({"data": {"k": "v"}})),
        patch(
            "an object stops to fit",
            format!("{MAPS}/a"),
            MERGE,
            json!({"metadata": {"labels": {"watch": "no"}}}),
        ),
        patch(
            "an object begins to fit",
            format!("{MAPS}/b"),
            MERGE,
            json!({"metadata": {"labels": {"watch": "yes"}}}),
        ),
        post(
            "an object with a finalizer comes",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["kvnet.dev/hold"], "labels": {"watch": "yes"}}}),
        ),
        delete("it is marked", format!("{MAPS}/c")),
        patch("it is let go", format!("{MAPS}/c"), MERGE, json!({"metadata": {"finalizers": null}})),
        delete("an object goes", format!("{MAPS}/b")),
        get("the version after", MAPS).keeps("end", "/metadata/resourceVersion"),
    ]
}

fn followed() -> Vec<Step> {
    let watch =
        |name: &'static str, query: &str| get(name, format!("{MAPS}?watch=true&timeoutSeconds=1&{query}"));
    vec![
        watch("everything since", "resourceVersion=$start$"),
        watch("what has a label", "resourceVersion=$start$&labelSelector=watch%3Dyes"),
        watch("what has a name", "resourceVersion=$start$&fieldSelector=metadata.name%3Da"),
        watch("nothing since", "resourceVersion=$end$"),
        watch("what is there, and from now on", "resourceVersion=0"),
        watch("what is there of a name", "resourceVersion=0&fieldSelector=metadata.name%3Dbefore"),
        watch("no version given", "labelSelector=watch"),
        watch("what nothing fits", "resourceVersion=0&labelSelector=watch%3Dnever"),
        watch(
            "written as kube writes it",
            "allowWatchBookmarks=true&resourceVersion=$end$&fieldSelector=metadata.name%3Dnone",
        ),
        // No bookmark: the real server sends one before the end when it finds the time, and now and then none.
        get(
            "a watch of one that is not there",
            "/api/v1/namespaces/watches/configmaps?watch=1&timeoutSeconds=1&resourceVersion=0&fieldSelector=metadata.name%3Dnone",
        ),
        get(
            "a watch of all namespaces",
            "/api/v1/configmaps?watch=true&timeoutSeconds=1&resourceVersion=$start$&labelSelector=watch",
        ),
    ]
}

fn refused() -> Vec<Step> {
    vec![
        get(
            "a watch of a kind that is not served",
            "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions?watch=true&timeoutSeconds=1",
        ),
        get(
            "a watch from a version that is none",
            format!("{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=abc"),
        ),
        get(
            "a watch by a field that cannot be asked for",
            format!("{MAPS}?watch=true&timeoutSeconds=1&fieldSelector=data.k%3Dv"),
        ),
        get(
            "a watch by a selector that is none",
            format!("{MAPS}?watch=true&timeoutSeconds=1&labelSelector=a+in+b"),
        ),
        get("a list from a version that is none", format!("{MAPS}?resourceVersion=abc")),
    ]
}

fn forgotten() -> Vec<Step> {
    let token = json!({"v": "meta.k8s.io/v1", "rv": 1, "start": "before\u{0}"}).to_string();
    let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token);
    vec![
        post("one more object", MAPS, config_map("z", &json!({}))),
        compact(),
        get(
            "a watch from what is forgotten",
            format!("{MAPS}?watch=true&timeoutSeconds=1&resourceVersion=1"),
        ),
        get("a list goes on after what is forgotten", format!("{MAPS}?limit=1&continue={token}")),
        get("a list as always", format!("{MAPS}?labelSelector=watch")),
    ]
}
