//! Stopping on request: the change in hand is finished, a wait is given up, nothing new starts.

use tokio::sync::watch;

use crate::error::{Error, code};

/// Tells all tasks of a run whether the user wants to stop. Cheap to clone.
#[derive(Clone)]
pub struct Cancel {
    sender: std::sync::Arc<watch::Sender<bool>>,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(false)) }
    }
}

impl Cancel {
    /// Asks all tasks to stop.
    pub fn cancel(&self) {
        self.sender.send_replace(true);
    }

    /// Whether that was asked.
    pub fn is_cancelled(&self) -> bool {
        *self.sender.borrow()
    }

    /// Resolves once it was asked.
    pub async fn cancelled(&self) {
        let mut receiver = self.sender.subscribe();
        // The sender lives in `self`, so the channel cannot close while this waits.
        let _ = receiver.wait_for(|cancelled| *cancelled).await;
    }

    /// The error that a cancelled run ends with.
    pub fn error(command: &str) -> Error {
        Error::new(&code::CANCELLED, "stopped on request; the change in hand was finished")
            .hint(format!("run `kvnet {command}` again: it goes on from there"))
    }
}
