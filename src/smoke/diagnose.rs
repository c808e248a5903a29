//! Why a pod does not start, from the cluster's own reports.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::room::CaseContext;
use crate::cluster::{Cause, code_of, reason};
use crate::error::{Code, Error, code};
use crate::formats::cni::order;
use crate::terminal::cut_middle;

/// How much of a message is shown.
const MOST: usize = 360;
/// What Multus' shim appends to its message: the whole configuration.
const NOISE: &str = "': StdinData";

/// How often to check the case's pods.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a pod may be unschedulable: a taint may be about to go.
const REFUSED: Duration = Duration::from_secs(5);
/// How long, when other cases' pods may make room or ovs-cni's marker, which runs every minute, may be late.
const REFUSED_FOR_NOW: Duration = Duration::from_secs(75);

/// Returns once a pod of the case is unschedulable, with the scheduler's reason.
pub async fn refused(ctx: &CaseContext) -> Error {
    let mut since: Option<Instant> = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        let Some((told, is_slow)) = refusal(ctx).await else {
            since = None;
            continue;
        };
        let limit = if is_slow { REFUSED_FOR_NOW } else { REFUSED };
        if since.get_or_insert_with(Instant::now).elapsed() >= limit {
            return unplaced(ctx, told).await;
        }
    }
}

/// Why a pod of the case is unschedulable, and whether that may still change; none when none is, or when it is transient.
async fn refusal(ctx: &CaseContext) -> Option<(String, bool)> {
    let pods = ctx.cluster.list("v1", "Pod", Some(&ctx.namespace), None).await.ok()?;
    let mut reasons = pods.iter().filter_map(|pod| reason(pod, &[]));
    let reason = reasons.find(|reason| reason.cause == Cause::Unscheduled)?;
    let sign = ctx.cluster.lasting(&reason).await?;
    Some((reason.text, sign.is_slow()))
}

async fn unplaced(ctx: &CaseContext, told: String) -> Error {
    let error = Error::new(classify(&told), "a pod is unschedulable");
    if !told.contains("untolerated taint") {
        return error.because(shortened(&told));
    }
    error
        .because(format!("{}; {}", shortened(&told), ctx.cluster.taints().await))
        .hint("`kvnet up --only taints` removes the taints listed in the profile")
}

/// A failed wait, with the newest warning event of the case's pods and a code for the cause.
pub async fn explained(ctx: &CaseContext, error: Error) -> Error {
    if error.code() != &code::CLUSTER_TIMEOUT {
        return error;
    }
    let events = ctx.cluster.list("v1", "Event", Some(&ctx.namespace), None).await.unwrap_or_default();
    let warning = newest_warning(&events);
    let waited = error.cause().unwrap_or_default().to_owned();
    let is_new = |warning: &&str| {
        // The pod's own reason already has the innermost error of this warning.
        !waited.contains("cannot be set up")
            && !waited
                .contains(warning.split_once(": ").map_or(*warning, |(_, text)| text).trim_end_matches('.'))
    };
    let told = match warning.as_deref().filter(is_new) {
        Some(warning) => format!("{waited}; {warning}"),
        None => waited,
    };
    if told.contains("cannot be scheduled") {
        return unplaced(ctx, told).await;
    }
    Error::new(classify(&told), "a pod does not start").because(shortened(&told))
}

/// The code for a message.
fn classify(told: &str) -> &'static Code {
    code_of(told).unwrap_or(&code::SMOKE_POD)
}

/// `REASON: MESSAGE` of the newest warning.
fn newest_warning(events: &[Value]) -> Option<String> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let time = |event: &&Value| {
        let last = text(event, "lastTimestamp");
        if last.is_empty() { text(event, "eventTime") } else { last }
    };
    let newest = events.iter().filter(|event| event["type"] == "Warning").max_by_key(time)?;
    let message = text(newest, "message");
    let message = message.split(NOISE).next().unwrap_or_default();
    Some(format!("{}: {message}", text(newest, "reason")))
}

/// The beginning and the end of a text, which say most.
fn shortened(text: &str) -> String {
    cut_middle(text, MOST / 3, MOST * 2 / 3)
}

/// The code and the reason when a pod runs without its NICs: another configuration sorts before that of Multus.
pub async fn why_without_nics(ctx: &CaseContext) -> (&'static Code, Option<String>) {
    let directory = &ctx.cx.facts.cni_conf_dir;
    let names = ctx.cx.host.list(directory).await.ok().flatten().unwrap_or_default();
    let Some(winner) = order(&names).winner else { return (&code::POD_NIC, None) };
    let text = ctx.cx.host.read(&directory.join(&winner)).await.ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    if crate::formats::cni::CniConf::parse(&text).is_some_and(|conf| conf.is_multus()) {
        return (&code::POD_NIC, None);
    }
    let why = format!("the first CNI configuration is {}, not that of Multus", directory.join(winner));
    (&code::CNI_ORDER, Some(why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_warning_counts_without_the_configuration_behind_it() {
        let event = |kind: &str, time: &str, message: &str| json!({"type": kind, "lastTimestamp": time, "reason": "R", "message": message});
        let events = [
            event("Warning", "2026-01-01T00:00:01Z", "old"),
            event("Warning", "2026-01-01T00:00:02Z", "failed to find bridge blue\n': StdinData: {\"x\": 1}"),
            event("Normal", "2026-01-01T00:00:03Z", "fine"),
        ];
        assert_eq!(newest_warning(&events).unwrap(), "R: failed to find bridge blue\n");
        assert_eq!(newest_warning(&events[2..]), None);
    }

    #[test]
    fn each_sign_has_its_code() {
        for (told, id) in [
            ("0/1 nodes are available: 1 node(s) had untolerated taint {node-role...}", "KVN808"),
            ("0/1 nodes are available: 1 Insufficient ovs-cni.network.kubevirt.io/blue.", "KVN620"),
            ("failed to find plugin \"ovs\" in path [/opt/cni/bin]", "KVN603"),
            ("cannot find a network-attachment-definition (x)", "KVN621"),
            ("loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file", "KVN601"),
            ("ErrImagePull", "KVN808"),
        ] {
            assert_eq!(classify(told).id, id, "{told}");
        }
    }

    #[test]
    fn a_long_message_keeps_its_end() {
        let text = format!("begin {} end", "x".repeat(1000));
        let short = shortened(&text);
        assert!(
            short.starts_with("begin") && short.ends_with("end") && short.chars().count() < 380,
            "{short}"
        );
    }
}
