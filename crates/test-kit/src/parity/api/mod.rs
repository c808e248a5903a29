//! The requests, in chapters. Each chapter has a namespace of its own and needs no other one.

mod applies;
mod custom;
mod definitions;
mod deletes;
mod discovery;
mod lists;
mod namespaces;
mod objects;
pub mod of_2018;
mod owners;
mod patches;
mod statuses;
mod watches;
mod workloads;

use serde_json::{Value, json};

use super::step::{Step, post};

/// Requests that build on one another.
pub struct Chapter {
    pub name: &'static str,
    pub steps: Vec<Step>,
}

/// The suite.
pub fn chapters() -> Vec<Chapter> {
    let chapter = |name: &'static str, steps: Vec<Step>| Chapter {
        name,
        steps: in_namespace(name).into_iter().chain(steps).collect(),
    };
    vec![
        chapter("discovery", discovery::steps()),
        chapter("objects", objects::steps()),
        chapter("lists", lists::steps()),
        chapter("applies", applies::steps()),
        chapter("patches", patches::steps()),
        chapter("statuses", statuses::steps()),
        chapter("deletes", deletes::steps()),
        chapter("owners", owners::steps()),
        chapter("namespaces", namespaces::steps()),
        chapter("definitions", definitions::steps()),
        chapter("custom", custom::steps()),
        chapter("workloads", workloads::steps()),
        // The last one: it makes the server forget.
        chapter("watches", watches::steps()),
    ]
}

/// A namespace with what pods in it need; controllers would make the `ServiceAccount`.
fn in_namespace(name: &'static str) -> Vec<Step> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    vec![
        post("the chapter's namespace", "/api/v1/namespaces", namespace(name)),
        post("the chapter's account", format!("/api/v1/namespaces/{name}/serviceaccounts"), account),
    ]
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}
