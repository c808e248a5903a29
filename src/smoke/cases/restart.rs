//! Multus restarts while pods start.

use futures::future::try_join_all;
use serde_json::Value;

use super::networks::look_at_nics;
use crate::cluster::{Condition, ObjectKey, STEP_LABEL, is_ready};
use crate::error::{Error, Result, code};
use crate::smoke::room::CaseContext;
use crate::verify::{Found, Probe, Scenario, StartedPod};

pub async fn run(ctx: &CaseContext) -> Result<()> {
    let daemon = daemon(ctx).await?;
    let mut probes = Scenario::of(&ctx.cx.profile).pods;
    probes.truncate(ctx.fitting(probes.len()));
    let (first, rest) = probes.split_at(probes.len() / 2);
    start(ctx, first).await?;
    let ended = restart(ctx, &daemon).await?;
    start(ctx, rest).await?;
    let seen = ctx.look_at(&probes).await?;
    let condition = Condition::RolledOut { object: ObjectKey::of(&daemon) };
    let rolled_out = ctx.cluster.wait(&condition, ctx.time(), &ctx.progress()).await;
    ctx.check("Multus is back", back(ctx, &daemon, &ended, rolled_out).await?, &code::SMOKE_RETURN);
    let (whole, missed): (Vec<StartedPod>, Vec<StartedPod>) =
        seen.into_iter().partition(|pod| pod.nic.is_some());
    let again = start_again(ctx, &missed).await?;
    look_at_nics(ctx, &[whole, again].concat()).await
}

/// Recreates the pods that started while Multus was down: it removes its configuration on exit, and the runtime falls back
/// to the next one.
async fn start_again(ctx: &CaseContext, missed: &[StartedPod]) -> Result<Vec<StartedPod>> {
    if missed.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = missed.iter().map(|pod| pod.probe.name.as_str()).collect();
    ctx.note(format!(
        "these pods started while Multus was down, got only their first NIC, and were recreated: {}",
        names.join(", ")
    ));
    let probes: Vec<Probe> = missed.iter().map(|pod| pod.probe.clone()).collect();
    for name in names {
        let key = ObjectKey::new("v1", "Pod", Some(&ctx.namespace), name);
        ctx.cluster.delete(&key, None).await?;
        ctx.cluster.wait(&Condition::Gone { object: key }, ctx.time(), &ctx.progress()).await?;
    }
    ctx.meet(&probes).await
}

async fn start(ctx: &CaseContext, probes: &[Probe]) -> Result<()> {
    let networks = |probe: &Probe| vec![format!("{}/{}", probe.network.namespace, probe.network.name)];
    try_join_all(probes.iter().map(|probe| async { ctx.start(&probe.name, &networks(probe)).await })).await?;
    Ok(())
}

/// Whether the DaemonSet has as many pods as before, all new and ready.
async fn back(ctx: &CaseContext, daemon: &Value, ended: &[Value], rolled_out: Result<()>) -> Result<Found> {
    if let Err(error) = rolled_out {
        return Ok(Found::of(false, error.cause().unwrap_or(error.message())));
    }
    let pods = pods(ctx, daemon).await?;
    let is_new = |pod: &&Value| ended.iter().all(|old| old["metadata"]["uid"] != pod["metadata"]["uid"]);
    let back = pods.iter().filter(is_new).filter(|pod| is_ready(pod)).count();
    let detail = format!("{back} of {} new pods of {} are ready", ended.len(), ObjectKey::of(daemon));
    Ok(Found::of(back >= ended.len(), detail))
}

/// Multus' DaemonSet: kvnet's, or another one.
async fn daemon(ctx: &CaseContext) -> Result<Value> {
    let ours = format!("{STEP_LABEL}=multus");
    let found = ctx.cluster.list("apps/v1", "DaemonSet", None, Some(&ours)).await?;
    let all =
        if found.is_empty() { ctx.cluster.list("apps/v1", "DaemonSet", None, None).await? } else { found };
    let is_multus =
        |set: &Value| set["metadata"]["name"].as_str().is_some_and(|name| name.contains("multus"));
    all.into_iter()
        .find(is_multus)
        .ok_or_else(|| Error::new(&code::MULTUS_CONFIG, "Multus DaemonSet not found").hint("run `kvnet up`"))
}

/// Deletes the pods of a DaemonSet, which creates new ones; returns the deleted ones.
async fn restart(ctx: &CaseContext, daemon: &Value) -> Result<Vec<Value>> {
    let pods = pods(ctx, daemon).await?;
    if pods.is_empty() {
        return Err(Error::new(&code::MULTUS_CONFIG, format!("{} has no pods", ObjectKey::of(daemon))));
    }
    try_join_all(pods.iter().map(|pod| async { ctx.cluster.delete(&ObjectKey::of(pod), None).await }))
        .await?;
    Ok(pods)
}

async fn pods(ctx: &CaseContext, daemon: &Value) -> Result<Vec<Value>> {
    let labels = daemon.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let selector: Vec<String> = labels
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
        .collect();
    let namespace = daemon["metadata"]["namespace"].as_str();
    ctx.cluster.list("v1", "Pod", namespace, Some(&selector.join(","))).await
}
