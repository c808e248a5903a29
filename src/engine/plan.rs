//! The plan: what every step found, in the order of the graph.

use futures::future::join_all;
use serde::Serialize;

use super::change::Change;
use super::graph::Graph;
use super::step::{Findings, Reach, Step};
use crate::context::Context;
use crate::context::target::Target;
use crate::error::{Code, Error, Result, code};
use crate::facts::identity::Identity;

/// The steps of a run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; empty means all.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
}

impl Selection {
    /// Whether a step is among the selected.
    pub fn wants(&self, id: &str) -> bool {
        let named = |names: &[String]| names.iter().any(|name| name == id);
        (self.only.is_empty() || named(&self.only)) && !named(&self.skip)
    }

    /// Refuses an unknown name, and names that leave no step.
    pub fn refuse_unknown(&self, steps: &[Box<dyn Step>]) -> Result<()> {
        let names: Vec<&str> = steps.iter().map(|step| step.id()).collect();
        let Some(name) = self.only.iter().chain(&self.skip).find(|name| !names.contains(&name.as_str()))
        else {
            return self.refuse_nothing(&names);
        };
        let known = format!("the steps are: {}", names.join(", "));
        Err(Error::new(&code::STEP_UNKNOWN, format!("step `{name}` does not exist")).hint(known))
    }

    /// Nobody selects nothing on purpose, and "nothing to do" would be said without a check.
    fn refuse_nothing(&self, names: &[&str]) -> Result<()> {
        if names.iter().any(|name| self.wants(name)) {
            return Ok(());
        }
        let message = "`--only` and `--skip` leave no step";
        Err(Error::new(&code::USAGE, message).hint("remove a step from `--skip`"))
    }
}

/// Whether a step's part is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All as it should be.
    InPlace,
    /// Nothing of it exists.
    Missing,
    /// It exists, but has drifted.
    Drifted,
    /// It is as it should be, but not ready yet.
    Waiting,
    /// The step could not read it.
    Unknown,
}

/// A step with what it found.
pub struct Planned<'a> {
    /// The step.
    pub step: &'a dyn Step,
    /// What it found; an error when it could not read the state or refuses.
    pub findings: Result<Findings>,
}

impl Planned<'_> {
    /// Whether the step's part is in place.
    pub fn state(&self) -> State {
        let Ok(findings) = &self.findings else { return State::Unknown };
        let changes = &findings.changes;
        if !findings.acts() {
            State::InPlace
        } else if findings.foreseen.is_empty() && changes.iter().all(super::change::Change::only_observes) {
            State::Waiting
        } else if changes.iter().all(|change| change.creates() || change.only_observes()) {
            State::Missing
        } else {
            State::Drifted
        }
    }
}

/// What every selected step found.
pub struct Plan<'a> {
    /// Which cluster and node it is for.
    pub target: Target,
    /// The steps, each after what it requires.
    pub steps: Vec<Planned<'a>>,
    /// Their order and requirements.
    pub graph: Graph,
}

impl<'a> Plan<'a> {
    /// Lets all selected steps observe concurrently. Changes nothing.
    pub async fn make(steps: &'a [Box<dyn Step>], selection: &Selection, cx: &Context) -> Result<Self> {
        let chosen = select(steps, selection, cx)?;
        let graph = Graph::new(chosen.iter().map(|step| (step.id(), step.requires().to_vec())))?;
        // First, which machine this is. A cluster that does not answer now is not asked again by each step.
        let _ = cx.identity().await;
        let findings = join_all(chosen.iter().map(|step| find(*step, cx))).await;
        // The steps report a cluster that does not answer.
        let target = Target::of_whatever_answers(cx).await;
        let mut planned: Vec<_> =
            chosen.into_iter().zip(findings).map(|(step, findings)| Planned { step, findings }).collect();
        let order = graph.order();
        planned.sort_by_key(|planned| order.iter().position(|id| *id == planned.step.id()));
        forget_unfounded(&mut planned, &graph);
        Ok(Self { target, steps: planned, graph })
    }

    /// A plan with errors is not applied. The error to fix first is one of a step that builds on no other with an
    /// error, and of those the most frequent one; the others are named as well, so that one run reports all of them.
    pub fn refuse_errors(mut self) -> Result<Self> {
        let mut errors = Vec::new();
        for planned in self.steps.extract_if(.., |planned| planned.findings.is_err()) {
            errors.extend(planned.findings.err().map(|error| (planned.step.id(), error)));
        }
        let met = |code: &Code| errors.iter().filter(|(_, error)| error.code() == code).count();
        let is_root =
            |index: &usize| errors.iter().all(|(other, _)| !self.graph.builds_on(errors[*index].0, other));
        // The first of those that are equally frequent.
        let most = (0..errors.len()).rev().filter(is_root).max_by_key(|index| met(errors[*index].1.code()));
        // An incomplete cluster is the reason why it does not answer.
        let half = errors.iter().position(|(_, error)| error.code() == &code::KUBEADM_HALF);
        let most = half.or(most);
        let Some(most) = most else { return Ok(self) };
        let (_, main) = errors.swap_remove(most);
        errors.retain(|(_, error)| error.code() != main.code());
        Err(alike(errors).into_iter().fold(main, |main, (steps, error)| {
            let what = match steps.as_slice() {
                [step] => format!("step `{step}` has"),
                steps => format!("steps `{}` have", steps.join("`, `")),
            };
            main.hint_also(format!("{what} a problem too: [{}] {error}", error.code().id))
        }))
    }

    /// How many changes there are, waits and checks not counted.
    pub fn change_count(&self) -> usize {
        let findings = self.steps.iter().filter_map(|planned| planned.findings.as_ref().ok());
        let makes = |change: &&Change| !change.only_observes();
        findings.map(|it| it.changes.iter().filter(makes).count() + it.foreseen.len()).sum()
    }

    /// Whether only waits are left, and neither changes nor pods to start.
    pub fn only_waits(&self) -> bool {
        let changes = self.steps.iter().filter_map(|planned| planned.findings.as_ref().ok());
        changes.flat_map(|findings| &findings.changes).all(|change| matches!(change, Change::Wait { .. }))
    }

    /// Whether there is nothing to change, wait for or check.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|planned| planned.findings.as_ref().is_ok_and(|f| f.changes.is_empty()))
    }
}

/// The errors, each once with the steps that met it.
fn alike(errors: Vec<(&'static str, Error)>) -> Vec<(Vec<&'static str>, Error)> {
    let mut met: Vec<(Vec<&'static str>, Error)> = Vec::new();
    for (step, error) in errors {
        let same = |(_, known): &&mut (Vec<&str>, Error)| {
            known.code() == error.code() && known.to_string() == error.to_string()
        };
        match met.iter_mut().find(same) {
            Some((steps, _)) => steps.push(step),
            None => met.push((vec![step], error)),
        }
    }
    met
}

/// What a step foresees follows from another step's changes: nothing, where that one is skipped or has none.
fn forget_unfounded(planned: &mut [Planned<'_>], graph: &Graph) {
    let acting: Vec<&'static str> = planned
        .iter()
        .filter(|it| it.findings.as_ref().is_ok_and(|findings| !findings.changes.is_empty()))
        .map(|it| it.step.id())
        .collect();
    for Planned { step, findings } in planned {
        if let Ok(findings) = findings
            && !acting.iter().any(|id| graph.builds_on(step.id(), id))
        {
            findings.foreseen.clear();
        }
    }
}

/// What a step finds. A step of the node only runs on a machine that is known to be a node of the cluster.
async fn find(step: &dyn Step, cx: &Context) -> Result<Findings> {
    match refuse_stranger(step, cx).await {
        Ok(()) => step.find(cx).await,
        Err(error) if error.code() != &code::NOT_A_NODE && step.tells_why_silent() => {
            Err(step.find(cx).await.err().unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

/// Refuses a step of the node on a machine that is not a node of its cluster.
/// Fails with `KVN510`, also when the cluster has no nodes at all; the cluster's own error when it does not answer,
/// because then the node is unknown.
pub async fn refuse_stranger(step: &dyn Step, cx: &Context) -> Result<()> {
    if step.reach() == Reach::Anywhere {
        return Ok(());
    }
    let Some(cluster) = cx.cluster().await else { return Ok(()) };
    let why = match cx.identity().await? {
        Some(Identity::Node(_)) => return Ok(()),
        Some(Identity::Stranger(why)) => why,
        // Where the profile makes the cluster, its only node may just not have said so yet.
        None if cx.profile.cluster.init.enabled => return Ok(()),
        None => "the cluster has no nodes".to_owned(),
    };
    let error = Error::new(&code::NOT_A_NODE, format!("this machine is not a node of {}", cluster.place()));
    Err(error.because(why))
}

/// The steps that are selected and that the profile asks for; an unknown name is refused.
pub fn select<'a>(
    steps: &'a [Box<dyn Step>],
    selection: &Selection,
    cx: &Context,
) -> Result<Vec<&'a dyn Step>> {
    selection.refuse_unknown(steps)?;
    let chosen = steps.iter().map(AsRef::as_ref).filter(|step: &&dyn Step| selection.wants(step.id()));
    Ok(chosen.filter(|step| step.enabled(cx)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_several_steps_met_is_told_once() {
        let error = |text: &str| Error::new(&code::CLUSTER_UNREACHABLE, text);
        let met = alike(vec![("kernel", error("a")), ("taints", error("b")), ("flannel", error("a"))]);
        let steps: Vec<_> = met.iter().map(|(steps, error)| (steps.as_slice(), error.message())).collect();
        assert_eq!(steps, [(&["kernel", "flannel"][..], "a"), (&["taints"], "b")]);
    }
}
