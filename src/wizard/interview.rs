//! The interview: asks what is not answered yet, in order, and goes back on request.

use super::answers::Answers;
use super::given::Given;
use super::id::Id;
use super::prompt::{Prompt, Reply};
use super::question::{AnswerKind, Question};
use super::questions::{self, STANDARD_OUTPUT};
use super::{View, answers, base, file, ranges, settings};
use crate::error::{Error, Result, code};
use crate::facts::survey::Survey;

/// What was seen, answered and asked so far.
pub struct Interview {
    survey: Survey,
    given: Given,
    writes: bool,
    sandbox: bool,
    answers: Answers,
    /// The answered questions in order, with whether the user was asked.
    path: Vec<(Id, bool)>,
    /// Withdrawn answers: they become the defaults.
    earlier: Answers,
    /// What was wrong with the last answer.
    problem: Option<String>,
}

/// The state of an interview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All is answered.
    Done,
    /// The question to stop at is the next.
    Before,
    /// The user cancelled.
    Stopped,
}

impl Interview {
    /// An interview about a node; given answers are not asked for. With `writes`, it also asks for a file.
    pub fn new(survey: Survey, given: Given, writes: bool, sandbox: bool) -> Self {
        let (answers, earlier) = (Answers::default(), Answers::default());
        Self { survey, given, writes, sandbox, answers, path: Vec::new(), earlier, problem: None }
    }

    /// The answers so far.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What questions depend on.
    pub fn view(&self) -> View<'_> {
        self.view_of(&self.answers)
    }

    /// Asks until everything is answered, or until the question `last` is the next.
    /// Fails with `KVN110` without a terminal; `KVN111` when a given answer is refused.
    pub fn run(&mut self, prompt: &mut dyn Prompt, last: Option<&Id>) -> Result<Turn> {
        loop {
            let Some(question) = questions::next(&self.view()) else { return Ok(Turn::Done) };
            if Some(&question.id) == last {
                return Ok(Turn::Before);
            }
            if self.take_given(&question)? {
                continue;
            }
            if !self.ask(prompt, question)? {
                return Ok(Turn::Stopped);
            }
        }
    }

    /// Asks the last open question.
    pub fn finish(&mut self, prompt: &mut dyn Prompt) -> Result<Turn> {
        let Some(question) = questions::next(&self.view()) else { return Ok(Turn::Done) };
        let before = self.path.len();
        if self.take_given(&question)? {
            return Ok(Turn::Done);
        }
        while self.path.len() == before {
            if !self.ask(prompt, question.clone())? {
                return Ok(Turn::Stopped);
            }
        }
        Ok(if self.path.len() > before { Turn::Done } else { Turn::Before })
    }

    /// Takes an answer from flags, files or defaults; false when the user has to be asked.
    fn take_given(&mut self, question: &Question) -> Result<bool> {
        let Some(answer) = self.given.answer(question) else { return Ok(false) };
        let accepted = self.accept(question, &answer.text);
        let accepted = accepted.map_err(|reason| answer.refused(&question.id, &reason))?;
        if questions::keeps_file(&question.id, &accepted) {
            return Err(file::exists(self.answers.of(&Id::File).unwrap_or_default()));
        }
        self.remember(question.id.clone(), accepted, false);
        Ok(true)
    }

    /// Asks one question once; false when the user cancelled.
    fn ask(&mut self, prompt: &mut dyn Prompt, question: Question) -> Result<bool> {
        let question = match self.earlier.of(&question.id) {
            Some(earlier) => question.proposing(earlier),
            None => question,
        };
        let problem = self.problem.take();
        match prompt.ask(&question, problem.as_deref())? {
            Reply::Stop => return Ok(false),
            Reply::Back => self.back(),
            Reply::Answer(text) => match self.accept(&question, &text) {
                Ok(answer) if questions::keeps_file(&question.id, &answer) => self.ask_for_file(),
                Ok(answer) => self.remember(question.id, answer, true),
                Err(problem) => self.problem = Some(problem),
            },
        }
        Ok(true)
    }

    /// Withdraws the last answer from the user, and all that followed from it.
    fn back(&mut self) {
        let Some(place) = self.path.iter().rposition(|(_, asked)| *asked) else {
            self.problem = Some("this is the first question; Ctrl-C quits".into());
            return;
        };
        for (id, _) in self.path.split_off(place) {
            if let Some(answer) = self.answers.forget(&id) {
                self.earlier.set(id, answer);
            }
        }
    }

    /// Asks for the file again, even when it was given.
    fn ask_for_file(&mut self) {
        self.given.forget(&Id::File);
        let place = self.path.iter().position(|(id, _)| *id == Id::File).unwrap_or(self.path.len());
        for (id, _) in self.path.split_off(place) {
            self.answers.forget(&id);
        }
        self.problem = None;
    }

    fn remember(&mut self, id: Id, answer: String, asked: bool) {
        self.path.push((id.clone(), asked));
        self.answers.set(id, answer);
    }

    /// The normalised answer, when the question and the resulting profile allow it.
    fn accept(&self, question: &Question, text: &str) -> Result<String, String> {
        let answer = question.accept(text)?;
        let answer = match question.kind {
            AnswerKind::Choice(_) => answer,
            AnswerKind::Text => self.read(&question.id, &answer)?,
        };
        let mut answers = self.answers.clone();
        answers.set(question.id.clone(), answer.clone());
        let view = self.view_of(&answers);
        match settings::resolve(&view, &settings::of(&view), "kvnet.yaml") {
            Ok(_) => Ok(answer),
            Err(error) => Err(said(text, &error)),
        }
    }

    /// The answer that a text stands for.
    fn read(&self, id: &Id, text: &str) -> Result<String, String> {
        match id {
            Id::PodSubnet => ranges::accept(text),
            Id::Range(_) if [answers::LAYER_2, answers::NONE].contains(&text) => Ok(answers::LAYER_2.into()),
            Id::Range(_) => ranges::accept(text).map_err(|reason| format!("{reason}; or `l2` for none")),
            Id::Vlans(_) => vlans(text),
            Id::Bridges => self.bridges(text),
            Id::File if text == STANDARD_OUTPUT => Ok(text.into()),
            Id::File => file::accept(text),
            _ => Ok(text.into()),
        }
    }

    fn bridges(&self, text: &str) -> Result<String, String> {
        let names = answers::list(text);
        let twice = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name));
        // Open vSwitch would take over the NIC's name, or fail.
        let card = names.iter().find(|name| self.survey.cards.iter().any(|card| card.link.name == **name));
        match (twice, card) {
            _ if names.is_empty() => Err("give at least one bridge".into()),
            (Some((_, name)), _) => Err(format!("{name} is given twice")),
            (_, Some(card)) => Err(format!("{card} is a NIC: give the bridge another name")),
            _ => Ok(names.join(",")),
        }
    }

    /// The errors for given answers without a question: otherwise they would be ignored silently. `overwrite` for a
    /// file that does not exist is fine.
    pub fn unused(&self) -> Vec<Error> {
        let next = questions::next(&self.view()).map(|question| question.id);
        let unused = self.given.unused(&self.answers).into_iter();
        let unused = unused.filter(|(id, _)| **id != Id::Overwrite && Some(*id) != next.as_ref());
        unused.map(|(id, answer)| answer.unasked(id, &self.asked_instead(id))).collect()
    }

    /// The questions of the same name that were asked.
    fn asked_instead(&self, id: &Id) -> Vec<String> {
        let same = self.path.iter().filter(|(asked, _)| asked.name() == id.name());
        same.filter_map(|(asked, _)| asked.key()).collect()
    }

    fn view_of<'a>(&'a self, answers: &'a Answers) -> View<'a> {
        View {
            survey: &self.survey,
            answers,
            base: base(answers),
            base_name: self.given.base(),
            writes: self.writes,
            sandbox: self.sandbox,
        }
    }
}

fn vlans(text: &str) -> Result<String, String> {
    if text == answers::NONE {
        return Ok(text.into());
    }
    let mut numbers: Vec<u16> = Vec::new();
    for part in answers::list(text) {
        match part.parse() {
            Ok(number @ 1..=4094) if numbers.contains(&number) => {
                return Err(format!("{number} is given twice"));
            }
            Ok(number @ 1..=4094) => numbers.push(number),
            _ => {
                return Err(format!(
                    "`{}` is not a VLAN: write 1 to 4094, or `none`",
                    crate::terminal::cut(&part, 20)
                ));
            }
        }
    }
    if numbers.is_empty() {
        return Err("write numbers from 1 to 4094, or `none`".into());
    }
    Ok(numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// What a profile's rules say about an answer. The path of the field means nothing to a user who never saw it.
fn said(answer: &str, error: &Error) -> String {
    if error.code() == &code::INTERNAL {
        return error.to_string();
    }
    let message = error.message().lines().next().unwrap_or_default();
    let reason = match message.strip_prefix('`').and_then(|rest| rest.split_once("` ")) {
        Some((_, reason)) => reason,
        None => message,
    };
    let hint = error.hints().first().map(|hint| format!("; {hint}")).unwrap_or_default();
    // Some reasons begin with the value.
    if reason.starts_with(answer.trim()) {
        return format!("{reason}{hint}");
    }
    format!("`{}` {reason}{hint}", crate::terminal::cut(answer, 40))
}
