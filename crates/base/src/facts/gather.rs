//! One pass over the node: files rather than programs, because one program costs more than all the files.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::identity::{self, Marks};
use super::packages::PackageManager;
use super::runtime::{self, CniDirs, KNOWN_DIRS};
use super::{Facts, os};
use crate::error::{Result, code};
use crate::host::{Command, FileKind, Host};
use crate::profile::Profile;

impl Facts {
    /// Reads the node; what the profile sets is not determined.
    ///
    /// # Errors
    /// Errors of the host; a missing file or tool is none.
    pub async fn gather(host: &dyn Host, profile: &Profile) -> Result<Self> {
        let os = os_release(host).await?;
        let architecture = architecture(host).await?;
        let user = host.user_id().await?;
        let dirs = cni_dirs(host, profile).await?;
        Ok(Self {
            packages: package_manager(host, &os).await?,
            root: user == 0,
            hostname: line(host, "/proc/sys/kernel/hostname").await?.unwrap_or_default(),
            marks: marks(host).await?,
            kvm: kvm(host, &architecture).await?,
            home: home(host, user).await?,
            cni_conf_dir: dirs.conf,
            cni_bin_dirs: dirs.bin,
            os,
            architecture,
        })
    }
}

/// A file's text; none when there is no file.
pub async fn text(host: &dyn Host, path: impl AsRef<Utf8Path> + Send) -> Result<Option<String>> {
    let content = host.read(path.as_ref()).await?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
}

/// Whether a path exists.
pub async fn exists(host: &dyn Host, path: impl AsRef<Utf8Path> + Send) -> Result<bool> {
    Ok(host.stat(path.as_ref()).await?.is_some())
}

/// A file's text without the space around it; none when there is no file.
pub async fn line(host: &dyn Host, path: &str) -> Result<Option<String>> {
    Ok(text(host, path).await?.map(|text| text.trim().to_owned()))
}

/// What a command prints, or why it prints nothing; a missing program is such a reason.
pub async fn printed(host: &dyn Host, words: &[&str]) -> Result<std::result::Result<String, String>> {
    if host.find(words[0]).await?.is_none() {
        return Ok(Err(format!("`{}` is not installed", words[0])));
    }
    Ok(match host.run(&Command::new(words.iter().copied())).await {
        Ok(output) if output.success() => Ok(output.stdout),
        Ok(output) => Err(output.stderr.trim().lines().last().unwrap_or("it gives no reason").to_owned()),
        // The sandbox knows no such command.
        Err(error) if error.code() == &code::INTERNAL => Err("not simulated".into()),
        Err(error) => Err(error.to_string()),
    })
}

/// Whether the kernel has a module, loaded or built in.
pub async fn has_module(host: &dyn Host, name: &str) -> Result<bool> {
    let modules = text(host, "/proc/modules").await?.unwrap_or_default();
    Ok(os::module_loaded(&modules, name) || exists(host, format!("/sys/module/{name}")).await?)
}

async fn marks(host: &dyn Host) -> Result<Marks> {
    let mut machine_id = line(host, "/etc/machine-id").await?.unwrap_or_default();
    if machine_id.is_empty() {
        machine_id = line(host, "/var/lib/dbus/machine-id").await?.unwrap_or_default();
    }
    let table =
        |path| async move { Ok::<_, crate::error::Error>(text(host, path).await?.unwrap_or_default()) };
    Ok(Marks {
        machine_id,
        boot_id: line(host, "/proc/sys/kernel/random/boot_id").await?.unwrap_or_default(),
        addresses: identity::addresses(
            &table("/proc/net/fib_trie").await?,
            &table("/proc/net/if_inet6").await?,
        ),
    })
}

async fn os_release(host: &dyn Host) -> Result<super::OsRelease> {
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        if let Some(text) = text(host, path).await? {
            return Ok(os::os_release(&text));
        }
    }
    Ok(super::OsRelease::default())
}

/// Kernels before 6.1 have no file for it.
async fn architecture(host: &dyn Host) -> Result<String> {
    if let Some(name) = line(host, "/proc/sys/kernel/arch").await? {
        return Ok(name);
    }
    let command = Command::new(["uname", "-m"]).timeout(Duration::from_secs(5));
    Ok(host.run(&command).await?.ok(&command)?.stdout.trim().to_owned())
}

async fn package_manager(host: &dyn Host, os: &super::OsRelease) -> Result<Option<PackageManager>> {
    for manager in PackageManager::of(os).into_iter().chain(PackageManager::ALL) {
        if host.find(manager.program()).await?.is_some() {
            return Ok(Some(manager));
        }
    }
    Ok(None)
}

async fn kvm(host: &dyn Host, architecture: &str) -> Result<bool> {
    if !exists(host, "/dev/kvm").await? {
        return Ok(false);
    }
    let cpuinfo = text(host, "/proc/cpuinfo").await?.unwrap_or_default();
    Ok(os::can_virtualise(&cpuinfo, architecture))
}

/// HOME as commands on the node have it, otherwise from the user database.
async fn home(host: &dyn Host, user: u32) -> Result<Utf8PathBuf> {
    let environment = text(host, "/proc/self/environ").await?.unwrap_or_default();
    let home = environment.split('\0').find_map(|variable| variable.strip_prefix("HOME="));
    if let Some(home) = home.filter(|home| home.starts_with('/')) {
        return Ok(home.into());
    }
    let users = text(host, "/etc/passwd").await?.unwrap_or_default();
    let is_me = |fields: &Vec<&str>| fields.get(2).is_some_and(|id| *id == user.to_string());
    let me = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(is_me);
    let home = me.and_then(|fields| fields.get(5).map(|home| Utf8PathBuf::from(*home)));
    Ok(home.unwrap_or_else(|| "/root".into()))
}

async fn cni_dirs(host: &dyn Host, profile: &Profile) -> Result<CniDirs> {
    let fixed = |setting: &String| Some(Utf8PathBuf::from(setting)).filter(|path| path.is_absolute());
    let conf = fixed(&profile.cluster.cni_conf_dir);
    let bin = fixed(&profile.cluster.cni_bin_dir);
    let mut dirs = match (&conf, &bin) {
        (Some(_), Some(_)) => CniDirs::default(),
        _ => asked_dirs(host, profile).await?,
    };
    dirs.conf = conf.unwrap_or(dirs.conf);
    dirs.bin = bin.map_or(dirs.bin, |path| vec![path]);
    Ok(dirs)
}

async fn asked_dirs(host: &dyn Host, profile: &Profile) -> Result<CniDirs> {
    for known in &KNOWN_DIRS {
        if exists(host, known.conf).await? {
            return known_dirs(host, known).await;
        }
    }
    let socket = socket(host, profile).await?;
    let mut dirs = CniDirs::default();
    if socket.contains("crio") {
        crio_dirs(host, &mut dirs).await?;
    } else {
        containerd_dirs(host, &mut dirs).await?;
    }
    Ok(dirs)
}

async fn known_dirs(host: &dyn Host, known: &runtime::KnownDirs) -> Result<CniDirs> {
    let mut bin = Vec::new();
    for path in known.bin {
        if exists(host, path).await? {
            bin.push(Utf8PathBuf::from(*path));
        }
    }
    if bin.is_empty() {
        bin.extend(known.bin.first().map(Utf8PathBuf::from));
    }
    Ok(CniDirs { conf: known.conf.into(), bin })
}

/// The runtime's socket, by the most specific source that names one; empty when none does.
pub(super) async fn socket(host: &dyn Host, profile: &Profile) -> Result<String> {
    if !profile.cluster.init.cri_socket.is_empty() {
        return Ok(profile.cluster.init.cri_socket.clone());
    }
    let files = [
        "/var/lib/kubelet/kubeadm-flags.env",
        "/var/lib/kubelet/instance-config.yaml",
        "/var/lib/kubelet/config.yaml",
    ];
    for path in files {
        let content = text(host, path).await?.unwrap_or_default();
        let names_socket = |word: &&str| word.contains(".sock");
        let mut words = content.split(|c: char| c.is_whitespace() || "\"'=".contains(c));
        if let Some(socket) = words.find(names_socket) {
            return Ok(socket.to_owned());
        }
    }
    for path in ["/run/containerd/containerd.sock", "/run/crio/crio.sock"] {
        if exists(host, path).await? {
            return Ok(path.to_owned());
        }
    }
    Ok(String::new())
}

async fn crio_dirs(host: &dyn Host, dirs: &mut CniDirs) -> Result<()> {
    let mut paths = vec![Utf8PathBuf::from("/etc/crio/crio.conf")];
    paths.extend(matching(host, "/etc/crio/crio.conf.d/*").await?);
    for path in paths {
        if let Some(text) = text(host, path).await? {
            runtime::crio(&text, dirs);
        }
    }
    Ok(())
}

async fn containerd_dirs(host: &dyn Host, dirs: &mut CniDirs) -> Result<()> {
    let Some(main) = text(host, "/etc/containerd/config.toml").await? else {
        return containerd_dump(host, dirs).await;
    };
    runtime::containerd(&main, dirs);
    for pattern in runtime::containerd_imports(&main) {
        for path in matching(host, &pattern).await? {
            if let Some(text) = text(host, path).await? {
                runtime::containerd(&text, dirs);
            }
        }
    }
    Ok(())
}

/// Without a file the built-in defaults count, which distributions change.
async fn containerd_dump(host: &dyn Host, dirs: &mut CniDirs) -> Result<()> {
    if host.find("containerd").await?.is_none() {
        return Ok(());
    }
    let command = Command::new(["containerd", "config", "dump"]).timeout(Duration::from_secs(5));
    // Without an answer from containerd the usual directories remain.
    if let Ok(output) = host.run(&command).await {
        runtime::containerd(&output.stdout, dirs);
    }
    Ok(())
}

/// The files that fit a pattern with at most one `*`, in its last component.
async fn matching(host: &dyn Host, pattern: &str) -> Result<Vec<Utf8PathBuf>> {
    let pattern = Utf8Path::new(pattern);
    let (Some(directory), Some(name)) = (pattern.parent(), pattern.file_name()) else {
        return Ok(Vec::new());
    };
    let Some((start, end)) = name.split_once('*') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let mut found = Vec::new();
    for name in host.list(directory).await?.unwrap_or_default() {
        let path = directory.join(&name);
        let fits = name.starts_with(start) && name.ends_with(end) && !name.starts_with('.');
        if fits && host.stat(&path).await?.is_some_and(|stat| stat.kind == FileKind::File) {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn debian() -> FakeHost {
        FakeHost::new()
            .file("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
            .file("/proc/sys/kernel/hostname", "node1\n")
            .file("/proc/sys/kernel/arch", "x86_64\n")
            .file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
            .program("apt-get")
    }

    async fn gather(host: &FakeHost) -> Facts {
        Facts::gather(host, &Profile::default()).await.unwrap()
    }

    #[tokio::test]
    async fn a_debian_node_needs_no_process() {
        let toml = "[plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = \"/usr/lib/cni\"\n";
        let host = debian().file("/etc/containerd/config.toml", toml);
        let facts = gather(&host).await;
        assert_eq!(facts.packages, Some(PackageManager::Apt));
        assert_eq!((facts.hostname.as_str(), facts.architecture.as_str()), ("node1", "x86_64"));
        assert_eq!((facts.root, facts.kvm, facts.home.as_str()), (true, false, "/root"));
        assert_eq!(facts.cni_bin_dirs, ["/usr/lib/cni"]);
        assert!(host.commands().is_empty());
    }

    #[tokio::test]
    async fn imported_files_of_containerd_count() {
        let host = debian()
            .file("/etc/containerd/config.toml", "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n")
            .file(
                "/etc/containerd/conf.d/cni.toml",
                "[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_dir = '/x'\n",
            );
        assert_eq!(gather(&host).await.cni_conf_dir, "/x");
    }

    #[tokio::test]
    async fn containerd_without_a_file_is_asked() {
        let dump = "[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dirs = ['/usr/libexec/cni']\n";
        let host = debian().prints(["containerd", "config", "dump"], dump);
        assert_eq!(gather(&host).await.cni_bin_dirs, ["/usr/libexec/cni"]);
    }

    #[tokio::test]
    async fn the_kubelet_tells_which_runtime_counts() {
        let flags =
            "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/crio/crio.sock --x=y\"\n";
        let host = debian()
            .file("/var/lib/kubelet/kubeadm-flags.env", flags)
            .file("/etc/containerd/config.toml", "")
            .file("/etc/crio/crio.conf.d/10-x.conf", "[crio.network]\nplugin_dirs = ['/usr/lib/cni']\n");
        assert_eq!(gather(&host).await.cni_bin_dirs, ["/usr/lib/cni"]);
    }

    #[tokio::test]
    async fn k3s_has_directories_of_its_own() {
        let host = debian()
            .directory("/var/lib/rancher/k3s/agent/etc/cni/net.d")
            .directory("/var/lib/rancher/k3s/data/current/bin");
        let facts = gather(&host).await;
        assert_eq!(facts.cni_conf_dir, "/var/lib/rancher/k3s/agent/etc/cni/net.d");
        assert_eq!(facts.cni_bin_dirs, ["/var/lib/rancher/k3s/data/current/bin"]);
    }

    #[tokio::test]
    async fn the_profile_has_the_last_word() {
        let mut profile = Profile::default();
        profile.cluster.cni_conf_dir = "/conf".into();
        profile.cluster.cni_bin_dir = "/bin".into();
        let facts = Facts::gather(&debian().directory("/run/crio/crio.sock"), &profile).await.unwrap();
        assert_eq!((facts.cni_conf_dir.as_str(), facts.cni_bin_dirs[0].as_str()), ("/conf", "/bin"));
    }
}
