//! Lists: which objects, in which parts.

use serde_json::{Value, json};

use super::super::step::{Step, get, post};

const MAPS: &str = "/api/v1/namespaces/lists/configmaps";

pub fn steps() -> Vec<Step> {
    [things(), by_label(), by_field(), in_parts()].into_iter().flatten().collect()
}

fn things() -> Vec<Step> {
    let map = |name: &str, labels: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"nodeName": "lists-node", "containers": [{"name": "c", "image": "busybox:1.37.0"}]}});
    vec![
        get("an empty list", MAPS),
        post("object a", MAPS, map("a", &json!({"set": "lists", "colour": "red"}))),
        post("object b", MAPS, map("b", &json!({"set": "lists", "colour": "blue"}))),
        post("object c", MAPS, map("c", &json!({"set": "lists"}))),
        post("object d", MAPS, map("d", &json!({}))),
        post(
            "a node",
            "/api/v1/nodes",
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lists-node"}}),
        ),
        post("a pod on a node", "/api/v1/namespaces/lists/pods", pod),
        get("a list", MAPS),
        get("a list of no certain version", format!("{MAPS}?resourceVersion=0")),
        get("a list of a namespace that is not there", "/api/v1/namespaces/nowhere/configmaps"),
        get("a list of all namespaces", "/api/v1/configmaps?labelSelector=set=lists"),
        get("a list of the cluster's objects", "/api/v1/nodes?fieldSelector=metadata.name=lists-node"),
    ]
}

fn by_label() -> Vec<Step> {
    let by = |name: &'static str, selector: &str| get(name, format!("{MAPS}?labelSelector={selector}"));
    vec![
        by("a label with a value", "colour=red"),
        by("a label with a value, written otherwise", "colour%3D%3Dred"),
        by("a label without a value", "colour%21%3Dred"),
        by("a label with one of several values", "colour+in+(red,blue)"),
        by("a label with none of several values", "colour+notin+(red,blue)"),
        by("a label that is there", "colour"),
        by("a label that is not there", "%21colour"),
        by("two labels", "set%3Dlists,colour%21%3Dblue"),
        by("a label that nothing has", "set%3Dnothing"),
        by("an empty selector of labels", ""),
        by("a selector that is none", "colour+in+red"),
        by("a selector with a wrong name", "/a%3Db"),
        by("a selector with a wrong value", "a%3Dnot+this"),
    ]
}

fn by_field() -> Vec<Step> {
    let by = |name: &'static str, selector: &str| get(name, format!("{MAPS}?fieldSelector={selector}"));
    let pods = |name: &'static str, selector: &str| {
        get(name, format!("/api/v1/namespaces/lists/pods?fieldSelector={selector}"))
    };
    vec![
        by("a name", "metadata.name%3Da"),
        by("all names but one", "metadata.name%21%3Da"),
        by("a namespace", "metadata.namespace%3Dlists"),
        by("a name that nothing has", "metadata.name%3Dnone"),
        by("a name and a namespace", "metadata.name%3Da,metadata.namespace%3Ddefault"),
        by("a field that cannot be asked for", "data.k%3Dv"),
        by("a selector of fields that is none", "metadata.name"),
        pods("the pods of a node", "spec.nodeName%3Dlists-node"),
        pods("the pods of another node", "spec.nodeName%3Dother"),
        pods("the pods that run", "status.phase%3DRunning"),
        pods("the pods that do not run", "status.phase%21%3DRunning"),
        pods("pods by a field that cannot be asked for", "spec.hostname%3Dx"),
        get(
            "a label and a field",
            format!("{MAPS}?labelSelector=set%3Dlists&fieldSelector=metadata.name%3Db"),
        ),
    ]
}

fn in_parts() -> Vec<Step> {
    vec![
        get("a first part", format!("{MAPS}?limit=2")).keeps("rest", "/metadata/continue"),
        post(
            "an object between two parts",
            MAPS,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bb"}}),
        ),
        get("the last part", format!("{MAPS}?limit=2&continue=$rest$")),
        get("the rest without a limit", format!("{MAPS}?continue=$rest$")),
        get("a limit that is not reached", format!("{MAPS}?limit=500")),
        get("a limit that is reached", format!("{MAPS}?limit=5")),
        get("a part of what a selector chooses", format!("{MAPS}?limit=1&labelSelector=set%3Dlists")),
        get("a part with a token of nobody's", format!("{MAPS}?limit=2&continue=nonsense")),
        get("a part of a version", format!("{MAPS}?limit=2&continue=$rest$&resourceVersion=5")),
        get("a match without a version", format!("{MAPS}?resourceVersionMatch=Exact")),
    ]
}
