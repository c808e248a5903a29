//! Why a pod does not start: from its conditions, containers and events.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::network_error::{innermost, shortened};
use super::{Waits, has_succeeded, is_ready, state_of};
use crate::cluster::api::encode;
use crate::cluster::expected::Expected;
use crate::cluster::request::{ApiAnswer, ApiCall};
use crate::cluster::{Cluster, rolled_out};
use crate::error::Result;
use crate::facts::attachments::{MULTUS_NAMESPACE, asked, asked_with_first};
use crate::formats::object::text;

/// What blocks a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is unschedulable.
    Unscheduled,
    /// Its network cannot be set up.
    Network,
    /// An image is being pulled, or cannot be.
    Image,
    /// A volume is missing.
    Volume,
    /// A container exits, is rejected or is not ready.
    Container,
    /// It is terminating or has failed.
    Ended,
    /// Nothing is known to be wrong yet.
    Starting,
}

/// Why a pod waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What blocks it.
    pub cause: Cause,
    /// As text.
    pub text: String,
}

impl Cluster {
    /// Why a pod is not Ready, with its newest event; none when nothing blocks it.
    pub async fn why_pod_waits(&self, pod: &Value) -> Result<Option<String>> {
        Ok(self.reason_of(pod).await?.map(|reason| reason.text))
    }

    /// As [`Cluster::why_pod_waits`], with the kind of reason.
    pub async fn reason_of(&self, pod: &Value) -> Result<Option<Reason>> {
        if is_ready(pod) || has_succeeded(pod) {
            return Ok(None);
        }
        let (namespace, name) = (text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        if namespace.is_empty() || name.is_empty() {
            return Ok(reason(pod, &[]));
        }
        let selector = encode(&format!("involvedObject.name={name}"));
        let path = format!("/api/v1/namespaces/{}/events?fieldSelector={selector}", encode(namespace));
        let expected = Expected::List("v1".into(), "Event".into());
        let events = match self.call(&ApiCall::get(path).expects(expected).once()).await? {
            ApiAnswer::Done(list) => list["items"].as_array().cloned().unwrap_or_default(),
            // Without permission to read events the pod's status still helps.
            ApiAnswer::Refused(_) => Vec::new(),
        };
        let mut reason = reason(pod, &events);
        if let Some(reason) = reason.as_mut().filter(|reason| is_silent(reason) && asks_multus(pod, &events))
            && let Some(why) = self.multus_is_away().await
        {
            *reason = Reason { cause: Cause::Network, text: format!("{}; {why}", reason.text) };
        }
        Ok(reason)
    }

    /// What is wrong with Multus' daemon, for which the runtime waits silently; none when nothing is, or when it does
    /// not exist.
    async fn multus_is_away(&self) -> Option<String> {
        let daemons = Box::pin(self.list("apps/v1", "DaemonSet", None, None)).await.ok()?;
        let daemon = daemons.iter().find(|daemon| text(daemon, "/metadata/name").contains("multus"))?;
        let (ready, now) = rolled_out(daemon);
        let name = format!("{}/{}", text(daemon, "/metadata/namespace"), text(daemon, "/metadata/name"));
        (!ready).then(|| format!("Multus does not respond: DaemonSet {name}: {now}"))
    }

    /// The reasons of the waiting pods, at most so many, without duplicates. Events that cannot be read are left out.
    pub(in crate::cluster) async fn reasons_of(&self, pods: &[Value], most: usize) -> Vec<(String, Reason)> {
        let (mut found, mut told) = (Vec::new(), BTreeSet::new());
        for pod in pods {
            let reason = Box::pin(self.reason_of(pod)).await.unwrap_or_else(|_| reason(pod, &[]));
            if let Some(reason) = reason.filter(|reason| told.insert(reason.text.clone())) {
                found.push((text(pod, "/metadata/name").to_owned(), reason));
            }
            if found.len() == most {
                break;
            }
        }
        found
    }
}

/// Why a pod waits, from its status and from events, which may include those of other pods; none when nothing blocks
/// it.
pub fn reason(pod: &Value, events: &[Value]) -> Option<Reason> {
    let waits = state_of(pod)?;
    let cause = match waits {
        Waits::Unscheduled(text) => return Some(Reason { cause: Cause::Unscheduled, text }),
        Waits::Ended(text) => return Some(Reason { cause: Cause::Ended, text }),
        Waits::Failing(text) => {
            let is_image =
                ["ImagePull", "ErrImage", "InvalidImage", "ImageInspect"].iter().any(|it| text.contains(it));
            return Some(if is_image {
                of_image(pod, events, text)
            } else {
                Reason { cause: Cause::Container, text }
            });
        }
        Waits::NotReady(text) => {
            let probe = newest(pod, events, &|event| event["reason"] == "Unhealthy");
            let probe = probe.map(|event| format!(": {}", shortened(&message(event)))).unwrap_or_default();
            return Some(Reason { cause: Cause::Container, text: format!("{text}{probe}") });
        }
        Waits::Starting(text) => text,
    };
    let told = newest(pod, events, &|event| told_by(event).is_some()).and_then(told_by);
    let mut reason = told.unwrap_or(Reason { cause: Cause::Starting, text: cause });
    if let Some(slip) = slip(pod, &reason) {
        reason.text = format!("{}; the pod's annotation: {slip}", reason.text);
    }
    // A plugin that hangs says nothing: the next NIC that Multus has not made is where it hangs.
    if let Some(network) = is_silent(&reason).then(|| being_made(pod, events)).flatten() {
        reason.text = format!("{}; its NIC on {network} is being made", reason.text);
    }
    Some(reason)
}

/// Between two attempts the container's status only says that it waits; the newest event says why it failed.
fn of_image(pod: &Value, events: &[Value], mut text: String) -> Reason {
    let failed = |event: &Value| event["reason"] == "Failed" && message(event).contains("pull image");
    let why = newest(pod, events, &failed).map(|event| shortened(&message(event)));
    if let Some(why) = why.filter(|why| text.contains("BackOff") && !text.contains(why.as_str())) {
        text = format!("{text}: {}", lower(&why));
    }
    Reason { cause: Cause::Image, text }
}

/// What is wrong in a pod's network annotation, where that is what blocks it. A word may be the name of a network: then
/// it is wrong when no such network exists.
fn slip(pod: &Value, reason: &Reason) -> Option<String> {
    let is_unknown = reason.text.contains("cannot find a network-attachment-definition");
    let asked = asked_with_first(pod, MULTUS_NAMESPACE).settled(&|_| !is_unknown);
    asked.refusal().filter(|_| reason.cause == Cause::Network)
}

/// How a sandbox fails when a plugin or the runtime hangs: at first, and at each further attempt.
const LATE: [&str; 3] = ["context deadline exceeded", "DeadlineExceeded", "is reserved for"];

fn is_silent(reason: &Reason) -> bool {
    reason.text.ends_with("is being created") || reason.text.starts_with(HANGS)
}

/// Whether a pod is scheduled, needs a network of its own, and has no event of Multus.
fn asks_multus(pod: &Value, events: &[Value]) -> bool {
    let told = events.iter().any(|event| is_about(event, pod) && event["reason"] == "AddedInterface");
    !told && pod["spec"]["hostNetwork"] != true && !text(pod, "/spec/nodeName").is_empty()
}

/// The network of the NIC that Multus makes next: it makes them in the order of the annotation, with an event for each.
/// None when it has reported none, or all.
fn being_made(pod: &Value, events: &[Value]) -> Option<String> {
    let told: Vec<String> = events
        .iter()
        .filter(|event| is_about(event, pod) && event["reason"] == "AddedInterface")
        .map(message)
        .collect();
    // `Add eth0 [10.244.0.5/24] from cbr0`
    let made: BTreeSet<&str> = told.iter().filter_map(|told| told.split_whitespace().nth(1)).collect();
    asked(pod).wishes.get(made.len().checked_sub(1)?).map(crate::facts::attachments::Wish::network)
}

const HANGS: &str =
    "its sandbox is not created in time, and nothing says why: a network plugin or the runtime hangs";

/// What an event says about a starting pod; none when it says nothing about that.
fn told_by(event: &Value) -> Option<Reason> {
    let told = message(event);
    let of = |cause: Cause, text: String| Some(Reason { cause, text });
    match event["reason"].as_str().unwrap_or_default() {
        "FailedCreatePodSandBox" | "FailedCreatePodSandbox" if is_late(&told) => {
            of(Cause::Network, format!("{HANGS} ({})", innermost(&told).cause))
        }
        "FailedCreatePodSandBox" | "FailedCreatePodSandbox" => {
            let error = innermost(&told);
            of(if error.of_network { Cause::Network } else { Cause::Container }, error.to_string())
        }
        "NoNetworkFound" | "NetworkNotReady" => {
            of(Cause::Network, format!("its network cannot be set up: {}", shortened(&told)))
        }
        // The kubelet reports this for every new pod, and nothing is missing.
        "FailedMount" if told.ends_with("not registered") => None,
        "FailedMount" | "FailedAttachVolume" | "FailedMapVolume" => of(Cause::Volume, shortened(&told)),
        "Pulling" => of(Cause::Image, lower(&shortened(&told))),
        "Failed" | "InspectFailed" | "ErrImageNeverPull" | "BackOff" => {
            let cause = if told.to_lowercase().contains("image") { Cause::Image } else { Cause::Container };
            of(cause, shortened(&told))
        }
        "FailedCreatePodContainer" | "FailedPostStartHook" | "FailedPreStopHook" | "FailedSync" => {
            of(Cause::Container, shortened(&told))
        }
        "Pulled" | "Created" | "Started" => of(Cause::Starting, "its containers are being started".into()),
        _ => None,
    }
}

/// Whether a sandbox was not created because something unknown hangs.
fn is_late(told: &str) -> bool {
    !told.contains("plugin type=") && LATE.iter().any(|sign| told.contains(sign))
}

/// The newest event of a pod. An earlier pod of that name has another uid.
fn newest<'a>(pod: &Value, events: &'a [Value], wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    // Of two at one time the later one in the list counts.
    events.iter().filter(|event| is_about(event, pod) && wanted(event)).max_by_key(|event| time(event))
}

fn is_about(event: &Value, pod: &Value) -> bool {
    let (uid, name) = (text(pod, "/metadata/uid"), text(pod, "/metadata/name"));
    let (its, of) = (text(event, "/involvedObject/uid"), text(event, "/involvedObject/name"));
    (uid.is_empty() || its.is_empty() || uid == its) && (name.is_empty() || of.is_empty() || name == of)
}

fn time(event: &Value) -> Option<Timestamp> {
    let places = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/eventTime",
        "/firstTimestamp",
        "/metadata/creationTimestamp",
    ];
    places.iter().filter_map(|place| text(event, place).parse().ok()).max()
}

fn message(event: &Value) -> String {
    event["message"].as_str().or(event["note"].as_str()).unwrap_or_default().to_owned()
}

fn lower(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn creating() -> Value {
        json!({"metadata": {"namespace": "n", "name": "a", "uid": "u2"}, "status": {"phase": "Pending", "containerStatuses": [
            {"name": "c", "image": "example.com/i:1", "state": {"waiting": {"reason": "ContainerCreating"}}}]}})
    }

    fn event(second: u32, reason: &str, message: &str) -> Value {
        json!({"involvedObject": {"name": "a", "uid": "u2"}, "reason": reason, "message": message,
            "lastTimestamp": format!("2026-01-01T00:00:{second:02}Z")})
    }

    const SANDBOX: &str = "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"0\": \
        plugin type=\"ovs\" failed (add): failed to find bridge br-typo";

    fn told(pod: &Value, events: &[Value]) -> (Cause, String) {
        let reason = reason(pod, events).unwrap();
        (reason.cause, reason.text)
    }

    #[test]
    fn a_pod_that_is_created_tells_what_its_newest_event_says() {
        let failed = event(5, "FailedCreatePodSandBox", SANDBOX);
        let bridge = (
            Cause::Network,
            "its network cannot be set up (plugin ovs): failed to find bridge br-typo".to_owned(),
        );
        let pulling = || event(9, "Pulling", "Pulling image \"example.com/i:1\"");
        for (events, expected) in [
            (vec![], (Cause::Starting, "container c is being created".to_owned())),
            (vec![failed.clone()], bridge.clone()),
            // Multus tells of the first NIC in each attempt, and the kubelet that it starts over.
            (
                vec![
                    failed.clone(),
                    event(6, "AddedInterface", "Add eth0 [10.244.0.5/24] from cbr0"),
                    event(7, "SandboxChanged", "Pod sandbox changed"),
                ],
                bridge.clone(),
            ),
            (vec![failed.clone(), pulling()], (Cause::Image, "pulling image \"example.com/i:1\"".to_owned())),
            (vec![pulling(), failed.clone()], (Cause::Image, "pulling image \"example.com/i:1\"".to_owned())),
            (
                vec![failed.clone(), event(9, "Pulled", "Successfully pulled image")],
                (Cause::Starting, "its containers are being started".to_owned()),
            ),
            (
                vec![event(
                    5,
                    "FailedMount",
                    "MountVolume.SetUp failed for volume \"x\" : secret \"x\" not found",
                )],
                (
                    Cause::Volume,
                    "MountVolume.SetUp failed for volume \"x\" : secret \"x\" not found".to_owned(),
                ),
            ),
            (
                vec![event(5, "NetworkNotReady", "network is not ready: cni plugin not initialized")],
                (
                    Cause::Network,
                    "its network cannot be set up: network is not ready: cni plugin not initialized"
                        .to_owned(),
                ),
            ),
        ] {
            assert_eq!(told(&creating(), &events), expected, "{events:?}");
        }
        let mut earlier = failed;
        earlier["involvedObject"]["uid"] = json!("u1");
        assert_eq!(told(&creating(), &[earlier]).0, Cause::Starting);
    }

    #[test]
    fn what_the_kubelet_says_of_every_new_pod_hides_nothing() {
        let waits = event(3, "NetworkNotReady", "network is not ready: cni plugin not initialized");
        let noise = "MountVolume.SetUp failed for volume \"kube-api-access-k7pvz\" : object \"default\"/\"kube-root-ca.crt\" not registered";
        let (cause, text) = told(&creating(), &[waits, event(5, "FailedMount", noise)]);
        assert_eq!((cause, text.contains("cni plugin not initialized")), (Cause::Network, true), "{text}");
        assert_eq!(told(&creating(), &[event(5, "FailedMount", noise)]).0, Cause::Starting);
    }

    #[test]
    fn a_slip_in_the_annotation_is_told_with_what_multus_says_of_it() {
        let told = |annotation: &str, says: &str| {
            let mut pod = creating();
            pod["metadata"]["annotations"] = json!({crate::formats::cni::NETWORKS: annotation});
            told(
                &pod,
                &[event(
                    5,
                    "FailedCreatePodSandBox",
                    &format!("{}{says}", SANDBOX.split("plugin").next().unwrap()),
                )],
            )
            .1
        };
        let missing = "cannot find a network-attachment-definition (null) in namespace (n)";
        let text = told("null", missing);
        assert!(
            text.contains(missing) && text.contains("the pod's annotation: `null` is a bare JSON value"),
            "{text}"
        );
        assert!(!told("5", "failed to find bridge br-typo").contains("annotation"));
        assert!(!told("a", missing).contains("the pod's annotation"));
        let text = told("a,", "Failed to parse: one or more items did not match");
        assert!(
            text.ends_with("the pod's annotation: entry 2 is empty: there is a comma too many"),
            "{text}"
        );
    }

    /// As a plugin that never ends does on the real node: nothing for four minutes, then sandboxes that cannot be made.
    #[test]
    fn a_plugin_that_hangs_is_told_by_the_nic_that_is_not_made() {
        let mut pod = creating();
        pod["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/networks": "a,b"});
        let added = |second: u32, nic: &str| {
            event(second, "AddedInterface", &format!("Add {nic} [10.0.0.2/24] from x"))
        };
        let before = [added(1, "eth0"), added(2, "net1")];
        assert_eq!(
            told(&pod, &before),
            (Cause::Starting, "container c is being created; its NIC on n/b is being made".to_owned())
        );
        for late in [
            "Failed to create pod sandbox: rpc error: code = DeadlineExceeded desc = context deadline exceeded",
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to reserve sandbox name \"x_default_1_0\": name \"x_default_1_0\" is reserved for \"3e83\"",
        ] {
            let events = [&before[..], &[event(9, "FailedCreatePodSandBox", late)]].concat();
            let (cause, text) = told(&pod, &events);
            assert_eq!(cause, Cause::Network);
            for part in ["hangs", "its NIC on n/b is being made"] {
                assert!(text.contains(part), "{text}");
            }
        }
        let all = [&before[..], &[added(3, "net2")]].concat();
        assert_eq!(told(&pod, &all).1, "container c is being created");
        assert_eq!(told(&pod, &[]).1, "container c is being created");
    }

    #[test]
    fn events_of_a_pod_that_runs_are_history() {
        let mut pod = creating();
        pod["status"]["containerStatuses"][0]["state"] = json!({"running": {}});
        let (cause, text) = told(&pod, &[event(5, "FailedCreatePodSandBox", SANDBOX)]);
        assert_eq!((cause, text.as_str()), (Cause::Container, "container c runs, but is not ready"));
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        assert_eq!(reason(&pod, &[event(5, "FailedCreatePodSandBox", SANDBOX)]), None);
    }

    #[test]
    fn an_image_that_is_waited_for_is_told_with_why_it_could_not_be_pulled() {
        let mut pod = creating();
        pod["status"]["containerStatuses"][0]["state"]["waiting"] =
            json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"example.com/i:1\""});
        let failed = "Failed to pull image \"example.com/i:1\": rpc error: code = NotFound desc = example.com/i:1: not found";
        let events = [event(5, "Failed", failed), event(6, "Failed", "Error: ImagePullBackOff")];
        let (cause, text) = told(&pod, &events);
        assert_eq!(cause, Cause::Image);
        assert!(text.contains("ImagePullBackOff") && text.ends_with("example.com/i:1: not found"), "{text}");
    }

    #[test]
    fn an_image_is_told_only_when_it_is_one() {
        let mut pod = creating();
        pod["status"]["containerStatuses"][0]["state"]["waiting"] =
            json!({"reason": "ErrImagePull", "message": "not found"});
        assert_eq!(told(&pod, &[]).0, Cause::Image);
        assert!(!told(&creating(), &[]).1.contains("image"));
    }
}
