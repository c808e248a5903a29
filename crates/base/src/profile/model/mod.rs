//! The profile: what a node should become. Every field is documented here; the JSON schema and the reference are made
//! from these comments. Lengths of time are whole seconds; sizes are Kubernetes quantities.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod networks;
mod whereabouts;
mod workloads;
mod written;

pub use networks::*;
pub use whereabouts::*;
pub use workloads::*;
pub use written::Written;

/// A whole profile after `extends` and `--set`. Sections that are left out take the documented defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Profile {
    /// The name shown in output; by default the file's name. Not inherited through `extends`.
    pub name: String,
    /// One line about what the profile is for. Not inherited through `extends`.
    pub description: String,
    /// The cluster and the node that carries it.
    pub cluster: Cluster,
    /// The pod network.
    pub flannel: Flannel,
    /// The meta plugin that gives pods more than one network.
    pub multus: Multus,
    /// The IPAM plugin that gives out addresses across the cluster.
    pub whereabouts: Whereabouts,
    /// Open vSwitch and its bridges.
    pub ovs: Ovs,
    /// The CNI plugin that connects pods to Open vSwitch bridges.
    pub ovs_cni: OvsCni,
    /// The network attachments that pods and VMs can ask for.
    pub networks: Vec<Network>,
    /// KubeVirt.
    pub kubevirt: KubeVirt,
    /// A sample virtual machine.
    pub vm: Vm,
    /// How `up` proves that the networks work.
    pub verification: Verification,
    /// Where container images come from.
    pub images: Images,
    /// How long to wait, in seconds.
    pub timeouts: Timeouts,
    /// Where the user wrote its values.
    #[serde(skip)]
    #[schemars(skip)]
    pub written: Written,
}

/// The cluster and the node that carries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Cluster {
    /// The cluster's pod addresses, in CIDR notation; must equal what the cluster was created with.
    pub pod_subnet: String,
    /// Creates the cluster when there is none.
    pub init: Init,
    /// Copies the administrator's kubeconfig to the user's home.
    pub kubeconfig: Kubeconfig,
    /// Taints to remove (effect `NoSchedule`) from every node, by key. The role labels stay.
    pub remove_taints: Vec<String>,
    /// Loads `br_netfilter` and sets the sysctls that pod networks need, also for the next boot.
    pub kernel: bool,
    /// On a cluster with several nodes: whether what kvnet starts may run on every node, or only on the one that kvnet runs
    /// on. kvnet creates bridges only there.
    pub placement: Placement,
    /// The runtime's CNI configuration directory; `auto` asks the runtime.
    pub cni_conf_dir: String,
    /// The runtime's CNI plugin directory; `auto` asks the runtime.
    pub cni_bin_dir: String,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            pod_subnet: "10.244.0.0/16".into(),
            init: Init::default(),
            kubeconfig: Kubeconfig::default(),
            remove_taints: vec![
                "node-role.kubernetes.io/control-plane".into(),
                "node-role.kubernetes.io/master".into(),
            ],
            kernel: true,
            placement: Placement::default(),
            cni_conf_dir: "auto".into(),
            cni_bin_dir: "auto".into(),
        }
    }
}

/// Where what kvnet starts may run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// On every schedulable node.
    #[default]
    Any,
    /// On the node that kvnet runs on: ovs-cni, the virtual machine, and the pods that verify.
    ThisNode,
}

/// `kubeadm init`, off by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Init {
    /// Runs `kubeadm init` on a node that has no cluster.
    pub enabled: bool,
    /// The Kubernetes version, for example `v1.34.4`; empty means the version of the installed kubeadm.
    pub kubernetes_version: String,
    /// The address that the API server announces; empty lets kubeadm choose.
    pub advertise_address: String,
    /// The node's name; empty means its host name.
    pub node_name: String,
    /// The container runtime's socket.
    pub cri_socket: String,
    /// Preflight checks of kubeadm that may fail, by kubeadm's names.
    pub ignore_preflight_errors: Vec<String>,
    /// Fields added to kubeadm's `KubeletConfiguration`.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub kubelet: serde_json::Map<String, serde_json::Value>,
    /// Fields added to kubeadm's `KubeProxyConfiguration`.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub kube_proxy: serde_json::Map<String, serde_json::Value>,
    /// Fields added to kubeadm's `ClusterConfiguration`.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub cluster_configuration: serde_json::Map<String, serde_json::Value>,
}

/// The copy of the administrator's kubeconfig.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Kubeconfig {
    /// Whether to copy it. A file of another cluster is never overwritten: its contexts stay and this one is added.
    pub copy: bool,
    /// The administrator's file that kubeadm wrote.
    pub source: String,
    /// Where to copy it; empty means `.kube/config` in the home directory of the user who runs kvnet.
    pub path: String,
}

impl Default for Kubeconfig {
    fn default() -> Self {
        Self { copy: true, source: "/etc/kubernetes/admin.conf".into(), path: String::new() }
    }
}

/// Where a component's manifests come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// kvnet's own templates: pinned images, tolerations that fit, right limits.
    #[default]
    Embedded,
    /// The component's own manifest at its release, downloaded and checked against its digest.
    Upstream,
    /// A file on the machine that runs kvnet.
    File,
}

/// A component's manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Source {
    /// Where it comes from.
    #[serde(rename = "from")]
    pub kind: SourceKind,
    /// For `upstream`: the address to download.
    pub url: String,
    /// For `upstream` and `file`: the expected SHA-256 digest in hexadecimal; empty takes the one that kvnet knows of that release, and else accepts the first download and pins it in the lock file.
    pub sha256: String,
    /// For `file`: the path, relative to the directory of the profile that names it.
    pub path: String,
}

/// The pod network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Flannel {
    /// Whether kvnet installs it; off when the cluster has another pod network.
    pub enabled: bool,
    /// The release, for example `v0.28.10`. Images that no profile sets follow it.
    pub version: String,
    /// The manifest.
    pub source: Source,
    /// The image of flanneld.
    pub image: String,
    /// The image that carries the flannel CNI plugin.
    pub cni_plugin_image: String,
    /// The namespace that its objects live in; a custom manifest decides it itself.
    pub namespace: String,
    /// How nodes reach each other's pods; when unset, a custom manifest decides.
    pub backend: FlannelBackend,
    /// The name of the CNI configuration file that it writes.
    pub conf_file: String,
}

impl Default for Flannel {
    fn default() -> Self {
        Self {
            enabled: true,
            version: "v0.28.10".into(),
            source: Source::default(),
            image: "ghcr.io/flannel-io/flannel:v0.28.10".into(),
            cni_plugin_image: "ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3".into(),
            namespace: "kube-flannel".into(),
            backend: FlannelBackend::Vxlan,
            conf_file: "10-flannel.conflist".into(),
        }
    }
}

/// How flannel carries traffic between nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FlannelBackend {
    /// VXLAN, UDP port 8472.
    #[default]
    Vxlan,
    /// Plain routes; all nodes on one layer 2 network.
    HostGw,
}

/// How Multus runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MultusFlavour {
    /// A daemon on each node does the work.
    #[default]
    Thick,
    /// A binary that the runtime calls does the work.
    Thin,
}

/// The meta plugin that gives pods more than one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Multus {
    /// Whether kvnet installs it.
    pub enabled: bool,
    /// The release, for example `v4.3.0`.
    pub version: String,
    /// Thick or thin.
    pub flavour: MultusFlavour,
    /// The manifest.
    pub source: Source,
    /// The image; empty means the release's image for the flavour.
    pub image: String,
    /// The memory limit of its pods. With upstream's 50Mi it gets OOM-killed on a busy node.
    pub memory_limit: String,
    /// The CNI configuration file that pods get their first NIC from; empty means flannel's.
    pub master_cni: String,
    /// The name that Multus' own configuration file must have to come first.
    pub conf_file: String,
}

impl Default for Multus {
    fn default() -> Self {
        Self {
            enabled: true,
            version: "v4.3.0".into(),
            flavour: MultusFlavour::Thick,
            source: Source::default(),
            image: String::new(),
            memory_limit: "300Mi".into(),
            master_cni: String::new(),
            conf_file: "00-multus.conf".into(),
        }
    }
}
