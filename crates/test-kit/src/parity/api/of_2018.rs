//! What kvnet asks of a server that cannot apply, Kubernetes 1.11: the requests in place of an apply, and the groups of that day.

use serde_json::{Value, json};

use super::super::step::{
    APPLY, MERGE, OPERATIONS, STRATEGIC, Step, Until, delete, delete_with, get, patch, post, put,
};
use super::{Chapter, config_map, in_namespace};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1beta1/customresourcedefinitions";
const GROUP: &str = "of2018.kvnet.dev";

/// The suite for 1.11.
pub fn chapters() -> Vec<Chapter> {
    let chapter = |name: &'static str, steps: Vec<Step>| Chapter {
        name,
        steps: in_namespace(name).into_iter().chain(steps).collect(),
    };
    vec![
        chapter("in-place-of-apply", in_place_of_apply()),
        chapter("daemons-of-2018", daemons()),
        chapter("definitions-of-2018", definitions()),
        chapter("groups-of-2018", groups()),
        chapter("lists", in_order(super::lists::steps())),
        chapter("deletes", super::deletes::steps()),
        chapter("owners", super::owners::steps()),
        chapter("namespaces", super::namespaces::steps()),
        chapter("watches", in_order(super::watches::steps())),
    ]
}

/// Without those that the server of that day answers out of a cache that has no order.
fn in_order(steps: Vec<Step>) -> Vec<Step> {
    let without = ["a list of no certain version", "what is there, and from now on", "no version given"];
    steps.into_iter().filter(|step| !without.contains(&step.name)).collect()
}

fn in_place_of_apply() -> Vec<Step> {
    let all = "/api/v1/namespaces/in-place-of-apply/configmaps";
    let one = format!("{all}/m");
    let namespace = "/api/v1/namespaces/in-place-of-apply";
    let map = |a: &str| config_map("m", &json!({"a": a}));
    let at = |version: &str| json!({"metadata": {"resourceVersion": version}, "data": {"a": "3"}});
    vec![
        get("no third description", "/openapi/v3"),
        patch(
            "an apply of what is not there",
            format!("{one}?fieldManager=one&force=false"),
            APPLY,
            map("1"),
        ),
        post("a creation by a manager", format!("{all}?fieldManager=one"), map("1"))
            .keeps("first", "/metadata/resourceVersion"),
        post("a creation of what is there", format!("{all}?fieldManager=one"), map("1")),
        patch("an apply of what is there", format!("{one}?fieldManager=one&force=true"), APPLY, map("2")),
        patch(
            "a merge patch by a manager",
            format!("{one}?fieldManager=one"),
            MERGE,
            json!({"data": {"b": "2"}}),
        ),
        patch("a merge patch that removes", one.clone(), MERGE, json!({"data": {"b": null}})),
        patch("a merge patch of an older version", one.clone(), MERGE, at("$first$")),
        patch(
            "a merge patch of what is not there",
            format!("{all}/none"),
            MERGE,
            json!({"data": {"a": "1"}}),
        ),
        patch("a merge patch that changes nothing", one.clone(), MERGE, json!({"data": {"a": "1"}})),
        patch(
            "a merge patch that is only tried",
            format!("{one}?dryRun=All"),
            MERGE,
            json!({"data": {"a": "4"}}),
        ),
        patch(
            "operations on what is otherwise",
            one.clone(),
            OPERATIONS,
            json!([{"op": "test", "path": "/data/a", "value": "0"}, {"op": "remove", "path": "/data/a"}]),
        ),
        operations("a removal of a field that is not there", &one, "remove", "/data/none"),
        operations("a removal below what is not there", &one, "remove", "/metadata/annotations/none"),
        operations("a test of a field that is not there", &one, "test", "/data/none"),
        operations("a test below what is not there", &one, "test", "/metadata/annotations/none"),
        operations("a replacement of a field that is not there", &one, "replace", "/data/none"),
        operations("a removal behind the end of a list", namespace, "remove", "/spec/finalizers/3"),
        operations("a test behind the end of a list", namespace, "test", "/spec/finalizers/3"),
        operations(
            "a test below what is behind the end of a list",
            namespace,
            "test",
            "/spec/finalizers/3/none",
        ),
        patch(
            "operations",
            one.clone(),
            OPERATIONS,
            json!([{"op": "replace", "path": "/data/a", "value": "4"}]),
        ),
        patch("a strategic patch", one.clone(), STRATEGIC, json!({"metadata": {"labels": {"l": "1"}}})),
        put("a replacement", one.clone(), map("5")),
        get("it as it is", one.clone()).keeps("id", "/metadata/uid"),
        delete_with("a deletion of another one", one.clone(), json!({"preconditions": {"uid": "0"}})),
        delete_with("a deletion of this one", one.clone(), json!({"preconditions": {"uid": "$id$"}})),
        get("it is gone", one),
    ]
}

/// One operation, which does not fit the object.
fn operations(name: &'static str, path: &str, operation: &str, at: &str) -> Step {
    let mut operation = json!({"op": operation, "path": at});
    if operation["op"] != "remove" {
        operation["value"] = "0".into();
    }
    patch(name, path.to_owned(), OPERATIONS, json!([operation]))
}

fn daemons() -> Vec<Step> {
    let all = "/apis/extensions/v1beta1/namespaces/daemons-of-2018/daemonsets";
    let one = format!("{all}/d");
    let image = |image: &str| json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    let set = json!({
        "apiVersion": "extensions/v1beta1", "kind": "DaemonSet", "metadata": {"name": "d", "labels": {"app": "d"}},
        "spec": {"template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"containers": [{"name": "c", "image": "i:1"}]},
        }},
    });
    let template = json!({"metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}});
    let today = |kind: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "w"},
            "spec": {"selector": {"matchLabels": {"app": "w"}}, "template": template},
        })
    };
    let old = json!({"apiVersion": "extensions/v1beta1", "kind": "Deployment", "metadata": {"name": "o"}, "spec": {"template": template}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": {"clusterIP": "None", "ports": [{"port": 443, "targetPort": 8443}]}});
    let (apps, core) = ("/apis/apps/v1/namespaces/daemons-of-2018", "/api/v1/namespaces/daemons-of-2018");
    let groups = "/apis/extensions/v1beta1/namespaces/daemons-of-2018";
    vec![
        post("a set of daemons", all, set),
        patch("a label is no new template", one.clone(), MERGE, json!({"metadata": {"labels": {"l": "1"}}})),
        patch("an image is a new template", one.clone(), MERGE, image("i:2")),
        get("it as of this group", one.clone()),
        get("it as of the later group", format!("{apps}/daemonsets/d")),
        delete("it goes", one),
        post("a set of daemons of the later group", format!("{apps}/daemonsets"), today("DaemonSet")),
        delete_with(
            "it goes with its pods",
            format!("{apps}/daemonsets/w"),
            json!({"propagationPolicy": "Background"}),
        ),
        post("a Deployment", format!("{groups}/deployments"), old),
        delete_with(
            "it goes after its pods",
            format!("{groups}/deployments/o"),
            json!({"propagationPolicy": "Foreground"}),
        ),
        post("a Deployment of the later group", format!("{apps}/deployments"), today("Deployment")),
        post("a Service without an address", format!("{core}/services"), service),
        post(
            "a secret",
            format!("{core}/secrets"),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "1"}}),
        ),
    ]
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{GROUP}")},
        "spec": {
            "group": GROUP, "version": "v1", "scope": "Namespaced", "names": {"plural": "things", "kind": "Thing"},
            "validation": {"openAPIV3Schema": {"properties": {"spec": {"properties": {"size": {"type": "integer"}}}}}},
        },
    })
}

fn definitions() -> Vec<Step> {
    let path = format!("{DEFINITIONS}/things.{GROUP}");
    let all = format!("/apis/{GROUP}/v1/namespaces/definitions-of-2018/things");
    let one = format!("{all}/t");
    let thing = |spec: Value| json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Thing", "metadata": {"name": "t"}, "spec": spec});
    vec![
        post("a definition", DEFINITIONS, definition()),
        get("it is established", path.clone()).until(Until::Is("/status/conditions/1/status", "True")),
        get("its objects are served", all.clone()).until(Until::Status(200)),
        post(
            "an object with an empty text",
            all.clone(),
            thing(json!({"size": 1, "kind": "", "free": {"a": 1}})),
        ),
        patch(
            "an apply of a custom object",
            format!("{one}?fieldManager=one"),
            APPLY,
            thing(json!({"size": 2})),
        ),
        patch("a strategic patch of a custom object", one.clone(), STRATEGIC, json!({"spec": {"size": 2}})),
        patch(
            "a merge patch of a custom object",
            one.clone(),
            MERGE,
            json!({"spec": {"size": 3, "free": null}}),
        ),
        get("the custom object", one.clone()),
        delete("the custom object goes", one),
        delete("the definition goes", path),
    ]
}

fn groups() -> Vec<Step> {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1beta1", "kind": "ClusterRole",
        "metadata": {"name": "of-2018", "namespace": "ignored"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]});
    vec![
        get("the group of extensions", "/apis/extensions"),
        get("the group of definitions", "/apis/apiextensions.k8s.io"),
        get("a version of a group that is not served", "/apis/apiextensions.k8s.io/v1"),
        get(
            "objects of a version that is not served",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        ),
        post("a role with a namespace", "/apis/rbac.authorization.k8s.io/v1beta1/clusterroles", role),
        delete("the role goes", "/apis/rbac.authorization.k8s.io/v1beta1/clusterroles/of-2018"),
    ]
}
