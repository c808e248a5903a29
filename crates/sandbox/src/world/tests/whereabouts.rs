//! Addresses of the whole cluster.

use kvnet_base::components::whereabouts::WHEREABOUTS;

use super::*;

const POOLS: &str = "whereabouts.cni.cncf.io/v1alpha1";

async fn cluster(other_nodes: u8) -> Cluster {
    let cluster = Cluster::of(&Seed { other_nodes, ..Seed::new(Distribution::Debian) });
    cluster.untaint();
    cluster.node().put_file("/proc/sys/net/bridge/bridge-nf-call-iptables", b"1\n", 0o644).unwrap();
    for component in [&FLANNEL, &MULTUS, &WHEREABOUTS] {
        cluster.install(component).await;
    }
    cluster
}

fn network(cluster: &Cluster, name: &str, kind: &str) {
    let config = json!({"cniVersion": "0.3.1", "type": kind, "bridge": name,
        "ipam": {"type": "whereabouts", "range": "10.7.0.0/29", "exclude": ["10.7.0.1"]}});
    cluster.network(name, &config);
}

/// The addresses of a pod's second NIC, as Multus reports them.
fn addresses(pod: &Value) -> Value {
    let status = pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"].as_str().unwrap_or("[]");
    serde_json::from_str::<Value>(status).unwrap()[1]["ips"].clone()
}

fn pool(cluster: &Cluster) -> Value {
    cluster.scene().get(POOLS, "IPPool", Some("kube-system"), "10.7.0.0-29").unwrap().unwrap()
}

fn reservations(cluster: &Cluster) -> Vec<String> {
    let all = cluster.scene().list(POOLS, "OverlappingRangeIPReservation").unwrap();
    all.iter().map(|it| name(it).to_owned()).collect()
}

#[tokio::test]
async fn networks_with_one_range_share_its_pool_and_give_addresses_back() {
    let cluster = cluster(0).await;
    network(&cluster, "br7", "bridge");
    network(&cluster, "br8", "bridge");
    assert_eq!(addresses(&cluster.pod("a", "br7")), json!(["10.7.0.2"]));
    let second = cluster.pod("b", "br8");
    assert_eq!(addresses(&second), json!(["10.7.0.3"]));
    assert_eq!(addresses(&cluster.pod("c", "br7")), json!(["10.7.0.4"]));
    let kept = pool(&cluster);
    assert_eq!(kept["spec"]["range"], "10.7.0.0/29");
    let allocations = kept["spec"]["allocations"].as_object().unwrap();
    assert_eq!(allocations.keys().collect::<Vec<_>>(), ["2", "3", "4"]);
    let of_second = &allocations["3"];
    assert_eq!((&of_second["podref"], &of_second["ifname"]), (&json!("default/b"), &json!("net1")));
    assert_eq!(reservations(&cluster), ["10.7.0.2", "10.7.0.3", "10.7.0.4"]);

    cluster.scene().forget(&second).unwrap();
    cluster.settle();
    assert_eq!(pool(&cluster)["spec"]["allocations"].as_object().unwrap().len(), 2);
    assert_eq!(reservations(&cluster), ["10.7.0.2", "10.7.0.4"]);
    assert_eq!(addresses(&cluster.pod("d", "br8")), json!(["10.7.0.3"]), "the lowest that is free");

    for pod in ["e", "f"] {
        assert!(is_true(&cluster.pod(pod, "br7"), "Ready"));
    }
    let none = cluster.pod("g", "br7");
    assert!(!is_true(&none, "Ready"), "10.7.0.2 to 10.7.0.6 are five");
    let events = cluster.events("g");
    let full = "Could not allocate IP in range: ip: 10.7.0.1 / - 10.7.0.6 / range: 10.7.0.0/29";
    assert!(events.iter().any(|event| event.contains(full)), "{events:?}");
}

#[tokio::test]
async fn pods_on_another_node_have_other_addresses() {
    let cluster = cluster(1).await;
    network(&cluster, "br7", "bridge");
    let there = |name: &str| {
        cluster.apply(&json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "annotations": {"k8s.v1.cni.cncf.io/networks": "br7"}},
            "spec": {"nodeName": "worker-1", "containers": [{"name": "main", "image": "busybox", "command": ["sleep"]}]},
        }));
        cluster.settle();
        cluster.get("Pod", "default", name).unwrap()
    };
    assert_eq!(addresses(&cluster.pod("here", "br7")), json!(["10.7.0.2"]));
    let far = there("there");
    assert_eq!(addresses(&far), json!(["10.7.0.3"]));
    assert_eq!(addresses(&cluster.pod("here-too", "br7")), json!(["10.7.0.4"]));
    cluster.scene().delete(&far).unwrap();
    cluster.settle();
    assert_eq!(addresses(&there("again")), json!(["10.7.0.3"]));
}

#[tokio::test]
async fn without_its_file_or_its_pods_the_plugin_fails() {
    let cluster = cluster(0).await;
    network(&cluster, "br7", "bridge");
    for (pod, file, said) in [
        (
            "no-kubeconfig",
            "/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig",
            "failed to create Kubernetes IPAM manager",
        ),
        ("no-file", "/etc/cni/net.d/whereabouts.d/whereabouts.conf", "config file not found"),
        ("no-plugin", "/opt/cni/bin/whereabouts", "failed to find plugin \"whereabouts\""),
    ] {
        cluster.node().remove_file(file).unwrap();
        assert!(!is_true(&cluster.pod(pod, "br7"), "Ready"), "{pod}");
        let events = cluster.events(pod);
        assert!(events.iter().any(|event| event.contains(said)), "{pod}: {events:?}");
    }
}
