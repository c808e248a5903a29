//! Custom resources against their schema.

use serde_json::{Value, json};

use super::super::step::{MERGE, OPERATIONS, STRATEGIC, Step, Until, apply, delete, get, patch, post, put};
use super::definitions::{definition, version};

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const THINGS: &str = "/apis/custom.kvnet.dev/v1/namespaces/custom/things";

pub fn steps() -> Vec<Step> {
    [defined(), kept(), refused(), changed(), networks()].into_iter().flatten().collect()
}

fn schema() -> Value {
    json!({"type": "object", "required": ["spec"], "properties": {
        "spec": {"type": "object", "required": ["size"], "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 10},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4, "minLength": 2},
            "port": {"x-kubernetes-int-or-string": true},
            "ratio": {"type": "number"},
            "on": {"type": "boolean"},
            "maybe": {"type": "string", "nullable": true},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "names": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
                "type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "count": {"type": "integer", "default": 1}},
            }},
        }},
        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
    }})
}

fn thing(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec})
}

fn at(name: &str) -> String {
    format!("{THINGS}/{name}")
}

fn defined() -> Vec<Step> {
    let mut with_status = version("v1", &schema());
    with_status["subresources"] = json!({"status": {}});
    vec![
        post(
            "the definition",
            CRDS,
            definition("custom.kvnet.dev", "things", "Thing", &json!([with_status])),
        ),
        get("it is served", THINGS).until(Until::Status(200)),
        get("its kinds", "/apis/custom.kvnet.dev/v1").until(Until::Status(200)),
    ]
}

fn kept() -> Vec<Step> {
    vec![
        post("a thing", THINGS, thing("a", &json!({"size": 1}))),
        post(
            "fields that the schema does not have",
            THINGS,
            thing(
                "b",
                &json!({"size": 1, "weight": 7, "free": {"any": {"thing": [1]}}, "labels": {"x": "y"}, "parts": [{"name": "p", "other": 1}]}),
            ),
        ),
        post(
            "fields beside the specification",
            THINGS,
            json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": "c"}, "spec": {"size": 2}, "extra": 1, "status": {"phase": "x"}}),
        ),
        get("the things", THINGS),
        post(
            "an unknown field, strictly",
            format!("{THINGS}?fieldValidation=Strict"),
            thing("d", &json!({"size": 1, "weight": 7})),
        ),
        post(
            "an unknown field, ignored",
            format!("{THINGS}?fieldValidation=Ignore"),
            thing("d-too", &json!({"size": 1, "weight": 7})),
        ),
        post("a null", THINGS, thing("e", &json!({"size": 1, "maybe": null, "colour": null}))),
        post(
            "a number or a text",
            THINGS,
            thing("f", &json!({"size": 1, "port": "http", "ratio": 0.5, "on": true})),
        ),
        post("a whole number for a number", THINGS, thing("g", &json!({"size": 1, "ratio": 2, "port": 80}))),
        get("a thing that is not there", at("none")),
        get("things by name", format!("{THINGS}?fieldSelector=metadata.name%3Da")),
        get("things by a field that cannot be asked for", format!("{THINGS}?fieldSelector=spec.size%3D1")),
    ]
}

fn refused() -> Vec<Step> {
    let wrong = |name: &'static str, spec: Value| post(name, THINGS, thing(&name.replace(' ', "-"), &spec));
    vec![
        wrong("a text for a number", json!({"size": "big"})),
        wrong("a number for a text", json!({"size": 1, "code": 7})),
        wrong("an object for a text", json!({"size": 1, "code": {}})),
        wrong("a list for an object", json!({"size": 1, "free": []})),
        wrong("a fraction for a whole number", json!({"size": 1.5})),
        wrong("a text for a truth", json!({"size": 1, "on": "yes"})),
        wrong("a field that is required", json!({})),
        post(
            "a specification that is required",
            THINGS,
            json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": "x"}}),
        ),
        wrong("a number that is too small", json!({"size": 0})),
        wrong("a number that is too large", json!({"size": 11})),
        wrong("a value that cannot be chosen", json!({"size": 1, "colour": "green"})),
        wrong("a text that does not fit", json!({"size": 1, "code": "A1"})),
        wrong("a text that is too long", json!({"size": 1, "code": "abcde"})),
        wrong("a text that is too short", json!({"size": 1, "code": "a"})),
        wrong("too many items", json!({"size": 1, "names": ["a", "b", "c", "d"]})),
        wrong("an item of another type", json!({"size": 1, "names": ["a", 7]})),
        wrong("a value of another type in a map", json!({"size": 1, "labels": {"x": 7}})),
        wrong("an item without a field", json!({"size": 1, "parts": [{"count": 1}]})),
        wrong("an item twice", json!({"size": 1, "parts": [{"name": "p"}, {"name": "p"}]})),
        wrong("a value twice", json!({"size": 1, "tags": ["a", "a"]})),
        wrong("a fraction where a number or a text may be", json!({"size": 1, "port": 1.5})),
        // Not two wrong values at once: the real server names them in the order of a map, another one each time.
        wrong("a type wrong and something missing", json!({"on": "yes"})),
        post(
            "a wrong kind",
            THINGS,
            json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Other", "metadata": {"name": "x"}, "spec": {"size": 1}}),
        ),
        post(
            "a wrong version",
            THINGS,
            json!({"apiVersion": "custom.kvnet.dev/v2", "kind": "Thing", "metadata": {"name": "x"}, "spec": {"size": 1}}),
        ),
        post("no kind", THINGS, json!({"metadata": {"name": "x"}, "spec": {"size": 1}})),
        post("broken JSON", THINGS, json!({})).says("{nothing"),
        post("a name that cannot be", THINGS, thing("Bad_Name", &json!({"size": 1}))),
        post("a thing that is there", THINGS, thing("a", &json!({"size": 1}))),
    ]
}

fn changed() -> Vec<Step> {
    vec![
        put("a replacement without a version", at("a"), thing("a", &json!({"size": 2}))),
        get("the version", at("a")).keeps("version", "/metadata/resourceVersion"),
        put(
            "a replacement",
            at("a"),
            json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": "a", "resourceVersion": "$version$"}, "spec": {"size": 2}, "status": {"phase": "x"}}),
        ),
        put(
            "a replacement of an older version",
            at("a"),
            json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": "a", "resourceVersion": "$version$"}, "spec": {"size": 3}}),
        ),
        patch("a merge patch", at("a"), MERGE, json!({"spec": {"size": 3, "weight": 7}})),
        patch("a merge patch that is refused", at("a"), MERGE, json!({"spec": {"size": 99}})),
        patch(
            "operations",
            at("a"),
            OPERATIONS,
            json!([{"op": "replace", "path": "/spec/size", "value": 4}]),
        ),
        patch("a strategic patch", at("a"), STRATEGIC, json!({"spec": {"size": 5}})),
        patch(
            "a status",
            format!("{}/status", at("a")),
            MERGE,
            json!({"status": {"phase": "Ready", "other": 1}, "spec": {"size": 9}}),
        ),
        patch("a label is no new generation", at("a"), MERGE, json!({"metadata": {"labels": {"a": "b"}}})),
        apply(
            "an apply",
            &at("h"),
            "one",
            thing(
                "h",
                &json!({"size": 1, "parts": [{"name": "p"}, {"name": "q", "count": 2}], "tags": ["x"], "free": {"a": 1}}),
            ),
        ),
        apply(
            "the same apply",
            &at("h"),
            "one",
            thing(
                "h",
                &json!({"size": 1, "parts": [{"name": "p"}, {"name": "q", "count": 2}], "tags": ["x"], "free": {"a": 1}}),
            ),
        ),
        apply(
            "another's items",
            &at("h"),
            "two",
            thing("h", &json!({"size": 1, "parts": [{"name": "r"}], "tags": ["y"]})),
        ),
        apply(
            "an item less",
            &at("h"),
            "one",
            thing("h", &json!({"size": 1, "parts": [{"name": "q", "count": 2}], "tags": ["x"]})),
        ),
        apply(
            "a conflict",
            &at("h"),
            "two",
            thing("h", &json!({"size": 2, "parts": [{"name": "q", "count": 3}]})),
        ),
        apply("an apply that the schema refuses", &at("h"), "one", thing("h", &json!({"size": "big"}))),
        apply("an apply of an unknown field", &at("i"), "one", thing("i", &json!({"size": 1, "weight": 1}))),
        apply(
            "an apply of a status",
            &format!("{}/status", at("h")),
            "controller",
            json!({"apiVersion": "custom.kvnet.dev/v1", "kind": "Thing", "metadata": {"name": "h"}, "status": {"phase": "Ready"}}),
        ),
        delete("a thing goes", at("h")),
        get("a thing is gone", at("h")),
    ]
}

/// The kind that all of kvnet is about, as its definition is in the field: with a schema and without a status.
fn networks() -> Vec<Step> {
    let schema = json!({"type": "object", "properties": {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}, "spec": {"type": "object", "properties": {"config": {"type": "string"}}}}});
    let mut definition = definition(
        "k8s.cni.cncf.io",
        "network-attachment-definitions",
        "NetworkAttachmentDefinition",
        &json!([version("v1", &schema)]),
    );
    definition["spec"]["names"]["singular"] = "network-attachment-definition".into();
    definition["spec"]["names"]["shortNames"] = json!(["net-attach-def"]);
    let path = "/apis/k8s.cni.cncf.io/v1/namespaces/custom/network-attachment-definitions";
    let network = json!({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", "metadata": {"name": "ovs-blue", "labels": {"app.kubernetes.io/managed-by": "kvnet"}}, "spec": {"config": "{\"type\": \"ovs\"}"}});
    vec![
        apply(
            "the definition of networks",
            &format!("{CRDS}/network-attachment-definitions.k8s.cni.cncf.io"),
            "kvnet",
            definition,
        ),
        get("networks are served", path).until(Until::Status(200)),
        apply("a network", &format!("{path}/ovs-blue"), "kvnet", network),
        get("networks of kvnet", format!("{path}?labelSelector=app.kubernetes.io/managed-by%3Dkvnet")),
        get("the status of a kind without one", format!("{path}/ovs-blue/status")),
        delete(
            "the definition of networks goes",
            format!("{CRDS}/network-attachment-definitions.k8s.cni.cncf.io"),
        ),
        get(
            "the definition of networks is gone",
            format!("{CRDS}/network-attachment-definitions.k8s.cni.cncf.io"),
        )
        .until(Until::Status(404)),
        delete("the definition of things goes", format!("{CRDS}/things.custom.kvnet.dev")),
    ]
}
