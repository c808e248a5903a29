//! Changes of the node on sandboxes of every distribution.

use std::sync::Arc;

use camino::Utf8Path;

use crate::engine::change::{Change, Outcome};
use crate::engine::on_node::apply_host_change;
use crate::engine::on_node::packages::announced;
use crate::engine::on_node::service::ServiceManager;
use crate::facts::Facts;
use crate::facts::packages::{Lists, OVS_SERVICES, PackageManager};
use crate::host::{Command, Host, Output, UnitState};
use crate::profile::Profile;
use crate::sandbox::node::{Distribution, HostFault, HostOperation, Runtime, SandboxHost, Seed};
use crate::sandbox::store::Store;

const ON: UnitState = UnitState { running: true, enabled: true };
const OFF: UnitState = UnitState { running: false, enabled: false };

/// A new node of that distribution, as root.
fn node(distribution: Distribution) -> SandboxHost {
    SandboxHost::new(Store::in_memory(), distribution, 0).unwrap()
}

/// A new Debian node that was made otherwise than usual.
fn seeded(change: impl FnOnce(&mut Seed)) -> SandboxHost {
    let mut seed = Seed::new(Distribution::Debian);
    change(&mut seed);
    SandboxHost::seeded(Store::in_memory(), &seed, 0).unwrap()
}

/// Runs a command of words without blanks.
async fn run(node: &SandboxHost, line: &str) -> Output {
    node.run(&Command::new(line.split_whitespace())).await.unwrap()
}

/// What a command of words without blanks prints; it has to succeed.
async fn printed(node: &SandboxHost, line: &str) -> String {
    let output = run(node, line).await;
    assert_eq!((output.status, output.stderr.as_str()), (0, ""), "{line}");
    output.stdout
}

/// The exit code and the first line that a failing command says.
async fn failure(node: &SandboxHost, line: &str) -> (i32, String) {
    let output = run(node, line).await;
    (output.status, output.stderr.lines().next().unwrap_or_default().to_owned())
}

fn interfere(node: &SandboxHost, start: &'static str, fault: HostFault) {
    let decide =
        move |operation: &HostOperation<'_>| operation.to_string().starts_with(start).then(|| fault.clone());
    node.interfere(Arc::new(decide));
}

fn switch_package(manager: PackageManager) -> Change {
    Change::InstallPackage { manager, package: manager.ovs_package().into(), with: Vec::new(), timeout: 60 }
}

async fn service(node: &SandboxHost) -> Option<String> {
    let manager = ServiceManager::of(node).await.unwrap();
    manager.first_existing(node, &OVS_SERVICES).await.unwrap()
}

#[tokio::test]
async fn kvnet_finds_out_what_each_distribution_is() {
    for (distribution, id, bin) in [
        (Distribution::Debian, "debian", &["/opt/cni/bin"][..]),
        (Distribution::Ubuntu, "ubuntu", &["/opt/cni/bin"]),
        (Distribution::Fedora, "fedora", &["/opt/cni/bin", "/usr/libexec/cni"]),
        (Distribution::OpenSuse, "opensuse-leap", &["/opt/cni/bin", "/usr/libexec/cni"]),
        (Distribution::Arch, "arch", &["/opt/cni/bin"]),
        (Distribution::Alpine, "alpine", &["/usr/libexec/cni"]),
    ] {
        let node = node(distribution);
        let facts = Facts::gather(&node, &Profile::default()).await.unwrap();
        assert_eq!((facts.os.id.as_str(), facts.packages), (id, Some(distribution.packages())));
        assert_eq!((facts.hostname.as_str(), facts.architecture.as_str()), ("sandbox", "x86_64"));
        assert!(facts.root && facts.kvm && facts.home == "/root");
        assert_eq!(
            (facts.cni_conf_dir.as_str(), &facts.cni_bin_dirs[..]),
            ("/etc/cni/net.d", &bin.iter().map(Into::into).collect::<Vec<_>>()[..])
        );
        let dirs = node.cni_directories().unwrap();
        assert_eq!((dirs.conf, dirs.bin), (facts.cni_conf_dir, facts.cni_bin_dirs.clone()));
        assert!(node.status(facts.cni_bin_dirs[0].join("portmap")).unwrap().is_some());
        assert_eq!(service(&node).await, None);
    }
}

#[tokio::test]
async fn open_vswitch_is_installed_started_stopped_and_removed_on_each_distribution() {
    for distribution in Distribution::ALL {
        let node = node(distribution);
        let manager = distribution.packages();
        let before = node.packages().unwrap();
        let outcome = apply_host_change(&node, &switch_package(manager)).await.unwrap();
        let Outcome::Installed { packages } = outcome else { panic!("{outcome:?}") };
        assert!(packages.len() > 1 && packages.contains(&manager.ovs_package().to_owned()), "{packages:?}");
        let unit = service(&node).await.unwrap();
        assert_eq!(unit, manager.ovs_service());
        let starts = matches!(distribution, Distribution::Debian | Distribution::Ubuntu);
        let found = node.unit(&unit).unwrap().unwrap();
        assert_eq!(found, if starts { ON } else { OFF }, "only Debian starts what it installs");

        let on = Change::Unit { unit: unit.clone(), running: true, enabled: true, before: found };
        apply_host_change(&node, &on).await.unwrap();
        assert!(ServiceManager::of(&node).await.unwrap().is_enabled(&node, &unit).await.unwrap());
        assert_eq!(printed(&node, "ovs-vsctl list-br").await, "");

        let off = Change::Unit { unit: unit.clone(), running: false, enabled: false, before: ON };
        apply_host_change(&node, &off).await.unwrap();
        assert_eq!(node.unit(&unit).unwrap().unwrap(), OFF);
        // The daemons that a package has as services of their own stop one by one.
        let reachable = run(&node, "ovs-vsctl list-br").await.success();
        assert_eq!(reachable, unit == "ovs-vswitchd", "{distribution:?}");

        apply_host_change(&node, &Change::RemovePackages { manager, packages }).await.unwrap();
        assert_eq!(node.packages().unwrap(), before);
        assert_eq!(node.find("ovs-vsctl").await.unwrap(), None);
        assert_eq!(service(&node).await, None);
    }
}

#[tokio::test]
async fn lists_that_were_never_fetched_are_fetched() {
    for distribution in Distribution::ALL {
        let mut seed = crate::sandbox::node::Seed::new(distribution);
        seed.package_lists = false;
        let node = SandboxHost::seeded(crate::sandbox::store::Store::in_memory(), &seed, 0).unwrap();
        apply_host_change(&node, &switch_package(distribution.packages())).await.unwrap();
        let fetches =
            node.commands().iter().filter(|line| line.contains("update") || line.contains("refresh")).count();
        // dnf fetches them by itself.
        assert_eq!(fetches, usize::from(distribution != Distribution::Fedora), "{distribution:?}");
    }
}

#[tokio::test]
async fn the_plan_knows_what_an_installation_brings() {
    for distribution in [
        Distribution::Debian,
        Distribution::Ubuntu,
        Distribution::Fedora,
        Distribution::OpenSuse,
        Distribution::Arch,
    ] {
        let node = node(distribution);
        let manager = distribution.packages();
        if let Some(refresh) = manager.refresh(60) {
            node.run(&refresh).await.unwrap();
        }
        let announced = announced(&node, manager, manager.ovs_package()).await.unwrap();
        let install = apply_host_change(&node, &switch_package(manager)).await.unwrap();
        let Outcome::Installed { packages } = install else { panic!("{install:?}") };
        let plain: Vec<&str> = packages.iter().map(|name| name.split(':').next().unwrap()).collect();
        assert_eq!(announced, plain, "{distribution:?}");
        assert!(plain.len() > 1, "{distribution:?}: {plain:?}");
        let command = manager.simulate(manager.ovs_package(), Lists::Current).unwrap();
        let left = manager.announced(&node.run(&command).await.unwrap().stdout);
        assert!(left.removes.is_empty(), "{left:?}");
        // pacman would install it again.
        assert!(left.brings.is_empty() || manager == PackageManager::Pacman, "{left:?}");
    }
}

#[tokio::test]
async fn a_package_that_another_one_needs_stays() {
    for (distribution, needed, status) in [
        (Distribution::Debian, "openvswitch-common", 1),
        (Distribution::Fedora, "unbound-libs", 1),
        (Distribution::Arch, "unbound", 1),
        (Distribution::Alpine, "unbound-libs", 0),
    ] {
        let node = node(distribution);
        let manager = distribution.packages();
        apply_host_change(&node, &switch_package(manager)).await.unwrap();
        let output = node.run(&manager.remove(&[needed.into()], 60)).await.unwrap();
        assert_eq!(output.status, status, "{output:?}");
        assert!(node.packages().unwrap().contains(needed));
    }
}

#[tokio::test]
async fn a_package_that_is_not_there_is_told() {
    for (distribution, status) in [
        (Distribution::Debian, 100),
        (Distribution::Fedora, 1),
        (Distribution::OpenSuse, 104),
        (Distribution::Arch, 1),
        (Distribution::Alpine, 1),
    ] {
        let manager = distribution.packages();
        let output = node(distribution).run(&manager.install("no-such", 60)).await.unwrap();
        assert_eq!(output.status, status, "{output:?}");
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(distribution == Distribution::Fedora || manager.wants_refresh(&said), "{said}");
    }
}

#[tokio::test]
async fn plugins_that_are_missing_come_where_the_runtime_looks() {
    let node = SandboxHost::seeded(
        crate::sandbox::store::Store::in_memory(),
        &crate::sandbox::node::Seed {
            cni_plugins: false,
            ..crate::sandbox::node::Seed::new(Distribution::Alpine)
        },
        0,
    )
    .unwrap();
    let (package, directory) = PackageManager::Apk.cni_plugins().unwrap();
    let loopback = Utf8Path::new(directory).join("loopback");
    assert!(node.status(&loopback).unwrap().is_none());
    assert!(node.run(&PackageManager::Apk.install(package, 60)).await.unwrap().success());
    assert!(node.status(&loopback).unwrap().is_some());
}

#[tokio::test]
async fn bridges_outlive_the_service_and_the_package_where_they_do() {
    for (distribution, kept) in [(Distribution::Debian, ""), (Distribution::Fedora, "blue\n")] {
        let node = node(distribution);
        let manager = distribution.packages();
        let Outcome::Installed { packages } =
            apply_host_change(&node, &switch_package(manager)).await.unwrap()
        else {
            panic!("not installed")
        };
        run(&node, &format!("systemctl start {}", manager.ovs_service())).await;
        printed(&node, "ovs-vsctl add-br blue").await;
        run(&node, &format!("systemctl stop {}", manager.ovs_service())).await;
        run(&node, &format!("systemctl start {}", manager.ovs_service())).await;
        assert_eq!(printed(&node, "ovs-vsctl list-br").await, "blue\n");
        apply_host_change(&node, &Change::RemovePackages { manager, packages }).await.unwrap();
        apply_host_change(&node, &switch_package(manager)).await.unwrap();
        run(&node, &format!("systemctl start {}", manager.ovs_service())).await;
        assert_eq!(printed(&node, "ovs-vsctl list-br").await, kept, "{distribution:?}");
    }
}

#[tokio::test]
async fn a_kernel_without_modules_lets_the_switch_start_without_its_data_path() {
    let node = seeded(|seed| {
        seed.openvswitch_module = false;
        seed.runtime = Runtime::Containerd;
    });
    apply_host_change(&node, &switch_package(PackageManager::Apt)).await.unwrap();
    let said = failure(&node, "ovs-vsctl add-br blue").await;
    let expected = "ovs-vsctl: Error detected while setting up 'blue'.  See ovs-vswitchd log for details.";
    assert_eq!(said, (0, expected.to_owned()));
    let number = "ovs-vsctl get interface blue ofport";
    assert_eq!(printed(&node, number).await, "[]\n");
    printed(&node, "ovs-vsctl set bridge blue datapath_type=netdev").await;
    assert_eq!(printed(&node, number).await, "65534\n");
}

#[tokio::test]
async fn a_file_changes_under_us() {
    let node = node(Distribution::Debian);
    let change = Change::WriteFile {
        path: "/etc/x".into(),
        mode: 0o644,
        before: None,
        after: "ours".into(),
        secret: false,
    };
    interfere(&node, "read /etc/x", HostFault::Changed("/etc/x".into(), Some(b"theirs".to_vec())));
    let error = apply_host_change(&node, &change).await.unwrap_err();
    assert_eq!(error.to_string(), "/etc/x: the file was modified concurrently");
    assert_eq!(node.text("/etc/x").unwrap().unwrap(), "theirs");
    interfere(&node, "read /etc/x", HostFault::Changed("/etc/x".into(), None));
    apply_host_change(&node, &change).await.unwrap();
    assert_eq!(node.text("/etc/x").unwrap().unwrap(), "ours");
}
