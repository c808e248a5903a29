//! The profile: what a node should become. Every field is documented here; the JSON schema and the reference are made
//! from these comments. Lengths of time are whole seconds; sizes are Kubernetes quantities.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Taints to remove (effect NoSchedule) from every node, by key. The role labels stay.
    pub remove_taints: Vec<String>,
    /// Loads br_netfilter and sets the sysctls that pod networks need, also for the next boot.
    pub kernel: bool,
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
            cni_conf_dir: "auto".into(),
            cni_bin_dir: "auto".into(),
        }
    }
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
    /// Fields added to kubeadm's KubeletConfiguration.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub kubelet: serde_json::Map<String, serde_json::Value>,
    /// Fields added to kubeadm's KubeProxyConfiguration.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub kube_proxy: serde_json::Map<String, serde_json::Value>,
    /// Fields added to kubeadm's ClusterConfiguration.
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
    /// For `upstream` and `file`: the expected SHA-256 digest in hexadecimal; empty accepts the first download and pins it in the lock file.
    pub sha256: String,
    /// For `file`: the path, relative to the working directory.
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
    /// The namespace that its objects live in.
    pub namespace: String,
    /// How nodes reach each other's pods.
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
    /// The memory limit of its pods. Upstream's 50Mi gets it killed on a busy node.
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

/// The data path of an Open vSwitch bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// The kernel's: needs the module openvswitch.
    #[default]
    System,
    /// In user space: works on every kernel, slower.
    Netdev,
    /// The kernel's when its module can be had, user space otherwise.
    Auto,
}

/// Open vSwitch and its bridges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Ovs {
    /// Whether kvnet looks after Open vSwitch.
    pub enabled: bool,
    /// The distribution's package; `auto` knows apt, dnf, yum, zypper, pacman and apk.
    pub package: String,
    /// The service that runs it; `auto` knows the distributions.
    pub service: String,
    /// The data path of bridges that do not choose their own.
    pub datapath: Datapath,
    /// The bridges.
    pub bridges: Vec<Bridge>,
}

impl Default for Ovs {
    fn default() -> Self {
        Self {
            enabled: true,
            package: "auto".into(),
            service: "auto".into(),
            datapath: Datapath::Auto,
            bridges: Vec::new(),
        }
    }
}

/// An Open vSwitch bridge.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bridge {
    /// Its name: at most 15 characters.
    pub name: String,
    /// Its data path; by default that of `ovs.datapath`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datapath: Option<Datapath>,
    /// A network card of the node to connect to the bridge. One with an address or the default route is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<String>,
    /// VLAN bridges on it (`ovs-vsctl add-br NAME PARENT VLAN`), a convenience of the host.
    #[serde(default)]
    pub vlans: Vec<VlanBridge>,
}

/// A bridge that stands for one VLAN of its parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VlanBridge {
    /// Its name: at most 15 characters.
    pub name: String,
    /// The VLAN: 1 to 4094.
    pub vlan: u16,
}

/// The CNI plugin that connects pods to Open vSwitch bridges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OvsCni {
    /// Whether kvnet installs it.
    pub enabled: bool,
    /// The release, for example `v0.39.0`, or a commit. An image that no profile sets follows it. Before v0.7.0, and for
    /// commits, networks may also name VLAN bridges.
    pub version: String,
    /// The manifest.
    pub source: Source,
    /// The image.
    pub image: String,
}

impl Default for OvsCni {
    fn default() -> Self {
        Self {
            enabled: true,
            version: "v0.39.0".into(),
            source: Source::default(),
            image: "ghcr.io/k8snetworkplumbingwg/ovs-cni-plugin:v0.39.0".into(),
        }
    }
}

/// A network attachment: what a pod or VM names to get another NIC.
// serde's `deny_unknown_fields` would refuse `kind` itself here, because the flattened part borrows its fields. Loading
// checks against the schema, which refuses unknown fields for each kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// The name of the NetworkAttachmentDefinition.
    pub name: String,
    /// Its namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// What makes the NIC.
    #[serde(flatten)]
    pub kind: NetworkKind,
}

fn default_namespace() -> String {
    "default".into()
}

/// What makes the NIC of a network attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum NetworkKind {
    /// A port of an Open vSwitch bridge.
    Ovs {
        /// The bridge, by the name of a real bridge.
        bridge: String,
        /// The VLAN of the port: 1 to 4094; none means untagged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        vlan: Option<u16>,
        /// The MTU of the NIC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtu: Option<u16>,
        /// The address; none means layer 2 only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ipam: Option<Ipam>,
        /// The CNI version of the configuration.
        #[serde(default = "default_cni_version")]
        cni_version: String,
    },
    /// A port of a Linux bridge that the plugin makes by itself.
    Bridge {
        /// The bridge: at most 15 characters.
        bridge: String,
        /// Whether the bridge gets the subnet's gateway address.
        #[serde(default)]
        is_gateway: bool,
        /// The address; none means layer 2 only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ipam: Option<Ipam>,
        /// The CNI version of the configuration.
        #[serde(default = "default_cni_version")]
        cni_version: String,
    },
    /// A second NIC on the pod network.
    Flannel {
        /// Fields for the bridge plugin that flannel calls.
        #[serde(default)]
        #[schemars(with = "BTreeMap<String, serde_json::Value>")]
        delegate: serde_json::Map<String, serde_json::Value>,
        /// The CNI version of the configuration.
        #[serde(default = "default_cni_version")]
        cni_version: String,
    },
    /// Any CNI configuration, taken as it is.
    Raw {
        /// The configuration; must have `type` or `plugins`.
        #[schemars(with = "BTreeMap<String, serde_json::Value>")]
        config: serde_json::Map<String, serde_json::Value>,
    },
}

fn default_cni_version() -> String {
    "0.3.1".into()
}

/// Addresses from the plugin host-local.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Ipam {
    /// The subnet, in CIDR notation.
    pub subnet: String,
    /// The first address to give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_start: Option<String>,
    /// The last address to give out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range_end: Option<String>,
    /// The gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Where the plugin keeps its leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
}

/// Whether VMs run without hardware virtualisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Emulation {
    /// On when the node has no usable KVM.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// KubeVirt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KubeVirt {
    /// Whether kvnet installs it.
    pub enabled: bool,
    /// The release, for example `v1.9.0`. A manifest's address that no profile sets follows it. It also decides the API:
    /// v1alpha2 before v0.13.0, v1alpha3 before v0.37.0, then v1; no operator before v0.12.0; registryDisk before v0.11.0.
    pub version: String,
    /// The manifest of the operator, or of everything for releases before v0.12.0.
    pub source: Source,
    /// Software emulation.
    pub emulation: Emulation,
    /// How many copies of virt-api and virt-controller run; 0 leaves it to KubeVirt.
    pub infra_replicas: u8,
    /// The namespace that it lives in.
    pub namespace: String,
}

impl Default for KubeVirt {
    fn default() -> Self {
        Self {
            enabled: true,
            version: "v1.9.0".into(),
            source: Source {
                kind: SourceKind::Upstream,
                url: "https://github.com/kubevirt/kubevirt/releases/download/v1.9.0/kubevirt-operator.yaml"
                    .into(),
                ..Source::default()
            },
            emulation: Emulation::Auto,
            infra_replicas: 1,
            namespace: "kubevirt".into(),
        }
    }
}

/// How a VM's NIC is bound to its pod's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Behind the pod's address; only on the pod network.
    Masquerade,
    /// On the same layer 2 network.
    #[default]
    Bridge,
}

/// A sample virtual machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Vm {
    /// Whether kvnet creates it.
    pub enabled: bool,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// The image of its disk.
    pub image: String,
    /// Its memory.
    pub memory: String,
    /// Its NICs, in order; none leaves it to KubeVirt, which connects one to the pod network.
    pub interfaces: Vec<VmInterface>,
    /// Its cloud-init; the user data is kept in a Secret (kubevirt.io/v1) and never printed.
    pub cloud_init: CloudInit,
}

impl Default for Vm {
    fn default() -> Self {
        Self {
            enabled: true,
            name: "vm-two-nics".into(),
            namespace: "default".into(),
            image: "quay.io/containerdisks/fedora:43".into(),
            memory: "1024M".into(),
            interfaces: Vec::new(),
            cloud_init: CloudInit::default(),
        }
    }
}

/// A NIC of the virtual machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VmInterface {
    /// Its name within the VM.
    pub name: String,
    /// `pod` for the pod network, otherwise a network of the profile, as NAME or NAMESPACE/NAME.
    pub network: String,
    /// How it is bound.
    #[serde(default)]
    pub binding: Binding,
}

/// cloud-init of the virtual machine.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CloudInit {
    /// The user data: a script or `#cloud-config`.
    pub user_data: String,
    /// The network data, version 2.
    pub network_data: String,
}

impl std::fmt::Debug for CloudInit {
    /// User data holds passwords: it is never shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudInit").finish_non_exhaustive()
    }
}

/// How `up` proves that the networks work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Verification {
    /// Whether `up` starts pods that use every network and checks them.
    pub enabled: bool,
    /// The image of those pods; needs `sleep`, `ip` and `ping`.
    pub image: String,
    /// The namespace made for them.
    pub namespace: String,
}

impl Default for Verification {
    fn default() -> Self {
        Self {
            enabled: true,
            image: "docker.io/library/busybox:1.37.0".into(),
            namespace: "kvnet-verify".into(),
        }
    }
}

/// When the node pulls images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// When the node does not have them.
    #[default]
    IfNotPresent,
    /// At every start.
    Always,
    /// Never: they are already on the node.
    Never,
}

/// Where container images come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Images {
    /// When the node pulls them; applies to kvnet's own templates and the sample VM.
    pub pull_policy: PullPolicy,
    /// Replaces the start of image names, longest first: `ghcr.io: mirror.example:5000/ghcr`.
    pub rewrite: BTreeMap<String, String>,
}

impl Timeouts {
    /// The same time for every wait.
    pub fn all(&mut self, seconds: u64) {
        let Self { ready, kubevirt, vm, verification, package, kubeadm, download } = self;
        for timeout in [ready, kubevirt, vm, verification, package, kubeadm, download] {
            *timeout = seconds;
        }
    }
}

/// How long to wait, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// A DaemonSet, Deployment or CRD to become ready, image pulls included.
    pub ready: u64,
    /// KubeVirt to become available.
    pub kubevirt: u64,
    /// The sample VM to run.
    pub vm: u64,
    /// All verification pods to run and be checked.
    pub verification: u64,
    /// A package to install.
    pub package: u64,
    /// `kubeadm init`.
    pub kubeadm: u64,
    /// One download.
    pub download: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            ready: 300,
            kubevirt: 900,
            vm: 600,
            verification: 300,
            package: 600,
            kubeadm: 600,
            download: 60,
        }
    }
}
