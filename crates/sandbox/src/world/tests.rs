//! A cluster that runs by itself, from the first node to a VM.

mod whereabouts;

use serde_json::{Value, json};

use super::objects::{is_true, items, name, text};
use super::*;
use crate::api::KubernetesVersion;
use crate::facts::Facts;
use crate::node::{Distribution, Seed};
use crate::profile::{self, Profile};
use kvnet_base::components::flannel::FLANNEL;
use kvnet_base::components::kubevirt::{KUBEVIRT, KUBEVIRT_CR};
use kvnet_base::components::multus::MULTUS;
use kvnet_base::components::vm::VM;
use kvnet_base::components::{Component, RenderFacts};
use kvnet_base::source::{SourceOptions, Sources};

/// A cluster that has converged.
struct Cluster {
    world: World,
    profile: Profile,
}

impl Cluster {
    fn fresh() -> Self {
        Self::of(&Seed::new(Distribution::Debian))
    }

    fn of(seed: &Seed) -> Self {
        let store = Store::in_memory();
        let node = SandboxHost::seeded(store.clone(), seed, 0).unwrap();
        let clock = Clock::fixed(1_790_000_000);
        let api = ApiServer::new(store.clone(), clock.clone(), KubernetesVersion::V1_34);
        let world = World::new(&api, &node, &store, &clock, Pace::INSTANT);
        world.reconcile().unwrap();
        let profile = profile::load("default", &[]).unwrap().profile;
        Self { world, profile }
    }

    /// One with the pod network and Multus.
    async fn with_networks() -> Self {
        let cluster = Self::fresh();
        cluster.untaint();
        cluster.node().put_file("/proc/sys/net/bridge/bridge-nf-call-iptables", b"1\n", 0o644).unwrap();
        for component in [&FLANNEL, &MULTUS] {
            cluster.install(component).await;
        }
        cluster
    }

    fn scene(&self) -> &Scene {
        &self.world.0
    }

    fn node(&self) -> &SandboxHost {
        &self.world.0.node
    }

    fn settle(&self) {
        self.world.reconcile().unwrap();
    }

    async fn install(&self, component: &Component) {
        let facts = Facts {
            cni_conf_dir: "/etc/cni/net.d".into(),
            cni_bin_dirs: vec!["/opt/cni/bin".into()],
            ..Facts::default()
        };
        let options = SourceOptions {
            stand_ins: true,
            mirror: None,
            cache_dir: "/nonexistent".into(),
            lock_file: None,
            timeout: std::time::Duration::from_secs(1),
        };
        let manifest = Sources::new(options)
            .load(component, &self.profile, &facts, &RenderFacts::default())
            .await
            .unwrap();
        manifest.objects.iter().for_each(|object| self.apply(object));
        self.settle();
    }

    fn apply(&self, object: &Value) {
        self.scene().create("test", object).unwrap();
    }

    fn untaint(&self) {
        let node = self.scene().own_node().unwrap().unwrap();
        let mut written = node.clone();
        written["spec"]["taints"] = json!(
            items(&node, "/spec/taints")
                .iter()
                .filter(|taint| taint["key"] != "node-role.kubernetes.io/control-plane")
                .collect::<Vec<_>>()
        );
        self.scene().save("test", &node, written).unwrap();
    }

    fn pod(&self, name: &str, network: &str) -> Value {
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": {"k8s.v1.cni.cncf.io/networks": network}},
            "spec": {"containers": [{"name": "main", "image": "busybox", "command": ["sleep"]}]},
        }));
        self.settle();
        self.get("Pod", "default", name).unwrap()
    }

    fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let version = match kind {
            "DaemonSet" | "Deployment" => "apps/v1",
            "NetworkAttachmentDefinition" => "k8s.cni.cncf.io/v1",
            _ => "v1",
        };
        self.scene().get(version, kind, Some(namespace), name).unwrap()
    }

    fn events(&self, about: &str) -> Vec<String> {
        let all = self.scene().list("v1", "Event").unwrap();
        let of = all.iter().filter(|event| event["involvedObject"]["name"] == about);
        of.map(|event| format!("{}: {}", text(event, "/reason"), text(event, "/message"))).collect()
    }

    fn network(&self, name: &str, config: &Value) {
        self.apply(&json!({
            "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": "default"}, "spec": {"config": config.to_string()},
        }));
    }
}

#[test]
fn a_fresh_cluster_waits_for_a_network() {
    let cluster = Cluster::fresh();
    let node = cluster.scene().own_node().unwrap().unwrap();
    assert!(!is_true(&node, "Ready"));
    let taints: Vec<&str> = items(&node, "/spec/taints").iter().map(|taint| text(taint, "/key")).collect();
    assert_eq!(taints, ["node-role.kubernetes.io/control-plane", "node.kubernetes.io/not-ready"]);
    let proxy = cluster.get("DaemonSet", "kube-system", "kube-proxy").unwrap();
    assert_eq!(
        (&proxy["status"]["numberReady"], &proxy["status"]["observedGeneration"]),
        (&json!(1), &json!(1))
    );
    let dns = cluster.get("Deployment", "kube-system", "coredns").unwrap();
    assert_eq!(dns["status"]["unavailableReplicas"], 2);
    let pods = cluster.scene().list("v1", "Pod").unwrap();
    let waiting = pods.iter().find(|pod| name(pod).starts_with("coredns-")).unwrap();
    assert!(text(waiting, "/status/conditions/0/message").contains("had untolerated taint(s)"), "{waiting}");
}

#[tokio::test]
async fn flannel_and_multus_make_the_node_ready_and_leave_what_they_leave() {
    let cluster = Cluster::with_networks().await;
    let node = cluster.scene().own_node().unwrap().unwrap();
    assert!(is_true(&node, "Ready"), "{node}");
    assert_eq!(
        cluster.node().names("/etc/cni/net.d").unwrap().unwrap(),
        ["00-multus.conf", "10-flannel.conflist"]
    );
    let shim = r#"{"capabilities":{"portMappings":true},"cniVersion":"0.3.1","logLevel":"verbose","logToStderr":true,"name":"multus-cni-network","clusterNetwork":"/host/etc/cni/net.d/10-flannel.conflist","type":"multus-shim"}"#;
    assert_eq!(cluster.node().text("/etc/cni/net.d/00-multus.conf").unwrap().unwrap(), shim);
    assert_eq!(
        cluster.node().text("/run/flannel/subnet.env").unwrap().unwrap(),
        "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    );
    let links: Vec<String> = cluster.node().links().unwrap().into_iter().map(|link| link.name).collect();
    assert!(links.contains(&"flannel.1".to_owned()) && links.contains(&"cni0".to_owned()), "{links:?}");
    let dns = cluster.get("Deployment", "kube-system", "coredns").unwrap();
    assert_eq!(dns["status"]["readyReplicas"], 2, "{dns}");
}

#[tokio::test]
async fn a_pod_gets_its_nics_and_gives_them_back() {
    let cluster = Cluster::with_networks().await;
    let config = json!({"cniVersion": "0.3.0", "type": "bridge", "bridge": "br0", "isGateway": true,
        "ipam": {"type": "host-local", "subnet": "192.168.5.0/24"}});
    cluster.network("lan", &config);
    let pod = cluster.pod("walker", "lan");
    assert!(is_true(&pod, "Ready"), "{pod} {:?}", cluster.events("walker"));
    let status: Value = serde_json::from_str(
        pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"].as_str().unwrap(),
    )
    .unwrap();
    assert_eq!((&status[1]["name"], &status[1]["ips"]), (&json!("default/lan"), &json!(["192.168.5.2"])));
    let lease = "/var/lib/cni/networks/lan/192.168.5.2";
    assert!(cluster.node().status(lease).unwrap().is_some());
    cluster.scene().forget(&pod).unwrap();
    cluster.settle();
    assert!(cluster.node().status(lease).unwrap().is_none());
    let links: Vec<String> = cluster.node().links().unwrap().into_iter().map(|link| link.name).collect();
    assert!(links.contains(&"br0".to_owned()), "the plugin never removes its bridge");
    assert_eq!(
        links.iter().filter(|link| link.starts_with("veth")).count(),
        2,
        "those of coredns: {links:?}"
    );
}

#[tokio::test]
async fn what_is_missing_is_told_as_multus_tells_it() {
    let cluster = Cluster::with_networks().await;
    cluster.network("nobin", &json!({"cniVersion": "0.3.1", "type": "macvlanx"}));
    for (pod, network, part) in [
        (
            "none",
            "missing",
            "FailedCreatePodSandBox: Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network",
        ),
        (
            "none-2",
            "missing",
            "NoNetworkFound: cannot find a network-attachment-definition (missing) in namespace (default)",
        ),
        ("nobin", "nobin", "failed to find plugin \"macvlanx\" in path [/opt/cni/bin]"),
    ] {
        let found = cluster.pod(pod, network);
        assert_eq!(
            found["status"]["containerStatuses"][0]["state"]["waiting"]["reason"],
            "ContainerCreating"
        );
        let events = cluster.events(pod);
        assert!(events.iter().any(|event| event.contains(part)), "{events:?}");
    }
    // With the network, the pod starts.
    cluster.network("missing", &json!({"cniVersion": "0.3.1", "type": "bridge", "bridge": "br1"}));
    cluster.settle();
    assert!(is_true(&cluster.get("Pod", "default", "none").unwrap(), "Ready"));
}

#[tokio::test]
async fn without_its_plugin_a_pod_cannot_be_taken_down() {
    let cluster = Cluster::with_networks().await;
    let pod = cluster.pod("stuck", "");
    cluster.node().remove_file("/opt/cni/bin/flannel").unwrap();
    let mut leaving = pod.clone();
    leaving["metadata"]["finalizers"] = json!(["test/keep"]);
    cluster.scene().save("test", &pod, leaving).unwrap();
    cluster.scene().delete(&cluster.get("Pod", "default", "stuck").unwrap()).unwrap();
    cluster.settle();
    let events = cluster.events("stuck");
    assert!(events.iter().any(|event| event.contains("failed to find plugin \"flannel\"")), "{events:?}");
    assert!(cluster.get("Pod", "default", "stuck").is_some());
}

#[tokio::test]
async fn a_daemon_that_ends_takes_its_configuration_with_it() {
    let cluster = Cluster::with_networks().await;
    let set = cluster.get("DaemonSet", "kube-system", "kube-multus-ds").unwrap();
    cluster.scene().delete(&set).unwrap();
    cluster.settle();
    assert_eq!(cluster.node().names("/etc/cni/net.d").unwrap().unwrap(), ["10-flannel.conflist"]);
    assert!(cluster.node().status("/run/multus/multus.sock").unwrap().is_none());
    assert!(cluster.node().status("/opt/cni/bin/multus-shim").unwrap().is_some(), "the plugin stays");
}

#[tokio::test]
async fn kubevirt_is_deployed_and_runs_a_machine() {
    let cluster = Cluster::with_networks().await;
    for component in [&KUBEVIRT, &KUBEVIRT_CR] {
        cluster.install(component).await;
    }
    let resource =
        cluster.scene().get("kubevirt.io/v1", "KubeVirt", Some("kubevirt"), "kubevirt").unwrap().unwrap();
    assert_eq!(resource["status"]["phase"], "Deployed", "{resource}");
    assert!(is_true(&resource, "Available"));
    cluster.network("ovs-blue-l2", &json!({"cniVersion": "0.3.1", "type": "bridge", "bridge": "br9"}));
    cluster.install(&VM).await;
    let machine = cluster
        .scene()
        .get("kubevirt.io/v1", "VirtualMachineInstance", Some("default"), "vm-two-nics")
        .unwrap()
        .unwrap();
    assert_eq!(machine["status"]["phase"], "Running", "{machine}");
    assert_eq!(machine["status"]["interfaces"][1]["name"], "blue");
    cluster.scene().delete(&resource).unwrap();
    cluster.settle();
    assert!(cluster.scene().list("kubevirt.io/v1", "KubeVirt").unwrap().is_empty());
    assert_eq!(cluster.get("Deployment", "kubevirt", "virt-api"), None);
}

/// What containerd and the kubelet make of a failure, around what Multus and the plugin say.
/// KubeVirt requests the attachment's resource, and no node advertises a bridge that does not exist.
#[tokio::test]
async fn a_machine_on_a_bridge_that_no_node_has_waits_for_a_node() {
    let cluster = Cluster::with_networks().await;
    for component in [&KUBEVIRT, &KUBEVIRT_CR] {
        cluster.install(component).await;
    }
    let resource = "ovs-cni.network.kubevirt.io/nowhere";
    cluster.apply(&json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "ovs-blue-l2", "namespace": "default",
            "annotations": {"k8s.v1.cni.cncf.io/resourceName": resource}},
        "spec": {"config": r#"{"cniVersion": "0.3.1", "type": "ovs", "bridge": "nowhere"}"#},
    }));
    cluster.install(&VM).await;
    let pods = cluster.scene().list("v1", "Pod").unwrap();
    let launcher = pods.iter().find(|pod| name(pod).starts_with("virt-launcher-")).unwrap();
    assert_eq!(text(launcher, "/status/phase"), "Pending");
    let asked = &launcher["spec"]["containers"][0]["resources"];
    assert_eq!((&asked["requests"][resource], &asked["limits"][resource]), (&json!("1"), &json!("1")));
    let told = items(launcher, "/status/conditions").iter().find(|it| it["type"] == "PodScheduled").unwrap();
    let told = text(told, "/message");
    assert!(told.starts_with(&format!("0/1 nodes are available: 1 Insufficient {resource}.")), "{told}");
}

#[tokio::test]
async fn a_pod_that_cannot_start_says_why_as_on_a_node() {
    let cluster = Cluster::with_networks().await;
    for (network, config, cause) in [
        (
            "typo",
            json!({"type": "ovs", "bridge": "br-typo"}),
            "dial unix /var/run/openvswitch/db.sock: connect: no such file",
        ),
        ("eth9", json!({"type": "macvlan", "master": "eth9"}), "Link not found"),
        (
            "lease",
            json!({"type": "macvlan", "master": "eth0", "ipam": {"type": "dhcp"}}),
            "error dialing DHCP daemon",
        ),
        (
            "none",
            json!({"type": "bridge", "bridge": "br0", "ipam": {"type": "static"}}),
            "IPAM plugin returned missing IP config",
        ),
        (
            "six",
            json!({"type": "bridge", "bridge": "br0", "ipam": {"type": "host-local", "subnet": "fd00::/64"}}),
            "not simulated: IPv6",
        ),
    ] {
        cluster.node().put_file("/opt/cni/bin/ovs", b"ovs", 0o755).unwrap();
        cluster.network(network, &config);
        let pod = cluster.pod(network, network);
        assert_eq!(pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
        let events = cluster.events(network);
        let event = events.iter().find(|event| event.starts_with("FailedCreatePodSandBox")).unwrap();
        for part in [
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox",
            "plugin type=\"multus-shim\" name=\"multus-cni-network\" failed (add): CmdAdd (shim): CNI request failed with status 400: 'ContainerID:",
            &format!("ERRORED: error configuring pod [default/{network}] networking: [default/{network}/"),
            &format!(":{network}]: error adding container to network \"{network}\": "),
            cause,
        ] {
            assert!(event.contains(part), "{part} is not in {event}");
        }
    }
}

#[tokio::test]
async fn slips_in_the_annotation_are_told_by_multus() {
    let cluster = Cluster::with_networks().await;
    for (pod, annotation, cause) in [
        (
            "json",
            r#"[ {"name":"ovs-blue" ]"#,
            "error loading k8s delegates k8s args: parsePodNetworkAnnotation: failed to parse pod Network Attachment Selection Annotation JSON format: invalid character ']'",
        ),
        (
            "comma",
            "ovs-blue,",
            "cannot find a network-attachment-definition (ovs-blue) in namespace (default)",
        ),
    ] {
        cluster.pod(pod, annotation);
        let events = cluster.events(pod);
        assert!(events.iter().any(|event| event.contains(cause)), "{events:?}");
    }
}

#[tokio::test]
async fn a_pod_gets_the_first_network_that_it_asks_for_or_none() {
    let cluster = Cluster::with_networks().await;
    let pod = |name: &str, network: &str| {
        cluster.apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": {"v1.multus-cni.io/default-network": network}},
            "spec": {"containers": [{"name": "main", "image": "busybox", "command": ["sleep"]}]},
        }));
        cluster.settle();
        cluster.get("Pod", "default", name).unwrap()
    };
    let lan = json!({"cniVersion": "0.3.1", "type": "bridge", "bridge": "br9",
        "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}});
    cluster.apply(&json!({
        "apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "lan", "namespace": "kube-system"}, "spec": {"config": lan.to_string()},
    }));
    let ip = pod("there", "lan")["status"]["podIP"].clone();
    assert!(ip.as_str().is_some_and(|ip| ip.starts_with("10.77.0.")), "{ip}");
    for (name, network, cause) in [
        (
            "missing",
            "nope",
            "failed getting the delegate: getKubernetesDelegate: cannot find a network-attachment-definition (nope) in namespace (kube-system)",
        ),
        ("two", "lan,lan", "more than one default network is specified: lan,lan"),
    ] {
        assert_eq!(pod(name, network)["status"]["phase"], "Pending");
        let events = cluster.events(name);
        assert!(events.iter().any(|event| event.contains(cause)), "{events:?}");
    }
}

#[tokio::test]
async fn a_dead_multus_is_told_as_its_shim_tells_it() {
    let cluster = Cluster::fresh();
    cluster.untaint();
    let configuration = json!({"cniVersion": "0.3.1", "name": "multus-cni-network", "type": "multus-shim"});
    cluster
        .node()
        .put_file("/etc/cni/net.d/00-multus.conf", configuration.to_string().as_bytes(), 0o600)
        .unwrap();
    cluster.node().put_file("/opt/cni/bin/multus-shim", b"multus-shim", 0o755).unwrap();
    cluster.settle();
    cluster.pod("waits", "");
    let events = cluster.events("waits");
    let told = "plugin type=\"multus-shim\" name=\"multus-cni-network\" failed (add): CmdAdd (shim): timed out waiting for the condition";
    assert!(events.iter().any(|event| event.ends_with(told)), "{events:?}");
}

/// The table of what a real node did, with three NICs of flannel coming and going.
#[tokio::test]
async fn flannels_attachments_take_and_leak_addresses_as_its_plugin_does() {
    for (config, twice, leaked) in [
        (json!({"type": "flannel"}), true, 1),
        (json!({"type": "flannel", "name": "cbr0"}), false, 1),
        (json!({"type": "flannel", "name": "cbr0", "dataDir": "/var/lib/cni/flannel-attached"}), false, 0),
    ] {
        let cluster = Cluster::with_networks().await;
        let leases = |cluster: &Cluster| {
            let names = cluster.node().names("/var/lib/cni/networks/cbr0").unwrap().unwrap();
            names.iter().filter(|name| name.starts_with("10.")).count()
        };
        let before = leases(&cluster);
        cluster.network("more", &config);
        let pod = cluster.pod("walker", "more");
        let status = pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"].as_str().unwrap();
        let status: Value = serde_json::from_str(status).unwrap();
        let pods = cluster.scene().list("v1", "Pod").unwrap();
        let others: Vec<&str> = pods.iter().map(|pod| text(pod, "/status/podIP")).collect();
        assert_eq!(others.contains(&text(&status, "/1/ips/0")), twice, "{config}");
        cluster.scene().forget(&pod).unwrap();
        cluster.settle();
        assert_eq!(leases(&cluster) - before, leaked, "{config}");
    }
}

/// The Node's name may differ from the host name, and there may be nodes that cannot be inspected from here.
#[tokio::test]
async fn a_cluster_has_a_node_of_another_name_and_further_nodes() {
    let seed = Seed {
        hostname: "Host-A".into(),
        node_name: Some("cp-1".into()),
        other_nodes: 2,
        ..Seed::new(Distribution::Debian)
    };
    let cluster = Cluster::of(&seed);
    let names: Vec<String> =
        cluster.scene().nodes().unwrap().iter().map(|node| name(node).to_owned()).collect();
    assert_eq!(names, ["cp-1", "worker-1", "worker-2"]);
    cluster.node().put_file("/proc/sys/net/bridge/bridge-nf-call-iptables", b"1\n", 0o644).unwrap();
    for component in [&FLANNEL, &MULTUS] {
        cluster.install(component).await;
    }
    let set = cluster.get("DaemonSet", "kube-system", "kube-multus-ds").unwrap();
    assert_eq!(
        (&set["status"]["desiredNumberScheduled"], &set["status"]["numberReady"]),
        (&json!(3), &json!(3))
    );
    cluster.network("blue", &json!({"type": "ovs", "bridge": "blue"}));
    let pod = cluster.pod("far", "blue");
    assert!(text(&pod, "/spec/nodeName").starts_with("worker-"), "{pod}");
    let events = cluster.events("far");
    assert!(events.iter().any(|event| event.contains("db.sock: connect: no such file")), "{events:?}");
    let plain = cluster.pod("plain", "");
    assert!(is_true(&plain, "Ready") && text(&plain, "/status/podIP").starts_with("10.244."), "{plain}");
}
