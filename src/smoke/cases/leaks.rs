//! Many pods come and go.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::Value;
use tokio::time::Instant;

use crate::cluster::is_ready;
use crate::error::{Result, code};
use crate::formats::object::name;
use crate::profile::Network;
use crate::smoke::case::is_counted;
use crate::smoke::diagnose::explained;
use crate::smoke::leaks::Leaks;
use crate::smoke::room::CaseContext;
use crate::verify::{PROBE_LABEL, nic};

const PODS: usize = 20;
/// How often to read the node: neither Open vSwitch nor a directory of leases notifies of changes.
const PAUSE: Duration = Duration::from_millis(500);
/// The runtime removes NICs some seconds after the pod's object is gone.
const SETTLES: Duration = Duration::from_mins(1);

pub async fn run(ctx: &CaseContext) -> Result<()> {
    let networks: Vec<Network> =
        ctx.cx.profile.networks.iter().filter(|network| is_counted(&network.kind)).cloned().collect();
    let count = ctx.fitting(PODS);
    let names: Vec<String> = (1..=count).map(|number| format!("leaks-{number}")).collect();
    let wanted: Vec<Vec<String>> = (0..count).map(|number| two_of(&networks, number)).collect();
    try_join_all(names.iter().zip(&wanted).map(|(name, networks)| ctx.start(name, networks))).await?;
    let progress = ctx.progress();
    let running = ctx.cluster.wait_pods(&ctx.namespace, PROBE_LABEL, count, &is_ready, ctx.time(), &progress);
    let pods = match running.await {
        Ok(pods) => pods,
        Err(error) => return Err(explained(ctx, error).await),
    };
    let without: Vec<&str> = pods.iter().filter(|pod| !has_all(pod, &names, &wanted)).map(name).collect();
    let detail =
        if without.is_empty() { "all of them".into() } else { format!("not {}", without.join(", ")) };
    ctx.check(format!("{count} pods have their NICs"), (without.is_empty(), detail), &code::POD_NIC);
    try_join_all(pods.iter().map(|pod| async { ctx.cluster.delete(&key(pod), None).await })).await?;
    ctx.cluster.wait_gone(&ctx.namespace, PROBE_LABEL, ctx.time()).await?;
    let left = settled(ctx, &networks).await?;
    ctx.check("Open vSwitch has no orphaned ports", left.ports(), &code::SMOKE_LEAK);
    ctx.check("no address is leased to a deleted pod", left.addresses(), &code::SMOKE_LEAK);
    Ok(())
}

/// Two of the networks, different ones for each pod; the only one if there is just one.
fn two_of(networks: &[Network], number: usize) -> Vec<String> {
    let pick = |index: usize| networks.get(index % networks.len().max(1));
    let mut names: Vec<String> = [pick(number), pick(number + 1)]
        .into_iter()
        .flatten()
        .map(|network| format!("{}/{}", network.namespace, network.name))
        .collect();
    names.dedup();
    names
}

fn has_all(pod: &Value, names: &[String], wanted: &[Vec<String>]) -> bool {
    let found = names.iter().position(|own| own == name(pod)).and_then(|index| wanted.get(index));
    found.is_some_and(|networks| networks.iter().all(|network| nic(pod, network).is_some()))
}

fn key(pod: &Value) -> crate::cluster::ObjectKey {
    crate::cluster::ObjectKey::of(pod)
}

/// What is leaked once the clean-up has settled.
async fn settled(ctx: &CaseContext, networks: &[Network]) -> Result<Leaks> {
    let until = Instant::now() + SETTLES.min(ctx.time());
    loop {
        let left = Leaks::look(&ctx.cx, &ctx.cluster, networks).await?;
        if left.is_nothing() || Instant::now() >= until {
            return Ok(left);
        }
        (ctx.progress())(format!("the NICs of deleted pods to go: {}", left.summary()));
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    #[test]
    fn every_network_is_used_and_each_pod_has_two() {
        let networks = profile::load("default", &[]).unwrap().profile.networks;
        let all: Vec<Vec<String>> = (0..PODS).map(|number| two_of(&networks, number)).collect();
        assert!(all.iter().all(|two| two.len() == 2));
        assert!(
            networks.iter().all(|network| all.iter().flatten().any(|name| name.ends_with(&network.name)))
        );
        assert_eq!(two_of(&networks[..1], 7).len(), 1);
        assert!(two_of(&[], 7).is_empty());
    }
}
