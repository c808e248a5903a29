//! A step: observe the current state, compute the desired state, and yield the changes between the two.

use async_trait::async_trait;

use super::change::Change;
use super::execute::is_ours;
use super::traces::Traces;
use crate::cluster::ObjectKey;
use crate::context::Context;
use crate::error::{Error, Result, code};

/// One part of the job. Each lives in its own file under `src/steps`.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// The current state, as far as the step cares.
    type Observed: Send + Sync;
    /// What should be there.
    type Desired: Send + Sync;

    /// The name in kebab-case, used by `--only` and `--skip`.
    const ID: &'static str;
    /// A few words for people.
    const TITLE: &'static str;
    /// The steps that must be done before; those that are skipped or off count as done.
    const REQUIRES: &'static [&'static str];
    /// Which machine it can run on.
    const REACH: Reach;
    /// Whether the machine's files explain why its cluster does not answer. Such a step runs even when it is unknown
    /// which node the machine is.
    const TELLS_WHY_SILENT: bool = false;

    /// Whether the profile asks for this step.
    fn enabled(&self, cx: &Context) -> bool;

    /// Reads the state; changes nothing. Must cope with a missing cluster or tool that an earlier step will provide.
    async fn observe(&self, cx: &Context) -> Result<Self::Observed>;

    /// What should be, from the profile and from what was observed.
    async fn desired(&self, cx: &Context, observed: &Self::Observed) -> Result<Self::Desired>;

    /// The changes between the two, in the order to apply them; empty when all is in place. Pure.
    fn diff(&self, cx: &Context, observed: &Self::Observed, desired: &Self::Desired) -> Result<Findings>;

    /// The post-condition after the changes were applied; cheap, because the waits are changes of their own.
    async fn verify(&self, _cx: &Context) -> Result<()> {
        Ok(())
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

/// A [`Step`] without its own types, as the engine holds it.
#[async_trait]
pub trait AnyStep: Send + Sync {
    /// [`Step::ID`].
    fn id(&self) -> &'static str;
    /// [`Step::TITLE`].
    fn title(&self) -> &'static str;
    /// [`Step::REQUIRES`].
    fn requires(&self) -> &'static [&'static str];
    /// [`Step::REACH`].
    fn reach(&self) -> Reach;
    /// [`Step::TELLS_WHY_SILENT`].
    fn tells_why_silent(&self) -> bool;
    /// [`Step::enabled`].
    fn enabled(&self, cx: &Context) -> bool;
    /// Observes, then diffs.
    async fn find(&self, cx: &Context) -> Result<Findings>;
    /// [`Step::verify`].
    async fn verify(&self, cx: &Context) -> Result<()>;
    /// [`Step::objects`].
    async fn objects(&self, cx: &Context) -> Result<Vec<serde_json::Value>>;
    /// [`Step::traces`].
    fn traces(&self, cx: &Context) -> Traces;
    /// [`Step::before_removal`].
    async fn before_removal(&self, cx: &Context, installed: bool) -> Result<Vec<Change>>;
    /// [`Step::keeps`].
    async fn keeps(&self, cx: &Context, change: &Change) -> Result<Option<String>>;
    /// [`Step::after_removal`].
    async fn after_removal(&self, cx: &Context) -> Result<Vec<Change>>;
}

#[async_trait]
impl<S: Step> AnyStep for S {
    fn id(&self) -> &'static str {
        S::ID
    }

    fn title(&self) -> &'static str {
        S::TITLE
    }

    fn requires(&self) -> &'static [&'static str] {
        S::REQUIRES
    }

    fn reach(&self) -> Reach {
        S::REACH
    }

    fn tells_why_silent(&self) -> bool {
        S::TELLS_WHY_SILENT
    }

    fn enabled(&self, cx: &Context) -> bool {
        Step::enabled(self, cx)
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let observed = self.observe(cx).await?;
        let desired = self.desired(cx, &observed).await?;
        let findings = self.diff(cx, &observed, &desired)?;
        findings.changes.iter().try_for_each(refuse_foreign_secret)?;
        Ok(findings)
    }

    async fn verify(&self, cx: &Context) -> Result<()> {
        Step::verify(self, cx).await
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<serde_json::Value>> {
        Step::objects(self, cx).await
    }

    fn traces(&self, cx: &Context) -> Traces {
        Step::traces(self, cx)
    }

    async fn before_removal(&self, cx: &Context, installed: bool) -> Result<Vec<Change>> {
        Step::before_removal(self, cx, installed).await
    }

    async fn keeps(&self, cx: &Context, change: &Change) -> Result<Option<String>> {
        Step::keeps(self, cx, change).await
    }

    async fn after_removal(&self, cx: &Context) -> Result<Vec<Change>> {
        Step::after_removal(self, cx).await
    }
}

/// The values of a Secret are never journaled, so `down` could not restore a pre-existing one.
fn refuse_foreign_secret(change: &Change) -> Result<()> {
    match change {
        Change::Apply { object, before: Some(_) } if object["kind"] == "Secret" && !is_ours(object) => {
            let key = ObjectKey::of(object);
            let message = format!("{key} is pre-existing and holds other values");
            let error = Error::new(&code::CLUSTER_CONFLICT, message);
            Err(error.hint(format!("delete {key}, or give kvnet's object another name in the profile")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_pre_existing_secret_that_would_change_is_refused() {
        let ours = json!({"app.kubernetes.io/managed-by": "kvnet"});
        for (kind, labels, before, refused) in [
            ("Secret", json!({}), Some(Vec::new()), true),
            ("Secret", json!({}), None, false),
            ("Secret", ours, Some(Vec::new()), false),
            ("ConfigMap", json!({}), Some(Vec::new()), false),
        ] {
            let object =
                json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "s", "labels": labels}});
            let change = Change::Apply { object: Box::new(object), before };
            assert_eq!(refuse_foreign_secret(&change).is_err(), refused, "{change}");
        }
    }
}
