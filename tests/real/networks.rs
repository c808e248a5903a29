//! Pods of the test's own that use the networks: what kvnet's verification says is not taken for granted.

use serde_json::Value;

use crate::node::Node;

const NETWORK_STATUS: &str = r"jsonpath={.metadata.annotations.k8s\.v1\.cni\.cncf\.io/network-status}";
/// Pods on different VLANs get addresses of one subnet too: then no route can be what separates them.
const SHARED_SUBNET: [(&str, &str); 4] =
    [("blue-1", "10.99.0.1"), ("blue-2", "10.99.0.2"), ("tagged-1", "10.99.0.3"), ("tagged-2", "10.99.0.4")];

/// A pod with one more network.
pub fn pod(name: &str, network: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata:
  name: {name}
  annotations: {{k8s.v1.cni.cncf.io/networks: {network}}}
spec:
  # With 0 the object would be gone before its NICs are.
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: docker.io/library/busybox:1.37.0
    imagePullPolicy: IfNotPresent
    command: [sleep, infinity]
    securityContext: {{capabilities: {{add: [NET_ADMIN]}}}}
"
    )
}

/// A pod without any annotation.
pub fn plain_pod(name: &str) -> String {
    pod(name, "").replace("  annotations: {k8s.v1.cni.cncf.io/networks: }\n", "")
}

/// Multus is in charge, the switch is known to the scheduler, the networks are there.
pub fn check_node(node: &Node) {
    let object = node.json("kubectl get node -o json");
    let object = &object["items"][0];
    assert_eq!(object["spec"]["taints"], Value::Null, "the taints are gone");
    assert_eq!(
        object["metadata"]["labels"]["node-role.kubernetes.io/control-plane"], "",
        "the label is kept"
    );
    let conditions = object["status"]["conditions"].as_array().expect("conditions");
    assert!(conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"));
    let capacity = &object["status"]["capacity"]["ovs-cni.network.kubevirt.io/blue"];
    assert!(capacity.is_string(), "the marker publishes the bridge: {}", object["status"]["capacity"]);
    let networks = node.sh("kubectl get net-attach-def -o name | LC_ALL=C sort");
    let expected = ["a-bridge-network", "flannel-network", "ovs-blue", "ovs-blue-l2", "ovs-blue100"];
    let expected = expected.map(|name| format!("networkattachmentdefinition.k8s.cni.cncf.io/{name}\n"));
    assert_eq!(networks, expected.concat());
    assert_eq!(first_configuration(node), "00-multus.conf");
    node.say("taint gone, label kept, node Ready, bridge published, networks there, Multus first");
}

/// The runtime's first configuration, of those that it reads.
pub fn first_configuration(node: &Node) -> String {
    node.sh("ls /etc/cni/net.d | LC_ALL=C sort | grep -E '[.](conf|conflist|json)$' | head -1").trim().into()
}

/// Pods on every network have their NICs, reach whom they should, and nobody else.
pub fn check_pods(node: &Node) {
    let pods = [
        ("walker", "a-bridge-network"),
        ("blue-1", "ovs-blue"),
        ("blue-2", "ovs-blue"),
        ("tagged-1", "ovs-blue100"),
        ("tagged-2", "ovs-blue100"),
        ("bare", "ovs-blue-l2"),
    ];
    node.apply(&pods.map(|(name, network)| pod(name, network)).concat());
    let names = pods.map(|(name, _)| name).join(" ");
    node.sh(&format!("kubectl wait pod {names} --for=condition=Ready --timeout=120s"));
    check_addresses(node);
    check_reach(node);
    for (name, tag) in
        [("blue-1", None), ("blue-2", None), ("tagged-1", Some(100)), ("tagged-2", Some(100)), ("bare", None)]
    {
        assert_eq!(
            port_tag(node, name),
            tag.map_or_else(|| "[]".into(), |tag: u16| tag.to_string()),
            "{name}"
        );
    }
    crate::topology::check(node);
    node.say("the pods have their NICs and ports; VLANs reach themselves and nothing else");
    node.sh(&format!("kubectl delete pod {names} --wait --timeout=60s"));
    // The kubelet forgets a pod some seconds before the runtime has taken its NICs down.
    node.until("no port of a pod is left", "[ -z \"$(ovs-vsctl --bare --columns=name find Port external_ids:owner=ovs-cni.network.kubevirt.io)\" ]");
}

fn check_addresses(node: &Node) {
    for (pod, subnet) in [
        ("walker", "192.168.5."),
        ("blue-1", "10.20.0."),
        ("blue-2", "10.20.0."),
        ("tagged-1", "10.20.100."),
        ("tagged-2", "10.20.100."),
    ] {
        assert!(address(node, pod, "eth0").starts_with("10.244."), "eth0 of {pod}");
        assert!(address(node, pod, "net1").starts_with(subnet), "net1 of {pod}");
    }
    assert!(address(node, "bare", "eth0").starts_with("10.244."));
    let bare = node.sh("kubectl exec bare -- ip address show dev net1");
    assert!(bare.contains("LOWER_UP") && !bare.contains("inet "), "{bare}");
    let status = node.json(&format!("kubectl get pod walker -o '{NETWORK_STATUS}'"));
    assert_eq!(
        (&status[1]["name"], &status[1]["interface"]),
        (&"default/a-bridge-network".into(), &"net1".into())
    );
}

/// The IPv4 address of a pod's NIC.
pub fn address(node: &Node, pod: &str, nic: &str) -> String {
    let line = node.sh(&format!("kubectl exec {pod} -- ip -4 -o address show dev {nic}"));
    let address = line.split_whitespace().nth(3).and_then(|address| address.split('/').next());
    address.unwrap_or_else(|| panic!("{nic} of {pod} has no address: {line}")).to_owned()
}

fn check_reach(node: &Node) {
    for (one, other) in [("blue-1", "blue-2"), ("tagged-1", "tagged-2")] {
        assert!(pings(node, one, &address(node, other, "net1")), "{one} does not reach {other}");
        assert!(pings(node, other, &address(node, one, "net1")), "{other} does not reach {one}");
    }
    check_isolation(node);
}

/// On layer 2, `blue-1` and `blue-2` have each other, `tagged-1` and `tagged-2` too, and nobody else.
pub fn check_isolation(node: &Node) {
    for (pod, address) in SHARED_SUBNET {
        node.sh(&format!("kubectl exec {pod} -- ip address add {address}/24 dev net1"));
    }
    for (pod, _) in SHARED_SUBNET {
        for (other, address) in SHARED_SUBNET.into_iter().filter(|(other, _)| *other != pod) {
            let same = pod.split('-').next() == other.split('-').next();
            assert_eq!(answers(node, pod, address), same, "{pod} asks for {other} on layer 2");
            if same {
                assert!(pings(node, pod, address), "{pod} does not reach {other}");
            }
        }
    }
}

fn pings(node: &Node, pod: &str, address: &str) -> bool {
    node.holds(&format!("kubectl exec {pod} -- ping -I net1 -c 2 -W 2 {address}"))
}

/// Whether an ARP request is answered.
fn answers(node: &Node, pod: &str, address: &str) -> bool {
    let output = node.run(&["kubectl", "exec", pod, "--", "arping", "-I", "net1", "-f", "-w", "1", address]);
    let text = String::from_utf8_lossy(&output.stdout);
    // Without this line the request was not sent.
    assert!(text.contains("Sent "), "{text}{}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

/// The pods of a verification end in the background, and their ports some moments later.
pub fn ports_of_ended_pods_go(node: &Node) {
    node.until(
        "the ports of ended pods go",
        r#"[[ -z $(kubectl get namespace kvnet-verify --ignore-not-found) ]]
           pods=$(kubectl get pods --all-namespaces -o jsonpath='{.items[*].metadata.uid}')
           ports=$(ovs-vsctl --bare --columns=external_ids list Port)
           for port in $(grep -o 'contPodUid=[0-9a-f-]*' <<<"$ports" || true); do
               [[ $pods == *${port#*=}* ]]
           done"#,
    );
}

/// The tag of the port of a pod's NIC on blue, as Open vSwitch prints it.
pub fn port_tag(node: &Node, pod: &str) -> String {
    let uid = node.sh(&format!("kubectl get pod {pod} -o jsonpath='{{.metadata.uid}}'"));
    let find = format!(
        "ovs-vsctl --bare --columns=name find Port external_ids:contPodUid={uid} external_ids:contIface=net1"
    );
    let port = node.sh(&find).trim().to_owned();
    assert!(!port.is_empty(), "{pod} has no port");
    assert_eq!(node.sh(&format!("ovs-vsctl br-to-parent $(ovs-vsctl port-to-br {port})")).trim(), "blue");
    node.sh(&format!("ovs-vsctl get port {port} tag")).trim().to_owned()
}
