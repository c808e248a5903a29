//! A diagnosis on the screen and as data.

use owo_colors::OwoColorize;
use serde_json::json;

use super::errors::with_log;
use super::{clean, graded, page, structured};
use crate::context::events::Grade;
use crate::doctor::{Diagnosis, Finding, Verdict};
use crate::error::Result;
use crate::terminal::{self, wrapped};
use crate::ui::Format;

/// The most items of one check in text without `verbose`.
const MOST: usize = 10;

/// Shows every check and a summary; with `verbose`, all items that each found.
pub fn show(diagnosis: &Diagnosis, format: Format, verbose: bool) -> Result<()> {
    if format != Format::Text {
        let report = json!({"checks": diagnosis.checks, "broken": diagnosis.broken()});
        return structured(&with_log(report), format);
    }
    page(&text(diagnosis, terminal::width(), verbose));
    Ok(())
}

/// Every check and a summary, in lines of at most `width` columns.
pub fn text(diagnosis: &Diagnosis, width: Option<usize>, verbose: bool) -> String {
    let mut text: String = diagnosis.checks.iter().map(|finding| line(finding, width, verbose)).collect();
    text.push('\n');
    text.push_str(&wrapped("", &summary(diagnosis), width));
    text
}

/// A check and its hint, in lines of at most `width` columns.
fn line(finding: &Finding, width: Option<usize>, verbose: bool) -> String {
    let verdict = &finding.verdict;
    let state = graded(verdict.state);
    let code = verdict.code.map(|code| format!(" [{code}]")).unwrap_or_default();
    let is_list = verdict.items.len() > 1;
    let found = if is_list { head(verdict) } else { verdict.found.clone() };
    let mark = format!("{state} {:14} ", finding.check);
    let mut text = wrapped(&mark, &format!("{}{code}", clean(&found)), width);
    let most = if verbose || verdict.items.len() == MOST + 1 { usize::MAX } else { MOST };
    for item in verdict.items.iter().filter(|_| is_list).take(most) {
        text.push_str(&wrapped(&format!("{:25}", ""), &clean(item), width));
    }
    if let Some(left) = verdict.items.len().checked_sub(most).filter(|left| *left > 0) {
        let more = format!("and {left} more: see `kvnet doctor -v` or `-o json`");
        text.push_str(&wrapped(&format!("{:25}", ""), &more, width));
    }
    if let Some(hint) = &verdict.hint {
        text.push_str(&wrapped(&format!("{:23}{} ", "", "hint:".cyan()), &clean(hint), width));
    }
    text
}

/// The line above a list.
fn head(verdict: &Verdict) -> String {
    let count = verdict.items.len();
    if verdict.head.is_empty() {
        format!("{count} in all:")
    } else {
        format!("{}, {count} in all:", verdict.head)
    }
}

/// How many checks are in which state; zeros are omitted, except for those that hold.
fn summary(diagnosis: &Diagnosis) -> String {
    let count = |state| diagnosis.with(state).count();
    let all = [
        (count(Grade::Holds), "hold"),
        (count(Grade::Broken), "broken"),
        (count(Grade::Warns), "with a warning"),
        (count(Grade::Unknown), "not checked"),
    ];
    let told = all.iter().filter(|(count, what)| *count > 0 || *what == "hold");
    let told: Vec<String> = told.map(|(count, what)| format!("{count} {what}")).collect();
    let end = match diagnosis.broken() {
        None => "no problem found; `kvnet smoke` tests it with pods".to_owned(),
        Some(first) if count(Grade::Broken) == 1 => format!("fix {}", first.check.bold()),
        Some(first) => format!("start with {}, it may be the cause of the others", first.check.bold()),
    };
    format!("{}: {end}", told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(count: usize) -> Finding {
        let items: Vec<String> =
            (1..=count).map(|number| format!("n/pod{number}: why, number {number}")).collect();
        let verdict = Verdict {
            state: Grade::Broken,
            found: items.join("; "),
            items,
            head: String::new(),
            code: Some("KVN641"),
            hint: Some("look".into()),
        };
        Finding { check: "pods-waiting", promise: "", verdict }
    }

    #[test]
    fn each_item_has_a_line_of_its_own_and_omitted_ones_are_counted() {
        let shown = |count: usize, verbose: bool| line(&finding(count), None, verbose);
        assert_eq!(shown(1, false).lines().count(), 2);
        assert!(shown(1, false).contains("n/pod1: why, number 1 [KVN641]"));
        for (count, verbose, lines) in [(3, false, 5), (11, false, 13), (25, false, 13), (25, true, 27)] {
            let text = shown(count, verbose);
            assert_eq!(text.lines().count(), lines, "{text}");
            assert!(text.contains(&format!("{count} in all: [KVN641]")), "{text}");
            assert!(text.lines().any(|line| line.trim() == "n/pod3: why, number 3"), "{text}");
            let left = text.contains("and 15 more: see `kvnet doctor -v`");
            assert_eq!(left, count == 25 && !verbose, "{text}");
        }
    }
}
