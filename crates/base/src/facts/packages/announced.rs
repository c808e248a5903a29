//! A dry run of an installation. Each package manager has its own output for it.

use super::{NO_WEAK, PackageManager};
use crate::host::Command;

/// What an installation would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// The packages that would be new, sorted.
    pub brings: Vec<String>,
    /// The packages that would be removed.
    pub removes: Vec<String>,
}

/// The package lists that an answer is based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// Those on the node: nothing is fetched.
    Present,
    /// Those that the installation itself would use.
    Current,
}

impl PackageManager {
    /// The command for a dry run; none where the package manager has none.
    pub fn simulate(self, package: &str, lists: Lists) -> Option<Command> {
        // The option by which nothing is fetched, after the others.
        let (begin, fetches_nothing, end): (&[&str], &[&str], &[&str]) = match self {
            Self::Apt => (&["apt-get", "install", "--simulate", "--no-install-recommends"], &[], &[]),
            Self::Dnf => (&["dnf", "install", "--assumeno", NO_WEAK], &["--cacheonly"], &[]),
            Self::Yum => (&["yum", "install", "--assumeno"], &["--cacheonly"], &[]),
            Self::Zypper => (
                &["zypper", "--non-interactive"],
                &["--no-refresh"],
                &["--xmlout", "install", "--no-recommends", "--dry-run"],
            ),
            Self::Pacman => (&["pacman", "--sync", "--print", "--print-format", "%n"], &[], &[]),
            Self::Apk => return None,
        };
        let middle = if lists == Lists::Present { fetches_nothing } else { &[] };
        Some(Command::new([begin, middle, end, &[package]].concat()))
    }

    /// What [`simulate`](Self::simulate) printed on standard output, whatever its exit code: dnf fails without a "yes".
    pub fn announced(self, printed: &str) -> Announced {
        let mut announced = match self {
            Self::Apt => by_apt(printed),
            Self::Dnf | Self::Yum => by_dnf(printed),
            Self::Zypper => by_zypper(printed),
            Self::Pacman => by_pacman(printed),
            Self::Apk => Announced::default(),
        };
        announced.brings.sort();
        announced
    }

    /// Whether the installation itself refuses to remove packages; else a dry run must come first.
    pub fn keeps_what_is_there(self) -> bool {
        // pacman takes the default answer to "Remove it?", which is no.
        matches!(self, Self::Apt | Self::Pacman)
    }
}

/// `Inst NAME (VERSION …)`, `Remv NAME [VERSION]`.
fn by_apt(printed: &str) -> Announced {
    let new = printed.lines().filter_map(|line| line.strip_prefix("Inst ")?.split_once(" ("));
    // `Inst NAME [OLD] (NEW` is an upgrade: that package was there before.
    let brings = new.filter(|(name, _)| !name.contains(' ')).map(|(name, _)| name.to_owned()).collect();
    let removed = printed.lines().filter_map(|line| {
        line.strip_prefix("Remv ").or_else(|| line.strip_prefix("Purg "))?.split_whitespace().next()
    });
    Announced { brings, removes: removed.map(str::to_owned).collect() }
}

/// A table with a heading over each part, ` NAME ARCHITECTURE …` in each line, and `     replacing NAME.ARCHITECTURE …` below
/// what obsoletes another package.
fn by_dnf(printed: &str) -> Announced {
    let mut announced = Announced::default();
    let mut heading = "";
    for line in printed.lines() {
        let first = line.split_whitespace().next();
        let Some(first) = first else {
            heading = "";
            continue;
        };
        if !line.starts_with(' ') {
            heading = line;
        } else if first == "replacing" {
            let name = line.split_whitespace().nth(1).unwrap_or_default();
            announced.removes.push(name.rsplit_once('.').map_or(name, |(name, _)| name).to_owned());
        } else if line.starts_with("  ") {
            // The continuation of the line above.
        } else if heading.starts_with("Installing") {
            announced.brings.push(first.to_owned());
        } else if heading.starts_with("Removing") {
            announced.removes.push(first.to_owned());
        }
    }
    announced
}

/// `<to-install>` and `<to-remove>` with a line `<solvable type="package" name="NAME" …>` for each package.
fn by_zypper(printed: &str) -> Announced {
    let mut announced = Announced::default();
    let mut part = "";
    for line in printed.lines().map(str::trim) {
        if line.starts_with("<to-") {
            part = line;
        } else if line.starts_with("</to-") {
            part = "";
        } else if let Some(name) = package_of(line) {
            match part {
                "<to-install>" => announced.brings.push(name.to_owned()),
                "<to-remove>" => announced.removes.push(name.to_owned()),
                _ => {}
            }
        }
    }
    announced
}

fn package_of(line: &str) -> Option<&str> {
    let attributes = line.strip_prefix("<solvable type=\"package\" ")?;
    attributes.split_once("name=\"")?.1.split('"').next()
}

/// A name in each line; what else it says has spaces.
fn by_pacman(printed: &str) -> Announced {
    let names = printed.lines().filter(|line| !line.is_empty() && !line.contains(' '));
    Announced { brings: names.map(str::to_owned).collect(), removes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(manager: PackageManager, printed: &str) -> (Vec<String>, Vec<String>) {
        let announced = manager.announced(printed);
        (announced.brings, announced.removes)
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn apt_tells_what_it_would_do() {
        let printed = "NOTE: This is only a simulation!\nInst python3 (3.11.2-1 Debian:12 [amd64])\n\
            Inst openvswitch-switch (3.1.0-2 Debian:12 [amd64]) []\nInst libc6 [2.36-1] (2.36-2 Debian:12 [amd64])\n\
            Conf python3 (3.11.2-1 Debian:12 [amd64])\n";
        let expected = (names(&["openvswitch-switch", "python3"]), names(&[]));
        assert_eq!(announced(PackageManager::Apt, printed), expected);
        let printed = "Remv curl [7.88.1-10]\nPurg wget [1.21]\nInst x (1 Debian:12 [amd64])\n";
        assert_eq!(announced(PackageManager::Apt, printed), (names(&["x"]), names(&["curl", "wget"])));
    }

    // The others' words are dnf 4.14's, zypper 1.14's and pacman 6.0's own; tests/real/packages asks them again.

    #[test]
    fn dnf_tells_what_it_would_do() {
        let printed = "Dependencies resolved.\n====\n Package  Architecture  Version  Repository  Size\n====\n\
            Installing:\n new-switch            noarch          4-1                 local          6.0 k\n     \
            replacing  old-switch.noarch 3.3.1-1\n openvswitch           noarch          3.3.1-1             local\n\
            Installing dependencies:\n a-name-that-needs-more-than-its-column\n                       noarch          1\n\
            Upgrading:\n glibc   x86_64  2  local  1\nRemoving dependent packages:\n theirs  noarch  1  @local  1\n\n\
            Transaction Summary\n====\nInstall  3 Packages\n\nTotal size: 18 k\n";
        let brings = names(&["a-name-that-needs-more-than-its-column", "new-switch", "openvswitch"]);
        let expected = (brings, names(&["old-switch", "theirs"]));
        assert_eq!(announced(PackageManager::Dnf, printed), expected);
        let nothing = "Package openvswitch-3.3.1-1.noarch is already installed.\nDependencies resolved.\nNothing to do.\n";
        assert_eq!(announced(PackageManager::Dnf, nothing), (names(&[]), names(&[])));
    }

    #[test]
    fn zypper_tells_what_it_would_do() {
        let printed = "<install-summary packages-to-change=\"3\">\n<to-install>\n\
            <solvable type=\"package\" name=\"openvswitch\" edition=\"3.3.1-1\" arch=\"noarch\" summary=\"s\">\n\
            <description>A stand-in.</description></solvable>\n</to-install>\n<to-upgrade>\n\
            <solvable type=\"package\" name=\"glibc\" edition=\"2\">\n</to-upgrade>\n<to-remove>\n\
            <solvable type=\"package\" name=\"old-switch\" edition=\"3.3.1-1\" arch=\"noarch\">\n</to-remove>\n";
        let expected = (names(&["openvswitch"]), names(&["old-switch"]));
        assert_eq!(announced(PackageManager::Zypper, printed), expected);
    }

    #[test]
    fn pacman_tells_what_it_would_do() {
        let printed = ":: Proceed\nopenvswitch\nnumactl\n";
        assert_eq!(
            announced(PackageManager::Pacman, printed),
            (names(&["numactl", "openvswitch"]), names(&[]))
        );
    }

    #[test]
    fn looking_fetches_nothing() {
        let asked = |manager: PackageManager| Some(manager.simulate("ovs", Lists::Present)?.display());
        let all = PackageManager::ALL.map(asked);
        assert_eq!(
            all.iter().map(|line| line.as_deref().unwrap_or("cannot be asked")).collect::<Vec<_>>(),
            [
                "apt-get install --simulate --no-install-recommends ovs",
                "dnf install --assumeno --setopt=install_weak_deps=False --cacheonly ovs",
                "yum install --assumeno --cacheonly ovs",
                "zypper --non-interactive --no-refresh --xmlout install --no-recommends --dry-run ovs",
                "pacman --sync --print --print-format %n ovs",
                "cannot be asked",
            ]
        );
    }
}
