//! Stuck deletions, interrupted runs, and drift from the profile.

use serde_json::Value;

use super::seen::{Snapshot, ending_for, name};
use super::{CheckResult, Verdict, listed};
use crate::cluster::condition_of;
use crate::engine::plan::State;
use crate::error::code;
use crate::terminal::counted;

/// Seconds that a namespace with pods may take to terminate.
const PATIENCE: i64 = 120;

pub fn leftovers(seen: &Snapshot) -> CheckResult {
    let cluster = seen.cluster()?;
    let ends =
        |service: &&Value| condition_of(service, "Available").is_some_and(|it| it["status"] == "False");
    if let Some(service) = cluster.services.iter().find(ends) {
        let why =
            condition_of(service, "Available").and_then(|it| it["message"].as_str()).unwrap_or_default();
        let found = format!("APIService {} unavailable: {}", name(service), why.trim_end_matches('.'));
        return Ok(Verdict::broken(&code::DOWN_BLOCKED, found).hint(format!(
            "it blocks the deletion of every namespace: fix its backend, or `kubectl delete apiservice {}`",
            name(service)
        )));
    }
    let late = |namespace: &&Value| ending_for(namespace, seen.now).is_some_and(|seconds| seconds > PATIENCE);
    let Some(namespace) = cluster.namespaces.iter().find(late) else {
        return Ok(Verdict::holds("no namespace stuck in Terminating, all APIServices available"));
    };
    let conditions = namespace["status"]["conditions"].as_array().into_iter().flatten();
    let why = conditions.filter(|it| it["status"] == "True").find_map(|it| it["message"].as_str());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Ok(Verdict::broken(
        &code::DOWN_BLOCKED,
        format!("namespace {} is stuck in Terminating{why}", name(namespace)),
    )
    .hint("check the finalizers of the objects in it, and the controllers that should remove them"))
}

pub fn journal(seen: &Snapshot) -> CheckResult {
    let history = match &seen.journal {
        Ok(history) => history,
        Err(error) => return Ok(Verdict::broken(error.code(), error.to_string())),
    };
    Ok(match (history.unfinished(), history.made().count()) {
        (Some(entry), _) if entry.failed.is_some() => Verdict::warns(format!(
            "`{}` ({}) failed [{}] and was not retried",
            entry.change,
            entry.step,
            entry.failed.as_deref().unwrap_or_default()
        ))
        .hint("`kvnet up` resumes, `kvnet down` reverts it"),
        (Some(entry), _) => {
            Verdict::warns(format!("a run was interrupted during `{}` ({})", entry.change, entry.step))
                .hint("`kvnet up` resumes, `kvnet down` reverts it")
        }
        (None, 0) => Verdict::absent("no changes by kvnet on this node"),
        (None, count) => Verdict::holds(format!("{} applied, none interrupted", counted(count, "change"))),
    })
}

pub fn profile(seen: &Snapshot) -> CheckResult {
    seen.cluster()?;
    let steps = seen.steps.as_deref().unwrap_or_default();
    if let Some((step, error)) = steps.iter().find_map(|step| Some((step, step.why.as_ref().err()?))) {
        return Ok(Verdict::broken(error.code(), format!("could not check step {}: {error}", step.id)));
    }
    let those = |wanted: &[State]| -> Vec<String> {
        steps.iter().filter(|step| wanted.contains(&step.state)).map(|step| step.id.to_owned()).collect()
    };
    let differ = those(&[State::Missing, State::Drifted]);
    if differ.is_empty() {
        let waiting = those(&[State::Waiting]);
        return Ok(if waiting.is_empty() {
            Verdict::holds(format!("{} in place", counted(steps.len(), "step")))
        } else {
            Verdict::warns(format!(
                "everything is in place, but these steps have not completed: {}",
                listed(&waiting)
            ))
            .hint("`kvnet up` completes them")
        });
    }
    if seen.journal.is_ok() && !seen.applied() {
        return Ok(Verdict::absent("the profile has not been applied here")
            .hint("`kvnet plan` shows what `kvnet up` would do"));
    }
    let first = steps.iter().find_map(|step| Some((step.id, step.why.as_ref().ok()?.clone()?)));
    let first =
        first.map(|(step, change)| format!("; first change, in {step}: {change}")).unwrap_or_default();
    Ok(Verdict::broken(&code::DRIFTED, format!("to be done: {}{first}", listed(&differ))))
}
