//! A change: the one value that is planned, shown, executed, journaled and undone.

use std::fmt;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::{Condition, FieldDiff, ObjectKey};
use crate::facts::packages::PackageManager;
use crate::host::{Command, UnitState};
use crate::redact::{digest, redact_object};

/// One change of the node or the cluster. `before` is what was observed when it was planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Change {
    /// Writes a file of text.
    WriteFile {
        /// Where.
        path: Utf8PathBuf,
        /// Permission bits.
        mode: u32,
        /// The content that is replaced; none when the file is new.
        before: Option<String>,
        /// The content to write.
        after: String,
        /// Whether the content holds keys or passwords: then it is never shown, and journaled only as a digest.
        secret: bool,
    },
    /// Renames a file; nothing is at `to`.
    MoveFile {
        /// The file.
        from: Utf8PathBuf,
        /// Its new name.
        to: Utf8PathBuf,
    },
    /// Removes a file that kvnet wrote.
    RemoveFile {
        /// The file.
        path: Utf8PathBuf,
        /// Its content: a file that was changed since is left alone.
        before: Option<String>,
    },
    /// Restores the backup of a file with keys that kvnet replaced.
    RestoreFile {
        /// The file.
        path: Utf8PathBuf,
        /// The digest of what kvnet wrote: a file that was changed since is left alone.
        written: String,
    },
    /// Runs a command that the diff calls for.
    Run {
        /// What the command achieves, for people: `add Open vSwitch bridge blue`.
        purpose: String,
        /// What was there, for people; none when nothing was.
        before: Option<String>,
        /// The command.
        command: Command,
        /// The command that reverts it; none when it cannot or must not be reverted.
        undo: Option<Command>,
    },
    /// Installs a package of the distribution with what it needs.
    InstallPackage {
        /// The package manager.
        manager: PackageManager,
        /// The package.
        package: String,
        /// The package and its dependencies, where the package manager tells them beforehand.
        #[serde(default)]
        with: Vec<String>,
        /// Seconds it may take.
        timeout: u64,
    },
    /// Removes packages that kvnet installed.
    RemovePackages {
        /// The package manager.
        manager: PackageManager,
        /// All packages of the installation.
        packages: Vec<String>,
    },
    /// Starts and enables a service, or stops and disables it.
    Unit {
        /// The service's name, with the candidates' first that exists.
        unit: String,
        /// Whether it should run now.
        running: bool,
        /// Whether it should run after a boot.
        enabled: bool,
        /// What it was.
        before: UnitState,
    },
    /// Applies an object.
    Apply {
        /// The whole desired object.
        object: Box<Value>,
        /// The live fields that differ, in readable form; none when the object does not exist.
        before: Option<Vec<FieldDiff>>,
    },
    /// Deletes an object that kvnet created and waits until it is gone.
    Delete {
        /// Which object.
        object: ObjectKey,
    },
    /// Restores an object that kvnet changed.
    Restore {
        /// The object as it was.
        object: Box<Value>,
    },
    /// Adds a taint to a node, or removes it.
    Taint {
        /// The node.
        node: String,
        /// The taint: `key`, `value`, `effect`.
        taint: TaintSpec,
        /// Whether the taint exists afterwards.
        present: bool,
    },
    /// Removes from a node what an uninstalled component wrote to it.
    CleanNode {
        /// The node.
        node: String,
        /// Names of labels.
        #[serde(default)]
        labels: Vec<String>,
        /// Names of annotations.
        annotations: Vec<String>,
        /// Names of resources in its capacity.
        resources: Vec<String>,
        /// Types of conditions.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        conditions: Vec<String>,
    },
    /// Waits until a condition holds.
    Wait {
        /// What to wait for.
        condition: Condition,
        /// Seconds it may take.
        timeout: u64,
        /// The current state, for people.
        now: String,
    },
    /// Starts pods that use the networks and checks them.
    Verify {
        /// One line for each check.
        checks: Vec<String>,
    },
}

impl Change {
    /// The change with secret contents replaced by their digests.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut change = self.clone();
        match &mut change {
            Self::WriteFile { secret: true, before, after, .. } => {
                *after = digest(after.as_str());
                *before = before.take().map(|text| digest(&text));
            }
            Self::Apply { object, .. } | Self::Restore { object } => redact_object(object),
            Self::Run { command, .. } if !command.stdin.is_empty() => command.stdin.clear(),
            _ => {}
        }
        change
    }
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaintSpec {
    /// Its key.
    pub key: String,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its effect.
    pub effect: String,
}

/// What a change did, recorded when it was done; decides how it is reverted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Something new was created.
    #[default]
    Created,
    /// Packages that were not installed before.
    Installed {
        /// Their names.
        packages: Vec<String>,
    },
    /// A pre-existing thing was changed; it is restored, never removed.
    Replaced {
        /// The object as it was, without secrets; none when the change itself holds it.
        before: Option<Box<Value>>,
    },
    /// It existed already and stays.
    Adopted,
    /// Nothing to revert.
    Transient,
}

impl Change {
    /// Whether the change creates something new.
    pub fn creates(&self) -> bool {
        match self {
            Self::WriteFile { before, .. } | Self::Run { before, .. } => before.is_none(),
            Self::Apply { before, .. } => before.is_none(),
            Self::InstallPackage { .. } => true,
            Self::Unit { .. }
            | Self::Wait { .. }
            | Self::Verify { .. }
            | Self::Taint { .. }
            | Self::MoveFile { .. }
            | Self::RemoveFile { .. }
            | Self::RestoreFile { .. }
            | Self::RemovePackages { .. }
            | Self::Delete { .. }
            | Self::Restore { .. }
            | Self::CleanNode { .. } => false,
        }
    }

    /// Whether it only waits or checks: the state of node and cluster is as desired already.
    pub fn only_observes(&self) -> bool {
        matches!(self, Self::Wait { .. } | Self::Verify { .. })
    }

    /// The subject of the change: an object by its key, anything else by its line.
    pub fn subject(&self) -> String {
        match self {
            Self::Apply { object, .. } | Self::Restore { object } => ObjectKey::of(object).to_string(),
            Self::Delete { object } => object.to_string(),
            other => other.to_string(),
        }
    }

    /// The object that it applies, if it does.
    pub fn object(&self) -> Option<&Value> {
        match self {
            Self::Apply { object, .. } | Self::Restore { object } => Some(object),
            _ => None,
        }
    }
}

/// How many names are worth telling.
const LISTED: usize = 4;

/// The first names, and how many more there are: virt-handler alone writes dozens of labels.
fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let shown = names[..names.len().min(LISTED)].join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

impl fmt::Display for Change {
    /// One line: a verb and what it is done to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WriteFile { path, before: None, .. } => write!(f, "create file {path}"),
            Self::WriteFile { path, .. } => write!(f, "change file {path}"),
            Self::MoveFile { from, to } => write!(f, "move {from} to {to}"),
            Self::RemoveFile { path, .. } => write!(f, "remove file {path}"),
            Self::RestoreFile { path, .. } => write!(f, "restore {path}"),
            Self::Run { purpose, .. } => f.write_str(purpose),
            Self::InstallPackage { manager, package, .. } => {
                write!(f, "install package {package} with {manager}")
            }
            Self::RemovePackages { manager, packages } => {
                write!(f, "remove packages {} with {manager}", packages.join(", "))
            }
            Self::Unit { unit, running: true, .. } => write!(f, "start service {unit}"),
            Self::Unit { unit, .. } => write!(f, "stop service {unit}"),
            Self::Apply { object, before } => {
                let verb = if before.is_none() { "create" } else { "change" };
                write!(f, "{verb} {}", ObjectKey::of(object))
            }
            Self::Delete { object } => write!(f, "delete {object}"),
            Self::Restore { object } => write!(f, "restore {}", ObjectKey::of(object)),
            Self::Taint { node, taint, present } => {
                let verb = if *present { "add taint" } else { "remove taint" };
                write!(f, "{verb} {}:{} on node {node}", taint.key, taint.effect)
            }
            Self::CleanNode { node, labels, annotations, resources, conditions } => {
                let names = labels.iter().chain(annotations).chain(resources).chain(conditions);
                write!(f, "remove {} from node {node}", listed(names))
            }
            Self::Wait { condition, now, .. } => write!(f, "wait for {condition} (now: {now})"),
            Self::Verify { checks } => write!(f, "verify with pods: {} checks", checks.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_of_every_kind_are_gone() {
        let file = Change::WriteFile {
            path: "/root/.kube/config".into(),
            mode: 0o600,
            before: Some("old-canary".into()),
            after: "new-canary".into(),
            secret: true,
        };
        let applied = json!({"kubectl.kubernetes.io/last-applied-configuration": "canary"});
        let secret = json!({"kind": "Secret", "stringData": {"userdata": "canary"}, "data": {"x": "canary"},
            "metadata": {"annotations": applied}});
        let cloud_init = json!({"userData": "canary", "networkDataBase64": "canary"});
        let vmi = json!({"spec": {"volumes": [{"cloudInitNoCloud": cloud_init}]}});
        let changes = [
            file,
            Change::Apply { object: Box::new(secret), before: None },
            Change::Apply { object: Box::new(vmi), before: None },
        ];
        for change in changes {
            let text = serde_json::to_string(&change.redacted()).unwrap();
            assert!(!text.contains("canary"), "{text}");
        }
    }
}
