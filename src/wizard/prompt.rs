//! Who answers.

use super::question::Question;
use crate::error::Result;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// An answer; it may be refused.
    Answer(String),
    /// Back to the previous question.
    Back,
    /// Cancel; nothing is kept.
    Stop,
}

/// Asks the user.
pub trait Prompt: Send {
    /// Asks; `problem` is what was wrong with the last answer to the same question.
    /// Fails when the terminal is gone.
    fn ask(&mut self, question: &Question, problem: Option<&str>) -> Result<Reply>;
}

/// Gives a test's answers, and records what it was asked.
#[cfg(test)]
pub struct Scripted {
    replies: std::collections::VecDeque<Reply>,
    /// The questions with their defaults, and the problems, in order.
    pub asked: Vec<(String, String, Option<String>)>,
}

#[cfg(test)]
impl Scripted {
    /// `<` goes back, `^C` cancels, an empty text accepts the default.
    pub fn new(replies: &[&str]) -> Self {
        let reply = |text: &&str| match *text {
            "<" => Reply::Back,
            "^C" => Reply::Stop,
            text => Reply::Answer(text.to_owned()),
        };
        Self { replies: replies.iter().map(reply).collect(), asked: Vec::new() }
    }
}

#[cfg(test)]
impl Prompt for Scripted {
    fn ask(&mut self, question: &Question, problem: Option<&str>) -> Result<Reply> {
        let name = question.id.to_string();
        self.asked.push((name, question.default.clone(), problem.map(str::to_owned)));
        Ok(match self.replies.pop_front() {
            Some(Reply::Answer(text)) if text.is_empty() => Reply::Answer(question.default.clone()),
            Some(reply) => reply,
            None => Reply::Stop,
        })
    }
}
