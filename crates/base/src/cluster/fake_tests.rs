//! Against a scripted HTTP service: what a real API server does only on bad days.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// What the service saw and what it will say.
#[derive(Clone, Default)]
struct Script {
    seen: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

impl Script {
    /// A cluster that answers in this order; the last answer is repeated.
    fn cluster(answers: &[(u16, String)]) -> (Cluster, Self) {
        let script =
            Self { answers: Arc::new(Mutex::new(answers.iter().cloned().collect())), ..Self::default() };
        let service = {
            let script = script.clone();
            tower::service_fn(move |request: Request<Body>| {
                let answer = script.answer(&request);
                async move { Ok::<_, std::io::Error>(answer) }
            })
        };
        (Cluster::from_client(kube::Client::new(service, "default")), script)
    }

    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        self.seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        let mut answers = self.answers.lock().unwrap();
        let (status, body) =
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
        let mut response = Response::builder().status(status);
        if status == 429 {
            response = response.header("retry-after", "1");
        }
        response.body(Body::from(body.into_bytes())).unwrap()
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn status(code: u16, reason: &str, message: &str, causes: &Value) -> (u16, String) {
    let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
        "details": {"causes": causes}});
    (code, status.to_string())
}

fn node(ready: &str) -> Value {
    json!({"metadata": {"name": "n0", "resourceVersion": "7"}, "status": {"conditions": [{"type": "Ready", "status": ready,
        "message": "cni plugin not initialized"}]}})
}

fn list(items: &[Value]) -> (u16, String) {
    (200, json!({"metadata": {"resourceVersion": "5"}, "items": items}).to_string())
}

fn map() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"}, "data": {"a": "1"}})
}

#[tokio::test(start_paused = true)]
async fn a_server_that_has_just_started_may_refuse_and_be_wrong() {
    let refused = || status(403, "Forbidden", "cannot get configmaps", &json!([]));
    let (cluster, script) = Script::cluster(&[
        status(503, "ServiceUnavailable", "starting", &json!([])),
        refused(),
        refused(),
        (200, map().to_string()),
        refused(),
    ]);
    assert_eq!(cluster.get(&ObjectKey::of(&map())).await.unwrap(), Some(map()));
    assert_eq!(script.seen().len(), 4);
    // Later a refusal is one.
    tokio::time::advance(Duration::from_secs(31)).await;
    let error = cluster.get(&ObjectKey::of(&map())).await.unwrap_err();
    assert_eq!((error.code().id, script.seen().len()), ("KVN302", 5));
}

#[tokio::test(start_paused = true)]
async fn a_busy_server_is_asked_again_when_it_says() {
    let (cluster, script) = Script::cluster(&[
        status(429, "TooManyRequests", "slow down", &json!([])),
        status(503, "ServiceUnavailable", "starting", &json!([])),
        (200, map().to_string()),
    ]);
    let begin = tokio::time::Instant::now();
    assert_eq!(cluster.get(&ObjectKey::of(&map())).await.unwrap(), Some(map()));
    assert!(begin.elapsed() >= Duration::from_secs(1), "the header Retry-After counts");
    assert_eq!(script.seen().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_broken_server_is_given_up_with_its_own_words() {
    let (cluster, script) = Script::cluster(&[status(500, "InternalError", "etcd is gone", &json!([]))]);
    let error = cluster.get(&ObjectKey::of(&map())).await.unwrap_err();
    assert_eq!((error.code().id, error.cause()), ("KVN301", Some("etcd is gone")));
    let seen = script.seen();
    assert_eq!((seen.len(), seen[6].as_str()), (7, "GET /api/v1/namespaces/kube-system"), "{seen:?}");
    // Whoever asks now hears the same at once, and some seconds later it is asked again.
    let again = cluster.list("v1", "Node", None, None).await.unwrap_err();
    assert_eq!((again.to_string(), script.seen().len()), (error.to_string(), 7));
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(cluster.get(&ObjectKey::of(&map())).await.is_err() && script.seen().len() == 14);
    // What changes something tries for itself.
    cluster.acts();
    assert!(cluster.get(&ObjectKey::of(&map())).await.is_err() && script.seen().len() == 20);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_fails_at_one_thing_is_not_given_up() {
    let broken = || status(503, "ServiceUnavailable", "nobody serves it", &json!([]));
    let mut answers = vec![broken(); 6];
    answers.extend([
        (200, json!({"metadata": {"name": "kube-system", "uid": "u"}}).to_string()),
        (200, map().to_string()),
    ]);
    let (cluster, script) = Script::cluster(&answers);
    assert_eq!(cluster.get(&ObjectKey::of(&map())).await.unwrap_err().code().id, "KVN301");
    assert_eq!(cluster.get(&ObjectKey::of(&map())).await.unwrap(), Some(map()));
    assert_eq!(script.seen().len(), 8);
}

/// The words are those of kube-apiserver 1.34, recorded in tests/fixtures/parity.
#[tokio::test]
async fn an_object_that_does_not_fit_its_kind_is_refused_at_once() {
    let words = "failed to create typed patch object (/e; /v1, Kind=ConfigMap): .colour: field not declared in schema";
    let (cluster, script) = Script::cluster(&[status(500, "", words, &json!([]))]);
    let error = cluster.apply(&map(), false).await.unwrap_err();
    assert_eq!((error.code().id, error.cause()), ("KVN304", Some(words)));
    assert_eq!(script.seen().len(), 1, "it is not tried again");
}

#[tokio::test]
async fn a_conflict_names_fields_and_managers_and_is_not_repeated() {
    let causes = json!([
        {"reason": "FieldManagerConflict", "message": "conflict with \"kubectl-edit\" using apps/v1", "field": ".spec.replicas"},
        {"reason": "FieldManagerConflict", "message": "conflict with \"helm\"", "field": ".data.a"},
    ]);
    let (cluster, script) = Script::cluster(&[status(409, "Conflict", "2 conflicts", &causes)]);
    let error = cluster.apply(&map(), false).await.unwrap_err();
    assert_eq!(
        (error.code().id, error.message()),
        ("KVN303", "ConfigMap n/m: spec.replicas is owned by kubectl-edit, data.a is owned by helm")
    );
    assert_eq!(
        script.seen(),
        ["PATCH /api/v1/namespaces/n/configmaps/m?fieldManager=kvnet&force=false".to_owned()]
    );
}

#[tokio::test]
async fn a_write_in_between_is_repeated() {
    let stale = status(409, "Conflict", "the object has been modified", &json!([]));
    let (cluster, script) = Script::cluster(&[stale, (200, map().to_string())]);
    cluster.apply(&map(), false).await.unwrap();
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn rejections_denials_and_strangers_are_told_apart() {
    let causes = json!([{"reason": "FieldValueInvalid", "field": "data", "message": "too long"}]);
    let table = [
        (status(422, "Invalid", "it is invalid", &causes), "KVN304", "data: too long"),
        (status(403, "Forbidden", "cannot patch", &json!([])), "KVN302", "cannot patch"),
        (status(401, "Unauthorized", "Unauthorized", &json!([])), "KVN302", "Unauthorized"),
        ((404, "404 page not found\n".into()), "KVN306", ""),
        ((200, "<html><body>Login</body>".into()), "KVN307", "`<html><body>Login</body>`"),
        (
            (400, "Client sent an HTTP request to an HTTPS server.".into()),
            "KVN307",
            "`Client sent an HTTP request to an HTTPS server.`",
        ),
    ];
    for (answer, code, cause) in table {
        let (cluster, _) = Script::cluster(&[answer]);
        let error = cluster.apply(&map(), true).await.unwrap_err();
        assert_eq!((error.code().id, error.cause().unwrap_or_default()), (code, cause));
    }
}

/// The words are those of kube-apiserver 1.11.3.
#[tokio::test]
async fn a_refusal_by_a_schema_tells_the_fields_and_not_the_object() {
    let words = "VirtualMachineInstance.kubevirt.io \"v\" is invalid: []: Invalid value: map[string]interface {}{\"a\":\"b\"}: \
        validation failure list:\nspec.domain in body is required\nspec.volumes.image in body is required";
    let causes = json!([{"reason": "FieldValueInvalid", "field": "[]", "message": words}]);
    let (cluster, _) = Script::cluster(&[status(422, "Invalid", words, &causes)]);
    let error = cluster.apply(&map(), true).await.unwrap_err();
    let said = error.cause().unwrap_or_default();
    assert!(
        said.ends_with("spec.domain in body is required; spec.volumes.image in body is required"),
        "{said}"
    );
    assert!(!said.contains("map["), "{said}");
}

fn unsupported() -> (u16, String) {
    status(415, "UnsupportedMediaType", "415: Unsupported Media Type", &json!([]))
}

fn kind_of_2018(data: &Value, applied: Option<&Value>) -> (u16, String) {
    let mut live = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data,
        "metadata": {"name": "m", "namespace": "n", "resourceVersion": "7", "labels": {"app.kubernetes.io/managed-by": "kvnet"}}});
    if let Some(applied) = applied {
        live["metadata"]["annotations"] = json!({"kvnet.dev/applied": json!({"data": applied}).to_string()});
    }
    (200, live.to_string())
}

#[tokio::test]
async fn without_an_apply_an_object_is_created_and_that_is_remembered() {
    let missing = status(404, "NotFound", "not found", &json!([]));
    let answers =
        [unsupported(), missing.clone(), (201, map().to_string()), missing, (201, map().to_string())];
    let (cluster, script) = Script::cluster(&answers);
    cluster.apply(&map(), false).await.unwrap();
    cluster.apply(&map(), false).await.unwrap();
    let path = "/api/v1/namespaces/n/configmaps";
    let seen = script.seen();
    assert_eq!(seen[0], format!("PATCH {path}/m?fieldManager=kvnet&force=false"));
    let made = [format!("GET {path}/m"), format!("POST {path}?fieldManager=kvnet")];
    assert_eq!((&seen[1..3], &seen[3..]), (&made[..], &made[..]));
    assert!(cluster.without_apply().await.unwrap().is_some_and(|text| text.contains("kvnet.dev/applied")));
    assert_eq!(cluster.without_apply().await.unwrap(), None, "it is told once");
}

#[tokio::test]
async fn without_an_apply_what_another_client_changed_needs_force() {
    let changed = || kind_of_2018(&json!({"a": "theirs"}), Some(&json!({"a": "0"})));
    let (cluster, script) = Script::cluster(&[unsupported(), changed()]);
    let error = cluster.apply(&map(), false).await.unwrap_err();
    assert_eq!(
        (error.code().id, error.message()),
        ("KVN303", "ConfigMap n/m: data.a was changed by another client")
    );
    assert_eq!(script.seen().len(), 2, "nothing was written");
    let (cluster, script) = Script::cluster(&[unsupported(), changed(), (200, map().to_string())]);
    cluster.apply(&map(), true).await.unwrap();
    assert_eq!(script.seen()[2], "PATCH /api/v1/namespaces/n/configmaps/m?fieldManager=kvnet");
    // What kvnet itself set is changed without.
    let own = kind_of_2018(&json!({"a": "0"}), Some(&json!({"a": "0"})));
    let (cluster, _) = Script::cluster(&[unsupported(), own, (200, map().to_string())]);
    cluster.apply(&map(), false).await.unwrap();
}

#[tokio::test]
async fn a_server_with_an_apply_is_known_by_its_objects_and_by_its_description() {
    let tracked = json!({"metadata": {"name": "m", "managedFields": []}}).to_string();
    let (cluster, script) = Script::cluster(&[(200, tracked)]);
    cluster.get(&ObjectKey::of(&map())).await.unwrap();
    assert_eq!(cluster.without_apply().await.unwrap(), None);
    assert_eq!(script.seen().len(), 1, "it is not asked");
    let none = (404, "404 page not found".to_owned());
    let patch = |types: &[&str]| (200, json!({"paths": {"/x": {"patch": {"consumes": types}}}}).to_string());
    for (description, absent) in
        [(patch(&["application/merge-patch+json"]), true), (patch(&["application/apply-patch+yaml"]), false)]
    {
        let (cluster, script) = Script::cluster(&[none.clone(), description]);
        assert_eq!(cluster.without_apply().await.unwrap().is_some(), absent);
        assert_eq!(script.seen(), ["GET /openapi/v3", "GET /openapi/v2"]);
    }
}

#[tokio::test]
async fn a_server_with_an_apply_is_known_by_its_answer_to_a_write() {
    let mut object = map();
    object["metadata"]["managedFields"] = json!([{"manager": "kvnet"}]);
    let (cluster, script) = Script::cluster(&[(200, object.to_string())]);
    let key = ObjectKey::new("v1", "ConfigMap", Some("n"), "m");
    cluster.patch_merge(&key, &json!({"data": {"a": "1"}})).await.unwrap();
    assert_eq!(cluster.without_apply().await.unwrap(), None);
    assert_eq!(script.seen().len(), 1, "its description is not read: {:?}", script.seen());
}

#[tokio::test]
async fn what_is_not_there_is_none_even_without_its_kind() {
    let (cluster, _) = Script::cluster(&[(404, "404 page not found".into())]);
    let nad = ObjectKey::new("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some("n"), "x");
    let stranger = ObjectKey::new("no.such/v1", "Thing", None, "x");
    assert_eq!(cluster.get_many(&[nad, stranger]).await.unwrap(), [None, None]);
    assert!(cluster.list("no.such/v1", "Thing", None, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_kind_is_discovered_once() {
    let kinds = json!({"resources": [{"name": "things", "kind": "Thing", "namespaced": true}]});
    let (cluster, script) =
        Script::cluster(&[(200, kinds.to_string()), (200, json!({"metadata": {"name": "t"}}).to_string())]);
    let key = ObjectKey::new("x.io/v1", "Thing", Some("n"), "t");
    cluster.get(&key).await.unwrap();
    cluster.get(&key).await.unwrap();
    let path = "GET /apis/x.io/v1/namespaces/n/things/t";
    assert_eq!(script.seen(), ["GET /apis/x.io/v1", path, path]);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let page = json!({"metadata": {"continue": "a+b", "resourceVersion": "1"}, "items": [{"metadata": {"name": "1"}}]});
    let (cluster, script) = Script::cluster(&[(200, page.to_string()), list(&[node("True")])]);
    let nodes = cluster.list("v1", "Node", None, Some("a=b")).await.unwrap();
    assert_eq!((nodes.len(), &nodes[0]["kind"]), (2, &json!("Node")));
    assert_eq!(script.seen()[1], "GET /api/v1/nodes?limit=500&labelSelector=a%3Db&continue=a%2Bb");
}

#[tokio::test(start_paused = true)]
async fn a_watch_survives_errors_ends_and_expired_versions() {
    let event = |kind: &str, object: &Value| (200, format!("{}\n", json!({"type": kind, "object": object})));
    let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old"});
    let (cluster, script) = Script::cluster(&[
        list(&[]),
        event("ERROR", &gone),
        list(&[node("False")]),
        (200, String::new()),
        list(&[node("False")]),
        (500, "oops".into()),
        list(&[node("False")]),
        event("MODIFIED", &node("True")),
    ]);
    let told = Mutex::new(Vec::new());
    let progress = |now: String| told.lock().unwrap().push(now);
    cluster.wait(&Condition::NodesReady, Duration::from_mins(1), &progress).await.unwrap();
    assert!(script.seen().len() >= 8);
    assert!(script.seen()[1].contains("watch=true") && script.seen()[1].contains("resourceVersion=5"));
    let told = told.into_inner().unwrap();
    assert_eq!(told[..2], ["there are no nodes", "node n0: not Ready: cni plugin not initialized"]);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_says_what_is_missing() {
    let (cluster, _) =
        Script::cluster(&[list(&[node("False")]), (200, String::new()), list(&[node("False")])]);
    let error = cluster.wait(&Condition::NodesReady, Duration::from_secs(5), &|_| {}).await.unwrap_err();
    assert_eq!(error.code().id, "KVN305");
    let missing = "waited 5 s for all nodes to be Ready: node n0: not Ready: cni plugin not initialized";
    assert!(error.to_string().starts_with(missing), "{error}");
}

#[tokio::test]
async fn a_denied_watch_ends_the_wait() {
    let (cluster, _) = Script::cluster(&[status(403, "Forbidden", "cannot list nodes", &json!([]))]);
    let error = cluster.wait(&Condition::NodesReady, Duration::from_mins(1), &|_| {}).await.unwrap_err();
    assert_eq!(error.code().id, "KVN302");
}

#[tokio::test]
async fn a_deletion_names_the_uid_and_how_far_it_goes() {
    let mut live = map();
    live["metadata"]["uid"] = "u".into();
    let (cluster, script) =
        Script::cluster(&[(200, live.to_string()), (200, r#"{"kind": "Status"}"#.into())]);
    assert!(cluster.delete(&ObjectKey::of(&map()), None).await.unwrap());
    assert_eq!(script.seen()[1], "DELETE /api/v1/namespaces/n/configmaps/m");
}

/// Clusters of 2018 answer so when the answer to a first request was lost.
#[tokio::test]
async fn a_deletion_that_is_refused_because_it_goes_on_is_one() {
    let leaving = |uid: &str| {
        let metadata = json!({"name": "n", "uid": uid, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        (200, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).to_string())
    };
    let refused = status(409, "Conflict", "the system is ensuring all content is removed", &json!([]));
    let key = ObjectKey::new("v1", "Namespace", None, "n");
    let (cluster, _) = Script::cluster(&[leaving("u"), refused.clone(), leaving("u")]);
    assert!(cluster.delete(&key, None).await.unwrap());
    let (cluster, _) = Script::cluster(&[leaving("u"), refused, leaving("v")]);
    assert_eq!(cluster.delete(&key, None).await.unwrap_err().code().id, "KVN303");
}
