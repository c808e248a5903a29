//! The system without Kubernetes: directories, programs, what the kernel shows, users.

use super::{Seed, directory, file, link, program, special};
use crate::node::{Distribution, NetworkLink, catalogue, kernel, links};
use crate::store::Transaction;

/// Directories with their modes.
const DIRECTORIES: [(&str, u32); 18] = [
    ("/etc/modules-load.d", 0o755),
    ("/etc/sysctl.d", 0o755),
    ("/etc/cni/net.d", 0o755),
    ("/opt/cni/bin", 0o755),
    ("/home", 0o755),
    ("/root", 0o700),
    ("/run", 0o755),
    ("/tmp", 0o1777),
    ("/var/tmp", 0o1777),
    ("/var/lib", 0o755),
    ("/usr/bin", 0o755),
    ("/usr/sbin", 0o755),
    ("/usr/lib", 0o755),
    ("/usr/local/bin", 0o755),
    ("/usr/local/sbin", 0o755),
    ("/proc", 0o555),
    ("/sys/class/net", 0o755),
    ("/dev/net", 0o755),
];
/// Programs of every distribution.
const PROGRAMS: [&str; 8] = [
    "/usr/bin/uname",
    "/usr/bin/mv",
    "/usr/bin/rmdir",
    "/usr/bin/kubeadm",
    "/usr/bin/kubelet",
    "/usr/bin/kubectl",
    "/usr/sbin/modprobe",
    "/usr/sbin/sysctl",
];
const CPU: &str = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R)\n\
    flags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov sse sse2 ht syscall nx lm";
const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
    23 22 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n\
    24 22 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n\
    25 22 0:24 / /run rw,nosuid,nodev shared:5 - tmpfs tmpfs rw,mode=755\n";

/// Makes it; `user` is who kvnet is to be.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed, user: u32) {
    tree(transaction, seed.distribution);
    release(transaction, seed.distribution);
    programs(transaction, seed.distribution);
    users(transaction, user);
    kernel_files(transaction, seed, user);
    network(transaction);
    catalogue::plant(transaction, seed);
}

fn tree(transaction: &mut Transaction<'_>, distribution: Distribution) {
    for (path, mode) in DIRECTORIES {
        directory(transaction, path, mode);
    }
    link(transaction, "/var/run", "/run");
    // Leap and Alpine have not merged these directories into /usr.
    if matches!(distribution, Distribution::OpenSuse | Distribution::Alpine) {
        for path in ["/bin", "/sbin", "/lib"] {
            directory(transaction, path, 0o755);
        }
    } else {
        for name in ["bin", "sbin", "lib"] {
            link(transaction, &format!("/{name}"), &format!("usr/{name}"));
        }
    }
    let manager = if distribution.has_systemd() { "/run/systemd/system" } else { "/etc/runlevels/default" };
    directory(transaction, manager, 0o755);
}

fn release(transaction: &mut Transaction<'_>, distribution: Distribution) {
    let text = match distribution {
        Distribution::Debian => include_str!("os-release/debian"),
        Distribution::Ubuntu => include_str!("os-release/ubuntu"),
        Distribution::Fedora => include_str!("os-release/fedora"),
        Distribution::OpenSuse => include_str!("os-release/opensuse"),
        Distribution::Arch => include_str!("os-release/arch"),
        Distribution::Alpine => include_str!("os-release/alpine"),
    };
    file(transaction, "/usr/lib/os-release", 0o644, text);
    link(transaction, "/etc/os-release", "../usr/lib/os-release");
}

fn programs(transaction: &mut Transaction<'_>, distribution: Distribution) {
    let own: &[&str] = match distribution {
        Distribution::Debian | Distribution::Ubuntu => {
            &["/usr/bin/apt-get", "/usr/bin/dpkg", "/usr/bin/dpkg-query", "/usr/bin/systemctl", "/usr/bin/ip"]
        }
        Distribution::Fedora => {
            &["/usr/bin/dnf", "/usr/bin/yum", "/usr/bin/rpm", "/usr/bin/systemctl", "/usr/sbin/ip"]
        }
        Distribution::OpenSuse => &["/usr/bin/zypper", "/usr/bin/rpm", "/usr/bin/systemctl", "/usr/sbin/ip"],
        Distribution::Arch => &["/usr/bin/pacman", "/usr/bin/systemctl", "/usr/bin/ip"],
        Distribution::Alpine => &["/sbin/apk", "/sbin/rc-service", "/sbin/rc-update", "/sbin/ip"],
    };
    for path in PROGRAMS.iter().chain(own) {
        program(transaction, path);
    }
}

fn users(transaction: &mut Transaction<'_>, user: u32) {
    let mut text = "root:x:0:0:root:/root:/bin/sh\n".to_owned();
    if user != 0 {
        text.push_str(&format!("admin:x:{user}:{user}:admin:/home/admin:/bin/sh\n"));
        super::put(
            transaction,
            "/home/admin",
            &super::Entry { content: super::Content::Directory, mode: 0o755, uid: user },
        );
    }
    file(transaction, "/etc/passwd", 0o644, &text);
}

/// The sandbox is one machine, whatever it is called.
const MACHINE_ID: &str = "5a9db0c0de5a9db0c0de5a9db0c0de00";

fn kernel_files(transaction: &mut Transaction<'_>, seed: &Seed, user: u32) {
    let home = if user == 0 { "/root" } else { "/home/admin" };
    let flags = if seed.kvm { " vmx" } else { "" };
    for (path, text) in [
        ("/proc/sys/kernel/hostname", format!("{}\n", seed.hostname)),
        ("/etc/hostname", format!("{}\n", seed.hostname)),
        ("/etc/machine-id", format!("{MACHINE_ID}\n")),
        ("/proc/sys/kernel/arch", "x86_64\n".to_owned()),
        ("/proc/sys/kernel/ostype", "Linux\n".to_owned()),
        ("/proc/sys/kernel/osrelease", format!("{}\n", kernel_release(seed.distribution))),
        // kubeadm's checks want it, so who made the cluster has set it.
        ("/proc/sys/net/ipv4/ip_forward", format!("{}\n", u8::from(seed.cluster))),
        ("/proc/cpuinfo", format!("{CPU}{flags}\n\n")),
        ("/proc/self/environ", format!("HOME={home}\0PATH=/usr/sbin:/usr/bin\0")),
        ("/proc/self/mountinfo", MOUNTS.to_owned()),
    ] {
        file(transaction, path, 0o644, &text);
    }
    kernel::plant(transaction, seed);
    special(transaction, "/dev/net/tun", 0o666);
    if seed.kvm {
        special(transaction, "/dev/kvm", 0o660);
    }
}

fn kernel_release(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Debian => "6.1.0-38-amd64",
        Distribution::Ubuntu => "6.8.0-71-generic",
        Distribution::Fedora => "6.15.10-200.fc42.x86_64",
        Distribution::OpenSuse => "6.4.0-150600.23.60-default",
        Distribution::Arch => "6.16.0-arch2-1",
        Distribution::Alpine => "6.12.40-0-lts",
    }
}

/// A NIC with the node's traffic, and a free one.
fn network(transaction: &mut Transaction<'_>) {
    let card = |name: &str, mac: &str| NetworkLink {
        name: name.into(),
        kind: "ether".into(),
        mtu: 1500,
        mac: mac.into(),
        ..NetworkLink::default()
    };
    let loopback = NetworkLink {
        name: "lo".into(),
        kind: "loopback".into(),
        up: true,
        addresses: vec!["127.0.0.1/8".into()],
        mtu: 65536,
        mac: "00:00:00:00:00:00".into(),
        ..NetworkLink::default()
    };
    let busy = NetworkLink {
        up: true,
        addresses: vec!["10.0.0.10/24".into()],
        gateway: Some("10.0.0.1".into()),
        ..card("eth0", "52:54:00:00:00:10")
    };
    for link in [loopback, busy, card("eth1", "52:54:00:00:00:11")] {
        links::put(transaction, &link);
    }
}
