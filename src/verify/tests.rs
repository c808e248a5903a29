//! The whole verification on a sandbox.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use crate::cluster::ObjectKey;
use crate::engine::context::Context;
use crate::engine::events::{Event, Reporter, Verdict};
use crate::engine::plan::Selection;
use crate::engine::state::StateDir;
use crate::facts::Facts;
use crate::profile::{self, Profile};
use crate::run::{self, Given, Job};
use crate::sandbox::{Options, Sandbox};
use crate::source::{SourceOptions, Sources};
use crate::steps;

/// The checks that were reported, each with its verdict.
#[derive(Default)]
struct Heard(Mutex<Vec<(String, Verdict)>>);

impl Reporter for Heard {
    fn report(&self, event: Event) {
        if let Event::Check { check, verdict, .. } = event {
            self.0.lock().unwrap().push((check, verdict));
        }
    }
}

struct Scene {
    sandbox: Sandbox,
    profile: Profile,
    heard: Arc<Heard>,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(profile: &str) -> Self {
        let profile = profile::load_text(profile, "t.yaml", &[]).unwrap().profile;
        let sandbox = Sandbox::open(&Options::default(), &profile).unwrap();
        Self { sandbox, profile, heard: Arc::default(), directory: tempfile::tempdir().unwrap() }
    }

    async fn job(&self) -> Job {
        let host = self.sandbox.host();
        let facts = Facts::gather(host.as_ref(), &self.profile).await.unwrap();
        let path = Utf8PathBuf::from_path_buf(self.directory.path().join("state")).unwrap();
        let state = StateDir::locate(Some(&path), true);
        let sources = Sources::new(SourceOptions {
            stand_ins: true,
            mirror: None,
            cache_dir: state.path("cache"),
            lock_file: None,
            timeout: Duration::from_secs(1),
        });
        let mut cx = Context::new(host, self.profile.clone(), facts, sources, state);
        cx.events = self.heard.clone();
        cx.only = Some(self.sandbox.cluster());
        let connect = crate::cluster::ConnectOptions::default();
        Job { cx, steps: steps::registry(), selection: Selection::default(), connect }
    }

    async fn up(&self) -> run::Ended {
        run::up(&self.job().await, &Given).await.unwrap()
    }

    /// The verification alone, as it is now: the checks that failed.
    async fn failures(&self) -> Vec<String> {
        self.heard.0.lock().unwrap().clear();
        let job = self.job().await;
        job.connect().await.unwrap();
        let ended = super::run(&job.cx, &|_| ()).await;
        let heard = self.heard.0.lock().unwrap();
        let failed = heard.iter().filter(|(_, verdict)| *verdict == Verdict::Failed);
        let failed: Vec<String> = failed.map(|(check, _)| check.clone()).collect();
        assert_eq!(ended.is_err(), !failed.is_empty(), "{ended:?}");
        failed
    }

    /// Gives a network another VLAN than the profile's.
    async fn move_to(&self, network: &str, vlan: Value) {
        let kind = "NetworkAttachmentDefinition";
        let key = ObjectKey::new("k8s.cni.cncf.io/v1", kind, Some("default"), network);
        let cluster = self.sandbox.cluster();
        let live = cluster.get(&key).await.unwrap().unwrap();
        let mut config: Value = serde_json::from_str(live["spec"]["config"].as_str().unwrap()).unwrap();
        config["vlan"] = vlan;
        let patch = json!({"spec": {"config": config.to_string()}});
        cluster.patch_merge(&key, &patch).await.unwrap();
    }
}

fn vlans(count: usize) -> String {
    let network = |vlan: usize| {
        format!(
            "  - {{name: n{vlan}, kind: ovs, bridge: blue, vlan: {vlan}, ipam: {{subnet: 172.20.{vlan}.0/24}}}}\n"
        )
    };
    let networks: String = (1..=count).map(network).collect();
    format!("extends: default\nvm: {{enabled: false}}\nkubevirt: {{enabled: false}}\nnetworks:\n{networks}")
}

#[tokio::test(start_paused = true)]
async fn a_network_that_leaks_is_found_whichever_it_is() {
    const COUNT: usize = 4;
    let scene = Scene::new(&vlans(COUNT));
    assert!(scene.up().await.error.is_none());
    for network in 1..=COUNT {
        let (name, other) = (format!("n{network}"), (network + 2) % COUNT + 1);
        // Into a VLAN that it is not compared with, and out of all VLANs.
        for wrong in [json!(other), Value::Null] {
            scene.move_to(&name, wrong.clone()).await;
            let failed = scene.failures().await;
            assert!(
                failed.iter().any(|check| check.starts_with(&format!("{name}-1: "))),
                "{wrong}: {failed:?}"
            );
        }
        scene.move_to(&name, json!(network)).await;
    }
    assert_eq!(scene.failures().await, [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_takes_few_pods_is_given_few_at_once() {
    let scene = Scene::new(&vlans(9));
    let first = scene.up().await;
    assert!(first.error.is_none(), "{first:?}");
    let cluster = scene.sandbox.cluster();
    let nodes = cluster.list("v1", "Node", None, None).await.unwrap();
    let running = cluster.list("v1", "Pod", None, None).await.unwrap().len();
    let narrow = async |room: usize| {
        let patch = json!([{"op": "replace", "path": "/status/allocatable/pods", "value": (running + room).to_string()}]);
        cluster.patch_status(&ObjectKey::of(&nodes[0]), &patch).await.unwrap();
    };
    narrow(5).await;
    assert_eq!(scene.failures().await, [] as [&str; 0]);
    let checks = scene.heard.0.lock().unwrap().len();
    assert_eq!(checks, super::Scenario::of(&scene.profile).checks().len() + 1, "each check once");
    narrow(1).await;
    let job = scene.job().await;
    job.connect().await.unwrap();
    let error = super::run(&job.cx, &|_| ()).await.unwrap_err();
    assert_eq!(error.code().id, "KVN820", "{error}");
}
