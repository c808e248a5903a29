//! Package managers of the distributions: how each installs, removes and lists.

mod announced;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OsRelease;
use crate::host::Command;
pub use announced::{Announced, Lists};

/// A package manager that kvnet can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, RHEL.
    Dnf,
    /// Older distributions of the Fedora family.
    Yum,
    /// openSUSE.
    Zypper,
    /// Arch.
    Pacman,
    /// Alpine.
    Apk,
}

/// Makes dnf install what a package requires, but not what it recommends.
const NO_WEAK: &str = "--setopt=install_weak_deps=False";

/// Services of Open vSwitch as distributions call them, in the order to try.
pub const OVS_SERVICES: [&str; 3] = ["openvswitch-switch", "openvswitch", "ovs-vswitchd"];

impl PackageManager {
    /// All of them, in the order to look for them; dnf before yum, which is a link to it where both exist.
    pub const ALL: [Self; 6] = [Self::Apt, Self::Dnf, Self::Yum, Self::Zypper, Self::Pacman, Self::Apk];

    /// The one that a distribution uses, as far as its os-release tells.
    pub fn of(os: &OsRelease) -> Option<Self> {
        let names = std::iter::once(&os.id).chain(&os.like);
        names.into_iter().find_map(|name| match name.as_str() {
            "debian" | "ubuntu" => Some(Self::Apt),
            "fedora" | "rhel" | "centos" => Some(Self::Dnf),
            "suse" | "opensuse" | "sles" => Some(Self::Zypper),
            "arch" => Some(Self::Pacman),
            "alpine" => Some(Self::Apk),
            _ => None,
        })
    }

    /// The program to look for.
    pub fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Yum => "yum",
            Self::Zypper => "zypper",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
        }
    }

    /// The package that brings Open vSwitch's daemons and `ovs-vsctl`.
    pub fn ovs_package(self) -> &'static str {
        if self == Self::Apt { "openvswitch-switch" } else { "openvswitch" }
    }

    /// The service that runs Open vSwitch.
    pub fn ovs_service(self) -> &'static str {
        match self {
            Self::Apt => OVS_SERVICES[0],
            Self::Dnf | Self::Yum | Self::Zypper => OVS_SERVICES[1],
            Self::Pacman | Self::Apk => OVS_SERVICES[2],
        }
    }

    /// The package of the reference CNI plugins and the directory that it puts them in; none when there is no package.
    pub fn cni_plugins(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Apt => ("containernetworking-plugins", "/usr/lib/cni"),
            Self::Dnf | Self::Yum => ("containernetworking-plugins", "/usr/libexec/cni"),
            Self::Zypper | Self::Pacman => ("cni-plugins", "/usr/lib/cni"),
            Self::Apk => ("cni-plugins", "/usr/libexec/cni"),
        })
    }

    /// Installs a package with its dependencies, without a prompt; waits for another package manager to end.
    pub fn install(self, package: &str, seconds: u64) -> Command {
        self.command(self.install_words(), &[package.to_owned()], seconds)
    }

    /// Removes packages without a prompt, and none that another package needs: the low-level tools refuse that, the
    /// others would remove the other package too.
    pub fn remove(self, packages: &[String], seconds: u64) -> Command {
        let words: &[&str] = match self {
            Self::Apt => &["dpkg", "--purge"],
            Self::Dnf | Self::Yum | Self::Zypper => &["rpm", "--erase"],
            Self::Pacman => &["pacman", "--remove", "--noconfirm"],
            Self::Apk => &["apk", "del"],
        };
        self.command(words, packages, seconds)
    }

    /// Fetches the lists of packages; none where the installation does so by itself.
    pub fn refresh(self, seconds: u64) -> Option<Command> {
        let words: &[&str] = match self {
            Self::Apt => &["apt-get", "update"],
            Self::Zypper => &["zypper", "--non-interactive", "refresh"],
            Self::Pacman => &["pacman", "--sync", "--refresh"],
            Self::Apk => &["apk", "update"],
            Self::Dnf | Self::Yum => return None,
        };
        Some(self.command(words, &[], seconds))
    }

    /// Whether an installation failed because the lists of packages are old or were never fetched.
    pub fn wants_refresh(self, printed: &str) -> bool {
        let signs: &[&str] = match self {
            Self::Apt => {
                &["Unable to locate package", "has no installation candidate", "Unable to fetch some"]
            }
            Self::Zypper => &["not found in package names", "No provider of", "Download (curl) error"],
            Self::Pacman => &["target not found", "failed retrieving file", "database file for"],
            Self::Apk => &["no such package", "unable to select packages", "package mentioned in index"],
            Self::Dnf | Self::Yum => &[],
        };
        signs.iter().any(|sign| printed.contains(sign))
    }

    /// Lists the installed packages; [`installed`](Self::installed) reads what it prints.
    pub fn list(self) -> Command {
        match self {
            Self::Apt => Command::new(["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${binary:Package}\n"]),
            Self::Dnf | Self::Yum | Self::Zypper => Command::new(["rpm", "-qa", "--qf", "%{NAME}\n"]),
            Self::Pacman => Command::new(["pacman", "--query", "--quiet"]),
            Self::Apk => Command::new(["apk", "info", "--quiet"]),
        }
    }

    /// The names of the installed packages in what [`list`](Self::list) printed.
    pub fn installed(self, printed: &str) -> BTreeSet<String> {
        let lines = printed.lines().map(str::trim).filter(|line| !line.is_empty());
        match self {
            // `ii ` is installed and `iU ` only unpacked; `rc ` is removed with its configuration left.
            Self::Apt => {
                let present = lines.filter(|line| line.starts_with('i'));
                present.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
            }
            _ => lines.map(str::to_owned).collect(),
        }
    }

    /// Whether a package is unpacked but not configured, as after a killed installation, by what [`list`](Self::list)
    /// printed. Only Debian's list tells.
    pub fn is_half_installed(self, printed: &str, package: &str) -> bool {
        let state = |line: &str| {
            let (state, name) = line.trim().split_once(' ')?;
            (name.trim().split(':').next() == Some(package)).then(|| state.to_owned())
        };
        // Half-installed, unpacked, half-configured.
        let half = |state: String| ["iH", "iU", "iF"].iter().any(|half| state.starts_with(half));
        self == Self::Apt && printed.lines().find_map(state).is_some_and(half)
    }

    /// Completes a killed installation, when the package manager refuses to work before that.
    pub fn ends_interrupted(self, printed: &str, seconds: u64) -> Option<Command> {
        let interrupted = self == Self::Apt && printed.contains("dpkg was interrupted");
        interrupted.then(|| {
            self.command(&["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"], &[], seconds)
        })
    }

    /// Whether a command failed because another package manager is running, by what it printed; apt-get and zypper wait
    /// by themselves, the low-level tools and pacman do not.
    pub fn is_busy(self, printed: &str) -> bool {
        let signs: &[&str] = match self {
            Self::Apt => &["lock was locked by another process", "Could not get lock"],
            Self::Dnf | Self::Yum => &["can't create transaction lock"],
            Self::Zypper => &["can't create transaction lock", "System management is locked"],
            Self::Pacman => &["unable to lock database"],
            Self::Apk => &["Unable to lock database"],
        };
        // Without permission for the lock the message is the same, with another reason.
        !printed.contains("Permission denied") && signs.iter().any(|sign| printed.contains(sign))
    }

    /// The stale lock file of a killed package manager, which blocks it until it is removed.
    pub fn stale_lock(self) -> Option<&'static str> {
        (self == Self::Pacman).then_some("/var/lib/pacman/db.lck")
    }

    fn install_words(self) -> &'static [&'static str] {
        match self {
            Self::Apt => &[
                "apt-get",
                "install",
                "--yes",
                "--no-install-recommends",
                // Whatever the profile names: an installation removes nothing.
                "--no-remove",
                "-o",
                "Dpkg::Options::=--force-confdef",
                "-o",
                "Dpkg::Options::=--force-confold",
            ],
            Self::Dnf => &["dnf", "install", "--assumeyes", NO_WEAK],
            Self::Yum => &["yum", "install", "--assumeyes"],
            Self::Zypper => &["zypper", "--non-interactive", "install", "--no-recommends"],
            Self::Pacman => &["pacman", "--sync", "--noconfirm", "--needed"],
            Self::Apk => &["apk", "add"],
        }
    }

    /// A command that waits for the lock half of its time, so that the other half is left for the work.
    fn command(self, words: &[&str], packages: &[String], seconds: u64) -> Command {
        let lock = seconds / 2;
        let mut argv: Vec<String> = words.iter().map(ToString::to_string).collect();
        match self {
            // dpkg itself does not wait and has no such option.
            Self::Apt if words.first() == Some(&"apt-get") => {
                argv.extend(["-o".into(), format!("DPkg::Lock::Timeout={lock}")]);
            }
            Self::Apk => argv.extend(["--wait".into(), lock.to_string()]),
            _ => {}
        }
        argv.extend_from_slice(packages);
        let command = Command::new(argv).timeout(Duration::from_secs(seconds));
        match self {
            Self::Apt => command.env("DEBIAN_FRONTEND", "noninteractive").env("NEEDRESTART_MODE", "l"),
            Self::Zypper => command.env("ZYPP_LOCK_TIMEOUT", lock.to_string()),
            _ => command,
        }
    }
}

impl fmt::Display for PackageManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apt => "apt",
            other => other.program(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_manager_installs_without_a_question() {
        let lines = PackageManager::ALL.map(|manager| manager.install("ovs", 60).display());
        assert_eq!(
            lines,
            [
                "apt-get install --yes --no-install-recommends --no-remove -o Dpkg::Options::=--force-confdef -o \
                 Dpkg::Options::=--force-confold -o DPkg::Lock::Timeout=30 ovs",
                "dnf install --assumeyes --setopt=install_weak_deps=False ovs",
                "yum install --assumeyes ovs",
                "zypper --non-interactive install --no-recommends ovs",
                "pacman --sync --noconfirm --needed ovs",
                "apk add --wait 30 ovs",
            ]
        );
    }

    #[test]
    fn lists_of_packages_are_read() {
        let apt = "ii  libc6:amd64\nrc  gone\niU  half\nii  openvswitch-switch\n";
        let names: Vec<_> = PackageManager::Apt.installed(apt).into_iter().collect();
        assert_eq!(names, ["half", "libc6:amd64", "openvswitch-switch"]);
        let names: Vec<_> = PackageManager::Dnf.installed("bash\nzlib\n\n").into_iter().collect();
        assert_eq!(names, ["bash", "zlib"]);
    }

    #[test]
    fn a_package_that_is_only_unpacked_is_half_installed() {
        let half = |state: &str, package: &str| {
            let printed = format!("ii  libc6:amd64\n{state} openvswitch-switch\n");
            PackageManager::Apt.is_half_installed(&printed, package)
        };
        for state in ["iU ", "iF ", "iHR"] {
            assert!(half(state, "openvswitch-switch"), "{state}");
        }
        for state in ["ii ", "iW ", "rc "] {
            assert!(!half(state, "openvswitch-switch"), "{state}");
        }
        assert!(!half("iU ", "openvswitch") && !half("iU ", "libc6"));
    }

    #[test]
    fn the_distribution_decides_the_manager() {
        for (id, like, expected) in [
            ("ubuntu", "debian", Some(PackageManager::Apt)),
            ("linuxmint", "ubuntu", Some(PackageManager::Apt)),
            ("rocky", "rhel", Some(PackageManager::Dnf)),
            ("opensuse-leap", "suse", Some(PackageManager::Zypper)),
            ("alpine", "", Some(PackageManager::Apk)),
            ("nixos", "", None),
        ] {
            let os = OsRelease { id: id.into(), like: vec![like.into()], ..OsRelease::default() };
            assert_eq!(PackageManager::of(&os), expected, "{id}");
        }
    }
}
