//! The bridges of Open vSwitch, the VLAN bridges on them, and their uplinks.

mod bonds;
mod loops;
mod plan;

use async_trait::async_trait;

use self::plan::{Cards, WantedBridge};
use super::ovs_package::is_running;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::facts::gather::{exists, text};
use crate::facts::os::module_loaded;
use crate::facts::ovs::{Joins, OvsState, list_command};
use crate::formats::net;
use crate::host::{Command, Host};
use crate::profile::{Datapath, Profile};

const MODULE: &str = "openvswitch";

const ABOUT: About = About {
    id: "ovs-bridges",
    title: "Open vSwitch bridges",
    requires: &["ovs-package"],
    reach: Reach::Node,
};

/// Creates the profile's bridges; other bridges are left alone.
pub struct OvsBridges;

#[async_trait]
impl Step for OvsBridges {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.ovs.enabled && !cx.profile.ovs.bridges.is_empty()
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let (host, profile) = (cx.host.as_ref(), &cx.profile);
        let state = state(host).await?;
        let kernel_datapath = !asks_kernel(profile, &state) || has_kernel_datapath(host).await?;
        let uplinks = profile.ovs.bridges.iter().any(|bridge| bridge.uplink.is_some());
        let cards = if uplinks { Some(cards(host).await?) } else { None };
        let joins = if uplinks && !state.bridges.is_empty() { joins(host).await? } else { Joins::default() };
        let mut findings = Findings::default();
        for bridge in &profile.ovs.bridges {
            let bridge = WantedBridge::new(bridge, profile.ovs.datapath, kernel_datapath);
            plan::bridge(&bridge, &state, cards.as_ref(), &mut findings)?;
        }
        for text in bonds::uncarried(profile, &state) {
            findings.warn(text);
        }
        if let Some(cards) = &cards {
            let segments = loops::Segments { profile, state: &state, cards, joins: &joins };
            for text in loops::warnings(&segments) {
                findings.warn(text);
            }
        }
        Ok(findings)
    }

    /// A bridge with foreign ports is not deleted, just as `up` does not move one.
    async fn keeps(&self, cx: &Context, change: &Change) -> Result<Option<String>> {
        let Change::Run { command, .. } = change else { return Ok(None) };
        let Some(name) = plan::deleted_bridge(command) else { return Ok(None) };
        let state = state(cx.host.as_ref()).await?;
        let foreign = plan::foreign_ports(&state, name);
        Ok((!foreign.is_empty())
            .then(|| format!("bridge {name} stays: in use by port {}", foreign.join(", "))))
    }

    /// `add-br` succeeds even when the switch could not set the bridge up; only the Interface table shows it.
    async fn verify(&self, cx: &Context) -> Result<()> {
        let state = state(cx.host.as_ref()).await?;
        for bridge in &cx.profile.ovs.bridges {
            let Some(found) = state.bridge(&bridge.name) else {
                return Err(Error::new(&code::OVS_BRIDGE, format!("bridge {} does not exist", bridge.name)));
            };
            if let Some(error) = found.error() {
                return Err(broken(&bridge.name, found.datapath(), error));
            }
        }
        Ok(())
    }
}

fn broken(name: &str, datapath: &str, cause: &str) -> Error {
    let message = format!("Open vSwitch could not set up bridge {name} with datapath {datapath}");
    let error = Error::new(&code::OVS_BRIDGE, message).because(cause);
    if datapath == "system" {
        return error.hint("load the kernel module openvswitch, or set `ovs.datapath: netdev`");
    }
    error.hint("look at the log of ovs-vswitchd; the netdev datapath needs /dev/net/tun")
}

/// Empty while Open vSwitch does not run.
async fn state(host: &dyn Host) -> Result<OvsState> {
    if host.find("ovs-vsctl").await?.is_none() || !is_running(host).await? {
        return Ok(OvsState::default());
    }
    let command = list_command();
    let output = host.run(&command).await?.ok(&command);
    let output = output
        .map_err(|error| Error::new(&code::OVS_UNAVAILABLE, "Open vSwitch does not answer").because(error))?;
    OvsState::parse(&output.stdout)
}

/// Whether a bridge's datapath depends on the kernel: it is `auto`, and the bridge does not work yet.
fn asks_kernel(profile: &Profile, state: &OvsState) -> bool {
    profile.ovs.bridges.iter().any(|bridge| {
        let works = state.bridge(&bridge.name).is_some_and(|found| found.error().is_none());
        bridge.datapath.unwrap_or(profile.ovs.datapath) == Datapath::Auto && !works
    })
}

async fn has_kernel_datapath(host: &dyn Host) -> Result<bool> {
    let modules = text(host, "/proc/modules").await?.unwrap_or_default();
    if module_loaded(&modules, MODULE) || exists(host, format!("/sys/module/{MODULE}")).await? {
        return Ok(true);
    }
    if host.find("modprobe").await?.is_none() {
        return Ok(false);
    }
    Ok(host.run(&Command::new(["modprobe", "--dry-run", MODULE])).await?.success())
}

/// A switch that cannot tell is skipped: it only costs a warning.
async fn joins(host: &dyn Host) -> Result<Joins> {
    let printed = host.run(&Joins::command()).await?;
    Ok(if printed.success() { Joins::parse(&printed.stdout) } else { Joins::default() })
}

async fn cards(host: &dyn Host) -> Result<Cards> {
    let (addresses, routes) = (Command::new(["ip", "-j", "addr"]), Command::new(["ip", "-j", "route"]));
    let links = net::links(&host.run(&addresses).await?.ok(&addresses)?.stdout);
    let defaults = net::default_route_nics(&host.run(&routes).await?.ok(&routes)?.stdout);
    Ok(Cards { links, routed: defaults })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::change::Change;
    use crate::host::fake::FakeHost;
    use crate::profile::{Bridge, VlanBridge};
    use crate::steps::ovs_package::tests::running;
    use crate::steps::testing::{find, lines};

    /// Bridge blue with the VLAN bridge blue100, and red with an error.
    const PRINTED: &str = r#"{"data":[["blue",["set",[["uuid","p1"],["uuid","p3"]]],"netdev",["map",[]]],["red",["uuid","p2"],"",["map",[["kvnet","true"]]]]],"headings":["name","ports","datapath_type","external_ids"]}
{"data":[[["uuid","p1"],"blue",["set",[]],false,["uuid","i1"]],[["uuid","p2"],"red",["set",[]],false,["uuid","i2"]],[["uuid","p3"],"blue100",100,true,["uuid","i3"]]],"headings":["_uuid","name","tag","fake_bridge","interfaces"]}
{"data":[[["uuid","i2"],"red","internal","could not add network device red"],[["uuid","i1"],"blue","internal",["set",[]]]],"headings":["_uuid","name","type","error"]}
"#;

    fn profile(
        name: &str,
        datapath: Option<Datapath>,
        uplink: Option<&str>,
        vlans: &[(&str, u16)],
    ) -> Profile {
        let mut profile = Profile::default();
        profile.ovs.bridges = vec![Bridge {
            name: name.into(),
            datapath,
            uplink: uplink.map(Into::into),
            vlans: vlans
                .iter()
                .map(|(name, vlan)| VlanBridge { name: (*name).into(), vlan: *vlan })
                .collect(),
        }];
        profile
    }

    fn switch() -> FakeHost {
        running().prints(["ovs-vsctl", "--timeout=10", "--format=json"], PRINTED)
    }

    #[tokio::test]
    async fn a_node_without_the_switch_gets_everything() {
        let host = FakeHost::new().fails(["modprobe"], 1, "");
        let findings =
            find(OvsBridges, host, profile("blue", None, None, &[("blue100", 100)])).await.unwrap();
        assert_eq!(
            lines(&findings),
            [
                "ovs-vsctl --timeout=30 -- --may-exist add-br blue -- set bridge blue datapath_type=netdev \
                 -- br-set-external-id blue kvnet true",
                "ovs-vsctl --timeout=30 -- --may-exist add-br blue100 blue 100 \
                 -- br-set-external-id blue100 kvnet true",
            ]
        );
        let Change::Run { undo: Some(undo), .. } = &findings.changes[0] else { panic!("no undo") };
        assert_eq!(undo.display(), "ovs-vsctl --timeout=30 --if-exists del-br blue");
    }

    #[tokio::test]
    async fn the_kernel_datapath_is_used_when_it_is_available() {
        let host = FakeHost::new().file("/proc/modules", "openvswitch 1 0 - Live 0x0\n");
        let findings = find(OvsBridges, host, profile("blue", None, None, &[])).await.unwrap();
        assert_eq!(
            lines(&findings),
            ["ovs-vsctl --timeout=30 -- --may-exist add-br blue -- br-set-external-id blue kvnet true"]
        );
    }

    #[tokio::test]
    async fn what_is_there_is_adopted() {
        let findings =
            find(OvsBridges, switch(), profile("blue", None, None, &[("blue100", 100)])).await.unwrap();
        assert!(findings.changes.is_empty());
        assert_eq!(findings.notes[0].text, "bridge blue is pre-existing and stays");
    }

    #[tokio::test]
    async fn a_changed_vlan_is_corrected_in_place() {
        let findings =
            find(OvsBridges, switch(), profile("blue", None, None, &[("blue100", 200)])).await.unwrap();
        let Change::Run { purpose, before, command, undo } = &findings.changes[0] else {
            panic!("no command")
        };
        assert_eq!(purpose, "change VLAN bridge blue100 to VLAN 200 on blue");
        assert_eq!(before.as_deref(), Some("VLAN 100 on blue"));
        assert_eq!(command.display(), "ovs-vsctl --timeout=30 set port blue100 tag=200");
        assert_eq!(undo.as_ref().unwrap().display(), "ovs-vsctl --timeout=30 set port blue100 tag=100");
    }

    #[tokio::test]
    async fn names_that_mean_something_else_are_refused() {
        for (profile, part) in [
            (profile("blue100", None, None, &[]), "is already a VLAN bridge"),
            (profile("red", None, None, &[("blue", 5)]), "is a real bridge"),
            (profile("blue", None, None, &[("other", 100)]), "already has VLAN bridge blue100"),
            (profile("blue", Some(Datapath::System), None, &[("blue100", 100)]), "has other ports"),
        ] {
            let host = switch().fails(["modprobe"], 1, "");
            let error = find(OvsBridges, host, profile).await.unwrap_err();
            assert_eq!(error.code(), &code::OVS_BRIDGE);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[tokio::test]
    async fn a_broken_bridge_gets_the_datapath_that_works() {
        let host = switch().fails(["modprobe"], 1, "");
        let findings = find(OvsBridges, host, profile("red", None, None, &[])).await.unwrap();
        assert_eq!(lines(&findings), ["ovs-vsctl --timeout=30 set bridge red datapath_type=netdev"]);
    }

    #[tokio::test]
    async fn an_uplink_with_the_nodes_traffic_is_refused() {
        let cards = r#"[{"ifname":"eth0","addr_info":[{"local":"10.0.0.2"}]},{"ifname":"eth1","addr_info":[]},
            {"ifname":"eth2","addr_info":[],"master":"br0"}]"#;
        let find = |uplink: &'static str| {
            let host = switch().prints(["ip", "-j", "addr"], cards);
            let host = host.prints(["ip", "-j", "route"], r#"[{"dst":"default","dev":"eth0"}]"#);
            find(OvsBridges, host, profile("blue", None, Some(uplink), &[]))
        };
        for uplink in ["eth0", "eth2", "eth9"] {
            assert_eq!(find(uplink).await.unwrap_err().code(), &code::OVS_UPLINK, "{uplink}");
        }
        assert_eq!(
            lines(&find("eth1").await.unwrap()),
            [
                "ovs-vsctl --timeout=30 -- --may-exist add-port blue eth1 -- set port eth1 external_ids:kvnet=true",
                "ip link set eth1 up",
            ]
        );
    }
}
