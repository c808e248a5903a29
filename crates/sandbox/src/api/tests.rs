//! The server through kvnet's own client.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::cluster::{Cluster, Condition, ObjectKey};

/// A server with the namespace `default`, and a cluster behind it.
fn server() -> (ApiServer, Cluster) {
    let server = ApiServer::new(Store::in_memory(), Clock::fixed(1_800_000_000), KubernetesVersion::V1_34);
    for name in ["default", "kube-system"] {
        server
            .create("test", &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .unwrap();
    }
    let cluster = Cluster::from_client(server.client());
    (server, cluster)
}

fn map(value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}, "data": {"a": value}})
}

fn crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.test.dev"},
        "spec": {
            "group": "test.dev", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}},
            }}}],
        },
    })
}

#[tokio::test]
async fn the_cluster_answers_and_has_a_version() {
    let (_, cluster) = server();
    assert_eq!(cluster.reachable().await.unwrap().git_version, "v1.34.4");
    assert!(cluster.server_supports("apps/v1", "DaemonSet").await.unwrap());
    assert!(!cluster.server_supports("extensions/v1beta1", "DaemonSet").await.unwrap());
}

#[tokio::test]
async fn an_object_lives_conflicts_and_goes() {
    let (server, cluster) = server();
    let key = ObjectKey::of(&map("1"));
    assert_eq!(cluster.get(&key).await.unwrap(), None);
    let live = cluster.apply(&map("1"), false).await.unwrap();
    let version = live["metadata"]["resourceVersion"].clone();
    assert_eq!(
        cluster.apply(&map("1"), false).await.unwrap()["metadata"]["resourceVersion"],
        version,
        "nothing changed"
    );
    assert!(crate::cluster::differences(&map("1"), &live).is_empty());
    let mut theirs = live.clone();
    theirs["data"]["a"] = "2".into();
    server.update("someone", &theirs).unwrap();
    let conflict = cluster.apply(&map("3"), false).await.unwrap_err();
    assert_eq!(conflict.code().id, "KVN303");
    assert!(conflict.to_string().contains("data.a is owned by someone"), "{conflict}");
    assert_eq!(cluster.apply(&map("3"), true).await.unwrap()["data"]["a"], "3");
    assert_eq!(cluster.patch_merge(&key, &json!({"data": {"a": "8"}})).await.unwrap()["data"]["a"], "8");
    assert_eq!(cluster.replace(&map("9")).await.unwrap()["data"]["a"], "9");
    assert!(cluster.delete(&key, None).await.unwrap());
    assert_eq!(cluster.get(&key).await.unwrap(), None);
}

#[tokio::test]
async fn custom_resources_come_with_their_definition_and_go_with_it() {
    let (_, cluster) = server();
    let thing = |size: Value| json!({"apiVersion": "test.dev/v1", "kind": "Thing", "metadata": {"name": "t", "namespace": "default"}, "spec": {"size": size, "unknown": 1}});
    assert_eq!(cluster.apply(&thing(json!(1)), false).await.unwrap_err().code().id, "KVN306");
    cluster.apply(&crd(), false).await.unwrap();
    let condition = Condition::Established { crd: "things.test.dev".into() };
    cluster.wait(&condition, Duration::from_secs(1), &|_| ()).await.unwrap();
    let live = cluster.apply(&thing(json!(1)), false).await.unwrap();
    assert_eq!(live["spec"], json!({"size": 1}), "fields without a schema are not kept");
    let refused = cluster.apply(&thing(json!("big")), false).await.unwrap_err();
    assert_eq!(refused.code().id, "KVN304");
    assert!(refused.to_string().contains("spec.size in body must be of type integer"), "{refused}");
    cluster.delete(&ObjectKey::of(&crd()), None).await.unwrap();
    assert_eq!(cluster.get(&ObjectKey::of(&thing(json!(1)))).await.unwrap(), None);
}

#[tokio::test]
async fn a_wait_sees_an_object_go() {
    let (_, cluster) = server();
    let key = ObjectKey::of(&map("1"));
    cluster.apply(&map("1"), false).await.unwrap();
    let gone = Condition::Gone { object: key.clone() };
    let progress = |_: String| ();
    let (waited, deleted) =
        tokio::join!(cluster.wait(&gone, Duration::from_secs(5), &progress), cluster.delete(&key, None));
    waited.unwrap();
    assert!(deleted.unwrap());
}

#[tokio::test]
async fn what_an_object_owned_goes_with_it_and_a_namespace_with_all_that_is_in_it() {
    let (server, cluster) = server();
    let owner = cluster.apply(&map("1"), false).await.unwrap();
    let part = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "part", "namespace": "default", "ownerReferences": [{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "m", "uid": owner["metadata"]["uid"],
        }]},
    });
    server.create("test", &part).unwrap();
    cluster.delete(&ObjectKey::of(&map("1")), None).await.unwrap();
    assert_eq!(server.get(&ObjectKey::of(&part)).unwrap(), None);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "mortal"}});
    server.create("test", &namespace).unwrap();
    let mut inside = map("1");
    inside["metadata"]["namespace"] = "mortal".into();
    cluster.apply(&inside, false).await.unwrap();
    cluster.delete(&ObjectKey::of(&namespace), None).await.unwrap();
    assert_eq!(server.get(&ObjectKey::of(&inside)).unwrap(), None);
    assert_eq!(cluster.apply(&inside, false).await.unwrap_err().code().id, "KVN304");
    let default = ObjectKey::new("v1", "Namespace", None, "default");
    assert!(cluster.delete(&default, None).await.is_err(), "it stays");
}

/// The first requests of a list go wrong.
struct First(Mutex<Vec<Fault>>);

impl Interference for First {
    fn fault(&self, _: &ReceivedRequest) -> Option<Fault> {
        self.0.lock().unwrap().pop()
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_over_faults() {
    let (server, cluster) = server();
    let busy = Fault::Status {
        code: 429,
        reason: "TooManyRequests",
        message: "slow down".into(),
        retry_after: Some(1),
    };
    server.interfere(Arc::new(First(Mutex::new(vec![
        Fault::ResetAfter,
        Fault::Truncated,
        Fault::Reset,
        busy,
    ]))));
    let live = cluster.apply(&map("1"), false).await.unwrap();
    assert_eq!(live["data"]["a"], "1");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn commands_run_in_containers() {
    struct Echo;
    #[async_trait::async_trait]
    impl Containers for Echo {
        async fn run(&self, _: &str, pod: &str, container: &str, argv: &[String]) -> Ran {
            Ran { code: 3, stdout: format!("{pod} {container} {}", argv.join(" ")), stderr: "no".into() }
        }
        async fn log(&self, _: &str, _: &str, _: &str) -> String {
            "1\n2\n3\n".into()
        }
        async fn console(&self, _: &str, _: &str) -> Option<tokio::io::DuplexStream> {
            None
        }
    }
    let (server, cluster) = server();
    server.serve_subresources(Arc::new(Echo));
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    cluster.apply(&pod, false).await.unwrap();
    let ran = cluster.exec("default", "p", None, &["ip", "addr"], Duration::from_secs(5)).await.unwrap();
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.as_str()), (3, "p c ip addr", "no"));
    assert_eq!(cluster.logs("default", "p", None, 2).await.unwrap(), "2\n3\n");
    let error = cluster.exec("default", "q", None, &["ip"], Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(error.code().id, "KVN304");
}
