//! `down`: what to take back, in reverse order. The labels on objects and the files on the node decide; the journal says
//! what was there before.

use std::collections::BTreeMap;
use std::time::Instant;

use futures::future::try_join_all;
use serde_json::Value;

use super::cancel::Cancel;
use super::change::{Change, Outcome};
use super::context::Context;
use super::events::Event;
use super::execute::execute;
use super::graph::Graph;
use super::journal::{Entry, History};
use super::plan::Selection;
use super::runner::{Report, Run, journaled};
use super::step::{AnyStep, Note};
use crate::cluster::{Cluster, MANAGED_BY, MANAGED_BY_LABEL, ObjectKey};
use crate::error::{Error, Result, code};
use crate::host::{Command, Host};

/// The label that names the step which created an object.
pub const STEP_LABEL: &str = "kvnet.dev/step";

/// The kinds that kvnet creates, in the order in which they are deleted: what uses something goes before it.
const KINDS: &[(&str, &str)] = &[
    ("kubevirt.io/v1", "VirtualMachine"),
    ("kubevirt.io/v1", "VirtualMachineInstance"),
    ("kubevirt.io/v1alpha2", "VirtualMachineInstance"),
    ("v1", "Pod"),
    ("kubevirt.io/v1", "KubeVirt"),
    ("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "DaemonSet"),
    ("extensions/v1beta1", "DaemonSet"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("scheduling.k8s.io/v1", "PriorityClass"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    ("apiextensions.k8s.io/v1beta1", "CustomResourceDefinition"),
    ("v1", "Namespace"),
];

/// What `down` does to one step's part.
pub struct Removal<'a> {
    /// The step.
    pub step: &'a dyn AnyStep,
    /// The changes, in order, each with the journal entry that it takes back.
    pub changes: Vec<(Change, Option<u64>)>,
    /// What is left alone, and why.
    pub notes: Vec<Note>,
    /// Why it cannot be done; a reason only when the step is selected.
    pub blocked: Option<Error>,
}

/// Everything that `down` does, in order.
pub struct Teardown<'a>(pub Vec<Removal<'a>>);

impl<'a> Teardown<'a> {
    /// Looks for what kvnet made. Changes nothing.
    pub async fn make(steps: &'a [Box<dyn AnyStep>], cx: &Context, history: &History) -> Result<Self> {
        let graph = Graph::new(steps.iter().map(|step| (step.id(), step.requires().to_vec())))?;
        let mut objects = match cx.cluster().await {
            Some(cluster) => owned_objects(&cluster).await?,
            None => BTreeMap::new(),
        };
        let mut removals = Vec::new();
        for id in graph.order().into_iter().rev() {
            let Some(step) = steps.iter().find(|step| step.id() == id) else { continue };
            let objects = objects.remove(id).unwrap_or_default();
            removals.push(removal(step.as_ref(), cx, history, objects).await?);
        }
        Ok(Self(removals))
    }

    /// Leaves out what is not selected; tells whether something stays on the node because of it.
    pub fn narrow(&mut self, selection: &Selection) -> bool {
        let (kept, left): (Vec<_>, Vec<_>) =
            self.0.drain(..).partition(|removal| selection.wants(removal.step.id()));
        self.0 = kept;
        left.iter().any(|removal| !removal.changes.is_empty())
    }

    /// Refuses a removal that could not end well, before anything is touched.
    pub fn refuse_blocked(&mut self) -> Result<()> {
        self.0.iter_mut().find_map(|removal| removal.blocked.take()).map_or(Ok(()), Err)
    }

    /// How many changes there are.
    pub fn change_count(&self) -> usize {
        self.0.iter().map(|removal| removal.changes.len()).sum()
    }

    /// Takes everything back, one after the other; stops at the first failure.
    pub async fn apply(&self, run: &Run<'_>) -> Report {
        let mut report = Report::default();
        for removal in &self.0 {
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
        try_join_all(group.iter().map(|(change, undoes)| take_one_back(run, id, change, *undoes))).await?;
        *count += group.len();
    }
    // What a component leaves is only known once it is gone: a daemon may remove its own file when it ends.
    let mut rest = Vec::new();
    if let Some(present) = run.journal.present(id) {
        rest = removal.step.traces(run.cx).removal(run.cx.host.as_ref(), &present).await?;
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
    step: &'a dyn AnyStep,
    cx: &Context,
    history: &History,
    objects: Vec<ObjectKey>,
) -> Result<Removal<'a>> {
    let mut removal = Removal { step, changes: Vec::new(), notes: Vec::new(), blocked: None };
    let cluster = cx.cluster().await;
    match step.before_removal(cx, !objects.is_empty()).await {
        Ok(changes) => removal.changes.extend(changes.into_iter().map(|change| (change, None))),
        Err(error) if error.code() == &code::DOWN_BLOCKED => removal.blocked = Some(error),
        Err(error) => return Err(error),
    }
    for object in objects {
        match foreign_users(cluster.as_ref(), &object).await? {
            Some(reason) => {
                removal.notes.push(Note { warning: true, text: format!("{object} stays: {reason}") });
            }
            None => removal.changes.push((Change::Delete { object }, None)),
        }
    }
    for entry in history.made().rev().filter(|entry| entry.step == step.id()) {
        if let Some(change) = undo(cx.host.as_ref(), entry).await? {
            removal.changes.push((change, Some(entry.seq)));
        }
    }
    let mut rest = match history.present(step.id()) {
        Some(present) => step.traces(cx).removal(cx.host.as_ref(), present).await?,
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

/// Everything that carries kvnet's label, by step, in the order to delete it.
async fn owned_objects(cluster: &Cluster) -> Result<BTreeMap<String, Vec<ObjectKey>>> {
    let selector = format!("{MANAGED_BY_LABEL}={MANAGED_BY}");
    let lists =
        try_join_all(KINDS.iter().map(|(version, kind)| cluster.list(version, kind, None, Some(&selector))));
    let mut owned: BTreeMap<String, Vec<ObjectKey>> = BTreeMap::new();
    for (object, (version, kind)) in
        lists.await?.iter().zip(KINDS).flat_map(|(list, kind)| list.iter().map(move |object| (object, kind)))
    {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        // A label in a namespace's or a workload's pods is not a mark: those belong to their controllers.
        if object.pointer("/metadata/ownerReferences/0").is_some() {
            continue;
        }
        let step = object["metadata"]["labels"][STEP_LABEL].as_str().unwrap_or_default().to_owned();
        let key = ObjectKey::new(
            version,
            kind,
            text("/metadata/namespace"),
            text("/metadata/name").unwrap_or_default(),
        );
        let keys = owned.entry(step).or_default();
        // The same object may be served in two versions.
        if !keys.iter().any(|k| k.kind == key.kind && k.namespace == key.namespace && k.name == key.name) {
            keys.push(key);
        }
    }
    Ok(owned)
}

/// Why an object cannot go: somebody else's objects are of its kind or in it.
async fn foreign_users(cluster: Option<&Cluster>, key: &ObjectKey) -> Result<Option<String>> {
    let Some(cluster) = cluster else { return Ok(None) };
    match key.kind.as_str() {
        "CustomResourceDefinition" if key.name == "network-attachment-definitions.k8s.cni.cncf.io" => {
            let all = cluster.list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", None, None).await?;
            let foreign: Vec<String> =
                all.iter().filter(|object| !super::execute::is_ours(object)).map(name_of).collect();
            Ok((!foreign.is_empty()).then(|| format!("others made {}", foreign.join(", "))))
        }
        "Namespace" => {
            let pods = cluster.list("v1", "Pod", Some(&key.name), None).await?;
            let foreign = pods.iter().filter(|pod| {
                pod.pointer("/metadata/ownerReferences/0").is_none() && !super::execute::is_ours(pod)
            });
            let foreign: Vec<String> = foreign.map(name_of).collect();
            Ok((!foreign.is_empty()).then(|| format!("others run pods in it: {}", foreign.join(", "))))
        }
        _ => Ok(None),
    }
}

fn name_of(object: &Value) -> String {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    if text("namespace").is_empty() {
        text("name")
    } else {
        format!("{}/{}", text("namespace"), text("name"))
    }
}

/// The change that takes an entry back; none when there is nothing to take back, or when it is not kvnet's any more.
async fn undo(host: &dyn Host, entry: &Entry) -> Result<Option<Change>> {
    let outcome = entry.outcome.as_ref();
    Ok(match (&entry.change, outcome) {
        (_, Some(Outcome::Adopted | Outcome::Transient)) => None,
        (Change::Apply { .. }, Some(Outcome::Replaced { before: Some(object) })) => {
            Some(Change::Restore { object: object.clone() })
        }
        (Change::Apply { .. }, None) => {
            entry.replaces.as_ref().map(|object| Change::Restore { object: object.clone() })
        }
        (Change::WriteFile { path, before, after, mode, secret }, _) => {
            match (before, host.stat(path).await?) {
                // The run may have ended before the file had taken its place.
                (_, None) => {
                    let path = crate::host::unfinished(path);
                    host.stat(&path).await?.map(|_| Change::RemoveFile { path, before: None })
                }
                (None, Some(_)) => {
                    Some(Change::RemoveFile { path: path.clone(), before: Some(after.clone()) })
                }
                (Some(_), Some(_)) if *secret => restore_saved(host, path, after).await?,
                (Some(before), Some(_)) => Some(Change::WriteFile {
                    path: path.clone(),
                    mode: *mode,
                    before: Some(after.clone()),
                    after: before.clone(),
                    secret: false,
                }),
            }
        }
        (Change::MoveFile { from, to }, _) => {
            let (there, free) = (host.stat(to).await?.is_some(), host.stat(from).await?.is_none());
            (there && free).then(|| Change::MoveFile { from: to.clone(), to: from.clone() })
        }
        (Change::Run { purpose, undo: Some(command), .. }, _) => Some(Change::Run {
            purpose: format!("take back: {purpose}"),
            before: Some("made by kvnet".into()),
            command: command.clone(),
            undo: None,
        }),
        (Change::InstallPackage { manager, .. }, Some(Outcome::Installed { packages }))
            if !packages.is_empty() =>
        {
            if has_bridges(host).await? {
                return Ok(None);
            }
            Some(Change::RemovePackages { manager: *manager, packages: packages.clone() })
        }
        // The run ended while the package manager was at work, which went on alone: what it was going to bring is known.
        (Change::InstallPackage { manager, with, .. }, None) if !with.is_empty() => {
            if has_bridges(host).await? {
                return Ok(None);
            }
            let command = manager.list();
            let present = manager.installed(&host.run(&command).await?.ok(&command)?.stdout);
            let name = |package: &String| package.split(':').next().unwrap_or_default().to_owned();
            let packages: Vec<String> =
                present.into_iter().filter(|package| with.contains(&name(package))).collect();
            (!packages.is_empty()).then_some(Change::RemovePackages { manager: *manager, packages })
        }
        (Change::Unit { unit, running, enabled, before }, _) => {
            let now = super::change::UnitState { running: *running, enabled: *enabled };
            let (unit, running, enabled) = (unit.clone(), before.running, before.enabled);
            Some(Change::Unit { unit, running, enabled, before: now })
        }
        (Change::Taint { node, taint, present }, _) => {
            Some(Change::Taint { node: node.clone(), taint: taint.clone(), present: !present })
        }
        _ => None,
    })
}

/// The copy that was kept of a file with keys, if there is one, or the begin of one.
async fn restore_saved(host: &dyn Host, path: &camino::Utf8Path, written: &str) -> Result<Option<Change>> {
    let copy = crate::host::saved_copy(path);
    let begun = host.stat(&crate::host::unfinished(&copy)).await?.is_some();
    let there = begun || host.stat(&copy).await?.is_some();
    Ok(there.then(|| Change::RestoreFile { path: path.to_owned(), written: written.to_owned() }))
}

/// Whether bridges will be left after kvnet's own are gone: then Open vSwitch is somebody's and its package stays.
async fn has_bridges(host: &dyn Host) -> Result<bool> {
    if host.find("ovs-vsctl").await?.is_none() {
        return Ok(false);
    }
    let list = Command::new(["ovs-vsctl", "--timeout=5", "--real", "list-br"]);
    let made = Command::new([
        "ovs-vsctl",
        "--timeout=5",
        "--bare",
        "--columns=name",
        "find",
        "Bridge",
        "external_ids:kvnet=true",
    ]);
    let (all, ours) = (host.run(&list).await?, host.run(&made).await?);
    // The daemon may have been stopped by a `down` that was interrupted; with any other failure nobody knows.
    if !all.success() && all.stderr.contains("database connection failed") {
        return Ok(false);
    }
    let (all, ours) = (all.ok(&list)?, ours.ok(&made)?);
    Ok(all.stdout.lines().any(|name| !ours.stdout.lines().any(|our| our.trim() == name.trim())))
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
                Removal { step: step.as_ref(), changes, notes: Vec::new(), blocked: None }
            });
            Teardown(removals.collect())
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
