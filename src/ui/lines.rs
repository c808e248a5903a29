//! Events in a pipe: one line each.

use super::{duration, summary};
use crate::context::events::{Event, Reporter, Verdict};
use crate::terminal::{clean, counted, say};

/// Writes a line for each event to standard error.
pub struct Lines;

impl Reporter for Lines {
    fn report(&self, event: Event) {
        if let Some(line) = line(&event) {
            say(&clean(&line));
        }
    }
}

fn line(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started { steps, target } => {
            format!("{} to apply; {}", counted(steps.len(), "step"), target.lines().swap_remove(0))
        }
        Event::StepStarted { .. } | Event::ChangeDone { .. } => return None,
        Event::ChangeStarted { step, change } => format!("{step}: {change}"),
        Event::Waiting { step, reason } => format!("{step}: waiting: {reason}"),
        Event::StepDone { step, seconds, .. } => format!("{step}: done in {}", duration(*seconds)),
        Event::StepStopped { step } => format!("{step}: stopped because another step failed"),
        Event::StepFailed { step, code, message } => format!("{step}: failed [{code}]: {message}"),
        Event::Check { check, verdict, detail } => {
            let word = match verdict {
                Verdict::Passed => "check passed",
                Verdict::Failed => "check FAILED",
                Verdict::NotChecked => "not checked",
            };
            format!("{word}: {check} ({detail})")
        }
        Event::Note { step, warning, text } => {
            let step = step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
            format!("{step}{}{text}", if *warning { "warning: " } else { "" })
        }
        Event::Finished { result, changes, seconds, verified, not_checked, left_out } => {
            summary(result, *changes, *seconds, *verified, not_checked, left_out)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_check_stands_out() {
        let (check, detail) = ("a reaches b".into(), "no answer".into());
        let event = Event::Check { check, verdict: Verdict::Failed, detail };
        assert_eq!(line(&event).unwrap(), "check FAILED: a reaches b (no answer)");
    }

    #[test]
    fn what_was_not_checked_is_not_called_passed() {
        let (check, detail) = ("a port of blue".into(), "the pod runs on n2".into());
        let event = Event::Check { check, verdict: Verdict::NotChecked, detail };
        assert_eq!(line(&event).unwrap(), "not checked: a port of blue (the pod runs on n2)");
    }
}
