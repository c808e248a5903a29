//! Waiting for conditions, driven by watches, with the reason why it takes so long.

use std::time::Duration;

use serde_json::Value;

use super::api::{encode, text};
use super::conditions::{Scope, holds_in};
use super::pods::{selector_of, why_unplaced, why_waiting};
use super::request::{Call, Outcome};
use super::watch::{Followed, Sight};
use super::{Cluster, Condition, ObjectKey, components};
use crate::error::{Error, Result, code};

/// How many pods are named in a reason.
const NAMED_PODS: usize = 2;

/// Receives a short reason whenever what is waited for changes.
pub type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

impl Cluster {
    /// Waits until a condition holds.
    ///
    /// # Errors
    /// `KVN305` after `timeout`, with what is missing; `KVN302` when it may not look; `KVN505` for [`Condition::File`].
    pub async fn wait(&self, condition: &Condition, timeout: Duration, progress: Progress<'_>) -> Result<()> {
        let scope = scope_of(condition)?;
        let mut told = Told::new(progress);
        if let Ok(result) = tokio::time::timeout(timeout, self.until(condition, scope, &mut told)).await {
            return result;
        }
        let warning = self.last_warning(condition).await;
        Err(late(&condition.to_string(), timeout, &told.summary(), warning))
    }

    async fn until(&self, condition: &Condition, scope: Scope, told: &mut Told<'_>) -> Result<()> {
        let mut objects = self.follow(scope);
        let mut pods: Option<Followed> = None;
        let (mut live, mut live_pods) = (Vec::new(), Vec::new());
        loop {
            // Whichever changes first; the pods only explain.
            let (sight, of_pods) = tokio::select! {
                sight = objects.next() => (sight?, false),
                sight = next_of(&mut pods) => (sight?, true),
            };
            match sight {
                Sight::Objects(now) if of_pods => live_pods = now,
                Sight::Objects(now) => live = now,
                Sight::Trouble(now) => {
                    told.say(now);
                    continue;
                }
                Sight::Fatal(error) => return Err(error),
            }
            let (holds, now) = holds_in(condition, &live);
            if holds {
                return Ok(());
            }
            if let Some(reason) = components::ended(condition, live.first()) {
                return Err(
                    Error::new(&code::VM_ENDED, format!("{condition} cannot be waited for")).because(reason)
                );
            }
            if pods.is_none() {
                pods = pod_scope(condition, &live).map(|scope| self.follow(scope));
            }
            told.miss(self.explained(condition, now, &live, &live_pods).await);
        }
    }

    /// Whether a condition holds now, and what is the case.
    ///
    /// # Errors
    /// Those of [`Cluster::get`]; `KVN505` for [`Condition::File`].
    pub async fn holds(&self, condition: &Condition) -> Result<(bool, String)> {
        let scope = scope_of(condition)?;
        let namespace = scope.namespace.as_deref();
        let live = match &scope.name {
            Some(name) => {
                let key = ObjectKey::new(&scope.api_version, &scope.kind, namespace, name);
                self.get(&key).await?.into_iter().collect()
            }
            None => self.list(&scope.api_version, &scope.kind, namespace, scope.selector.as_deref()).await?,
        };
        let (holds, now) = holds_in(condition, &live);
        let Some(pods) = pod_scope(condition, &live).filter(|_| !holds) else { return Ok((holds, now)) };
        let pods = self.list("v1", "Pod", pods.namespace.as_deref(), pods.selector.as_deref()).await?;
        Ok((false, self.explained(condition, now, &live, &pods).await))
    }

    /// What is the case, with the reasons of the pods, or of the nodes when there are no pods.
    async fn explained(&self, condition: &Condition, now: String, live: &[Value], pods: &[Value]) -> String {
        let Some(workload) = live.first() else { return now };
        let Condition::RolledOut { .. } = condition else {
            return join(&now, components::explain(condition, workload, pods));
        };
        if wants_no_pod(workload) {
            let nodes = self.list("v1", "Node", None, None).await.unwrap_or_default();
            return join(&now, why_unplaced(workload, &nodes));
        }
        let mut reasons: Vec<String> = pods.iter().filter_map(why_waiting).collect();
        reasons.dedup();
        reasons.truncate(NAMED_PODS);
        join(&now, (!reasons.is_empty()).then(|| reasons.join("; ")))
    }

    /// The newest warning about the pods behind a condition: a sandbox that cannot be made is told nowhere else.
    async fn last_warning(&self, condition: &Condition) -> Option<String> {
        let (Condition::RolledOut { object }
        | Condition::True { object, .. }
        | Condition::Field { object, .. }) = condition
        else {
            return None;
        };
        let live = self.get(object).await.ok()?;
        let scope = pod_scope(condition, live.as_slice())?;
        let namespace = scope.namespace.as_deref()?;
        let pods = self.list("v1", "Pod", Some(namespace), scope.selector.as_deref()).await.ok()?;
        let pod = pods.iter().find(|pod| why_waiting(pod).is_some())?;
        let selector = format!("type=Warning,involvedObject.name={}", text(pod, "/metadata/name"));
        let path = format!("/api/v1/namespaces/{namespace}/events?fieldSelector={}", encode(&selector));
        let Ok(Outcome::Done(list)) = self.call(&Call::get(path).once()).await else { return None };
        newest(list.get("items")?.as_array()?)
    }

    /// Waits until `count` pods match, returning them; `predicate` is usually [`super::is_ready`] or
    /// [`super::has_succeeded`].
    ///
    /// # Errors
    /// As [`Cluster::wait`].
    pub async fn wait_pods(
        &self,
        namespace: &str,
        label_selector: &str,
        count: usize,
        predicate: &(dyn Fn(&Value) -> bool + Send + Sync),
        timeout: Duration,
        progress: Progress<'_>,
    ) -> Result<Vec<Value>> {
        let mut told = Told::new(progress);
        let enough = |pods: &[Value]| pods.iter().filter(|pod| predicate(pod)).count() >= count;
        let mut followed = self.follow(Scope::pods(namespace, label_selector));
        let settled = settle(&mut followed, &enough, &mut told, Some(count));
        if let Ok(pods) = tokio::time::timeout(timeout, settled).await {
            return Ok(pods?.into_iter().filter(|pod| predicate(pod)).collect());
        }
        let what = format!("{count} pods with {label_selector} in {namespace} to be ready");
        Err(late(&what, timeout, &told.summary(), None))
    }

    /// Waits until no pod matches the selector.
    ///
    /// # Errors
    /// As [`Cluster::wait`].
    pub async fn wait_gone(&self, namespace: &str, label_selector: &str, timeout: Duration) -> Result<()> {
        let mut told = Told::new(&|_| {});
        let mut followed = self.follow(Scope::pods(namespace, label_selector));
        let settled = settle(&mut followed, &|pods: &[Value]| pods.is_empty(), &mut told, None);
        if let Ok(result) = tokio::time::timeout(timeout, settled).await {
            return result.map(|_| ());
        }
        let what = format!("the pods with {label_selector} in {namespace} to be gone");
        Err(late(&what, timeout, &told.summary(), None))
    }
}

/// What was told last, so that a reason is told once.
struct Told<'a> {
    last: String,
    /// What was last seen to be missing; trouble with the API server does not hide it.
    missing: String,
    progress: Progress<'a>,
}

impl<'a> Told<'a> {
    fn new(progress: Progress<'a>) -> Self {
        Self { last: String::new(), missing: String::new(), progress }
    }

    fn miss(&mut self, now: String) {
        self.missing.clone_from(&now);
        self.say(now);
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
        if now != self.last {
            (self.progress)(now.clone());
            self.last = now;
        }
    }
}

/// The next sight of what may not be followed yet.
async fn next_of(followed: &mut Option<Followed>) -> Result<Sight> {
    match followed {
        Some(followed) => followed.next().await,
        None => std::future::pending().await,
    }
}

/// The pods as soon as they are enough.
async fn settle(
    followed: &mut Followed,
    enough: &(dyn Fn(&[Value]) -> bool + Send + Sync),
    told: &mut Told<'_>,
    count: Option<usize>,
) -> Result<Vec<Value>> {
    loop {
        match followed.next().await? {
            Sight::Objects(pods) if enough(&pods) => return Ok(pods),
            Sight::Objects(pods) => told.miss(summary(&pods, count)),
            Sight::Trouble(now) => told.say(now),
            Sight::Fatal(error) => return Err(error),
        }
    }
}

fn summary(pods: &[Value], count: Option<usize>) -> String {
    let Some(count) = count else { return format!("{} pods are left", pods.len()) };
    let waiting: Vec<String> = pods
        .iter()
        .filter_map(|pod| Some(format!("{}: {}", text(pod, "/metadata/name"), why_waiting(pod)?)))
        .collect();
    let ready = pods.len() - waiting.len();
    let named: Vec<&str> = waiting.iter().take(NAMED_PODS).map(String::as_str).collect();
    join(&format!("{ready} of {count} ready"), (!named.is_empty()).then(|| named.join("; ")))
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

/// Whether a DaemonSet finds no node, as opposed to one whose controller has not looked yet.
fn wants_no_pod(workload: &Value) -> bool {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_i64);
    text(workload, "/kind") == "DaemonSet"
        && number("/status/desiredNumberScheduled") == Some(0)
        && number("/status/observedGeneration") >= number("/metadata/generation")
}

fn newest(events: &[Value]) -> Option<String> {
    let time = |event: &Value| {
        let last = text(event, "/lastTimestamp");
        if last.is_empty() { text(event, "/eventTime").to_owned() } else { last.to_owned() }
    };
    let event = events.iter().max_by_key(|event| time(event))?;
    let message: String = text(event, "/message").chars().take(300).collect();
    Some(format!("{}: {message}", text(event, "/reason")))
}

fn join(now: &str, reason: Option<String>) -> String {
    reason.map_or_else(|| now.to_owned(), |reason| format!("{now}, {reason}"))
}

fn late(what: &str, timeout: Duration, last: &str, warning: Option<String>) -> Error {
    let cause = warning.map_or_else(|| last.to_owned(), |warning| format!("{last}; {warning}"));
    Error::new(&code::CLUSTER_TIMEOUT, format!("waited {} s for {what}", timeout.as_secs())).because(cause)
}
