//! The walkthrough of 2018 on the Kubernetes of 2018, from `kubeadm init` to `down`.
//!
//! Real are Kubernetes 1.11.3 with its kubeadm and kubelet, containerd, Open vSwitch, and all that kvnet does. The manifests are
//! kvnet's stand-ins with the objects of that day's, the images today's components under the names of that day, and KubeVirt's
//! programs do nothing: no VM runs, so nothing is said about one.

use std::path::Path;
use std::process::Command;

use crate::default::AFTER_DOWN;
use crate::kvnet::Kvnet;
use crate::networks::{address, check_isolation, first_configuration, pod, port_tag, ports_of_ended_pods_go};
use crate::node::Node;
use crate::see::{self, Snapshot, Tolerated};

/// What the machine needs, as in the rig's own `node/kubeadm-2018.yaml`; the digests of the stand-ins; tags that do not move.
const PROFILE: &str = "\
extends: walkthrough-2018
cluster:
  init:
    enabled: true
    kubernetesVersion: v1.11.3
    criSocket: /run/containerd/containerd.sock
    ignorePreflightErrors: [SystemVerification, Hostname, Swap, NumCPU]
    kubelet:
      cgroupDriver: cgroupfs
      failSwapOn: false
      imageGCHighThresholdPercent: 100
      evictionHard: {memory.available: 100Mi, nodefs.available: 0%, imagefs.available: 0%}
    kubeProxy:
      conntrack: {maxPerCore: 0}
    clusterConfiguration:
      apiServerExtraArgs:
        audit-policy-file: /etc/kvnet-rig/audit-policy.yaml
        audit-log-path: /var/log/kubernetes/audit.log
      apiServerExtraVolumes:
        - {name: policy, hostPath: /etc/kvnet-rig/audit-policy.yaml, mountPath: /etc/kvnet-rig/audit-policy.yaml, pathType: File}
        - {name: log, hostPath: /var/log/kubernetes, mountPath: /var/log/kubernetes, writable: true, pathType: DirectoryOrCreate}
flannel: {source: {sha256: FLANNEL}}
multus: {source: {sha256: MULTUS}}
ovsCni: {source: {sha256: OVS_CNI}}
kubevirt: {source: {sha256: KUBEVIRT}}
images:
  rewrite:
    nfvpe/multus:latest: docker.io/nfvpe/multus:2018
    quay.io/kubevirt/ovs-cni-plugin:latest: quay.io/kubevirt/ovs-cni-plugin:2018
";
/// Where the profile looks for the manifests, and kvnet's own in their place.
const STAND_INS: [(&str, &str, &str); 3] = [
    (
        "FLANNEL",
        "raw.githubusercontent.com/coreos/flannel/v0.10.0/Documentation/kube-flannel.yml",
        include_str!("../../templates/sandbox/flannel-2018.yaml.tera"),
    ),
    (
        "MULTUS",
        "raw.githubusercontent.com/intel/multus-cni/v3.1/images/multus-daemonset.yml",
        include_str!("../../templates/sandbox/multus-2018.yaml.tera"),
    ),
    (
        "OVS_CNI",
        "raw.githubusercontent.com/kubevirt/ovs-cni/393d3ffa91a3d1f4ea326e233fac930f79aec751/examples/ovs-cni.yml",
        include_str!("../../templates/sandbox/ovs-cni-2018.yaml.tera"),
    ),
];
const KUBEVIRT: &str = "github.com/kubevirt/kubevirt/releases/download/v0.8.0/kubevirt.yaml";
const VM: &str = "kubectl get virtualmachineinstances vmi-multus-multiple-net -o json";
const MULTUS_POD: &str = "kubectl get pods --namespace kube-system --selector app=multus -o json";

pub fn story() {
    let node = Node::start_empty_with("walkthrough", &["--kubernetes", "v1.11.3"]);
    let mirror = tempfile::tempdir().expect("a directory");
    node.write("/root/2018.yaml", &stand_ins(&node, mirror.path()));
    node.mirror_of(mirror.path());
    let options = ["--profile", "/root/2018.yaml", "--mirror", "http://127.0.0.1:8099"];
    let fresh = cluster(&node, &options);
    // What is in the VM is not checked, because there is none.
    let of_pods = Kvnet::whole(&node, &[&options[..], &["--skip", "vm"]].concat());
    let kvnet = Kvnet::whole(&node, &[&options[..], &["--skip", "verification"]].concat());
    verified(&of_pods);
    kvnet.up();
    the_text(&node);
    kvnet.has_nothing_to_do();
    pods(&node);
    drift(&kvnet);
    kvnet.exits(0, &["doctor"]);
    down(&kvnet, &fresh);
}

/// Lays the manifests out as a mirror; the profile with their digests.
fn stand_ins(node: &Node, mirror: &Path) -> String {
    let rendered = Command::new(env!("CARGO_BIN_EXE_kvnet"))
        .args(["render", "--sandbox", "--profile", "walkthrough-2018", "--only", "kubevirt"])
        .output()
        .expect("kvnet runs");
    let kubevirt = String::from_utf8(rendered.stdout).expect("YAML");
    assert!(kubevirt.contains("virt-handler"), "{kubevirt}");
    let plain = |(name, path, template): (&'static str, &'static str, &str)| {
        (name, path, template.split_once("-#}\n").expect("a comment").1.to_owned())
    };
    let all = STAND_INS.map(plain).into_iter().chain([("KUBEVIRT", KUBEVIRT, kubevirt)]);
    all.fold(PROFILE.to_owned(), |profile, (name, path, text)| {
        let place = mirror.join(path);
        std::fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        std::fs::write(&place, &text).expect("written");
        node.write("/root/manifest.yaml", &text);
        let digest = node.sh("sha256sum /root/manifest.yaml");
        profile.replace(&format!("sha256: {name}}}"), &format!("sha256: {}}}", &digest[..64]))
    })
}

/// kvnet makes the cluster; what there is then.
fn cluster(node: &Node, options: &[&str]) -> Snapshot {
    Kvnet::whole(node, &[options, &["--only", "kubeadm-init"]].concat()).up();
    seen(node)
}

/// As the administrator, whose kubeconfig `down` takes away from root.
fn seen(node: &Node) -> Snapshot {
    node.sh("install -D --mode=600 /etc/kubernetes/admin.conf /root/.kube/config");
    node.until("pod addresses", "[ -n \"$(kubectl get nodes -o jsonpath='{.items[*].spec.podCIDR}')\" ]");
    let control_plane =
        "kubectl get pods --namespace kube-system --selector tier=control-plane --output name";
    node.until("the kubelet to show its own pods", &format!("[ $({control_plane} | wc -l) = 4 ]"));
    let snapshot = see::all(node);
    node.sh("rm /root/.kube/config");
    snapshot
}

/// kvnet's own pods on each network of the text.
fn verified(kvnet: &Kvnet) {
    kvnet.exits(3, &["plan"]);
    let told = kvnet.up().err;
    for check in [
        "a-bridge-network-1: net1 has an address in 192.168.5.0/24",
        "flannel-network-1: net1 has an address in 10.244.0.0/16",
        "ovs-blue-1: net1 has no address, an untagged port of blue",
        "ovs-blue100-1: net1 has no address, a port of blue with VLAN 100",
        "a-bridge-network-1 reaches a-bridge-network-2",
    ] {
        assert!(told.contains(&format!("check passed: {check}")), "`{check}` is not in\n{told}");
    }
    assert!(!told.contains("FAILED"), "{told}");
}

/// What the text has at its end, line by line.
fn the_text(node: &Node) {
    assert_eq!(node.sh("kubectl get nodes -o jsonpath='{.items[*].spec.taints}'"), "");
    assert_eq!(first_configuration(node), "00-multus.conf");
    assert!(!node.holds("test -e /etc/cni/net.d/70-multus.conf"), "it was renamed");
    assert_eq!(node.sh("ovs-vsctl br-to-parent blue100; ovs-vsctl br-to-vlan blue100"), "blue\n100\n");
    let networks =
        node.sh("kubectl get network-attachment-definitions -o jsonpath='{.items[*].metadata.name}'");
    assert_eq!(networks, "a-bridge-network flannel-network ovs-blue ovs-blue100");
    let vm = node.json(VM);
    assert_eq!(vm["apiVersion"], "kubevirt.io/v1alpha2");
    assert_eq!(vm["spec"]["networks"][1]["multus"]["networkName"], "ovs-blue");
    assert_eq!(vm["spec"]["domain"]["machine"]["type"], "q35", "a default of KubeVirt's own");
    // The profile's, not the manifest's.
    assert_eq!(multus(node), ("300Mi".into(), 1));
    node.say("taint gone, Multus first, VLAN 100 on blue, four networks, the VM's object");
}

/// The memory limit of Multus' pods, and how many there are.
fn multus(node: &Node) -> (String, usize) {
    let pods = node.json(MULTUS_POD);
    let limit = &pods["items"][0]["spec"]["containers"][0]["resources"]["limits"]["memory"];
    (limit.as_str().unwrap_or_default().to_owned(), pods["items"].as_array().map_or(0, Vec::len))
}

/// Pods of the story's own, on each network.
fn pods(node: &Node) {
    let pods = [
        ("walker", "a-bridge-network"),
        ("second", "flannel-network"),
        ("blue-1", "ovs-blue"),
        ("blue-2", "ovs-blue"),
        ("tagged-1", "ovs-blue100"),
        ("tagged-2", "ovs-blue100"),
    ];
    let names = pods.map(|(name, _)| name).join(" ");
    node.apply(&pods.map(|(name, network)| pod(name, network)).concat());
    for (name, _) in pods {
        node.sh(&format!("kubectl wait pod {name} --for=condition=Ready --timeout=120s"));
    }
    for (name, subnet) in [("walker", "192.168.5."), ("second", "10.244.")] {
        assert!(address(node, name, "net1").starts_with(subnet), "net1 of {name}");
    }
    check_isolation(node);
    for (name, tag) in [("blue-1", "[]"), ("blue-2", "[]"), ("tagged-1", "100"), ("tagged-2", "100")] {
        assert_eq!(port_tag(node, name), tag, "{name}");
    }
    node.sh(&format!("kubectl delete pod {names} --wait --timeout=60s"));
    ports_of_ended_pods_go(node);
    node.say("six pods on four networks; VLAN 100 reaches itself and nothing else");
}

/// A lost object is made again; what another manager changed is reported, and reverted on demand, down to the pod.
fn drift(kvnet: &Kvnet) {
    let node = kvnet.node;
    node.sh("kubectl delete clusterrole flannel");
    kvnet.corrects(&["create ClusterRole flannel"]);
    let limit = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/memory", "value": "60Mi"}]"#;
    let set = "daemonset --namespace kube-system kube-multus-ds-amd64";
    node.sh(&format!("kubectl patch {set} --type json --patch '{limit}'"));
    let refused = kvnet.exits(1, &["up", "--yes"]);
    assert!(refused.err.contains("limits.memory was changed by another client"), "{}", refused.err);
    let before = node.json(MULTUS_POD)["items"][0]["metadata"]["uid"].clone();
    let forced = kvnet.exits(0, &["up", "--yes", "--force-conflicts"]);
    // Pods of this group's DaemonSets are not replaced by themselves.
    assert!(forced.err.contains("delete Pod kube-system/kube-multus-ds-amd64-"), "{}", forced.err);
    assert_eq!(multus(node), ("300Mi".into(), 1));
    assert_ne!(node.json(MULTUS_POD)["items"][0]["metadata"]["uid"], before);
    kvnet.has_nothing_to_do();
}

fn down(kvnet: &Kvnet, fresh: &Snapshot) {
    let node = kvnet.node;
    let down = kvnet.exits(0, &["down", "--yes"]);
    assert!(down.err.contains("check passed: a pod starts"), "{}", down.err);
    let own = Tolerated { start: "file /etc/kubernetes/kvnet-kubeadm.yaml", reason: "kubeadm has read it" };
    fresh.must_equal(&seen(node), &[AFTER_DOWN, &[own]].concat());
    let links = "ip link show cni0 || ip link show flannel.1 || ip link show blue || ip link show br0";
    assert!(!node.holds(links), "links are left");
    assert!(node.holds("test -x /opt/cni/bin/flannel"), "the user's plugin stays");
    let again = kvnet.exits(0, &["down", "--yes"]);
    assert!(again.err.contains("nothing to do"), "{}", again.err);
    node.say("all as after `kubeadm init`");
}
