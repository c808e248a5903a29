//! The kinds of `CustomResourceDefinition`s.

use std::sync::Arc;

use serde_json::{Value, json};

use super::fields::{self, Manager};
use super::kinds::Kind;
use super::schema::Shape;
use super::status::{Cause, Status};
use crate::store::Transaction;

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
            names: spec["names"].clone(),
            tracks: true,
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

/// The server's defaults for a definition.
pub(super) fn fill(of: &Kind, crd: &mut Value) {
    let names = &mut crd["spec"]["names"];
    let kind = names["kind"].as_str().unwrap_or_default().to_owned();
    if !kind.is_empty() && names["singular"].is_null() {
        names["singular"] = kind.to_lowercase().into();
    }
    if !kind.is_empty() && names["listKind"].is_null() {
        names["listKind"] = format!("{kind}List").into();
    }
    if !of.tracks {
        if crd["spec"]["versions"].is_null() {
            crd["spec"]["versions"] =
                json!([{"name": crd["spec"]["version"], "served": true, "storage": true}]);
        }
    } else if crd["spec"]["conversion"].is_null() {
        crd["spec"]["conversion"] = json!({"strategy": "None"});
    }
}

/// The initial status of a new definition.
pub(super) fn begin(crd: &mut Value) {
    let versions = crd["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let stored = versions.iter().find(|version| version["storage"] == true);
    let stored = stored.map_or_else(|| crd["spec"]["version"].clone(), |version| version["name"].clone());
    crd["status"] = json!({
        "conditions": null, "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": [stored],
    });
}

/// The status that the server's controllers write: its names are accepted, its kinds are served.
pub(super) fn establish(store: &mut Transaction<'_>, of: &Kind, key: &str, now: &str) {
    let Some(before) = store.value(key).cloned() else { return };
    let mut after = before.as_ref().clone();
    let condition = |kind: &str, time: Value, reason: &str, message: &str| json!({"type": kind, "status": "True", "lastTransitionTime": time, "reason": reason, "message": message});
    // The server of 2018 does not date it.
    let established = if of.tracks { now.into() } else { Value::Null };
    after["status"]["acceptedNames"] = after["spec"]["names"].clone();
    after["status"]["conditions"] = json!([
        condition("NamesAccepted", now.into(), "NoConflicts", "no conflicts found"),
        condition("Established", established, "InitialNamesAccepted", "the initial names have been accepted"),
    ]);
    if of.tracks {
        own_status(&before, &mut after, now);
    }
    after["metadata"]["resourceVersion"] = (store.revision() + 1).to_string().into();
    store.put(key, after);
}

/// The server's own controllers are field managers too.
fn own_status(before: &Value, after: &mut Value, now: &str) {
    let writer = Manager {
        name: "kube-apiserver".into(),
        operation: "Update".into(),
        api_version: after["apiVersion"].as_str().unwrap_or_default().to_owned(),
        time: now.to_owned(),
        subresource: "status".into(),
        fields: fields::Set::new(),
    };
    let compared = fields::compare(before, after, Shape::root(None));
    let mut managers = fields::managers(before);
    fields::hand_over(&mut managers, &writer, &compared);
    fields::set_managers(after, managers);
}

/// Rejects an invalid definition.
pub(super) fn check(kind: &Kind, crd: &Value, before: Option<&Value>) -> Result<(), Box<Status>> {
    let name = crd["metadata"]["name"].as_str().unwrap_or_default();
    let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut causes = Vec::new();
    let wanted = format!("{}.{}", text("/spec/names/plural"), text("/spec/group"));
    if name != wanted {
        let why = "must be spec.names.plural+\".\"+spec.group";
        causes.push(Cause::value("metadata.name", &name.into(), why));
    }
    if let Some(before) = before {
        for field in ["plural", "kind"] {
            let name = &crd["spec"]["names"][field];
            if *name != before["spec"]["names"][field] {
                causes.push(Cause::value(format!("spec.names.{field}"), name, "field is immutable"));
            }
        }
    }
    if kind.version == "v1" {
        let group = text("/spec/group");
        if !group.contains('.') {
            causes.push(Cause::value(
                "spec.group",
                &group.into(),
                "should be a domain with at least one dot",
            ));
        }
        let scope = &crd["spec"]["scope"];
        if !["Cluster", "Namespaced"].iter().any(|one| scope == one) {
            causes.push(Cause::not_supported("spec.scope", scope, &["Cluster", "Namespaced"]));
        }
        let versions = crd["spec"]["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
        if versions.iter().filter(|version| version["storage"] == true).count() != 1 {
            let why = "must have exactly one version marked as storage version";
            causes.push(Cause::value("spec.versions", &crd["spec"]["versions"], why));
            if versions.is_empty() {
                let why = "must have at least one stored version";
                causes.push(Cause::value("status.storedVersions", &Value::Null, why));
            }
        }
        for version in versions.iter().filter_map(|version| version.pointer("/schema/openAPIV3Schema")) {
            types(version, "spec.validation.openAPIV3Schema", true, &mut causes);
        }
        for (index, version) in versions.iter().enumerate() {
            if version.pointer("/schema/openAPIV3Schema").is_none() {
                let field = format!("spec.versions[{index}].schema.openAPIV3Schema");
                causes.push(Cause::required(field, ""));
            }
        }
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name, &causes)) }
}

/// Rejects a schema with untyped fields.
fn types(schema: &Value, place: &str, is_root: bool, causes: &mut Vec<Cause>) {
    let mut below: Vec<(&String, &Value)> = schema["properties"].as_object().into_iter().flatten().collect();
    below.sort_unstable_by_key(|(name, _)| *name);
    for (name, schema) in below {
        types(schema, &format!("{place}.properties[{name}]"), false, causes);
    }
    let is_free = ["x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields"]
        .iter()
        .any(|name| schema[*name] == true);
    if schema["type"].is_null() && !is_free {
        let why = if is_root {
            "must not be empty at the root"
        } else {
            "must not be empty for specified object fields"
        };
        causes.push(Cause::required(format!("{place}.type"), why));
    }
}
