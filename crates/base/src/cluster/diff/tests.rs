//! Tables with `managedFields` as a real API server writes them.

use serde_json::json;

use super::*;

fn live() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {
            "name": "d", "namespace": "n", "generation": 1, "labels": {"app": "x", "a.b/c": "y"},
            "annotations": {"deprecated.daemonset.template.generation": "1"},
            "managedFields": [
                {"manager": "kvnet", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}, "f:a.b/c": {}}},
                    "f:spec": {"f:template": {"f:spec": {
                        "f:hostNetwork": {},
                        "f:containers": {"k:{\"name\":\"c\"}": {
                            ".": {}, "f:name": {}, "f:image": {}, "f:args": {},
                            "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}},
                            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
                        }},
                        "f:tolerations": {},
                    }}},
                }},
                {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
                    "f:spec": {"f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {"f:image": {}}}}}},
                }},
                {"manager": "kube-controller-manager", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
            ],
        },
        "spec": {"revisionHistoryLimit": 10, "template": {"metadata": {"creationTimestamp": null}, "spec": {
            "hostNetwork": true,
            "dnsPolicy": "ClusterFirst",
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{
                "name": "c", "image": "i:1", "args": ["-a", "-b"], "imagePullPolicy": "Always",
                "resources": {"limits": {"cpu": "100m", "memory": "50Mi"}},
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
            }],
        }}},
        "status": {"numberReady": 0},
    })
}

fn desired() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "d", "namespace": "n", "creationTimestamp": null, "labels": {"app": "x", "a.b/c": "y"}},
        "spec": {"template": {"spec": {
            "hostNetwork": true,
            "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
            "containers": [{
                "name": "c", "image": "i:1", "args": ["-a", "-b"], "env": [],
                "resources": {"limits": {"cpu": 0.1, "memory": "51200Ki"}},
                "ports": [{"containerPort": 80}],
            }],
        }}},
        "status": {},
    })
}

fn paths(found: &[FieldDiff]) -> Vec<&str> {
    found.iter().map(|difference| difference.path.as_str()).collect()
}

fn with(pointer: &str, value: Value) -> Value {
    let mut object = desired();
    *object.pointer_mut(pointer).unwrap() = value;
    object
}

#[test]
fn what_was_applied_does_not_differ() {
    assert_eq!(differences(&desired(), &live()), []);
}

#[test]
fn a_changed_field_names_its_place_and_owner() {
    let found = differences(&with("/spec/template/spec/containers/0/image", json!("i:2")), &live());
    assert_eq!(
        found,
        [FieldDiff {
            path: "spec.template.spec.containers[name=c].image".into(),
            before: Some("i:1".into()),
            after: Some("i:2".into()),
            owners: vec!["kubectl-edit".into()],
        }]
    );
}

#[test]
fn every_kind_of_change_is_seen() {
    let container = "/spec/template/spec/containers/0";
    let table = [
        (with(&format!("{container}/args"), json!(["-a"])), "spec.template.spec.containers[name=c].args"),
        (
            with(&format!("{container}/args"), json!(["-a", "-c"])),
            "spec.template.spec.containers[name=c].args[1]",
        ),
        (
            with(&format!("{container}/resources/limits/cpu"), json!("200m")),
            "spec.template.spec.containers[name=c].resources.limits.cpu",
        ),
        (with("/metadata/labels/a.b~1c", json!("z")), "metadata.labels[a.b/c]"),
        (
            with("/spec/template/spec/tolerations", json!([{"operator": "Exists"}])),
            "spec.template.spec.tolerations[0].effect",
        ),
    ];
    for (desired, path) in table {
        assert_eq!(paths(&differences(&desired, &live())), [path]);
    }
}

#[test]
fn what_kvnet_applied_and_no_longer_wants_is_removed() {
    let mut desired = desired();
    desired["metadata"]["labels"].as_object_mut().unwrap().shift_remove("app");
    desired["spec"]["template"]["spec"].as_object_mut().unwrap().shift_remove("hostNetwork");
    desired["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([]);
    assert_eq!(
        paths(&differences(&desired, &live())),
        [
            "metadata.labels.app",
            "spec.template.spec.containers[name=c].ports[containerPort=80,protocol=TCP]",
            "spec.template.spec.hostNetwork",
        ]
    );
}

#[test]
fn what_others_added_is_left_alone() {
    let mut live = live();
    live["metadata"]["labels"]["other"] = "1".into();
    live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar"}));
    assert_eq!(differences(&desired(), &live), []);
}

#[test]
fn objects_of_others_are_compared_with_built_in_merge_keys() {
    let mut live = live();
    live["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
    live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().insert(0, json!({"name": "a"}));
    assert_eq!(differences(&desired(), &live), []);
    let changed = with("/spec/template/spec/containers/0/image", json!("i:2"));
    assert_eq!(paths(&differences(&changed, &live)), ["spec.template.spec.containers[name=c].image"]);
}

#[test]
fn empty_choices_are_not_dropped() {
    let desired =
        json!({"kind": "Pod", "spec": {"volumes": [{"name": "v", "emptyDir": {}}], "nodeSelector": {}}});
    let live = json!({"kind": "Pod", "spec": {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}});
    assert_eq!(paths(&differences(&desired, &live)), ["spec.volumes[name=v].emptyDir"]);
}

#[test]
fn secrets_are_compared_and_hidden() {
    let live = json!({"kind": "Secret", "data": {"a": "c2VjcmV0"}});
    assert_eq!(differences(&json!({"kind": "Secret", "stringData": {"a": "secret"}}), &live), []);
    let found = differences(&json!({"kind": "Secret", "stringData": {"a": "other", "b": "new"}}), &live);
    assert_eq!(paths(&found), ["data.a", "data.b"]);
    assert_eq!(found[0].before, Some(HIDDEN.into()));
    assert_eq!(
        found[1],
        FieldDiff { path: "data.b".into(), before: None, after: Some(HIDDEN.into()), owners: vec![] }
    );
}

#[test]
fn a_schema_is_exact() {
    let crd = |properties: Value| {
        json!({"kind": "CustomResourceDefinition", "spec": {"preserveUnknownFields": false, "versions": [
            {"name": "v1", "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}},
        ]}})
    };
    let mut live = crd(json!({"a": {"type": "string"}, "b": {"type": "string"}}));
    live["spec"].as_object_mut().unwrap().shift_remove("preserveUnknownFields");
    live["spec"]["conversion"] = json!({"strategy": "None"});
    let found = differences(&crd(json!({"a": {"type": "string"}})), &live);
    assert_eq!(paths(&found), ["spec.versions[0].schema.openAPIV3Schema.properties.b"]);
    assert_eq!(differences(&crd(json!({"a": {"type": "string"}, "b": {"type": "string"}})), &live), []);
}

/// A live object of an API server that tracks nothing, with what kvnet noted.
fn untracked(applied: &Value) -> Value {
    let mut live = live();
    let metadata = live["metadata"].as_object_mut().unwrap();
    metadata.shift_remove("managedFields");
    let noted = recorded(applied)["metadata"]["annotations"]["kvnet.dev/applied"].clone();
    live["metadata"]["annotations"]["kvnet.dev/applied"] = noted;
    live
}

#[test]
fn what_was_noted_does_not_differ_and_what_is_no_longer_wanted_goes() {
    let live = untracked(&desired());
    assert_eq!(differences(&desired(), &live), []);
    let mut smaller = desired();
    smaller["metadata"]["labels"].as_object_mut().unwrap().shift_remove("app");
    smaller["spec"]["template"]["spec"].as_object_mut().unwrap().shift_remove("hostNetwork");
    smaller["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([]);
    assert_eq!(
        paths(&differences(&smaller, &live)),
        [
            "metadata.labels.app",
            "spec.template.spec.containers[name=c].ports[containerPort=80,protocol=TCP]",
            "spec.template.spec.hostNetwork",
        ]
    );
    let patch = merge_patch(&smaller, &live).unwrap();
    assert_eq!(patch["metadata"]["labels"], json!({"app": null}));
    let spec = &patch["spec"]["template"]["spec"];
    assert_eq!(spec["hostNetwork"], Value::Null);
    assert_eq!(spec["containers"][0]["ports"], json!([]));
    // What the server filled in, and what is written differently, stays.
    assert_eq!(spec["containers"][0]["imagePullPolicy"], "Always");
    assert_eq!(spec["containers"][0]["resources"]["limits"]["cpu"], "100m");
    assert!(spec.get("tolerations").is_none(), "{patch:#}");
}

#[test]
fn what_was_changed_since_has_an_owner_and_foreign_fields_stay() {
    let mut live = untracked(&desired());
    let container = &mut live["spec"]["template"]["spec"]["containers"][0];
    container["image"] = "i:theirs".into();
    live["spec"]["template"]["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "sidecar"}));
    live["metadata"]["labels"]["theirs"] = "1".into();
    let found = differences(&desired(), &live);
    assert_eq!(paths(&found), ["spec.template.spec.containers[name=c].image"]);
    assert_eq!(found[0].owners, ["another client"]);
    let patch = merge_patch(&desired(), &live).unwrap();
    let containers = patch["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(
        (containers[0]["image"].as_str(), containers[1]["name"].as_str()),
        (Some("i:1"), Some("sidecar"))
    );
    assert!(patch.get("metadata").is_none(), "{patch:#}");
    // A field that they changed, and that is not wanted any more, is theirs.
    let mut smaller = desired();
    smaller["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap().shift_remove("image");
    assert_eq!(differences(&smaller, &live), []);
}

#[test]
fn objects_that_are_not_kvnets_are_another_clients() {
    let live = json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}});
    let desired = json!({"kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "2", "b": "3"}});
    let owners: Vec<usize> = differences(&desired, &live).iter().map(|field| field.owners.len()).collect();
    assert_eq!(owners, [1, 0]);
    let mut own = live;
    own["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "kvnet"});
    assert!(differences(&desired, &own).iter().all(|field| field.owners.is_empty()));
}

/// An object after a merge patch is one that needs none: this is what a run at rest rests on.
#[test]
fn a_patched_object_needs_no_patch() {
    let live = untracked(&desired());
    let mut other = desired();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "i:2".into();
    other["spec"]["template"]["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    let wanted = recorded(&other);
    let mut patched = live;
    let patch = merge_patch(&wanted, &patched).unwrap();
    json_patch::merge(&mut patched, &patch);
    assert_eq!(merge_patch(&wanted, &patched), None);
    assert_eq!(differences(&other, &patched), []);
}

#[test]
fn secrets_and_pods_carry_no_note() {
    for kind in ["Secret", "Pod"] {
        let object = json!({"kind": kind, "metadata": {"name": "x"}, "stringData": {"a": "canary"}});
        assert_eq!(recorded(&object), object);
    }
}
