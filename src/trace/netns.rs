//! A pod's network interfaces, read from the node.

use std::net::IpAddr;

use camino::Utf8Path;
use serde_json::Value;

use crate::error::Result;
use crate::host::{Command, Host};

/// A network interface of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetLink {
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, `tun`; empty when the kernel does not say.
    pub kind: String,
    /// Its MAC address.
    pub mac: String,
    /// Its MTU.
    pub mtu: u64,
    /// Whether it is up and has a carrier: a tap has one while a VM holds it.
    pub up: bool,
    /// The bridge that it belongs to.
    pub master: Option<String>,
    /// Whether its ARP is off.
    pub silent: bool,
    /// Its addresses; none when not queried.
    pub addresses: Option<Vec<IpAddr>>,
}

/// The links in a pod's network namespace; none when the pod has no process on this node.
pub async fn links(host: &dyn Host, pod_uid: &str) -> Result<Option<Vec<NetLink>>> {
    let Some(process) = process_of(host, pod_uid).await? else { return Ok(None) };
    let target = format!("--target={process}");
    let command = Command::new(["nsenter", &target, "--net", "ip", "-json", "-details", "address", "show"]);
    let output = host.run(&command).await?.ok(&command)?;
    Ok(Some(parse(&output.stdout)))
}

/// A process of the pod: its cgroup has the pod's uid, where systemd's driver writes `_` for `-`.
pub async fn process_of(host: &dyn Host, pod_uid: &str) -> Result<Option<u32>> {
    let names = [format!("pod{pod_uid}"), format!("pod{}", pod_uid.replace('-', "_"))];
    let mut processes: Vec<u32> = host
        .list(Utf8Path::new("/proc"))
        .await?
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.parse().ok())
        .collect();
    // The pod in question is likely among the newest.
    processes.sort_unstable_by(|one, other| other.cmp(one));
    for process in processes {
        // A process may end between the list and the read.
        let cgroup = host.read(Utf8Path::new(&format!("/proc/{process}/cgroup"))).await.ok().flatten();
        let cgroup = String::from_utf8_lossy(&cgroup.unwrap_or_default()).into_owned();
        if names.iter().any(|name| cgroup.contains(name.as_str())) {
            return Ok(Some(process));
        }
    }
    Ok(None)
}

/// Parses `ip -json -details address show`, or `link show`.
fn parse(text: &str) -> Vec<NetLink> {
    let objects: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    objects.iter().filter_map(link).collect()
}

fn link(value: &Value) -> Option<NetLink> {
    let flags = value["flags"].as_array()?;
    let has = |flag: &str| flags.iter().any(|one| one == flag);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(NetLink {
        name: value["ifname"].as_str()?.to_owned(),
        kind: text(&value["linkinfo"]["info_kind"]),
        mac: text(&value["address"]),
        mtu: value["mtu"].as_u64().unwrap_or_default(),
        up: has("UP") && has("LOWER_UP"),
        master: value["master"].as_str().map(str::to_owned),
        silent: has("NOARP"),
        addresses: value["addr_info"].as_array().map(|all| all.iter().filter_map(address).collect()),
    })
}

fn address(info: &Value) -> Option<IpAddr> {
    info["local"].as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const PRINTED: &str = r#"[{"ifindex":2,"ifname":"eth0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,
        "address":"02:00:00:00:00:01","linkinfo":{"info_kind":"veth"}},
        {"ifindex":5,"ifname":"tap0","flags":["NO-CARRIER","BROADCAST","UP"],"mtu":1450,"master":"k6t-eth0",
        "address":"02:00:00:00:00:02","linkinfo":{"info_kind":"tun","info_data":{"type":"tap"}}}]"#;

    #[tokio::test]
    async fn the_pod_is_found_by_its_cgroup_with_either_driver() {
        for cgroup in
            ["4:pids:/kubepods/burstable/poda-b-c/0123", "0::/kubepods.slice/kubepods-poda_b_c.slice/x"]
        {
            let host = FakeHost::new()
                .file("/proc/7/cgroup", "0::/system.slice/ssh.service")
                .file("/proc/12/cgroup", cgroup)
                .file("/proc/uptime", "1")
                .prints(["nsenter", "--target=12", "--net", "ip"], PRINTED);
            let found = links(&host, "a-b-c").await.unwrap().unwrap();
            assert_eq!((found[0].kind.as_str(), found[0].up, found[0].mtu), ("veth", true, 1450));
            assert_eq!((found[1].up, found[1].master.as_deref()), (false, Some("k6t-eth0")));
            assert_eq!(links(&host, "d-e-f").await.unwrap(), None);
        }
    }
}
