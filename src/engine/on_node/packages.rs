//! Packages of the node's distribution: dry run, installation and removal.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Tell;
use crate::engine::change::Outcome;
use crate::error::{Error, Result, code};
use crate::facts::packages::{Announced, Lists, PackageManager};
use crate::host::{Command, Host, Output};

/// How long the removal of packages may take, in seconds.
const REMOVE_TIMEOUT: u64 = 600;
/// The pause between two attempts while another package manager is running.
const PAUSE: Duration = Duration::from_secs(1);

/// What an installation would install, by the node's package lists: nothing is fetched. Nothing when the package
/// manager does not know the package yet, since the installation fetches its lists, or has no dry run.
/// Fails with `KVN221` when it would remove packages.
pub async fn announced(host: &dyn Host, manager: PackageManager, package: &str) -> Result<Vec<String>> {
    let Some(command) = manager.simulate(package, Lists::Present) else { return Ok(Vec::new()) };
    if host.find(command.program()).await?.is_none() {
        return Ok(Vec::new());
    }
    let announced = manager.announced(&host.run(&command).await?.stdout);
    refuse_removals(package, &announced)?;
    let mut brings = announced.brings;
    if manager == PackageManager::Pacman && !brings.is_empty() {
        // It lists reinstallations too.
        let present = installed(host, manager).await?;
        brings.retain(|name| !present.contains(name));
    }
    Ok(brings)
}

/// Installs a package and returns what that installed.
pub(super) async fn install(
    host: &dyn Host,
    manager: PackageManager,
    package: &str,
    with: &[String],
    seconds: u64,
    tell: Tell<'_>,
) -> Result<Outcome> {
    let before = installed(host, manager).await?;
    if !manager.keeps_what_is_there()
        && let Some(command) = manager.simulate(package, Lists::Current)
    {
        let command = command.timeout(Duration::from_secs(seconds));
        refuse_removals(package, &manager.announced(&host.run(&command).await?.stdout))?;
    }
    let command = manager.install(package, seconds);
    let mut output = patiently(host, manager, &command, seconds, tell).await?;
    if let Some(rest) = manager.ends_interrupted(&complaint(&output), seconds) {
        tell(format!("an installation was interrupted: `{}` completes it", rest.display()));
        host.run(&rest).await?.ok(&rest)?;
        output = host.run(&command).await?;
    }
    if manager.wants_refresh(&complaint(&output)) {
        refresh(host, manager, seconds, tell).await?;
        output = host.run(&command).await?;
    }
    let busy = is_busy(manager, &output);
    output.ok(&command).map_err(|error| hinted(error, manager, package, busy))?;
    let after = installed(host, manager).await?;
    Ok(Outcome::Installed { packages: brought(&before, &after, package, with) })
}

/// Removes packages. Those that are gone already are left out, since some package managers refuse them.
pub(super) async fn remove(
    host: &dyn Host,
    manager: PackageManager,
    packages: &[String],
    tell: Tell<'_>,
) -> Result<Outcome> {
    let present = installed(host, manager).await?;
    let packages: Vec<String> = packages.iter().filter(|name| present.contains(*name)).cloned().collect();
    if packages.is_empty() {
        return Ok(Outcome::Transient);
    }
    let command = manager.remove(&packages, REMOVE_TIMEOUT);
    let output = patiently(host, manager, &command, REMOVE_TIMEOUT, tell).await?;
    let busy = is_busy(manager, &output);
    match output.ok(&command) {
        Ok(_) => Ok(Outcome::Transient),
        Err(error) if busy => Err(hinted(error, manager, "a package", busy)),
        Err(error) => {
            // A later package needs one of them: that matters more than a clean list.
            tell(format!("packages stay: {error}"));
            Ok(Outcome::Adopted)
        }
    }
}

/// Retries a command while another package manager is running, for half of its timeout.
async fn patiently(
    host: &dyn Host,
    manager: PackageManager,
    command: &Command,
    seconds: u64,
    tell: Tell<'_>,
) -> Result<Output> {
    let end = Instant::now() + Duration::from_secs(seconds / 2);
    let mut told = false;
    loop {
        let output = host.run(command).await?;
        if !is_busy(manager, &output) || Instant::now() + PAUSE > end {
            return Ok(output);
        }
        if !told {
            tell(format!("another package manager is running: waiting up to {} s for it", seconds / 2));
            told = true;
        }
        sleep(PAUSE).await;
    }
}

fn is_busy(manager: PackageManager, output: &Output) -> bool {
    manager.is_busy(&complaint(output))
}

/// The output of a failed command, on either stream; nothing of one that succeeded.
fn complaint(output: &Output) -> String {
    if output.success() { String::new() } else { format!("{}{}", output.stdout, output.stderr) }
}

fn hinted(error: Error, manager: PackageManager, package: &str, busy: bool) -> Error {
    match (manager, manager.stale_lock()) {
        (_, Some(lock)) if busy => error.hint(format!(
            "wait for the other {manager} to end; if none runs, one was killed: remove {lock} and run the command again"
        )),
        _ if busy => error.hint("wait for the other package manager to end, and run the command again"),
        (PackageManager::Dnf | PackageManager::Yum, _) => error.hint(format!(
            "{package} may be in a repository that is not enabled; enable it, or install it by hand"
        )),
        _ => error,
    }
}

fn refuse_removals(package: &str, announced: &Announced) -> Result<()> {
    if announced.removes.is_empty() {
        return Ok(());
    }
    let message = format!("installing {package} would remove {}", announced.removes.join(", "));
    Err(Error::new(&code::PACKAGES_REMOVED, message)
        .hint("choose another package in the profile, or install it by hand"))
}

/// What an installation installed. `down` removes it, so an unreliable list must not make everything on the node look
/// new: only what was announced counts, or the package itself when nothing was.
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

/// One unreachable repository of several must not stop the installation: the second attempt tells.
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
            .hint("run it by hand: without its list, what an installation installs is unknown"));
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::change::Change;
    use crate::engine::on_node::apply_host_change;
    use crate::host::fake::FakeHost;

    fn change(manager: PackageManager) -> Change {
        Change::InstallPackage { manager, package: "ovs".into(), with: Vec::new(), timeout: 60 }
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
        let outcome = apply_host_change(&host, &change(PackageManager::Apt)).await.unwrap();
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
        assert_eq!(
            apply_host_change(&host, &change(PackageManager::Apt)).await.unwrap(),
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

    #[tokio::test(start_paused = true)]
    async fn another_package_manager_at_work_is_waited_for_and_told_once() {
        let busy = "error: failed to init transaction (unable to lock database)\n";
        let host = FakeHost::new().prints(["pacman", "--query"], "bash\n").on(
            ["pacman", "--sync"],
            move |_, files| {
                let tries = files.text("/tries").unwrap_or_default() + "x";
                let done = tries.len() > 3;
                files.put("/tries", &tries, 0o644);
                Output {
                    status: i32::from(!done),
                    stderr: if done { "" } else { busy }.into(),
                    ..Output::default()
                }
            },
        );
        let told = std::sync::Mutex::new(Vec::new());
        let tell = |line: String| told.lock().unwrap().push(line);
        install(&host, PackageManager::Pacman, "ovs", &[], 60, &tell).await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["another package manager is running: waiting up to 30 s for it"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_lock_is_an_error_that_names_it() {
        let busy = "error: failed to init transaction (unable to lock database)\n";
        let host =
            FakeHost::new().prints(["pacman", "--query"], "bash\n").fails(["pacman", "--sync"], 1, busy);
        let error = apply_host_change(&host, &change(PackageManager::Pacman)).await.unwrap_err();
        assert!(error.hints().iter().any(|hint| hint.contains("/var/lib/pacman/db.lck")), "{error:?}");
    }

    #[tokio::test]
    async fn an_installation_that_would_take_something_away_is_not_begun() {
        let printed =
            "<to-remove>\n<solvable type=\"package\" name=\"theirs\" edition=\"1\">\n</to-remove>\n";
        let host = FakeHost::new()
            .prints(["rpm", "-qa"], "bash\n")
            .prints(["zypper", "--non-interactive", "--xmlout"], printed);
        let error = apply_host_change(&host, &change(PackageManager::Zypper)).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (&code::PACKAGES_REMOVED, "installing ovs would remove theirs")
        );
        assert!(!host.commands().iter().any(|line| line.starts_with("zypper --non-interactive install")));
    }
}
