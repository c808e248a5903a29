//! One result for each case, and the totals.

use serde::{Deserialize, Serialize};

use crate::context::events::Verdict;
use crate::error::{Error, code};

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Everything holds.
    Passed,
    /// A check failed, or an error occurred.
    Failed,
    /// Nothing failed, but not everything could be checked.
    NotChecked,
    /// The case could not run.
    Skipped,
    /// Interrupted, before or while it ran.
    Stopped,
    /// The node reboots; `--resume` completes the case.
    Pending,
}

/// One check of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked, in words.
    pub check: String,
    /// Passed, failed or not checked.
    pub verdict: Verdict,
    /// What was found, or why nothing was.
    pub detail: String,
}

/// Why a case failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseFailure {
    /// The code, see `kvnet explain`.
    pub code: String,
    /// What happened.
    pub message: String,
    /// Where, when that is known.
    pub place: Option<String>,
    /// The reason that another layer gave.
    pub cause: Option<String>,
    /// What to do.
    pub hints: Vec<String>,
}

impl From<&Error> for CaseFailure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().id.into(),
            message: error.message().into(),
            place: error.place().map(str::to_owned),
            cause: error.cause().map(str::to_owned),
            hints: error.hints().into_iter().map(str::to_owned).collect(),
        }
    }
}

impl CaseFailure {
    /// In one line: the message with its cause.
    pub fn line(&self) -> String {
        self.cause.as_ref().map_or_else(|| self.message.clone(), |cause| format!("{}: {cause}", self.message))
    }
}

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseResult {
    /// The case's name.
    pub case: String,
    /// What it shows.
    pub title: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// How it ended.
    pub status: Status,
    /// Why it was skipped, stopped or is pending.
    pub reason: Option<String>,
    /// Why it failed.
    pub failure: Option<CaseFailure>,
    /// The case's checks.
    pub checks: Vec<Check>,
    /// Further notes.
    pub notes: Vec<String>,
    /// How long it took, without its clean-up.
    pub seconds: f64,
    /// The directory with the diagnostics.
    pub collected: Option<String>,
}

/// All results.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `passed`, `failed`, `stopped`, `pending`, or `nothing-ran`.
    pub result: &'static str,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were not fully checked.
    pub not_checked: usize,
    /// How many were skipped.
    pub skipped: usize,
    /// How long all took.
    pub seconds: f64,
    /// The results, in the order of the list.
    pub cases: Vec<CaseResult>,
}

impl Report {
    /// Totals the results.
    pub fn of(cases: Vec<CaseResult>, seconds: f64) -> Self {
        let count = |status| cases.iter().filter(|case| case.status == status).count();
        let (passed, failed, skipped) =
            (count(Status::Passed), count(Status::Failed), count(Status::Skipped));
        let result = match (failed, count(Status::Stopped), count(Status::Pending), passed) {
            (_, 1.., _, _) => "stopped",
            (_, _, 1.., _) => "pending",
            (1.., ..) => "failed",
            (0, 0, 0, 0) => "nothing-ran",
            _ => "passed",
        };
        let not_checked = count(Status::NotChecked);
        Self { result, passed, failed, not_checked, skipped, seconds, cases }
    }

    /// The error that the command ends with; none on success.
    pub fn error(&self) -> Option<Error> {
        let names = |status: Status| {
            let all = self.cases.iter().filter(|case| case.status == status);
            all.map(|case| case.case.as_str()).collect::<Vec<_>>().join(", ")
        };
        match self.result {
            "passed" => None,
            "stopped" => Some(
                Error::new(&code::CANCELLED, "interrupted; the cases that ran were cleaned up")
                    .hint("run `kvnet smoke` again to start over"),
            ),
            "pending" => Some(
                Error::new(&code::SMOKE_PENDING, "the node is rebooting; a case is waiting for it")
                    .hint("after the boot: `kvnet smoke --resume`"),
            ),
            "nothing-ran" => {
                let mut reasons: Vec<&str> =
                    self.cases.iter().filter_map(|case| case.reason.as_deref()).collect();
                reasons.dedup();
                Some(Error::new(&code::SMOKE_NONE_RAN, "no case could run").because(reasons.join("; ")))
            }
            _ => {
                let all = self.passed + self.failed + self.not_checked;
                let message = format!("{} of {all} cases failed: {}", self.failed, names(Status::Failed));
                Some(Error::new(&code::SMOKE_FAILED, message))
            }
        }
    }

    /// The exit code: 0, 1, 3 while the node reboots, 130.
    pub fn exit_code(&self) -> u8 {
        match self.result {
            "passed" => 0,
            "stopped" => 130,
            "pending" => crate::error::PENDING,
            _ => 1,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn result(case: &str, status: Status) -> CaseResult {
        CaseResult {
            case: case.into(),
            title: format!("what {case} shows"),
            tags: vec!["pods".into()],
            status,
            reason: None,
            failure: None,
            checks: Vec::new(),
            notes: Vec::new(),
            seconds: 0.5,
            collected: None,
        }
    }

    fn sum(statuses: &[Status]) -> (&'static str, u8) {
        let cases = statuses.iter().map(|status| result("x", *status)).collect();
        let report = Report::of(cases, 1.0);
        assert_eq!(report.error().is_none(), report.exit_code() == 0);
        (report.result, report.exit_code())
    }

    #[test]
    fn only_what_passed_counts() {
        use Status::{Failed, NotChecked, Passed, Pending, Skipped, Stopped};
        assert_eq!(sum(&[Passed, Skipped]), ("passed", 0));
        assert_eq!(sum(&[Skipped, Skipped]), ("nothing-ran", 1));
        assert_eq!(sum(&[]), ("nothing-ran", 1));
        assert_eq!(sum(&[NotChecked, Skipped]), ("nothing-ran", 1));
        assert_eq!(sum(&[NotChecked, Passed]), ("passed", 0));
        assert_eq!(sum(&[NotChecked, Failed]), ("failed", 1));
        assert_eq!(sum(&[Passed, Failed, Skipped]), ("failed", 1));
        assert_eq!(sum(&[Passed, Failed, Stopped]), ("stopped", 130));
        assert_eq!(sum(&[Passed, Pending]), ("pending", 3));
    }
}
