//! Why a pod does not start: its conditions, its containers, and what was told about it in events.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::network_error::{innermost, shortened};
use super::{Waits, has_succeeded, is_ready, state_of};
use crate::cluster::Cluster;
use crate::cluster::api::{encode, text};
use crate::cluster::request::{Call, Outcome};
use crate::error::Result;

/// What keeps a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No node takes it.
    Unscheduled,
    /// Its network cannot be set up.
    Network,
    /// An image is pulled, or cannot be.
    Image,
    /// A volume is missing.
    Volume,
    /// A container ends, is refused or is not ready.
    Container,
    /// It is ending or has failed.
    Ended,
    /// Nothing is known to be wrong yet.
    Starting,
}

/// Why a pod waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What keeps it.
    pub cause: Cause,
    /// In words.
    pub text: String,
}

impl Cluster {
    /// Why a pod is not Ready, with what its newest event tells; none when nothing keeps it.
    ///
    /// # Errors
    /// Those of a request for events.
    pub async fn why_pod_waits(&self, pod: &Value) -> Result<Option<String>> {
        Ok(self.reason_of(pod).await?.map(|reason| reason.text))
    }

    /// As [`Cluster::why_pod_waits`], with what kind of reason it is.
    ///
    /// # Errors
    /// Those of a request for events.
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
        let events = match self.call(&Call::get(path).once()).await? {
            Outcome::Done(list) => list["items"].as_array().cloned().unwrap_or_default(),
            // Who may not read events still hears what the pod itself says.
            Outcome::Refused(_) => Vec::new(),
        };
        Ok(reason(pod, &events))
    }

    /// The reasons of the pods that wait, at most so many, each told once. Events that cannot be read are left out.
    pub(in crate::cluster) async fn reasons_of(&self, pods: &[Value], most: usize) -> Vec<(String, String)> {
        let (mut found, mut told) = (Vec::new(), BTreeSet::new());
        for pod in pods {
            let reason = Box::pin(self.why_pod_waits(pod)).await.unwrap_or_else(|_| super::why_waiting(pod));
            if let Some(reason) = reason.filter(|reason| told.insert(reason.clone())) {
                found.push((text(pod, "/metadata/name").to_owned(), reason));
            }
            if found.len() == most {
                break;
            }
        }
        found
    }
}

/// Why a pod waits, from itself and from events, among which those of other pods may be; none when nothing keeps it.
#[must_use]
pub fn reason(pod: &Value, events: &[Value]) -> Option<Reason> {
    let waits = state_of(pod)?;
    let cause = match waits {
        Waits::Unscheduled(text) => return Some(Reason { cause: Cause::Unscheduled, text }),
        Waits::Ended(text) => return Some(Reason { cause: Cause::Ended, text }),
        Waits::Failing(text) => {
            let is_image =
                ["ImagePull", "ErrImage", "InvalidImage", "ImageInspect"].iter().any(|it| text.contains(it));
            return Some(Reason { cause: if is_image { Cause::Image } else { Cause::Container }, text });
        }
        Waits::NotReady(text) => {
            let probe = newest(pod, events, &|event| event["reason"] == "Unhealthy");
            let probe = probe.map(|event| format!(": {}", shortened(&message(event)))).unwrap_or_default();
            return Some(Reason { cause: Cause::Container, text: format!("{text}{probe}") });
        }
        Waits::Starting(text) => text,
    };
    let told = newest(pod, events, &|event| told_by(event).is_some()).and_then(told_by);
    told.or(Some(Reason { cause: Cause::Starting, text: cause }))
}

/// What an event tells about a pod that starts; none when it tells nothing about that.
fn told_by(event: &Value) -> Option<Reason> {
    let told = message(event);
    let of = |cause: Cause, text: String| Some(Reason { cause, text });
    match event["reason"].as_str().unwrap_or_default() {
        "FailedCreatePodSandBox" | "FailedCreatePodSandbox" => {
            let error = innermost(&told);
            of(if error.of_network { Cause::Network } else { Cause::Container }, error.to_string())
        }
        "NoNetworkFound" | "NetworkNotReady" => {
            of(Cause::Network, format!("its network cannot be set up: {}", shortened(&told)))
        }
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

/// The newest event of a pod. An earlier pod of that name has another uid.
fn newest<'a>(pod: &Value, events: &'a [Value], wanted: &dyn Fn(&Value) -> bool) -> Option<&'a Value> {
    let (uid, name) = (text(pod, "/metadata/uid"), text(pod, "/metadata/name"));
    let is_its = |event: &&Value| {
        let (its, of) = (text(event, "/involvedObject/uid"), text(event, "/involvedObject/name"));
        (uid.is_empty() || its.is_empty() || uid == its) && (name.is_empty() || of.is_empty() || name == of)
    };
    // Of two at one time the later one in the list counts.
    events.iter().filter(is_its).filter(|event| wanted(event)).max_by_key(|event| time(event))
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
            // Multus tells of the first NIC in each attempt, and the kubelet that it begins anew.
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
    fn events_of_a_pod_that_runs_are_history() {
        let mut pod = creating();
        pod["status"]["containerStatuses"][0]["state"] = json!({"running": {}});
        let (cause, text) = told(&pod, &[event(5, "FailedCreatePodSandBox", SANDBOX)]);
        assert_eq!((cause, text.as_str()), (Cause::Container, "container c runs, but is not ready"));
        pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
        assert_eq!(reason(&pod, &[event(5, "FailedCreatePodSandBox", SANDBOX)]), None);
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
