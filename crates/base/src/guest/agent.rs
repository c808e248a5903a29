//! The guest agent's report, which KubeVirt keeps in the status of the virtual machine instance.

use std::net::IpAddr;

use serde_json::Value;

use super::{GuestNic, Link};

/// The NICs that the agent reports, by their names in the guest; none when no agent is connected.
pub fn nics(instance: &Value) -> Option<Vec<GuestNic>> {
    let conditions = instance.pointer("/status/conditions")?.as_array()?;
    let connected =
        |condition: &Value| condition["type"] == "AgentConnected" && condition["status"] == "True";
    conditions.iter().any(connected).then(|| {
        let interfaces = instance.pointer("/status/interfaces").and_then(Value::as_array);
        interfaces.into_iter().flatten().filter_map(nic).collect()
    })
}

fn nic(interface: &Value) -> Option<GuestNic> {
    // KubeVirt separates sources by commas: `domain, guest-agent, multus-status`.
    if !interface["infoSource"].as_str()?.contains("guest-agent") {
        return None;
    }
    let ips = interface["ipAddresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ips = ips.iter().filter_map(|ip| ip.as_str()?.split('/').next()?.parse::<IpAddr>().ok());
    let link = Link {
        mac: interface["mac"].as_str()?.to_ascii_lowercase(),
        mtu: 0,
        up: interface["linkState"] != "down",
        ips: ips.filter(|ip| !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())).collect(),
    };
    Some((interface["interfaceName"].as_str().unwrap_or_default().to_owned(), link))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_agent_itself_saw_counts() {
        let mut instance = json!({"status": {
            "conditions": [{"type": "AgentConnected", "status": "True"}],
            "interfaces": [
                {"name": "default", "mac": "02:00:00:00:00:01", "infoSource": "domain, guest-agent",
                    "interfaceName": "enp1s0", "ipAddresses": ["10.0.2.2", "fe80::1"]},
                {"name": "blue", "mac": "02:00:00:00:00:02", "infoSource": "domain, multus-status"},
            ],
        }});
        let found = nics(&instance).unwrap();
        assert_eq!((found.len(), found[0].0.as_str(), found[0].1.ips.len()), (1, "enp1s0", 1));
        instance["status"]["conditions"] = json!([]);
        assert_eq!(nics(&instance), None);
    }
}
