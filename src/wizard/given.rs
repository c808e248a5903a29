//! Answers without a prompt: from flags, from a file, or the defaults.

use std::collections::BTreeMap;

use super::answers::Answers;
use super::id::Id;
use super::prompt::{Prompt, Reply};
use super::question::Question;
use crate::error::{Error, Result, code};
use crate::profile::{Flat, flat, suggestion};

/// Answers by question; a flag overrides the file.
#[derive(Clone, Debug, Default)]
pub struct Given {
    answers: BTreeMap<Id, Answer>,
    proposals: bool,
    base: Option<String>,
}

/// An answer and its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The answer as it was written.
    pub text: String,
    /// A flag, or the place in a file.
    origin: String,
}

impl Given {
    /// None yet. With `proposals`, the defaults answer every other question; `base` is the default base profile.
    pub fn new(proposals: bool, base: Option<&str>) -> Self {
        Self { answers: BTreeMap::new(), proposals, base: base.map(str::to_owned) }
    }

    /// Takes a flag's answer.
    pub fn flag(&mut self, id: Id, text: &str) {
        let origin = match id.key() {
            Some(_) => id.to_string().replace('…', text),
            None => format!("{id} {text}"),
        };
        self.answers.insert(id, Answer { text: text.to_owned(), origin });
    }

    /// Takes the answers of a file, unless a flag gave them.
    /// Fails with `KVN111` with the place, for what is not an answer.
    pub fn file(&mut self, bytes: &[u8], path: &str) -> Result<()> {
        let parsed = flat(bytes, path).map_err(|error| {
            let new = Error::new(&code::ANSWER, format!("the answers cannot be read: {}", error.message()));
            new.at(error.place().unwrap_or(path))
                .hint("write them as `NAME: ANSWER`, as `-o yaml` prints them")
        })?;
        for entry in parsed {
            let (id, text) = answer_of(&entry)?;
            self.answers.entry(id).or_insert(Answer { text, origin: entry.place });
        }
        Ok(())
    }

    /// Whether anything is given.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && !self.proposals
    }

    pub fn answer(&self, question: &Question) -> Option<Answer> {
        let proposal = || Answer { text: question.default.clone(), origin: "--defaults".into() };
        self.answers.get(&question.id).cloned().or_else(|| self.proposals.then(proposal))
    }

    /// Forgets an answer, so that the question is asked.
    pub fn forget(&mut self, id: &Id) {
        self.answers.remove(id);
    }

    /// The default base.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Given answers without a question.
    pub fn unused(&self, answers: &Answers) -> Vec<(&Id, &Answer)> {
        self.answers.iter().filter(|(id, _)| answers.of(id).is_none()).collect()
    }
}

impl Answer {
    /// The error for an invalid answer.
    pub fn refused(&self, id: &Id, reason: &str) -> Error {
        let error = Error::new(&code::ANSWER, format!("invalid `{}`: {reason}", id.name()));
        error.at(self.origin.clone())
    }

    /// The error for an answer without a question; `others` are what questions are about.
    pub fn unasked(&self, id: &Id, others: &[String]) -> Error {
        let about = id.key().map(|key| format!(" about `{key}`")).unwrap_or_default();
        let error = Error::new(&code::ANSWER, format!("no question takes `{}`{about}", id.name()));
        let error = error.at(self.origin.clone());
        match others {
            [] => error.hint("leave it out, or change the answers before it"),
            others => error.hint(format!("it is asked about: {}", others.join(", "))),
        }
    }
}

fn answer_of(entry: &Flat) -> Result<(Id, String)> {
    let wrong = |message: String| Error::new(&code::ANSWER, message).at(entry.place.clone());
    let (name, key) = (entry.keys.first().map_or("", String::as_str), entry.keys.get(1).map(String::as_str));
    let Some(id) = Id::of(name, key) else {
        let known = Id::names().any(|known| known == name);
        return Err(match (known, key) {
            (false, _) => {
                wrong(format!("question `{name}` does not exist")).hint(suggestion(name, Id::names()))
            }
            (true, None) => wrong(format!("`{name}` is asked for each bridge"))
                .hint(format!("write it as `{name}: {{BRIDGE: ANSWER}}`")),
            (true, Some(key)) => wrong(format!("`{name}` is not asked about `{key}`"))
                .hint("write one answer, not a map; ranges are asked about BRIDGE and BRIDGE:VLAN"),
        });
    };
    let text = entry.text.clone();
    let text =
        text.ok_or_else(|| wrong(format!("`{name}` is not an answer")).hint("write a string or a list"))?;
    Ok((id, text))
}

/// A prompt without a user.
pub struct Nobody;

impl Prompt for Nobody {
    fn ask(&mut self, question: &Question, _problem: Option<&str>) -> Result<Reply> {
        let message = format!("`{}` has no answer, and there is no terminal to ask on", question.id.name());
        let error = Error::new(&code::ANSWER_MISSING, message).at(question.id.to_string());
        Err(error.hint(format!("the default is `{}`; `--defaults` accepts the defaults", question.default)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_takes_the_place_of_a_file() {
        let mut given = Given::new(false, None);
        given.flag(Id::KubeVirt, "no");
        given.file(b"kubevirt: true\nuplink: {red: eth1}\n", "a.yaml").unwrap();
        let question = Question::yes_no(Id::KubeVirt, "", "", ["", ""], true);
        assert_eq!(given.answer(&question).unwrap().text, "no");
        let unused = given.unused(&Answers::default());
        assert_eq!(unused[0].1.unasked(unused[0].0, &["blue".into()]).hints(), ["it is asked about: blue"]);
        assert_eq!(unused[0].1.origin, "a.yaml:2:10");
    }

    #[test]
    fn what_is_no_answer_is_refused_at_its_place() {
        for (text, place, message) in [
            ("kubevrit: true\n", "a.yaml:1:1", "question `kubevrit` does not exist"),
            ("vm: yes\nuplink: eth1\n", "a.yaml:2:1", "is asked for each bridge"),
            ("vm: {a: b}\n", "a.yaml:1:6", "is not asked about `a`"),
            ("bridges: [[{a: b}]]\n", "a.yaml:1:1", "is not an answer"),
            ("- a\n", "a.yaml:1:1", "cannot be read"),
            ("a: [\n", "a.yaml:", "cannot be read"),
        ] {
            let error = Given::new(false, None).file(text.as_bytes(), "a.yaml").unwrap_err();
            assert!(error.message().contains(message), "{text}: {error}");
            assert_eq!(error.code().id, "KVN111");
            assert!(error.place().unwrap().starts_with(place), "{text}: {error}");
        }
    }
}
