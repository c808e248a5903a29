//! Executes the changes of the node. Each looks at the node again before it acts, because time has passed since the
//! plan was made.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Command, Host};
use crate::engine::change::{Change, Outcome, UnitState};
use crate::engine::redact::digest;
use crate::error::{Error, Kind, Result, code};
use crate::facts::packages::{OVS_SERVICES, PackageManager};

/// How long the removal of packages may take, in seconds.
const REMOVE_TIMEOUT: u64 = 600;
/// How long a service may take to start or stop.
const UNIT_TIMEOUT: Duration = Duration::from_secs(120);

/// Applies a change of the node. A change of the cluster is [`INTERNAL`](code::INTERNAL).
pub async fn apply_host_change(host: &dyn Host, change: &Change) -> Result<Outcome> {
    match change {
        Change::WriteFile { path, mode, before, after, secret } => {
            if *secret && before.is_some() {
                keep_copy(host, path).await?;
            }
            write_file(host, path, *mode, before.as_deref(), after).await
        }
        Change::MoveFile { from, to } => move_file(host, from, to).await,
        Change::RemoveFile { path, before } => remove_file(host, path, before.as_deref()).await,
        Change::Run { command, before, .. } => run(host, command, before.is_some()).await,
        Change::InstallPackage { manager, package, timeout } => {
            install(host, *manager, package, *timeout).await
        }
        Change::RemovePackages { manager, packages } => remove(host, *manager, packages).await,
        Change::Unit { unit, running, enabled, before } => {
            let after = UnitState { running: *running, enabled: *enabled };
            set_unit(host, unit, *before, after).await
        }
        other => Err(Error::new(&code::INTERNAL, format!("`{other}` is not a change of the node"))),
    }
}

/// Where the copy of a file with secrets is kept while kvnet's version stands in its place: beside it, because the
/// journal must not hold secrets.
#[must_use]
pub fn saved_copy(path: &Utf8Path) -> Utf8PathBuf {
    Utf8PathBuf::from(format!("{path}.kvnet-saved"))
}

/// The first copy counts: it is what was there before kvnet.
async fn keep_copy(host: &dyn Host, path: &Utf8Path) -> Result<()> {
    let copy = saved_copy(path);
    let (Some(now), None) = (host.read(path).await?, host.stat(&copy).await?) else { return Ok(()) };
    host.write(&copy, &now, 0o600).await
}

/// Whether [`apply_host_change`] is for this change.
#[must_use]
pub fn is_host_change(change: &Change) -> bool {
    matches!(
        change,
        Change::WriteFile { .. }
            | Change::MoveFile { .. }
            | Change::RemoveFile { .. }
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
) -> Result<Outcome> {
    let now = host.read(path).await?;
    let mode_fits = host.stat(path).await?.is_some_and(|stat| stat.mode == mode);
    let is = |text: Option<&str>| now.as_deref() == text.map(str::as_bytes);
    // A run that was killed after the write left it so.
    if is(Some(after)) && before != Some(after) && mode_fits {
        return Ok(written(before));
    }
    if !is(before) {
        let error = Error::new(&code::HOST_FILE, "the file changed under us").at(path.as_str());
        return Err(error.hint("run the command again: it looks at the file anew"));
    }
    host.write(path, after.as_bytes(), mode).await?;
    Ok(written(before))
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

/// A file that somebody changed is theirs now.
async fn remove_file(host: &dyn Host, path: &Utf8Path, before: Option<&str>) -> Result<Outcome> {
    let Some(now) = host.read(path).await? else { return Ok(Outcome::Transient) };
    if before.is_some_and(|before| !is_recorded(&now, before)) {
        tracing::warn!("{path} was changed by somebody and stays");
        return Ok(Outcome::Adopted);
    }
    host.remove(path).await?;
    Ok(Outcome::Replaced { before: None })
}

/// Whether a content is the recorded one; the journal records a secret content by its digest.
fn is_recorded(now: &[u8], recorded: &str) -> bool {
    recorded.as_bytes() == now || recorded == digest(&String::from_utf8_lossy(now))
}

async fn run(host: &dyn Host, command: &Command, replaces: bool) -> Result<Outcome> {
    host.run(command).await?.ok(command)?;
    Ok(if replaces { Outcome::Replaced { before: None } } else { Outcome::Created })
}

async fn install(host: &dyn Host, manager: PackageManager, package: &str, seconds: u64) -> Result<Outcome> {
    let before = installed(host, manager).await?;
    let command = manager.install(package, seconds);
    let mut output = host.run(&command).await?;
    if !output.success() && manager.wants_refresh(&format!("{}{}", output.stdout, output.stderr)) {
        refresh(host, manager, seconds).await?;
        output = host.run(&command).await?;
    }
    output.ok(&command).map_err(|error| match manager {
        PackageManager::Dnf | PackageManager::Yum => error.hint(format!(
            "{package} may be in a repository that is not enabled; enable it, or install it by hand"
        )),
        _ => error,
    })?;
    let after = installed(host, manager).await?;
    Ok(Outcome::Installed { packages: after.difference(&before).cloned().collect() })
}

/// One source of several that does not answer must not stop the installation: the second attempt tells.
async fn refresh(host: &dyn Host, manager: PackageManager, seconds: u64) -> Result<()> {
    let Some(command) = manager.refresh(seconds) else { return Ok(()) };
    let output = host.run(&command).await?;
    if let Err(error) = output.ok(&command) {
        tracing::warn!("{error}");
    }
    Ok(())
}

async fn installed(host: &dyn Host, manager: PackageManager) -> Result<std::collections::BTreeSet<String>> {
    let command = manager.list();
    Ok(manager.installed(&host.run(&command).await?.ok(&command)?.stdout))
}

/// Packages that are gone already are left out, since some package managers refuse them.
async fn remove(host: &dyn Host, manager: PackageManager, packages: &[String]) -> Result<Outcome> {
    let present = installed(host, manager).await?;
    let packages: Vec<String> = packages.iter().filter(|name| present.contains(*name)).cloned().collect();
    if !packages.is_empty() {
        let command = manager.remove(&packages, REMOVE_TIMEOUT);
        host.run(&command).await?.ok(&command)?;
    }
    Ok(Outcome::Transient)
}

async fn set_unit(host: &dyn Host, unit: &str, before: UnitState, after: UnitState) -> Result<Outcome> {
    let manager = ServiceManager::of(host).await?;
    let unit = manager.existing(host, unit).await?;
    let turned_on = [after.running && !before.running, after.enabled && !before.enabled];
    let turned_off = [!after.running && before.running, !after.enabled && before.enabled];
    for (words, wanted) in manager.actions(&unit, turned_on, turned_off) {
        if wanted {
            let command = Command::new(words).timeout(UNIT_TIMEOUT);
            host.run(&command).await?.ok(&command).map_err(|error| at_unit(error, &unit))?;
        }
    }
    Ok(Outcome::Replaced { before: None })
}

fn at_unit(error: Error, unit: &str) -> Error {
    error
        .at(format!("service {unit}"))
        .hint(format!("look at `journalctl -u {unit}`"))
        .of_kind(Kind::Environment)
}

/// What starts services on the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ServiceManager {
    Systemd,
    OpenRc,
}

impl ServiceManager {
    async fn of(host: &dyn Host) -> Result<Self> {
        let systemd = host.stat("/run/systemd/system".into()).await?.is_some();
        if !systemd && host.find("rc-service").await?.is_some() {
            return Ok(Self::OpenRc);
        }
        Ok(Self::Systemd)
    }

    /// The unit itself, or for Open vSwitch the name that this distribution has.
    async fn existing(self, host: &dyn Host, unit: &str) -> Result<String> {
        let others = OVS_SERVICES.into_iter().filter(|_| OVS_SERVICES.contains(&unit));
        for name in std::iter::once(unit).chain(others) {
            for path in self.files(name) {
                if host.stat(&path).await?.is_some() {
                    return Ok(name.to_owned());
                }
            }
        }
        Ok(unit.to_owned())
    }

    fn files(self, unit: &str) -> Vec<Utf8PathBuf> {
        match self {
            Self::OpenRc => vec![format!("/etc/init.d/{unit}").into()],
            Self::Systemd => [
                "/etc/systemd/system",
                "/run/systemd/system",
                "/usr/lib/systemd/system",
                "/lib/systemd/system",
            ]
            .map(|directory| format!("{directory}/{unit}.service").into())
            .to_vec(),
        }
    }

    /// Enable before start, so that a node that goes down in between comes up right; stop before disable.
    fn actions(
        self,
        unit: &str,
        [start, enable]: [bool; 2],
        [stop, disable]: [bool; 2],
    ) -> [(Vec<String>, bool); 4] {
        let words = |systemd: [&str; 2], open_rc: [&str; 4]| match self {
            Self::Systemd => vec![systemd[0].to_owned(), systemd[1].to_owned(), unit.to_owned()],
            Self::OpenRc => open_rc
                .iter()
                .filter(|word| !word.is_empty())
                .map(|word| word.replace("UNIT", unit))
                .collect(),
        };
        [
            (words(["systemctl", "enable"], ["rc-update", "add", "UNIT", "default"]), enable),
            (words(["systemctl", "start"], ["rc-service", "UNIT", "start", ""]), start),
            (words(["systemctl", "stop"], ["rc-service", "UNIT", "stop", ""]), stop),
            (words(["systemctl", "disable"], ["rc-update", "del", "UNIT", "default"]), disable),
        ]
    }
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

    fn unit(running: bool, enabled: bool) -> Change {
        Change::Unit { unit: "openvswitch-switch".into(), running, enabled, before: UnitState::default() }
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
        assert_eq!(apply_host_change(&host, &change).await.unwrap(), Outcome::Adopted);
        assert_eq!(host.content("/etc/x").unwrap(), "theirs");
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
        let change =
            Change::InstallPackage { manager: PackageManager::Apt, package: "ovs".into(), timeout: 60 };
        let outcome = apply_host_change(&host, &change).await.unwrap();
        assert_eq!(outcome, Outcome::Installed { packages: vec!["ovs".into(), "ovs-common".into()] });
        assert_eq!(host.commands().iter().filter(|line| line.contains("update")).count(), 1);
    }

    #[tokio::test]
    async fn a_service_is_found_under_the_name_that_the_distribution_has() {
        let host = FakeHost::new()
            .directory("/run/systemd/system")
            .file("/usr/lib/systemd/system/openvswitch.service", "")
            .prints(["systemctl"], "");
        apply_host_change(&host, &unit(true, true)).await.unwrap();
        assert_eq!(host.commands(), ["systemctl enable openvswitch", "systemctl start openvswitch"]);
    }

    #[tokio::test]
    async fn alpine_has_another_service_manager() {
        let host = FakeHost::new()
            .file("/etc/init.d/ovs-vswitchd", "")
            .prints(["rc-service"], "")
            .prints(["rc-update"], "");
        apply_host_change(&host, &unit(true, true)).await.unwrap();
        assert_eq!(host.commands(), ["rc-update add ovs-vswitchd default", "rc-service ovs-vswitchd start"]);
    }
}
