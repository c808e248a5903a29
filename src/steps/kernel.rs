//! What the kernel must do for pod networks: pass bridged traffic to iptables, and forward.

use async_trait::async_trait;
use camino::Utf8Path;

use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::facts::gather::{has_module, text};
use crate::host::{Command, Host};

const MODULE: &str = "br_netfilter";
const MODULES_FILE: &str = "/etc/modules-load.d/kvnet.conf";
const SYSCTL_FILE: &str = "/etc/sysctl.d/99-kvnet.conf";
/// The settings, all of which must be 1. The first only exists while the module is loaded.
const SYSCTLS: [&str; 3] =
    ["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables", "net.ipv4.ip_forward"];

const ABOUT: About = About { id: "kernel", title: "kernel settings", requires: &[], reach: Reach::Node };

/// Loads the module and sets the sysctls, now and for every boot.
pub struct Kernel;

/// The kernel's state.
struct Observed {
    module: Module,
    /// The values, in the order of [`SYSCTLS`].
    values: [Option<String>; 3],
    modules_file: Option<String>,
    sysctl_file: Option<String>,
}

/// Whether the bridge filter works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    Working,
    /// Loaded, but its sysctls are not visible, as in a container.
    Hidden,
    Loadable,
    Missing,
}

#[async_trait]
impl Step for Kernel {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.cluster.kernel
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let observed = observe(cx.host.as_ref()).await?;
        let settings: String = SYSCTLS.map(|name| [name, " = 1\n"].concat()).concat();
        let modules_file = format!("# Written by kvnet for the pod network.\n{MODULE}\n");
        let sysctl_file = format!("# Written by kvnet for the pod network.\n{settings}");
        let mut findings = Findings::default();
        findings.changes.extend(file(MODULES_FILE, observed.modules_file.as_deref(), &modules_file));
        match observed.module {
            Module::Missing => return Err(missing()),
            Module::Loadable => findings.changes.push(load()),
            Module::Hidden => findings.warn(format!("the sysctls of {MODULE} are not visible from here")),
            Module::Working => {}
        }
        findings.changes.extend(file(SYSCTL_FILE, observed.sysctl_file.as_deref(), &sysctl_file));
        for (name, value) in SYSCTLS.iter().zip(&observed.values) {
            let hidden = observed.module == Module::Hidden && value.is_none();
            if value.as_deref() != Some("1") && !hidden {
                findings.changes.push(set(name, value.as_deref()));
            }
        }
        Ok(findings)
    }
}

async fn observe(host: &dyn Host) -> Result<Observed> {
    let mut values = [const { None }; 3];
    for (value, name) in values.iter_mut().zip(SYSCTLS) {
        *value = text(host, path_of(name)).await?.map(|text| text.trim().to_owned());
    }
    Ok(Observed {
        module: module(host, values[0].is_some()).await?,
        values,
        modules_file: text(host, MODULES_FILE).await?,
        sysctl_file: text(host, SYSCTL_FILE).await?,
    })
}

async fn module(host: &dyn Host, working: bool) -> Result<Module> {
    if working {
        return Ok(Module::Working);
    }
    if has_module(host, MODULE).await? {
        return Ok(Module::Hidden);
    }
    if host.find("modprobe").await?.is_none() {
        return Ok(Module::Missing);
    }
    let loadable = host.run(&Command::new(["modprobe", "--dry-run", MODULE])).await?.success();
    Ok(if loadable { Module::Loadable } else { Module::Missing })
}

fn path_of(sysctl: &str) -> String {
    format!("/proc/sys/{}", sysctl.replace('.', "/"))
}

fn missing() -> Error {
    let error = Error::new(&code::KERNEL, format!("the kernel module {MODULE} cannot be loaded"));
    error.hint(format!("install the modules of the running kernel, so that `modprobe {MODULE}` works"))
}

fn file(path: &str, before: Option<&str>, after: &str) -> Option<Change> {
    (before != Some(after)).then(|| Change::WriteFile {
        path: Utf8Path::new(path).to_owned(),
        mode: 0o644,
        before: before.map(str::to_owned),
        after: after.to_owned(),
        secret: false,
    })
}

/// Not reverted: other software on the node may rely on the module by then.
fn load() -> Change {
    let command = Command::new(["modprobe", MODULE]);
    Change::Run { purpose: format!("load kernel module {MODULE}"), before: None, command, undo: None }
}

/// A value that does not exist yet comes and goes with the module: it is not reverted.
fn set(name: &str, before: Option<&str>) -> Change {
    let command =
        |value: &str| Command::new(["sysctl".to_owned(), "-w".to_owned(), format!("{name}={value}")]);
    Change::Run {
        purpose: format!("set {name} to 1"),
        before: before.map(str::to_owned),
        command: command("1"),
        undo: before.map(command),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;
    use crate::profile::Profile;
    use crate::steps::testing::{find, lines};

    fn settings(host: FakeHost, values: [&str; 3]) -> FakeHost {
        SYSCTLS
            .iter()
            .zip(values)
            .fold(host, |host, (name, value)| host.file(&path_of(name), &format!("{value}\n")))
    }

    #[tokio::test]
    async fn a_fresh_node_gets_module_files_and_settings() {
        let host = FakeHost::new().prints(["modprobe"], "").file("/proc/sys/net/ipv4/ip_forward", "0\n");
        let findings = find(Kernel, host, Profile::default()).await.unwrap();
        assert_eq!(
            lines(&findings),
            [
                "create file /etc/modules-load.d/kvnet.conf",
                "modprobe br_netfilter",
                "create file /etc/sysctl.d/99-kvnet.conf",
                "sysctl -w net.bridge.bridge-nf-call-iptables=1",
                "sysctl -w net.bridge.bridge-nf-call-ip6tables=1",
                "sysctl -w net.ipv4.ip_forward=1",
            ]
        );
        let Change::Run { undo: Some(undo), .. } = &findings.changes[5] else { panic!("no undo") };
        assert_eq!(undo.display(), "sysctl -w net.ipv4.ip_forward=0");
    }

    #[tokio::test]
    async fn a_node_that_has_it_all_is_left_alone() {
        let host = settings(FakeHost::new(), ["1", "1", "1"])
            .file(MODULES_FILE, "# Written by kvnet for the pod network.\nbr_netfilter\n")
            .file(
                SYSCTL_FILE,
                "# Written by kvnet for the pod network.\nnet.bridge.bridge-nf-call-iptables = 1\n\
                 net.bridge.bridge-nf-call-ip6tables = 1\nnet.ipv4.ip_forward = 1\n",
            );
        assert_eq!(find(Kernel, host, Profile::default()).await.unwrap(), Findings::default());
    }

    #[tokio::test]
    async fn a_kernel_with_the_filter_built_in_needs_no_modprobe() {
        let findings =
            find(Kernel, settings(FakeHost::new(), ["1", "1", "1"]), Profile::default()).await.unwrap();
        assert!(lines(&findings).iter().all(|line| line.starts_with("create file")));
    }

    #[tokio::test]
    async fn a_kernel_without_the_module_is_an_error() {
        let host =
            FakeHost::new().fails(["modprobe", "--dry-run"], 1, "FATAL: Module br_netfilter not found");
        let error = find(Kernel, host, Profile::default()).await.unwrap_err();
        assert_eq!(error.code(), &code::KERNEL);
    }
}
