//! The results as `JUnit`, for CI.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report as JUnit, TestCase, TestCaseStatus, TestSuite};

use super::report::{CaseResult, Report, Status};
use crate::context::events::Verdict;
use crate::error::{Error, Result, code};

const SUITE: &str = "kvnet smoke";

/// The text of the file.
/// Fails with `KVN505` when serialisation fails.
pub fn junit(report: &Report) -> Result<String> {
    let mut suite = TestSuite::new(SUITE);
    suite.set_time(seconds(report.seconds));
    suite.add_test_cases(report.cases.iter().map(test_case));
    let mut whole = JUnit::new(SUITE);
    whole.set_time(seconds(report.seconds));
    whole.add_test_suite(suite);
    let text = whole.to_string();
    let text = text
        .map_err(|error| Error::new(&code::INTERNAL, "the JUnit report cannot be written").because(error))?;
    Ok(as_in_the_schema(&text, report))
}

/// Jenkins' schema has the number of skipped tests on each suite, and not on all suites together.
fn as_in_the_schema(text: &str, report: &Report) -> String {
    let of_all = format!(" skipped=\"{}\"", report.cases.iter().filter(|case| is_skipped(case)).count());
    match text.split_once("<testsuites ").and_then(|(before, rest)| Some((before, rest.split_once('>')?))) {
        Some((before, (attributes, rest))) => {
            format!("{before}<testsuites {}>{rest}", attributes.replacen(&of_all, "", 1))
        }
        None => text.to_owned(),
    }
}

fn is_skipped(result: &CaseResult) -> bool {
    matches!(result.status, Status::Skipped | Status::NotChecked | Status::Pending | Status::Stopped)
}

fn test_case(result: &CaseResult) -> TestCase {
    let status = match result.status {
        Status::Passed => TestCaseStatus::success(),
        Status::Skipped | Status::NotChecked | Status::Pending | Status::Stopped => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(result.reason.clone().unwrap_or_default());
            status
        }
        Status::Failed => {
            let failure = result.failure.as_ref();
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type(failure.map(|failure| failure.code.clone()).unwrap_or_default());
            status.set_message(failure.map(super::CaseFailure::line).unwrap_or_default());
            status.set_description(description(result));
            status
        }
    };
    let mut case = TestCase::new(result.case.clone(), status);
    case.set_classname("kvnet.smoke");
    case.set_time(seconds(result.seconds));
    if !result.checks.is_empty() || !result.notes.is_empty() {
        case.set_system_out(description(result));
    }
    case
}

/// A line for each check, then notes and hints.
fn description(result: &CaseResult) -> String {
    let word = |verdict: Verdict| match verdict {
        Verdict::Passed => "holds",
        Verdict::Failed => "FAILED",
        Verdict::NotChecked => "not checked",
    };
    let checks = result
        .checks
        .iter()
        .map(|check| format!("{}: {} ({})", word(check.verdict), check.check, check.detail));
    let hints = result.failure.iter().flat_map(|failure| &failure.hints).map(|hint| format!("hint: {hint}"));
    let notes = result.notes.iter().map(|note| format!("note: {note}"));
    let collected = result.collected.iter().map(|path| format!("collected: {path}"));
    checks.chain(notes).chain(hints).chain(collected).collect::<Vec<_>>().join("\n")
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
