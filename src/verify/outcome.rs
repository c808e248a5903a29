//! What came of a check: it holds, it does not, or it could not be made.

use serde::{Deserialize, Serialize};

use crate::context::events::Verdict;

/// What a check saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was checked, in words.
    pub check: String,
    /// Whether it holds, or could not be looked at.
    pub verdict: Verdict,
    /// What was seen, or why nothing was.
    pub detail: String,
}

impl Outcome {
    /// A check with what was found.
    pub fn new(check: impl Into<String>, found: Found) -> Self {
        Self { check: check.into(), verdict: found.verdict, detail: found.detail }
    }
}

/// Whether something holds, with what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether it holds, or could not be looked at.
    pub verdict: Verdict,
    /// What was seen, or why nothing was.
    pub detail: String,
}

impl Found {
    /// What was looked at.
    pub fn of(holds: bool, detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::of(holds), detail: detail.into() }
    }

    /// What could not be looked at, and why.
    pub fn not_checked(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotChecked, detail: why.into() }
    }

    /// Whether it was looked at and holds.
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Passed
    }
}

impl From<(bool, String)> for Found {
    fn from((holds, detail): (bool, String)) -> Self {
        Self::of(holds, detail)
    }
}
