//! The use cases: `plan`, `up`, `down` as functions. The command line, the crash tests and the benchmarks call them, so
//! that what is tested is what ships: which machine, which cluster, consent, lock, journal, and what counts as done.

mod down;
mod job;
mod up;

pub use down::{DownOptions, Undo, down};
pub use job::Job;
pub use up::{plan, status, up};

use crate::engine::plan::Plan;
use crate::engine::teardown::Teardown;
use crate::error::{Error, Result};

/// What is going to be changed, for whoever has to agree.
pub enum Question<'a> {
    /// The changes of `up`.
    Up(&'a Plan<'a>),
    /// What `down` takes back.
    Down(&'a Teardown<'a>),
}

/// Who agrees to changes.
pub trait Consent {
    /// Asks; an error when the answer is no, or when nobody can answer. Tells whether the changes were shown.
    ///
    /// # Errors
    /// `KVN100` when nobody can be asked, `KVN506` for a no.
    fn ask(&self, question: &Question<'_>) -> Result<bool>;
}

/// Consent that was given beforehand: `--yes`, or a sandbox.
pub struct Given;

impl Consent for Given {
    fn ask(&self, _: &Question<'_>) -> Result<bool> {
        Ok(false)
    }
}

/// How a run ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// `done`, `nothing-to-do` or `failed`.
    pub result: &'static str,
    /// How many changes were made; waits and checks are none.
    pub changes: usize,
    /// Why it failed.
    pub error: Option<Error>,
    /// After `up`: whether all checks that the profile promises were made and hold.
    pub verified: Option<bool>,
    /// What was not checked, each with the reason.
    pub not_checked: Vec<String>,
    /// What the profile leaves out of the verification.
    pub left_out: Vec<String>,
}

impl Ended {
    fn nothing() -> Self {
        Self { result: "nothing-to-do", ..Self::default() }
    }

    fn of(changes: usize, error: Option<Error>) -> Self {
        Self { result: if error.is_none() { "done" } else { "failed" }, changes, error, ..Self::default() }
    }
}
