//! The packages that distributions offer, as far as kvnet asks for them.

use super::Offer;

const fn plugins(name: &'static str, version: &'static str, directory: &'static str) -> Offer {
    Offer { name, version, needs: &[], files: &[], plugins: Some(directory) }
}

const fn library(name: &'static str, version: &'static str) -> Offer {
    package(name, version, &[], &[])
}

type Names = &'static [&'static str];

const fn package(name: &'static str, version: &'static str, needs: Names, files: Names) -> Offer {
    Offer { name, version, needs, files, plugins: None }
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
    package(
        "openvswitch-switch",
        "3.1.0-2+deb12u1",
        &["openvswitch-common", "python3-netifaces:amd64", "python3-openvswitch", "uuid-runtime"],
        SWITCH_FILES,
    ),
    package("openvswitch-common", "3.1.0-2+deb12u1", &["libunbound8:amd64", "libxdp1:amd64"], COMMON_FILES),
    package("libunbound8:amd64", "1.17.1-2+deb12u3", &["libevent-2.1-7:amd64"], &[]),
    library("libevent-2.1-7:amd64", "2.1.12-stable-8"),
    library("libxdp1:amd64", "1.3.1-1"),
    library("python3-netifaces:amd64", "0.11.0-2+b1"),
    package("python3-openvswitch", "3.1.0-2+deb12u1", &["python3-sortedcontainers"], &[]),
    library("python3-sortedcontainers", "2.4.0-2"),
    library("uuid-runtime", "2.38.1-5+deb12u3"),
    plugins("containernetworking-plugins", "1.1.1+ds1-3+b4", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static UBUNTU: [Offer; 8] = [
    package(
        "openvswitch-switch",
        "3.3.4-0ubuntu0.24.04.1",
        &["openvswitch-common", "python3-openvswitch"],
        SWITCH_FILES,
    ),
    package(
        "openvswitch-common",
        "3.3.4-0ubuntu0.24.04.1",
        &["libunbound8:amd64", "libxdp1:amd64"],
        COMMON_FILES,
    ),
    package("libunbound8:amd64", "1.19.2-1ubuntu3.5", &["libevent-2.1-7t64:amd64"], &[]),
    library("libevent-2.1-7t64:amd64", "2.1.12-stable-9ubuntu2"),
    library("libxdp1:amd64", "1.4.2-1ubuntu4"),
    package("python3-openvswitch", "3.3.4-0ubuntu0.24.04.1", &["python3-sortedcontainers"], &[]),
    library("python3-sortedcontainers", "2.4.0-2"),
    plugins("containernetworking-plugins", "1.1.1+ds1-3ubuntu0.24.04.3", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static FEDORA: [Offer; 5] = [
    package("openvswitch", "3.4.2-1.fc42", &["libxdp", "numactl-libs", "unbound-libs"], WHOLE_FILES),
    library("libxdp", "1.5.3-1.fc42"),
    library("numactl-libs", "2.0.19-2.fc42"),
    library("unbound-libs", "1.23.1-1.fc42"),
    plugins("containernetworking-plugins", "1.6.2-1.fc42", "/usr/libexec/cni"),
];

/// This distribution's packages.
pub(super) static OPENSUSE: [Offer; 4] = [
    package("openvswitch", "3.1.0-150600.33.6.1", &["libopenvswitch-3_1-0", "libunbound8"], WHOLE_FILES),
    library("libopenvswitch-3_1-0", "3.1.0-150600.33.6.1"),
    library("libunbound8", "1.20.0-150600.23.6.1"),
    plugins("cni-plugins", "1.1.1-150500.3.2.1", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static ARCH: [Offer; 3] = [
    package(
        "openvswitch",
        "3.6.0-1",
        &["unbound"],
        &[
            "/usr/bin/ovs-vsctl",
            "/usr/bin/ovs-appctl",
            "/usr/bin/ovs-ofctl",
            "/usr/bin/ovsdb-server",
            "/usr/bin/ovs-vswitchd",
            "/usr/lib/systemd/system/ovs-vswitchd.service",
            "/usr/lib/systemd/system/ovsdb-server.service",
        ],
    ),
    library("unbound", "1.23.1-1"),
    plugins("cni-plugins", "1.7.1-1", "/usr/lib/cni"),
];

/// This distribution's packages.
pub(super) static ALPINE: [Offer; 4] = [
    package(
        "openvswitch",
        "2.17.11-r2",
        &["openvswitch-openrc", "unbound-libs"],
        &[
            "/usr/bin/ovs-vsctl",
            "/usr/bin/ovs-appctl",
            "/usr/bin/ovs-ofctl",
            "/usr/sbin/ovsdb-server",
            "/usr/sbin/ovs-vswitchd",
        ],
    ),
    package(
        "openvswitch-openrc",
        "2.17.11-r2",
        &[],
        &["/etc/init.d/ovs-modules", "/etc/init.d/ovs-vswitchd", "/etc/init.d/ovsdb-server"],
    ),
    library("unbound-libs", "1.23.1-r0"),
    plugins("cni-plugins", "1.7.1-r5", "/usr/libexec/cni"),
];
