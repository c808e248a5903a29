//! The outcome of a check: passed, failed or not checked.

use serde::{Deserialize, Serialize};

use crate::context::events::Verdict;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// What was checked, in words.
    pub check: String,
    /// Passed, failed or not checked.
    pub verdict: Verdict,
    /// What was found, or why nothing was.
    pub detail: String,
}

impl Checked {
    pub fn new(check: impl Into<String>, found: Found) -> Self {
        Self { check: check.into(), verdict: found.verdict, detail: found.detail }
    }
}

/// A verdict with details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Passed, failed or not checked.
    pub verdict: Verdict,
    /// What was found, or why nothing was.
    pub detail: String,
}

impl Found {
    /// A check that passed or failed.
    pub fn of(holds: bool, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::of(holds), detail: detail.into() }
    }

    /// A check that could not run, and why.
    pub fn not_checked(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotChecked, detail: why.into() }
    }

    /// Whether the check passed.
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}

impl From<(bool, String)> for Found {
    fn from((holds, detail): (bool, String)) -> Self {
        Self::of(holds, detail)
    }
}
