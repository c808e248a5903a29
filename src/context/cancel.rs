//! Stopping: a change in progress is finished, waits end, nothing new starts. On request, or because a step failed.

use tokio::sync::watch;

use crate::error::{Error, code};

/// Why a run stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Asked,
    Failed,
}

/// Tells all tasks of a run whether to stop. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Cancel {
    sender: std::sync::Arc<watch::Sender<Option<Reason>>>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(None)) }
    }
}

impl Cancel {
    /// Asks all tasks to stop on the user's request.
    pub fn cancel(&self) {
        self.sender.send_replace(Some(Reason::Asked));
    }

    /// Asks all tasks to stop, because one of them failed.
    pub fn fail(&self) {
        self.sender.send_if_modified(|reason| {
            let first = reason.is_none();
            reason.get_or_insert(Reason::Failed);
            first
        });
    }

    /// Whether to stop.
    pub fn is_cancelled(&self) -> bool {
        self.sender.borrow().is_some()
    }

    /// Whether the user asked for it.
    pub fn is_asked(&self) -> bool {
        *self.sender.borrow() == Some(Reason::Asked)
    }

    /// Resolves once it is time to stop.
    pub async fn cancelled(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = receiver.wait_for(Option::is_some).await;
    }

    /// The error that a stopped task ends with; `command` is what resumes the work.
    pub fn error(command: &str) -> Error {
        Error::new(&code::CANCELLED, "interrupted; the change in progress was completed")
            .hint(format!("run `kvnet {command}` again: it continues from there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_stops_all_and_is_no_request() {
        let cancel = Cancel::default();
        assert!(!cancel.is_cancelled());
        cancel.fail();
        cancel.clone().cancelled().await;
        assert!(cancel.is_cancelled() && !cancel.is_asked());
        cancel.cancel();
        cancel.fail();
        assert!(cancel.is_asked(), "what the user wants is not forgotten");
    }
}
