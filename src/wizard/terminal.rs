//! Questions on a terminal: lists to choose from, and lines to type. Both can go back with Esc.

use std::fmt;
use std::io::{self, IsTerminal};

use dialoguer::Select;
use dialoguer::console::{Key, Term, style};
use dialoguer::theme::Theme;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::line::{Edit, Line};
use super::prompt::{Prompt, Reply};
use super::question::{AnswerKind, Item, Question};
use super::show::WIDEST;
use crate::error::{Error, Result, code};
use crate::terminal::{clean, cut, wrap};

/// The help on keys.
pub const KEYS: &str = "Enter accepts the default. Esc goes back to the previous question, even while you type a line, and so does `<`. Ctrl-C quits, and nothing is written.";

/// Whether there is a terminal to ask on: questions go to standard error, answers come from standard input.
pub fn is_attended() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The lines that a list needs: one item, and what is above and below it.
const FEWEST_LINES: u16 = 3;

/// Whether the terminal has cursor control, and is high enough for a list.
pub fn can_draw() -> bool {
    std::env::var("TERM").is_ok_and(|name| !name.is_empty() && name != "dumb") && has_lines()
}

/// Whether a list fits; a height of 0 means that it is unknown.
fn has_lines() -> bool {
    Term::stderr().size_checked().is_none_or(|(lines, _)| lines == 0 || lines >= FEWEST_LINES)
}

/// The columns for text.
pub fn width() -> usize {
    let columns = Term::stderr().size_checked().map_or(WIDEST, |(_, columns)| usize::from(columns));
    columns.saturating_sub(1).clamp(20, WIDEST)
}

/// The terminal's settings: restored on drop, whatever the current question did with them.
pub struct Restored {
    before: Option<Termios>,
    quiet: bool,
}

impl Restored {
    /// Saves the terminal's settings; with `quiet`, keys are not echoed meanwhile.
    pub fn new(quiet: bool) -> Self {
        let restored = Self { before: tcgetattr(io::stdin()).ok().filter(|_| is_attended()), quiet };
        restored.ask(false);
        restored
    }

    /// Ctrl-C is a key during a prompt, and a signal otherwise. As a signal it could end the program just when the
    /// prompting thread is about to change the terminal, which would then stay changed.
    pub fn ask(&self, asking: bool) {
        let Some(before) = self.before.as_ref().filter(|_| self.quiet) else { return };
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON);
        if asking {
            now.local_modes.remove(LocalModes::ISIG);
        }
        // The prompt notices a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &now);
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // There is no way to report that the terminal is gone.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
            if self.quiet {
                let _ = Term::stderr().show_cursor();
            }
        }
    }
}

/// A terminal with cursor control.
pub struct Terminal {
    term: Term,
}

impl Terminal {
    /// The terminal of standard error.
    pub fn new(no_color: bool) -> Self {
        if no_color {
            dialoguer::console::set_colors_enabled_stderr(false);
        }
        Self { term: Term::stderr() }
    }

    fn introduce(&self, question: &Question, problem: Option<&str>) -> io::Result<()> {
        let width = width() - 2;
        if let Some(problem) = problem {
            for (number, line) in wrap(&clean(problem), width - 2).iter().enumerate() {
                let mark = if number == 0 { "! " } else { "  " };
                self.term.write_line(&format!("  {}", style(format!("{mark}{line}")).red().for_stderr()))?;
            }
            return Ok(());
        }
        self.term.write_line("")?;
        self.term.write_line(&style(cut(&clean(&question.title), width)).bold().for_stderr().to_string())?;
        for line in wrap(&clean(&question.help), width) {
            self.term.write_line(&format!("  {}", style(line).dim().for_stderr()))?;
        }
        Ok(())
    }

    fn choose(&self, items: &[Item], default: &str) -> io::Result<Reply> {
        if !has_lines() {
            return Err(io::Error::other(format!("it has fewer than {FEWEST_LINES} lines")));
        }
        let first = items.iter().map(|item| item.value.chars().count()).max().unwrap_or(0);
        let label = |item: &Item| format!("{:first$}  {}", clean(&item.value), clean(&item.label));
        let labels: Vec<String> = items.iter().map(|item| fitting(&label(item), width() - 6)).collect();
        let place = items.iter().position(|item| item.value == default).unwrap_or(0);
        let select = Select::with_theme(&Marks).items(&labels).default(place).report(false);
        let chosen = select.interact_on_opt(&self.term).map_err(|dialoguer::Error::IO(error)| error)?;
        Ok(match chosen.and_then(|place| items.get(place).zip(labels.get(place))) {
            Some((item, label)) => {
                self.answered(
                    &label.split_whitespace().collect::<Vec<_>>().join(" ").replacen(' ', "  ", 1),
                )?;
                Reply::Answer(item.value.clone())
            }
            None => self.went_back()?,
        })
    }

    fn answered(&self, text: &str) -> io::Result<()> {
        self.term.write_line(&format!("  {} {text}", style(">").green().for_stderr()))
    }

    fn went_back(&self) -> io::Result<Reply> {
        self.term.write_line(&format!("  {}", style("< back").dim().for_stderr()))?;
        Ok(Reply::Back)
    }

    fn type_in(&self, default: &str) -> io::Result<Reply> {
        let shown = fitting(&clean(default), width() / 2);
        let prefix = if shown.is_empty() { "  > ".into() } else { format!("  [{shown}] > ") };
        let mut line = Line::default();
        loop {
            self.draw(&prefix, &line)?;
            match self.term.read_key_raw()? {
                Key::Enter => break,
                Key::Escape => {
                    line.replace("<");
                    break;
                }
                Key::CtrlC => return self.end_line(Reply::Stop),
                Key::Char('\u{4}') if line.text().is_empty() => return self.end_line(Reply::Stop),
                Key::Tab if line.text().is_empty() => line.replace(default),
                key => edit_of(&key).into_iter().for_each(|edit| line.edit(edit)),
            }
        }
        self.term.clear_line()?;
        let text = line.text();
        match text.trim() {
            "<" => self.went_back(),
            "" => {
                self.answered(&shown)?;
                Ok(Reply::Answer(default.to_owned()))
            }
            typed => {
                self.answered(&fitting(&clean(typed), width() - 6))?;
                Ok(Reply::Answer(typed.to_owned()))
            }
        }
    }

    fn draw(&self, prefix: &str, line: &Line) -> io::Result<()> {
        let (visible, behind) = line.visible(width() - prefix.chars().count());
        self.term.clear_line()?;
        self.term.write_str(&format!("{prefix}{}", clean(&visible)))?;
        if behind > 0 {
            self.term.move_cursor_left(behind)?;
        }
        self.term.flush()
    }

    fn end_line(&self, reply: Reply) -> io::Result<Reply> {
        self.term.write_line("")?;
        Ok(reply)
    }
}

impl Prompt for Terminal {
    fn ask(&mut self, question: &Question, problem: Option<&str>) -> Result<Reply> {
        let asked = self.introduce(question, problem).and_then(|()| match &question.kind {
            AnswerKind::Choice(items) => self.choose(items, &question.default),
            AnswerKind::Text => self.type_in(&question.default),
        });
        or_stop(asked)
    }
}

/// An interrupted read, or a terminal that is gone, cancels.
pub(super) fn or_stop(asked: io::Result<Reply>) -> Result<Reply> {
    asked.or_else(|error| match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof => Ok(Reply::Stop),
        _ => Err(Error::new(&code::ANSWER_MISSING, "the terminal cannot be used").because(error)),
    })
}

/// In at most so many bytes: dialoguer counts them to tell whether an item needs more than one line.
fn fitting(text: &str, width: usize) -> String {
    let mut columns = width;
    let mut fitted = cut(&text.replace('\n', " "), columns);
    while fitted.len() > width && columns > 1 {
        columns -= 1;
        fitted = cut(text, columns);
    }
    fitted.trim_end().to_owned()
}

fn edit_of(key: &Key) -> Option<Edit> {
    Some(match key {
        Key::Backspace => Edit::Backspace,
        Key::Del => Edit::Delete,
        Key::ArrowLeft => Edit::Left,
        Key::ArrowRight => Edit::Right,
        Key::Home => Edit::Home,
        Key::End => Edit::End,
        Key::Char('\u{15}') => Edit::Kill,
        Key::Char('\u{17}') => Edit::KillWord,
        Key::Char(c) if !c.is_control() => Edit::Insert(*c),
        _ => return None,
    })
}

/// The selected item has a mark, so that it is visible without colours.
struct Marks;

impl Theme for Marks {
    fn format_select_prompt_item(&self, f: &mut dyn fmt::Write, text: &str, active: bool) -> fmt::Result {
        if active {
            write!(f, "  {} {}", style(">").green().for_stderr(), style(text).bold().for_stderr())
        } else {
            write!(f, "    {text}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_fits_in_bytes_too() {
        assert_eq!(fitting("abc", 10), "abc");
        let fitted = fitting("ééééééééééééé", 10);
        assert!(fitted.len() <= 10 && fitted.ends_with('…'), "{fitted}");
    }
}
