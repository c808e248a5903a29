//! `down`: what to uninstall, in reverse order. Labels of objects, files of the node and the journal decide what is
//! kvnet's; the journal says what is pre-existing.

mod owned;
mod undo;

use std::time::Instant;

use futures::future::join_all;

pub use owned::Owned;

use super::change::Change;
use super::execute::execute;
use super::graph::Graph;
use super::journal::History;
use super::plan::{Selection, refuse_stranger};
use super::runner::{Report, Run, journaled, worse};
use super::step::{Note, Step};
use super::traces;
use crate::cluster::{ObjectKey, is_absent};
use crate::context::Context;
use crate::context::cancel::Cancel;
use crate::context::events::Event;
use crate::context::target::Target;
use crate::error::{Error, Result, code};

/// What `down` does to one step's part.
pub struct Removal<'a> {
    /// The step.
    pub step: &'a dyn Step,
    /// The changes, in order, each with the journal entry that it reverts.
    pub changes: Vec<(Change, Option<u64>)>,
    /// What is left alone, and why.
    pub notes: Vec<Note>,
    /// The objects among it.
    pub staying: Vec<ObjectKey>,
    /// Whether bridges stay, because they are in use.
    pub keeps_bridges: bool,
    /// Why it cannot be done; only counts when the step is selected.
    pub blocked: Option<Error>,
}

impl<'a> Removal<'a> {
    fn of(step: &'a dyn Step) -> Self {
        let (changes, notes, staying) = (Vec::new(), Vec::new(), Vec::new());
        Self { step, changes, notes, staying, keeps_bridges: false, blocked: None }
    }

    fn warn(&mut self, text: String) {
        self.notes.push(Note { warning: true, text });
    }

    /// Keeps the reason why the step's part cannot go; any other error is returned.
    fn block(&mut self, error: Error) -> Result<()> {
        if [code::DOWN_BLOCKED.id, code::NOT_A_NODE.id].contains(&error.code().id) {
            self.blocked = Some(error);
            return Ok(());
        }
        Err(error)
    }
}

/// Everything that `down` does, in order.
pub struct Teardown<'a> {
    /// Which cluster and node it is for.
    pub target: Target,
    /// Each step's part.
    pub removals: Vec<Removal<'a>>,
    /// What belongs to no step: API groups that are unavailable, objects of no step.
    pub notes: Vec<Note>,
    /// kvnet's objects that stay, because they are in use.
    pub staying: Vec<ObjectKey>,
    /// API versions that are currently unavailable.
    pub silent: Vec<String>,
}

impl<'a> Teardown<'a> {
    /// Finds what kvnet made. Changes nothing.
    pub async fn make(steps: &'a [Box<dyn Step>], cx: &Context, history: &History) -> Result<Self> {
        let graph = Graph::new(steps.iter().map(|step| (step.id(), step.requires().to_vec())))?;
        let mut owned = match cx.cluster().await {
            Some(cluster) => Owned::find(&cluster, history).await?,
            None => Owned::default(),
        };
        let target = Target::of(cx).await?;
        let (removals, notes, staying, silent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut teardown = Self { target, removals, notes, staying, silent };
        teardown.notes.extend(owned.gaps().into_iter().map(|text| Note { warning: true, text }));
        teardown.silent = std::mem::take(&mut owned.silent);
        let absent = cx.nodes().await?;
        let absent = absent.iter().filter(|node| is_absent(node));
        teardown.notes.extend(absent.filter_map(|node| node["metadata"]["name"].as_str()).map(|node| Note {
            warning: true,
            text: format!(
                "node {node} is unreachable: what runs there keeps running, and kvnet's pods there are only removed from the API"
            ),
        }));
        let mut bridges_stay = false;
        let order = graph.order();
        // The parts of steps that this kvnet does not know go first.
        let unknown = owned.objects.extract_if(.., |step, _| !order.contains(&step.as_str()));
        let mut unknown: Vec<ObjectKey> = unknown.flat_map(|(_, keys)| keys).collect();
        for id in order.into_iter().rev() {
            let Some(step) = steps.iter().find(|step| step.id() == id) else { continue };
            let mut objects = std::mem::take(&mut unknown);
            objects.extend(owned.objects.remove(id).unwrap_or_default());
            let removal = removal(step.as_ref(), cx, history, objects, bridges_stay).await?;
            bridges_stay |= removal.keeps_bridges;
            teardown.staying.extend(removal.staying.iter().cloned());
            teardown.removals.push(removal);
        }
        Ok(teardown)
    }

    /// Leaves out what is not selected; returns whether something stays on the node because of it.
    pub fn narrow(&mut self, selection: &Selection) -> bool {
        let (kept, left): (Vec<_>, Vec<_>) =
            self.removals.drain(..).partition(|removal| selection.wants(removal.step.id()));
        self.removals = kept;
        left.iter().any(|removal| !removal.changes.is_empty() || !removal.staying.is_empty())
            || self.removals.iter().any(|removal| removal.keeps_bridges)
    }

    /// Refuses a removal that cannot succeed, before anything is touched.
    pub fn refuse_blocked(&mut self) -> Result<()> {
        self.removals.iter_mut().find_map(|removal| removal.blocked.take()).map_or(Ok(()), Err)
    }

    /// How many changes there are.
    pub fn change_count(&self) -> usize {
        self.removals.iter().map(|removal| removal.changes.len()).sum()
    }

    /// Reverts everything, one change after the other; stops at the first failure.
    pub async fn apply(&self, run: &Run<'_>) -> Report {
        let mut report = Report::default();
        for removal in &self.removals {
            if let Err(error) = apply_removal(removal, run, &mut report.changes).await {
                report.error = Some(error);
                break;
            }
        }
        report
    }
}

async fn apply_removal(removal: &Removal<'_>, run: &Run<'_>, count: &mut usize) -> Result<()> {
    let (id, started) = (removal.step.id(), Instant::now());
    if removal.changes.is_empty() {
        return Ok(());
    }
    run.events.report(Event::StepStarted { step: id.into() });
    let before = *count;
    let outcome = take_back(removal, run, count).await;
    let seconds = started.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => run.events.report(Event::StepDone { step: id.into(), changes: *count - before, seconds }),
        Err(error) => run.events.report(Event::StepFailed {
            step: id.into(),
            code: error.code().id.into(),
            message: error.to_string(),
        }),
    }
    outcome
}

async fn take_back(removal: &Removal<'_>, run: &Run<'_>, count: &mut usize) -> Result<()> {
    let id = removal.step.id();
    for group in groups(&removal.changes) {
        if run.cancel.is_cancelled() {
            return Err(Cancel::error("down"));
        }
        let ended = join_all(group.iter().map(|(change, undoes)| async move {
            let ended = take_one_back(run, id, change, *undoes).await;
            // The rest of the group completes what is in progress, and waits no longer.
            ended.inspect_err(|_| run.cancel.fail())
        }))
        .await;
        *count += ended.iter().filter(|ended| ended.is_ok()).count();
        ended
            .into_iter()
            .filter_map(Result::err)
            .fold(None, |first, error| Some(worse(first, error)))
            .map_or(Ok(()), Err)?;
    }
    // What a component leaves is only known once it is gone: a daemon may remove its own file when it exits.
    let mut rest = Vec::new();
    if let Some(present) = run.journal.present(id) {
        rest = traces::removal(&removal.step.traces(run.cx), run.cx.host.as_ref(), &present).await?;
    }
    rest.extend(removal.step.after_removal(run.cx).await?);
    for change in rest {
        run.events.report(Event::ChangeStarted { step: id.into(), change: change.to_string() });
        journaled(run.journal, id, &change, None, execute(run.cx, &change, &|_| ())).await?;
        *count += 1;
    }
    Ok(())
}

async fn take_one_back(run: &Run<'_>, id: &str, change: &Change, undoes: Option<u64>) -> Result<()> {
    run.events.report(Event::ChangeStarted { step: id.into(), change: change.to_string() });
    let progress = |reason| run.events.report(Event::Waiting { step: id.into(), reason });
    journaled(run.journal, id, change, None, execute(run.cx, change, &progress)).await?;
    undoes.map_or(Ok(()), |seq| run.journal.undone(seq))
}

/// Objects of one kind are deleted at the same time: each may take as long as its pods take to end.
fn groups(changes: &[(Change, Option<u64>)]) -> impl Iterator<Item = &[(Change, Option<u64>)]> {
    let kind = |change: &Change| match change {
        Change::Delete { object } => Some(object.kind.clone()),
        _ => None,
    };
    changes.chunk_by(move |(one, _), (other, _)| kind(one).is_some() && kind(one) == kind(other))
}

async fn removal<'a>(
    step: &'a dyn Step,
    cx: &Context,
    history: &History,
    objects: Vec<ObjectKey>,
    bridges_stay: bool,
) -> Result<Removal<'a>> {
    let mut removal = Removal::of(step);
    let cluster = cx.cluster().await;
    if let Err(error) = refuse_stranger(step, cx).await {
        removal.block(error)?;
        return Ok(removal);
    }
    match step.before_removal(cx, !objects.is_empty()).await {
        Ok(changes) => removal.changes.extend(changes.into_iter().map(|change| (change, None))),
        Err(error) => removal.block(error)?,
    }
    for object in objects {
        match owned::foreign_users(cluster.as_ref(), &object).await? {
            Some(reason) => {
                removal.warn(format!("{object} stays: {reason}"));
                removal.staying.push(object);
            }
            None => removal.changes.push((Change::Delete { object }, None)),
        }
    }
    for entry in history.made().rev().filter(|entry| entry.step == step.id()) {
        let Some(change) = undo::undo(cx.host.as_ref(), entry, bridges_stay).await? else { continue };
        match step.keeps(cx, &change).await? {
            Some(reason) => {
                removal.warn(reason);
                removal.keeps_bridges = true;
            }
            None => removal.changes.push((change, Some(entry.seq))),
        }
    }
    let mut rest = match history.present(step.id()) {
        Some(present) => traces::removal(&step.traces(cx), cx.host.as_ref(), present).await?,
        None => Vec::new(),
    };
    rest.extend(step.after_removal(cx).await?);
    if removal.changes.is_empty() {
        removal.changes.extend(rest.into_iter().map(|change| (change, None)));
    } else {
        let then = rest.into_iter().map(|change| Note { warning: false, text: format!("then {change}") });
        removal.notes.extend(then);
    }
    Ok(removal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_selected_stays_and_is_told() {
        let steps = crate::steps::registry();
        let object = ObjectKey::new("v1", "ConfigMap", None, "x");
        let teardown = || {
            let removals = steps.iter().map(|step| {
                let changes = match step.id() {
                    "flannel" => vec![(Change::Delete { object: object.clone() }, None)],
                    _ => Vec::new(),
                };
                Removal { changes, ..Removal::of(step.as_ref()) }
            });
            let (target, notes, staying) = (Target::default(), Vec::new(), Vec::new());
            Teardown { target, removals: removals.collect(), notes, staying, silent: Vec::new() }
        };
        let only = |id: &str| Selection { only: vec![id.into()], skip: Vec::new() };
        let skip = |id: &str| Selection { only: Vec::new(), skip: vec![id.into()] };
        for (selection, left, count) in [
            (Selection::default(), false, 1),
            (only("flannel"), false, 1),
            (only("vm"), true, 0),
            (skip("flannel"), true, 0),
            (skip("vm"), false, 1),
        ] {
            let mut teardown = teardown();
            assert_eq!(
                (teardown.narrow(&selection), teardown.change_count()),
                (left, count),
                "{selection:?}"
            );
        }
    }
}
