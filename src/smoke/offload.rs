//! Open vSwitch in user space drops TCP and UDP of pods whose NIC leaves the checksum to hardware that is not there.

use std::time::Duration;

use super::room::Room;
use crate::error::Result;
use crate::facts::ovs::OvsBridge;
use crate::formats::cni::Port;
use crate::host::Command;
use crate::trace::process_of;
use crate::verify::{Seen, ovs_state};

/// What was found out, and done, about checksum offload.
pub enum Outcome {
    /// The pods are not on a bridge in user space.
    NotTheCause,
    /// It is the likely cause, and nothing could be done from here.
    Likely(String),
    /// It is switched off in both pods now.
    Off(String),
}

/// Switches checksum offload off in two pods when they are on a bridge in user space; never otherwise.
///
/// # Errors
/// Those of the node.
pub async fn switch_off(room: &Room, one: &Seen, other: &Seen) -> Result<Outcome> {
    let Some(Port { bridge, .. }) = &one.probe.port else { return Ok(Outcome::NotTheCause) };
    let state = ovs_state(&room.cx).await?;
    let datapath = state.as_ref().and_then(|state| state.bridge(bridge)).map(OvsBridge::datapath);
    if datapath != Some("netdev") {
        return Ok(Outcome::NotTheCause);
    }
    let cause = format!(
        "likely because {bridge} has datapath_type=netdev, which drops packets without a checksum: switch tx checksum \
         offload off in the pods (`ethtool -K NIC tx off`), or use the kernel's data path"
    );
    for seen in [one, other] {
        if !off(room, seen).await? {
            return Ok(Outcome::Likely(cause));
        }
    }
    Ok(Outcome::Off(format!(
        "TCP and UDP over {bridge} only work with tx checksum offload off in the pods, because its data path is in \
         user space (datapath_type=netdev); it was switched off in the pods of this case (`ethtool -K NIC tx off`)"
    )))
}

/// Whether it could be switched off in a pod on this node.
async fn off(room: &Room, seen: &Seen) -> Result<bool> {
    let host = room.cx.host.as_ref();
    let (Some(nic), Some(_)) = (seen.interface(), host.find("ethtool").await?) else { return Ok(false) };
    let Some(process) = process_of(host, &seen.uid).await? else { return Ok(false) };
    let target = format!("--target={process}");
    let command = Command::new(["nsenter", &target, "--net", "ethtool", "-K", nic, "tx", "off"]);
    Ok(host.run(&command.timeout(Duration::from_secs(10))).await?.success())
}
