//! `down`: uninstalls what `up` installed, then proves that the node can still start a pod.

use super::{Consent, Ended, Job, Question};
use crate::context::events::{Event, Events};
use crate::engine::journal::{FILE, History, Journal, Seen};
use crate::engine::runner::{Report, Run};
use crate::engine::step::Note;
use crate::engine::teardown::{Owned, Teardown};
use crate::error::{Error, Result, code};
use crate::steps::verification::RECORD;
use crate::verify;

/// Options of `down`.
#[derive(Clone, Copy, Debug, Default)]
pub struct DownOptions {
    /// Skips the pod that checks at the end that the node still starts pods.
    pub no_check: bool,
}

/// The plan of `down`.
pub struct Undo<'a> {
    /// The changes, by step.
    pub teardown: Teardown<'a>,
    /// Whether something of kvnet's stays: not selected, or in use by others.
    pub partial: bool,
    seen: Seen,
}

impl<'a> Undo<'a> {
    /// Finds out what there is to uninstall.
    /// Fails with `KVN613` and `KVN510` when it cannot succeed, before anything is touched.
    pub async fn look(job: &'a Job) -> Result<Self> {
        job.connect().await?;
        let seen = Seen::now(&job.cx.state)?;
        let history = History::read(&job.cx.state)?;
        history.refuse_other_machine(&job.machine(), &job.cx.state)?;
        let mut teardown = Teardown::make(&job.steps, &job.cx, &history).await?;
        let partial = teardown.narrow(&job.selection);
        teardown.refuse_blocked()?;
        Ok(Self { teardown, partial, seen })
    }

    /// Whether there is nothing to uninstall.
    pub fn is_empty(&self) -> bool {
        self.teardown.change_count() == 0
    }
}

/// Plans, asks, locks, uninstalls, and retires the journal when nothing is left.
/// Fails only before the first change; later errors are in [`Ended`].
pub async fn down(job: &Job, options: DownOptions, consent: &dyn Consent) -> Result<Ended> {
    let undo = Undo::look(job).await?;
    let events = &job.cx.events;
    if undo.is_empty() {
        tell_notes(&undo.teardown, events);
        if !undo.partial && undo.teardown.silent.is_empty() {
            end_journal(job, undo.seen)?;
        }
        return Ok(Ended::nothing());
    }
    let shown = consent.ask(&Question::Down(&undo.teardown))?;
    let report = apply(job, &undo, options, shown).await?;
    Ok(Ended::of(report.changes, report.error))
}

/// Retires the journal of a `down` that was killed after its last change.
fn end_journal(job: &Job, seen: Seen) -> Result<()> {
    let state = &job.cx.state;
    if state.mark(FILE)?.is_none() {
        return Ok(());
    }
    let _lock = state.lock("down")?;
    seen.refuse_change(state)?;
    Journal::open_on(&job.machine(), state, "down", &job.cx.digest)?.retire()
}

async fn apply(job: &Job, undo: &Undo<'_>, options: DownOptions, shown: bool) -> Result<Report> {
    let cx = &job.cx;
    let _lock = cx.state.lock("down")?;
    undo.seen.refuse_change(&cx.state)?;
    let journal = Journal::open_on(&job.machine(), &cx.state, "down", &cx.digest)?;
    cx.acts().await;
    cx.state.remove(RECORD)?;
    let removals = undo.teardown.removals.iter().filter(|removal| !removal.changes.is_empty());
    let steps = removals.map(|it| (it.step.id().to_owned(), it.step.title().to_owned())).collect();
    cx.events.report(Event::Started { steps, target: undo.teardown.target.clone() });
    if !shown {
        tell_notes(&undo.teardown, &cx.events);
    }
    let run = Run { cx, journal: &journal, events: &cx.events, cancel: &cx.cancel };
    let mut report = undo.teardown.apply(&run).await;
    let mut unseen = false;
    if report.error.is_none() && !undo.partial {
        match refuse_leftovers(job, &undo.teardown).await {
            Ok(is_unseen) => unseen = is_unseen,
            Err(error) => report.error = Some(error),
        }
    }
    if report.error.is_none() && !options.no_check && cx.cluster().await.is_some() {
        report.error = verify::plain_pod(cx).await.err();
    }
    if report.error.is_none() && !undo.partial && !unseen && undo.teardown.staying.is_empty() {
        journal.retire()?;
    }
    Ok(report)
}

/// Looks again: objects with kvnet's label that are not meant to stay must be gone. Returns whether some API groups still
/// cannot be listed; their server may be among the removed objects.
async fn refuse_leftovers(job: &Job, teardown: &Teardown<'_>) -> Result<bool> {
    let Some(cluster) = job.cx.cluster().await else { return Ok(false) };
    let owned = Owned::find(&cluster, &History::default()).await?;
    let left = owned.all().filter(|key| !teardown.staying.contains(key));
    let left: Vec<String> = left.map(ToString::to_string).collect();
    match left.as_slice() {
        [] => Ok(owned.silent.iter().any(|version| teardown.silent.contains(version))),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            Err(Error::new(&code::LEFT_BEHIND, format!("{first}{more} still exists with kvnet's label")))
        }
    }
}

/// Reports what stays and why, if the plan was not shown.
fn tell_notes(teardown: &Teardown<'_>, events: &Events) {
    let missed = teardown.target.missed().map(|text| (None, text));
    let general = teardown.notes.iter().map(|note| (None, note.text.clone()));
    for (step, text) in missed.chain(general).collect::<Vec<_>>() {
        events.report(Event::Note { step, warning: true, text });
    }
    for removal in &teardown.removals {
        for Note { text, .. } in removal.notes.iter().filter(|note| note.warning) {
            let step = Some(removal.step.id().to_owned());
            events.report(Event::Note { step, warning: true, text: text.clone() });
        }
    }
}
