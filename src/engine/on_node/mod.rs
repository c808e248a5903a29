//! Executes the changes of the node. Each reads the node again before it acts, because time has passed since the plan
//! was made.

pub mod packages;
#[cfg(test)]
mod sandbox_tests;
mod saved;
pub(crate) mod service;

use camino::{Utf8Path, Utf8PathBuf};

pub use saved::{refuse_unsafe, saved_copy};

use crate::engine::change::{Change, Outcome};
use crate::error::{Error, Result, code};
use crate::host::{Command, Host, UnitState};
use crate::redact::digest;

/// Receives warnings about a change that was made differently, or not at all.
pub type Tell<'a> = &'a (dyn Fn(String) + Send + Sync);

/// As [`apply_telling`], without warnings.
pub async fn apply_host_change(host: &dyn Host, change: &Change) -> Result<Outcome> {
    apply_telling(host, change, &|_| ()).await
}

/// Applies a change of the node. Repeating one that was already made is harmless.
///
/// # Errors
/// Errors of the host; `KVN204` when a file is not what the plan saw; `KVN207` and `KVN220` when it is not safe to
/// write; `KVN505` for a change of the cluster.
pub async fn apply_telling(host: &dyn Host, change: &Change, tell: Tell<'_>) -> Result<Outcome> {
    match change {
        Change::WriteFile { path, mode, before, after, secret } => {
            write_file(host, path, *mode, before.as_deref(), after, *secret).await
        }
        Change::MoveFile { from, to } => move_file(host, from, to).await,
        Change::RemoveFile { path, before } => remove_file(host, path, before.as_deref(), tell).await,
        Change::RestoreFile { path, written } => saved::restore(host, path, written, tell).await,
        Change::Run { command, before, .. } => run(host, command, before.is_some()).await,
        Change::InstallPackage { manager, package, timeout, with, .. } => {
            packages::install(host, *manager, package, with, *timeout, tell).await
        }
        Change::RemovePackages { manager, packages } => {
            packages::remove(host, *manager, packages, tell).await
        }
        Change::Unit { unit, running, enabled, before } => {
            let after = UnitState { running: *running, enabled: *enabled };
            service::set_unit(host, unit, *before, after).await
        }
        other => Err(Error::new(&code::INTERNAL, format!("`{other}` is not a change of the node"))),
    }
}

async fn write_file(
    host: &dyn Host,
    path: &Utf8Path,
    mode: u32,
    before: Option<&str>,
    after: &str,
    secret: bool,
) -> Result<Outcome> {
    saved::refuse_unsafe(host, path).await?;
    let now = host.read(path).await?;
    let mode_fits = host.stat(path).await?.is_some_and(|stat| stat.mode == mode);
    let is = |text: Option<&str>| now.as_deref() == text.map(str::as_bytes);
    // A run that was killed after the write left it so.
    if is(Some(after)) && before != Some(after) && mode_fits {
        host.remove(&unfinished(path)).await?;
        return Ok(written(before));
    }
    if !is(before) {
        let error = Error::new(&code::HOST_FILE, "the file was modified concurrently").at(path.as_str());
        return Err(error.hint("run the command again: it reads the file again"));
    }
    if let Some(before) = before.filter(|_| secret) {
        saved::save(host, path, before).await?;
    }
    host.write(path, after.as_bytes(), mode).await?;
    Ok(written(before))
}

/// The temporary file of [`Host::write`]; a run that is killed may leave it.
pub fn unfinished(path: &Utf8Path) -> Utf8PathBuf {
    crate::host::files::unfinished(path)
}

fn written(before: Option<&str>) -> Outcome {
    match before {
        Some(_) => Outcome::Replaced { before: None },
        None => Outcome::Created,
    }
}

async fn move_file(host: &dyn Host, from: &Utf8Path, to: &Utf8Path) -> Result<Outcome> {
    // A run that was killed after the move left it so.
    let done = host.stat(from).await?.is_none() && host.stat(to).await?.is_some();
    if !done {
        host.rename(from, to).await?;
    }
    Ok(Outcome::Replaced { before: None })
}

/// A file that was modified is no longer kvnet's. Without a `before` it may also be a socket or a link.
async fn remove_file(
    host: &dyn Host,
    path: &Utf8Path,
    before: Option<&str>,
    tell: Tell<'_>,
) -> Result<Outcome> {
    host.remove(&unfinished(path)).await?;
    if host.stat(path).await?.is_none() {
        return Ok(Outcome::Transient);
    }
    if let Some(before) = before {
        let now = host.read(path).await?.unwrap_or_default();
        if before.as_bytes() != now && before != digest(&*String::from_utf8_lossy(&now)) {
            tell(format!("{path} was modified since and stays"));
            return Ok(Outcome::Adopted);
        }
    }
    host.remove(path).await?;
    Ok(Outcome::Replaced { before: None })
}

async fn run(host: &dyn Host, command: &Command, replaces: bool) -> Result<Outcome> {
    host.run(command).await?.ok(command).map_err(|error| explained(error, command))?;
    Ok(if replaces { Outcome::Replaced { before: None } } else { Outcome::Created })
}

/// kubeadm's failure is the whole step's, and what it leaves must be cleaned up by hand.
fn explained(error: Error, command: &Command) -> Error {
    if command.program() != "kubeadm" {
        return error;
    }
    let cause = error.cause().unwrap_or_default().to_owned();
    let explained = Error::new(&code::KUBEADM_FAILED, error.message()).because(cause);
    explained.hint("fix the cause, clean up with `kubeadm reset`, and run `kvnet up` again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn write(before: Option<&str>, after: &str) -> Change {
        Change::WriteFile {
            path: "/etc/x".into(),
            mode: 0o644,
            before: before.map(Into::into),
            after: after.into(),
            secret: false,
        }
    }

    #[tokio::test]
    async fn files_are_created_and_replaced() {
        let host = FakeHost::new();
        assert_eq!(apply_host_change(&host, &write(None, "a")).await.unwrap(), Outcome::Created);
        let outcome = apply_host_change(&host, &write(Some("a"), "b")).await.unwrap();
        assert_eq!(outcome, Outcome::Replaced { before: None });
        assert_eq!(host.content("/etc/x").unwrap(), "b");
    }

    #[tokio::test]
    async fn a_file_that_changed_since_the_plan_stays() {
        let host = FakeHost::new().file("/etc/x", "theirs");
        let error = apply_host_change(&host, &write(Some("a"), "b")).await.unwrap_err();
        assert_eq!(error.to_string(), "/etc/x: the file was modified concurrently");
        let change = Change::RemoveFile { path: "/etc/x".into(), before: Some("ours".into()) };
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |text: String| told.lock().unwrap().push(text);
        assert_eq!(apply_telling(&host, &change, &tell).await.unwrap(), Outcome::Adopted);
        assert_eq!(*told.lock().unwrap(), ["/etc/x was modified since and stays"]);
        assert_eq!(host.content("/etc/x").unwrap(), "theirs");
    }

    #[tokio::test]
    async fn a_replaced_secret_is_kept_and_removed_by_its_digest() {
        let host = FakeHost::new().file("/k", "old");
        let change = |before: &str, after: &str| Change::WriteFile {
            path: "/k".into(),
            mode: 0o600,
            before: Some(before.into()),
            after: after.into(),
            secret: true,
        };
        apply_host_change(&host, &change("old", "new")).await.unwrap();
        apply_host_change(&host, &change("new", "newer")).await.unwrap();
        assert_eq!(host.content("/k.kvnet-saved").unwrap(), "old");
        let change = Change::RemoveFile { path: "/k".into(), before: Some(digest("newer")) };
        apply_host_change(&host, &change).await.unwrap();
        assert_eq!(host.content("/k"), None);
    }

    #[tokio::test]
    async fn a_replaced_secret_is_restored_unless_it_was_modified_since() {
        let change = Change::WriteFile {
            path: "/k".into(),
            mode: 0o600,
            before: Some("old".into()),
            after: "new".into(),
            secret: true,
        };
        let back = Change::RestoreFile { path: "/k".into(), written: digest("new") };
        let host = FakeHost::new().file("/k", "old");
        apply_host_change(&host, &change).await.unwrap();
        for _ in 0..2 {
            apply_host_change(&host, &back).await.unwrap();
            assert_eq!((host.content("/k").as_deref(), host.content("/k.kvnet-saved")), (Some("old"), None));
        }
        assert_eq!(host.stat("/k".into()).await.unwrap().unwrap().mode, 0o600);
        apply_host_change(&host, &change).await.unwrap();
        host.write("/k".into(), b"theirs", 0o600).await.unwrap();
        assert_eq!(apply_host_change(&host, &back).await.unwrap(), Outcome::Adopted);
        assert_eq!(host.content("/k").unwrap(), "theirs");
        assert_eq!(host.content("/k.kvnet-saved").unwrap(), "old");
    }

    #[tokio::test]
    async fn a_write_that_was_done_before_a_crash_is_recognised() {
        let host = FakeHost::new().file("/etc/x", "b");
        let outcome = apply_host_change(&host, &write(Some("a"), "b")).await.unwrap();
        assert_eq!((outcome, host.writes().len()), (Outcome::Replaced { before: None }, 0));
    }
}
