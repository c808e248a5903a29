//! Waiting for conditions, driven by watches, with the reason for the delay.

use std::time::Duration;

use serde_json::Value;

use super::conditions::{Scope, holds_in};
use super::pods::lasting::{Lasting, Stuck, current};
use super::pods::reasons::{Cause, Reason};
use super::pods::{selector_of, why_unplaced, why_waiting};
use super::watch::{Followed, Sight};
use super::{Cluster, Condition, ObjectKey, components};
use crate::error::{Error, Result, code};
use crate::formats::object::text;

/// How often events of waiting pods are read again.
const EVENTS: Duration = Duration::from_secs(2);
/// For how many pods events are read.
const MOST_EXPLAINED: usize = 6;
/// How many pods are named in a reason.
const NAMED_PODS: usize = 2;

/// Receives a short reason whenever what is waited for changes.
pub type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Cluster {
    /// Waits until a condition holds, or until the pods behind it are blocked by something that is not transient.
    /// Fails with `KVN305` after `timeout`, with what is missing; before it the code of what blocks a pod permanently;
    /// `KVN302` without permission; `KVN505` for [`Condition::File`].
    pub async fn wait(&self, condition: &Condition, timeout: Duration, progress: Progress<'_>) -> Result<()> {
        let scope = scope_of(condition)?;
        let mut told = Told::new(progress);
        if let Ok(result) = tokio::time::timeout(timeout, self.until(condition, scope, &mut told)).await {
            return result;
        }
        Err(late(&condition.to_string(), timeout, &told.summary()))
    }

    async fn until(&self, condition: &Condition, scope: Scope, told: &mut Told<'_>) -> Result<()> {
        let mut objects = self.follow(scope);
        let mut pods: Option<Followed> = None;
        let (mut live, mut live_pods) = (Vec::new(), Vec::new());
        let mut lasting = Lasting::default();
        loop {
            // Whichever changes first; the pods only explain.
            let (sight, of_pods) = tokio::select! {
                sight = objects.next() => (Some(sight?), false),
                sight = next_of(&mut pods) => (Some(sight?), true),
                () = tokio::time::sleep(EVENTS), if !live_pods.is_empty() => (None, true),
            };
            match sight {
                // Its network fails without a change of the pod.
                None => {}
                Some(Sight::Objects(now)) if of_pods => live_pods = now,
                Some(Sight::Objects(now)) => live = now,
                Some(Sight::Unreachable(now)) => {
                    told.say(now);
                    continue;
                }
                Some(Sight::Fatal(error)) => return Err(error),
            }
            let (holds, now) = holds_in(condition, &live);
            if holds {
                return Ok(());
            }
            if let Some(reason) = components::ended(condition, live.first()) {
                return Err(Error::new(&code::VM_ENDED, format!("{condition} cannot be waited for"))
                    .because(told.with_reason(reason)));
            }
            if pods.is_none() {
                pods = pod_scope(condition, &live).map(|scope| self.follow(scope));
            }
            let (now, reasons) = Box::pin(self.explained(condition, now, &live, &live_pods)).await;
            told.miss(now);
            // Before its pods exist, that is all there is to say.
            if pods.is_some()
                && let Some(stuck) = Box::pin(lasting.look(self, &reasons)).await
            {
                return Err(in_vain(&condition.to_string(), &stuck));
            }
        }
    }

    /// The current state, and the reasons of the pods that count, or of the nodes when there are no pods.
    async fn explained(
        &self,
        condition: &Condition,
        now: String,
        live: &[Value],
        pods: &[Value],
    ) -> (String, Vec<(String, Reason)>) {
        let Some(workload) = live.first() else { return (now, Vec::new()) };
        let is_roll_out = matches!(condition, Condition::RolledOut { .. });
        if is_roll_out && wants_no_pod(workload) {
            let nodes = self.list("v1", "Node", None, None).await.unwrap_or_default();
            let why = why_unplaced(workload, &nodes);
            return (join(&now, why.clone()), unplaced(workload, why).into_iter().collect());
        }
        let reasons = Box::pin(self.reasons_of(pods, MOST_EXPLAINED)).await;
        let named = |pod: &Value| {
            reasons
                .iter()
                .find(|(name, _)| name == text(pod, "/metadata/name"))
                .map(|(_, it)| it.text.clone())
        };
        let told = if is_roll_out {
            let named: Vec<&str> =
                reasons.iter().take(NAMED_PODS).map(|(_, reason)| reason.text.as_str()).collect();
            (!named.is_empty()).then(|| named.join("; "))
        } else {
            let why = |pod: &Value| why_waiting(pod).map(|own| named(pod).unwrap_or(own));
            components::explain(condition, workload, pods, &why)
        };
        (join(&now, told), counting(reasons, pods))
    }

    /// Waits until `count` pods match, returning them; `predicate` is usually [`super::is_ready`] or
    /// [`super::has_succeeded`].
    pub async fn wait_pods(
        &self,
        namespace: &str,
        label_selector: &str,
        count: usize,
        predicate: &(dyn Fn(&Value) -> bool + Send + Sync),
        timeout: Duration,
        progress: Progress<'_>,
    ) -> Result<Vec<Value>> {
        let what = format!("{count} pods with {label_selector} in {namespace} to be ready");
        let mut told = Told { what: what.clone(), ..Told::new(progress) };
        let enough = |pods: &[Value]| pods.iter().filter(|pod| predicate(pod)).count() >= count;
        let mut followed = self.follow(Scope::pods(namespace, label_selector));
        let settled = self.settle(&mut followed, &enough, &mut told, Some(count));
        if let Ok(pods) = tokio::time::timeout(timeout, settled).await {
            return Ok(pods?.into_iter().filter(|pod| predicate(pod)).collect());
        }
        Err(late(&what, timeout, &told.summary()))
    }

    /// Waits until no pod matches the selector.
    pub async fn wait_gone(&self, namespace: &str, label_selector: &str, timeout: Duration) -> Result<()> {
        let mut told = Told::new(&|_| {});
        let mut followed = self.follow(Scope::pods(namespace, label_selector));
        let settled = self.settle(&mut followed, &|pods: &[Value]| pods.is_empty(), &mut told, None);
        if let Ok(result) = tokio::time::timeout(timeout, settled).await {
            return result.map(|_| ());
        }
        let what = format!("the pods with {label_selector} in {namespace} to be gone");
        Err(late(&what, timeout, &told.summary()))
    }

    /// The pods as soon as there are enough.
    async fn settle(
        &self,
        followed: &mut Followed,
        enough: &(dyn Fn(&[Value]) -> bool + Send + Sync),
        told: &mut Told<'_>,
        count: Option<usize>,
    ) -> Result<Vec<Value>> {
        let mut seen = Vec::new();
        let mut lasting = Lasting::default();
        loop {
            let sight = tokio::select! {
                sight = followed.next() => Some(sight?),
                () = tokio::time::sleep(EVENTS), if !seen.is_empty() => None,
            };
            match sight {
                None => {}
                Some(Sight::Objects(pods)) if enough(&pods) => return Ok(pods),
                Some(Sight::Objects(pods)) => seen = pods,
                Some(Sight::Unreachable(now)) => {
                    told.say(now);
                    continue;
                }
                Some(Sight::Fatal(error)) => return Err(error),
            }
            let Some(count) = count else {
                told.miss(format!("{} pods are left", seen.len()));
                continue;
            };
            let (now, reasons) = Box::pin(self.summary(&seen, count)).await;
            told.miss(now);
            if let Some(stuck) = Box::pin(lasting.look(self, &reasons)).await {
                return Err(in_vain(&told.what, &stuck));
            }
        }
    }

    async fn summary(&self, pods: &[Value], count: usize) -> (String, Vec<(String, Reason)>) {
        let ready = pods.iter().filter(|pod| why_waiting(pod).is_none()).count();
        let waiting = Box::pin(self.reasons_of(pods, MOST_EXPLAINED)).await;
        let named = waiting.iter().take(NAMED_PODS).map(|(pod, reason)| format!("{pod}: {}", reason.text));
        let named: Vec<String> = named.collect();
        let now = join(&format!("{ready} of {count} ready"), (!named.is_empty()).then(|| named.join("; ")));
        (now, counting(waiting, pods))
    }
}

/// What was reported last, so that a reason is reported once.
struct Told<'a> {
    /// What is waited for.
    what: String,
    last: String,
    /// What was last seen to be missing; API server trouble does not hide it.
    missing: String,
    progress: Progress<'a>,
}

impl<'a> Told<'a> {
    fn new(progress: Progress<'a>) -> Self {
        Self { what: String::new(), last: String::new(), missing: String::new(), progress }
    }

    fn miss(&mut self, now: String) {
        self.missing.clone_from(&now);
        self.say(now);
    }

    /// What has ended often says less than the pod said before.
    fn with_reason(&self, end: String) -> String {
        if self.missing.is_empty() { end } else { format!("{end}; before that: {}", self.missing) }
    }

    /// For the error at the deadline.
    fn summary(&self) -> String {
        match (self.missing.is_empty(), self.last == self.missing) {
            (true, _) if self.last.is_empty() => "the API server did not answer".to_owned(),
            (true, _) => self.last.clone(),
            (false, true) => self.missing.clone(),
            (false, false) => format!("{}; {}", self.missing, self.last),
        }
    }

    fn say(&mut self, now: String) {
        if without_ids(&now) != without_ids(&self.last) {
            (self.progress)(now.clone());
        }
        self.last = now;
    }
}

/// A reason without the ids in it, which differ at each attempt: of containers, sandboxes, pods.
fn without_ids(reason: &str) -> String {
    reason.split_inclusive(|c: char| !c.is_ascii_hexdigit() && c != '-').filter(|word| !is_id(word)).collect()
}

/// At least twelve digits of a hash, which the end of a UUID has too; the hashes in the names of pods are shorter.
fn is_id(word: &str) -> bool {
    let digits = |part: &str| part.chars().filter(char::is_ascii_hexdigit).count();
    word.split('-').any(|part| digits(part) >= 12 && part.contains(|c: char| c.is_ascii_digit()))
}

/// The next state of what may not be watched yet.
async fn next_of(followed: &mut Option<Followed>) -> Result<Sight> {
    match followed {
        Some(followed) => followed.next().await,
        None => std::future::pending().await,
    }
}

fn scope_of(condition: &Condition) -> Result<Scope> {
    Scope::of(condition)
        .ok_or_else(|| Error::new(&code::INTERNAL, format!("the API cannot wait for {condition}")))
}

/// The pods behind what a condition waits for.
fn pod_scope(condition: &Condition, live: &[Value]) -> Option<Scope> {
    let Condition::RolledOut { object } = condition else {
        return components::pod_scope(condition, live.first());
    };
    let selector = selector_of(live.first()?)?;
    Some(Scope::pods(object.namespace.as_deref().unwrap_or("default"), &selector))
}

/// Whether a DaemonSet finds no node, as opposed to one whose controller has not run yet.
fn wants_no_pod(workload: &Value) -> bool {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    text(workload, "/kind") == "DaemonSet"
        && number("/status/desiredNumberScheduled") == Some(0)
        && number("/status/observedGeneration") >= number("/metadata/generation")
}

/// Without those of pods that are about to be replaced.
fn counting(mut reasons: Vec<(String, Reason)>, pods: &[Value]) -> Vec<(String, Reason)> {
    let current = current(pods);
    reasons.retain(|(name, _)| current.iter().any(|pod| text(pod, "/metadata/name") == name));
    reasons
}

/// That a workload's pods are unschedulable, as the reason of a pod.
fn unplaced(workload: &Value, why: Option<String>) -> Option<(String, Reason)> {
    let text = format!("no nodes are available: {}", why?);
    let name = ObjectKey::of(workload).to_string();
    Some((name, Reason { cause: Cause::Unscheduled, text }))
}

fn join(now: &str, reason: Option<String>) -> String {
    reason.map_or_else(|| now.to_owned(), |reason| format!("{now}, {reason}"))
}

/// A reason that has lasted so long that it needs action.
fn in_vain(what: &str, stuck: &Stuck) -> Error {
    let Stuck { pod, reason, sign } = stuck;
    let error =
        Error::new(sign.code, format!("gave up on {what}: what blocks it does not resolve by itself"));
    let error = error.because(format!("{pod}: {}", reason.text));
    match sign.hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn late(what: &str, timeout: Duration, last: &str) -> Error {
    Error::new(&code::CLUSTER_TIMEOUT, format!("waited {} s for {what}", timeout.as_secs())).because(last)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn each_try_of_a_container_is_not_news() {
        let heard = Mutex::new(Vec::new());
        let progress = |text: String| heard.lock().unwrap().push(text);
        let mut told = Told::new(&progress);
        let failed = |id: &str| {
            format!("container c: CreateContainerError: container \"{id}\" of pod {id}: failed to mkdir")
        };
        for id in ["3f0c9d4be2a15768", "a1b2c3d4e5f60718", "0b1e6c1e-7d11-4a3c-9d6a-0f64f0a5b2c1"] {
            told.miss(failed(id));
        }
        assert_eq!(heard.lock().unwrap().len(), 1, "{heard:?}");
        for reason in [
            "coredns-7db6d8ff4d-x2x4b: 1 of 3",
            "coredns-7db6d8ff4d-b5b5b: 1 of 3",
            "coredns-7db6d8ff4d-b5b5b: 2 of 3",
        ] {
            told.miss(reason.into());
        }
        assert_eq!(heard.lock().unwrap().len(), 4, "{heard:?}");
        // At the deadline the newest id is the one to look for.
        assert!(told.summary().contains("2 of 3"));
    }

    #[test]
    fn an_end_does_not_hide_why() {
        let mut told = Told::new(&|_| {});
        assert_eq!(told.with_reason("it is Failed".into()), "it is Failed");
        told.miss("it is Scheduled, container c ended: StartError".into());
        assert_eq!(
            told.with_reason("it is Failed".into()),
            "it is Failed; before that: it is Scheduled, container c ended: StartError"
        );
    }
}
