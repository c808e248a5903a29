//! The node reboots. The case has two halves: `--resume` runs the second one after the boot.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;

use super::networks::look_at_nics;
use crate::cluster::{Condition, is_ready};
use crate::error::{Error, Result, code};
use crate::host::Command;
use crate::smoke::room::CaseContext;
use crate::verify::{Probe, Scenario, reaches};

/// Starts two pods and reboots. Ends with `KVN809` once the reboot is under way.
pub async fn begin(ctx: &CaseContext) -> Result<()> {
    let seen = ctx.meet(&pair(ctx)).await?;
    look_at_nics(ctx, &seen).await?;
    if ctx.failed_check().is_some() {
        return Ok(());
    }
    let command = Command::new(["systemctl", "reboot"]).timeout(Duration::from_secs(30));
    ctx.reboots();
    ctx.cx.host.run(&command).await?.ok(&command)?;
    Err(Error::new(&code::SMOKE_PENDING, "the node is rebooting"))
}

/// After the boot: the same pods are back.
pub async fn finish(ctx: &CaseContext) -> Result<()> {
    ctx.cluster.wait(&Condition::NodesReady, ctx.time(), &ctx.progress()).await?;
    let probes = pair(ctx);
    try_join_all(probes.iter().map(|probe| ctx.wait_for(&probe.name, &has_come_back))).await?;
    let seen = ctx.look_at(&probes).await?;
    look_at_nics(ctx, &seen).await?;
    if let [one, other, ..] = seen.as_slice() {
        let found = reaches(ctx.place(), one, other).await?;
        let (from, to) = (&one.probe.name, &other.probe.name);
        ctx.check(format!("{from} reaches {to} after the reboot"), found, &code::SMOKE_RETURN);
    }
    Ok(())
}

/// A status from before the boot does not count.
fn has_come_back(pod: &Value) -> bool {
    let restarts = pod.pointer("/status/containerStatuses/0/restartCount").and_then(Value::as_u64);
    is_ready(pod) && restarts.is_some_and(|restarts| restarts > 0)
}

/// Two pods that must reach each other.
fn pair(ctx: &CaseContext) -> Vec<Probe> {
    let scenario = Scenario::of(&ctx.cx.profile);
    let Some((one, other)) = scenario.reach.first() else { return Vec::new() };
    scenario.pods.iter().filter(|probe| [one, other].contains(&&probe.name)).cloned().collect()
}
