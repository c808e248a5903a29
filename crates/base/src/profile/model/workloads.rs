//! KubeVirt, the sample VM, the verification, images and time limits.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Source, SourceKind};

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
    /// Feature gates to enable. One that kvnet disables by default stays enabled when it is listed here.
    pub feature_gates: Vec<String>,
    /// Feature gates to disable, from v1.8.0. From v1.9.0, where Beta gates are on, kvnet also disables `ImageVolume`
    /// when a node that may run VMs has no image volumes, `ExternalNetResourceInjection`, which needs
    /// network-resources-injector, and `Template`, whose two pods VMs do not need.
    pub disabled_feature_gates: Vec<String>,
    /// Replicas of virt-api and virt-controller; 0 fits the cluster: one on a single node, KubeVirt's own
    /// number otherwise.
    pub infra_replicas: u8,
    /// Its namespace.
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
            feature_gates: Vec::new(),
            disabled_feature_gates: Vec::new(),
            infra_replicas: 0,
            namespace: "kubevirt".into(),
        }
    }
}

/// How a VM's NIC is bound to its pod's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Binding {
    /// Behind the pod's address; only on the pod network.
    Masquerade,
    /// On the same layer 2 network.
    Bridge,
}

/// When KubeVirt restarts a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunStrategy {
    /// Whenever it does not run.
    Always,
    /// When it has failed.
    RerunOnFailure,
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
    /// Makes it a `VirtualMachine` that KubeVirt restarts; without one it is a `VirtualMachineInstance`, which runs
    /// once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_strategy: Option<RunStrategy>,
    /// Its NICs, in order; none leaves it to KubeVirt, which connects one to the pod network.
    pub interfaces: Vec<VmInterface>,
    /// Its cloud-init; the user data is kept in a Secret (kubevirt.io/v1) and never printed.
    pub cloud_init: CloudInit,
    /// Who may log in; never printed. Without user data it becomes the user data, and the verification logs in with it
    /// on the serial console.
    pub login: Login,
}

impl Default for Vm {
    fn default() -> Self {
        Self {
            enabled: true,
            name: "vm-two-nics".into(),
            namespace: "default".into(),
            image: "quay.io/containerdisks/fedora:43".into(),
            memory: "1024M".into(),
            run_strategy: None,
            interfaces: Vec::new(),
            cloud_init: CloudInit::default(),
            login: Login::default(),
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
    /// How it is bound; by default `masquerade` on the pod network, and `bridge` on all others and before KubeVirt
    /// v0.12.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Its MAC address; without one it follows from the names of the VM and the NIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
}

/// cloud-init of the virtual machine.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CloudInit {
    /// The user data: a script or `#cloud-config`.
    pub user_data: String,
    /// The network data, version 1 or 2; the verification expects the addresses that it fixes. When it is empty, it names every NIC by its MAC address: those whose network gives
    /// addresses ask for one by DHCP, the others are only brought up.
    pub network_data: String,
}

impl std::fmt::Debug for CloudInit {
    /// User data holds passwords: it is never shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CloudInit").finish_non_exhaustive()
    }
}

/// A user of the virtual machine.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Login {
    /// The user's name; empty when the image has one that needs no changes.
    pub user: String,
    /// The password, for the serial console.
    pub password: String,
    /// SSH keys that may log in.
    pub ssh_keys: Vec<String>,
}

impl std::fmt::Debug for Login {
    /// Passwords and keys are never shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

/// How `up` proves that the networks work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Verification {
    /// Whether `up` starts pods that use every network and checks them.
    pub enabled: bool,
    /// The image of those pods; needs `sleep`, `ip`, `ping` and `arping`, and for `kvnet smoke` what docs/smoke.md lists.
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
    /// Replaces image name prefixes, longest first: `ghcr.io: mirror.example:5000/ghcr`.
    pub rewrite: BTreeMap<String, String>,
}

/// How long to wait, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Timeouts {
    /// A `DaemonSet`, Deployment or CRD to become ready, image pulls included.
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

impl Timeouts {
    /// The same time for every wait.
    pub fn all(&mut self, seconds: u64) {
        let Self { ready, kubevirt, vm, verification, package, kubeadm, download } = self;
        for timeout in [ready, kubevirt, vm, verification, package, kubeadm, download] {
            *timeout = seconds;
        }
    }
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
