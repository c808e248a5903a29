//! Kinds that `CustomResourceDefinition`s bring.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::status::{Cause, Status};
use crate::sandbox::store::Transaction;

/// Where the definitions are stored.
pub(super) const PREFIX: &str = "api/apiextensions.k8s.io/customresourcedefinitions/";

/// The kinds of all definitions that are established.
pub(super) fn kinds(store: &Transaction<'_>) -> Vec<Kind> {
    store.range(PREFIX).filter(|(_, crd)| is_established(crd)).flat_map(|(_, crd)| kinds_of(crd)).collect()
}

fn is_established(crd: &Value) -> bool {
    let conditions = crd.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Established" && c["status"] == "True"))
}

/// The kinds of a definition, one for each version that it serves.
pub(super) fn kinds_of(crd: &Value) -> Vec<Kind> {
    let spec = &crd["spec"];
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = |version: &Value| {
        let of = |name: &str| version.get(name).or_else(|| spec.get(name));
        // v1beta1 calls it validation and has it for all versions.
        let schema =
            of("schema").or_else(|| of("validation")).map(|schema| schema["openAPIV3Schema"].clone());
        Kind {
            group: text("/group"),
            version: version["name"].as_str().unwrap_or_default().to_owned(),
            home: text("/group"),
            kind: text("/names/kind"),
            plural: text("/names/plural"),
            namespaced: spec["scope"] == "Namespaced",
            has_status: of("subresources").is_some_and(|subresources| subresources.get("status").is_some()),
            counts: true,
            schema: Some(Arc::new(schema.filter(Value::is_object).unwrap_or_else(free))),
        }
    };
    let served = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let mut kinds: Vec<Kind> = served.filter(|version| version["served"] != false).map(kind).collect();
    if kinds.is_empty() {
        kinds.push(kind(&json!({"name": spec["version"]})));
    }
    kinds
}

/// The schema of a definition without one.
fn free() -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// What the server fills in and says about a new definition.
pub(super) fn settle(crd: &mut Value, now: &str) {
    let names = &mut crd["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if names["singular"].is_null() {
        names["singular"] = kind.to_lowercase().into();
    }
    if names["listKind"].is_null() {
        names["listKind"] = format!("{kind}List").into();
    }
    let names = names.clone();
    if crd["spec"]["conversion"].is_null() {
        crd["spec"]["conversion"] = json!({"strategy": "None"});
    }
    let versions = crd["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().find(|version| version["storage"] == true);
    let stored = stored.map_or_else(|| crd["spec"]["version"].clone(), |version| version["name"].clone());
    let condition = |kind: &str, reason: &str, message: &str| json!({"lastTransitionTime": now, "message": message, "reason": reason, "status": "True", "type": kind});
    crd["status"] = json!({
        "acceptedNames": names,
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "storedVersions": [stored],
    });
}

/// Refuses a definition that is none.
pub(super) fn check(kind: &Kind, crd: &Value) -> Result<(), Box<Status>> {
    let name = crd["metadata"]["name"].as_str().unwrap_or_default();
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut causes = Vec::new();
    let wanted = format!("{}.{}", text("/spec/names/plural"), text("/spec/group"));
    if name != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::value("metadata.name", &name.into(), why));
    }
    if kind.version == "v1" {
        let versions = crd["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, version) in versions.iter().enumerate() {
            if version.pointer("/schema/openAPIV3Schema").is_none() {
                let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
                causes.push(Cause::required(field, "schemas are required"));
            }
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name, &causes)) }
}
