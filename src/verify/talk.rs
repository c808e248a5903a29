//! Whether pods reach each other, tested from inside.

use std::net::IpAddr;

use futures::try_join;

use super::Found;
use super::look::{Place, StartedPod};
use crate::error::{Error, Result, code};

/// Whether one pod reaches another over their NICs: by ARP on layer 2, and by ping.
/// Fails when a command cannot be run in the pod.
pub async fn reaches(place: Place<'_>, one: &StartedPod, other: &StartedPod) -> Result<Found> {
    let Some((nic, target)) = ends(one, other) else { return Ok(no_address()) };
    if let Some(told) = one.meets_itself(other) {
        return Ok(Found::of(false, told));
    }
    let arping = ["arping", "-I", nic, "-c", "3", "-w", "5", "-f", &target];
    let ping = ["ping", "-I", nic, "-c", "1", "-W", "5", &target];
    let name = one.probe.name.as_str();
    let (answers, pings) = try_join!(place.run(name, &arping), place.run(name, &ping))?;
    let detail = match (answers.status == 0, pings.status == 0) {
        (true, true) => return Ok(Found::of(true, format!("{target} answers"))),
        (false, _) => format!("{target} does not answer an ARP request"),
        (true, false) => format!("{target} answers ARP, but not ping"),
    };
    Ok(Found::of(false, detail))
}

/// Whether two pods are on different layer 2 networks: an ARP request shows it, whatever their subnets and routes are.
/// Fails when the request cannot be sent: silence would prove nothing.
pub async fn stays_apart(place: Place<'_>, one: &StartedPod, other: &StartedPod) -> Result<Found> {
    let Some((nic, target)) = ends(one, other) else { return Ok(no_address()) };
    if let Some(told) = one.meets_itself(other) {
        return Ok(Found::not_checked(told));
    }
    // A NIC without an address can ask too: from 0.0.0.0, as in duplicate address detection.
    let nobody = one.ip().is_none();
    let arping = ["arping", "-I", nic, "-c", "1", "-w", "1", "-D", &target];
    let arping: Vec<&str> = arping.into_iter().filter(|word| nobody || *word != "-D").collect();
    let ran = place.run(&one.probe.name, &arping).await?;
    if !ran.stdout.contains("Sent ") {
        let message = format!("pod {} cannot send an ARP request over {nic}", one.probe.name);
        return Err(Error::new(&code::POD_NIC, message).because(ran.stderr.trim()));
    }
    let answers = if nobody { ran.stdout.contains("reply from") } else { ran.status == 0 };
    let verb = if answers { "answers" } else { "does not answer" };
    Ok(Found::of(!answers, format!("{target} {verb} an ARP request")))
}

/// The NIC to test from, and the address to test.
fn ends<'a>(one: &'a StartedPod, other: &StartedPod) -> Option<(&'a str, String)> {
    Some((one.interface()?, other.ip().as_ref().map(IpAddr::to_string)?))
}

fn no_address() -> Found {
    Found::of(false, "a pod has no address")
}
