//! The packages that distributions offer, as far as kvnet asks for them.

use super::Offer;

const fn plugins(name: &'static str, version: &'static str, directory: &'static str) -> Offer {
    Offer { name, version, needs: &[], files: &[], plugins: Some(directory) }
}

const fn library(name: &'static str, version: &'static str) -> Offer {
    Offer { name, version, needs: &[], files: &[], plugins: None }
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

/// This distribution's packages.
pub(super) static DEBIAN: [Offer; 10] = [
    Offer {
        name: "openvswitch-switch",
        version: "3.1.0-2+deb12u1",
        needs: &["openvswitch-common", "python3-netifaces:amd64", "python3-openvswitch", "uuid-runtime"],
        files: SWITCH_FILES,
        plugins: None,
    },
    Offer {
        name: "openvswitch-common",
        version: "3.1.0-2+deb12u1",
        needs: &["libunbound8:amd64", "libxdp1:amd64"],
        files: COMMON_FILES,
        plugins: None,
    },
    Offer {
        name: "libunbound8:amd64",
        version: "1.17.1-2+deb12u3",
        needs: &["libevent-2.1-7:amd64"],
        files: &[],
        plugins: None,
    },
    library("libevent-2.1-7:amd64", "2.1.12-stable-8"),
    library("libxdp1:amd64", "1.3.1-1"),
    library("python3-netifaces:amd64", "0.11.0-2+b1"),
    Offer {
        name: "python3-openvswitch",
        version: "3.1.0-2+deb12u1",
        needs: &["python3-sortedcontainers"],
        files: &[],
        plugins: None,
    },
    library("python3-sortedcontainers", "2.4.0-2"),
    library("uuid-runtime", "2.38.1-5+deb12u3"),
    plugins("containernetworking-plugins", "1.1.1+ds1-3+b4", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static UBUNTU: [Offer; 8] = [
    Offer {
        name: "openvswitch-switch",
        version: "3.3.4-0ubuntu0.24.04.1",
        needs: &["openvswitch-common", "python3-openvswitch"],
        files: SWITCH_FILES,
        plugins: None,
    },
    Offer {
        name: "openvswitch-common",
        version: "3.3.4-0ubuntu0.24.04.1",
        needs: &["libunbound8:amd64", "libxdp1:amd64"],
        files: COMMON_FILES,
        plugins: None,
    },
    Offer {
        name: "libunbound8:amd64",
        version: "1.19.2-1ubuntu3.5",
        needs: &["libevent-2.1-7t64:amd64"],
        files: &[],
        plugins: None,
    },
    library("libevent-2.1-7t64:amd64", "2.1.12-stable-9ubuntu2"),
    library("libxdp1:amd64", "1.4.2-1ubuntu4"),
    Offer {
        name: "python3-openvswitch",
        version: "3.3.4-0ubuntu0.24.04.1",
        needs: &["python3-sortedcontainers"],
        files: &[],
        plugins: None,
    },
    library("python3-sortedcontainers", "2.4.0-2"),
    plugins("containernetworking-plugins", "1.1.1+ds1-3ubuntu0.24.04.3", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static FEDORA: [Offer; 5] = [
    Offer {
        name: "openvswitch",
        version: "3.4.2-1.fc42",
        needs: &["libxdp", "numactl-libs", "unbound-libs"],
        files: WHOLE_FILES,
        plugins: None,
    },
    library("libxdp", "1.5.3-1.fc42"),
    library("numactl-libs", "2.0.19-2.fc42"),
    library("unbound-libs", "1.23.1-1.fc42"),
    plugins("containernetworking-plugins", "1.6.2-1.fc42", "/usr/libexec/cni"),
];

/// This distribution's packages.
pub(super) static OPENSUSE: [Offer; 4] = [
    Offer {
        name: "openvswitch",
        version: "3.1.0-150600.33.6.1",
        needs: &["libopenvswitch-3_1-0", "libunbound8"],
        files: WHOLE_FILES,
        plugins: None,
    },
    library("libopenvswitch-3_1-0", "3.1.0-150600.33.6.1"),
    library("libunbound8", "1.20.0-150600.23.6.1"),
    plugins("cni-plugins", "1.1.1-150500.3.2.1", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static ARCH: [Offer; 3] = [
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
        plugins: None,
    },
    library("unbound", "1.23.1-1"),
    plugins("cni-plugins", "1.7.1-1", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static ALPINE: [Offer; 4] = [
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
        plugins: None,
    },
    Offer {
        name: "openvswitch-openrc",
        version: "2.17.11-r2",
        needs: &[],
        files: &["/etc/init.d/ovs-modules", "/etc/init.d/ovs-vswitchd", "/etc/init.d/ovsdb-server"],
        plugins: None,
    },
    library("unbound-libs", "1.23.1-r0"),
    plugins("cni-plugins", "1.7.1-r5", "/usr/libexec/cni"),
];
