//! A step: it compares what is with what should be, and yields the changes between the two.

use async_trait::async_trait;

use super::change::Change;
use super::traces::Traces;
use crate::context::Context;
use crate::error::Result;

/// One part of the job. Each lives in its own file under `src/steps`.
#[async_trait]
pub trait Step: Send + Sync {
    /// What it is called, and where and after what it runs.
    fn about(&self) -> &'static About;

    /// Whether the profile asks for this step.
    fn enabled(&self, cx: &Context) -> bool;

    /// Reads the state and compares it with the profile: the changes between the two, in the order to apply them; none
    /// when all is in place. Changes nothing. Must cope with a missing cluster or tool that an earlier step will
    /// provide.
    async fn find(&self, cx: &Context) -> Result<Findings>;

    /// The post-condition after the changes were applied; cheap, because the waits are changes of their own. It has no
    /// effect.
    async fn verify(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }

    /// What the run gets from the step once its post-condition holds: a connection, a record.
    async fn after_apply(&self, _cx: &Context) -> Result<()> {
        Ok(())
    }

    /// Whether the machine's files explain why its cluster does not answer. Such a step runs even when it is unknown
    /// which node the machine is.
    fn tells_why_silent(&self) -> bool {
        false
    }

    /// The objects that the step applies, for `render`.
    async fn objects(&self, _cx: &Context) -> Result<Vec<serde_json::Value>> {
        Ok(Vec::new())
    }

    /// What the component leaves on the node by itself; `down` removes what is not pre-existing.
    fn traces(&self, _cx: &Context) -> Traces {
        Traces::default()
    }

    /// What `down` does before it deletes the step's objects; `installed` says whether kvnet's objects exist.
    async fn before_removal(&self, _cx: &Context, _installed: bool) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }

    /// Why what a change of the step made has to stay, before `change` reverts it; none when it may go.
    async fn keeps(&self, _cx: &Context, _change: &Change) -> Result<Option<String>> {
        Ok(None)
    }

    /// What `down` does once the step's objects and traces are gone.
    async fn after_removal(&self, _cx: &Context) -> Result<Vec<Change>> {
        Ok(Vec::new())
    }
}

/// What a step is called, and where and after what it runs.
pub struct About {
    /// The name in kebab-case, used by `--only` and `--skip`.
    pub id: &'static str,
    /// A few words for people.
    pub title: &'static str,
    /// The steps that must be done before; those that are skipped or off count as done.
    pub requires: &'static [&'static str],
    /// Which machine it can run on.
    pub reach: Reach,
}

impl dyn Step + '_ {
    /// [`About::id`].
    pub fn id(&self) -> &'static str {
        self.about().id
    }

    /// [`About::title`].
    pub fn title(&self) -> &'static str {
        self.about().title
    }

    /// [`About::requires`].
    pub fn requires(&self) -> &'static [&'static str] {
        self.about().requires
    }

    /// [`About::reach`].
    pub fn reach(&self) -> Reach {
        self.about().reach
    }
}

/// Which machine a step can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only a node of the cluster: it reads the machine's files, commands or devices as those of a node.
    Node,
    /// Any machine: it works through the cluster's API, or in the home directory of the user.
    Anywhere,
}

/// What a step found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// The changes, in order.
    pub changes: Vec<Change>,
    /// The lines of the changes that an earlier step will make necessary, and that cannot be seen before: a cluster that
    /// kvnet makes has taints.
    pub foreseen: Vec<String>,
    /// Notes that are not changes: which file wins, what was adopted, warnings.
    pub notes: Vec<Note>,
    /// The version that is in place, when the step has one.
    pub version: Option<String>,
}

/// A line that a step adds to the plan and to `status`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Note {
    /// Whether it needs attention.
    pub warning: bool,
    /// One sentence, lower case, no period.
    pub text: String,
}

impl Findings {
    /// Findings with changes and nothing else.
    pub fn of(changes: Vec<Change>) -> Self {
        Self { changes, ..Self::default() }
    }

    /// What the step will do, a line each: now, and once the steps before it have run.
    pub fn lines(&self) -> Vec<String> {
        let later = self.foreseen.iter().map(|line| format!("{line}, after the steps before"));
        self.changes.iter().map(ToString::to_string).chain(later).collect()
    }

    /// Whether the step has something to do.
    pub fn acts(&self) -> bool {
        !self.changes.is_empty() || !self.foreseen.is_empty()
    }

    /// Adds a note.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(Note { warning: false, text: text.into() });
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.notes.push(Note { warning: true, text: text.into() });
    }
}
