//! What `kubeadm init` writes.

use super::{Runtime, Seed, directory, file};
use crate::store::Transaction;

/// Where the sandbox's API server would listen.
const SERVER: &str = "https://10.0.0.10:6443";
/// In place of keys and certificates, which a sandbox does not have: base64 of `not a key`.
const NO_KEY: &str = "bm90IGEga2V5";
const FLAGS: &str = "/var/lib/kubelet/kubeadm-flags.env";
const PROGRAMS: [&str; 4] = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"];

/// Makes the files; `name` is that of the Node object when it is to be another than the host's.
pub(in crate::node) fn plant(transaction: &mut Transaction<'_>, seed: &Seed, name: &str) {
    let own = seed.hostname.to_lowercase();
    let node = if name.is_empty() { own.clone() } else { name.to_lowercase() };
    let user = format!("system:node:{node}");
    for (name, user) in [
        ("admin", "kubernetes-admin"),
        ("controller-manager", "system:kube-controller-manager"),
        ("scheduler", "system:kube-scheduler"),
        ("kubelet", user.as_str()),
    ] {
        file(transaction, &format!("/etc/kubernetes/{name}.conf"), 0o600, &kubeconfig(user));
    }
    for name in PROGRAMS {
        let path = format!("/etc/kubernetes/manifests/{name}.yaml");
        file(transaction, &path, 0o600, &static_pod(name));
    }
    directory(transaction, "/etc/kubernetes/pki", 0o755);
    directory(transaction, "/var/lib/etcd/member", 0o700);
    let socket = match seed.runtime {
        Runtime::Containerd => "unix:///run/containerd/containerd.sock",
        Runtime::Crio => "unix:///run/crio/crio.sock",
    };
    file(transaction, "/var/lib/kubelet/config.yaml", 0o644, KUBELET);
    let renamed = if node == own { String::new() } else { format!(" --hostname-override={node}") };
    let flags = format!("KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint={socket}{renamed}\"\n");
    file(transaction, FLAGS, 0o644, &flags);
}

const KUBELET: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\ncgroupDriver: systemd\nclusterDNS:\n- 10.96.0.10\n\
    clusterDomain: cluster.local\nkind: KubeletConfiguration\nstaticPodPath: /etc/kubernetes/manifests\n";

fn kubeconfig(user: &str) -> String {
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {NO_KEY}\n    server: {SERVER}\n  \
         name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: {user}\n  \
         name: {user}@kubernetes\ncurrent-context: {user}@kubernetes\nkind: Config\npreferences: {{}}\nusers:\n\
         - name: {user}\n  user:\n    client-certificate-data: {NO_KEY}\n    client-key-data: {NO_KEY}\n"
    )
}

fn static_pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    component: {name}\n    tier: control-plane\n  name: {name}\n  \
         namespace: kube-system\nspec:\n  containers:\n  - command:\n    - {name}\n    image: {name}\n    name: {name}\n  \
         hostNetwork: true\n"
    )
}
