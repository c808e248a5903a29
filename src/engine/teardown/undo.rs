//! The change that reverts a host change, from the journal.

use super::super::change::{Change, Outcome};
use super::super::journal::Entry;
use crate::error::Result;
use crate::host::{Command, Host, UnitState};

/// The change that reverts an entry; none when there is nothing to revert, or when it is no longer kvnet's.
/// `bridges_stay` tells that bridges of kvnet's stay because they are in use: then Open vSwitch stays too.
pub(super) async fn undo(host: &dyn Host, entry: &Entry, bridges_stay: bool) -> Result<Option<Change>> {
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
                // The run may have been killed before the file was in place.
                (_, None) => {
                    let path = crate::engine::on_node::unfinished(path);
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
            purpose: format!("revert: {purpose}"),
            before: Some("created by kvnet".into()),
            command: command.clone(),
            undo: None,
        }),
        (Change::InstallPackage { manager, .. }, Some(Outcome::Installed { packages }))
            if !packages.is_empty() =>
        {
            if bridges_stay || has_bridges(host).await? {
                return Ok(None);
            }
            Some(Change::RemovePackages { manager: *manager, packages: packages.clone() })
        }
        // The run was killed while the package manager was running, which continued on its own: what it was going to
        // install is known.
        (Change::InstallPackage { manager, with, .. }, None) if !with.is_empty() => {
            if bridges_stay || has_bridges(host).await? {
                return Ok(None);
            }
            let command = manager.list();
            let present = manager.installed(&host.run(&command).await?.ok(&command)?.stdout);
            let name = |package: &String| package.split(':').next().unwrap_or_default().to_owned();
            let packages: Vec<String> =
                present.into_iter().filter(|package| with.contains(&name(package))).collect();
            (!packages.is_empty()).then_some(Change::RemovePackages { manager: *manager, packages })
        }
        // A service that was started for bridges that are in use by now keeps running.
        (Change::Unit { .. }, _) if bridges_stay => None,
        (Change::Unit { unit, running, enabled, before }, _) => {
            let now = UnitState { running: *running, enabled: *enabled };
            let (unit, running, enabled) = (unit.clone(), before.running, before.enabled);
            Some(Change::Unit { unit, running, enabled, before: now })
        }
        (Change::Taint { node, taint, present }, _) => {
            Some(Change::Taint { node: node.clone(), taint: taint.clone(), present: !present })
        }
        _ => None,
    })
}

/// The backup of a file with keys, if there is one, or a partial one.
async fn restore_saved(host: &dyn Host, path: &camino::Utf8Path, written: &str) -> Result<Option<Change>> {
    let copy = crate::engine::on_node::saved_copy(path);
    let begun = host.stat(&crate::engine::on_node::unfinished(&copy)).await?.is_some();
    let there = begun || host.stat(&copy).await?.is_some();
    Ok(there.then(|| Change::RestoreFile { path: path.to_owned(), written: written.to_owned() }))
}

/// Whether bridges will be left after kvnet's own are gone: then Open vSwitch is in use and its package stays.
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
    // The daemon may have been stopped by an interrupted `down`; any other failure is inconclusive.
    if !all.success() && all.stderr.contains("database connection failed") {
        return Ok(false);
    }
    let (all, ours) = (all.ok(&list)?, ours.ok(&made)?);
    Ok(all.stdout.lines().any(|name| !ours.stdout.lines().any(|our| our.trim() == name.trim())))
}
