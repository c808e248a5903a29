//! What the package lists of the distributions offer, as far as kvnet asks for it, and what is installed from the start.

use serde_json::{Value, json};

use super::Distribution;
use super::seed::Seed;
use crate::sandbox::store::Transaction;

const KEYS: &str = "package/";

/// A package that can be installed.
#[derive(Debug)]
pub(super) struct Offer {
    /// Its name as the package manager lists it; Debian adds the architecture to some.
    pub(super) name: &'static str,
    /// Its version.
    pub(super) version: &'static str,
    /// The packages that it needs.
    pub(super) needs: &'static [&'static str],
    /// The files that it brings.
    pub(super) files: &'static [&'static str],
}

const fn library(name: &'static str, version: &'static str) -> Offer {
    Offer { name, version, needs: &[], files: &[] }
}

const SWITCH_FILES: &[&str] = &[
    "/usr/bin/ovs-vsctl",
    "/usr/bin/ovs-dpctl",
    "/usr/lib/openvswitch-switch/ovs-vswitchd",
    "/usr/lib/systemd/system/openvswitch-switch.service",
    "/usr/lib/systemd/system/ovs-record-hostname.service",
    "/usr/lib/systemd/system/ovs-vswitchd.service",
    "/usr/lib/systemd/system/ovsdb-server.service",
    "/etc/default/openvswitch-switch",
    "/etc/init.d/openvswitch-switch",
];
const COMMON_FILES: &[&str] =
    &["/usr/bin/ovs-appctl", "/usr/bin/ovs-ofctl", "/usr/bin/ovsdb-client", "/usr/sbin/ovsdb-server"];
/// One package with everything, as the others have it.
const WHOLE_FILES: &[&str] = &[
    "/usr/bin/ovs-vsctl",
    "/usr/bin/ovs-appctl",
    "/usr/bin/ovs-ofctl",
    "/usr/sbin/ovsdb-server",
    "/usr/sbin/ovs-vswitchd",
    "/usr/lib/systemd/system/openvswitch.service",
    "/usr/lib/systemd/system/ovs-vswitchd.service",
    "/usr/lib/systemd/system/ovsdb-server.service",
];

static DEBIAN: [Offer; 10] = [
    Offer {
        name: "openvswitch-switch",
        version: "3.1.0-2+deb12u1",
        needs: &["openvswitch-common", "python3-netifaces:amd64", "python3-openvswitch", "uuid-runtime"],
        files: SWITCH_FILES,
    },
    Offer {
        name: "openvswitch-common",
        version: "3.1.0-2+deb12u1",
        needs: &["libunbound8:amd64", "libxdp1:amd64"],
        files: COMMON_FILES,
    },
    Offer {
        name: "libunbound8:amd64",
        version: "1.17.1-2+deb12u3",
        needs: &["libevent-2.1-7:amd64"],
        files: &[],
    },
    library("libevent-2.1-7:amd64", "2.1.12-stable-8"),
    library("libxdp1:amd64", "1.3.1-1"),
    library("python3-netifaces:amd64", "0.11.0-2+b1"),
    Offer {
        name: "python3-openvswitch",
        version: "3.1.0-2+deb12u1",
        needs: &["python3-sortedcontainers"],
        files: &[],
    },
    library("python3-sortedcontainers", "2.4.0-2"),
    library("uuid-runtime", "2.38.1-5+deb12u3"),
    Offer { name: "containernetworking-plugins", version: "1.1.1+ds1-3+b4", needs: &[], files: LIB_PLUGINS },
];

static UBUNTU: [Offer; 8] = [
    Offer {
        name: "openvswitch-switch",
        version: "3.3.4-0ubuntu0.24.04.1",
        needs: &["openvswitch-common", "python3-openvswitch"],
        files: SWITCH_FILES,
    },
    Offer {
        name: "openvswitch-common",
        version: "3.3.4-0ubuntu0.24.04.1",
        needs: &["libunbound8:amd64", "libxdp1:amd64"],
        files: COMMON_FILES,
    },
    Offer {
        name: "libunbound8:amd64",
        version: "1.19.2-1ubuntu3.5",
        needs: &["libevent-2.1-7t64:amd64"],
        files: &[],
    },
    library("libevent-2.1-7t64:amd64", "2.1.12-stable-9ubuntu2"),
    library("libxdp1:amd64", "1.4.2-1ubuntu4"),
    Offer {
        name: "python3-openvswitch",
        version: "3.3.4-0ubuntu0.24.04.1",
        needs: &["python3-sortedcontainers"],
        files: &[],
    },
    library("python3-sortedcontainers", "2.4.0-2"),
    Offer {
        name: "containernetworking-plugins",
        version: "1.1.1+ds1-3ubuntu0.24.04.3",
        needs: &[],
        files: LIB_PLUGINS,
    },
];

static FEDORA: [Offer; 5] = [
    Offer {
        name: "openvswitch",
        version: "3.4.2-1.fc42",
        needs: &["libxdp", "numactl-libs", "unbound-libs"],
        files: WHOLE_FILES,
    },
    library("libxdp", "1.5.3-1.fc42"),
    library("numactl-libs", "2.0.19-2.fc42"),
    library("unbound-libs", "1.23.1-1.fc42"),
    Offer {
        name: "containernetworking-plugins",
        version: "1.6.2-1.fc42",
        needs: &[],
        files: LIBEXEC_PLUGINS,
    },
];

static OPENSUSE: [Offer; 4] = [
    Offer {
        name: "openvswitch",
        version: "3.1.0-150600.33.6.1",
        needs: &["libopenvswitch-3_1-0", "libunbound8"],
        files: WHOLE_FILES,
    },
    library("libopenvswitch-3_1-0", "3.1.0-150600.33.6.1"),
    library("libunbound8", "1.20.0-150600.23.6.1"),
    Offer { name: "cni-plugins", version: "1.1.1-150500.3.2.1", needs: &[], files: LIB_PLUGINS },
];

static ARCH: [Offer; 3] = [
    Offer {
        name: "openvswitch",
        version: "3.6.0-1",
        needs: &["unbound"],
        files: &[
            "/usr/bin/ovs-vsctl",
            "/usr/bin/ovs-appctl",
            "/usr/bin/ovs-ofctl",
            "/usr/bin/ovsdb-server",
            "/usr/bin/ovs-vswitchd",
            "/usr/lib/systemd/system/ovs-vswitchd.service",
            "/usr/lib/systemd/system/ovsdb-server.service",
        ],
    },
    library("unbound", "1.23.1-1"),
    Offer { name: "cni-plugins", version: "1.7.1-1", needs: &[], files: LIB_PLUGINS },
];

static ALPINE: [Offer; 4] = [
    Offer {
        name: "openvswitch",
        version: "2.17.11-r2",
        needs: &["openvswitch-openrc", "unbound-libs"],
        files: &[
            "/usr/bin/ovs-vsctl",
            "/usr/bin/ovs-appctl",
            "/usr/bin/ovs-ofctl",
            "/usr/sbin/ovsdb-server",
            "/usr/sbin/ovs-vswitchd",
        ],
    },
    Offer {
        name: "openvswitch-openrc",
        version: "2.17.11-r2",
        needs: &[],
        files: &["/etc/init.d/ovs-modules", "/etc/init.d/ovs-vswitchd", "/etc/init.d/ovsdb-server"],
    },
    library("unbound-libs", "1.23.1-r0"),
    Offer { name: "cni-plugins", version: "1.7.1-r5", needs: &[], files: LIBEXEC_PLUGINS },
];

const LIB_PLUGINS: &[&str] = &[
    "/usr/lib/cni/bandwidth",
    "/usr/lib/cni/bridge",
    "/usr/lib/cni/dhcp",
    "/usr/lib/cni/firewall",
    "/usr/lib/cni/host-device",
    "/usr/lib/cni/host-local",
    "/usr/lib/cni/ipvlan",
    "/usr/lib/cni/loopback",
    "/usr/lib/cni/macvlan",
    "/usr/lib/cni/portmap",
    "/usr/lib/cni/ptp",
    "/usr/lib/cni/sbr",
    "/usr/lib/cni/static",
    "/usr/lib/cni/tuning",
    "/usr/lib/cni/vlan",
    "/usr/lib/cni/vrf",
];
const LIBEXEC_PLUGINS: &[&str] = &[
    "/usr/libexec/cni/bandwidth",
    "/usr/libexec/cni/bridge",
    "/usr/libexec/cni/dhcp",
    "/usr/libexec/cni/firewall",
    "/usr/libexec/cni/host-device",
    "/usr/libexec/cni/host-local",
    "/usr/libexec/cni/ipvlan",
    "/usr/libexec/cni/loopback",
    "/usr/libexec/cni/macvlan",
    "/usr/libexec/cni/portmap",
    "/usr/libexec/cni/ptp",
    "/usr/libexec/cni/sbr",
    "/usr/libexec/cni/static",
    "/usr/libexec/cni/tuning",
    "/usr/libexec/cni/vlan",
    "/usr/libexec/cni/vrf",
];

/// What can be installed on a distribution.
pub(super) fn offers(distribution: Distribution) -> &'static [Offer] {
    match distribution {
        Distribution::Debian => &DEBIAN,
        Distribution::Ubuntu => &UBUNTU,
        Distribution::Fedora => &FEDORA,
        Distribution::OpenSuse => &OPENSUSE,
        Distribution::Arch => &ARCH,
        Distribution::Alpine => &ALPINE,
    }
}

/// Notes the packages that are there from the start.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed) {
    let base: &[&str] = match seed.distribution {
        Distribution::Debian | Distribution::Ubuntu => &[
            "apt",
            "base-files",
            "bash",
            "containerd.io",
            "coreutils",
            "cri-tools",
            "dpkg",
            "iproute2",
            "kmod",
            "kubeadm",
            "kubectl",
            "kubelet",
            "kubernetes-cni",
            "libc6:amd64",
            "netbase",
            "procps",
            "python3",
            "systemd",
        ],
        Distribution::Fedora => &[
            "bash",
            "coreutils",
            "cri-o",
            "cri-tools",
            "dnf5",
            "glibc",
            "iproute",
            "kmod",
            "kubeadm",
            "kubectl",
            "kubelet",
            "procps-ng",
            "rpm",
            "systemd",
        ],
        Distribution::OpenSuse => &[
            "bash",
            "coreutils",
            "cri-o",
            "cri-tools",
            "glibc",
            "iproute2",
            "kmod",
            "kubeadm",
            "kubectl",
            "kubelet",
            "procps",
            "rpm",
            "systemd",
            "zypper",
        ],
        Distribution::Arch => &[
            "bash",
            "containerd",
            "coreutils",
            "cri-tools",
            "glibc",
            "iproute2",
            "kmod",
            "kubeadm",
            "kubectl",
            "kubelet",
            "pacman",
            "procps-ng",
            "systemd",
        ],
        Distribution::Alpine => &[
            "alpine-base",
            "apk-tools",
            "busybox",
            "cni-plugins",
            "containerd",
            "cri-tools",
            "iproute2",
            "kmod",
            "kubeadm",
            "kubectl",
            "kubelet",
            "musl",
            "openrc",
        ],
    };
    for name in base.iter().filter(|name| seed.cni_plugins || **name != "cni-plugins") {
        note(transaction, name, "1.0", &[], &[]);
    }
}

/// The installed packages, by name.
pub(super) fn installed(transaction: &Transaction<'_>) -> Vec<String> {
    let keys = transaction.range(KEYS).map(|(key, _)| key);
    keys.filter_map(|key| key.strip_prefix(KEYS)).map(str::to_owned).collect()
}

/// Whether a package is installed.
pub(super) fn is_installed(transaction: &Transaction<'_>, name: &str) -> bool {
    transaction.value(&key(name)).is_some()
}

/// What a list of an installed package says: `needs` or `files`.
pub(super) fn listed(transaction: &Transaction<'_>, name: &str, list: &str) -> Vec<String> {
    let value = transaction.value(&key(name));
    let items = value.and_then(|value| value[list].as_array()).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Notes that a package is installed.
pub(super) fn note(
    transaction: &mut Transaction<'_>,
    name: &str,
    version: &str,
    needs: &[&str],
    files: &[&str],
) {
    transaction.put(&key(name), json!({"version": version, "needs": needs, "files": files}));
}

/// Notes that a package is not installed any more.
pub(super) fn forget(transaction: &mut Transaction<'_>, name: &str) {
    transaction.remove(&key(name));
}

fn key(name: &str) -> String {
    format!("{KEYS}{name}")
}
