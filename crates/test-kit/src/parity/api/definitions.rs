//! Definitions of kinds.

use serde_json::{Value, json};

use super::super::step::{MERGE, Step, Until, apply, delete, get, patch, post, put};

const ALL: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const GROUP: &str = "definitions.kvnet.dev";

pub fn steps() -> Vec<Step> {
    [refused(), lived(), versions()].into_iter().flatten().collect()
}

/// A definition whose schema says nothing.
pub fn definition(group: &str, plural: &str, kind: &str, versions: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "kind": kind}, "versions": versions},
    })
}

pub fn version(name: &str, schema: &Value) -> Value {
    json!({"name": name, "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}})
}

fn simple(plural: &str, kind: &str) -> Value {
    definition(GROUP, plural, kind, &json!([version("v1", &json!({"type": "object"}))]))
}

pub fn established(name: &'static str, path: String) -> Step {
    get(name, path).until(Until::Is("/status/conditions/1/status", "True"))
}

fn refused() -> Vec<Step> {
    let mut named = simple("bads", "Bad");
    named["metadata"]["name"] = "others.definitions.kvnet.dev".into();
    let mut grouped = simple("bads", "Bad");
    grouped["spec"]["group"] = "nodot".into();
    grouped["metadata"]["name"] = "bads.nodot".into();
    let versions = |versions: Value| definition(GROUP, "bads", "Bad", &versions);
    let mut scope = simple("bads", "Bad");
    scope["spec"]["scope"] = "Galaxy".into();
    let mut two = version("v2", &json!({"type": "object"}));
    two["storage"] = true.into();
    vec![
        post("a name that does not fit", ALL, named),
        post("a group without a dot", ALL, grouped),
        post("no version", ALL, versions(json!([]))),
        post("no schema", ALL, versions(json!([{"name": "v1", "served": true, "storage": true}]))),
        post(
            "no stored version",
            ALL,
            versions(
                json!([{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": {"type": "object"}}}]),
            ),
        ),
        post("two stored versions", ALL, versions(json!([version("v1", &json!({"type": "object"})), two]))),
        post("a scope that there is not", ALL, scope),
        post(
            "a schema without types",
            ALL,
            versions(json!([version(
                "v1",
                &json!({"properties": {"spec": {"properties": {"size": {"type": "integer"}}}}})
            )])),
        ),
        post(
            "a definition of an older version of the API",
            "/apis/apiextensions.k8s.io/v1beta1/customresourcedefinitions",
            json!({"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "CustomResourceDefinition", "metadata": {"name": "x.y.z"}}),
        ),
    ]
}

fn lived() -> Vec<Step> {
    let (path, things) =
        (format!("{ALL}/things.{GROUP}"), format!("/apis/{GROUP}/v1/namespaces/definitions/things"));
    let thing = json!({"apiVersion": "definitions.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": "a"}});
    let mut shorter = simple("things", "Thing");
    shorter["spec"]["names"]["shortNames"] = json!(["th"]);
    vec![
        get("a group before its definition", format!("/apis/{GROUP}")),
        post("an object before its definition", things.clone(), thing.clone()),
        apply("an apply of an object before its definition", &format!("{things}/a"), "one", thing.clone()),
        post("a definition", ALL, simple("things", "Thing")),
        post("a definition that is there", ALL, simple("things", "Thing")),
        established("a definition is established", path.clone()),
        get("its objects are served", things.clone()).until(Until::Status(200)),
        get("its group is served", format!("/apis/{GROUP}")).until(Until::Status(200)),
        get("its kinds are served", format!("/apis/{GROUP}/v1")).until(Until::Status(200)),
        post("an object of a definition", things.clone(), thing.clone()),
        apply("an apply of a definition that is there", &path, "one", shorter),
        get("its new short name is accepted", path.clone())
            .until(Until::Is("/status/acceptedNames/shortNames/0", "th")),
        patch("a label for a definition", path.clone(), MERGE, json!({"metadata": {"labels": {"a": "b"}}})),
        patch(
            "a definition gets another kind",
            path.clone(),
            MERGE,
            json!({"spec": {"names": {"kind": "Other"}}}),
        ),
        put("a definition without a version", path.clone(), simple("things", "Thing")),
        delete("a definition goes", path.clone()),
        get("a definition is gone", path).until(Until::Status(404)),
        get("its objects are not served any more", things).until(Until::Status(404)),
    ]
}

fn versions() -> Vec<Step> {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}});
    let mut old = version("v1beta1", &schema);
    old["storage"] = false.into();
    let mut unserved = version("v1alpha1", &schema);
    unserved["storage"] = false.into();
    unserved["served"] = false.into();
    let all = json!([version("v1", &schema), old, unserved]);
    let at =
        |version: &str, rest: &str| format!("/apis/{GROUP}/{version}/namespaces/definitions/gears{rest}");
    let gear = |version: &str| json!({"apiVersion": format!("{GROUP}/{version}"), "kind": "Gear", "metadata": {"name": "a"}, "spec": {"teeth": 7}});
    vec![
        post("a definition with versions", ALL, definition(GROUP, "gears", "Gear", &all)),
        get("a version is served", at("v1", "")).until(Until::Status(200)),
        get("an older version is served", at("v1beta1", "")).until(Until::Status(200)),
        get("a version that is not served", at("v1alpha1", "")),
        get("the versions of a group", format!("/apis/{GROUP}"))
            .until(Until::Is("/preferredVersion/version", "v1")),
        post("an object of the older version", at("v1beta1", ""), gear("v1beta1")),
        get("it as the newer version", at("v1", "/a")),
        put("a version that is not the path's", at("v1", "/a"), gear("v1beta1")),
        apply("an apply of the newer version", &at("v1", "/a"), "one", gear("v1")),
        delete("the definition with its objects", format!("{ALL}/gears.{GROUP}")),
        get("they are gone", format!("{ALL}/gears.{GROUP}")).until(Until::Status(404)),
    ]
}
