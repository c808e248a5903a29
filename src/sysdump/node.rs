//! What the node says: links, routes, packet filters, Open vSwitch, CNI, kubelet and runtime.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Dump, all};
use crate::context::Context;
use crate::error::Result;
use crate::host::{Command, FileKind, Host};

/// The files of commands about the network, by name. A program that is not installed is listed as missing.
const OF_NETWORK: [(&str, &str); 22] = [
    ("links.txt", "ip -details -statistics link"),
    ("addresses.txt", "ip address"),
    ("routes.txt", "ip route show table all"),
    ("rules.txt", "ip rule"),
    ("neighbours.txt", "ip neighbour"),
    ("bridge-links.txt", "bridge -details link"),
    ("bridge-vlans.txt", "bridge vlan"),
    ("bridge-fdb.txt", "bridge fdb"),
    ("sockets.txt", "ss --listening --numeric --tcp --udp --processes"),
    ("nftables.txt", "nft list ruleset"),
    ("iptables.txt", "iptables-save"),
    ("sysctl-net.txt", "sysctl net.ipv4.ip_forward net.bridge net.ipv4.conf fs.inotify"),
    ("modules.txt", "lsmod"),
    ("ovs-show.txt", "ovs-vsctl --timeout=10 show"),
    ("ovs-config.txt", "ovs-vsctl --timeout=10 list Open_vSwitch"),
    ("ovs-bridges.txt", "ovs-vsctl --timeout=10 list Bridge"),
    ("ovs-ports.txt", "ovs-vsctl --timeout=10 list Port"),
    ("ovs-interfaces.txt", "ovs-vsctl --timeout=10 list Interface"),
    ("ovs-coverage.txt", "ovs-appctl --timeout=10 coverage/show"),
    ("ovs-datapath.txt", "ovs-appctl --timeout=10 dpif/show"),
    ("ovs-datapath-flows.txt", "ovs-appctl --timeout=10 dpctl/dump-flows"),
    (
        "ovs.log",
        "journalctl --no-pager --lines=1000 --unit=openvswitch-switch --unit=ovs-vswitchd --unit=openvswitch",
    ),
];
/// Those about the rest of the node.
const OF_MACHINE: [(&str, &str); 14] = [
    ("uname.txt", "uname --all"),
    ("uptime.txt", "uptime"),
    ("kernel.log", "dmesg --ctime"),
    ("kubelet.log", "journalctl --no-pager --lines=1000 --unit=kubelet"),
    ("runtime.log", "journalctl --no-pager --lines=1000 --unit=containerd --unit=crio"),
    ("units.txt", "systemctl --no-pager list-units --type=service --all"),
    ("failed-units.txt", "systemctl --no-pager --failed"),
    ("containers.txt", "crictl --timeout=10s ps --all"),
    ("sandboxes.txt", "crictl --timeout=10s pods"),
    ("images.txt", "crictl --timeout=10s images --digests"),
    ("runtime.txt", "crictl --timeout=10s info"),
    ("disks.txt", "df --human-readable"),
    ("memory.txt", "free --mebi"),
    ("processes.txt", "ps -eo pid,ppid,stat,etime,rss,comm"),
];
/// Files of the network, and directories with the files in them.
const NETWORK_FILES: [&str; 3] = ["/etc/cni/net.d", "/etc/cni/net.d/multus.d", "/run/flannel/subnet.env"];
/// Those of the rest of the node.
const MACHINE_FILES: [&str; 13] = [
    "/etc/os-release",
    "/etc/containerd/config.toml",
    "/etc/containerd/conf.d",
    "/etc/crio/crio.conf.d",
    "/var/lib/kubelet/config.yaml",
    "/etc/modules-load.d",
    "/etc/sysctl.d",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/proc/cmdline",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/var/log/openvswitch",
];
/// Directories with one directory a network.
const LEASES: &str = "/var/lib/cni/networks";
/// The runtime's directories of CNI plugins are only listed.
const LISTED: [&str; 4] =
    ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni", "/var/lib/kubelet/device-plugins"];

/// Adds everything of the node.
pub async fn collect(cx: &Context, dump: &Dump) {
    let host = cx.host.as_ref();
    tokio::join!(
        collect_network(cx, dump),
        ran(host, dump, &OF_MACHINE),
        all(MACHINE_FILES.into_iter().map(|path| files(host, dump, path.into()))),
        all(LISTED.into_iter().map(|directory| listed(host, dump, directory)))
    );
}

/// Adds what the node says about its network: links, routes, packet filters, Open vSwitch, CNI configuration, leases.
pub async fn collect_network(cx: &Context, dump: &Dump) {
    let host = cx.host.as_ref();
    let leases = host.list(LEASES.into()).await.ok().flatten().unwrap_or_default();
    let leases = leases.into_iter().map(|name| Utf8Path::new(LEASES).join(name));
    let own = [cx.facts.cni_conf_dir.clone()].into_iter();
    let paths = NETWORK_FILES.into_iter().map(Utf8PathBuf::from).chain(own).chain(leases);
    tokio::join!(
        ran(host, dump, &OF_NETWORK),
        all(paths.map(|path| files(host, dump, path))),
        flows(host, dump)
    );
}

async fn ran(host: &dyn Host, dump: &Dump, commands: &[(&str, &str)]) {
    let of = commands.iter().map(|(name, line)| async move {
        dump.file(&format!("node/{name}"), output(host, line)).await;
    });
    all(of).await;
}

async fn listed(host: &dyn Host, dump: &Dump, directory: &str) {
    let names = async { Ok(host.list(directory.into()).await?.unwrap_or_default().join("\n") + "\n") };
    dump.file(&format!("node/list{}.txt", directory.replace('/', "-")), names).await;
}

/// What a command of words without blanks prints, whatever its exit code.
async fn output(host: &dyn Host, line: &str) -> Result<String> {
    let command = Command::new(line.split(' '));
    let output = host.run(&command).await?;
    let failed = if output.success() { String::new() } else { format!("(exit code {})\n", output.status) };
    Ok(format!("{}{}{failed}", output.stdout, output.stderr))
}

/// The flows and ports of each bridge.
async fn flows(host: &dyn Host, dump: &Dump) {
    let bridges = output(host, "ovs-vsctl --timeout=10 list-br").await.unwrap_or_default();
    for bridge in bridges.lines().filter(|name| !name.contains([' ', '/', '('])) {
        for (what, command) in [("flows", "dump-flows"), ("ports", "show"), ("counters", "dump-ports")] {
            let line = format!("ovs-ofctl --timeout=10 {command} {bridge}");
            dump.file(&format!("node/ovs-{what}-{bridge}.txt"), output(host, &line)).await;
        }
        let line = format!("ovs-appctl --timeout=10 fdb/show {bridge}");
        dump.file(&format!("node/ovs-fdb-{bridge}.txt"), output(host, &line)).await;
    }
}

/// A file, or the files in a directory, under `node/files`.
async fn files(host: &dyn Host, dump: &Dump, path: Utf8PathBuf) {
    let name = |path: &Utf8Path| format!("node/files{path}");
    let Some(stat) = dump.part(&name(&path), host.stat(&path)).await.flatten() else { return };
    if stat.kind != FileKind::Directory {
        return file(host, dump, &path).await;
    }
    let names = dump.part(&name(&path), host.list(&path)).await.flatten().unwrap_or_default();
    for entry in names {
        let path = path.join(entry);
        let stat = dump.part(&name(&path), host.stat(&path)).await.flatten();
        if stat.is_some_and(|stat| stat.kind == FileKind::File) {
            file(host, dump, &path).await;
        }
    }
}

async fn file(host: &dyn Host, dump: &Dump, path: &Utf8Path) {
    let text = async {
        let content = host.read(path).await?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&content).into_owned())
    };
    dump.file(&format!("node/files{path}"), text).await;
}
