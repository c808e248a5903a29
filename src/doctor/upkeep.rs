//! What was not brought to its end, and what the profile says.

use serde_json::Value;

use super::seen::{Seen, ending_for, name};
use super::{Looked, Verdict, listed};
use crate::cluster::condition_of;
use crate::engine::plan::State;
use crate::error::code;
use crate::trace::counted;

/// So many seconds a namespace with pods in it may take to end.
const PATIENCE: i64 = 120;

pub fn leftovers(seen: &Seen) -> Looked {
    let cluster = seen.cluster()?;
    let ends =
        |service: &&Value| condition_of(service, "Available").is_some_and(|it| it["status"] == "False");
    if let Some(service) = cluster.services.iter().find(ends) {
        let why =
            condition_of(service, "Available").and_then(|it| it["message"].as_str()).unwrap_or_default();
        let found = format!("nobody serves {}: {}", name(service), why.trim_end_matches('.'));
        return Ok(Verdict::broken(&code::DOWN_BLOCKED, found).hint(format!(
            "no namespace can end while it is there: mend what serves it, or `kubectl delete apiservice {}`",
            name(service)
        )));
    }
    let late = |namespace: &&Value| ending_for(namespace, seen.now).is_some_and(|seconds| seconds > PATIENCE);
    let Some(namespace) = cluster.namespaces.iter().find(late) else {
        return Ok(Verdict::holds(
            "no namespace is late in ending, and everything that serves the API answers",
        ));
    };
    let conditions = namespace["status"]["conditions"].as_array().into_iter().flatten();
    let why = conditions.filter(|it| it["status"] == "True").find_map(|it| it["message"].as_str());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    Ok(Verdict::broken(&code::DOWN_BLOCKED, format!("namespace {} does not end{why}", name(namespace)))
        .hint("look at the finalizers of what is in it, and at who has to remove them"))
}

pub fn journal(seen: &Seen) -> Looked {
    let history = match &seen.journal {
        Ok(history) => history,
        Err(error) => return Ok(Verdict::broken(error.code(), error.to_string())),
    };
    Ok(match (history.unfinished(), history.made().count()) {
        (Some(entry), _) if entry.failed.is_some() => Verdict::warns(format!(
            "`{}` ({}) failed [{}] and was not made since",
            entry.change,
            entry.step,
            entry.failed.as_deref().unwrap_or_default()
        ))
        .hint("`kvnet up` looks at what is there and goes on, `kvnet down` takes it back"),
        (Some(entry), _) => {
            Verdict::warns(format!("a run ended in the middle of `{}` ({})", entry.change, entry.step))
                .hint("`kvnet up` looks at what is there and goes on, `kvnet down` takes it back")
        }
        (None, 0) => Verdict::absent("kvnet has changed nothing here"),
        (None, count) => {
            Verdict::holds(format!("{} of kvnet's, each brought to its end", counted(count, "change")))
        }
    })
}

pub fn profile(seen: &Seen) -> Looked {
    seen.cluster()?;
    let steps = seen.steps.as_deref().unwrap_or_default();
    if let Some((step, error)) = steps.iter().find_map(|step| Some((step, step.why.as_ref().err()?))) {
        return Ok(Verdict::broken(error.code(), format!("step {} cannot look: {error}", step.id)));
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
            Verdict::warns(format!("all is in place; not awaited or verified: {}", listed(&waiting)))
                .hint("`kvnet up` does it")
        });
    }
    if seen.journal.is_ok() && !seen.applied() {
        return Ok(Verdict::absent("the profile was not applied here")
            .hint("`kvnet plan` shows what `kvnet up` would do"));
    }
    let first = steps.iter().find_map(|step| Some((step.id, step.why.as_ref().ok()?.clone()?)));
    let first =
        first.map(|(step, change)| format!("; the first change, of {step}: {change}")).unwrap_or_default();
    Ok(Verdict::broken(&code::DRIFTED, format!("to be done: {}{first}", listed(&differ))))
}
