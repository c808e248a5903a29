//! The interview: asks what is not answered yet, in order, and goes back when asked to.

use super::answers::Answers;
use super::given::Given;
use super::id::Id;
use super::prompt::{Prompt, Reply};
use super::question::{Kind, Question};
use super::questions::{self, STANDARD_OUTPUT};
use super::{View, answers, base, file, ranges, settings};
use crate::error::{Error, Result, code};
use crate::facts::survey::Survey;

/// What was seen, said and asked so far.
pub struct Interview {
    survey: Survey,
    given: Given,
    writes: bool,
    sandbox: bool,
    answers: Answers,
    /// The answered questions in their order, with whether somebody was asked.
    path: Vec<(Id, bool)>,
    /// Answers that were taken back: they are proposed again.
    earlier: Answers,
    /// What was wrong with the last answer.
    problem: Option<String>,
}

/// Where an interview stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// All is answered.
    Done,
    /// The question that was to be waited for is the next.
    Before,
    /// Nothing is wanted any more.
    Stopped,
}

impl Interview {
    /// An interview about a node; what is given is not asked. With `writes`, it is also about a file.
    pub fn new(survey: Survey, given: Given, writes: bool, sandbox: bool) -> Self {
        let (answers, earlier) = (Answers::default(), Answers::default());
        Self { survey, given, writes, sandbox, answers, path: Vec::new(), earlier, problem: None }
    }

    /// What was seen.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// The answers so far.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// What questions depend on.
    pub fn view(&self) -> View<'_> {
        self.view_of(&self.answers)
    }

    /// Asks until all is answered, or until the question `last` is the next.
    ///
    /// # Errors
    /// `KVN110` when nobody can be asked; `KVN111` when a given answer is refused; those of the prompt.
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

    /// Asks the one question that is left.
    ///
    /// # Errors
    /// As [`Interview::run`].
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

    /// Takes an answer from flags, files or proposals; false when somebody has to be asked.
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

    /// Asks one question once; false when nothing is wanted any more.
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

    /// Takes the last answer back that somebody was asked for, and all that followed from it.
    fn back(&mut self) {
        let Some(place) = self.path.iter().rposition(|(_, asked)| *asked) else {
            self.problem = Some("this is the first question; Ctrl-C leaves".into());
            return;
        };
        for (id, _) in self.path.split_off(place) {
            if let Some(answer) = self.answers.forget(&id) {
                self.earlier.set(id, answer);
            }
        }
    }

    /// Lets the file be asked for again, also when it was given.
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

    /// The answer as it is remembered, when the question, and the profile that it would lead to, allow it.
    fn accept(&self, question: &Question, text: &str) -> Result<String, String> {
        let answer = question.accept(text)?;
        let answer = match question.kind {
            Kind::Choice(_) => answer,
            Kind::Text => self.read(&question.id, &answer)?,
        };
        let mut answers = self.answers.clone();
        answers.set(question.id.clone(), answer.clone());
        let view = self.view_of(&answers);
        match settings::resolve(&view, &settings::of(&view), "kvnet.yaml") {
            Ok(_) => Ok(answer),
            Err(error) => Err(said(text, &error)),
        }
    }

    /// What a text means as an answer.
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
        // Open vSwitch would take the name away from the card, or fail.
        let card = names.iter().find(|name| self.survey.cards.iter().any(|card| card.link.name == **name));
        match (twice, card) {
            _ if names.is_empty() => Err("name one bridge at least".into()),
            (Some((_, name)), _) => Err(format!("{name} is there twice")),
            (_, Some(card)) => Err(format!("{card} is a network card: give the bridge another name")),
            _ => Ok(names.join(",")),
        }
    }

    /// The errors for given answers that no question asked for: otherwise they would be forgotten without a word. One about
    /// a file that turned out not to be there is fine.
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
                return Err(format!("{number} is there twice"));
            }
            Ok(number @ 1..=4094) => numbers.push(number),
            _ => {
                return Err(format!(
                    "`{}` is no VLAN: write 1 to 4094, or `none`",
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

/// What a profile's rules say about an answer. The path of the field says nothing to somebody who never saw it.
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
