//! The API server's health: whether it has just started, and refuses everybody for some seconds because it has not
//! loaded its RBAC rules yet; and whether it answers at all. That is found out once: callers after the first to give up
//! fail at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::Cluster;
use super::request::{ANSWER_TIME, ApiCall, PATIENCE};
use crate::error::{Error, Result, code};

/// How long after an outage a refusal may be wrong.
const STARTING: Duration = Duration::from_secs(30);
/// How long it counts as down, once it was given up; then it is tried again.
const GONE: Duration = Duration::from_secs(5);
/// How long it may take to show that it is alive, when a request has failed; less when there is less time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// What is known of the API server, shared by all its users.
#[derive(Clone, Debug)]
pub(super) struct Health {
    now: Arc<watch::Sender<Now>>,
    /// One caller probes, and the others share the result.
    asking: Arc<Mutex<()>>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    /// When it was last unreachable.
    troubled: Option<Instant>,
    /// When the first unanswered request was sent, and when the last one failed; none once there is an answer.
    failing: Option<(Instant, Instant)>,
    /// When it last answered, whatever the answer.
    answered: Option<Instant>,
    /// When it was given up, and why.
    gone: Option<(Instant, Error)>,
    /// Whether changes are in progress: then every request has its own timeout.
    acts: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self { now: Arc::new(watch::Sender::new(Now::default())), asking: Arc::default() }
    }
}

impl Health {
    /// It was unreachable just now.
    pub fn is_troubled(&self) {
        self.now.send_modify(|now| now.troubled = Some(Instant::now()));
    }

    /// It gave an answer that counts.
    pub fn has_answered(&self) {
        self.now.send_if_modified(|now| {
            now.answered = Some(Instant::now());
            now.failing.take().is_some() | now.gone.take().is_some()
        });
    }

    /// A request that was sent at `begin` got no answer.
    pub fn has_failed(&self, begin: Instant) {
        self.now.send_modify(|now| {
            let first = now.failing_since().map_or(begin, |first| first.min(begin));
            now.failing = Some((first, Instant::now()));
        });
    }

    /// Whether it may still be starting.
    fn may_be_starting(&self) -> bool {
        self.now.borrow().troubled.is_some_and(|last| last.elapsed() < STARTING)
    }

    /// Why it does not answer, when it has just been given up.
    fn gone(&self) -> Option<Error> {
        self.now.borrow().gone()
    }

    /// Ends when it is given up.
    async fn is_given_up(&self) -> Error {
        let mut now = self.now.subscribe();
        loop {
            if let Some(error) = now.borrow_and_update().gone() {
                return error;
            }
            if now.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Now {
    /// Since when nothing is answered. An old outage does not count.
    fn failing_since(&self) -> Option<Instant> {
        self.failing.filter(|(_, last)| last.elapsed() < GONE).map(|(first, _)| first)
    }

    fn gone(&self) -> Option<Error> {
        let gone = self.gone.as_ref().filter(|(at, _)| !self.acts && at.elapsed() < GONE);
        gone.map(|(_, error)| error.clone())
    }
}

impl Cluster {
    /// Marks the start of changes: from now on no request is given up because another one was.
    pub fn acts(&self) {
        self.health.now.send_modify(|now| now.acts = true);
    }

    /// Sends a request; what another request finds out about the server meanwhile counts as well.
    pub(super) async fn unless_gone<T>(&self, asks: impl Future<Output = Result<T>>) -> Result<T> {
        if let Some(error) = self.health.gone() {
            return Err(error);
        }
        tokio::select! {
            biased;
            done = asks => done,
            error = self.health.is_given_up() => Err(error),
        }
    }

    /// Until when a request that begins now may be retried. All reads share the time of one.
    pub(super) fn retries_end(&self) -> Instant {
        let now = self.health.now.borrow();
        if now.acts {
            return Instant::now() + PATIENCE;
        }
        let time = if self.hurries() { self.answer_time } else { PATIENCE };
        let shared = now.failing_since().map(|since| since + time);
        shared.filter(|end| *end > Instant::now()).unwrap_or_else(|| Instant::now() + time)
    }

    /// Until when one attempt may last. A change may take as long as it needs.
    pub(super) fn attempt_ends(&self, deadline: Instant) -> Instant {
        let end = Instant::now() + self.answer_time;
        if self.health.now.borrow().acts { end } else { end.min(deadline) }
    }

    /// Whether the timeout is shorter than usual.
    pub(super) fn hurries(&self) -> bool {
        self.answer_time < ANSWER_TIME
    }

    /// Gives the server up, unless it only fails to answer the one request sent at `begin`.
    pub(super) async fn give_up(&self, begin: Instant, error: &Error) {
        let _asking = self.health.asking.lock().await;
        let now = self.health.now.borrow().clone();
        if now.acts || now.gone().is_some() || now.answered.is_some_and(|at| at >= begin) {
            return;
        }
        if !self.shows_life().await {
            self.health.now.send_modify(|now| now.gone = Some((Instant::now(), error.clone())));
        }
    }

    /// Whether the server answers a small request like all others.
    async fn shows_life(&self) -> bool {
        let time = SIGN_OF_LIFE.min(self.answer_time / 3);
        let call = ApiCall::of_system().once();
        let asks = Box::pin(self.attempt(&call, 1, Instant::now() + time));
        asks.await.is_ok()
    }

    /// The meaning of a refusal (HTTP 401, 403) while the API server may be starting: no answer. None when it counts.
    pub(super) fn premature(&self, status: u16, reason: &str) -> Option<Error> {
        (matches!(status, 401 | 403) && self.health.may_be_starting()).then(|| {
            let message = format!("the API server {} has just started and refuses all requests", self.server);
            Error::new(&code::CLUSTER_UNREACHABLE, message).because(reason)
        })
    }
}
