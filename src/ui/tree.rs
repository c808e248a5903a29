//! Events on a terminal: a live tree of steps with their times.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use owo_colors::OwoColorize;

use super::{duration, summary};
use crate::context::events::{Event, Reporter, Verdict};
use crate::terminal::{self, clean};

/// The width of a live line besides title and message: spinner, time and blanks.
const AROUND_TITLE: usize = 8;

/// A line for each step: what it is doing, or how long it took.
pub struct Tree {
    progress: MultiProgress,
    coloured: bool,
    state: Mutex<Shown>,
}

#[derive(Default)]
struct Shown {
    titles: HashMap<String, String>,
    /// Columns of the longest title.
    width: usize,
    bars: HashMap<String, ProgressBar>,
    held: usize,
    not_checked: usize,
}

impl Tree {
    /// A tree on standard error.
    pub fn new(coloured: bool) -> Self {
        let coloured = coloured && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { progress: MultiProgress::new(), coloured, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, Shown> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self, id: &str) {
        let mut state = self.state();
        let title = state.title(id);
        let bar = self.progress.add(ProgressBar::new_spinner());
        bar.set_style(style(self.coloured));
        bar.set_prefix(title);
        bar.enable_steady_tick(Duration::from_millis(120));
        state.bars.insert(id.to_owned(), bar);
    }

    fn update(&self, id: &str, message: &str) {
        let state = self.state();
        if let Some(bar) = state.bars.get(id) {
            let left = terminal_width().saturating_sub(state.width + AROUND_TITLE);
            bar.set_message(terminal::cut_front(&clean(message).replace('\n', " "), left));
        }
    }

    /// Replaces a step's live line by a permanent one.
    fn end(&self, id: &str, mark: &str, tail: &str) {
        let mut state = self.state();
        let title = state.title(id);
        if let Some(bar) = state.bars.remove(id) {
            bar.finish_and_clear();
        }
        self.line(&format!("{mark} {title} {tail}"));
    }

    /// Prints untrusted text after a mark, wrapped at the width of the terminal.
    fn paragraph(&self, mark: &str, text: &str) {
        self.line(&terminal::paragraph(mark, &clean(text), terminal_width()));
    }

    fn line(&self, line: &str) {
        // The terminal may be gone; the run continues.
        let _ = self.progress.println(line.trim_end());
    }

    fn mark(&self, good: bool) -> String {
        match (good, self.coloured) {
            (true, true) => "✓".green().to_string(),
            (true, false) => "✓".into(),
            (false, true) => "✗".red().to_string(),
            (false, false) => "✗".into(),
        }
    }
}

impl Shown {
    fn name(&mut self, steps: Vec<(String, String)>) {
        self.width = steps.iter().map(|(_, title)| title.chars().count()).max().unwrap_or_default();
        self.titles.extend(steps);
    }

    /// The checks since the last call, in parentheses.
    fn counted(&mut self) -> String {
        let (held, not_checked) = (std::mem::take(&mut self.held), std::mem::take(&mut self.not_checked));
        match (held, not_checked) {
            (0, 0) => String::new(),
            (held, 0) => format!(" ({held} checks hold)"),
            (held, not_checked) => format!(" ({held} checks hold, {not_checked} not checked)"),
        }
    }

    /// A step's title, as wide as the longest one.
    fn title(&self, id: &str) -> String {
        format!("{:width$}", self.titles.get(id).map_or(id, String::as_str), width = self.width)
    }
}

fn terminal_width() -> usize {
    usize::from(console::Term::stderr().size().1)
}

impl Reporter for Tree {
    fn report(&self, event: Event) {
        match event {
            Event::Started { steps, target } => {
                self.paragraph("", &target.lines().swap_remove(0));
                self.state().name(steps);
            }
            Event::StepStarted { step } => self.start(&step),
            Event::ChangeStarted { step, change } => self.update(&step, &change),
            Event::Waiting { step, reason } => self.update(&step, &reason),
            Event::ChangeDone { .. } => {}
            Event::StepDone { step, seconds, .. } => {
                let tail = match step.as_str() {
                    "verification" => format!("{}{}", duration(seconds), self.state().counted()),
                    _ => duration(seconds),
                };
                self.end(&step, &self.mark(true), &tail);
            }
            Event::StepStopped { step } => self.end(&step, "·", "stopped"),
            Event::StepFailed { step, code, .. } => {
                self.end(&step, &self.mark(false), &format!("failed [{code}]"));
            }
            Event::Check { verdict: Verdict::Passed, .. } => self.state().held += 1,
            Event::Check { verdict: Verdict::NotChecked, check, detail } => {
                self.state().not_checked += 1;
                self.paragraph("  ? ", &format!("not checked: {check} ({detail})"));
            }
            Event::Check { check, detail, .. } => {
                self.paragraph(&format!("  {} ", self.mark(false)), &format!("{check} ({detail})"));
            }
            Event::Note { step, warning, text } => {
                let step = step.map(|step| format!("{step}: ")).unwrap_or_default();
                self.paragraph(if warning { "! " } else { "· " }, &format!("{step}{text}"));
            }
            Event::Finished { result, changes, seconds, verified, not_checked, left_out } => {
                self.line(&summary(&result, changes, seconds, verified, &not_checked, &left_out));
            }
        }
    }
}

fn style(coloured: bool) -> ProgressStyle {
    let template = if coloured {
        "{spinner:.cyan} {prefix} {elapsed:>4} {wide_msg:.dim}"
    } else {
        "{spinner} {prefix} {elapsed:>4} {wide_msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_not_made_is_not_counted_as_held() {
        let mut state = Shown { held: 16, not_checked: 2, ..Shown::default() };
        assert_eq!(state.counted(), " (16 checks hold, 2 not checked)");
        assert_eq!(state.counted(), "");
    }
}
