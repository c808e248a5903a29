//! Open vSwitch itself: its package and its service.

use std::time::Duration;

use async_trait::async_trait;

use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::on_node::packages::announced;
use crate::engine::on_node::service::ServiceManager;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::facts::gather::{exists, text};
use crate::facts::packages::{OVS_SERVICES, PackageManager};
use crate::host::{Command, Host, UnitState};

/// Where the database listens.
pub const SOCKET: &str = "/var/run/openvswitch/db.sock";
/// The daemons; each writes its PID beside the socket.
const DAEMONS: [&str; 2] = ["ovsdb-server", "ovs-vswitchd"];
/// How long a started switch may take to listen.
const START: Duration = Duration::from_secs(20);

const ABOUT: About = About { id: "ovs-package", title: "Open vSwitch", requires: &[], reach: Reach::Node };

/// Installs and starts Open vSwitch; one that is already running is fine.
pub struct OvsPackage;

/// What the node has of Open vSwitch.
struct Observed {
    installed: bool,
    running: bool,
    /// The service that is on the node.
    unit: Option<String>,
    enabled: bool,
}

#[async_trait]
impl Step for OvsPackage {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.ovs.enabled
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let observed = observe(cx).await?;
        let mut findings = Findings::default();
        if observed.running && observed.unit.is_none() {
            findings.warn("Open vSwitch runs, but no service starts it at boot");
            return Ok(findings);
        }
        if !observed.installed {
            let manager = cx.facts.packages.ok_or_else(unknown_distribution)?;
            let package = chosen(&cx.profile.ovs.package).unwrap_or(manager.ovs_package()).to_owned();
            let with = announced(cx.host.as_ref(), manager, &package).await?;
            let timeout = cx.profile.timeouts.package;
            findings.changes.push(Change::InstallPackage { manager, package, with, timeout });
        }
        if !observed.running || !observed.enabled {
            let before = UnitState { running: observed.running, enabled: observed.enabled };
            let usual = cx.facts.packages.map_or(OVS_SERVICES[1], |manager| manager.ovs_service());
            let unit =
                chosen(&cx.profile.ovs.service).or(observed.unit.as_deref()).unwrap_or(usual).to_owned();
            findings.changes.push(Change::Unit { unit, running: true, enabled: true, before });
        }
        Ok(findings)
    }

    async fn verify(&self, cx: &Context) -> Result<()> {
        let host = cx.host.as_ref();
        let listens = host.wait_for(SOCKET.into(), START).await?;
        if listens && is_running(host).await? {
            return Ok(());
        }
        Err(Error::new(&code::OVS_UNAVAILABLE, "Open vSwitch does not answer").at(SOCKET))
    }
}

async fn observe(cx: &Context) -> Result<Observed> {
    let host = cx.host.as_ref();
    let mut installed = host.find("ovs-vsctl").await?.is_some();
    let manager = ServiceManager::of(host).await?;
    let unit = match chosen(&cx.profile.ovs.service) {
        Some(unit) => manager.first_existing(host, &[unit]).await?,
        None => manager.first_existing(host, &OVS_SERVICES).await?,
    };
    let enabled = match &unit {
        Some(unit) => manager.is_enabled(host, unit).await?,
        None => false,
    };
    let running = installed && is_running(host).await?;
    if installed && !(running && enabled) {
        installed = !is_half_installed(cx).await?;
    }
    Ok(Observed { installed, running, unit, enabled })
}

/// Whether the package is unpacked but not configured: its service would start half of it.
async fn is_half_installed(cx: &Context) -> Result<bool> {
    let Some(manager) = cx.facts.packages.filter(|manager| *manager == PackageManager::Apt) else {
        return Ok(false);
    };
    let package = chosen(&cx.profile.ovs.package).unwrap_or(manager.ovs_package());
    let list = manager.list();
    if cx.host.find(list.program()).await?.is_none() {
        return Ok(false);
    }
    Ok(manager.is_half_installed(&cx.host.run(&list).await?.stdout, package))
}

/// Whether the switch runs: by its PIDs, which costs no process, else by asking it.
pub async fn is_running(host: &dyn Host) -> Result<bool> {
    if !exists(host, SOCKET).await? {
        return Ok(false);
    }
    if daemons_live(host).await? {
        return Ok(true);
    }
    // In another PID namespace, as in a container, the PIDs mean nothing here.
    let command = Command::new(["ovs-vsctl", "--timeout=5", "show"]).timeout(Duration::from_secs(10));
    Ok(host.run(&command).await?.success())
}

async fn daemons_live(host: &dyn Host) -> Result<bool> {
    for daemon in DAEMONS {
        let Some(id) = text(host, format!("/var/run/openvswitch/{daemon}.pid")).await? else {
            return Ok(false);
        };
        let name = text(host, format!("/proc/{}/comm", id.trim())).await?;
        if name.as_deref().map(str::trim) != Some(daemon) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn chosen(setting: &str) -> Option<&str> {
    Some(setting).filter(|setting| !matches!(*setting, "" | "auto"))
}

fn unknown_distribution() -> Error {
    Error::new(&code::DISTRO_UNKNOWN, "Open vSwitch is not installed, and kvnet cannot install it here")
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::facts::Facts;
    use crate::host::fake::FakeHost;
    use crate::profile::Profile;
    use crate::sandbox::node::{Distribution, SandboxHost};
    use crate::sandbox::store::Store;
    use crate::steps::testing::{context, find, lines};

    const UNIT: &str = "/lib/systemd/system/openvswitch-switch.service";
    const ENABLED: &str = "/etc/systemd/system/multi-user.target.wants/openvswitch-switch.service";

    /// A node on which the switch runs.
    pub fn running() -> FakeHost {
        FakeHost::new()
            .program("ovs-vsctl")
            .file(SOCKET, "")
            .file("/var/run/openvswitch/ovsdb-server.pid", "10\n")
            .file("/var/run/openvswitch/ovs-vswitchd.pid", "11\n")
            .file("/proc/10/comm", "ovsdb-server\n")
            .file("/proc/11/comm", "ovs-vswitchd\n")
    }

    #[tokio::test]
    async fn an_installation_that_takes_something_away_is_refused_in_the_plan() {
        let host = FakeHost::new().prints(["apt-get", "install", "--simulate"], "Remv curl [7.88]\n");
        let error = find(OvsPackage, host, Profile::default()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.message()),
            (&code::PACKAGES_REMOVED, "installing openvswitch-switch would remove curl")
        );
    }

    #[tokio::test]
    async fn a_fresh_node_gets_package_and_service() {
        let findings = find(OvsPackage, FakeHost::new(), Profile::default()).await.unwrap();
        assert_eq!(
            lines(&findings),
            ["install package openvswitch-switch with apt", "start service openvswitch-switch"]
        );
    }

    #[tokio::test]
    async fn a_running_switch_is_left_alone_without_a_process() {
        let host = Arc::new(running().file(UNIT, "").file(ENABLED, ""));
        let cx = context(&host, Profile::default(), Facts::default());
        assert_eq!(Step::find(&OvsPackage, &cx).await.unwrap(), Findings::default());
        assert!(host.commands().is_empty());
    }

    #[tokio::test]
    async fn a_dead_switch_is_started() {
        let host = running().file("/proc/11/comm", "bash\n").file(UNIT, "").file(ENABLED, "");
        let host = host.fails(["ovs-vsctl", "--timeout=5", "show"], 1, "connection refused");
        let findings = find(OvsPackage, host, Profile::default()).await.unwrap();
        let before = UnitState { running: false, enabled: true };
        let unit = "openvswitch-switch".into();
        assert_eq!(findings.changes, [Change::Unit { unit, running: true, enabled: true, before }]);
    }

    #[tokio::test]
    async fn a_package_whose_installation_was_killed_is_installed_before_its_service_starts() {
        let host = FakeHost::new().program("ovs-vsctl").program("dpkg-query").file(UNIT, "");
        let host = host.prints(["dpkg-query"], "iU  openvswitch-switch\nii  libc6:amd64\n");
        let findings = find(OvsPackage, host, Profile::default()).await.unwrap();
        assert_eq!(
            lines(&findings),
            ["install package openvswitch-switch with apt", "start service openvswitch-switch"]
        );
    }

    #[tokio::test]
    async fn a_switch_that_is_running_already_is_fine() {
        let findings = find(OvsPackage, running(), Profile::default()).await.unwrap();
        assert!(findings.changes.is_empty() && findings.notes[0].warning);
    }

    #[tokio::test]
    async fn an_unknown_distribution_is_an_error() {
        let cx = context(&Arc::new(FakeHost::new()), Profile::default(), Facts::default());
        let error = Step::find(&OvsPackage, &cx).await.unwrap_err();
        assert_eq!(error.code(), &code::DISTRO_UNKNOWN);
    }

    #[tokio::test]
    async fn steps_see_the_switch_run_without_a_process() {
        let node = || SandboxHost::new(Store::in_memory(), Distribution::Debian, 0).unwrap();
        let fresh = node();
        let node = node();
        let installed = node.run(&PackageManager::Apt.install("openvswitch-switch", 60)).await.unwrap();
        assert!(installed.success(), "{installed:?}");
        let before = node.commands().len();
        assert!(is_running(&node).await.unwrap());
        assert_eq!(node.commands().len(), before);
        assert!(!is_running(&fresh).await.unwrap());
    }
}
