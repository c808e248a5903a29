//! The networks of the profile: NICs, reach, isolation.

use futures::future::try_join_all;

use crate::error::{Result, code};
use crate::profile::{NetworkKind, Profile};
use crate::smoke::case::vlan_pairs;
use crate::smoke::diagnose::why_without_nics;
use crate::smoke::room::CaseContext;
use crate::smoke::talk::everything;
use crate::verify::{Probe, Scenario, StartedPod, batches, ovs_state, reaches, stays_apart};

/// One pod on each network, with checks of its NIC.
pub async fn attachments(ctx: &CaseContext) -> Result<()> {
    let mut pods = Scenario::of(&ctx.cx.profile).pods;
    pods.dedup_by(|one, other| one.network == other.network);
    for batch in batches(&Scenario { pods, ..Scenario::default() }, &[], ctx.places) {
        let seen = ctx.meet_batch(&batch).await?;
        look_at_nics(ctx, &seen).await?;
    }
    Ok(())
}

/// Checks for each pod whether its NIC is as declared.
pub async fn look_at_nics(ctx: &CaseContext, seen: &[StartedPod]) -> Result<()> {
    let ovs = ovs_state(&ctx.cx).await?;
    for pod in seen {
        let mut view = pod.view(&ctx.here, ovs.as_ref());
        let mut code = if view.nic_holds { &code::OVS_PORT } else { &code::POD_NIC };
        if pod.nic.is_none() {
            let (likely, why) = why_without_nics(ctx).await;
            code = likely;
            view.detail.extend(why.map(|why| format!("; {why}")));
        }
        ctx.check(format!("{}: {}", pod.probe.name, pod.probe.line()), view, code);
    }
    Ok(())
}

/// Pairs of pods on one network, over their NICs there.
pub async fn same_network(ctx: &CaseContext) -> Result<()> {
    let whole = Scenario::of(&ctx.cx.profile);
    let reach = whole.reach.clone();
    for batch in batches(&of_pairs(whole, reach, Vec::new()), &[], ctx.places) {
        let seen = ctx.meet_batch(&batch).await?;
        let pairs = pairs(&seen, &batch.scenario.reach);
        try_join_all(pairs.map(|(one, other)| everything(ctx, one, other))).await?;
    }
    Ok(())
}

/// VLANs are isolated, which only means something when pods on one VLAN reach each other.
pub async fn vlan_isolation(ctx: &CaseContext) -> Result<()> {
    let whole = Scenario::of(&ctx.cx.profile);
    let apart = vlan_pairs(&whole);
    let is_concerned = |(one, other): &&(String, String)| {
        apart.iter().any(|(first, second)| [first, second].iter().any(|name| [one, other].contains(name)))
    };
    let together: Vec<_> = whole.reach.iter().filter(is_concerned).cloned().collect();
    for batch in batches(&of_pairs(whole, together, apart), &[], ctx.places) {
        let seen = ctx.meet_batch(&batch).await?;
        for (one, other) in pairs(&seen, &batch.scenario.reach) {
            let found = reaches(ctx.place(), one, other).await?;
            ctx.check(format!("{} reaches {}", one.probe.name, other.probe.name), found, &code::SMOKE_REACH);
        }
        for (one, other) in pairs(&seen, &batch.scenario.isolated) {
            let found = stays_apart(ctx.place(), one, other).await?;
            let check = format!("{} does not reach {}", one.probe.name, other.probe.name);
            ctx.check(check, found, &code::SMOKE_ISOLATION);
        }
    }
    Ok(())
}

/// Two pods on a network of the walkthrough.
pub async fn walkthrough(ctx: &CaseContext, network: &str) -> Result<()> {
    let scenario = Scenario::of(&ctx.cx.profile);
    let Some(first) = scenario.pods.iter().find(|probe| probe.network.name == network) else { return Ok(()) };
    let probes = [1, 2].map(|number| Probe { name: format!("{network}-{number}"), ..first.clone() });
    let seen = ctx.meet(&probes).await?;
    look_at_nics(ctx, &seen).await?;
    let [one, other] = seen.as_slice() else { return Ok(()) };
    let (from, to) = (&one.probe.name, &other.probe.name);
    if first.subnet.is_some() {
        let found = reaches(ctx.place(), one, other).await?;
        ctx.check(format!("{from} reaches {to}"), found, &code::SMOKE_REACH);
    }
    let Some(gateway) = gateway(&ctx.cx.profile, network) else { return Ok(()) };
    let nic = one.interface().unwrap_or("net1");
    let ran = ctx.run(from, &["ping", "-I", nic, "-c", "1", "-W", "5", &gateway]).await?;
    let verb = if ran.status == 0 { "answers" } else { "does not answer" };
    let found = (ran.status == 0, format!("{gateway} {verb}"));
    ctx.check(format!("{from} reaches the gateway of {network}"), found, &code::SMOKE_REACH);
    Ok(())
}

/// The node's address on a network with a Linux bridge.
fn gateway(profile: &Profile, name: &str) -> Option<String> {
    let network = profile.networks.iter().find(|network| network.name == name)?;
    let NetworkKind::Bridge { is_gateway: true, .. } = &network.kind else { return None };
    let conf = network.netconf();
    let range = conf.ipam()?.ranges().next()?;
    range.gateway.clone().or_else(|| Some(range.network()?.hosts().next()?.to_string()))
}

/// The scenario reduced to some pairs of pods.
fn of_pairs(mut whole: Scenario, reach: Vec<(String, String)>, isolated: Vec<(String, String)>) -> Scenario {
    let all: Vec<_> = reach.iter().chain(&isolated).collect();
    whole.pods.retain(|probe| all.iter().any(|(one, other)| [one, other].contains(&&probe.name)));
    Scenario { reach, isolated, ..whole }
}

/// The pairs among the pods seen.
fn pairs<'a>(
    seen: &'a [StartedPod],
    names: &'a [(String, String)],
) -> impl Iterator<Item = (&'a StartedPod, &'a StartedPod)> {
    let find = |name: &String| seen.iter().find(|pod| pod.probe.name == *name);
    names.iter().filter_map(move |(one, other)| Some((find(one)?, find(other)?)))
}
