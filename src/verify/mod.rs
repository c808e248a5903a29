//! Proves with pods that the networks of a profile work: addresses, reach, isolation, and the ports in Open vSwitch.

mod addresses;
mod checks;
mod here;
mod look;
mod outcome;
mod plain;
mod pods;
mod record;
mod scenario;
mod talk;
mod vm;

use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::{Cluster, Condition, ObjectKey};
use crate::engine::checkpoint::reached;
use crate::engine::context::Context;
use crate::engine::events::{Event, Verdict};
use crate::engine::execute::Progress;
use crate::error::{Error, Result, code};
pub use here::Here;
pub use look::{NicView, Place, Seen, ovs_state};
pub use outcome::{Found, Outcome};
pub use plain::plain_pod;
pub use pods::{Link, Nic, PROBE_LABEL, PodPlan, labels, nic, start, statuses};
pub use record::{RECORD, Record, verified};
pub use scenario::{Probe, Scenario};
pub use talk::{reaches, stays_apart};
pub use vm::all as check_vm;

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

/// Starts the pods, checks them, removes them and remembers what came of it. On a failure they stay for a look, until the
/// next run or `down`.
pub async fn run(cx: &Context, progress: Progress<'_>) -> Result<()> {
    let cluster = cx.need_cluster().await?;
    let scenario = Scenario::of(&cx.profile);
    let timeout = Duration::from_secs(cx.profile.timeouts.verification);
    clean(cx, &cluster, progress).await?;
    cluster.apply(&namespace(&cx.profile.verification.namespace), true).await?;
    reached(|| "within the verification: a namespace without pods".into());
    let here = Here::of(cx, &cluster).await?;
    let manifests = pods::manifests(&scenario, &cx.profile, &here);
    futures::future::try_join_all(manifests.iter().map(|pod| pods::start(&cluster, pod))).await?;
    reached(|| "within the verification: pods that start".into());
    let place = Place { cx, cluster: &cluster, namespace: &cx.profile.verification.namespace, here: &here };
    let (mut outcomes, of_vm) = futures::try_join!(
        checks::all(place, &scenario, timeout, progress),
        vm::all(cx, &cluster, &scenario, &here, progress)
    )?;
    outcomes.extend(of_vm);
    outcomes.extend(addresses::all(&cx.profile, &cluster).await?);
    reached(|| "within the verification: pods that run".into());
    for outcome in &outcomes {
        let Outcome { check, verdict, detail } = outcome.clone();
        cx.events.report(Event::Check { check, verdict, detail });
    }
    conclude(cx, &outcomes)?;
    remove(cx, &cluster).await?;
    Record::of(cx, &outcomes).write(cx)
}

/// Ends an interrupted or failed verification: its pods are gone afterwards.
pub async fn clean(cx: &Context, cluster: &Cluster, progress: Progress<'_>) -> Result<()> {
    let key = ObjectKey::new("v1", "Namespace", None, &cx.profile.verification.namespace);
    if cluster.get(&key).await?.is_none() {
        return Ok(());
    }
    remove(cx, cluster).await?;
    cluster.wait(&Condition::Gone { object: key }, Duration::from_mins(2), progress).await
}

/// Deletes the namespace with all that is in it, without waiting for its end.
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

fn conclude(cx: &Context, outcomes: &[Outcome]) -> Result<()> {
    let failed: Vec<&Outcome> =
        outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed).collect();
    let Some(first) = failed.first() else { return Ok(()) };
    let message = match failed.len() {
        1 => format!("a check failed: {}", first.check),
        count => format!("{count} checks failed, the first: {}", first.check),
    };
    let namespace = &cx.profile.verification.namespace;
    Err(Error::new(&code::VERIFY_FAILED, message).because(&first.detail).hint(format!(
        "the pods stay for a look: `kubectl --namespace {namespace} get pods`; the next `kvnet up` replaces them"
    )))
}
