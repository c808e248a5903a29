//! The wizard: surveys, asks a few questions, and makes a profile from the answers.
//!
//! A question is data (`question`); which ones there are follows from what was seen and answered (`questions`). The
//! interview puts them to whatever can answer: a terminal, flags and files, a test. The answers become
//! settings on top of a base profile (`settings`), and these the text of a file that kvnet has read back (`compose`).

pub mod answers;
mod compose;
mod explain;
pub mod file;
pub mod given;
pub mod id;
mod interview;
mod line;
pub mod look;
pub mod plain;
pub mod prompt;
pub mod question;
pub mod questions;
mod ranges;
mod settings;
pub mod show;
pub mod terminal;
#[cfg(test)]
mod tests;
mod yaml;

use crate::facts::survey::Survey;
use crate::profile::{self, Profile};
use answers::Answers;
use id::Id;

pub use compose::{Composed, compose};
pub use interview::{Interview, Turn};

/// What a question can depend on.
pub struct View<'a> {
    /// What was seen.
    pub survey: &'a Survey,
    pub answers: &'a Answers,
    /// The base profile; the default one until it is chosen.
    pub base: Profile,
    /// The base that the command line names.
    pub base_name: Option<&'a str>,
    /// Whether a file is to be written.
    pub writes: bool,
    /// Whether node and cluster are a sandbox.
    pub sandbox: bool,
}

impl View<'_> {
    /// The bridges that the profile will have.
    fn bridges(&self) -> Vec<String> {
        match self.answers.of(&Id::Networks) {
            Some(questions::OF_BASE) => {
                self.base.ovs.bridges.iter().map(|bridge| bridge.name.clone()).collect()
            }
            Some(questions::OWN) => self.answers.bridges(),
            _ => Vec::new(),
        }
    }

    /// The pods' address range: as seen, otherwise as answered.
    fn pod_subnet(&self) -> String {
        let seen = self.survey.cluster.pod_subnet.as_deref();
        let known = seen.or_else(|| self.answers.of(&Id::PodSubnet));
        known.unwrap_or(&self.base.cluster.pod_subnet).to_owned()
    }

    /// The name of the base profile.
    fn base_reference(&self) -> &str {
        self.answers.of(&Id::Base).unwrap_or("default")
    }
}

/// The shipped profile of a name; the defaults when there is none, which no accepted answer leads to.
fn base(answers: &Answers) -> Profile {
    let name = answers.of(&Id::Base).unwrap_or("default");
    profile::load(name, &[]).map(|loaded| loaded.profile).unwrap_or_default()
}
