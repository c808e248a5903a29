//! The chain in a real node's answers: `tests/fixtures/vm`, recorded by the script there.

use std::sync::Arc;

use serde_json::Value;

use super::evidence::Evidence;
use super::guest::GuestView;
use super::*;
use crate::facts::Facts;
use crate::guest::links as guest_links;
use crate::host::fake::FakeHost;
use crate::steps::testing::{cluster, context, debian};

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vm/", $name))
    };
}

const INSTANCE: &str = "/apis/kubevirt.io/v1/namespaces/default/virtualmachineinstances/vm-two-nics";
const LAUNCHERS: &str = "/api/v1/namespaces/default/pods";
const NETWORK: &str = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/ovs-blue";

/// The node's answers; a cut changes them.
struct Answers {
    objects: Vec<(&'static str, Value)>,
    switch: String,
    links: String,
    guest: String,
    plugins: Vec<&'static str>,
    configurations: Vec<(&'static str, &'static str)>,
}

fn recorded() -> Answers {
    let object = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    Answers {
        objects: vec![
            (INSTANCE, object(recorded!("instance.json"))),
            (LAUNCHERS, object(recorded!("launchers.json"))),
            (NETWORK, object(recorded!("network.json"))),
            ("/api/v1/nodes", object(recorded!("nodes.json"))),
            ("/api/v1/pods", object(recorded!("markers.json"))),
        ],
        switch: recorded!("switch.txt").into(),
        links: recorded!("links.json").into(),
        guest: recorded!("guest.txt").into(),
        plugins: vec!["ovs", "host-local"],
        configurations: vec![
            ("00-multus.conf", recorded!("multus.json")),
            ("10-flannel.conflist", r#"{"name": "cbr0", "plugins": [{"type": "flannel"}]}"#),
        ],
    }
}

impl Answers {
    fn object(&mut self, path: &str) -> &mut Value {
        &mut self.objects.iter_mut().find(|(known, _)| *known == path).unwrap().1
    }

    /// The trace, with what the guest has printed on its console.
    async fn trace(&self) -> Trace {
        let mut host = FakeHost::new()
            .file("/proc/4711/cgroup", recorded!("cgroup.txt"))
            .prints(["ovs-vsctl"], &self.switch)
            .prints(["nsenter", "--target=4711", "--net", "ip"], &self.links);
        for plugin in &self.plugins {
            host = host.file(&format!("/opt/cni/bin/{plugin}"), "");
        }
        for (name, text) in &self.configurations {
            host = host.file(&format!("/etc/cni/net.d/{name}"), text);
        }
        let nodes = self.objects.iter().find(|(path, _)| *path == "/api/v1/nodes").unwrap();
        let hostname = nodes.1["items"][0]["metadata"]["name"].as_str().unwrap().to_owned();
        let profile = crate::profile::load("default", &[]).unwrap().profile;
        let cx = context(&Arc::new(host), profile, Facts { hostname, ..debian() });
        cx.connect(cluster(&self.objects)).await;
        let target = Target { machine: true, namespace: "default".into(), name: "vm-two-nics".into() };
        let mut seen = Evidence::gather(&cx, &target, false).await.unwrap();
        seen.guest = Some(GuestView::Nics(guest_links(&self.guest), "its serial console"));
        Trace { target: target.to_string(), now: seen.now(), links: links(&seen), frame: None }
    }
}

/// The first broken link after a cut, with its code.
async fn cut(make: impl FnOnce(&mut Answers)) -> Option<(&'static str, &'static str)> {
    let mut answers = recorded();
    make(&mut answers);
    answers.trace().await.broken().map(|link| (link.link, link.code.unwrap_or_default()))
}

#[tokio::test]
async fn every_link_of_the_real_vm_holds() {
    let trace = recorded().trace().await;
    assert!(trace.links.iter().all(|link| link.state == Grade::Holds), "{:#?}", trace.links);
    assert_eq!(trace.links.len(), 13);
    assert!(trace.now.starts_with("Running on "), "{}", trace.now);
}

#[tokio::test]
async fn every_cut_in_the_real_answers_is_named_by_its_own_link() {
    let port = |answers: &mut Answers, from: &str, to: &str| {
        assert!(answers.switch.contains(from), "{from} is not in {}", answers.switch);
        answers.switch = answers.switch.replace(from, to);
    };
    // The owner's external id goes with the port.
    assert_eq!(cut(|answers| port(answers, "contPodUid", "formerPodUid")).await, Some(("port", "KVN623")));
    assert_eq!(cut(|answers| port(answers, "\"blue\"", "\"green\"")).await, Some(("bridge", "KVN605")));
    assert_eq!(
        cut(|answers| answers.objects.retain(|(path, _)| *path != NETWORK)).await,
        Some(("network", "KVN621"))
    );
    assert_eq!(
        cut(|answers| answers.plugins.retain(|plugin| *plugin != "ovs")).await,
        Some(("cni-plugin", "KVN603"))
    );
    // The VM is scheduled and no longer needs the marker.
    assert_eq!(cut(|answers| answers.object("/api/v1/pods")["items"] = Value::Array(Vec::new())).await, None);
    assert_eq!(cut(|answers| _ = answers.configurations.remove(0)).await, Some(("multus", "KVN602")));
    assert_eq!(
        cut(|answers| answers.guest = answers.guest.replace("UP,LOWER_UP> mtu 1500", "> mtu 1500")).await,
        Some(("guest-nic", "KVN625"))
    );
    assert_eq!(
        cut(|answers| answers.links = answers.links.replace("\"tap1", "\"gone1")).await,
        Some(("tap", "KVN624"))
    );
}
