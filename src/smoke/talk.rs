//! Traffic between pods: full-size packets, TCP and UDP.

use futures::try_join;

use super::offload;
use super::room::{CaseContext, PORT};
use crate::error::{Code, Result, code};
use crate::verify::{Found, StartedPod, reaches};

/// The length of the headers of an echo request: IPv4 or IPv6, and ICMP.
const HEADERS: [u32; 2] = [28, 48];

/// All tests from one pod to another: ARP and ping, a full-size packet, TCP, UDP.
/// Fails when a command cannot be run in a pod.
pub async fn everything(ctx: &CaseContext, one: &StartedPod, other: &StartedPod) -> Result<()> {
    let (from, to) = (&one.probe.name, &other.probe.name);
    let found = reaches(ctx.place(), one, other).await?;
    let holds = found.holds();
    ctx.check(format!("{from} reaches {to}"), found, &code::SMOKE_REACH);
    // An unreachable pod would only cost more time.
    if holds { transports(ctx, one, other).await } else { Ok(()) }
}

/// As [`everything`], through routers: without ARP.
/// Fails when a command cannot be run in a pod.
pub async fn everything_routed(ctx: &CaseContext, one: &StartedPod, other: &StartedPod) -> Result<()> {
    let (from, to) = (&one.probe.name, &other.probe.name);
    let found = match one.meets_itself(other) {
        Some(told) => Found::of(false, told),
        None => ping(ctx, from, other, None).await?,
    };
    let holds = found.holds();
    ctx.check(format!("{from} reaches {to}"), found, &code::SMOKE_REACH);
    if holds { transports(ctx, one, other).await } else { Ok(()) }
}

async fn transports(ctx: &CaseContext, one: &StartedPod, other: &StartedPod) -> Result<()> {
    let (from, to) = (one.probe.name.as_str(), other.probe.name.as_str());
    let reach: &Code = &code::SMOKE_REACH;
    let size = one.link.as_ref().map_or(0, |link| link.mtu);
    let found = ping(ctx, from, other, Some(size)).await?;
    ctx.check(format!("{from} reaches {to} with packets of {size} bytes"), found, reach);
    let (mut found, mut found_udp) = try_join!(tcp(ctx, from, other), udp(ctx, from, other))?;
    if !found.holds() || !found_udp.holds() {
        match offload::switch_off(ctx, one, other).await? {
            offload::Offload::NotTheCause => {}
            offload::Offload::Likely(why) => {
                for found in [&mut found, &mut found_udp].into_iter().filter(|found| !found.holds()) {
                    found.detail = format!("{}; {why}", found.detail);
                }
            }
            offload::Offload::Off(note) => {
                (found, found_udp) = try_join!(tcp(ctx, from, other), udp(ctx, from, other))?;
                ctx.note(note);
            }
        }
    }
    ctx.check(format!("{from} reaches {to} by TCP"), found, reach);
    ctx.check(format!("{from} reaches {to} by UDP"), found_udp, reach);
    Ok(())
}

/// A ping with a packet as large as the MTU.
/// Fails when it cannot be run in the pod.
pub async fn ping(ctx: &CaseContext, from: &str, to: &StartedPod, mtu: Option<u32>) -> Result<Found> {
    let Some(target) = to.ip() else { return Ok(Found::of(false, "the pod has no address")) };
    let header = HEADERS[usize::from(target.is_ipv6())];
    let size = mtu.map_or(56, |mtu| mtu.saturating_sub(header)).to_string();
    let target = target.to_string();
    let ran = ctx.run(from, &["ping", "-c", "1", "-W", "5", "-s", &size, &target]).await?;
    let verb = if ran.status == 0 { "answers" } else { "does not answer" };
    Ok(Found::of(ran.status == 0, format!("{target} {verb}{}", said(&ran.stderr))))
}

/// Connects to the server in a pod, which sends its name.
async fn tcp(ctx: &CaseContext, from: &str, to: &StartedPod) -> Result<Found> {
    let Some(target) = to.ip() else { return Ok(Found::of(false, "the pod has no address")) };
    let target = target.to_string();
    let ran = ctx.run(from, &["nc", "-w", "5", &target, PORT]).await?;
    let name = ran.stdout.trim();
    if name == to.probe.name {
        return Ok(Found::of(true, format!("{target} answers as {name}")));
    }
    let found = if name.is_empty() { "does not answer".into() } else { format!("answers as {name}") };
    Ok(Found::of(false, format!("{target} {found}{}", said(&ran.stderr))))
}

/// Sends datagrams to a closed port: the pod answers with port unreachable.
async fn udp(ctx: &CaseContext, from: &str, to: &StartedPod) -> Result<Found> {
    let Some(target) = to.ip() else { return Ok(Found::of(false, "the pod has no address")) };
    let target = target.to_string();
    let ran = ctx.run(from, &["traceroute", "-n", "-m", "4", "-q", "1", "-w", "2", &target]).await?;
    let last = ran.stdout.lines().skip(1).last().unwrap_or_default();
    let arrives = last.split_whitespace().any(|word| word == target);
    let verb = if arrives { "receives datagrams" } else { "receives no datagrams" };
    Ok(Found::of(arrives, format!("{target} {verb}{}", said(&ran.stderr))))
}

/// The last line of a command's stderr, in brackets.
fn said(stderr: &str) -> String {
    // traceroute writes its first line there.
    let complaint =
        stderr.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("traceroute to"));
    complaint.map(|line| format!(" ({})", line.trim())).unwrap_or_default()
}
