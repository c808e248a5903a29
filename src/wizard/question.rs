//! A question as data.

use super::answers::{NO, YES};
use super::id::Id;

/// A question with everything that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub id: Id,
    /// A short title.
    pub title: String,
    /// One line of explanation.
    pub help: String,
    /// How it can be answered.
    pub kind: AnswerKind,
    /// The answer that Enter gives.
    pub default: String,
}

/// How a question can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerKind {
    /// By one of these.
    Choice(Vec<Item>),
    Text,
}

/// A choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The answer.
    pub value: String,
    pub label: String,
    /// Why it is shown but cannot be chosen.
    pub refused: Option<String>,
}

impl Item {
    /// A selectable choice.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into(), refused: None }
    }
}

impl Question {
    /// A question that is answered by a text.
    pub fn text(id: Id, title: &str, help: impl Into<String>, default: impl Into<String>) -> Self {
        let (title, help, default) = (title.to_owned(), help.into(), default.into());
        Self { id, title, help, kind: AnswerKind::Text, default }
    }

    /// A question that is answered by one of some values.
    pub fn choice(id: Id, title: &str, help: impl Into<String>, items: Vec<Item>, default: &str) -> Self {
        let (title, help, default) = (title.to_owned(), help.into(), default.to_owned());
        Self { id, title, help, kind: AnswerKind::Choice(items), default }
    }

    pub fn yes_no(id: Id, title: &str, help: impl Into<String>, [yes, no]: [&str; 2], default: bool) -> Self {
        let items = vec![Item::new(YES, yes), Item::new(NO, no)];
        Self::choice(id, title, help, items, if default { YES } else { NO })
    }

    /// The same question with another default, unless that cannot be chosen.
    #[must_use]
    pub fn proposing(mut self, answer: &str) -> Self {
        let fits = match &self.kind {
            AnswerKind::Text => true,
            AnswerKind::Choice(items) => {
                items.iter().any(|item| item.value == answer && item.refused.is_none())
            }
        };
        if fits {
            answer.clone_into(&mut self.default);
        }
        self
    }

    /// The normalised answer, when the question allows it.
    ///
    /// # Errors
    /// Why it cannot, and what can be written.
    pub fn accept(&self, answer: &str) -> Result<String, String> {
        let answer = answer.trim();
        if let Some(strange) = answer.chars().find(|c| is_strange(*c)) {
            return Err(format!(
                "it contains the character U+{:04X}, which is not allowed",
                u32::from(strange)
            ));
        }
        let AnswerKind::Choice(items) = &self.kind else {
            return if answer.is_empty() { Err("write something".into()) } else { Ok(answer.to_owned()) };
        };
        let same = |item: &&Item| item.value.eq_ignore_ascii_case(spelled(answer));
        match items.iter().find(same) {
            Some(Item { refused: Some(reason), .. }) => Err(reason.clone()),
            Some(item) => Ok(item.value.clone()),
            None => {
                let possible = items.iter().filter(|item| item.refused.is_none());
                let values: Vec<&str> = possible.map(|item| item.value.as_str()).collect();
                Err(format!("`{answer}` is not one of: {}", values.join(", ")))
            }
        }
    }
}

/// Other ways to write yes and no.
fn spelled(answer: &str) -> &str {
    match answer.to_ascii_lowercase().as_str() {
        "y" | "true" => YES,
        "n" | "false" => NO,
        _ => answer,
    }
}

/// Characters that control a terminal, or change the direction of text.
fn is_strange(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_accepts_its_values_and_says_why_it_refuses() {
        let mut items = vec![Item::new("none", "none"), Item::new("eth0", "eth0"), Item::new("eth1", "eth1")];
        items[1].refused = Some("eth0 carries the node".into());
        let question = Question::choice(Id::Uplink("red".into()), "Uplink", "", items, "none");
        assert_eq!(question.accept(" ETH1 ").unwrap(), "eth1");
        assert_eq!(question.accept("eth0").unwrap_err(), "eth0 carries the node");
        assert_eq!(question.accept("eth9").unwrap_err(), "`eth9` is not one of: none, eth1");
        assert_eq!(question.clone().proposing("eth0").default, "none");
        assert_eq!(question.proposing("eth1").default, "eth1");
    }

    #[test]
    fn yes_and_no_have_many_spellings() {
        let question = Question::yes_no(Id::Vm, "VM", "", ["yes", "no"], true);
        for (written, answer) in [("y", "yes"), ("true", "yes"), ("No", "no"), ("FALSE", "no")] {
            assert_eq!(question.accept(written).unwrap(), answer);
        }
        assert!(question.accept("maybe").is_err());
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        let question = Question::text(Id::Bridges, "Bridges", "", "red");
        for text in ["a\u{1b}[31m", "a\nb", "a\u{202e}b", "\u{9b}1m"] {
            assert!(question.accept(text).unwrap_err().contains("U+"), "{text:?}");
        }
        assert!(question.accept("  ").is_err());
    }
}
