//! Watches: changes in the store as events.

use std::time::Duration;

use futures::{Stream, stream};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::ApiServer;
use super::kinds::Kind;
use super::objects::shown;
use super::select::Selector;
use super::status::Status;
use crate::store::Changed;

/// How long a watch lasts that does not say; the real server takes half an hour to an hour.
const DEFAULT_TIME: u64 = 1800;
/// How long before its end a watch that wants bookmarks gets one.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// A watch that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub kind: Kind,
    pub namespace: Option<String>,
    pub selector: Selector,
    /// Events are for what came after it.
    pub revision: u64,
    pub bookmarks: bool,
    pub seconds: Option<u64>,
    /// Objects that count as new at the begin.
    pub initial: Vec<Value>,
}

struct Following {
    server: ApiServer,
    start: Start,
    revisions: watch::Receiver<u64>,
    ready: Vec<Value>,
    deadline: Instant,
    bookmarked: bool,
    over: bool,
}

/// The events of a watch, until its time is over.
pub(super) fn events(server: ApiServer, start: Start) -> impl Stream<Item = Value> + Send {
    let revisions = server.0.store.revisions();
    let deadline = Instant::now() + Duration::from_secs(start.seconds.unwrap_or(DEFAULT_TIME));
    let ready = start.initial.iter().rev().map(|object| event("ADDED", object)).collect();
    let has_time = start.seconds.is_none_or(|seconds| seconds > BOOKMARK_BEFORE_END.as_secs());
    let bookmarked = !start.bookmarks || !has_time;
    let following = Following { server, start, revisions, ready, deadline, bookmarked, over: false };
    stream::unfold(following, |mut following| async move {
        let event = following.next().await?;
        Some((event, following))
    })
}

impl Following {
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.ready.pop() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.revisions.mark_unchanged();
            match self.server.0.store.changes_after(self.start.revision) {
                None => {
                    self.over = true;
                    let now = *self.revisions.borrow();
                    let from = self.start.revision;
                    let mut status = Status::expired(format!("too old resource version: {from} ({now})"));
                    if !self.start.kind.tracks {
                        status.reason = "Gone";
                    }
                    return Some(event("ERROR", &status.json()));
                }
                Some(changes) => self.take(&changes),
            }
            if self.ready.is_empty() && self.wait().await.is_none() {
                return None;
            }
        }
    }

    fn take(&mut self, changes: &[Changed]) {
        let mine = changes.iter().filter(|changed| self.is_mine(&changed.key));
        self.ready = mine.filter_map(|changed| self.event_of(changed)).rev().collect();
        if let Some(last) = changes.last() {
            self.start.revision = last.revision;
        }
    }

    fn is_mine(&self, key: &str) -> bool {
        let Some(rest) = key.strip_prefix(&self.start.kind.prefix()) else { return false };
        let namespace = rest.split('/').next();
        self.start.namespace.is_none() || namespace == self.start.namespace.as_deref()
    }

    /// For a watch, an object that no longer matches the selector is deleted.
    fn event_of(&self, changed: &Changed) -> Option<Value> {
        let fits = |object: &Option<std::sync::Arc<Value>>| {
            object.as_ref().filter(|object| self.start.selector.fits(object)).cloned()
        };
        let (kind, object) = match (fits(&changed.before), fits(&changed.after)) {
            (None, Some(after)) => ("ADDED", after),
            (Some(_), Some(after)) => ("MODIFIED", after),
            (Some(before), None) => ("DELETED", before),
            (None, None) => return None,
        };
        let mut object = shown(&object, &self.start.kind);
        object["metadata"]["resourceVersion"] = changed.revision.to_string().into();
        Some(event(kind, &object))
    }

    /// Until something may have changed; none when the time is over.
    async fn wait(&mut self) -> Option<()> {
        let until = if self.bookmarked { self.deadline } else { self.deadline - BOOKMARK_BEFORE_END };
        match tokio::time::timeout_at(until, self.revisions.changed()).await {
            Ok(changed) => changed.ok(),
            Err(_) if self.bookmarked => None,
            Err(_) => {
                self.bookmarked = true;
                self.ready.push(self.bookmark());
                Some(())
            }
        }
    }

    fn bookmark(&self) -> Value {
        let kind = &self.start.kind;
        let metadata = json!({"resourceVersion": self.start.revision.to_string()});
        event("BOOKMARK", &json!({"kind": kind.kind, "apiVersion": kind.api_version(), "metadata": metadata}))
    }
}

fn event(kind: &str, object: &Value) -> Value {
    json!({"type": kind, "object": object})
}
