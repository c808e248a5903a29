//! A pod's network interfaces, read from the node.

use camino::Utf8Path;

use crate::error::Result;
use crate::facts::routes::{Wire, wires};
use crate::host::{Command, Host};

/// The links in a pod's network namespace; none when the pod has no process on this node.
pub async fn links(host: &dyn Host, pod_uid: &str) -> Result<Option<Vec<Wire>>> {
    let Some(process) = process_of(host, pod_uid).await? else { return Ok(None) };
    let target = format!("--target={process}");
    let command = Command::new(["nsenter", &target, "--net", "ip", "-json", "-details", "address", "show"]);
    let output = host.run(&command).await?.ok(&command)?;
    Ok(Some(wires(&output.stdout)))
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
            assert_eq!((found[0].kind.as_str(), found[0].is_up(), found[0].mtu), ("veth", true, 1450));
            assert_eq!((found[1].is_up(), found[1].master.as_deref()), (false, Some("k6t-eth0")));
            assert_eq!(links(&host, "d-e-f").await.unwrap(), None);
        }
    }
}
