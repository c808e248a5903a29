//! The checks of a verification: each inspects the pod, not its manifest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use futures::try_join;
use tokio::sync::watch;

use super::look::{Place, StartedPod, ovs_state};
use super::scenario::{Probe, Scenario};
use super::talk::{reaches, stays_apart};
use super::{Checked, Found, SELECTOR};
use crate::cluster::is_ready;
use crate::context::events::Progress;
use crate::error::{Error, Result, code};

/// A pod that other checks wait for: empty until it was inspected.
type Slot = watch::Sender<Option<Arc<StartedPod>>>;

/// Runs each check as soon as its pods run; in the order of [`Scenario::checks`].
pub async fn all(
    place: Place<'_>,
    scenario: &Scenario,
    timeout: Duration,
    progress: Progress<'_>,
) -> Result<Vec<Checked>> {
    let count = scenario.pods.len();
    let started = place.cluster.wait_pods(place.namespace, SELECTOR, count, &is_ready, timeout, progress);
    let slots: BTreeMap<&str, Slot> =
        scenario.pods.iter().map(|probe| (probe.name.as_str(), Slot::new(None))).collect();
    let looks = scenario.pods.iter().map(|probe| look(place, probe, &slots, timeout));
    let looks = async {
        let seen = try_join_all(looks).await?;
        // Read once all ports exist: one read serves all pods.
        let ovs = ovs_state(place.cx).await?;
        let new = seen.iter().filter(|seen| !scenario.again.contains(&seen.probe.name));
        Ok(new.map(|seen| seen.view(place.here, ovs.as_ref())).collect::<Vec<_>>())
    };
    let reach = scenario.reach.iter().map(|pair| (pair, true));
    let pairs = reach.chain(scenario.isolated.iter().map(|pair| (pair, false)));
    let talks = pairs.map(|(pair, expected)| talk(place, &slots, pair, expected));
    let (_, nics, talks) = try_join!(started, looks, try_join_all(talks))?;
    let nics = nics.into_iter().map(Found::from);
    let outcomes = nics.chain(talks).zip(scenario.checks());
    Ok(outcomes.map(|(found, check)| Checked::new(check, found)).collect())
}

async fn look(
    place: Place<'_>,
    probe: &Probe,
    slots: &BTreeMap<&str, Slot>,
    timeout: Duration,
) -> Result<Arc<StartedPod>> {
    let seen = Arc::new(place.look(probe, timeout, &|_| ()).await?);
    if let Some(slot) = slots.get(probe.name.as_str()) {
        slot.send_replace(Some(seen.clone()));
    }
    Ok(seen)
}

/// The pod, once it was inspected.
async fn seen(slots: &BTreeMap<&str, Slot>, name: &str) -> Result<Arc<StartedPod>> {
    let stranger = || Error::new(&code::INTERNAL, format!("the verification has no pod {name}"));
    let mut slot = slots.get(name).ok_or_else(stranger)?.subscribe();
    let seen = slot.wait_for(Option::is_some).await.map_err(|_| stranger())?.clone();
    seen.ok_or_else(stranger)
}

/// Checks that one pod reaches another, or that it does not.
async fn talk(
    place: Place<'_>,
    slots: &BTreeMap<&str, Slot>,
    (one, other): &(String, String),
    expected: bool,
) -> Result<Found> {
    let (one, other) = try_join!(seen(slots, one), seen(slots, other))?;
    if expected { reaches(place, &one, &other).await } else { stays_apart(place, &one, &other).await }
}
