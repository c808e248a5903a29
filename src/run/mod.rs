//! The use cases `plan`, `up` and `down` as functions. The command line, the crash tests and the benchmarks call them, so
//! that the tested code is what ships: which machine, which cluster, consent, lock, journal, and what counts as done.

mod down;
mod job;
mod up;

pub use down::{DownOptions, Undo, down};
pub use job::Job;
pub use up::{plan, status, up};

use crate::engine::plan::Plan;
use crate::engine::teardown::Teardown;
use crate::error::{Error, Result};

/// The pending changes, to ask for consent to.
pub enum Question<'a> {
    /// The changes of `up`.
    Up(&'a Plan<'a>),
    /// The changes of `down`.
    Down(&'a Teardown<'a>),
}

/// Asks for consent to changes.
pub trait Consent {
    /// Asks for confirmation; returns whether the changes were shown.
    /// Fails with `KVN100` when there is no terminal to prompt on, `KVN506` when the answer is no.
    fn ask(&self, question: &Question<'_>) -> Result<bool>;
}

/// Consent given in advance: `--yes`, or a sandbox.
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
    /// How many changes were made; waits and checks do not count.
    pub changes: usize,
    /// Why it failed.
    pub error: Option<Error>,
    /// After `up`: whether all checks that the profile promises were made and passed.
    pub verified: Option<bool>,
    /// What was not checked, with reasons.
    pub not_checked: Vec<String>,
    /// What the profile excludes from the verification.
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
