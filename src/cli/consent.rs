//! Consent to changes: `--yes`, a sandbox, or a prompt on the terminal below the plan.

use std::io::IsTerminal;

use super::session::Session;
use crate::error::{Error, Result, code};
use crate::run::{Consent, Question};
use crate::ui;
use crate::ui::Format;

/// The consent of the user.
pub struct AtTerminal {
    /// Whether it was given on the command line or is not needed.
    given: bool,
    format: Format,
    verbose: bool,
}

impl AtTerminal {
    /// A sandbox needs no consent.
    pub fn of(session: &Session, yes: bool) -> Self {
        let (format, verbose) = (session.format, session.verbose);
        Self { given: yes || session.sandbox.is_some(), format, verbose }
    }
}

impl Consent for AtTerminal {
    fn ask(&self, question: &Question<'_>) -> Result<bool> {
        if self.given {
            return Ok(false);
        }
        let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        if !interactive || self.format != Format::Text {
            return Err(refusal(question, interactive));
        }
        let prompt = match question {
            Question::Up(plan) => {
                ui::plan::show(plan, self.format, self.verbose)?;
                format!("Apply this to {}?", ui::plan::place(&plan.target))
            }
            Question::Down(teardown) => {
                ui::plan::show_down(teardown, self.format)?;
                format!("Uninstall this from {}?", ui::plan::place(&teardown.target))
            }
        };
        match dialoguer::Confirm::new().with_prompt(prompt).default(false).interact_opt() {
            Ok(Some(true)) => Ok(true),
            _ => Err(Error::new(&code::DECLINED, "not confirmed; nothing was changed")),
        }
    }
}

fn refusal(question: &Question<'_>, interactive: bool) -> Error {
    let (command, look) = match question {
        Question::Up(_) => ("up", "`kvnet plan`"),
        Question::Down(_) => ("down", "`kvnet down --dry-run`"),
    };
    let why =
        if interactive { "JSON and YAML output has no room for a prompt" } else { "this is not a terminal" };
    let message = format!("refusing to run `kvnet {command}` without confirmation: {why}");
    Error::new(&code::USAGE, message).hint(format!("preview with {look}, then rerun with `--yes`"))
}
