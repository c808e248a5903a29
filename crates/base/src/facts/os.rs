//! Facts from single files of the node: os-release, modules, cpuinfo.

use super::OsRelease;

/// Reads os-release; a missing field is empty.
pub fn os_release(text: &str) -> OsRelease {
    let field = |name: &str| {
        let assigned = text.lines().rev().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
        unquoted(assigned.unwrap_or_default())
    };
    OsRelease {
        id: field("ID").to_lowercase(),
        like: field("ID_LIKE").split_whitespace().map(str::to_lowercase).collect(),
        version: field("VERSION_ID"),
        pretty: field("PRETTY_NAME"),
    }
}

fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(value).replace('\\', "")
}

/// Whether a module is in the text of `/proc/modules`.
pub fn module_loaded(text: &str, module: &str) -> bool {
    text.lines().any(|line| line.split(' ').next() == Some(module))
}

/// Whether the processor of `/proc/cpuinfo` can run virtual machines; architectures without such a flag always can.
pub fn can_virtualise(cpuinfo: &str, architecture: &str) -> bool {
    if architecture != "x86_64" {
        return true;
    }
    let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    flags.is_some_and(|(_, flags)| flags.split(' ').any(|flag| flag == "vmx" || flag == "svm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_of_distributions() {
        for (text, id, like, version) in [
            ("ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n", "debian", "", "12"),
            (
                "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID='9.4'",
                "rocky",
                "rhel centos fedora",
                "9.4",
            ),
            ("# nothing\nVARIANT_ID=x\n", "", "", ""),
        ] {
            let os = os_release(text);
            assert_eq!(
                (os.id.as_str(), os.like.join(" ").as_str(), os.version.as_str()),
                (id, like, version)
            );
        }
        assert_eq!(os_release("PRETTY_NAME=\"Debian GNU/Linux 12\"").pretty, "Debian GNU/Linux 12");
    }

    #[test]
    fn modules_and_flags() {
        let modules = "br_netfilter 32768 0 - Live 0x0\nbridge 262144 1 br_netfilter, Live 0x0\n";
        assert!(module_loaded(modules, "bridge") && !module_loaded(modules, "br"));
        assert!(can_virtualise("processor: 0\nflags\t\t: fpu vmx sse\n", "x86_64"));
        assert!(!can_virtualise("flags\t\t: fpu sse\n", "x86_64"));
        assert!(can_virtualise("Features\t: fp\n", "aarch64"));
    }
}
