//! Against a real API server, by hand: `KVNET_TEST_KUBECONFIG=... KVNET_TEST_MANIFESTS=directory cargo test -- --ignored`.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::error::Result;

async fn cluster() -> Cluster {
    let kubeconfig = std::env::var("KVNET_TEST_KUBECONFIG").unwrap();
    let options = ConnectOptions { kubeconfig: Some(kubeconfig.into()), ..ConnectOptions::default() };
    Cluster::connect(&options).await.unwrap()
}

fn manifests() -> Vec<Value> {
    let directory = std::env::var("KVNET_TEST_MANIFESTS").unwrap();
    let mut objects = Vec::new();
    for file in std::fs::read_dir(directory).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let object = Value::deserialize(document).unwrap();
            objects.extend(Some(object).filter(Value::is_object));
        }
    }
    objects
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn applied_manifests_do_not_differ() -> Result<()> {
    let cluster = cluster().await;
    println!("{:?}", cluster.reachable().await?);
    let mut objects = manifests();
    objects.sort_by_key(|object| {
        !matches!(object["kind"].as_str(), Some("Namespace" | "CustomResourceDefinition"))
    });
    let mut failed = 0;
    for object in &objects {
        if object["kind"] == "Namespace" || object["kind"] == "CustomResourceDefinition" {
            cluster.apply(object, true).await?;
        }
    }
    for object in &objects {
        let key = ObjectKey::of(object);
        let live = match cluster.apply(object, true).await {
            Ok(live) => live,
            Err(error) => {
                println!("{key}: {error}");
                failed += 1;
                continue;
            }
        };
        let found = differences(object, &live);
        let got = cluster.get(&key).await?.unwrap();
        let adopted = differences(object, &without_managers(&got));
        for difference in found.iter().chain(&adopted) {
            println!("{key}: {} {:?} -> {:?}", difference.path, difference.before, difference.after);
        }
        failed += found.len() + adopted.len();
        assert_eq!(found, differences(object, &got));
    }
    let begin = Instant::now();
    let keys: Vec<ObjectKey> = objects.iter().map(ObjectKey::of).collect();
    let live = cluster.get_many(&keys).await?;
    println!("{} of {} read in {:?}", live.iter().flatten().count(), keys.len(), begin.elapsed());
    let begin = Instant::now();
    cluster.get_many(&keys).await?;
    println!("again in {:?}", begin.elapsed());
    assert_eq!(failed, 0);
    Ok(())
}

fn without_managers(live: &Value) -> Value {
    let mut live = live.clone();
    live["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
    live
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn an_object_lives_conflicts_and_goes() -> Result<()> {
    let cluster = cluster().await;
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kvnet-test", "namespace": "default"}, "data": {"a": value, "b": "1"}});
    let key = ObjectKey::of(&map("1"));
    cluster.delete(&key, None).await?;
    assert!(!cluster.delete(&key, None).await?);
    cluster.apply(&map("1"), false).await?;
    // Another manager takes a field over.
    let path = format!("{}?fieldManager=someone", cluster.object_path(&key).await?);
    let call = request::ApiCall::send(
        http::Method::PATCH,
        path,
        "application/merge-patch+json",
        &json!({"data": {"a": "2"}}),
    );
    let live = cluster.call(&call).await?.done("patch")?;
    let found = differences(&map("1"), &live);
    assert_eq!((found[0].path.as_str(), found[0].owners.as_slice()), ("data.a", &["someone".to_owned()][..]));
    let conflict = cluster.apply(&map("1"), false).await.unwrap_err();
    println!("{conflict}");
    assert_eq!(conflict.code().id, "KVN303");
    cluster.apply(&map("3"), true).await?;
    let mut smaller = map("3");
    smaller["data"] = json!({"a": "3"});
    let live = cluster.get(&key).await?.unwrap();
    assert_eq!(differences(&smaller, &live)[0].path, "data.b");
    let live = cluster.apply(&smaller, false).await?;
    assert_eq!(live["data"], json!({"a": "3"}));
    assert_eq!(cluster.replace(&map("9")).await?["data"]["a"], "9");
    assert_eq!(cluster.patch_merge(&key, &json!({"data": {"a": "8"}})).await?["data"]["a"], "8");
    let operations = json!([{"op": "test", "path": "/data/a", "value": "8"}, {"op": "replace", "path": "/data/a", "value": "7"}]);
    assert_eq!(cluster.patch_json(&key, &operations).await?["data"]["a"], "7");
    let invalid = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "default"}, "spec": {"ports": [{"port": 99999}]}});
    println!("{}", cluster.apply(&invalid, false).await.unwrap_err());
    let unknown = json!({"apiVersion": "no.such/v1", "kind": "Thing", "metadata": {"name": "x"}});
    println!("{}", cluster.apply(&unknown, false).await.unwrap_err());
    println!(
        "{}",
        cluster
            .apply(
                &json!({"apiVersion": "extensions/v1beta1", "kind": "DaemonSet", "metadata": {"name": "x"}}),
                false
            )
            .await
            .unwrap_err()
    );
    println!("{}", cluster.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "nope"}}), false).await.unwrap_err());
    let other = cluster.clone();
    let gone = Condition::Gone { object: key.clone() };
    let waiter =
        tokio::spawn(
            async move { other.wait(&gone, Duration::from_secs(20), &|now| println!("{now}")).await },
        );
    tokio::time::sleep(Duration::from_millis(300)).await;
    let begin = Instant::now();
    assert!(cluster.delete(&key, None).await?);
    waiter.await.unwrap()?;
    println!("gone was seen {:?} after the delete", begin.elapsed());
    assert_eq!(cluster.get(&key).await?, None);
    // A replaced object comes back when it is restored.
    cluster.replace(&live).await?;
    cluster.delete(&key, Some(0)).await?;
    Ok(())
}

#[tokio::test]
#[ignore = "needs an API server"]
async fn waits_see_changes_and_deadlines() -> Result<()> {
    let cluster = cluster().await;
    // No image of this name is anywhere and none is pulled, so it is never ready, however quick the node is.
    let labels = json!({"app": "never-ready"});
    let never = json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": {"name": "never-ready", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "hostNetwork": true,
                    "tolerations": [{"operator": "Exists"}],
                    "containers": [{"name": "c", "image": "nowhere.test/never:1", "imagePullPolicy": "Never"}],
                },
            },
        },
    });
    cluster.apply(&never, true).await?;
    let object = ObjectKey::of(&never);
    let condition = Condition::RolledOut { object: object.clone() };
    let error = cluster
        .wait(&condition, Duration::from_secs(2), &|now| println!("progress: {now}"))
        .await
        .unwrap_err();
    println!("{error}");
    assert_eq!(error.code().id, "KVN305");
    cluster.delete(&object, None).await?;
    let crd = Condition::Established { crd: "network-attachment-definitions.k8s.cni.cncf.io".into() };
    cluster.wait(&crd, Duration::from_secs(20), &|now| println!("{now}")).await
}

#[tokio::test]
#[ignore = "needs a cluster with a node"]
async fn commands_run_in_containers() -> Result<()> {
    let cluster = cluster().await;
    let all = |_: String| {};
    let pods = cluster
        .wait_pods("kube-system", "k8s-app=kube-proxy", 1, &is_ready, Duration::from_secs(30), &all)
        .await?;
    let name = pods[0]["metadata"]["name"].as_str().unwrap();
    let time = Duration::from_secs(10);
    let run = |argv: &'static [&'static str]| cluster.exec("kube-system", name, None, argv, time);
    println!("{:?}", run(&["kube-proxy", "--version"]).await?);
    println!("{:?}", run(&["kube-proxy", "--no-such-flag"]).await.map(|output| output.status));
    println!("{}", run(&["no-such-command"]).await.unwrap_err());
    println!("{}", cluster.exec("kube-system", "no-such-pod", None, &["true"], time).await.unwrap_err());
    println!("{}", cluster.logs("kube-system", name, None, 2).await?);
    println!("{}", cluster.logs("kube-system", name, Some("no"), 2).await.unwrap_err());
    cluster.wait(&Condition::NodesReady, time, &all).await?;
    let object = ObjectKey::new("apps/v1", "Deployment", Some("kube-system"), "nope");
    let missing = cluster.wait(&Condition::RolledOut { object }, Duration::from_secs(1), &all).await;
    assert_eq!(missing.unwrap_err().code().id, "KVN305");
    Ok(())
}

/// After `kubectl apply -f` of the manifests into an empty cluster.
#[tokio::test]
#[ignore = "needs an API server"]
async fn what_kubectl_applied_does_not_differ() -> Result<()> {
    let cluster = cluster().await;
    let mut failed = 0;
    for object in manifests() {
        let Some(live) = cluster.get(&ObjectKey::of(&object)).await? else { continue };
        for difference in differences(&object, &live) {
            println!("{}: {difference:?}", ObjectKey::of(&object));
            failed += 1;
        }
    }
    assert_eq!(failed, 0);
    Ok(())
}
