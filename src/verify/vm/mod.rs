//! Proves that the sample VM's NICs work: from outside, and inside the guest. NICs are found by MAC address and network.

mod checks;
mod guest;
mod plan;
mod seen;

use std::time::Duration;

use futures::try_join;

use super::Outcome;
use super::scenario::Scenario;
use crate::cluster::{Cluster, Condition, ObjectKey};
use crate::engine::context::Context;
use crate::engine::events::Event;
use crate::engine::execute::Progress;
use crate::error::Result;
use guest::Guest;
use plan::Machine;
use seen::{Outside, Pods};

/// One line for each check of the VM.
pub fn checks(cx: &Context, scenario: &Scenario) -> Vec<String> {
    let machine = Machine::of(&cx.profile, scenario);
    machine.iter().flat_map(Machine::checks).map(|(_, _, line)| line).collect()
}

/// Makes each check that can be made; what cannot is told as a warning. Nothing when the profile has no VM.
pub async fn all(
    cx: &Context,
    cluster: &Cluster,
    scenario: &Scenario,
    progress: Progress<'_>,
) -> Result<Vec<Outcome>> {
    let Some(mut machine) = Machine::of(&cx.profile, scenario) else { return Ok(Vec::new()) };
    wait_running(cx, cluster, &machine, progress).await?;
    let (mut guest, pods) =
        try_join!(Guest::meet(cx, cluster, &machine, progress), Pods::wait(cx, cluster, &machine))?;
    let mut outside = Outside::look(cx, cluster, &machine).await?;
    for nic in &mut machine.nics {
        nic.mac = outside.mac(nic).unwrap_or_else(|| nic.mac.clone());
    }
    guest.wait_addresses(&machine).await?;
    let mut outcomes = Vec::new();
    let mut left_out = Vec::new();
    // What the NICs are like comes last: by then their ports have counted some packets.
    for (nic, what, check) in in_order_of_traffic(machine.checks()) {
        if what == plan::What::Nic {
            outside.count(cx, &machine.nics[nic]).await?;
        }
        let look = checks::Look { cx, cluster, machine: &machine, nic: &machine.nics[nic], pods: &pods };
        match look.make(what, &mut guest, &outside).await? {
            Some((passed, detail)) => outcomes.push(Outcome { check, passed, detail }),
            None => left_out.push(check),
        }
    }
    tell(cx, &machine, &guest, &left_out);
    Ok(outcomes)
}

fn in_order_of_traffic(mut checks: Vec<plan::Check>) -> Vec<plan::Check> {
    checks.sort_by_key(|(_, what, _)| *what == plan::What::Nic);
    checks
}

/// Its step has waited already; a run that starts with the verification has not.
async fn wait_running(
    cx: &Context,
    cluster: &Cluster,
    machine: &Machine,
    progress: Progress<'_>,
) -> Result<()> {
    let version = cx.profile.kubevirt.api_version();
    let object = ObjectKey::new(version, "VirtualMachineInstance", Some(&machine.namespace), &machine.name);
    let (pointer, value) = ("/status/phase".into(), "Running".into());
    let running = Condition::Field { object, pointer, value };
    cluster.wait(&running, Duration::from_secs(cx.profile.timeouts.vm), progress).await
}

fn tell(cx: &Context, machine: &Machine, guest: &Guest, left_out: &[String]) {
    if left_out.is_empty() {
        return;
    }
    let reason = guest.why_silent.as_deref().unwrap_or("the guest lacks the tools");
    let text = format!("not checked, because {reason} ({}): {}", machine.name, left_out.join("; "));
    cx.events.report(Event::Note { step: Some("verification".into()), warning: true, text });
}
