//! Services of the node, by systemd or `OpenRC`.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::checkpoint::reached;
use crate::engine::change::Outcome;
use crate::error::{Error, Kind, Result};
use crate::facts::packages::OVS_SERVICES;
use crate::host::{Command, Host, UnitState};

/// How long a service may take to start or stop.
const UNIT_TIMEOUT: Duration = Duration::from_mins(2);

/// Starts, enables, stops or disables what differs between `before` and `after`.
pub(super) async fn set_unit(
    host: &dyn Host,
    unit: &str,
    before: UnitState,
    after: UnitState,
) -> Result<Outcome> {
    let manager = ServiceManager::of(host).await?;
    let names = names_of(unit);
    let unit = manager.first_existing(host, &names).await?.unwrap_or_else(|| unit.to_owned());
    let turned_on = [after.running && !before.running, after.enabled && !before.enabled];
    let turned_off = [!after.running && before.running, !after.enabled && before.enabled];
    for (words, wanted) in manager.actions(&unit, turned_on, turned_off) {
        if wanted {
            let command = Command::new(words).timeout(UNIT_TIMEOUT);
            host.run(&command).await?.ok(&command).map_err(|error| at_unit(error, &unit))?;
            reached(|| format!("after `{}`", command.display()));
        }
    }
    Ok(Outcome::Replaced { before: None })
}

/// The name itself; Open vSwitch has another one on each distribution.
fn names_of(unit: &str) -> Vec<&str> {
    let others = OVS_SERVICES.into_iter().filter(|other| OVS_SERVICES.contains(&unit) && *other != unit);
    std::iter::once(unit).chain(others).collect()
}

fn at_unit(error: Error, unit: &str) -> Error {
    error
        .at(format!("service {unit}"))
        .hint(format!("look at `journalctl -u {unit}`"))
        .of_kind(Kind::Environment)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceManager {
    /// systemd.
    Systemd,
    /// `OpenRC`.
    OpenRc,
}

impl ServiceManager {
    /// The one that runs on the node.
    pub(crate) async fn of(host: &dyn Host) -> Result<Self> {
        let systemd = host.stat("/run/systemd/system".into()).await?.is_some();
        if !systemd && host.find("rc-service").await?.is_some() {
            return Ok(Self::OpenRc);
        }
        Ok(Self::Systemd)
    }

    /// The first of some names that is a service of the node.
    pub(crate) async fn first_existing(self, host: &dyn Host, names: &[&str]) -> Result<Option<String>> {
        for name in names {
            for path in self.files(name) {
                if host.stat(&path).await?.is_some() {
                    return Ok(Some((*name).to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// Whether a service starts at boot: by the link of an enabled one, else by the service manager.
    pub(crate) async fn is_enabled(self, host: &dyn Host, unit: &str) -> Result<bool> {
        let link = match self {
            Self::Systemd => format!("/etc/systemd/system/multi-user.target.wants/{unit}.service"),
            Self::OpenRc => format!("/etc/runlevels/default/{unit}"),
        };
        let linked = host.stat(Utf8Path::new(&link)).await?.is_some();
        if linked || self == Self::OpenRc {
            return Ok(linked);
        }
        if host.find("systemctl").await?.is_none() {
            return Ok(false);
        }
        let command = Command::new(["systemctl", "is-enabled", unit]);
        // The exit code distinguishes `static` and `disabled`.
        Ok(host.run(&command).await?.success())
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

    /// Enable before start, so that a node that crashes in between boots correctly; stop before disable.
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
    use crate::host::fake::FakeHost;

    const OFF: UnitState = UnitState { running: false, enabled: false };
    const ON: UnitState = UnitState { running: true, enabled: true };

    #[tokio::test]
    async fn a_service_is_found_under_the_name_that_the_distribution_has() {
        let host = FakeHost::new()
            .directory("/run/systemd/system")
            .file("/usr/lib/systemd/system/openvswitch.service", "")
            .prints(["systemctl"], "");
        set_unit(&host, "openvswitch-switch", OFF, ON).await.unwrap();
        assert_eq!(host.commands(), ["systemctl enable openvswitch", "systemctl start openvswitch"]);
    }

    #[tokio::test]
    async fn alpine_has_another_service_manager() {
        let host = FakeHost::new()
            .file("/etc/init.d/ovs-vswitchd", "")
            .prints(["rc-service"], "")
            .prints(["rc-update"], "");
        set_unit(&host, "openvswitch-switch", OFF, ON).await.unwrap();
        assert_eq!(host.commands(), ["rc-update add ovs-vswitchd default", "rc-service ovs-vswitchd start"]);
    }

    #[tokio::test]
    async fn a_link_tells_that_a_service_is_enabled() {
        let link = "/etc/systemd/system/multi-user.target.wants/x.service";
        let host = FakeHost::new().file(link, "").fails(["systemctl", "is-enabled"], 1, "");
        assert!(ServiceManager::Systemd.is_enabled(&host, "x").await.unwrap());
        assert!(!ServiceManager::Systemd.is_enabled(&host, "y").await.unwrap());
        assert_eq!(host.commands(), ["systemctl is-enabled y"]);
    }
}
