//! How the API server is at the moment: whether it has just come back, and for some seconds refuses everybody because it
//! has not read yet who may do what; and whether it answers at all. That is found out once: what looks after the first to
//! give up hears the same at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::Cluster;
use super::request::{ANSWER_TIME, Call, PATIENCE};
use crate::error::{Error, Result, code};

/// How long after it could not be reached a refusal may be wrong.
const STARTING: Duration = Duration::from_secs(30);
/// How long it counts as gone, once it was given up; then it is asked again.
const GONE: Duration = Duration::from_secs(5);
/// How long it may take to show that it is there, when one request of it has failed; less when there is less time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// What is known of the API server, by everybody who talks to it.
#[derive(Clone, Debug)]
pub(super) struct Health {
    now: Arc<watch::Sender<Now>>,
    /// One asks for a sign of life, and the others hear what came of it.
    asking: Arc<Mutex<()>>,
}

#[derive(Clone, Debug, Default)]
struct Now {
    /// When it could last not be asked.
    troubled: Option<Instant>,
    /// When the first of the requests was sent that brought no answer, and when that was found out of the last one; none
    /// once there is an answer.
    failing: Option<(Instant, Instant)>,
    /// When it answered last, whatever it said.
    answered: Option<Instant>,
    /// When it was given up, and why.
    gone: Option<(Instant, Error)>,
    /// Whether something is being changed: then every request is given its own time.
    acts: bool,
}

impl Default for Health {
    fn default() -> Self {
        Self { now: Arc::new(watch::Sender::new(Now::default())), asking: Arc::default() }
    }
}

impl Health {
    /// It could not be asked just now.
    pub fn is_troubled(&self) {
        self.now.send_modify(|now| now.troubled = Some(Instant::now()));
    }

    /// It has said something that counts.
    pub fn has_answered(&self) {
        self.now.send_if_modified(|now| {
            now.answered = Some(Instant::now());
            now.failing.take().is_some() | now.gone.take().is_some()
        });
    }

    /// A request that was sent at `begin` brought no answer.
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

    /// Why it does not answer, when somebody has just given it up.
    fn gone(&self) -> Option<Error> {
        self.now.borrow().gone()
    }

    /// Ends when somebody gives it up.
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
    /// Since when nothing is answered. Trouble of long ago is another one.
    fn failing_since(&self) -> Option<Instant> {
        self.failing.filter(|(_, last)| last.elapsed() < GONE).map(|(first, _)| first)
    }

    fn gone(&self) -> Option<Error> {
        let gone = self.gone.as_ref().filter(|(at, _)| !self.acts && at.elapsed() < GONE);
        gone.map(|(_, error)| error.clone())
    }
}

impl Cluster {
    /// From now on something is changed, and no request is given up because another one was.
    pub fn acts(&self) {
        self.health.now.send_modify(|now| now.acts = true);
    }

    /// Asks the server something; what somebody else finds out about it meanwhile counts as well.
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

    /// Until when a request that begins now may be tried. All that look share the time that one of them has.
    pub(super) fn patience_ends(&self) -> Instant {
        let now = self.health.now.borrow();
        if now.acts {
            return Instant::now() + PATIENCE;
        }
        let time = if self.hurries() { self.answer_time } else { PATIENCE };
        let shared = now.failing_since().map(|since| since + time);
        shared.filter(|end| *end > Instant::now()).unwrap_or_else(|| Instant::now() + time)
    }

    /// Until when one attempt may last. A change is given the time that it takes.
    pub(super) fn attempt_ends(&self, patience: Instant) -> Instant {
        let end = Instant::now() + self.answer_time;
        if self.health.now.borrow().acts { end } else { end.min(patience) }
    }

    /// Whether somebody gives less time than usual.
    pub(super) fn hurries(&self) -> bool {
        self.answer_time < ANSWER_TIME
    }

    /// Gives the server up, unless it was only the one request, sent at `begin`, that it does not answer.
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

    /// Whether the server decides on a small request of the kind that all others are.
    async fn shows_life(&self) -> bool {
        let time = SIGN_OF_LIFE.min(self.answer_time / 3);
        let call = Call::of_system().once();
        let asks = Box::pin(self.attempt(&call, 1, Instant::now() + time));
        asks.await.is_ok()
    }

    /// What a refusal (HTTP 401, 403) is while the API server may be starting: no answer. None when it counts.
    pub(super) fn premature(&self, status: u16, reason: &str) -> Option<Error> {
        (matches!(status, 401 | 403) && self.health.may_be_starting()).then(|| {
            let message = format!("the API server {} has just started and refuses everybody", self.server);
            Error::new(&code::CLUSTER_UNREACHABLE, message).because(reason)
        })
    }
}
