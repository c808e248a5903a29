//! The whole verification on a sandbox.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use crate::cluster::ObjectKey;
use crate::context::Context;
use crate::context::events::{Event, Reporter, Verdict};
use crate::engine::plan::Selection;
use crate::facts::Facts;
use crate::profile::{self, Profile};
use crate::run::{self, Given, Job};
use crate::sandbox::{Options, Sandbox};
use crate::source::{SourceOptions, Sources};
use crate::state::StateDir;
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

mod in_vain;

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

    async fn up_without(&self, step: &str) -> run::Ended {
        let mut job = self.job().await;
        job.selection.skip = vec![step.into()];
        job.cx.skipped = job.selection.skip.clone().into();
        run::up(&job, &Given).await.unwrap()
    }

    fn heard(&self, check: &str) -> Option<Verdict> {
        let heard = self.heard.0.lock().unwrap();
        heard.iter().rev().find(|(name, _)| name == check).map(|(_, verdict)| *verdict)
    }

    async fn connected(&self) -> Context {
        let job = self.job().await;
        job.connect().await.unwrap();
        job.cx
    }

    /// Runs just the verification; returns the failed checks.
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
        // Into a VLAN that it is not paired with, and out of all VLANs.
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
    let overall = super::addresses::lines(&scene.profile).len();
    assert_eq!(checks, super::Scenario::of(&scene.profile).checks().len() + overall, "each check once");
    narrow(1).await;
    let job = scene.job().await;
    job.connect().await.unwrap();
    let error = super::run(&job.cx, &|_| ()).await.unwrap_err();
    assert_eq!(error.code().id, "KVN820", "{error}");
}

const VM: &str = "extends: default\nvm:\n  interfaces:\n";

#[tokio::test(start_paused = true)]
async fn a_vms_nics_may_come_in_any_order_and_be_on_any_networks() {
    for interfaces in [
        "    - {name: blue, network: ovs-blue}\n    - {name: default, network: pod}\n",
        "    - {name: blue, network: ovs-blue-l2}\n",
        "    - {name: zz, network: ovs-blue100}\n    - {name: mm, network: pod}\n    - {name: aa, network: ovs-blue}\n",
        "    - {name: b, network: ovs-blue100}\n    - {name: a, network: ovs-blue100}\n",
    ] {
        let scene = Scene::new(&format!("{VM}{interfaces}"));
        let ended = scene.up().await;
        assert!(ended.error.is_none() && ended.verified == Some(true), "{interfaces}: {ended:?}");
        let topology = crate::topology::live(&scene.connected().await).await.unwrap();
        let guests = topology.nodes.iter().flat_map(|node| &node.guests);
        let vm = guests.into_iter().find(|guest| guest.name == "vm-two-nics").unwrap();
        let subnet = |network: &str| match network {
            "default/ovs-blue" => "10.20.0.",
            "default/ovs-blue100" => "10.20.100.",
            "pod network" => "10.244.",
            _ => "",
        };
        for nic in &vm.nics {
            let address = nic.addresses.first().map(String::as_str).unwrap_or_default();
            assert!(address.starts_with(subnet(&nic.network)), "{interfaces}: {nic:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_guests_own_addresses_are_those_of_its_network_data() {
    let data = |text: &str| format!("extends: default\nvm:\n  cloudInit:\n    networkData: |\n{text}");
    let fixed = "vm-two-nics: blue has 10.20.0.50, an untagged port of blue";
    let reached = "ovs-blue-1 reaches vm-two-nics over blue";
    for text in [
        "      version: 2\n      ethernets:\n        nic0: {match: {macaddress: \"02:72:c7:4f:c2:0b\"}, dhcp4: true}\n        \
         nic1: {match: {macaddress: \"02:06:80:fe:6b:62\"}, addresses: [10.20.0.50/24]}\n",
        "      version: 1\n      config:\n      - {type: physical, name: eth0, subnets: [{type: dhcp}]}\n      \
         - {type: physical, name: lan, mac_address: \"02:06:80:fe:6b:62\", subnets: [{type: static, address: 10.20.0.50/24}]}\n",
    ] {
        let scene = Scene::new(&data(text));
        let ended = scene.up().await;
        assert!(ended.error.is_none() && ended.verified == Some(true), "{ended:?}");
        assert_eq!([fixed, reached].map(|check| scene.heard(check)), [Some(Verdict::Passed); 2]);
    }
    let forgets = "      version: 2\n      ethernets:\n        eth1: {dhcp4: false, optional: true}\n";
    let scene = Scene::new(&data(forgets));
    let ended = scene.up().await;
    assert!(ended.error.is_none() && ended.verified == Some(true), "{ended:?}");
    assert_eq!(scene.heard("vm-two-nics: default has a link"), Some(Verdict::Passed));
}

#[tokio::test(start_paused = true)]
async fn a_guest_with_the_address_of_a_pod_on_its_wire_is_found() {
    for network in ["ovs-blue", "ovs-blue-l2"] {
        let scene = Scene::new(&format!(
            "extends: default\nvm:\n  interfaces: [{{name: default, network: pod}}, {{name: blue, network: {network}}}]\n  \
             cloudInit:\n    networkData: '{{version: 2, ethernets: {{eth1: {{addresses: [10.20.0.3/24]}}}}}}'\n"
        ));
        let ended = scene.up().await;
        assert!(ended.error.is_some() && ended.verified != Some(true), "{network}: {ended:?}");
        assert_eq!(scene.heard(super::NO_DUPLICATES), Some(Verdict::Failed), "{network}");
    }
}

#[tokio::test(start_paused = true)]
async fn addresses_that_nobody_looked_for_are_not_verified() {
    let data = |text: &str| format!("extends: default\nvm:\n  cloudInit:\n    networkData: '{text}'\n");
    for (text, check) in [
        (
            "{version: 2, ethernets: {a: {match: {macaddress: \"02:ff:ff:ff:ff:ff\"}, addresses: [10.20.0.5/24]}}}",
            "vm-two-nics has 10.20.0.5 on 02:ff:ff:ff:ff:ff",
        ),
        (
            "{version: 2, ethernets: {eth1: {}}, bridges: {br0: {interfaces: [eth1], addresses: [10.20.0.60/24]}}}",
            "vm-two-nics has 10.20.0.60 on br0",
        ),
        (
            "{version: 2, ethernets: {eth1: {}}, vlans: {v9: {id: 9, link: eth1, addresses: [10.9.0.5/24]}}}",
            "vm-two-nics has 10.9.0.5 on v9",
        ),
    ] {
        let scene = Scene::new(&data(text));
        let ended = scene.up().await;
        assert!(ended.error.is_none() && ended.verified == Some(false), "{ended:?}");
        assert_eq!(scene.heard(check), Some(Verdict::NotChecked), "{check}");
        assert!(ended.not_checked.iter().any(|told| told.contains(check)), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_run_leaves_out_is_not_verified_and_what_the_profile_leaves_out_is_said() {
    let lan = "extends: default\nnetworks:\n  - name: lan\n    kind: raw\n    verify: false\n    config: {cniVersion: 0.3.1, type: macvlan, master: eth0, ipam: {type: static}}\n  \
        - {name: ovs-blue-l2, kind: ovs, bridge: blue}\n";
    let scene = Scene::new(lan);
    let without = scene.up_without("vm").await;
    assert_eq!(
        (without.verified, without.left_out.as_slice()),
        (Some(false), &["network lan".to_owned()][..])
    );
    let told = without.not_checked.join("\n");
    assert!(told.contains("step vm (excluded by"), "{told}");
    let names = "vm-two-nics resolves the names of Services";
    assert_eq!(scene.heard(names), Some(Verdict::NotChecked));
    let whole = scene.up().await;
    assert!(whole.error.is_none() && whole.verified == Some(true), "{whole:?}");
    assert!(whole.not_checked.is_empty(), "{whole:?}");
    assert_eq!(scene.up_without("flannel").await.verified, Some(false), "flannel was not checked");
}

#[tokio::test(start_paused = true)]
async fn a_record_of_another_cluster_proves_nothing_and_a_second_run_asks_little() {
    let scene = Scene::new("extends: default\n");
    assert_eq!(scene.up().await.verified, Some(true));
    let before = scene.sandbox.api().requests().len();
    let again = scene.up().await;
    assert_eq!((again.result, again.verified), ("nothing-to-do", Some(true)));
    let asked = scene.sandbox.api().requests().split_off(before);
    let nodes = asked.iter().filter(|request| request.path.starts_with("/api/v1/nodes")).count();
    assert!(nodes == 1 && asked.len() <= 34, "{} requests, {nodes} of them for the nodes", asked.len());
    let state = scene.job().await.cx.state;
    let record = state.read(super::RECORD).unwrap().unwrap();
    let mut other: Value = serde_json::from_str(&record).unwrap();
    other["cluster"] = "another one".into();
    state.write(super::RECORD, &other.to_string()).unwrap();
    let third = scene.up().await;
    assert_eq!((third.result, third.verified), ("done", Some(true)), "verified again");
    assert_eq!(state.read(super::RECORD).unwrap().unwrap(), record);
}

#[tokio::test(start_paused = true)]
async fn what_was_verified_counts_until_the_next_verification_and_for_what_was_looked_at() {
    let mut scene = Scene::new(&vlans(3));
    assert_eq!(scene.up().await.verified, Some(true));
    scene.profile.name = "another".into();
    scene.profile.timeouts.ready += 1;
    let again = scene.up().await;
    assert_eq!((again.result, again.verified), ("nothing-to-do", Some(true)), "nothing of it decides");
    // The node has too little room: the verification fails whatever the settings are.
    let cluster = scene.sandbox.cluster();
    let node = ObjectKey::of(&cluster.list("v1", "Node", None, None).await.unwrap()[0]);
    let running = cluster.list("v1", "Pod", None, None).await.unwrap().len();
    let room = async |pods: usize| {
        let patch = json!([{"op": "replace", "path": "/status/allocatable/pods", "value": pods.to_string()}]);
        cluster.patch_status(&node, &patch).await.unwrap();
    };
    room(running).await;
    scene.profile.networks[0].verify = false;
    let failed = scene.up().await;
    assert_eq!((failed.result, failed.changes), ("failed", 0), "{failed:?}");
    scene.profile.networks[0].verify = true;
    let failed = scene.up().await;
    assert_eq!(failed.result, "failed", "an older record covers it: {failed:?}");
    room(running + 20).await;
    let repaired = scene.up().await;
    assert_eq!((repaired.result, repaired.verified), ("done", Some(true)), "{repaired:?}");
}

#[tokio::test(start_paused = true)]
async fn pods_reach_each_other_on_a_linux_bridge_and_on_a_nic() {
    let profile = "extends: default\nvm: {enabled: false}\nkubevirt: {enabled: false}\nnetworks:\n  \
        - {name: lan, kind: bridge, bridge: br-lan, ipam: {subnet: 10.30.0.0/24}}\n  \
        - {name: card, kind: raw, config: {cniVersion: 0.3.1, name: card, type: macvlan, master: eth0, \
           ipam: {type: host-local, subnet: 10.31.0.0/24}}}\n";
    let scene = Scene::new(profile);
    let ended = scene.up().await;
    assert!(ended.error.is_none() && ended.verified == Some(true), "{ended:?}");
    for check in ["lan-1 reaches lan-2", "card-1 reaches card-2"] {
        assert_eq!(scene.heard(check), Some(Verdict::Passed), "{check}");
    }
}
