//! The plan on the screen and as data.

use owo_colors::OwoColorize;
use serde_json::{Value, json};

use super::{clean, diff, page, structured};
use crate::context::target::Target;
use crate::engine::change::Change;
use crate::engine::plan::{Plan, Planned};
use crate::engine::step::{Note, Step};
use crate::engine::teardown::Teardown;
use crate::error::Result;
use crate::locking::Standing;
use crate::terminal::{self, counted, wrapped};
use crate::ui::Format;

/// Shows a plan; with `verbose`, each check of the verification too.
pub fn show(plan: &Plan<'_>, format: Format, verbose: bool) -> Result<()> {
    show_with(plan, None, format, verbose)
}

/// As [`show`], with how the profile stands to its lock: a line when there is something to do anyway, and with `verbose`
/// all of it.
pub fn show_with(plan: &Plan<'_>, standing: Option<&Standing>, format: Format, verbose: bool) -> Result<()> {
    if format != Format::Text {
        let mut data = data(plan);
        data["lock"] = json!(standing);
        return structured(&data, format);
    }
    // A run with nothing to do needs no target.
    let goes = !plan.is_empty() || !plan.target.unreached.is_empty();
    let mut text = if goes { header(&plan.target) } else { String::new() };
    for planned in &plan.steps {
        let Ok(findings) = &planned.findings else { continue };
        let changes: Vec<&Change> = findings.changes.iter().collect();
        section(&mut text, planned.step, &changes, &findings.foreseen, &findings.notes, verbose);
    }
    if let Some(standing) = standing.filter(|_| !plan.is_empty() || verbose) {
        text.push_str(&of_lock(standing, verbose));
    }
    text.push_str(&wrapped("", last_line(plan).trim_end(), terminal::width()));
    page(&text);
    Ok(())
}

fn of_lock(standing: &Standing, verbose: bool) -> String {
    let Some(line) = standing.line() else { return String::new() };
    let mut text = wrapped("", &clean(&line), terminal::width());
    if verbose {
        let changes = standing.differences.iter().map(ToString::to_string);
        let floating = standing.floating.iter().filter(|_| standing.file.is_none()).cloned();
        let lines = changes.chain(floating).map(|line| wrapped("  ", &clean(&line), terminal::width()));
        text.push_str(&lines.collect::<String>());
    }
    text
}

/// Shows what `down` would do.
pub fn show_down(teardown: &Teardown<'_>, format: Format) -> Result<()> {
    if format != Format::Text {
        let steps = teardown.removals.iter().map(|removal| {
            let changes: Vec<Value> = removal.changes.iter().map(|(change, _)| change_data(change)).collect();
            json!({"step": removal.step.id(), "changes": changes, "notes": removal.notes})
        });
        return structured(
            &json!({
                "target": teardown.target,
                "steps": steps.collect::<Vec<_>>(),
                "changes": teardown.change_count(),
                "notes": teardown.notes,
            }),
            format,
        );
    }
    let mut text = header(&teardown.target);
    for note in &teardown.notes {
        text.push_str(&wrapped("! ", &clean(&note.text), terminal::width()));
    }
    for removal in &teardown.removals {
        let changes: Vec<&Change> = removal.changes.iter().map(|(change, _)| change).collect();
        section(&mut text, removal.step, &changes, &[], &removal.notes, false);
    }
    text.push_str(&match teardown.change_count() {
        0 => "nothing to uninstall\n".into(),
        count => {
            format!(
                "{} to make, then a pod checks that the node still starts pods\n",
                counted(count, "change")
            )
        }
    });
    page(&text);
    Ok(())
}

/// The cluster and node, and which nodes are left out.
fn header(target: &Target) -> String {
    let mut lines = target.lines().into_iter();
    let width = terminal::width();
    let first = lines.next().map(|line| wrapped("", &clean(&line), width)).unwrap_or_default();
    let rest = lines.map(|line| wrapped("! ", &clean(&line), width));
    format!("{first}{}\n", rest.collect::<String>())
}

/// The cluster and the node in a few words, for a prompt.
pub fn place(target: &Target) -> String {
    let node = target.node.as_ref().map(|node| format!("node {} of ", clean(node))).unwrap_or_default();
    match &target.cluster {
        Some(cluster) => format!("{node}{}", clean(&cluster.to_string())),
        None => "this machine".into(),
    }
}

fn section(
    text: &mut String,
    step: &dyn Step,
    changes: &[&Change],
    foreseen: &[String],
    notes: &[Note],
    verbose: bool,
) {
    if changes.is_empty() && foreseen.is_empty() && !notes.iter().any(|note| note.warning) {
        return;
    }
    let (id, width) = (step.id(), terminal::width());
    text.push_str(&format!("{} {}\n", step.title().bold(), format_args!("[{id}]").dimmed()));
    for change in changes {
        text.push_str(&wrapped(&format!("  {} ", sign(change)), &clean(&change.to_string()), width));
        for line in diff::lines(change, verbose) {
            text.push_str(&format!("      {line}\n"));
        }
    }
    for line in foreseen {
        let line = format!("{}, after the preceding steps", clean(line));
        text.push_str(&wrapped(&format!("  {} ", "~".yellow()), &line, width));
    }
    for note in notes {
        text.push_str(&wrapped(if note.warning { "  ! " } else { "  · " }, &clean(&note.text), width));
    }
    text.push('\n');
}

fn sign(change: &Change) -> String {
    match change {
        Change::Delete { .. } | Change::RemoveFile { .. } | Change::RemovePackages { .. } => {
            "-".red().to_string()
        }
        change if change.creates() => "+".green().to_string(),
        change if change.only_observes() => "?".cyan().to_string(),
        _ => "~".yellow().to_string(),
    }
}

fn last_line(plan: &Plan<'_>) -> String {
    if plan.is_empty() {
        return "nothing to do\n".into();
    }
    let verifies = plan.steps.iter().any(|planned| planned.step.id() == "verification");
    let then = if verifies { ", then pods verify that the networks work" } else { "" };
    match plan.change_count() {
        0 => "no changes, but not everything is ready or verified yet\n".into(),
        count => format!("{} to make{then}\n", counted(count, "change")),
    }
}

fn data(plan: &Plan<'_>) -> Value {
    let steps: Vec<Value> = plan.steps.iter().map(step_data).collect();
    json!({"target": plan.target, "steps": steps, "changes": plan.change_count()})
}

fn step_data(planned: &Planned<'_>) -> Value {
    let findings = planned.findings.as_ref().ok().cloned().unwrap_or_default();
    let changes: Vec<Value> = findings.changes.iter().map(change_data).collect();
    json!({
        "step": planned.step.id(),
        "title": planned.step.title(),
        "state": planned.state(),
        "changes": changes,
        "foreseen": findings.foreseen,
        "notes": findings.notes,
    })
}

/// The change without secrets, with the line that people see.
fn change_data(change: &Change) -> Value {
    let mut data = serde_json::to_value(change.redacted()).unwrap_or_default();
    data["summary"] = change.to_string().into();
    data
}
