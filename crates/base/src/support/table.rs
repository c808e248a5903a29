//! The lines of the table.

use serde::{Serialize, Serializer};

use super::Span;

/// Something with releases of its own, or that depends on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Kubernetes: the API server and the kubelets.
    Kubernetes,
    /// `KubeVirt`.
    KubeVirt,
    /// flannel's manifest.
    Flannel,
    /// Multus' manifest.
    Multus,
    /// The manifest of whereabouts.
    Whereabouts,
    /// The manifest of ovs-cni.
    OvsCni,
    /// The container runtime containerd.
    Containerd,
    /// The container runtime CRI-O.
    CriO,
    /// Volumes of the type `image` in pods, in which `KubeVirt` 1.9 has a VM's disk by default.
    ImageVolumes,
}

impl Part {
    /// Its name, for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "Kubernetes",
            Self::KubeVirt => "KubeVirt",
            Self::Flannel => "flannel",
            Self::Multus => "Multus",
            Self::Whereabouts => "whereabouts",
            Self::OvsCni => "ovs-cni",
            Self::Containerd => "containerd",
            Self::CriO => "CRI-O",
            Self::ImageVolumes => "image volumes",
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// What a line means for versions outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Says {
    /// The project does not support them; they may work.
    Supports,
    /// They cannot work.
    Needs,
}

/// One line: releases of a part, and what they need or support of another.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Whose releases.
    pub part: Part,
    /// Which ones.
    pub releases: Span,
    /// Whether that is needed or supported.
    pub says: Says,
    /// Of which other part.
    pub with: Part,
    /// Which versions of that.
    pub versions: Span,
    /// Where that is said.
    pub source: &'static str,
    /// When it was read: `2026-11-27`.
    pub read: &'static str,
}

const KUBEVIRT: &str = "https://github.com/kubevirt/sig-release/blob/main/releases/k8s-support-matrix.md";
const CONTAINERD: &str = "https://containerd.io/releases/#kubernetes-support";
const REMOVALS: &str = "https://kubernetes.io/docs/reference/using-api/deprecation-guide/";
const IMAGE_VOLUMES: &str = "https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/";
const CONTAINERD_IMAGE_VOLUMES: &str = "https://github.com/containerd/containerd/releases/tag/v2.1.0";
const MULTUS: &str = "https://github.com/k8snetworkplumbingwg/multus-cni/releases/tag/v3.6";
const WHEREABOUTS: &str = "https://github.com/k8snetworkplumbingwg/whereabouts/blob/v0.9.2/README.md";
const READ: &str = "2026-11-27";

/// All lines.
pub const TABLE: &[Row] = &[
    kubevirt(0, (25, 27)),
    kubevirt(1, (26, 28)),
    kubevirt(2, (27, 29)),
    kubevirt(3, (28, 30)),
    kubevirt(4, (29, 31)),
    kubevirt(5, (30, 32)),
    kubevirt(6, (31, 33)),
    kubevirt(7, (32, 34)),
    kubevirt(8, (33, 35)),
    kubevirt(9, (34, 36)),
    // Its definitions are apiextensions.k8s.io/v1beta1.
    needs(Part::KubeVirt, Span::until((0, 8)), Part::Kubernetes, Span::until((1, 21)), REMOVALS),
    // Their DaemonSets are extensions/v1beta1.
    needs(Part::Flannel, Span::until((0, 10)), Part::Kubernetes, Span::until((1, 15)), REMOVALS),
    needs(Part::Multus, Span::until((3, 1)), Part::Kubernetes, Span::until((1, 15)), REMOVALS),
    // Theirs are apps/v1.
    needs(Part::Flannel, Span::since((0, 28)), Part::Kubernetes, Span::since((1, 9)), REMOVALS),
    needs(Part::OvsCni, Span::since((0, 39)), Part::Kubernetes, Span::since((1, 9)), REMOVALS),
    // Its definition is apiextensions.k8s.io/v1.
    needs(Part::Multus, Span::since((3, 6)), Part::Kubernetes, Span::since((1, 16)), MULTUS),
    Row {
        read: "2026-11-28",
        ..needs(Part::Whereabouts, Span::since((0, 9)), Part::Kubernetes, Span::since((1, 16)), WHEREABOUTS)
    },
    // The runtime interface is v1 alone since Kubernetes 1.26, and v1alpha2 alone up to 1.22.
    needs(Part::Kubernetes, Span::since((1, 26)), Part::Containerd, Span::since((1, 6)), CONTAINERD),
    needs(Part::Kubernetes, Span::until((1, 22)), Part::Containerd, Span::until((1, 7)), CONTAINERD),
    needs(Part::ImageVolumes, ALL, Part::Kubernetes, Span::since((1, 35)), IMAGE_VOLUMES),
    needs(Part::ImageVolumes, ALL, Part::CriO, Span::since((1, 31)), IMAGE_VOLUMES),
    // 2.1 has them, and builds of 2.2 were without and mounted an empty directory.
    needs(Part::ImageVolumes, ALL, Part::Containerd, Span::since((2, 3)), CONTAINERD_IMAGE_VOLUMES),
];

const ALL: Span = Span { first: None, last: None };

/// A release 1.x of `KubeVirt` supports three versions of Kubernetes 1.x: those that are current when it is made.
const fn kubevirt(minor: u32, (first, last): (u32, u32)) -> Row {
    Row {
        part: Part::KubeVirt,
        releases: Span::between((1, minor), (1, minor)),
        says: Says::Supports,
        with: Part::Kubernetes,
        versions: Span::between((1, first), (1, last)),
        source: KUBEVIRT,
        read: READ,
    }
}

const fn needs(part: Part, releases: Span, with: Part, versions: Span, source: &'static str) -> Row {
    Row { part, releases, says: Says::Needs, with, versions, source, read: READ }
}
