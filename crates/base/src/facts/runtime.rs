//! Where container runtimes look for CNI configurations and plugins.

use camino::Utf8PathBuf;
use toml::{Table, Value};

/// The directories of a runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CniDirs {
    /// Where it reads configurations.
    pub conf: Utf8PathBuf,
    /// Where it looks for plugins, in order.
    pub bin: Vec<Utf8PathBuf>,
}

impl Default for CniDirs {
    /// The defaults of containerd and CRI-O.
    fn default() -> Self {
        Self { conf: "/etc/cni/net.d".into(), bin: vec!["/opt/cni/bin".into()] }
    }
}

/// A Kubernetes distribution with its own directories: they exist when `conf` does.
#[derive(Debug)]
pub struct KnownDirs {
    /// Its configuration directory.
    pub conf: &'static str,
    /// Its plugin directories, newest layout first.
    pub bin: &'static [&'static str],
}

/// k3s (both layouts) and `MicroK8s`. k0s and RKE2 use the default directories.
pub static KNOWN_DIRS: [KnownDirs; 2] = [
    KnownDirs {
        conf: "/var/lib/rancher/k3s/agent/etc/cni/net.d",
        bin: &["/var/lib/rancher/k3s/data/cni", "/var/lib/rancher/k3s/data/current/bin"],
    },
    KnownDirs {
        conf: "/var/snap/microk8s/current/args/cni-network",
        bin: &["/var/snap/microk8s/current/opt/cni/bin"],
    },
];

/// The files that a containerd configuration imports; `*` may stand for a file's name.
pub fn containerd_imports(text: &str) -> Vec<String> {
    let table: Table = text.parse().unwrap_or_default();
    table.get("imports").map(texts).unwrap_or_default()
}

/// Reads a containerd configuration of version 1, 2 or 3, or the output of `containerd config dump`.
pub fn containerd(text: &str, dirs: &mut CniDirs) {
    let table: Table = text.parse().unwrap_or_default();
    let plugins = table.get("plugins");
    // Version 3, 2 and 1, in this order.
    let names = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"];
    let section = names.iter().find_map(|name| plugins?.get(name)?.get("cni"));
    if let Some(section) = section {
        take(section, "conf_dir", &["bin_dirs", "bin_dir"], dirs);
    }
}

/// Reads a CRI-O configuration.
pub fn crio(text: &str, dirs: &mut CniDirs) {
    let table: Table = text.parse().unwrap_or_default();
    if let Some(section) = table.get("crio").and_then(|crio| crio.get("network")) {
        take(section, "network_dir", &["plugin_dirs", "plugin_dir"], dirs);
    }
}

fn take(section: &Value, conf: &str, bin: &[&str], dirs: &mut CniDirs) {
    if let Some(path) = section.get(conf).and_then(Value::as_str).filter(|path| !path.is_empty()) {
        dirs.conf = path.trim_end_matches('/').into();
    }
    let found = bin.iter().filter_map(|key| section.get(key)).map(texts).find(|paths| !paths.is_empty());
    if let Some(paths) = found {
        dirs.bin = paths.iter().map(|path| path.trim_end_matches('/').into()).collect();
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if !text.is_empty() => vec![text.clone()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(conf: &str, bin: &[&str]) -> CniDirs {
        CniDirs { conf: conf.into(), bin: bin.iter().map(Into::into).collect() }
    }

    #[test]
    fn containerd_of_every_version() {
        let v2 = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n\
                  conf_dir = \"/etc/cni/net.d\"\n";
        let v3 = "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = ''\n\
                  bin_dirs = ['/a/', '/b']\nconf_dir = '/c/'\n";
        let v1 = "[plugins.cri.cni]\nconf_dir = \"/one\"\n";
        for (text, expected) in [
            (v2, dirs("/etc/cni/net.d", &["/usr/lib/cni"])),
            (v3, dirs("/c", &["/a", "/b"])),
            (v1, dirs("/one", &["/opt/cni/bin"])),
            ("disabled_plugins = []\n", CniDirs::default()),
            ("not toml", CniDirs::default()),
        ] {
            let mut found = CniDirs::default();
            containerd(text, &mut found);
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn crio_directories() {
        let mut found = CniDirs::default();
        crio(
            "[crio.network]\nnetwork_dir = \"/etc/cni/x/\"\nplugin_dirs = [\"/usr/libexec/cni/\"]\n",
            &mut found,
        );
        assert_eq!(found, dirs("/etc/cni/x", &["/usr/libexec/cni"]));
    }

    #[test]
    fn imports_of_containerd() {
        assert_eq!(
            containerd_imports("imports = [\"/etc/containerd/conf.d/*.toml\"]\n"),
            ["/etc/containerd/conf.d/*.toml"]
        );
        assert!(containerd_imports("version = 2").is_empty());
    }
}
