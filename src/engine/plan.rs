//! The plan: what every step found, in the order of the graph.

use futures::future::join_all;
use serde::Serialize;

use super::context::Context;
use super::graph::Graph;
use super::step::{AnyStep, Findings};
use crate::error::{Error, Result, code};

/// Which steps a run looks at.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only these; empty means all.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
}

/// Whether a step's part is in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// All as it should be.
    InPlace,
    /// Nothing of it is there.
    Missing,
    /// It is there, but not as it should be.
    Drifted,
    /// It is as it should be, and not ready yet.
    Waiting,
    /// The step could not look.
    Unknown,
}

/// A step with what it found.
pub struct Planned<'a> {
    /// The step.
    pub step: &'a dyn AnyStep,
    /// What it found; an error when it could not look or refuses.
    pub findings: Result<Findings>,
}

impl Planned<'_> {
    /// Whether the step's part is in place.
    pub fn state(&self) -> State {
        let Ok(findings) = &self.findings else { return State::Unknown };
        let changes = &findings.changes;
        if changes.is_empty() {
            State::InPlace
        } else if changes.iter().all(super::change::Change::only_observes) {
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
    /// The steps, each after what it requires.
    pub steps: Vec<Planned<'a>>,
    /// Their order and requirements.
    pub graph: Graph,
}

impl<'a> Plan<'a> {
    /// Lets every selected step look, all at the same time. Changes nothing.
    pub async fn make(steps: &'a [Box<dyn AnyStep>], selection: &Selection, cx: &Context) -> Result<Self> {
        let chosen = select(steps, selection, cx)?;
        let graph = Graph::new(chosen.iter().map(|step| (step.id(), step.requires().to_vec())))?;
        let findings = join_all(chosen.iter().map(|step| step.find(cx))).await;
        let mut planned: Vec<_> =
            chosen.into_iter().zip(findings).map(|(step, findings)| Planned { step, findings }).collect();
        let order = graph.order();
        planned.sort_by_key(|planned| order.iter().position(|id| *id == planned.step.id()));
        Ok(Self { steps: planned, graph })
    }

    /// The first error that a step met, if any: a plan with errors is not applied.
    pub fn refuse_errors(self) -> Result<Self> {
        let mut steps = Vec::with_capacity(self.steps.len());
        for planned in self.steps {
            match planned.findings {
                Err(error) => return Err(error),
                findings => steps.push(Planned { step: planned.step, findings }),
            }
        }
        Ok(Self { steps, graph: self.graph })
    }

    /// How many changes there are, waits and checks not counted.
    pub fn change_count(&self) -> usize {
        let changes = self.steps.iter().filter_map(|planned| planned.findings.as_ref().ok());
        changes.flat_map(|findings| &findings.changes).filter(|change| !change.only_observes()).count()
    }

    /// Whether nothing is to be changed, awaited or checked.
    pub fn is_empty(&self) -> bool {
        self.steps.iter().all(|planned| planned.findings.as_ref().is_ok_and(|f| f.changes.is_empty()))
    }
}

/// The steps that are selected and that the profile asks for; a name that is no step's is refused.
pub fn select<'a>(
    steps: &'a [Box<dyn AnyStep>],
    selection: &Selection,
    cx: &Context,
) -> Result<Vec<&'a dyn AnyStep>> {
    let names: Vec<&str> = steps.iter().map(|step| step.id()).collect();
    for name in selection.only.iter().chain(&selection.skip) {
        if !names.contains(&name.as_str()) {
            let known = format!("the steps are: {}", names.join(", "));
            return Err(Error::new(&code::STEP_UNKNOWN, format!("there is no step `{name}`")).hint(known));
        }
    }
    let wanted = |id: &str| {
        (selection.only.is_empty() || selection.only.iter().any(|name| name == id))
            && !selection.skip.iter().any(|name| name == id)
    };
    let chosen = steps.iter().map(AsRef::as_ref).filter(|step: &&dyn AnyStep| wanted(step.id()));
    Ok(chosen.filter(|step| step.enabled(cx)).collect())
}
