//! Verifies with pods that a profile's networks work: addresses, reachability, isolation, and Open vSwitch ports.

mod addresses;
mod batches;
mod checks;
mod guests;
mod here;
mod isolation;
mod look;
mod outcome;
mod plain;
mod pods;
mod record;
mod room;
mod scenario;
mod talk;
mod vm;

use std::time::Duration;

use futures::future::try_join_all;
use futures::try_join;
use serde_json::{Value, json};

use crate::checkpoint::reached;
use crate::cluster::addresses::GuestAddresses;
use crate::cluster::{Cluster, Condition, ObjectKey};
use crate::context::Context;
use crate::context::cancel::Cancel;
use crate::context::events::{Event, Progress, Verdict};
use crate::error::{Error, Result, code};
use crate::profile::Profile;
pub use addresses::NO_DUPLICATES;
pub use batches::{Batch, batches};
pub use guests::guests;
pub use here::Here;
pub use look::{Place, StartedPod, ovs_state};
pub use outcome::{Checked, Found};
pub use plain::plain_pod;
pub use pods::{PROBE_LABEL, PodPlan, labels, make_room, nic, start};
pub use record::{RECORD, Record, verified};
pub use room::{MOST as MOST_AT_ONCE, places};
pub use scenario::{Probe, Scenario};
pub use talk::{reaches, stays_apart};
pub use vm::{is_left_out as leaves_out_vm, pods_of_nics, some as check_vm};

/// The label that finds the pods of a verification.
const SELECTOR: &str = "kvnet.dev/step=verification";

/// One line for each check.
pub fn lines(cx: &Context) -> Vec<String> {
    let scenario = Scenario::of(&cx.profile);
    let mut lines = scenario.checks();
    lines.extend(vm::checks(cx, &scenario));
    lines.extend(addresses::lines(&cx.profile));
    lines
}

/// The networks that the profile excludes from verification.
pub fn left_out(profile: &Profile) -> Vec<String> {
    let left_out = profile.networks.iter().filter(|network| !network.verify);
    left_out.map(|network| format!("network {}", network.full_name())).collect()
}

/// Starts the pods, as many at once as fit on the node, checks them, deletes them and records the result. On a failure they
/// are kept for inspection, until the next run or `down`.
pub async fn run(cx: &Context, progress: Progress<'_>) -> Result<()> {
    let cluster = cx.need_cluster().await?;
    // An older record must not outlive a failed run.
    Record::forget(cx)?;
    clean(cx, &cluster, progress).await?;
    cluster.apply(&namespace(&cx.profile.verification.namespace), true).await?;
    reached(|| "within the verification: a namespace without pods".into());
    let here = Here::of(cx).await?;
    let outcomes = in_batches(cx, &cluster, &here, progress).await?;
    remove(cx, &cluster).await?;
    Record::of(cx, &outcomes).await.write(cx)
}

/// Runs all checks, batch by batch; stops after a batch with a failed check.
async fn in_batches(
    cx: &Context,
    cluster: &Cluster,
    here: &Here,
    progress: Progress<'_>,
) -> Result<Vec<Checked>> {
    let scenario = Scenario::of(&cx.profile);
    let nics = vm::pods_of_nics(cx, &scenario);
    let room = room::room(cx, cluster, here, batches::smallest_room(&scenario, &nics)).await?;
    // They are not gaps in the record, which says that it does not cover the VM.
    report(cx, &vm::left_out(cx, &scenario));
    let (mut outcomes, mut overall, mut guests) = (Vec::new(), Vec::new(), Vec::new());
    for batch in batches(&scenario, &nics, room) {
        if cx.cancel.is_cancelled() {
            return Err(Cancel::error("up"));
        }
        let place = Place { cx, cluster, namespace: &cx.profile.verification.namespace, here };
        let (found, of_guest) = one_batch(place, &scenario, &batch, progress).await?;
        guests.extend(of_guest);
        overall = addresses::all(&cx.profile, cluster, &guests).await?;
        reached(|| "within the verification: pods that run".into());
        report(cx, &found);
        let failed = found.iter().chain(&overall).any(|outcome| outcome.verdict == Verdict::Failed);
        outcomes.extend(found);
        if failed {
            break;
        }
    }
    report(cx, &overall);
    outcomes.extend(overall);
    conclude(cx, &outcomes)?;
    Ok(outcomes)
}

/// Replaces the previous batch's pods by those of this one, and checks them. Also returns the guest's addresses.
async fn one_batch(
    place: Place<'_>,
    whole: &Scenario,
    batch: &Batch,
    progress: Progress<'_>,
) -> Result<(Vec<Checked>, Vec<GuestAddresses>)> {
    let Place { cx, cluster, here, .. } = place;
    let manifests = pods::manifests(&batch.scenario, &cx.profile, here);
    pods::make_room(cluster, place.namespace, &manifests, progress).await?;
    try_join_all(manifests.iter().map(|pod| pods::start(cluster, pod))).await?;
    reached(|| "within the verification: pods that start".into());
    let timeout = Duration::from_secs(cx.profile.timeouts.verification);
    let of_vm = async {
        if batch.nics.is_empty() {
            return Ok(Default::default());
        }
        vm::some(cx, cluster, whole, &batch.nics, here, progress).await
    };
    let (mut found, (of_vm, guests)) =
        try_join!(checks::all(place, &batch.scenario, timeout, progress), of_vm)?;
    found.extend(of_vm);
    Ok((found, guests))
}

fn report(cx: &Context, outcomes: &[Checked]) {
    for Checked { check, verdict, detail } in outcomes.iter().cloned() {
        cx.events.report(Event::Check { check, verdict, detail });
    }
}

/// Cleans up after an interrupted or failed verification, and waits until its pods are gone.
pub async fn clean(cx: &Context, cluster: &Cluster, progress: Progress<'_>) -> Result<()> {
    let key = ObjectKey::new("v1", "Namespace", None, &cx.profile.verification.namespace);
    if cluster.get(&key).await?.is_none() {
        return Ok(());
    }
    remove(cx, cluster).await?;
    cluster.wait(&Condition::Gone { object: key }, Duration::from_mins(2), progress).await
}

/// Deletes the namespace and everything in it, without waiting.
async fn remove(cx: &Context, cluster: &Cluster) -> Result<()> {
    let key = ObjectKey::new("v1", "Namespace", None, &cx.profile.verification.namespace);
    cluster.delete(&key, None).await.map(|_| ())
}

fn namespace(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": pods::labels()},
    })
}

fn conclude(cx: &Context, outcomes: &[Checked]) -> Result<()> {
    let failed: Vec<&Checked> =
        outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed).collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let message = match failed.len() {
        1 => format!("a check failed: {}", first.check),
        count => format!("{count} checks failed, the first: {}", first.check),
    };
    let namespace = &cx.profile.verification.namespace;
    Err(Error::new(&code::VERIFY_FAILED, message).because(&first.detail).hint(format!(
        "the pods are kept for inspection: `kubectl --namespace {namespace} get pods`; the next `kvnet up` replaces them"
    )))
}

#[cfg(test)]
mod tests;
