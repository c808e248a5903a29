//! What the profile's networks need on the node and kvnet does not create: links to build on, unmanaged bridges.

use camino::Utf8Path;
use serde_json::Value;

use crate::context::Context;
use crate::error::Result;
use crate::facts::ovs::OvsState;
use crate::formats::cni::{NetConf, Plugin};
use crate::host::Command;

/// The socket of the dhcp plugin's daemon.
const DHCP: &str = "/run/cni/dhcp.sock";

/// What is missing or does not fit on this node, one sentence each; none outside the cluster.
pub(super) async fn warnings(cx: &Context) -> Result<Vec<String>> {
    let all: Vec<(&str, NetConf)> =
        cx.profile.networks.iter().map(|network| (network.name.as_str(), network.netconf())).collect();
    let plugins: Vec<(&str, &Plugin)> =
        all.iter().flat_map(|(name, conf)| conf.plugins.iter().map(move |it| (*name, it))).collect();
    let has_master = plugins.iter().any(|(_, plugin)| plugin.master.is_some());
    let by_dhcp = all.iter().find(|(_, conf)| conf.ipam().is_some_and(|ipam| ipam.kind == "dhcp"));
    let has_foreign = !cx.profile.ovs.enabled && all.iter().any(|(_, conf)| conf.port().is_some());
    if !(has_master || has_foreign || by_dhcp.is_some()) || cx.this_node().await.is_none() {
        return Ok(Vec::new());
    }
    let mut warnings = Vec::new();
    if let Some((name, _)) = by_dhcp
        && cx.host.stat(Utf8Path::new(DHCP)).await?.is_none()
    {
        warnings.push(format!(
            "network {name} uses DHCP, but the dhcp plugin's daemon is not listening at {DHCP}: its pods will not start"
        ));
    }
    if has_master && let Some(links) = links(cx).await? {
        warnings.extend(plugins.iter().filter_map(|(name, plugin)| below(name, plugin, &links)));
    }
    if has_foreign && cx.host.find("ovs-vsctl").await?.is_some() {
        let state = OvsState::read(cx.host.as_ref()).await.unwrap_or_default();
        let ports = all.iter().filter_map(|(name, conf)| Some((name, conf.port()?.bridge)));
        let lacking = ports.filter(|(_, it)| state.bridge(it).is_none() && state.vlan_bridge(it).is_none());
        warnings.extend(lacking.map(|(name, bridge)| {
            format!("network {name} uses bridge {bridge}, which does not exist and nothing creates: its pods will not start")
        }));
    }
    Ok(warnings)
}

/// The links of the node with their MTUs; none without `ip`.
async fn links(cx: &Context) -> Result<Option<Vec<(String, u64)>>> {
    if cx.host.find("ip").await?.is_none() {
        return Ok(None);
    }
    let command = Command::new(["ip", "-j", "addr"]);
    let printed = cx.host.run(&command).await?.ok(&command)?.stdout;
    let all: Vec<Value> = serde_json::from_str(&printed).unwrap_or_default();
    let link = |link: &Value| Some((link["ifname"].as_str()?.to_owned(), link["mtu"].as_u64()?));
    Ok(Some(all.iter().filter_map(link).collect()))
}

fn below(name: &str, plugin: &Plugin, links: &[(String, u64)]) -> Option<String> {
    let (_, master) = plugin.master.as_ref()?;
    let (kind, Some((_, most))) = (&plugin.kind, links.iter().find(|(link, _)| link == master)) else {
        let kind = &plugin.kind;
        return Some(format!(
            "network {name} builds on {master} ({kind}), but this node has no such link: its pods will not start here"
        ));
    };
    let mtu = plugin.mtu.filter(|mtu| u64::from(*mtu) > *most && kind != "host-device")?;
    Some(format!(
        "network {name} asks for MTU {mtu}, but its master {master} has {most}: its pods will not start here"
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_link_that_is_not_there_or_too_small_is_named() {
        let links = [("eth0".to_owned(), 1500)];
        let said = |config: Value| {
            let conf = NetConf::read(config.as_object().unwrap());
            below("lan", &conf.plugins[0], &links).unwrap_or_default()
        };
        assert!(said(json!({"type": "macvlan", "master": "eth9"})).contains("builds on eth9 (macvlan)"));
        let large = said(json!({"type": "vlan", "master": "eth0", "vlanId": 7, "mtu": 9000}));
        assert_eq!(
            large,
            "network lan asks for MTU 9000, but its master eth0 has 1500: its pods will not start here"
        );
        for fits in [
            json!({"type": "macvlan", "master": "eth0", "mtu": 1500}),
            json!({"type": "macvlan"}),
            json!({"type": "ovs", "bridge": "b", "mtu": 9000}),
        ] {
            assert_eq!(said(fits), "");
        }
    }
}
