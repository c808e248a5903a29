//! Verifies that the sample VM's NICs work, from outside and in the guest. NICs are matched by MAC address and network.

mod beside;
mod checks;
mod guest;
mod plan;
mod promise;
mod seen;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use futures::try_join;

use super::scenario::Scenario;
use super::{Checked, Found, Here};
use crate::cluster::addresses::GuestAddresses;
use crate::cluster::{Cluster, Condition, ObjectKey};
use crate::context::Context;
use crate::context::events::Progress;
use crate::error::{Error, Result};
use checks::Look;
use guest::Guest;
use plan::{Check, Machine, NicPlan, What};
pub use promise::Promise;
use seen::{Outside, Pods};

/// One line for each check of the VM that the run makes.
pub fn checks(cx: &Context, scenario: &Scenario) -> Vec<String> {
    if is_left_out(cx) { Vec::new() } else { promised(cx, scenario) }
}

/// The checks that the run omits because it skips the VM.
pub fn left_out(cx: &Context, scenario: &Scenario) -> Vec<Checked> {
    if !is_left_out(cx) {
        return Vec::new();
    }
    let why = || Found::not_checked("the VM is skipped by `--skip`");
    promised(cx, scenario).into_iter().map(|check| Checked::new(check, why())).collect()
}

/// Whether the run skips the VM.
pub fn is_left_out(cx: &Context) -> bool {
    cx.skipped.iter().any(|step| step == "vm" || step == "kubevirt")
}

fn promised(cx: &Context, scenario: &Scenario) -> Vec<String> {
    let machine = Machine::of(&cx.profile, scenario);
    let of_nics = machine.iter().flat_map(Machine::checks).map(|(_, _, line)| line);
    let beside = machine.iter().flat_map(|machine| machine.beside.iter().map(|it| it.line(&machine.name)));
    of_nics.chain(beside).collect()
}

/// The pods that each NIC of the VM is tested against; empty when the profile has no VM.
pub fn pods_of_nics<'a>(cx: &Context, scenario: &'a Scenario) -> Vec<Vec<&'a str>> {
    let machine = Machine::of(&cx.profile, scenario).filter(|_| !is_left_out(cx));
    let named = |name: &String| scenario.pods.iter().map(|probe| probe.name.as_str()).find(|it| it == name);
    let nics = machine.into_iter().flat_map(|machine| machine.nics);
    nics.map(|nic| nic.peer.iter().chain(&nic.stranger).filter_map(named).collect()).collect()
}

/// Runs the checks of some of the VM's NICs, by their indexes; checks that cannot run are reported with the reason. Also
/// returns the guest's addresses on these NICs. Returns nothing when the profile has no VM. The pods to test against must run.
pub async fn some(
    cx: &Context,
    cluster: &Cluster,
    scenario: &Scenario,
    nics: &[usize],
    here: &Here,
    progress: Progress<'_>,
) -> Result<(Vec<Checked>, Vec<GuestAddresses>)> {
    let Some(mut machine) = Machine::of(&cx.profile, scenario) else { return Ok(Default::default()) };
    let mut places = 0..;
    machine.nics.retain(|_| places.next().is_some_and(|place| nics.contains(&place)));
    wait_running(cx, cluster, &machine, progress).await?;
    let (mut guest, pods, mut outside) = try_join!(
        Guest::meet(cx, cluster, &machine, progress),
        Pods::wait(cx, cluster, &machine),
        Outside::look(cx, cluster, &machine, here)
    )?;
    if !guest.has_shell() {
        // Only KubeVirt's status has its addresses then, and it is late.
        outside = Outside::look(cx, cluster, &machine, here).await?;
    }
    for nic in &mut machine.nics {
        nic.mac = outside.mac(nic).unwrap_or_else(|| nic.mac.clone());
    }
    let looks: Vec<Look> =
        machine.nics.iter().map(|nic| Look { cx, cluster, machine: &machine, nic, pods: &pods }).collect();
    let checks = machine.checks();
    let mut verdicts = BTreeMap::new();
    if !guest.has_addresses(&machine) {
        // Isolation can be tested without addresses, while the guest waits for them.
        verdicts = silence(&looks, &checks, &mut guest).await?;
        guest.wait_addresses(&machine).await?;
    }
    let mut left: Vec<_> = checks.iter().enumerate().filter(|(at, _)| !verdicts.contains_key(at)).collect();
    // Isolation checks wait for a timeout and take longest.
    left.sort_by_key(|(_, (_, what, _))| *what != What::Isolated);
    verdicts.extend(traffic(&looks, left, &mut guest, &outside).await?);
    // By now the ports have counted some packets.
    for (at, (nic, ..)) in checks.iter().enumerate().filter(|(_, (_, what, _))| *what == What::Nic) {
        outside.count(cx, &machine.nics[*nic]).await?;
        verdicts.insert(at, looks[*nic].is_like(&guest, &outside));
    }
    let mut outcomes = Vec::new();
    for (at, (nic, what, check)) in checks.into_iter().enumerate() {
        let found = looks[nic].meets_itself(what, &guest).or(verdicts.remove(&at).flatten());
        outcomes.push(Checked::new(check, found.unwrap_or_else(|| Found::not_checked(guest.why_not()))));
    }
    // What is not about one NIC is reported once.
    let beside = machine.beside.iter().filter(|_| nics.contains(&0));
    outcomes.extend(beside.map(|it| Checked::new(it.line(&machine.name), it.found(&guest))));
    Ok((outcomes, addresses(&machine, &guest, &outside)))
}

/// The addresses of the guest's NICs on shared networks: the actual ones, else the configured ones.
fn addresses(machine: &Machine, guest: &Guest, outside: &Outside) -> Vec<GuestAddresses> {
    let on_wires = machine.nics.iter().filter(|nic| !nic.masquerade);
    let of_nic = |nic: &NicPlan| GuestAddresses {
        machine: outside.uid().to_owned(),
        name: format!("{}/{}", machine.namespace, machine.name),
        nic: nic.name.clone(),
        network: nic.network.clone(),
        ips: if guest.speaks() { guest.ips_of(&nic.mac) } else { nic.promise.fixed() },
    };
    on_wires.map(of_nic).collect()
}

/// The isolation checks. Verdicts by the indexes of their checks.
async fn silence(
    looks: &[Look<'_>],
    checks: &[Check],
    guest: &mut Guest,
) -> Result<BTreeMap<usize, Option<Found>>> {
    let isolated = checks.iter().enumerate().filter(|(_, (_, what, _))| *what == What::Isolated);
    let verdicts = asked(looks, isolated, guest).await?;
    Ok(verdicts.collect())
}

/// Runs the guest's own checks, all at once.
async fn asked<'a>(
    looks: &[Look<'_>],
    checks: impl Iterator<Item = (usize, &'a Check)>,
    guest: &mut Guest,
) -> Result<impl Iterator<Item = (usize, Option<Found>)>> {
    let question = |(at, (nic, what, _)): (usize, &Check)| Some((at, looks[*nic].question(*what, guest)?));
    let (places, questions): (Vec<_>, Vec<_>) = checks.filter_map(question).unzip();
    Ok(places.into_iter().zip(guest.ask(&questions).await?))
}

/// The reachability checks. Verdicts by the indexes of their checks.
async fn traffic(
    looks: &[Look<'_>],
    checks: Vec<(usize, &Check)>,
    guest: &mut Guest,
    outside: &Outside,
) -> Result<BTreeMap<usize, Option<Found>>> {
    let mut by_pods = Vec::new();
    for (at, (nic, ..)) in checks.iter().copied().filter(|(_, (_, what, _))| *what == What::Reached) {
        let (look, address) = (&looks[*nic], looks[*nic].address(guest, outside));
        by_pods.push(async move { Ok::<_, Error>((at, look.is_reached(address).await?)) });
    }
    let (by_pods, by_guest) = try_join!(try_join_all(by_pods), asked(looks, checks.into_iter(), guest))?;
    Ok(by_guest.chain(by_pods).collect())
}

/// The VM's step has waited already, unless the run starts with the verification.
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
