//! What happens during a run, for its display. The JSON form is documented in `docs/events.md`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The result of a check. One that could not run never counts as passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// It could not be checked.
    NotChecked,
}

impl Verdict {
    /// The verdict on something that was checked.
    pub fn of(holds: bool) -> Self {
        if holds { Self::Passed } else { Self::Failed }
    }

    /// The verdict on the parts of one check: a failure counts most, then what was not checked.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Failed, _) | (_, Self::Failed) => Self::Failed,
            (Self::NotChecked, _) | (_, Self::NotChecked) => Self::NotChecked,
            _ => Self::Passed,
        }
    }
}

/// What a check of `doctor` or a link of `trace` came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// It works.
    Holds,
    /// It does not work.
    Broken,
    /// It works now and may not later, or does not work and is not needed.
    Warns,
    /// It could not be checked.
    Unknown,
    /// Not installed, and nothing needs it.
    Absent,
}

use super::target::Target;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Event {
    /// The run starts with these steps, in order.
    Started {
        /// Id and title of each step that has something to do.
        steps: Vec<(String, String)>,
        /// The cluster and node that they work on.
        target: Target,
    },
    /// A step starts.
    StepStarted {
        /// Its id.
        step: String,
    },
    /// A change of a step starts.
    ChangeStarted {
        /// The step's id.
        step: String,
        /// The change in one line.
        change: String,
    },
    /// A step waits, and this is why.
    Waiting {
        /// The step's id.
        step: String,
        /// What it waits for, or what blocks it.
        reason: String,
    },
    /// A change was done.
    ChangeDone {
        /// The step's id.
        step: String,
        /// The change in one line.
        change: String,
        /// How long it took.
        seconds: f64,
    },
    /// A step succeeded.
    StepDone {
        /// Its id.
        step: String,
        /// How many changes it made.
        changes: usize,
        /// How long it took.
        seconds: f64,
    },
    /// A step failed.
    StepFailed {
        /// Its id.
        step: String,
        /// The error's code.
        code: String,
        /// The error in one line.
        message: String,
    },
    /// A step was interrupted because another one failed.
    StepStopped {
        /// Its id.
        step: String,
    },
    /// A check of the verification ended.
    Check {
        /// What was checked.
        check: String,
        /// Whether it holds, or could not be checked.
        verdict: Verdict,
        /// What was seen, or why nothing was checked.
        detail: String,
    },
    /// Something to know.
    Note {
        /// The step's id, if it comes from one.
        step: Option<String>,
        /// Whether it needs attention.
        warning: bool,
        /// What.
        text: String,
    },
    /// The run ended.
    Finished {
        /// `done`, `nothing-to-do` or `failed`.
        result: String,
        /// How many changes were made.
        changes: usize,
        /// How long it took.
        seconds: f64,
        /// Whether all checks that the profile asks for were made and passed; none where nothing was to be verified.
        verified: Option<bool>,
        /// What was not checked, each with the reason.
        not_checked: Vec<String>,
        /// What the profile leaves out of the verification.
        left_out: Vec<String>,
    },
}

/// Receives events; called from several tasks.
pub trait Reporter: Send + Sync {
    /// Shows or keeps an event.
    fn report(&self, event: Event);
}

/// A shared reporter.
pub type Events = Arc<dyn Reporter>;

/// Drops every event.
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event) {}
}

/// Receives the reason why a change is not done yet.
pub type Progress<'a> = &'a (dyn Fn(String) + Send + Sync);

#[cfg(test)]
mod tests {
    use super::Verdict::{self, Failed, NotChecked, Passed};

    #[test]
    fn what_was_not_looked_at_is_never_held() {
        assert_eq!(Verdict::of(true).and(NotChecked), NotChecked);
        assert_eq!(NotChecked.and(Verdict::of(false)), Failed);
        assert_eq!(Passed.and(Passed), Passed);
    }
}
