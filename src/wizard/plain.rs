//! Questions on a terminal that only writes lines: numbers to choose from, and lines to type. Suits screen readers too.

use std::io::{self, BufRead, Write};

use super::prompt::{Prompt, Reply};
use super::question::{AnswerKind, Question};
use super::terminal::{or_stop, width};
use crate::error::Result;
use crate::terminal::{clean, say, wrap};

/// The help on keys.
pub const KEYS: &str = "Enter accepts the default, `<` goes back to the previous question. Ctrl-C quits, and nothing is written.";

/// A terminal without cursor control.
pub struct Plain;

impl Prompt for Plain {
    fn ask(&mut self, question: &Question, problem: Option<&str>) -> Result<Reply> {
        match problem {
            Some(problem) => lines("! ", problem),
            None => introduce(question),
        }
        let _ = write!(io::stderr(), "  [{}] > ", clean(&question.default));
        let mut typed = String::new();
        or_stop(io::stdin().lock().read_line(&mut typed).map(|bytes| match bytes {
            0 => Reply::Stop,
            _ => reply(question, typed.trim()),
        }))
    }
}

fn introduce(question: &Question) {
    say("");
    say(&clean(&question.title));
    lines("", &question.help);
    if let AnswerKind::Choice(items) = &question.kind {
        for (number, item) in items.iter().enumerate() {
            lines(&format!("{}) ", number + 1), &format!("{}: {}", item.value, item.label));
        }
    }
}

fn lines(mark: &str, text: &str) {
    for (number, line) in wrap(&clean(text), width() - 2 - mark.len()).iter().enumerate() {
        let mark = if number == 0 { mark.to_owned() } else { " ".repeat(mark.len()) };
        say(&format!("  {mark}{line}"));
    }
}

fn reply(question: &Question, typed: &str) -> Reply {
    let number = typed.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    match (typed, &question.kind) {
        ("<", _) => Reply::Back,
        ("", _) => Reply::Answer(question.default.clone()),
        (_, AnswerKind::Choice(items)) => {
            let chosen = number.and_then(|number| items.get(number)).map(|item| item.value.clone());
            Reply::Answer(chosen.unwrap_or_else(|| typed.to_owned()))
        }
        (_, AnswerKind::Text) => Reply::Answer(typed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wizard::id::Id;

    #[test]
    fn an_item_is_chosen_by_number_or_name() {
        let question = Question::yes_no(Id::Vm, "", "", ["", ""], true);
        for (typed, expected) in [
            ("2", Reply::Answer("no".into())),
            ("no", Reply::Answer("no".into())),
            ("", Reply::Answer("yes".into())),
            ("<", Reply::Back),
            ("0", Reply::Answer("0".into())),
            ("3", Reply::Answer("3".into())),
        ] {
            assert_eq!(reply(&question, typed), expected, "{typed}");
        }
        let question = Question::text(Id::Vlans("red".into()), "", "", "none");
        assert_eq!(reply(&question, "2"), Reply::Answer("2".into()));
    }
}
