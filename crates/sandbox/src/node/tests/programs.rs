//! The programs of a node, without Open vSwitch.

use camino::Utf8Path;

use super::{failure, node, printed, run, seeded};
use crate::error::code;
use crate::formats::net;
use crate::host::{Command, Host};
use crate::node::{Distribution, NetworkLink, SandboxHost};
use crate::store::Store;

#[tokio::test]
async fn what_nobody_knows_fails_the_test() {
    let node = node(Distribution::Debian);
    for line in [
        "modprobe --remove x",
        "ip addr add 10.0.0.1 dev eth0",
        "apt-get autoremove",
        "kubeadm reset",
        "kubelet",
    ] {
        let error = node.run(&Command::new(line.split(' '))).await.unwrap_err();
        assert_eq!(error.code(), &code::INTERNAL, "{line}");
    }
    for absent in ["dnf", "rc-service", "ovs-vsctl", "sh"] {
        let error = node.run(&Command::new([absent])).await.unwrap_err();
        assert_eq!(error.code(), &code::HOST_TOOL_MISSING);
    }
    assert_eq!(node.commands().len(), 9);
}

#[tokio::test]
async fn programs_are_found_on_the_path_alone() {
    let node = node(Distribution::Debian);
    assert_eq!(node.find("sysctl").await.unwrap().unwrap(), "/usr/sbin/sysctl");
    for absent in ["", "passwd", "../etc/passwd", "ovs-vsctl"] {
        assert_eq!(node.find(absent).await.unwrap(), None, "{absent}");
    }
    node.put_file("/usr/local/bin/tool", b"", 0o644).unwrap();
    assert_eq!(node.find("tool").await.unwrap(), None, "nobody may execute it");
}

#[tokio::test]
async fn a_module_brings_its_settings() {
    let node = node(Distribution::Debian);
    let setting = "net.bridge.bridge-nf-call-iptables=1";
    assert_eq!(failure(&node, &format!("sysctl -w {setting}")).await.0, 1);
    printed(&node, "modprobe --dry-run br_netfilter").await;
    assert!(!node.text("/proc/modules").unwrap().unwrap().contains("br_netfilter"));
    printed(&node, "modprobe br_netfilter").await;
    assert!(node.text("/proc/modules").unwrap().unwrap().starts_with("br_netfilter "));
    assert!(node.status("/sys/module/bridge").unwrap().is_some(), "it needs bridge");
    assert_eq!(
        printed(&node, &format!("sysctl -w {setting}")).await,
        "net.bridge.bridge-nf-call-iptables = 1\n"
    );
    let (status, said) = failure(&node, "modprobe no_such").await;
    assert_eq!(
        (status, said.as_str()),
        (1, "modprobe: FATAL: Module no_such not found in directory /lib/modules/6.1.0-38-amd64")
    );
}

#[tokio::test]
async fn links_are_listed_and_deleted() {
    let node = node(Distribution::Debian);
    let text = printed(&node, "ip -j addr").await;
    let links = net::links(&text);
    let names: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["lo", "eth0", "eth1"]);
    assert_eq!((links[1].up, links[1].addresses[0].as_str(), links[2].up), (true, "10.0.0.10", false));
    assert_eq!(net::default_route_nics(&printed(&node, "ip -j route").await), ["eth0"]);
    printed(&node, "ip link set eth1 up").await;
    assert!(net::links(&printed(&node, "ip -j addr").await)[2].up);
    let bridge = NetworkLink { name: "cni0".into(), kind: "bridge".into(), ..NetworkLink::default() };
    node.put_network_link(&bridge).unwrap();
    assert!(node.text("/proc/net/dev").unwrap().unwrap().contains("  cni0:"));
    printed(&node, "ip link delete cni0").await;
    assert!(!node.text("/proc/net/dev").unwrap().unwrap().contains("cni0"));
    assert_eq!(failure(&node, "ip link delete cni0").await, (1, "Cannot find device \"cni0\"".into()));
    assert_eq!(failure(&node, "ip link delete eth0").await.0, 2);
}

#[tokio::test]
async fn files_are_moved_and_directories_removed() {
    let node = node(Distribution::Debian);
    node.put_file("/etc/x.kvnet-saved", b"old", 0o600).unwrap();
    node.put_file("/etc/x", b"new", 0o600).unwrap();
    printed(&node, "mv -- /etc/x.kvnet-saved /etc/x").await;
    assert_eq!(node.text("/etc/x").unwrap().unwrap(), "old");
    let (status, said) = failure(&node, "mv -- /etc/absent /etc/x").await;
    assert_eq!((status, said.as_str()), (1, "mv: cannot stat '/etc/absent': No such file or directory"));
    node.put_file("/etc/d/f", b"", 0o600).unwrap();
    printed(&node, "rmdir --ignore-fail-on-non-empty /etc/d").await;
    assert!(node.status("/etc/d").unwrap().is_some());
    node.remove_file("/etc/d/f").unwrap();
    printed(&node, "rmdir --ignore-fail-on-non-empty /etc/d").await;
    assert!(node.status("/etc/d").unwrap().is_none());
    assert_eq!(failure(&node, "rmdir --ignore-fail-on-non-empty /etc/d").await.0, 1);
}

#[tokio::test]
async fn kubeadm_makes_its_files_once() {
    let node = seeded(|seed| seed.cluster = false);
    assert!(node.status("/etc/kubernetes/admin.conf").unwrap().is_none());
    assert_eq!(printed(&node, "kubeadm version -o short").await, "v1.34.4\n");
    let init = "kubeadm init --config /etc/kubernetes/k.yaml";
    assert!(failure(&node, init).await.1.starts_with("unable to read config"));
    node.put_file(
        "/etc/kubernetes/k.yaml",
        b"---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n",
        0o600,
    )
    .unwrap();
    let output = run(&node, init).await;
    assert!(output.stderr.contains("ip_forward contents are not set to 1"), "{output:?}");
    printed(&node, "sysctl -w net.ipv4.ip_forward=1").await;
    assert!(printed(&node, init).await.contains("initialized successfully"));
    assert!(
        node.text("/etc/kubernetes/admin.conf").unwrap().unwrap().contains("kubernetes-admin@kubernetes")
    );
    let output = run(&node, init).await;
    assert!(
        output.stderr.contains("[ERROR FileAvailable--etc-kubernetes-manifests-etcd.yaml]"),
        "{output:?}"
    );
}

#[tokio::test]
async fn who_is_not_root_changes_nothing() {
    let node = SandboxHost::new(Store::in_memory(), Distribution::Debian, 1000).unwrap();
    let before = node.packages().unwrap();
    for (line, status) in [
        ("apt-get install --yes openvswitch-switch", 100),
        ("apt-get update", 100),
        ("dpkg --purge bash", 2),
        ("modprobe br_netfilter", 1),
        ("sysctl -w net.ipv4.ip_forward=0", 1),
        ("ip link set eth1 up", 2),
        ("mv -- /etc/passwd /etc/p", 1),
        ("rmdir --ignore-fail-on-non-empty /opt/cni/bin", 0),
    ] {
        assert_eq!(run(&node, line).await.status, status, "{line}");
    }
    assert_eq!(node.packages().unwrap(), before);
    assert_eq!(node.text(Utf8Path::new("/proc/sys/net/ipv4/ip_forward")).unwrap().unwrap(), "1\n");
    assert!(node.status("/opt/cni/bin").unwrap().is_some());
}

#[tokio::test]
async fn services_answer_as_theirs_do() {
    let node = super::switch().await;
    assert_eq!(printed(&node, "systemctl is-enabled openvswitch-switch").await, "enabled\n");
    assert_eq!(printed(&node, "systemctl is-enabled ovs-vswitchd").await, "static\n");
    assert_eq!(printed(&node, "systemctl is-active ovs-vswitchd.service").await, "active\n");
    printed(&node, "systemctl stop openvswitch-switch").await;
    assert_eq!(run(&node, "systemctl is-active ovs-vswitchd").await.status, 3);
    assert_eq!(failure(&node, "systemctl start absent").await.0, 5);
    assert_eq!(run(&node, "systemctl is-enabled absent").await.status, 1);
}
