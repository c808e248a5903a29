//! What an object owns goes with it: the collector's work, seen through the API server.

use serde_json::{Value, json};

use super::super::step::{Step, Until, delete, delete_with, get, post};
use super::config_map;

const MAPS: &str = "/api/v1/namespaces/owners/configmaps";

pub fn steps() -> Vec<Step> {
    [refused(), background(), foreground(), orphans()].into_iter().flatten().collect()
}

fn at(name: &str) -> String {
    format!("{MAPS}/{name}")
}

fn owned(name: &str, owners: &[(&str, &str)], blocks: bool) -> Value {
    let owner = |(owner, id): &(&str, &str)| {
        let mut owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": id});
        if blocks {
            owner["blockOwnerDeletion"] = true.into();
        }
        owner
    };
    let owners: Vec<Value> = owners.iter().map(owner).collect();
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "ownerReferences": owners}})
}

fn refused() -> Vec<Step> {
    let with = |owner: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bad", "ownerReferences": [owner]}});
    vec![
        post(
            "an owner without an id",
            MAPS,
            with(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": ""})),
        ),
        post(
            "an owner without a name",
            MAPS,
            with(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "", "uid": "x"})),
        ),
    ]
}

fn background() -> Vec<Step> {
    vec![
        post("an owner", MAPS, config_map("a", &json!({}))).keeps("a", "/metadata/uid"),
        post("another owner", MAPS, config_map("b", &json!({}))).keeps("b", "/metadata/uid"),
        post("what one owns", MAPS, owned("of-a", &[("a", "$a$")], false)).keeps("of-a", "/metadata/uid"),
        post("what both own", MAPS, owned("of-both", &[("a", "$a$"), ("b", "$b$")], false)),
        post("what the owned one owns", MAPS, owned("of-of-a", &[("of-a", "$of-a$")], false)),
        delete("the owner goes", at("a")),
        get("what it owned goes", at("of-a")).until(Until::Status(404)),
        get("and what that owned", at("of-of-a")).until(Until::Status(404)),
        get("what has another owner stays", at("of-both"))
            .until(Until::Is("/metadata/ownerReferences/0/name", "b")),
        delete("the other owner goes", at("b")),
        get("what both owned goes", at("of-both")).until(Until::Status(404)),
    ]
}

fn foreground() -> Vec<Step> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground"});
    vec![
        post("an owner that waits", MAPS, config_map("c", &json!({}))).keeps("c", "/metadata/uid"),
        post("what it owns", MAPS, owned("of-c", &[("c", "$c$")], true)),
        delete_with("the owner is only marked", at("c"), options),
        get("what it owned goes first", at("of-c")).until(Until::Status(404)),
        get("then it goes itself", at("c")).until(Until::Status(404)),
    ]
}

fn orphans() -> Vec<Step> {
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Orphan"});
    vec![
        post("an owner that leaves orphans", MAPS, config_map("d", &json!({}))).keeps("d", "/metadata/uid"),
        post("what will be an orphan", MAPS, owned("of-d", &[("d", "$d$")], false)),
        delete_with("an orphaning deletion", at("d"), options),
        get("the owner is gone", at("d")).until(Until::Status(404)),
        get("the orphan stays", at("of-d")),
    ]
}
