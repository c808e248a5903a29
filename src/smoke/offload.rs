//! The userspace datapath of Open vSwitch drops TCP and UDP of pods with tx checksum offload: no hardware fills it in.

use std::time::Duration;

use super::room::CaseContext;
use crate::error::Result;
use crate::facts::ovs::OvsBridge;
use crate::formats::cni::Port;
use crate::host::Command;
use crate::trace::process_of;
use crate::verify::{StartedPod, ovs_state};

/// The result for checksum offload.
pub enum Offload {
    /// The pods are not on a bridge with the userspace datapath.
    NotTheCause,
    /// It is the likely cause, and could not be turned off from here.
    Likely(String),
    /// It is now off in both pods.
    Off(String),
}

/// Turns checksum offload off in two pods, only if their bridge uses the userspace datapath.
pub async fn switch_off(ctx: &CaseContext, one: &StartedPod, other: &StartedPod) -> Result<Offload> {
    let Some(Port { bridge, .. }) = &one.probe.port else { return Ok(Offload::NotTheCause) };
    let state = ovs_state(&ctx.cx).await?;
    let datapath = state.as_ref().and_then(|state| state.bridge(bridge)).map(OvsBridge::datapath);
    if datapath != Some("netdev") {
        return Ok(Offload::NotTheCause);
    }
    let cause = format!(
        "likely because {bridge} has datapath_type=netdev, which drops packets without a checksum: turn tx checksum \
         offload off in the pods (`ethtool -K NIC tx off`), or use the kernel datapath"
    );
    for seen in [one, other] {
        if !off(ctx, seen).await? {
            return Ok(Offload::Likely(cause));
        }
    }
    Ok(Offload::Off(format!(
        "TCP and UDP over {bridge} only work with tx checksum offload off in the pods, because it has the userspace \
         datapath (datapath_type=netdev); it was turned off in this case's pods (`ethtool -K NIC tx off`)"
    )))
}

/// Whether it could be turned off in a pod on this node.
async fn off(ctx: &CaseContext, seen: &StartedPod) -> Result<bool> {
    let host = ctx.cx.host.as_ref();
    let (Some(nic), Some(_)) = (seen.interface(), host.find("ethtool").await?) else { return Ok(false) };
    let Some(process) = process_of(host, &seen.uid).await? else { return Ok(false) };
    let target = format!("--target={process}");
    let command = Command::new(["nsenter", &target, "--net", "ethtool", "-K", nic, "tx", "off"]);
    Ok(host.run(&command.timeout(Duration::from_secs(10))).await?.success())
}
