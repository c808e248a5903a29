//! Watching a set of objects: list, watch, and both again whenever the watch ends for any reason.

use std::time::Duration;

use futures::StreamExt;
use http::Request;
use kube::core::WatchEvent;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Cluster;
use super::api::query;
use super::conditions::Scope;
use super::refusal::{bounded, connection_error};
use super::request::back_off;
use crate::error::{Error, Kind, Result, code};
use crate::formats::object::text;

/// After so many seconds the server ends a watch and everything is listed again, which recovers a stale watch.
const WATCH_SECONDS: u64 = 50;
/// How much longer the client waits for that end, for connections that died silently.
const GRACE: Duration = Duration::from_secs(10);
/// A watch that ends sooner than this, without an event, is a failure.
const SHORT: Duration = Duration::from_secs(1);
/// The pause before a kind that is not served is tried again; it cannot be watched.
const UNSERVED_PAUSE: Duration = Duration::from_secs(1);

/// The state of the watched objects.
#[derive(Debug)]
pub(super) enum Sight {
    /// All of them, as they are now.
    Objects(Vec<Value>),
    /// The API server is currently unreachable.
    Unreachable(String),
    /// It refuses permanently.
    Fatal(Error),
}

/// Objects that are watched until this is dropped.
pub(super) struct Followed {
    sights: mpsc::Receiver<Sight>,
    task: JoinHandle<()>,
}

impl Followed {
    /// The next state. Cancel-safe.
    pub async fn next(&mut self) -> Result<Sight> {
        match self.sights.recv().await {
            Some(Sight::Fatal(error)) => Err(error),
            Some(sight) => Ok(sight),
            None => Err(Error::new(&code::INTERNAL, "a watch ended without a reason")),
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cluster {
    /// Watches the objects of a scope. The first state comes as soon as they are listed.
    pub(super) fn follow(&self, scope: Scope) -> Followed {
        let (sender, sights) = mpsc::channel(16);
        let follower = Follower { cluster: self.clone(), scope, sender, failures: 0 };
        Followed { sights, task: tokio::spawn(follower.run()) }
    }
}

struct Follower {
    cluster: Cluster,
    scope: Scope,
    sender: mpsc::Sender<Sight>,
    failures: u32,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let sight = match self.round().await {
                Ok(()) if self.failures == 0 => continue,
                Ok(()) => None,
                Err(error) if is_final(&error) => Some(Sight::Fatal(error)),
                Err(error) => {
                    self.failures += 1;
                    Some(Sight::Unreachable(error.to_string()))
                }
            };
            let end = matches!(sight, Some(Sight::Fatal(_)));
            if let Some(sight) = sight
                && (self.sender.send(sight).await.is_err() || end)
            {
                return;
            }
            tokio::time::sleep(back_off(self.failures)).await;
        }
    }

    /// One list and one watch.
    async fn round(&mut self) -> Result<()> {
        let Scope { api_version, kind, namespace, .. } = self.scope.clone();
        let path = match self.cluster.list_path(&api_version, &kind, namespace.as_deref()).await {
            Err(error) if error.code() == &code::CLUSTER_KIND => return self.unserved().await,
            path => path?,
        };
        let query = self.query();
        let (objects, version) = self.cluster.list_all(&path, &query, &api_version, &kind).await?;
        if version.is_empty() {
            if let Some(older) = self.scope.older.take() {
                self.scope.api_version = older;
                return Ok(());
            }
            return self.unserved().await;
        }
        self.show(&objects).await;
        let uri = format!(
            "{path}?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={version}{query}"
        );
        self.watch(&uri, objects).await
    }

    async fn unserved(&mut self) -> Result<()> {
        self.show(&[]).await;
        tokio::time::sleep(UNSERVED_PAUSE).await;
        Ok(())
    }

    fn query(&self) -> String {
        let name = self.scope.name.as_ref().map(|name| format!("metadata.name={name}"));
        query(&[("labelSelector", self.scope.selector.as_deref()), ("fieldSelector", name.as_deref())])
    }

    /// A dropped receiver aborts this task, so there is nothing to do when it does not listen.
    async fn show(&self, objects: &[Value]) {
        let _ = self.sender.send(Sight::Objects(objects.to_vec())).await;
    }

    async fn watch(&mut self, uri: &str, mut objects: Vec<Value>) -> Result<()> {
        self.cluster.login.refresh().await?;
        let begin = Instant::now();
        let deadline = begin + Duration::from_secs(WATCH_SECONDS) + GRACE;
        let request = Request::get(uri)
            .body(Vec::new())
            .map_err(|error| Error::new(&code::INTERNAL, "a watch is not a valid request").because(error))?;
        let events =
            tokio::time::timeout_at(deadline, self.cluster.client.request_events::<Value>(request)).await;
        let Ok(events) = events else { return Ok(()) };
        let mut events = std::pin::pin!(events.map_err(|error| self.failure(&error))?);
        let mut lively = false;
        while let Ok(Some(event)) = tokio::time::timeout_at(deadline, events.next()).await {
            let changed = match event {
                Err(kube::Error::Api(status)) | Ok(WatchEvent::Error(status)) if status.code == 410 => break,
                Err(error) => return Err(self.failure(&error)),
                Ok(event) => absorb(event, &mut objects, &self.scope),
            };
            lively = true;
            self.failures = 0;
            if changed {
                self.show(&objects).await;
            }
        }
        let healthy = lively || begin.elapsed() >= SHORT;
        self.failures = if healthy { 0 } else { self.failures + 1 };
        Ok(())
    }

    fn failure(&self, error: &kube::Error) -> Error {
        match error {
            kube::Error::Api(status) if status.code == 401 || status.code == 403 => {
                if let Some(error) = self.cluster.premature(status.code, &status.message) {
                    return error;
                }
                Error::new(&code::CLUSTER_DENIED, format!("watch of {}: not allowed", self.scope.kind))
                    .because(bounded(&status.message))
            }
            kube::Error::Api(status) => {
                Error::new(&code::CLUSTER_UNREACHABLE, format!("the watch of {} ended", self.scope.kind))
                    .because(bounded(&status.message))
            }
            error => {
                self.cluster.health.is_troubled();
                connection_error(&self.cluster.route, error).0
            }
        }
    }
}

/// Whether waiting longer is pointless.
fn is_final(error: &Error) -> bool {
    error.kind() != Kind::Transient
}

/// Applies an event to the set; returns whether it changed.
fn absorb(event: WatchEvent<Value>, objects: &mut Vec<Value>, scope: &Scope) -> bool {
    let identity = |object: &Value| {
        (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
    };
    match event {
        // Kubernetes sends nothing else, but a proxy may.
        WatchEvent::Added(mut object) | WatchEvent::Modified(mut object) if object.is_object() => {
            object["apiVersion"] = scope.api_version.as_str().into();
            object["kind"] = scope.kind.as_str().into();
            match objects.iter_mut().find(|known| identity(known) == identity(&object)) {
                Some(known) => *known = object,
                None => objects.push(object),
            }
            true
        }
        WatchEvent::Deleted(object) => {
            objects.retain(|known| identity(known) != identity(&object));
            true
        }
        _ => false,
    }
}
