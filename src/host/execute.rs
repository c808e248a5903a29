//! Executes the changes of the node. Each looks at the node again before it acts, because time has passed since the
//! plan was made.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Command, Host, saved, service};
use crate::engine::change::{Change, Outcome, UnitState};
use crate::engine::redact::digest;
use crate::error::{Error, Result, code};
use crate::facts::packages::PackageManager;

/// How long the removal of packages may take, in seconds.
const REMOVE_TIMEOUT: u64 = 600;

/// Hears what the user must know about a change that was made differently, or not at all.
pub type Tell<'a> = &'a (dyn Fn(String) + Send + Sync);

/// As [`apply_telling`], when nobody listens.
///
/// # Errors
/// Those of [`apply_telling`].
pub async fn apply_host_change(host: &dyn Host, change: &Change) -> Result<Outcome> {
    apply_telling(host, change, &|_| ()).await
}

/// Applies a change of the node. Repeating one that was already made is harmless.
///
/// # Errors
/// Those of the host; `KVN204` when a file is not what the plan saw; `KVN207` and `KVN220` when it is not safe to write;
/// `KVN505` for a change of the cluster.
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
            install(host, *manager, package, with, *timeout, tell).await
        }
        Change::RemovePackages { manager, packages } => remove(host, *manager, packages, tell).await,
        Change::Unit { unit, running, enabled, before } => {
            let after = UnitState { running: *running, enabled: *enabled };
            service::set_unit(host, unit, *before, after).await
        }
        other => Err(Error::new(&code::INTERNAL, format!("`{other}` is not a change of the node"))),
    }
}

/// Whether [`apply_host_change`] is for this change.
#[must_use]
pub fn is_host_change(change: &Change) -> bool {
    matches!(
        change,
        Change::WriteFile { .. }
            | Change::MoveFile { .. }
            | Change::RemoveFile { .. }
            | Change::RestoreFile { .. }
            | Change::Run { .. }
            | Change::InstallPackage { .. }
            | Change::RemovePackages { .. }
            | Change::Unit { .. }
    )
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
        let error = Error::new(&code::HOST_FILE, "the file changed under us").at(path.as_str());
        return Err(error.hint("run the command again: it looks at the file anew"));
    }
    if let Some(before) = before.filter(|_| secret) {
        saved::save(host, path, before).await?;
    }
    host.write(path, after.as_bytes(), mode).await?;
    Ok(written(before))
}

/// Where [`Host::write`] has the new content before the file takes its place; a run that is killed may leave it.
#[must_use]
pub fn unfinished(path: &Utf8Path) -> Utf8PathBuf {
    super::files::unfinished(path)
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

/// A file that somebody changed is theirs now. Without a `before` it may also be a socket or a link.
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
        if before.as_bytes() != now && before != digest(&String::from_utf8_lossy(&now)) {
            tell(format!("{path} was changed by somebody and stays"));
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

/// kubeadm's failure is the whole step's, and what it leaves must be taken back by hand.
fn explained(error: Error, command: &Command) -> Error {
    if command.program() != "kubeadm" {
        return error;
    }
    let cause = error.cause().unwrap_or_default().to_owned();
    let explained = Error::new(&code::KUBEADM_FAILED, error.message()).because(cause);
    explained.hint("mend the cause, take the attempt back with `kubeadm reset`, and run `kvnet up` again")
}

async fn install(
    host: &dyn Host,
    manager: PackageManager,
    package: &str,
    with: &[String],
    seconds: u64,
    tell: Tell<'_>,
) -> Result<Outcome> {
    let before = installed(host, manager).await?;
    let command = manager.install(package, seconds);
    let mut output = host.run(&command).await?;
    let printed = format!("{}{}", output.stdout, output.stderr);
    if let Some(rest) = manager.ends_interrupted(&printed, seconds).filter(|_| !output.success()) {
        tell(format!("an installation was interrupted: `{}` ends it", rest.display()));
        host.run(&rest).await?.ok(&rest)?;
        output = host.run(&command).await?;
    }
    if !output.success() && manager.wants_refresh(&format!("{}{}", output.stdout, output.stderr)) {
        refresh(host, manager, seconds, tell).await?;
        output = host.run(&command).await?;
    }
    output.ok(&command).map_err(|error| match manager {
        PackageManager::Dnf | PackageManager::Yum => error.hint(format!(
            "{package} may be in a repository that is not enabled; enable it, or install it by hand"
        )),
        _ => error,
    })?;
    let after = installed(host, manager).await?;
    Ok(Outcome::Installed { packages: brought(&before, &after, package, with) })
}

/// What an installation brought. `down` removes it, so a list that cannot be believed must not make everything on the node
/// look new: only what was announced counts, or the package itself when nothing was.
fn brought(
    before: &BTreeSet<String>,
    after: &BTreeSet<String>,
    package: &str,
    with: &[String],
) -> Vec<String> {
    let name = |full: &str| full.split(':').next().unwrap_or_default().to_owned();
    let believable = before.intersection(after).count() * 2 > before.len();
    let counts = |full: &&String| match with {
        [] => believable || name(full) == package,
        announced => announced.contains(&name(full)),
    };
    after.difference(before).filter(counts).cloned().collect()
}

/// One source of several that does not answer must not stop the installation: the second attempt tells.
async fn refresh(host: &dyn Host, manager: PackageManager, seconds: u64, tell: Tell<'_>) -> Result<()> {
    let Some(command) = manager.refresh(seconds) else { return Ok(()) };
    let output = host.run(&command).await?;
    if let Err(error) = output.ok(&command) {
        tell(error.to_string());
    }
    Ok(())
}

async fn installed(host: &dyn Host, manager: PackageManager) -> Result<BTreeSet<String>> {
    let command = manager.list();
    let packages = manager.installed(&host.run(&command).await?.ok(&command)?.stdout);
    if packages.is_empty() {
        let message = format!("`{}` lists no packages", command.display());
        return Err(Error::new(&code::HOST_COMMAND, message)
            .hint("run it by hand: without its list, what an installation brings is not known"));
    }
    Ok(packages)
}

/// Packages that are gone already are left out, since some package managers refuse them.
async fn remove(
    host: &dyn Host,
    manager: PackageManager,
    packages: &[String],
    tell: Tell<'_>,
) -> Result<Outcome> {
    let present = installed(host, manager).await?;
    let packages: Vec<String> = packages.iter().filter(|name| present.contains(*name)).cloned().collect();
    if !packages.is_empty() {
        let command = manager.remove(&packages, REMOVE_TIMEOUT);
        if let Err(error) = host.run(&command).await?.ok(&command) {
            // Something that came later needs one of them: it matters more than a clean list.
            tell(format!("packages stay: {error}"));
            return Ok(Outcome::Adopted);
        }
    }
    Ok(Outcome::Transient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Output;
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
        assert_eq!(error.to_string(), "/etc/x: the file changed under us");
        let change = Change::RemoveFile { path: "/etc/x".into(), before: Some("ours".into()) };
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |text: String| told.lock().unwrap().push(text);
        assert_eq!(apply_telling(&host, &change, &tell).await.unwrap(), Outcome::Adopted);
        assert_eq!(*told.lock().unwrap(), ["/etc/x was changed by somebody and stays"]);
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
    async fn a_replaced_secret_comes_back_unless_somebody_changed_it() {
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

    #[tokio::test]
    async fn new_packages_are_recorded_and_the_index_is_fetched_only_when_needed() {
        let host = FakeHost::new()
            .on(["dpkg-query"], |_, files| Output {
                stdout: format!("ii  bash\n{}", files.text("/installed").unwrap_or_default()),
                ..Output::default()
            })
            .on(["apt-get", "install"], |_, files| match files.text("/index") {
                Some(_) => {
                    files.put("/installed", "ii  ovs\nii  ovs-common\n", 0o644);
                    Output::default()
                }
                None => Output {
                    status: 100,
                    stderr: "E: Unable to locate package ovs".into(),
                    ..Output::default()
                },
            })
            .on(["apt-get", "update"], |_, files| {
                files.put("/index", "", 0o644);
                Output::default()
            });
        let change = Change::InstallPackage {
            manager: PackageManager::Apt,
            package: "ovs".into(),
            with: Vec::new(),
            timeout: 60,
        };
        let outcome = apply_host_change(&host, &change).await.unwrap();
        assert_eq!(outcome, Outcome::Installed { packages: vec!["ovs".into(), "ovs-common".into()] });
        assert_eq!(host.commands().iter().filter(|line| line.contains("update")).count(), 1);
    }

    #[tokio::test]
    async fn an_installation_that_was_killed_is_ended_first() {
        let refused =
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";
        let host = FakeHost::new()
            .prints(["dpkg-query"], "ii  bash\n")
            .on(["apt-get", "install"], |_, files| match files.text("/configured") {
                Some(_) => Output::default(),
                None => Output { status: 100, stderr: refused.into(), ..Output::default() },
            })
            .on(["dpkg", "--configure", "-a"], |_, files| {
                files.put("/configured", "", 0o644);
                Output::default()
            });
        let (manager, package) = (PackageManager::Apt, "ovs".to_owned());
        let change = Change::InstallPackage { manager, package, with: Vec::new(), timeout: 60 };
        assert_eq!(
            apply_host_change(&host, &change).await.unwrap(),
            Outcome::Installed { packages: Vec::new() }
        );
    }

    #[test]
    fn a_list_that_cannot_be_believed_makes_nothing_kvnets() {
        let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
        let (whole, after) =
            (set(&["bash", "libc6:amd64"]), set(&["bash", "libc6:amd64", "ovs", "lib:amd64"]));
        assert_eq!(brought(&whole, &after, "ovs", &[]), ["lib:amd64", "ovs"]);
        assert_eq!(brought(&set(&["nonsense"]), &after, "ovs", &[]), ["ovs"]);
        let announced = ["lib".to_owned(), "ovs".to_owned()];
        assert_eq!(brought(&set(&["nonsense"]), &after, "ovs", &announced), ["lib:amd64", "ovs"]);
    }
}
