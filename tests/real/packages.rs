//! The package managers of other distributions than Debian, the real ones: dnf 4, zypper and pacman in a root of their own with
//! packages that have nothing but names (tests/rig/lib/packages.sh). What kvnet's step asks of them, does with them and takes back.
//!
//! The story enters the root with its own program, which does the rest inside.

use std::collections::BTreeSet;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Mutex;

use kvnet::engine::change::{Change, Outcome};
use kvnet::engine::on_node::packages::announced;
use kvnet::engine::on_node::{apply_host_change, apply_telling};
use kvnet::error::{Error, Result, code};
use kvnet::facts::packages::PackageManager;
use kvnet::host::Host;
use kvnet::host::local::LocalHost;

const RIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/rig");
const IN_ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/in-root");
/// Set for the program inside.
const INSIDE: &str = "KVNET_PACKAGES_INSIDE";
/// While it is a pipe, the installation of `openvswitch` waits for somebody who writes into it.
const HOLD: &str = "/tmp/hold";
/// What is there from the start and what the story installs, sorted.
const BROUGHT: [&str; 2] = ["openvswitch", "unbound-libs"];
const SECONDS: u64 = 60;

pub fn story() {
    let made = Process::new(RIG).arg("managers").stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let root = String::from_utf8(made.stdout).unwrap();
    for manager in ["dnf", "zypper", "pacman"] {
        let own = std::env::current_exe().unwrap();
        let mut inside = Process::new(IN_ROOT);
        inside.arg(root.trim()).arg("--bind").args([&own, &own]).env(INSIDE, manager);
        let inside =
            inside.envs([("HOME", "/root"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]).status().unwrap();
        assert!(inside.success(), "{manager}: {inside}");
        println!("packages: {manager}: asked, installed, busy, killed and taken back");
    }
}

/// What the program does inside the root; none outside.
pub fn inside() -> Option<()> {
    let manager = match std::env::var(INSIDE).ok()?.as_str() {
        "dnf" => PackageManager::Dnf,
        "zypper" => PackageManager::Zypper,
        "pacman" => PackageManager::Pacman,
        other => panic!("{other} is no package manager of this story"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        installed_and_taken_back(manager).await;
        what_would_take_something_away_is_refused(manager).await;
        what_does_not_exist_is_named(manager).await;
        another_one_at_work_is_waited_for(manager).await;
        a_killed_installation_is_ended(manager).await;
    });
    Some(())
}

async fn installed_and_taken_back(manager: PackageManager) {
    let before = installed(manager).await;
    // The first one fetches the lists, which looking does not.
    assert_eq!(install(manager, "openvswitch").await.unwrap(), brought(&BROUGHT));
    assert_eq!(install(manager, "openvswitch").await.unwrap(), brought(&[]), "again");
    let more = announced(&LocalHost, manager, "network-scripts").await.unwrap();
    assert_eq!(more, ["network-scripts"]);
    // Somebody installs what needs it: it stays, with the reason.
    install(manager, "network-scripts").await.unwrap();
    let (outcome, told) = remove(manager, &BROUGHT).await;
    assert_eq!(outcome.unwrap(), Outcome::Adopted);
    assert!(told.iter().any(|line| line.contains("network-scripts")), "{told:?}");
    assert!(installed(manager).await.contains("openvswitch"));
    remove(manager, &["network-scripts"]).await.0.unwrap();
    // Now its lists are there, and the plan has what the installation brought.
    remove(manager, &BROUGHT).await.0.unwrap();
    assert_eq!(announced(&LocalHost, manager, "openvswitch").await.unwrap(), BROUGHT);
    let (outcome, told) = remove(manager, &BROUGHT).await;
    assert_eq!((outcome.unwrap(), told), (Outcome::Transient, Vec::new()), "twice");
    assert_eq!(installed(manager).await, before);
}

async fn what_would_take_something_away_is_refused(manager: PackageManager) {
    let before = installed(manager).await;
    assert!(before.contains("old-switch"));
    let error = install(manager, "new-switch").await.unwrap_err();
    assert_eq!(installed(manager).await, before);
    assert!(whole(&error).contains("old-switch"), "{error:?}");
    if !manager.keeps_what_is_there() {
        assert_eq!(error.code(), &code::PACKAGES_REMOVED);
        let planned = announced(&LocalHost, manager, "new-switch").await.unwrap_err();
        assert_eq!(planned.code(), &code::PACKAGES_REMOVED);
    }
}

async fn what_does_not_exist_is_named(manager: PackageManager) {
    let error = install(manager, "no-such").await.unwrap_err();
    assert!(whole(&error).contains("no-such"), "{error:?}");
    assert!(announced(&LocalHost, manager, "no-such").await.unwrap().is_empty());
}

async fn another_one_at_work_is_waited_for(manager: PackageManager) {
    let before = installed(manager).await;
    install(manager, "leaf").await.unwrap();
    let other = held(manager).await;
    let told = Mutex::new(Vec::new());
    let tell = |line: String| {
        // kvnet has met the lock: the other one may end.
        release();
        told.lock().unwrap().push(line);
    };
    let leaf = Change::RemovePackages { manager, packages: vec!["leaf".into()] };
    assert_eq!(apply_telling(&LocalHost, &leaf, &tell).await.unwrap(), Outcome::Transient);
    let told = told.into_inner().unwrap();
    assert!(told.len() == 1 && told[0].starts_with("another package manager is running"), "{told:?}");
    end(other);
    remove(manager, &BROUGHT).await.0.unwrap();
    if manager != PackageManager::Pacman {
        the_manager_itself_waits(manager).await;
    }
    assert_eq!(installed(manager).await, before);
}

/// dnf and zypper wait for each other's end when they install.
async fn the_manager_itself_waits(manager: PackageManager) {
    let other = held(manager).await;
    let change = change(manager, "leaf");
    let waiting = tokio::spawn(async move { apply_host_change(&LocalHost, &change).await });
    until(|| running(manager.program()) > 1).await;
    release();
    assert_eq!(waiting.await.unwrap().unwrap(), brought(&["leaf"]));
    end(other);
    remove(manager, &["leaf", BROUGHT[0], BROUGHT[1]]).await.0.unwrap();
}

async fn a_killed_installation_is_ended(manager: PackageManager) {
    let mut other = held(manager).await;
    other.kill().unwrap();
    other.wait().unwrap();
    release();
    if let Some(lock) = manager.stale_lock() {
        let change =
            Change::InstallPackage { manager, package: "openvswitch".into(), with: Vec::new(), timeout: 4 };
        let error = apply_host_change(&LocalHost, &change).await.unwrap_err();
        assert!(error.hints().iter().any(|hint| hint.contains(lock)), "{error:?}");
        std::fs::remove_file(lock).unwrap();
    }
    install(manager, "openvswitch").await.unwrap();
    let now = installed(manager).await;
    assert!(BROUGHT.iter().all(|name| now.contains(*name)), "{now:?}");
    remove(manager, &BROUGHT).await.0.unwrap();
}

/// Another run of the package manager, in the middle of its installation.
async fn held(manager: PackageManager) -> Child {
    rustix::fs::mknodat(rustix::fs::CWD, HOLD, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let command = manager.install("openvswitch", SECONDS);
    let mut process = Process::new(&command.argv[0]);
    let other = process.args(&command.argv[1..]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until(|| running("cat") > 0).await;
    other
}

/// Lets the installation go on; nobody may be waiting any more.
fn release() {
    let open = std::fs::OpenOptions::new().read(true).write(true).open(HOLD);
    drop(open.unwrap());
    std::fs::remove_file(HOLD).unwrap();
}

fn end(mut other: Child) {
    assert!(other.wait().unwrap().success());
}

/// How many processes of that name run in this root.
fn running(name: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let names = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("comm")).ok());
    names.filter(|own| own.trim() == name).count()
}

/// Waits for what another program does, which tells nobody.
async fn until(condition: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(SECONDS);
    while !condition() {
        assert!(std::time::Instant::now() < end, "it did not come");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn change(manager: PackageManager, package: &str) -> Change {
    Change::InstallPackage { manager, package: package.into(), with: Vec::new(), timeout: SECONDS }
}

async fn install(manager: PackageManager, package: &str) -> Result<Outcome> {
    apply_host_change(&LocalHost, &change(manager, package)).await
}

async fn remove(manager: PackageManager, packages: &[&str]) -> (Result<Outcome>, Vec<String>) {
    let told = Mutex::new(Vec::new());
    let packages = packages.iter().map(ToString::to_string).collect();
    let change = Change::RemovePackages { manager, packages };
    let outcome = apply_telling(&LocalHost, &change, &|line| told.lock().unwrap().push(line)).await;
    (outcome, told.into_inner().unwrap())
}

async fn installed(manager: PackageManager) -> BTreeSet<String> {
    let command = manager.list();
    let listed = LocalHost.run(&command).await.unwrap();
    manager.installed(&listed.ok(&command).unwrap().stdout)
}

fn brought(packages: &[&str]) -> Outcome {
    Outcome::Installed { packages: packages.iter().map(ToString::to_string).collect() }
}

fn whole(error: &Error) -> String {
    format!("{} {}", error.message(), error.cause().unwrap_or_default())
}
