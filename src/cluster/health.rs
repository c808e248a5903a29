//! Whether the API server has just come back: for some seconds it then refuses everybody, because it has not read yet who
//! may do what.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Cluster;
use crate::error::{Error, code};

/// How long after it could not be reached a refusal may be wrong.
const STARTING: Duration = Duration::from_secs(30);

/// When the API server could last not be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Health(Arc<Mutex<Option<Instant>>>);

impl Health {
    /// It could not be asked just now.
    pub fn is_troubled(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it may still be starting.
    fn may_be_starting(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < STARTING)
    }
}

impl Cluster {
    /// What a refusal (HTTP 401, 403) is while the API server may be starting: no answer. None when it counts.
    pub(super) fn premature(&self, status: u16, reason: &str) -> Option<Error> {
        (matches!(status, 401 | 403) && self.health.may_be_starting()).then(|| {
            let message = format!("the API server {} has just started and refuses everybody", self.server);
            Error::new(&code::CLUSTER_UNREACHABLE, message).because(reason)
        })
    }
}
